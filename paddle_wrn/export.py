"""Export a trained network for other programs.

It becomes a Paddle program, an ONNX file or plain weights, with a contract that says how to ask it. The
command loads what it wrote and compares its answers with those of the network before the output folder
appears.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_wrn.answering.exported import CONTRACT, Contract
from paddle_wrn.cli import add_network_option, command, parser
from paddle_wrn.deploy import onnx_file
from paddle_wrn.deploy.exporting import EXAMPLE, export
from paddle_wrn.system.console import shell_line


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser("export", __doc__)
    options.add_argument("run", type=Path, help="run folder (or its checkpoints/best.safetensors)")
    options.add_argument("--format", default="paddle", help="paddle, onnx or pdparams (default: paddle)")
    options.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to make")
    options.add_argument("--int8", action="store_true", help="quantise the ONNX network to 8 bits")
    options.add_argument(
        "--opset", type=int, metavar="N", help=f"version of ONNX's operators (default: {onnx_file.OPSET})"
    )
    options.add_argument("--data", type=Path, help="folder that split_data wrote (default: the run's own)")
    add_network_option(options)
    given = options.parse_args(argv)
    contract = export(
        given.run, given.output, given.format, int8=given.int8, opset=given.opset, data=given.data
    )
    for line in _summary(contract, given.output):
        print(line)
    return 0


def _summary(contract: Contract, output: Path) -> list[str]:
    lines = [f"written   {output}: {', '.join([*contract.files, CONTRACT, EXAMPLE])}"]
    if contract.check is not None:
        check = contract.check
        lines.append(
            f"check     probabilities differ by at most {check.largest_difference:.1e} from the network's "
            f"own (logits by {check.largest_logit_difference:.1e} of the largest), on {check.pictures}"
        )
    if contract.int8 is not None:
        int8 = contract.int8
        lines.append(
            f"int8      accuracy {int8.accuracy_before:.3f} before, {int8.accuracy_after:.3f} after on "
            f"{int8.validation_photos} validation photos; probabilities differ by at most "
            f"{int8.largest_difference:.2g}; {int8.bytes_before / 1e6:.2f} MB before, "
            f"{int8.bytes_after / 1e6:.2f} MB after"
        )
    without = "" if contract.format == "pdparams" else "  (needs no paddle_wrn)"
    lines.append(f"next      {shell_line('python', output / EXAMPLE, 'PHOTO')}{without}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
