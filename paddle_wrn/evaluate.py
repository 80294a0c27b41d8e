"""Score a trained network on a list of photos: one from its data folder, or any other."""

import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_wrn.answering.calibration import describe_calibration
from paddle_wrn.answering.evaluation import evaluate
from paddle_wrn.cli import add_network_option, command, parser
from paddle_wrn.scoring.scores import Scores


def scores_table(scores: Scores) -> str:
    """Return accuracy, top-k, how honest the probabilities are, and the figures per class as text."""
    lines = [f"accuracy {scores}"]
    lines += [f"top-{k} accuracy {share:.3f}" for k, share in scores.top_k.items()]
    lines += describe_calibration(scores)
    lines.append(f"{'images':>8} {'precision':>10} {'recall':>8} {'F1':>8}  class")
    for row in scores.per_class:
        name = row.name if row.display_name == row.name else f"{row.name} ({row.display_name})"
        lines.append(f"{row.images:8} {row.precision:10.3f} {row.recall:8.3f} {row.f1:8.3f}  {name}")
    return "\n".join(lines)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser("evaluate", __doc__)
    options.add_argument("run", type=Path, help="run folder (or its checkpoints/best.safetensors)")
    options.add_argument("--data", type=Path, help="folder that split_data wrote (default: the run's own)")
    options.add_argument("--split", default="test", help="train, val or test (default: test)")
    options.add_argument("--list", dest="list_file", type=Path, help="score this list instead")
    options.add_argument("--device", default="auto", help="auto, cpu, gpu or gpu:N (default: auto)")
    add_network_option(options)
    given = options.parse_args(argv)
    scores = evaluate(
        given.run, data=given.data, split=given.split, list_file=given.list_file, device=given.device
    )
    print(scores_table(scores))
    if given.run.is_dir():
        print(f"written to {given.run / 'evaluation'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
