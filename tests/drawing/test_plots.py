"""Tests of the figures: what they show, not only that they are there."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import font_manager, rcParams
from matplotlib.colors import to_hex
from PIL import Image

from paddle_wrn.drawing import plots, sheets
from paddle_wrn.errors import UserError
from paddle_wrn.scoring.metrics import PrecisionRecall
from paddle_wrn.scoring.reliability import Bin

pytestmark = pytest.mark.usefixtures("font_settings")

ROOT = Path(__file__).parents[2]

LOSS = {"train": [(1, 2), (2, 1), (3, 2 / 3), (4, 0.5)], "val": [(1, 3), (2, 1.5), (3, 1), (4, 0.75)]}
ACCURACY = {"train": [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)], "val": [(1, 0.05), (3, 0.15), (4, 0.2)]}


def lines(axes: Any) -> dict[str, list[tuple[float, float]]]:
    return {
        line.get_label(): list(zip(line.get_xdata(), line.get_ydata(), strict=True))
        for line in axes.lines
        if not line.get_label().startswith("_")
    }


def test_curves_show_loss_and_accuracy_by_epoch() -> None:
    loss, accuracy = plots.curves(LOSS, ACCURACY).axes

    assert lines(loss) == {"training (augmented)": LOSS["train"], "validation": LOSS["val"]}
    assert lines(accuracy) == {"training (augmented)": ACCURACY["train"], "validation": ACCURACY["val"]}
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "cross-entropy, nats")
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "accuracy")
    assert accuracy.get_ylim() == (0, 1.02)
    for axes in (loss, accuracy):
        legend = {text.get_text() for text in axes.get_legend().get_texts()}
        assert legend == {"training (augmented)", "validation"}
        colours = {line.get_label(): to_hex(line.get_color()).upper() for line in axes.lines}
        assert colours == {"training (augmented)": plots.ORANGE, "validation": plots.BLUE}


def test_curves_mark_the_epoch_that_was_kept() -> None:
    for axes in plots.curves(LOSS, ACCURACY, 3).axes:
        assert [list(line.get_xdata()) for line in axes.lines][-1] == [3, 3]
        assert [text.get_text().strip() for text in axes.texts] == ["kept"]
    assert not any(axes.texts for axes in plots.curves(LOSS, ACCURACY).axes)


@pytest.mark.parametrize("val", [{}, {"val": []}], ids=["left out", "empty"])
def test_curves_without_validation_show_training_alone(val: dict[str, plots.Points]) -> None:
    loss, accuracy = {"train": LOSS["train"]} | val, {"train": ACCURACY["train"]} | val
    for axes in plots.curves(loss, accuracy).axes:
        assert list(lines(axes)) == ["training (augmented)"]


def test_a_single_epoch_is_a_point_and_not_nothing(tmp_path: Path) -> None:
    first = {split: points[:1] for split, points in LOSS.items()}
    figure = plots.curves(first, first, 1)

    assert [line.get_marker() for line in figure.axes[0].lines if line.get_label() == "validation"] == ["o"]
    plots.save(figure, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"


MATRIX = [[5, 1, 0], [0, 0, 0], [2, 0, 3]]
NAMES = ["Cockatoo", "Bananaquit", "Black Skimmer"]


@pytest.mark.usefixtures("any_font")
def test_a_confusion_matrix_shows_counts_and_names() -> None:
    (axes,) = plots.confusion(MATRIX, NAMES, "test photos: 8 of 11 right").axes

    shown = {text.get_position(): text.get_text() for text in axes.texts}
    assert shown == {(0, 0): "5", (1, 0): "1", (0, 2): "2", (2, 2): "3"}  # (column, row), no zeros
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == NAMES
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert axes.get_title() == "test photos: 8 of 11 right"


def test_the_colour_is_the_share_of_a_row() -> None:
    (axes,) = plots.confusion(MATRIX, NAMES, "").axes

    expected = [[5 / 6, 1 / 6, 0], [0, 0, 0], [0.4, 0, 0.6]]  # a class without photos is no division by 0
    np.testing.assert_allclose(axes.images[0].get_array(), expected)
    assert axes.images[0].get_clim() == (0, 1)
    colours = {text.get_text(): text.get_color() for text in axes.texts}
    assert colours == {"5": "white", "1": "black", "2": "black", "3": "white"}


@pytest.mark.parametrize(("classes", "numbers"), [(25, 25), (26, 0)])
def test_numbers_are_left_out_where_they_would_not_fit(tmp_path: Path, classes: int, numbers: int) -> None:
    figure = plots.confusion(np.eye(classes, dtype=int), [f"class {i}" for i in range(classes)], "many")

    assert len(figure.axes[0].texts) == numbers
    plots.save(figure, tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.width > 1000


@pytest.mark.parametrize(
    ("classes", "display_names", "letters", "expected"),
    [
        (["Bananaquit", "Cockatoo"], ["蕉林莺", "葵花鹦鹉"], "", ["Bananaquit", "Cockatoo"]),
        (["Bananaquit", "Cockatoo"], ["蕉林莺", "葵花鹦鹉"], "蕉林莺葵花鹦鹉", ["蕉林莺", "葵花鹦鹉"]),
        (["Bananaquit", "Cockatoo"], ["蕉林莺", "葵花鹦鹉"], "蕉林莺葵花", ["蕉林莺", "Cockatoo"]),
        (["Bananaquit", "Cockatoo"], ["Banana bird", "Cockatoo"], "", ["Banana bird", "Cockatoo"]),
        (["蕉林莺", "Cockatoo"], ["Banana bird", "Cockatoo"], "", ["Banana bird", "Cockatoo"]),
        (["Cockatoo", "蕉林莺"], ["Cockatoo", "蕉林莺"], "", ["Cockatoo", "class 1"]),
    ],
)
def test_chinese_names_are_shown_where_a_font_has_them_and_boxes_never(
    monkeypatch: pytest.MonkeyPatch,
    classes: list[str],
    display_names: list[str],
    letters: str,
    expected: list[str],
) -> None:
    monkeypatch.setattr(plots, "_letters", lambda: frozenset(map(ord, letters)))

    assert plots.labels_for(classes, display_names) == expected


def test_a_chinese_font_is_used_behind_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "cjk_font", lambda: "Noto Sans CJK SC")

    plots.confusion([[1]], ["蕉林莺"], "")

    assert rcParams["font.family"] == ["DejaVu Sans", "Noto Sans CJK SC"]


@pytest.mark.parametrize(
    ("installed", "found"),
    [
        (["DejaVu Sans"], None),
        (["SimHei", "DejaVu Sans", "Noto Sans CJK SC"], "Noto Sans CJK SC"),
        (["SimHei"], "SimHei"),
        (["Noto Sans CJK JP", "SimHei"], "SimHei"),
        (["Noto Sans CJK JP"], "Noto Sans CJK JP"),
    ],
)
def test_the_chinese_font_is_one_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, installed: list[str], found: str | None
) -> None:
    fonts = [type("Font", (), {"name": name}) for name in installed]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)
    monkeypatch.setattr(plots, "_FONT_PACKAGE", "no_such_package")

    assert plots.cjk_font.__wrapped__() == found


BIRDS = ("鸳鸯", "雪鸮", "北极海鹦", "厚嘴巨嘴鸟", "林鸳鸯", "小䴙䴘", "黑脸琵鹭", "戴胜（雄）")


@pytest.mark.skipif(importlib.util.find_spec("zhplot") is None, reason="the extra `fonts` is not installed")
def test_the_extra_has_the_letters_of_chinese_birds_and_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font_manager.fontManager, "ttflist", list(font_manager.fontManager.ttflist))
    monkeypatch.setattr(plots, "_CJK_FONTS", ("Noto Sans SC",))

    assert plots.cjk_font.__wrapped__() == "Noto Sans SC"

    charmap = font_manager.get_font(font_manager.findfont("Noto Sans SC")).get_charmap()
    assert {ord(letter) for name in BIRDS for letter in name} <= charmap.keys()
    assert "zhplot" not in sys.modules


def test_letters_that_no_font_has_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "cjk_font", lambda: None)
    monkeypatch.setattr(plots, "_letters", plots._letters.__wrapped__)

    assert [plots.can_draw(name) for name in ("egret", "Weißkopfseeadler", "白鹭", "🐦")] == [
        True,
        True,
        False,
        False,
    ]


def test_matplotlib_is_imported_when_something_is_drawn() -> None:
    code = (
        "import sys, paddle_wrn.train, paddle_wrn.predict, paddle_wrn.split_data\n"
        "print(sorted({'matplotlib', 'sklearn', 'scipy', 'visualdl'} & set(sys.modules)))\n"
        "import paddle_wrn.drawing.plots as plots\n"
        "plots.new_figure(1, 1)\n"
        "print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "True False"]


@pytest.mark.usefixtures("any_font")
def test_dollar_signs_in_names_are_no_mathematics(tmp_path: Path) -> None:
    names = ["a$_$b", "$c"]
    plots.save(plots.confusion([[1, 0], [0, 1]], names, "$_$"), tmp_path / "confusion.png")
    photos = np.zeros((2, 4, 4, 3), np.uint8)
    plots.save(sheets.photo_sheet(photos, names, [True, False]), tmp_path / "sheet.png")
    assert (tmp_path / "confusion.png").stat().st_size > 0
    assert (tmp_path / "sheet.png").stat().st_size > 0


def test_a_picture_is_written_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        plots.save(plots.curves(LOSS, ACCURACY, 2), tmp_path / name)

    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1382, 518))  # 9.6 x 3.6 inches at 144 dpi
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 10


def test_a_failed_save_leaves_the_old_picture_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = plots.curves(LOSS, ACCURACY)
    plots.save(figure, tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    def half(place: Path, **_: Any) -> None:
        place.write_bytes(before[:100])
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", half)
    with pytest.raises(OSError, match="disk full"):
        plots.save(figure, tmp_path / "a.png")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.png": before}


def test_the_place_of_a_picture_is_made(tmp_path: Path) -> None:
    assert plots.make_place(str(tmp_path / "new" / "er" / "a.PNG")) == tmp_path / "new" / "er" / "a.PNG"
    assert (tmp_path / "new" / "er").is_dir()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("new/a.jpg", "a.jpg: pictures are PNG files"),
        ("new/.png", "pictures are PNG files"),
        ("folder.png", "folder.png: this is a folder"),
        ("file/a.png", "file: this is a file where a folder is needed"),
    ],
)
def test_a_bad_place_for_a_picture_is_one_sentence(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=sentence):
        plots.make_place(tmp_path / name)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_may_not_be_written_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots.os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(UserError, match="no permission to write into this folder"):
        plots.make_place(tmp_path / "a.png")


def part(low: float, count: int, confidence: float, accuracy: float) -> Bin:
    interval = max(accuracy - 0.1, 0), min(accuracy + 0.1, 1)
    return Bin(low, low + 0.1, count, confidence, accuracy, interval)


def test_a_reliability_diagram_shows_probabilities_against_shares_and_how_many_there_are() -> None:
    before, after = [part(0.6, 3, 0.62, 1), part(0.7, 5, 0.77, 0.8)], [part(0.9, 8, 0.93, 0.875)]

    figure = plots.reliability_diagram(before, after, "8 test photos", 0.7)

    shares, counts = figure.axes
    drawn = lines(shares)
    assert drawn["without temperature"] == [(0.62, 1), (0.77, 0.8)]
    assert drawn["calibrated"] == [(0.93, 0.875)]
    assert [bar.get_height() for bar in counts.patches] == [3, 5, 8]
    intervals = [list(line.get_ydata()) for line in shares.lines if line.get_label().startswith("_")]
    assert [0.9, 1] in intervals
    assert (0.7, "not sure ") in [(text.get_position()[0], text.get_text()) for text in shares.texts]
    assert figure.get_suptitle() == "8 test photos"


@pytest.mark.parametrize("threshold", [0.0, 2.0])
def test_a_reliability_diagram_without_calibration_or_threshold(threshold: float, tmp_path: Path) -> None:
    figure = plots.reliability_diagram([part(0.9, 1, 1.0, 0)], None, "1 test photo", threshold)

    assert "calibrated" not in lines(figure.axes[0])
    assert not figure.axes[0].texts
    plots.save(figure, tmp_path / "reliability.png")
    with Image.open(tmp_path / "reliability.png") as picture:
        assert picture.size == (720, 806)


def curve(average: float) -> PrecisionRecall:
    return PrecisionRecall(np.array([0, 0.5, 1]), np.array([1, 0.8, average]), average)


@pytest.mark.usefixtures("any_font")
def test_precision_and_recall_name_the_worst_classes_first() -> None:
    (axes,) = plots.precision_recall([curve(0.9), None, curve(0.5)], NAMES, "11 test photos").axes
    assert [text.get_text() for text in axes.texts] == ["Black Skimmer 0.50", "Cockatoo 0.90"]
    assert [list(line.get_ydata())[-1] for line in axes.lines] == [0.5, 0.9]
    assert axes.get_title() == "11 test photos"


def test_of_many_classes_only_the_worst_are_named() -> None:
    curves = [curve(number / 20) for number in range(20)]
    (axes,) = plots.precision_recall(curves, [f"_{number}" for number in range(20)], "").axes
    assert len(axes.lines) == 20
    assert [text.get_text().split()[0] for text in axes.texts] == [f"_{number}" for number in range(7)]
    assert {line.get_color() for line in axes.lines[7:]} == {plots.GREY}
