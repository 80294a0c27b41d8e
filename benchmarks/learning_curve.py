"""How accurate a configuration is with few training photos: a curve over photos per class.

    python benchmarks/learning_curve.py birds6 --configs birds pretrained --seeds 5

For each seed the photos are split once; of the training photos so many of each class are taken, and the test
photos are the same ones every time. A training that is finished is not done again. The table is printed, and
the curve is drawn into OUTPUT/learning_curve.png.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import numpy as np

if __name__ == "__main__":  # run as a file, Python looks for modules in its folder only
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from paddle_wrn.drawing import plots
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.splitting.split import split_data
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.studies.comparison_tables import circumstances, markdown_table
from paddle_wrn.studies.statistics import accuracy_interval
from paddle_wrn.system.files import write_text

COLOURS = (plots.BLUE, plots.ORANGE, plots.GREY)


@dataclass(frozen=True)
class Point:
    """One configuration with so many training photos per class.

    Attributes:
        config: its name.
        count: photos per class.
        accuracies: of the test photos, one a seed.
        photos: test photos of a seed.
    """

    config: str
    count: int
    accuracies: tuple[float, ...]
    photos: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy, for other photos and other seeds."""
        return accuracy_interval(self.accuracies, self.photos)


def smaller_lists(lists: Path, count: int, seed: int, output: Path) -> Path:
    """Write lists with `count` training photos of each class; everything else stays."""
    folder = read_data_folder(lists)
    rng = np.random.default_rng([seed, count])
    chosen: list[int] = []
    for label in range(len(folder.classes.names)):
        chosen += rng.permutation(np.flatnonzero(folder.train.labels == label))[:count].tolist()
    output.mkdir(parents=True, exist_ok=True)
    for name, photo_list in {**folder.lists(), "train": folder.train.part(sorted(chosen))}.items():
        lines = zip(photo_list.paths, photo_list.labels.tolist(), strict=True)
        write_text(output / f"{name}.txt", "".join(f"{path.absolute()} {label}\n" for path, label in lines))
    write_text(output / "classes.txt", "".join(f"{name}\n" for name in folder.classes.names))
    return output


def trained(config: str, lists: Path, seed: int, run: Path) -> RunFolder:
    """Train, unless that is done already."""
    words = ["--config", config, "--data", lists, "--output", run, "--seed", str(seed), "--resume"]
    subprocess.run([sys.executable, "-m", "paddle_wrn.train", *map(str, words)], check=True)
    return RunFolder(run)


def measure(photos: Path, configs: Sequence[str], counts: Sequence[int], seeds: int, output: Path) -> None:
    """Train everything, print the table and draw the curve."""
    found: dict[tuple[str, int], list[RunFolder]] = {}
    for seed in range(seeds):
        lists = output / f"lists-{seed}"
        split_data(photos, lists, seed=seed)
        for config in configs:
            for count in counts:
                few = smaller_lists(lists, count, seed, output / f"lists-{seed}-{count}")
                run = trained(config, few, seed, output / f"{config}-{count}-{seed}")
                found.setdefault((config, count), []).append(run)
    results = {key: [run.results() for run in runs] for key, runs in found.items()}
    points = [
        Point(
            config,
            count,
            tuple(one.test.accuracy for one in ones if one and one.test),
            max(one.test.images for one in ones if one and one.test),
        )
        for (config, count), ones in results.items()
    ]
    rows = [
        [
            point.config,
            str(point.count),
            f"{100 * mean(point.accuracies):.1f}",
            f"{100 * stdev(point.accuracies):.1f}" if seeds > 1 else "-",
            f"{100 * point.interval[0]:.1f} to {100 * point.interval[1]:.1f}",
        ]
        for point in points
    ]
    head = ("configuration", "photos per class", "test accuracy %", "std. deviation", "95 % interval")
    print(markdown_table(head, rows))
    every = [one for ones in results.values() for one in ones if one]
    print(f"\n{points[0].photos} test photos a seed, seeds 0 to {seeds - 1}. {circumstances(every)}.")
    draw(points, output / "learning_curve.png")


def draw(points: Sequence[Point], file: Path) -> None:
    """Draw accuracy over photos per class, with intervals."""
    figure = plots.new_figure(7.2, 4.2)
    axes = figure.add_subplot()
    for colour, config in zip(COLOURS, dict.fromkeys(point.config for point in points), strict=False):
        own = [point for point in points if point.config == config]
        counts = [point.count for point in own]
        means = [100 * mean(point.accuracies) for point in own]
        low, high = ([100 * point.interval[side] for point in own] for side in (0, 1))
        axes.fill_between(counts, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(counts, means, "o-", color=colour, label=config)
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("training photos per class")
    axes.set_ylabel("accuracy on the test photos, %")
    axes.set_ylim(top=100.5)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    plots.save(figure, file)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--configs", nargs="+", default=["birds", "pretrained"])
    parser.add_argument("--counts", nargs="+", type=int, default=[5, 10, 20, 40, 70])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("runs/learning_curve"))
    given = parser.parse_args()
    measure(given.photos, given.configs, given.counts, given.seeds, given.output)


if __name__ == "__main__":
    main()
