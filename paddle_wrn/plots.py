"""Numbers -> figures: pure functions that need no display.

Colours are Okabe and Ito's, which colour-blind people can tell apart.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager, rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from paddle_wrn.errors import UserError
from paddle_wrn.files import write_atomically

Images = NDArray[np.uint8]

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"

# Where a Chinese font is likely to come from: Linux distributions, Windows, macOS.
_CJK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Heiti SC", "Arial Unicode MS",
)  # fmt: skip


@cache
def cjk_font() -> str | None:
    """Return the name of an installed font with Chinese letters, or None."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return next((name for name in _CJK_FONTS if name in installed), None)


def labels_for(classes: Sequence[str], display_names: Sequence[str]) -> list[str]:
    """Return what a figure may call the classes: display names if a font can draw them, else class names.

    A class name that cannot be drawn either becomes its label, as in `class 2`.
    """
    if cjk_font() is not None or all(name.isascii() for name in display_names):
        return list(display_names)
    return [name if name.isascii() else f"class {label}" for label, name in enumerate(classes)]


def make_place(path: Path | str) -> Path:
    """Make the folder of a picture that is to be saved, before the work it takes is done.

    Raises:
        UserError: the name does not end in .png, or nothing can be written there.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise UserError(f"{path}: pictures are PNG files; give a name that ends in .png")
    if path.is_dir():
        raise UserError(f"{path}: this is a folder; give the name of a PNG file")
    if path.parent.is_file():
        raise UserError(f"{path.parent}: this is a file where a folder is needed; choose another place")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UserError(f"{path.parent}: no permission to write into this folder; choose another one")
    return path


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically."""
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():  # a letter that no font has becomes a box
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        write_atomically(
            path,
            lambda place: figure.savefig(place, dpi=144, format="png", metadata={"Software": None}),
        )


def curves(history: Sequence[Mapping[str, Any]], kept_epoch: int | None = None) -> Figure:
    """Draw loss, accuracy and learning rate by epoch.

    Args:
        history: the epochs of a run, as in `history.jsonl`.
        kept_epoch: the epoch whose weights were kept; marked with a line.
    """
    figure = new_figure(9.6, 3.6)
    loss, accuracy = figure.subplots(1, 2)
    _two_lines(loss, history, "loss", "cross-entropy, nats")
    _two_lines(accuracy, history, "acc", "accuracy")
    accuracy.set_ylim(0, 1.02)
    for axes in (loss, accuracy):
        if kept_epoch is not None:
            axes.axvline(kept_epoch, color=GREY, linewidth=0.8, linestyle=":")
            axes.text(
                kept_epoch, 0.02, " kept ", transform=axes.get_xaxis_transform(), color=GREY, fontsize=8,
                horizontalalignment="right",
            )  # fmt: skip
    return figure


def _two_lines(axes: Axes, history: Sequence[Mapping[str, Any]], what: str, label: str) -> None:
    for split, colour in (("train", ORANGE), ("val", BLUE)):
        points = [(e["epoch"], e[f"{split}_{what}"]) for e in history if e.get(f"{split}_{what}") is not None]
        if points:
            marker = "o" if len(points) == 1 else ""
            name = "training (augmented)" if split == "train" else "validation"
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, label=name)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(label)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def confusion(matrix: Sequence[Sequence[int]], names: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix: rows are the truth, columns what the network said.

    Args:
        matrix: (C, C) counts.
        names: C names for the axes.
        title: one line above.
    """
    counts = np.asarray(matrix)
    side = 2.6 + 0.45 * min(len(names), 40)
    figure = new_figure(side, side)
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    positions = range(len(names))
    axes.set_xticks(positions, names, rotation=40, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(positions, names, parse_math=False)
    if len(names) <= 25:
        for row, column in np.argwhere(counts):
            colour = "white" if shares[row, column] > 0.55 else "black"
            axes.text(
                column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=9
            )
    return figure


def photo_sheet(images: Images, captions: Sequence[str], wrong: Sequence[bool], columns: int = 6) -> Figure:
    """Draw photos with a caption each; captions of wrong answers are orange.

    Args:
        images: (N, S, S, 3) uint8.
        captions: N texts of one or two lines.
        wrong: N flags.
        columns: photos in a row.
    """
    rows = -(-len(images) // columns)
    figure = new_figure(1.6 * columns, 2.05 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, image, caption, error in zip(grid.flat, images, captions, wrong, strict=False):
        axes.imshow(image, interpolation="lanczos")
        axes.set_title(caption, fontsize=8, color=ORANGE if error else "black", parse_math=False)
    return figure


def prediction_sheet(
    images: Sequence[Images], bars: Sequence[Sequence[tuple[str, float]]], note: str = ""
) -> Figure:
    """Draw photos, what the network says of each as its title, and the probabilities of classes as bars.

    Args:
        images: N pictures (H, W, 3) uint8 of any size.
        bars: N lists of (name, probability), the most probable first; about the same number in each.
        note: one line below all.
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
    for (photo, chart), image, shown in zip(cells, images, bars, strict=False):
        photo.imshow(image, interpolation="lanczos")
        name, probability = shown[0]
        photo.set_title(f"{_shortened(name)} {probability:.1%}", fontsize=9, parse_math=False)
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
        axes.text(0.98, place, f"{probability:.1%}", fontsize=8, va="center", ha="right")
    axes.set_xlim(0, 1)
    spare = (lines - len(shown)) / 2
    axes.set_ylim(len(shown) - 0.5 + spare, -0.5 - spare)


def _shortened(name: str) -> str:
    return name if len(name) <= 26 else f"{name[:25]}…"


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


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, inches, in a font that has Chinese letters if there is one."""
    if cjk_font() is not None:  # matplotlib falls back, letter by letter, to the next font of the list
        rcParams["font.family"] = ["DejaVu Sans", cjk_font()]
    return Figure(figsize=(width, height), layout="constrained")


def comparison(rows: Sequence[Mapping[str, Any]], photos: int) -> Figure:
    """Draw the test accuracies of several configurations with their intervals, the first one on top.

    Args:
        rows: one a configuration: `name`, `note` (written at the right), `accuracies` (one a seed, shares;
            none yet: the row stays empty) and `interval`.
        photos: how many test photos there are.
    """
    figure = new_figure(9.6, 1.3 + 0.55 * len(rows))
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        shares = 100 * np.asarray(row["accuracies"], float)
        note = row["note"]
        if len(shares):
            low, high = (100 * bound for bound in row["interval"])
            axes.plot([low, high], [place, place], color=BLUE, linewidth=2, solid_capstyle="butt")
            if len(shares) > 1:
                axes.plot(shares, [place + 0.22] * len(shares), "o", color=GREY, markersize=3, alpha=0.7)
            axes.plot(shares.mean(), place, "o", color=BLUE, markersize=8)
            axes.annotate(
                f"{shares.mean():.1f} %", (shares.mean(), place), (0, 7), textcoords="offset points",
                ha="center", fontsize=9,
            )  # fmt: skip
        axes.text(
            1.02, place, note, transform=axes.get_yaxis_transform(), va="center", color=GREY, fontsize=9
        )
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.6)
    several = any(len(row["accuracies"]) > 1 for row in rows)
    dots = "mean, 95 % interval and single seeds" if several else "with 95 % interval"
    axes.set_xlabel(f"accuracy on {photos:,} test photos, % ({dots})")
    axes.grid(axis="x", alpha=0.25)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure
