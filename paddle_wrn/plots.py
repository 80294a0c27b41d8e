"""Numbers -> figures: pure functions that need no display.

Colours are Okabe and Ito's, which colour-blind people can tell apart.
"""

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


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():  # a letter that no font has becomes a box
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(path, dpi=144, format="png", metadata={"Software": None})


def curves(history: Sequence[Mapping[str, Any]], kept_epoch: int | None = None) -> Figure:
    """Draw loss, accuracy and learning rate by epoch.

    Args:
        history: the epochs of a run, as in `history.jsonl`.
        kept_epoch: the epoch whose weights were kept; marked with a line.
    """
    figure = _figure(9.6, 3.6)
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
    figure = _figure(side, side)
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
    figure = _figure(1.6 * columns, 2.05 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, image, caption, error in zip(grid.flat, images, captions, wrong, strict=False):
        axes.imshow(image, interpolation="lanczos")
        axes.set_title(caption, fontsize=8, color=ORANGE if error else "black", parse_math=False)
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


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure, inches, in a font that has Chinese letters if there is one."""
    if cjk_font() is not None:  # matplotlib falls back, letter by letter, to the next font of the list
        rcParams["font.family"] = ["DejaVu Sans", cjk_font()]
    return Figure(figsize=(width, height), layout="constrained")
