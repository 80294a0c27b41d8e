"""Show the curves, pictures, weights and graphs of runs in a browser, with VisualDL."""

import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_wrn.cli import command, parser
from paddle_wrn.pages.board import PORT, board
from paddle_wrn.pages.languages import LANGUAGES
from paddle_wrn.system.serving import add_address_options


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser("board", __doc__)
    options.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folder, or a folder of runs")
    add_address_options(options, PORT)
    options.add_argument(
        "--language", choices=LANGUAGES, default="en", help="language of the page (default: en)"
    )
    given = options.parse_args(argv)
    board(given.runs, host=given.host, port=given.port, language=given.language)
    return 0


if __name__ == "__main__":
    sys.exit(main())
