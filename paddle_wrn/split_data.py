"""Split photos, one folder per class, into lists for training, validation and testing.

    python -m paddle_wrn.split_data bird_photos.zip          # or a folder; without SOURCE: drawn sample birds

This writes into data/bird_photos: train.txt, val.txt and test.txt (one `path label` per line), classes.txt
(line number = label; class_indices.json says the same in JSON) and split.json. The last one says how the
lists were made, what was left out and which photos are near-duplicates of each other. Near-duplicates stay
in one list. The same photos, settings and seed give the same bytes.
"""

import sys
from collections import Counter
from collections.abc import Sequence

from paddle_wrn.cli import command, parser
from paddle_wrn.photos.splitting.split import Split, split_data
from paddle_wrn.system.console import command_line, text_width


def report(split: Split) -> str:
    """Describe a split: a table of counts, what was noticed, and the next command."""
    counts = split.counts()
    rows = [["class", "display name", *counts, "total"]]
    for label, (name, shown) in enumerate(zip(split.classes, split.display_names, strict=True)):
        numbers = [counts[side][label] for side in counts]
        rows.append([name, shown, *map(str, numbers), str(sum(numbers))])
    totals = [sum(numbers) for numbers in counts.values()]
    rows.append(["all", "", *map(str, totals), str(sum(totals))])
    lines = [_table(rows), ""]
    if split.near_duplicates:
        number = sum(map(len, split.near_duplicates))
        lines.append(
            f"near-duplicates: {len(split.near_duplicates)} groups, {number} photos (listed in split.json)"
        )
        torn = split.groups_on_both_sides()
        lines.append(
            f"  {torn} of the groups lie in more than one list" if torn else "  each group stays in one list"
        )
    else:
        lines.append("near-duplicates: none")
    if split.mixed_labels:
        lines.append(
            f"warning: {len(split.mixed_labels)} groups lie in several classes: one photo, two labels?"
        )
        lines += [f"  {' = '.join(group[:4])}" for group in split.mixed_labels[:3]]
    for reason, number in sorted(Counter(e.reason.partition(":")[0] for e in split.left_out).items()):
        examples = [entry.path for entry in split.left_out if entry.reason.startswith(reason)][:3]
        more = ", ..." if number > 3 else ""
        lines.append(f"left out: {number} ({reason}): {', '.join(map(_on_one_line, examples))}{more}")
    lines.append("")
    lines.append(f"{split.output}: {split.status}")
    if split.preview is not None:
        lines.append(f"preview: {split.preview}")
    if split.status != "dry run":
        lines.append(f"next: {command_line('train', '--data', split.output)}")
    return "\n".join(lines)


def _on_one_line(path: str) -> str:
    return path.encode("unicode_escape").decode() if not path.isprintable() else path


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(text_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        pairs = zip(row[:2], widths[:2], strict=True)
        texts = [text + " " * (width - text_width(text)) for text, width in pairs]
        numbers = [text.rjust(width) for text, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join([*texts, *numbers]).rstrip())
    return "\n".join(lines)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Split photos as the command line says and print what was done."""
    arguments = parser("split_data", (__doc__ or "").strip())
    arguments.add_argument("source", nargs="?", metavar="SOURCE", help="folder with one sub-folder per "
                           "class, or a zip or tar of it; without it, sample birds are drawn")  # fmt: skip
    arguments.add_argument("--output", metavar="DIR", help="folder for the lists (data/<name of SOURCE>)")
    arguments.add_argument(
        "--val", type=float, metavar="SHARE", help="share of each class for validation (0.15)"
    )
    arguments.add_argument(
        "--test", type=float, metavar="SHARE", help="share of each class for testing (0.15)"
    )
    arguments.add_argument("--seed", type=int, default=0, help="seed of the shuffle (%(default)s)")
    arguments.add_argument("--names", metavar="FILE", help="UTF-8 file of lines `class<TAB>display name`")
    arguments.add_argument("--protocol", choices=("stratified", "tutorial"), default="stratified",
                           help="tutorial: 70 %% train, 30 %% test, no validation (%(default)s)")  # fmt: skip
    arguments.add_argument(
        "--overwrite", action="store_true", help="replace other lists in the output folder"
    )
    arguments.add_argument("--dry-run", action="store_true", help="do everything except write")
    arguments.add_argument(
        "--preview", action="store_true", help="draw some photos of each class into preview.png"
    )
    print(report(split_data(**vars(arguments.parse_args(argv)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
