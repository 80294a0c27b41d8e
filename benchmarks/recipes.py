"""Compare training recipes on a folder of photos: several seeds each, in turn on one machine.

    python benchmarks/recipes.py PHOTOS [--configs tutorial birds] [--seeds 5] [--output runs/recipes]

Each seed splits the photos anew and trains every configuration on that split, so the comparison is paired
(`python -m paddle_wrn.compare` keeps one split, and tells noise from differences).
Interrupted, it continues where it was. Prints a Markdown table: test accuracy (mean and standard deviation
over seeds) and seconds of training and validating.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from paddle_wrn.photos.splitting.split import split_data
from paddle_wrn.runs.results import Results
from paddle_wrn.scoring.scores import Scores
from paddle_wrn.studies.comparison_tables import circumstances, markdown_table
from paddle_wrn.system.records import read_record

CONFIGS = Path(__file__).parent.parent / "configs"


def run(
    photos: Path, configs: list[str], seeds: int, output: Path, protocol: str
) -> dict[str, list[Results]]:
    """Train every configuration on every seed's split; return the `metrics.json` of each."""
    results: dict[str, list[Results]] = {config: [] for config in configs}
    for seed in range(seeds):
        lists = output / f"lists-{protocol}-{seed}"
        split_data(photos, lists, seed=seed, protocol=protocol)
        for config in configs:
            folder = output / f"{config}-{protocol}-{seed}"
            if not (folder / "metrics.json").exists():
                words = [
                    sys.executable, "-m", "paddle_wrn.train", "--config", CONFIGS / f"{config}.yaml",
                    "--data", lists, "--output", folder, "--seed", str(seed), "--resume",
                ]  # fmt: skip
                subprocess.run(words, check=True)
            results[config].append(read_record(Results, folder / "metrics.json", "train it again"))
    return results


def test_of(results: Results) -> Scores:
    """Return the figures of the test photos."""
    assert results.test is not None
    return results.test


def table(results: dict[str, list[Results]]) -> str:
    """Return the Markdown table."""
    head = (
        "configuration",
        "parameters",
        "test accuracy % by seed",
        "mean",
        "std. deviation",
        "seconds (median)",
    )
    rows = []
    for config, runs in results.items():
        shares = [100 * test_of(figures).accuracy for figures in runs]
        spread = statistics.stdev(shares) if len(shares) > 1 else 0.0
        seconds = statistics.median(figures.seconds for figures in runs)
        by_seed = ", ".join(f"{share:.1f}" for share in shares)
        mean = f"{statistics.mean(shares):.1f}"
        rows.append([config, f"{runs[0].parameters:,}", by_seed, mean, f"{spread:.1f}", f"{seconds:.0f}"])
    every = [figures for runs in results.values() for figures in runs]
    photos = test_of(every[0]).images
    return f"{markdown_table(head, rows)}\n\n{photos} test photos a seed. {circumstances(every)}."


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--configs", nargs="+", default=["tutorial", "birds"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("runs/recipes"))
    parser.add_argument("--protocol", default="stratified", help="of split_data: stratified or tutorial")
    given = parser.parse_args()
    print(table(run(given.photos, given.configs, given.seeds, given.output, given.protocol)))


if __name__ == "__main__":
    main()
