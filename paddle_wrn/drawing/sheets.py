"""Photos -> figures: pure functions that lay photos out beside what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.drawing.plots import BLUE, GREY, ORANGE, new_figure
from paddle_wrn.system.console import text_width
from paddle_wrn.system.wording import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Images = NDArray[np.uint8]


def photo_sheet(images: Images, captions: Sequence[str], wrong: Sequence[bool], columns: int = 6) -> Figure:
    """Draw photos with a caption each; captions of wrong answers are orange.

    Args:
        images: (N, S, S, 3) uint8.
        captions: N texts of one to three lines.
        wrong: N flags.
        columns: photos in a row.
    """
    rows = -(-len(images) // columns)
    lines = max([2, *(caption.count("\n") + 1 for caption in captions)])
    figure = new_figure(1.6 * columns, (1.75 + 0.15 * lines) * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, image, caption, error in zip(grid.flat, images, captions, wrong, strict=False):
        axes.imshow(image, interpolation="lanczos")
        axes.set_title(caption, fontsize=8, color=ORANGE if error else "black", parse_math=False)
    return figure


def prediction_sheet(
    images: Sequence[Images],
    bars: Sequence[Sequence[tuple[str, float]]],
    note: str = "",
    sure: Sequence[bool] = (),
) -> Figure:
    """Draw photos, what the network says of each as its title, and the probabilities of classes as bars.

    Args:
        images: N pictures (H, W, 3) uint8 of any size.
        bars: N lists of (name, probability), the most probable first; about the same number in each.
        note: one line below all.
        sure: N flags; where one is false, the title says "not sure"; by default, all are true.
    """
    lines = max(map(len, bars))
    if len(images) == 1:  # bars beside the photo
        lines = max(lines, 9)  # few bars shall not be fat
        figure = new_figure(8.4, 4.6)
        photo, chart = figure.subplots(1, 2, width_ratios=(3, 2))
        cells = [(photo, chart)]
    else:
        columns = min(len(images), 6 if len(images) > 12 else 4)
        rows = -(-len(images) // columns)
        figure = new_figure(2.6 * columns, (2.5 + 0.2 * lines) * rows)
        grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=(2.3, 0.2 * lines) * rows)
        cells = [(grid[row, column], grid[row + 1, column])
                 for row in range(0, 2 * rows, 2) for column in range(columns)]  # fmt: skip
    figure.set_layout_engine("constrained", h_pad=0.08)
    for photo, chart in cells:
        photo.axis("off")
        photo.set_anchor("S")
        chart.axis("off")
    flags = sure or [True] * len(images)
    for (photo, chart), image, shown, is_sure in zip(cells, images, bars, flags, strict=False):
        photo.imshow(image, interpolation="lanczos")
        name, probability = shown[0]
        title = f"{_shortened(name)} {percent(probability)}"
        if not is_sure:
            title = f"not sure, perhaps\n{title}"
        photo.set_title(title, fontsize=9, color="black" if is_sure else GREY, parse_math=False)
        _bars(chart, shown, lines)
    if note:
        figure.supxlabel(note, fontsize=10, color=GREY)
    return figure


def _bars(axes: Axes, shown: Sequence[tuple[str, float]], lines: int) -> None:
    """Draw bars with the names on them, since long names beside them would leave no room."""
    for place, (name, probability) in enumerate(shown):
        colour = BLUE if place == 0 else GREY
        axes.barh(place, 1, height=0.8, color=GREY, alpha=0.08)
        axes.barh(place, probability, height=0.8, color=colour, alpha=0.4)
        axes.text(0.02, place, _shortened(name), fontsize=8, va="center", parse_math=False)
        axes.text(0.98, place, percent(probability), fontsize=8, va="center", ha="right")
    axes.set_xlim(0, 1)
    spare = (lines - len(shown)) / 2
    axes.set_ylim(len(shown) - 0.5 + spare, -0.5 - spare)


def _shortened(name: str, width: int = 26) -> str:
    if text_width(name) <= width:
        return name
    while text_width(name) >= width:
        name = name[:-1]
    return f"{name}…"


def photo_rows(rows: Sequence[Images], labels: Sequence[str]) -> Figure:
    """Draw rows of pictures, each with a label on its left.

    Args:
        rows: for each row (N, S, S, 3) uint8; S may differ from row to row.
        labels: one per row.
    """
    columns = len(rows[0])
    figure = new_figure(1.5 * columns + 0.4, 1.55 * len(rows))
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for row, images, label in zip(grid, rows, labels, strict=True):
        row[0].set_ylabel(label, fontsize=9, parse_math=False)
        for axes, image in zip(row, images, strict=True):
            axes.imshow(image, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
    return figure


def class_sheet(classes: Sequence[tuple[str, str, Images]], title: str) -> Figure:
    """Draw a strip of photos of each class below its name; many classes stand in two or three columns.

    Args:
        classes: for each class its name, a note for the other end of that line, and photos (N, S, S, 3)
            uint8; only N may differ from class to class.
        title: one line above all.
    """
    columns = 1 if len(classes) <= 4 else 2 if len(classes) <= 16 else 3
    rows = -(-len(classes) // columns)
    width, margin, head, words = (14.4 if columns == 3 else 9.6), 0.2, 0.5, 0.3  # inches
    strip = (width - margin) / columns - margin
    most = max(len(images) for _, _, images in classes)
    side = classes[0][2].shape[1]
    gap = max(1, side // 40)
    block = words + strip * side / (most * (side + gap) - gap) + margin
    figure = new_figure(width, head + rows * block)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))  # its unit is an inch, downwards
    axes.axis("off")
    axes.text(margin, head / 2, title, fontsize=11, va="center", parse_math=False)
    for place, (name, note, images) in enumerate(classes):
        left = margin + place % columns * (strip + margin)
        top = head + place // columns * block
        base, right = top + words - 0.1, left + strip
        shown = _shortened(name, 60 if columns == 1 else 28)
        axes.text(left, base, shown, fontsize=10, parse_math=False)
        axes.text(right, base, note, fontsize=8, color=GREY, ha="right", parse_math=False)
        cells = np.full((most, side, side, 3), 255, np.uint8)
        cells[: len(images)] = images
        grid = image_grid(cells, most, gap)[gap:-gap, gap:-gap]
        extent = (left, right, top + block - margin, top + words)
        axes.imshow(grid, extent=extent, interpolation="antialiased")
    axes.set_xlim(0, width)
    axes.set_ylim(head + rows * block, 0)
    axes.set_aspect("auto")
    return figure


def explanation(photo: Images, overlaid: Images, title: str) -> Figure:
    """Draw a photo, the same with the map of `explain.grad_cam` laid on it, and what the colours mean.

    Args:
        photo: (H, W, 3) uint8.
        overlaid: the same shape, as `explain.overlay` makes it.
        title: one line above both.
    """
    from matplotlib.cm import ScalarMappable

    height, width = np.array(photo.shape[:2]) * 4 / max(photo.shape[:2])  # inches
    figure = new_figure(max(2 * width + 0.3, 4.8), height + 1)
    both = figure.subplots(1, 2)
    for axes, image in zip(both, (photo, overlaid), strict=True):
        axes.imshow(image, interpolation="lanczos")
        axes.axis("off")
    figure.suptitle(_shortened(title, 60), fontsize=10, parse_math=False)
    bar = figure.colorbar(
        ScalarMappable(cmap="viridis"), ax=both, location="bottom", fraction=0.1, shrink=0.3, aspect=24
    )
    bar.set_ticks([0, 1], labels=["no evidence", "most"], fontsize=8)
    bar.outline.set_visible(False)
    return figure


def image_grid(images: Images, columns: int = 8, gap: int = 2) -> Images:
    """Lay pictures out on white. Shape: (N, S, S, 3) uint8 -> (H, W, 3) uint8."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    size = images.shape[1] + gap
    grid = np.full((rows * size + gap, columns * size + gap, 3), 255, np.uint8)
    for index, image in enumerate(images):
        top, left = gap + index // columns * size, gap + index % columns * size
        grid[top : top + size - gap, left : left + size - gap] = image
    return grid
