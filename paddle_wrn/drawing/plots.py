"""Numbers -> figures: pure functions that need no display. Pictures of photos are in sheets.py.

Colours are Okabe and Ito's, which colour-blind people can tell apart. matplotlib is imported when something
is drawn, not before: no training shall wait for it.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paddle_wrn.errors import UserError
from paddle_wrn.scoring.metrics import PrecisionRecall
from paddle_wrn.scoring.reliability import Bin
from paddle_wrn.system.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = Sequence[tuple[float, float]]

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"
_COLOURS = (ORANGE, BLUE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "black")  # one a line

_FONT = "DejaVu Sans"  # comes with matplotlib; has the letters of Europe
# Where a Chinese font is likely to come from: Linux distributions, Windows, macOS. The last one is the
# first face of Noto's collection, the only one that older matplotlibs read; some letters look Japanese.
_CJK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Heiti SC", "Arial Unicode MS",
    "Noto Sans CJK JP",
)  # fmt: skip
_FONT_PACKAGE, _FONT_FILE = "zhplot", "NotoSansSC-Regular.ttf"  # of the extra `fonts`


@cache
def cjk_font() -> str | None:
    """Return the name of a font with Chinese letters, of the system or of the extra `fonts`, or None."""
    from matplotlib import font_manager

    package = importlib.util.find_spec(_FONT_PACKAGE)  # not imported: it would change matplotlib's settings
    if package is not None and package.origin is not None:
        file = Path(package.origin).with_name("fonts") / _FONT_FILE
        if file.is_file():
            font_manager.fontManager.addfont(file)
    known = {font.name for font in font_manager.fontManager.ttflist}
    return next((name for name in _CJK_FONTS if name in known), None)


@cache
def _letters() -> frozenset[int]:
    """Return the code points that the fonts of a figure have."""
    from matplotlib import font_manager

    files = [font_manager.findfont(name) for name in (_FONT, cjk_font()) if name is not None]
    return frozenset().union(*(font_manager.get_font(file).get_charmap() for file in files))


def can_draw(text: str) -> bool:
    """Return whether a font has every letter, so that none becomes a box."""
    return text.isascii() or {ord(letter) for letter in text} <= _letters()


def labels_for(classes: Sequence[str], display_names: Sequence[str]) -> list[str]:
    """Return what a figure may call the classes: their display names, where the fonts have every letter.

    Else the class name, and if that cannot be drawn either, the label, as in `class 2`.
    """
    names = zip(classes, display_names, strict=True)
    return [
        next((name for name in (shown, own) if can_draw(name)), f"class {label}")
        for label, (own, shown) in enumerate(names)
    ]


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with warnings.catch_warnings():  # a letter that no font has becomes a box
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        write_atomically(
            path,
            lambda place: figure.savefig(place, dpi=144, format="png", metadata={"Software": None}),
        )


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, inches, in a font that has Chinese letters if there is one."""
    from matplotlib import figure, rcParams

    if cjk_font() is not None:  # matplotlib falls back, letter by letter, to the next font of the list
        rcParams["font.family"] = [_FONT, cjk_font()]
    return figure.Figure(figsize=(width, height), layout="constrained")


def curves(
    loss: Mapping[str, Points], accuracy: Mapping[str, Points], kept_epoch: int | None = None
) -> Figure:
    """Draw loss and accuracy by epoch.

    Args:
        loss: `train` and `val` -> (epoch, cross-entropy in nats).
        accuracy: `train` and `val` -> (epoch, share of right answers).
        kept_epoch: the epoch whose weights were kept; marked with a line.
    """
    figure = new_figure(9.6, 3.6)
    left, right = figure.subplots(1, 2)
    _two_lines(left, loss, "cross-entropy, nats")
    _two_lines(right, accuracy, "accuracy")
    right.set_ylim(0, 1.02)
    for axes in (left, right):
        if kept_epoch is not None:
            axes.axvline(kept_epoch, color=GREY, linewidth=0.8, linestyle=":")
            axes.text(
                kept_epoch, 0.02, " kept ", transform=axes.get_xaxis_transform(), color=GREY, fontsize=8,
                horizontalalignment="right",
            )  # fmt: skip
    return figure


