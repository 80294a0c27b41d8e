"""Train a network on the lists that split_data wrote.

The way from here: main -> training.session.train -> training.loop.train_epochs -> train_epoch -> train_step.
Paddle's launcher can make several processes train together; training/processes.py says how.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_wrn.cli import add_config_option, add_network_option, command, parser
from paddle_wrn.config import describe_settings, load_config, parse_settings
from paddle_wrn.native.device_report import device_report
from paddle_wrn.training.session import train


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser("train", __doc__.splitlines()[0])
    options.epilog = _settings_help()
    add_config_option(options)
    options.add_argument(
        "--data", type=Path, help="folder that split_data wrote (default: drawn sample birds)"
    )
    options.add_argument("--output", type=Path, help="run folder (default: runs/<data>-<config>)")
    options.add_argument("--resume", action="store_true", help="continue the run in the output folder")
    options.add_argument(
        "--again", action="store_true", help="train anew; the run in the output folder is moved aside"
    )
    options.add_argument(
        "--device-report",
        action="store_true",
        help="print what would do the computing, and with which settings, then stop",
    )
    add_network_option(options)
    known, rest = options.parse_known_args(argv)
    if known.device_report:
        print(device_report(load_config(known.config, parse_settings(rest)).device))
        return 0
    train(
        known.config,
        data=known.data,
        output=known.output,
        resume=known.resume,
        again=known.again,
        settings=parse_settings(rest),
    )
    return 0


def _settings_help() -> str:
    lines = ["settings, each as --name VALUE on top of the configuration (default in brackets):"]
    for name, meaning, default in describe_settings():
        shown = "null" if default is None else default
        lines.append(f"  --{name:28} {meaning} [{shown}]")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
