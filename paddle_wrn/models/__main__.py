"""List the networks, or show one of them layer by layer."""

import inspect
import sys
from collections.abc import Sequence

from paddle_wrn.cli import add_network_option, command, parser
from paddle_wrn.models.registry import NetworkEntry, create_model, find_network, list_models
from paddle_wrn.models.summary import Summary, summarise


def describe_network(name: str) -> tuple[NetworkEntry, Summary]:
    """Return the entry of a network and its table for the classes and images of its source."""
    network = find_network(name)
    channels = network.input_shape[0]
    return network, summarise(create_model(name, network.num_classes, channels), network.input_shape)


def options_of(network: NetworkEntry) -> str:
    """Return the options of a network with their defaults, as `drop_rate=0.0, ...`."""
    return ", ".join(
        name if option.default is inspect.Parameter.empty else f"{name}={option.default!r}"
        for name, option in network.options.items()
    )


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser("models", __doc__)
    options.add_argument("names", nargs="*", metavar="NAME", help="show these networks layer by layer")
    add_network_option(options)
    given = options.parse_args(argv)
    if given.names:
        for name in given.names:
            network, summary = describe_network(name)
            print(f"{name}: {network.source}; options: {options_of(network) or 'none'}\n{summary}\n")
        return 0
    print(f"{'name':20} {'input':>13} {'classes':>7} {'parameters':>11} {'multiply-adds':>14}  source")
    groups: dict[str, list[str]] = {}
    for name in list_models():
        network, summary = describe_network(name)
        groups.setdefault(options_of(network), []).append(name)
        shape = " x ".join(map(str, network.input_shape))
        print(
            f"{name:20} {shape:>13} {network.num_classes:7} {summary.parameters:11,} "
            f"{summary.multiply_adds:14,}  {network.source}",
            flush=True,
        )
    print("\nAny other wrn_<depth>_<widen factor> can be built too. Options, as --model.options.NAME VALUE:")
    for described, names in groups.items():
        shown = ["wrn_<depth>_<widen factor>" if name.startswith("wrn_") else name for name in names]
        print(f"  {', '.join(dict.fromkeys(shown))}: {described or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
