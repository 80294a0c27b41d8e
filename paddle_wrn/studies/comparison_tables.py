"""A comparison as text: Markdown table, caption, verdicts and CSV."""

import csv
import io
import platform
from collections.abc import Sequence
from statistics import mean, stdev

from paddle_wrn.runs.results import Results
from paddle_wrn.studies.statistics import Entry, compare_pairs


def report(entries: Sequence[Entry]) -> str:
    """Return table, caption and verdicts as Markdown."""
    lines = "\n".join(f"- {verdict}" for verdict in verdicts(entries))
    return f"{table(entries)}\n\n{caption(entries)}\n" + (f"\n{lines}\n" if lines else "")


def table(entries: Sequence[Entry]) -> str:
    """Return the Markdown table, a line an entry; what is not there yet is `-`."""
    head = (
        "configuration", "network", "parameters", "multiply-adds", "seeds", "validation accuracy %",
        "test accuracy %", "95 % interval", "training s", "photos/s", "best epoch",
    )  # fmt: skip
    return markdown_table(head, [_row(entry) for entry in entries], text_columns=2)


def _row(entry: Entry) -> list[str]:
    runs = entry.runs.values()
    seeds = str(entry.seeds) if len(runs) == entry.seeds else f"{len(runs)} of {entry.seeds}"
    known = [entry.name, entry.network, f"{entry.parameters:,}", f"{entry.multiply_adds:,}", seeds]
    if not runs:
        return [*known, *"------"]
    low, high = entry.interval
    return [
        *known,
        _mean_and_spread([run.results.val.accuracy for run in runs if run.results.val]),
        _mean_and_spread(entry.accuracies),
        f"{100 * low:.1f} to {100 * high:.1f}",
        f"{entry.median('seconds'):.0f}",
        f"{entry.median('images_per_second'):.0f}",
        f"{entry.median('kept_epoch'):g}",
    ]


def _mean_and_spread(shares: Sequence[float]) -> str:
    if not shares:
        return "-"
    spread = f" ({100 * stdev(shares):.1f})" if len(shares) > 1 else ""
    return f"{100 * mean(shares):.1f}{spread}"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """Return a Markdown table that is legible as plain text too; all but the first columns are numbers."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if number < text_columns else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * width if number < text_columns else "-" * (width - 1) + ":"
        for number, width in enumerate(widths)
    ]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def caption(entries: Sequence[Entry]) -> str:
    """Say what the table shows and what it was measured with."""
    runs = [run for entry in entries for run in entry.runs.values()]
    if not runs:
        return "No run is finished yet."
    if entries[0].seeds == 1:
        shown = (
            "seed 0. Intervals cover the noise of the test photos only, not that of training, which takes "
            "several seeds (`--seeds`)."
        )
    else:
        shown = (
            f"seeds 0 to {entries[0].seeds - 1}. Accuracies are means over the seeds (in brackets the "
            "standard deviation), their intervals cover the noise of the test photos and that of training; "
            "training time, speed and best epoch are medians."
        )
    return f"{len(runs[0].photos):,} test photos, {shown} {circumstances([run.results for run in runs])}."


def circumstances(results: Sequence[Results]) -> str:
    """Return device, system and versions behind some `metrics.json`."""
    devices = sorted({figures.device for figures in results})
    versions = sorted(
        {", ".join(f"{name} {version}" for name, version in figures.versions.items()) for figures in results}
    )
    return f"Measured with {' and '.join(versions)}, on {' and '.join(devices)}, {platform.platform()}"


def verdicts(entries: Sequence[Entry]) -> list[str]:
    """Return a sentence for every pair of configurations, and what the p values mean."""
    pairs = compare_pairs(entries)
    if not pairs:
        return []
    tests = "a sign-flip permutation test over test photos"
    if entries[0].seeds > 1:
        tests = f"the larger of {tests} and a paired t-test over seeds"
    holm = f", corrected for {len(pairs)} pairs (Holm)" if len(pairs) > 1 else ""
    lines = [str(pair) for pair in pairs] + [f"p is that of {tests}{holm}."]
    if entries[0].seeds == 1:
        lines.append("With one seed it covers the noise of the test photos only, not that of training.")
    return lines


def csv_text(entries: Sequence[Entry]) -> str:
    """Return the figures of every finished run as CSV, a row a run."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    figures = ("kept_epoch", "epochs", "seconds", "images_per_second", "device")
    rows.writerow(
        ["configuration", "network", "parameters", "multiply_adds", "seed", "val_accuracy", "test_accuracy",
         "test_correct", "test_images", *figures, "folder"]
    )  # fmt: skip
    for entry in entries:
        for seed, run in entry.runs.items():
            rows.writerow(
                [entry.name, entry.network, entry.parameters, entry.multiply_adds, seed,
                 None if run.results.val is None else run.results.val.accuracy,
                 run.test.accuracy, run.test.correct, run.test.images,
                 *(getattr(run.results, figure) for figure in figures), run.folder]
            )  # fmt: skip
    return text.getvalue()
