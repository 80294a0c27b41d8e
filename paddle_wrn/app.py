"""Serve a web page that names photos: drop some on it, or take one with the camera."""

import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_wrn.cli import add_network_option, command, parser
from paddle_wrn.pages.languages import LANGUAGES
from paddle_wrn.pages.web.server import PORT, serve
from paddle_wrn.system.serving import add_address_options


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser("app", __doc__)
    options.add_argument("run", type=Path, help="run folder, its best.safetensors, or an exported folder")
    add_address_options(options, PORT)
    options.add_argument(
        "--language", choices=LANGUAGES, default="en", help="language of the page (default: en)"
    )
    add_network_option(options)
    given = options.parse_args(argv)
    serve(given.run, host=given.host, port=given.port, language=given.language)
    return 0


if __name__ == "__main__":
    sys.exit(main())
