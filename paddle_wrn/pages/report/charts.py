"""Points -> what an SVG chart is made of; its words are put in by the template, in the reader's fonts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

Points = Sequence[tuple[float, float]]
Range = tuple[float, float]

WIDTH, HEIGHT = 420, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 20, 10, 42  # margins
_MOST_POINTS = 300  # in a line; more cannot be seen


@dataclass(frozen=True)
class Tick:
    """A place on an axis, and the number that stands there."""

    place: float
    text: str


@dataclass(frozen=True)
class Dot:
    """A dot, with the numbers that show when one points at it."""

    x: float
    y: float
    radius: float
    values: tuple[float, float, int]


@dataclass(frozen=True)
class Chart:
    """An SVG of WIDTH x HEIGHT.

    Attributes:
        x_ticks, y_ticks: of the axes.
        lines: name -> `points` of a polyline.
        dots: name -> dots.
        box: left, top, right, bottom of what lies within the axes.
        mark: x of a vertical line, if there is one.
    """

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: Mapping[str, str]
    dots: Mapping[str, tuple[Dot, ...]]
    box: tuple[float, float, float, float] = (_LEFT, _TOP, WIDTH - _RIGHT, HEIGHT - _BOTTOM)
    mark: float | None = None


def chart(
    lines: Mapping[str, Points],
    x_range: Range,
    y_range: Range,
    *,
    counted: Mapping[str, Sequence[tuple[float, float, int]]] | None = None,
    mark: float | None = None,
    x_percent: bool = False,
    y_percent: bool = False,
) -> Chart:
    """Lay out a chart.

    Args:
        lines: name -> (x, y), left to right.
        x_range: what the x axis covers.
        y_range: what the y axis covers.
        counted: name -> (x, y, count): dots, the larger the greater the count.
        mark: x of a vertical line.
        x_percent: whether x is a share.
        y_percent: whether y is a share.
    """
    counted = counted or {}
    most = max((count for dots in counted.values() for _, _, count in dots), default=1)

    def x_of(x: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * _share(x, x_range), 1)

    def y_of(y: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * _share(y, y_range), 1)

    return Chart(
        tuple(Tick(x_of(x), _text(x, x_percent)) for x in _ticks(x_range, not x_percent)),
        tuple(Tick(y_of(y), _text(y, y_percent)) for y in _ticks(y_range, False)),
        {
            name: " ".join(f"{x_of(x)},{y_of(y)}" for x, y in _thinned(points))
            for name, points in lines.items()
        },
        {
            name: tuple(
                Dot(x_of(x), y_of(y), round(2.5 + 6 * (count / most) ** 0.5, 1), (x, y, count))
                for x, y, count in dots
            )
            for name, dots in counted.items()
        },
        mark=None if mark is None else x_of(mark),
    )


def _share(value: float, whole: Range) -> float:
    return float(np.clip((value - whole[0]) / (whole[1] - whole[0]), 0, 1))


def _ticks(whole: Range, integer: bool) -> list[float]:
    places = MaxNLocator(5, integer=integer, steps=[1, 2, 5, 10]).tick_values(*whole)
    return [float(place) for place in places if whole[0] - 1e-9 <= place <= whole[1] + 1e-9]


def _text(value: float, percent: bool) -> str:
    return f"{100 * value:.0f}%" if percent else f"{value:g}"


def _thinned(points: Points) -> Points:
    if len(points) <= _MOST_POINTS:
        return points
    return [points[i] for i in np.linspace(0, len(points) - 1, _MOST_POINTS).round().astype(int)]
