"""From figures to a verdict and a table: pure functions, nothing is measured here."""

import math
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

PACKAGES = ("paddlepaddle", "paddlepaddle-gpu", "torch", "onnxruntime", "paddle2onnx", "numpy", "pillow")
ENOUGH_REPEATS = 5


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: of the row, and of the option that asks for it.
        what: what is measured.
        unit: of the figures.
        ours: one figure a repeat.
        peer: the other side's, in the same order; empty where ours is held to `must` itself.
        peer_name: who that is.
        must: what the ratio of the medians, ours / peer (or our median), is held to.
        at_most: `must` is an upper bound.
        note: what else a reader should know.
    """

    name: str
    what: str
    unit: str
    ours: tuple[float, ...]
    must: float
    peer: tuple[float, ...] = ()
    peer_name: str = ""
    at_most: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Median of ours / median of the peer's."""
        return median(self.ours) / median(self.peer) if self.peer else None

    @property
    def ratios(self) -> tuple[float, ...]:
        """The same for each repeat."""
        return tuple(a / b for a, b in zip(self.ours, self.peer, strict=True)) if self.peer else ()

    @property
    def met(self) -> bool:
        """Whether `must` is kept."""
        judged = median(self.ours) if self.ratio is None else self.ratio
        return judged <= self.must if self.at_most else judged >= self.must

    def record(self) -> dict[str, Any]:
        """Return the row for a JSON file, where a figure that is not finite is null."""
        derived = {"n": len(self.ours), "ratio": self.ratio, "ratios": self.ratios, "met": self.met}
        derived |= {"ours_median": median(self.ours), "peer_median": median(self.peer) if self.peer else None}
        return {name: _finite(value) for name, value in (asdict(self) | derived).items()}


@dataclass(frozen=True)
class Table:
    """Figures without a verdict."""

    name: str
    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[object, ...], ...]

    def markdown(self) -> str:
        """Return it as Markdown."""
        cells = [[f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in line]
                 for line in self.lines]  # fmt: skip
        return f"**{self.title}**\n\n{_markdown(self.columns, cells)}"


def rows_markdown(rows: Sequence[Row]) -> str:
    """Return the Markdown table of the rows, their notes below."""
    columns = ("row", "what", "unit", "ours", "peer", "peer's", "n", "ours / peer", "must", "met")
    lines = []
    for row in rows:
        ratio = "" if row.ratio is None else _spread(row.ratio, row.ratios)
        lines.append([
            row.name, row.what, row.unit, _spread(median(row.ours), row.ours), row.peer_name or "none",
            _spread(median(row.peer), row.peer) if row.peer else "", str(len(row.ours)), ratio,
            f"{'at most' if row.at_most else 'at least'} {row.must:g}", "yes" if row.met else "**no**",
        ])  # fmt: skip
    text = _markdown(columns, lines)
    text += "\n\nMedians (least to greatest); the ratio is that of the medians."
    if any(len(row.ours) < ENOUGH_REPEATS for row in rows):
        text += f" Rows with n below {ENOUGH_REPEATS} are a quick look, not a result."
    return text + "".join(f"\n\n`{row.name}`: {row.note}" for row in rows if row.note)


def machine(cores: Sequence[int], load: float, cpu_info: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Describe the machine: processor, the cores that were used, operating system, load before."""
    model = platform.processor() or platform.machine()
    if cpu_info.is_file():
        lines = cpu_info.read_text(errors="replace").splitlines()
        model = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model
        )
    return {"cpu": model, "cores": len(cores), "os": platform.platform(), "load_before": round(load, 2)}


def versions(root: Path) -> dict[str, str]:
    """Return what is installed, and the commit of the checkout."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    words = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        commit = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError:
        return found
    if commit.returncode == 0:
        found["paddle_wrn"] = commit.stdout.strip()
    return found


def machine_line(machine: Mapping[str, Any], versions: Mapping[str, str]) -> str:
    """Say in one line where the figures come from."""
    names = ", ".join(f"{name} {number}" for name, number in versions.items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores used, {machine['os']}, load before "
        f"{machine['load_before']}; {names}"
    )


def _spread(middle: float, values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{middle:.3g}"
    return f"{middle:.3g} ({min(values):.3g} to {max(values):.3g})"


def _markdown(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _finite(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
