"""Write a report on a run as one HTML page.

The page opens without internet, prints well and fits a phone.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_wrn.cli import add_network_option, command, parser
from paddle_wrn.pages.report import report


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser("report", __doc__)
    options.add_argument("run", type=Path, help="run folder")
    options.add_argument("--language", default="en", help="en or zh (default: en)")
    options.add_argument(
        "--output", type=Path, metavar="FILE.html", help="the page (default: report.html in the run folder)"
    )
    options.add_argument("--data", type=Path, help="folder that split_data wrote (default: the run's own)")
    add_network_option(options)
    given = options.parse_args(argv)
    file = report(given.run, language=given.language, output=given.output, data=given.data)
    print(f"written: {file} ({file.stat().st_size / 1e6:.1f} MB); open it with a browser")
    return 0


if __name__ == "__main__":
    sys.exit(main())