def _two_lines(axes: Axes, lines: Mapping[str, Points], label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    for split, colour, name in (("train", ORANGE, "training (augmented)"), ("val", BLUE, "validation")):
        points = lines.get(split)
        if points:
            marker = "o" if len(points) == 1 else ""
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


def reliability_diagram(
    before: Sequence[Bin],
    after: Sequence[Bin] | None,
    title: str,
    threshold: float = 0.0,
) -> Figure:
    """Draw how often answers of each probability are right, and below it how many answers have it.

    Args:
        before: `scoring.reliability` of the probabilities as the network gives them.
        after: the same with the calibration; None: there is none.
        title: one line above.
        threshold: of the calibration; marked with a line if it lies within 0..1.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(5.0, 5.6)
    shares, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    figure.suptitle(title, fontsize=10, parse_math=False)
    shares.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":", label="as often right as it says")
    series = [(before, ORANGE, "without temperature"), (after, BLUE, "calibrated")]
    for place, (parts, colour, name) in enumerate(series):
        if parts is None:
            continue
        x, y = [part.confidence for part in parts], [part.accuracy for part in parts]
        shares.plot(x, y, "o", color=colour, markersize=6, label=name)
        for part in parts:
            shares.plot([part.confidence] * 2, part.interval_95, color=colour, alpha=0.4)
            width = part.high - part.low
            left = part.low + width * (0.1 + 0.4 * place)
            counts.bar(left, part.count, 0.4 * width, align="edge", color=colour, alpha=0.8)
    if 0 < threshold <= 1:
        shares.axvline(threshold, color=GREY, linewidth=0.8)
        shares.text(threshold, 0.02, "not sure ", color=GREY, fontsize=8, ha="right")
    shares.set_xlim(0, 1.02)
    shares.set_ylim(0, 1.02)
    shares.set_ylabel("share that is right, with 95 % interval")
    shares.legend(frameon=False, fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
    counts.set_xlabel("probability of the answer")
    counts.set_ylabel("answers")
    counts.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    for axes in (shares, counts):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def precision_recall(curves: Sequence[PrecisionRecall | None], names: Sequence[str], title: str) -> Figure:
    """Draw the precision of each class over its recall; the classes with the least area are named.

    Args:
        curves: of `metrics.precision_recall`, one a class.
        names: of the C classes.
        title: one line above.
    """
    figure = new_figure(6.6, 4.4)
    axes = figure.add_subplot()
    found = [(curve, name) for curve, name in zip(curves, names, strict=True) if curve is not None]
    found.sort(key=lambda pair: pair[0].average_precision)
    for place, (curve, name) in enumerate(found):
        named = place < len(_COLOURS)
        axes.plot(
            curve.recall, curve.precision, drawstyle="steps-pre", zorder=-place,
            color=_COLOURS[place] if named else GREY, alpha=1 if named else 0.2,
        )  # fmt: skip
        if named:  # a label that begins with "_" would be left out of matplotlib's own legend
            axes.text(1.06, 0.98 - 0.08 * place, f"{name} {curve.average_precision:.2f}", va="top",
                      color=_COLOURS[place], fontsize=9, parse_math=False)  # fmt: skip
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.set_xlabel("share of the class that is found (recall)")
    axes.set_ylabel("share of the finds that is right (precision)")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.03)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


@dataclass(frozen=True)
class ComparedRow:
    """One row of the picture of a comparison.

    Attributes:
        name: stands at the left.
        note: stands at the right.
        accuracies: one a seed, 0..1; none yet: the row stays empty.
        interval: of their mean, if there are any.
    """

    name: str
    note: str
    accuracies: Sequence[float]
    interval: tuple[float, float] | None


def comparison(rows: Sequence[ComparedRow], photos: int) -> Figure:
    """Draw the test accuracies of several configurations with their intervals, the first one on top.

    Args:
        rows: one a configuration.
        photos: how many test photos there are.
    """
    figure = new_figure(9.6, 1.3 + 0.55 * len(rows))
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        shares = 100 * np.asarray(row.accuracies, float)
        if row.interval is not None:
            low, high = (100 * bound for bound in row.interval)
            axes.plot([low, high], [place, place], color=BLUE, linewidth=2, solid_capstyle="butt")
            if len(shares) > 1:
                axes.plot(shares, [place + 0.22] * len(shares), "o", color=GREY, markersize=3, alpha=0.7)
            axes.plot(shares.mean(), place, "o", color=BLUE, markersize=8)
            axes.annotate(
                f"{shares.mean():.1f} %", (shares.mean(), place), (0, 7), textcoords="offset points",
                ha="center", fontsize=9,
            )  # fmt: skip
        axes.text(
            1.02, place, row.note, transform=axes.get_yaxis_transform(), va="center", color=GREY, fontsize=9
        )
    axes.set_yticks(range(len(rows)), [row.name for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.6)
    several = any(len(row.accuracies) > 1 for row in rows)
    dots = "mean, 95 % interval and single seeds" if several else "with 95 % interval"
    axes.set_xlabel(f"accuracy on {photos:,} test photos, % ({dots})")
    axes.grid(axis="x", alpha=0.25)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure
