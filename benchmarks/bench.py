"""Measure paddle_wrn against its yardsticks on this machine, and write a table.

    python benchmarks/bench.py [--rows NAME ...] [--repeats 5] [--photos FOLDER] [--output benchmarks/results]

`make bench` runs it in an environment that has the peers too. Each row measures both sides in the same run:
separate processes on the same cores, in turn, warmed up, float32. What needs a library that is not installed
is left out with a word. Written after every row: bench-<time>.json and bench-<time>.md.
"""

import argparse
import json
import os
import shlex
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `benchmarks` itself, when run as a file

from benchmarks.processes import ROOT, LeftOut, ProcessFailed, pin
from benchmarks.results import Row, Table, machine, machine_line, rows_markdown, versions
from benchmarks.rows import ROWS, TUTORIAL_EPOCHS, Bench
from benchmarks.sweeps import SWEEPS

DEFAULT_OUTPUT = Path("benchmarks/results")


def run(bench: Bench, names: list[str], file: Path, about: dict[str, Any]) -> bool:
    """Measure the rows and sweeps of these names; write what there is after each.

    Args:
        bench: how to measure.
        names: of rows and sweeps.
        file: where to write, without its ending.
        about: machine, versions and command.

    Returns:
        Whether all went well; what was left out for want of a library counts as well.
    """
    rows: list[Row] = []
    tables: list[Table] = []
    missing: dict[str, str] = {}
    well = True
    for name in names:
        print(f"{name}: {(ROWS | SWEEPS)[name].__doc__}", file=sys.stderr, flush=True)
        try:
            if name in ROWS:
                rows += ROWS[name](bench)
            else:
                tables.append(SWEEPS[name](bench))
        except LeftOut as reason:
            missing[name] = f"left out: {reason}"
        except ProcessFailed as failure:
            missing[name] = f"failed: {failure}"
            well = False
        record = {
            **about,
            "rows": [row.record() for row in rows],
            "tables": [vars(table) for table in tables],
            "missing": missing,
        }
        file.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        file.with_suffix(".md").write_text(markdown(about, rows, tables, missing), encoding="utf-8")
    return well


def markdown(about: dict[str, Any], rows: list[Row], tables: list[Table], missing: dict[str, str]) -> str:
    """Return the report."""
    parts = [f"`{about['command']}`", machine_line(about["machine"], about["versions"])]
    if rows:
        parts.append(rows_markdown(rows))
    parts += [table.markdown() for table in tables]
    parts += [f"`{name}`: {reason}" for name, reason in missing.items()]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", nargs="+", choices=[*ROWS, *SWEEPS], default=list(ROWS), metavar="NAME",
        help=f"which ({', '.join(ROWS)}; only when asked for: {', '.join(SWEEPS)})",
    )  # fmt: skip
    parser.add_argument("--repeats", type=_positive, default=5, help="of every figure (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="that a process times (%(default)s)")
    parser.add_argument("--photos", type=Path, help="folder with a folder per class (default: drawn birds)")
    parser.add_argument("--seeds", type=int, nargs="+", help="of whole trainings (default: 0 to repeats - 1)")
    parser.add_argument(
        "--epochs", type=_positive, default=TUTORIAL_EPOCHS,
        help="of whole trainings; fewer than %(default)s for a quick look",
    )  # fmt: skip
    parser.add_argument("--cores", type=_positive, default=2, help="to use (%(default)s)")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="folder (%(default)s)")
    given = parser.parse_args()
    if given.photos is not None and not given.photos.is_dir():
        parser.error(f"{given.photos}: no such folder")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    cores = pin(given.cores)
    drawn = given.output.resolve() / "drawn"
    drawn.mkdir(parents=True, exist_ok=True)
    (drawn / ".gitignore").write_text("*\n", encoding="utf-8")
    bench = Bench(
        repeats=given.repeats,
        seconds=given.seconds,
        epochs=given.epochs,
        seeds=tuple(given.seeds or range(given.repeats)),
        photos=given.photos and given.photos.resolve(),
        drawn=drawn,
        cores=len(cores),
    )
    now = datetime.now(timezone.utc)
    about = {
        "command": shlex.join(["python", "benchmarks/bench.py", *sys.argv[1:]]),
        "time": now.isoformat(timespec="seconds"),
        "machine": machine(cores, load),
        "versions": versions(ROOT),
    }
    file = given.output / f"bench-{now:%Y%m%d-%H%M%S}"
    well = run(bench, given.rows, file, about)
    print(file.with_suffix(".md").read_text(encoding="utf-8"))
    return 0 if well else 1


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
