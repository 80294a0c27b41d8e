"""Tests of the figures: what they show, not only that they are there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.colors import to_hex
from PIL import Image

from paddle_wrn import plots
from paddle_wrn.errors import UserError

HISTORY = [
    {"epoch": n, "train_loss": 2 / n, "val_loss": 3 / n, "train_acc": n / 10, "val_acc": n / 20}
    for n in (1, 2, 3, 4)
]
WITHOUT_VAL = [epoch | {"val_loss": None, "val_acc": None} for epoch in HISTORY]


@pytest.fixture(autouse=True)
def font_settings() -> Iterator[None]:
    """Put matplotlib's fonts back after each test."""
    before = rcParams["font.family"]
    yield
    rcParams["font.family"] = before


@pytest.fixture(params=[None, "DejaVu Sans"])
def any_font(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Pretend that a Chinese font is missing, or there."""
    monkeypatch.setattr(plots, "cjk_font", lambda: request.param)
    return request.param


def lines(axes: Any) -> dict[str, list[tuple[float, float]]]:
    return {
        line.get_label(): list(zip(line.get_xdata(), line.get_ydata(), strict=True))
        for line in axes.lines
        if not line.get_label().startswith("_")
    }


def test_curves_show_loss_and_accuracy_by_epoch() -> None:
    loss, accuracy = plots.curves(HISTORY).axes

    assert lines(loss) == {
        "training (augmented)": [(1, 2), (2, 1), (3, 2 / 3), (4, 0.5)],
        "validation": [(1, 3), (2, 1.5), (3, 1), (4, 0.75)],
    }
    assert lines(accuracy) == {
        "training (augmented)": [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)],
        "validation": [(1, 0.05), (2, 0.1), (3, 0.15), (4, 0.2)],
    }
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "cross-entropy, nats")
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "accuracy")
    assert accuracy.get_ylim() == (0, 1.02)
    for axes in (loss, accuracy):
        legend = {text.get_text() for text in axes.get_legend().get_texts()}
        assert legend == {"training (augmented)", "validation"}
        colours = {line.get_label(): to_hex(line.get_color()).upper() for line in axes.lines}
        assert colours == {"training (augmented)": plots.ORANGE, "validation": plots.BLUE}


def test_curves_mark_the_epoch_that_was_kept() -> None:
    for axes in plots.curves(HISTORY, 3).axes:
        assert [list(line.get_xdata()) for line in axes.lines][-1] == [3, 3]
        assert [text.get_text().strip() for text in axes.texts] == ["kept"]
    assert not any(axes.texts for axes in plots.curves(HISTORY).axes)


def test_curves_without_validation_show_training_alone() -> None:
    for axes in plots.curves(WITHOUT_VAL).axes:
        assert list(lines(axes)) == ["training (augmented)"]


def test_a_single_epoch_is_a_point_and_not_nothing(tmp_path: Path) -> None:
    figure = plots.curves(HISTORY[:1], 1)

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
    ("classes", "display_names", "font", "expected"),
    [
        (["Bananaquit", "Cockatoo"], ["蕉林莺", "Cockatoo"], None, ["Bananaquit", "Cockatoo"]),
        (["Bananaquit", "Cockatoo"], ["蕉林莺", "Cockatoo"], "SimHei", ["蕉林莺", "Cockatoo"]),
        (["Bananaquit", "Cockatoo"], ["Banana bird", "Cockatoo"], None, ["Banana bird", "Cockatoo"]),
        (["蕉林莺", "Cockatoo"], ["Banana bird", "Cockatoo"], None, ["Banana bird", "Cockatoo"]),
        (["Cockatoo", "蕉林莺"], ["Cockatoo", "蕉林莺"], None, ["Cockatoo", "class 1"]),
    ],
)
def test_chinese_names_are_shown_where_a_font_has_them_and_boxes_never(
    monkeypatch: pytest.MonkeyPatch,
    classes: list[str],
    display_names: list[str],
    font: str | None,
    expected: list[str],
) -> None:
    monkeypatch.setattr(plots, "cjk_font", lambda: font)

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
    ],
)
def test_the_chinese_font_is_one_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, installed: list[str], found: str | None
) -> None:
    fonts = [type("Font", (), {"name": name}) for name in installed]
    monkeypatch.setattr(plots.font_manager.fontManager, "ttflist", fonts)

    assert plots.cjk_font.__wrapped__() == found


def photos(count: int) -> plots.Images:
    return np.stack([np.full((5, 5, 3), value, np.uint8) for value in range(count)])


@pytest.mark.usefixtures("any_font")
def test_dollar_signs_in_names_are_no_mathematics(tmp_path: Path) -> None:
    names = ["a$_$b", "$c"]
    plots.save(plots.confusion([[1, 0], [0, 1]], names, "$_$"), tmp_path / "confusion.png")
    photos = np.zeros((2, 4, 4, 3), np.uint8)
    plots.save(plots.photo_sheet(photos, names, [True, False]), tmp_path / "sheet.png")
    assert (tmp_path / "confusion.png").stat().st_size > 0
    assert (tmp_path / "sheet.png").stat().st_size > 0


def test_a_sheet_shows_each_photo_with_its_caption() -> None:
    captions = ["Green 99%\nis Blue Disc", "Green 41%\n", "Blue Disc 52%\n"]

    figure = plots.photo_sheet(photos(3), captions, [True, False, False], columns=2)

    first, second, third, empty = figure.axes
    for value, (axes, caption) in enumerate(zip((first, second, third), captions, strict=True)):
        np.testing.assert_array_equal(axes.images[0].get_array(), photos(3)[value])
        assert axes.get_title() == caption
    colours = [to_hex(axes.title.get_color()).upper() for axes in (first, second, third)]
    assert colours == [plots.ORANGE, "#000000", "#000000"]
    assert (list(empty.images), empty.get_title()) == ([], "")
    assert not any(axes.axison for axes in figure.axes)  # nobody needs pixel numbers


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (5, 1), (6, 1), (7, 2), (24, 4)])
def test_a_sheet_of_any_number_of_photos_is_as_wide_and_as_high_as_it_needs(count: int, rows: int) -> None:
    figure = plots.photo_sheet(photos(count), ["a\n"] * count, [False] * count)

    assert len([axes for axes in figure.axes if axes.images]) == count
    assert len(plots.photo_sheet(photos(count), ["a"] * count, [True] * count, columns=1).axes) == count
    assert tuple(figure.get_size_inches()) == pytest.approx((9.6, 2.05 * rows))


@pytest.mark.parametrize("count", [1, 7])
def test_a_sheet_is_a_picture(count: int, tmp_path: Path) -> None:
    figure = plots.photo_sheet(photos(count) + 100, ["蕉林莺 50%\nis Cockatoo"] * count, [True] * count)

    plots.save(figure, tmp_path / "photos.png")

    with Image.open(tmp_path / "photos.png") as picture:
        assert picture.width == 1382  # 9.6 inches at 144 dpi
        drawn = np.asarray(picture.convert("RGB"))
    grey = (drawn == drawn[..., :1]).all(2) & (drawn[..., 0] >= 100) & (drawn[..., 0] < 107)
    assert grey.mean() > 0.4 * count / (6 * -(-count // 6))


def test_a_picture_is_written_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        plots.save(plots.curves(HISTORY, 2), tmp_path / name)

    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1382, 518))  # 9.6 x 3.6 inches at 144 dpi
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 10


def bars(*names: str) -> list[tuple[str, float]]:
    return [(name, 0.5**place) for place, name in enumerate(names, start=1)]


def shown_bars(axes: Any) -> list[tuple[str, float]]:
    """Return (name, length) of the coloured bars, from above; the pale ones behind them are full."""
    lengths = {round(bar.get_y() + bar.get_height() / 2): bar.get_width() for bar in axes.patches[1::2]}
    names = {text.get_position()[1]: text.get_text() for text in axes.texts[::2]}
    return [(names[place], lengths[place]) for place in sorted(names)]


@pytest.mark.parametrize("count", [1, 2, 5, 24])
def test_predictions_are_titled_and_have_bars(count: int) -> None:
    images = [np.full((4 + place, 9, 3), place, np.uint8) for place in range(count)]
    said = [bars("Cockatoo", "Green", f"number {place}") for place in range(count)]

    figure = plots.prediction_sheet(images, said)

    pictures = [axes for axes in figure.axes if axes.images]
    charts = [axes for axes in figure.axes if axes.patches]
    assert len(pictures) == len(charts) == count
    for place, (picture, chart) in enumerate(zip(pictures, charts, strict=True)):
        np.testing.assert_array_equal(picture.images[0].get_array(), images[place])
        assert picture.get_title() == "Cockatoo 50.0%"
        assert shown_bars(chart) == said[place]
        assert [text.get_text() for text in chart.texts[1::2]] == ["50.0%", "25.0%", "12.5%"]
        assert chart.get_ylim()[0] > 2.4  # the first bar is above
        assert chart.get_ylim()[1] < -0.4
    assert figure.get_supxlabel() == ""
    assert not any(axes.axison for axes in figure.axes)


def test_a_note_stands_below_the_predictions() -> None:
    figure = plots.prediction_sheet(list(photos(2)), [bars("a")] * 2, "the first 2 of 3 photos")

    assert figure.get_supxlabel() == "the first 2 of 3 photos"


@pytest.mark.usefixtures("any_font")
@pytest.mark.parametrize(("count", "size"), [(1, (1209, 662)), (3, (1123, 446)), (5, (1497, 892))])
def test_predictions_are_a_picture(count: int, size: tuple[int, int], tmp_path: Path) -> None:
    said = [bars("$a long name that does not end here$", "蕉林莺", "c")] * count
    figure = plots.prediction_sheet(list(photos(count)), said, "note")

    plots.save(figure, tmp_path / "sheet.png")

    assert figure.axes[0].get_title() == "$a long name that does no… 50.0%"
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size == size


def test_rows_of_photos_have_labels_on_their_left(tmp_path: Path) -> None:
    rows = [photos(3), np.full((3, 8, 8, 3), 200, np.uint8)]

    figure = plots.photo_rows(rows, ["as read", "$augmented$"])

    grid = np.array(figure.axes).reshape(2, 3)
    assert [[axes.get_ylabel() for axes in row] for row in grid] == [
        ["as read", "", ""],
        ["$augmented$", "", ""],
    ]
    for axes, image in zip(grid.flat, [*rows[0], *rows[1]], strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), image)
        assert axes.get_xticks().size == axes.get_yticks().size == 0
    plots.save(figure, tmp_path / "rows.png")
    with Image.open(tmp_path / "rows.png") as picture:
        assert picture.size == (705, 446)


def test_a_failed_save_leaves_the_old_picture_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = plots.curves(HISTORY)
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


def test_a_grid_lays_pictures_out_row_by_row_on_white() -> None:
    images = np.stack([np.full((3, 3, 3), value, np.uint8) for value in (10, 20, 30, 40, 50)])

    grid = plots.image_grid(images, columns=2, gap=1)

    assert grid.shape == (3 * 4 + 1, 2 * 4 + 1, 3)
    assert grid.dtype == np.uint8
    assert grid[2::4, 2::4, 0].tolist() == [[10, 20], [30, 40], [50, 255]]
    assert (grid == 255).all(2).sum() == 13 * 9 - 5 * 9


def test_few_pictures_take_one_row() -> None:
    assert plots.image_grid(np.zeros((3, 4, 4, 3), np.uint8), columns=8, gap=2).shape == (8, 20, 3)
