"""Tests of the pictures of photos: what they show, not only that they are there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from paddle_wrn.drawing import plots, sheets

pytestmark = pytest.mark.usefixtures("font_settings")


def photos(count: int) -> sheets.Images:
    return np.stack([np.full((5, 5, 3), value, np.uint8) for value in range(count)])


def test_a_sheet_shows_each_photo_with_its_caption() -> None:
    captions = ["Green 99%\nis Blue Disc", "Green 41%\n", "Blue Disc 52%\n"]

    figure = sheets.photo_sheet(photos(3), captions, [True, False, False], columns=2)

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
    figure = sheets.photo_sheet(photos(count), ["a\n"] * count, [False] * count)

    assert len([axes for axes in figure.axes if axes.images]) == count
    assert len(sheets.photo_sheet(photos(count), ["a"] * count, [True] * count, columns=1).axes) == count
    assert tuple(figure.get_size_inches()) == pytest.approx((9.6, 2.05 * rows))
    higher = sheets.photo_sheet(photos(count), ["a\nb\nc"] * count, [False] * count)
    assert tuple(higher.get_size_inches()) == pytest.approx((9.6, 2.2 * rows))


@pytest.mark.parametrize("count", [1, 7])
def test_a_sheet_is_a_picture(count: int, tmp_path: Path) -> None:
    figure = sheets.photo_sheet(photos(count) + 100, ["蕉林莺 50%\nis Cockatoo"] * count, [True] * count)

    plots.save(figure, tmp_path / "photos.png")

    with Image.open(tmp_path / "photos.png") as picture:
        assert picture.width == 1382  # 9.6 inches at 144 dpi
        drawn = np.asarray(picture.convert("RGB"))
    grey = (drawn == drawn[..., :1]).all(2) & (drawn[..., 0] >= 100) & (drawn[..., 0] < 107)
    assert grey.mean() > 0.4 * count / (6 * -(-count // 6))


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

    figure = sheets.prediction_sheet(images, said)

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


def test_predictions_say_what_is_not_sure() -> None:
    figure = sheets.prediction_sheet(list(photos(2)), [bars("a"), bars("b")], "", [True, False])

    sure, unsure = (axes for axes in figure.axes if axes.images)
    assert sure.get_title() == "a 50.0%"
    assert unsure.get_title() == "not sure, perhaps\nb 50.0%"
    assert to_hex(unsure.title.get_color()) == plots.GREY


def test_a_note_stands_below_the_predictions() -> None:
    figure = sheets.prediction_sheet(list(photos(2)), [bars("a")] * 2, "the first 2 of 3 photos")

    assert figure.get_supxlabel() == "the first 2 of 3 photos"


@pytest.mark.usefixtures("any_font")
@pytest.mark.parametrize(("count", "size"), [(1, (1209, 662)), (3, (1123, 446)), (5, (1497, 892))])
def test_predictions_are_a_picture(count: int, size: tuple[int, int], tmp_path: Path) -> None:
    said = [bars("$a long name that does not end here$", "蕉林莺", "c")] * count
    figure = sheets.prediction_sheet(list(photos(count)), said, "note")

    plots.save(figure, tmp_path / "sheet.png")

    assert figure.axes[0].get_title() == "$a long name that does no… 50.0%"
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size == size


def test_rows_of_photos_have_labels_on_their_left(tmp_path: Path) -> None:
    rows = [photos(3), np.full((3, 8, 8, 3), 200, np.uint8)]

    figure = sheets.photo_rows(rows, ["as read", "$augmented$"])

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


def test_a_grid_lays_pictures_out_row_by_row_on_white() -> None:
    images = np.stack([np.full((3, 3, 3), value, np.uint8) for value in (10, 20, 30, 40, 50)])

    grid = sheets.image_grid(images, columns=2, gap=1)

    assert grid.shape == (3 * 4 + 1, 2 * 4 + 1, 3)
    assert grid.dtype == np.uint8
    assert grid[2::4, 2::4, 0].tolist() == [[10, 20], [30, 40], [50, 255]]
    assert (grid == 255).all(2).sum() == 13 * 9 - 5 * 9


def test_few_pictures_take_one_row() -> None:
    assert sheets.image_grid(np.zeros((3, 4, 4, 3), np.uint8), columns=8, gap=2).shape == (8, 20, 3)


def strips(count: int, photos_each: int = 5, name: str = "owl") -> list[tuple[str, str, sheets.Images]]:
    images = np.full((photos_each, 8, 8, 3), 90, np.uint8)
    return [(f"{name} {place}", "7 train · 2 val · 1 test", images) for place in range(count)]


@pytest.mark.parametrize(
    ("count", "columns", "inches"),
    [(1, 1, 9.6), (2, 1, 9.6), (5, 2, 9.6), (16, 2, 9.6), (17, 3, 14.4), (40, 3, 14.4)],
)
def test_classes_stand_in_columns_and_nothing_overlaps(count: int, columns: int, inches: float) -> None:
    figure = sheets.class_sheet(strips(count), "10 photos")

    (axes,) = figure.axes
    assert figure.get_size_inches()[0] == inches
    left, right, bottom, top = np.array([image.get_extent() for image in axes.images]).T
    assert (axes.texts[0].get_text(), len(axes.texts), len(axes.images)) == (
        "10 photos",
        1 + 2 * count,
        count,
    )
    assert len(set(left)) == columns
    np.testing.assert_allclose((right - left) / (bottom - top), (5 * 9 - 1) / 8)  # photos stay square
    assert right.max() < inches
    assert bottom.max() < figure.get_size_inches()[1]
    assert (top[columns:] > bottom[:-columns]).all()
    for place, (name, note) in enumerate(zip(axes.texts[1::2], axes.texts[2::2], strict=True)):
        assert name.get_text() == f"owl {place}"
        assert name.get_position() == (left[place], pytest.approx(top[place] - 0.1))
        assert note.get_position()[0] == right[place]


def test_a_class_with_few_photos_leaves_room_empty() -> None:
    rows = [*strips(1), *strips(1, photos_each=2)]
    full, short = (image.get_array() for image in sheets.class_sheet(rows, "").axes[0].images)

    assert full.shape == short.shape
    assert [(grid[0] == 90).all(1).sum() for grid in (full, short)] == [40, 16]
    assert (short[0, -24:] == 255).all()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a" * 28, "a" * 28),
        ("a" * 29, "a" * 27 + "…"),
        ("鹭" * 14, "鹭" * 14),
        ("鹭" * 15, "鹭" * 13 + "…"),
    ],
)
def test_long_names_are_cut_by_the_room_they_take(name: str, shown: str) -> None:
    rows = [(name, "", np.zeros((1, 4, 4, 3), np.uint8))] * 5
    assert sheets.class_sheet(rows, "").axes[0].texts[1].get_text() == shown


@pytest.mark.usefixtures("any_font")
def test_the_names_of_a_class_sheet_do_not_touch_the_counts(tmp_path: Path) -> None:
    rows = strips(17, name="Rothschild's starling (Bali myna)")
    figure = sheets.class_sheet(rows, "$_$")
    plots.save(figure, tmp_path / "sheet.png")

    _, *texts = figure.axes[0].texts
    for name, note in zip(texts[::2], texts[1::2], strict=True):
        assert name.get_window_extent().x1 < note.get_window_extent().x0
