"""Find photos whose label may be wrong.

A network believes the labels it has learned, so it says little about its own training photos. Therefore this
command trains four networks with the settings of the run. Each leaves out a quarter of all photos, with their
near-duplicates, and then judges that quarter. If you interrupt the command, it keeps what is finished, and
the same command continues.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_wrn.answering.classifier import load_classifier
from paddle_wrn.cli import add_network_option, command, parser
from paddle_wrn.studies.label_check import check_labels
from paddle_wrn.system.console import command_line

SHOWN = 10


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser("check_labels", __doc__)
    options.add_argument("run", type=Path, help="run folder")
    options.add_argument("--data", type=Path, help="folder that split_data wrote (default: the run's own)")
    add_network_option(options)
    given = options.parse_args(argv)
    judged = check_labels(given.run, data=given.data)
    names = load_classifier(given.run).preprocessing.display_names
    suspicious = judged.suspicious()
    print(
        f"{len(suspicious)} of {len(judged)} labels are suspicious; look at them, many may be right after all"
    )
    for i in suspicious[:SHOWN]:
        print(
            f"  {judged.paths[i]}: labelled {names[judged.labels[i]]}, "
            f"looks like {names[judged.predicted[i]]} ({judged.probability[i]:.0%})"
        )
    if len(suspicious) > SHOWN:
        print(f"  and {len(suspicious) - SHOWN} more")
    print(f"all of them: {given.run}/label_check.csv; as pictures: {command_line('report', given.run)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
