"""The networks by name: what is built, where it comes from, which options it takes."""

import difflib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from paddle import nn
from pydantic import ConfigDict, TypeAdapter, ValidationError

import paddle_wrn.models.imagenet as imagenet
from paddle_wrn.errors import UserError
from paddle_wrn.models.cifar_densenet import CifarDenseNet
from paddle_wrn.models.cifar_resnet import CifarResNet
from paddle_wrn.models.d2l import D2lDenseNet, D2lResNet18
from paddle_wrn.models.efficientnet_lite import EfficientNetLite
from paddle_wrn.models.flowers import FlowerNet
from paddle_wrn.models.googlenet import GoogLeNet
from paddle_wrn.models.resnet import ResNet
from paddle_wrn.models.transfer import start_pretrained
from paddle_wrn.models.wide_resnet import WideResNet

Builder = TypeVar("Builder", bound=Callable[..., nn.Layer])


@dataclass(frozen=True)
class NetworkEntry:
    """One entry of the registry.

    Attributes:
        build: called with the number of classes, `in_channels` and options; returns the network.
        source: where it is described.
        num_classes: classes there.
        input_shape: (channels, height, width) of an image there.
        fixed: arguments of `build` that the name stands for.
    """

    build: Callable[..., nn.Layer]
    source: str
    num_classes: int = 10
    input_shape: tuple[int, int, int] = (3, 32, 32)
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """The arguments a user may choose, by name."""
        parameters = iter(inspect.signature(self.build).parameters.items())
        next(parameters)  # the number of classes
        return {name: p for name, p in parameters if name not in self.fixed and name != "in_channels"}


_PAPER = "Zagoruyko and Komodakis 2016"
_CIFAR = "CIFAR-10 comparison"
_WRN_NAME = re.compile(r"wrn_(\d+)_(\d+)")
_WRN_OF_THE_PAPER = (  # depth, widen factors
    (10, (1,)),
    (16, (1, 2, 4, 8, 10)),
    (22, (2, 8)),
    (28, (1, 2, 10, 12)),
    (40, (1, 2, 4, 8)),
)
_EFFICIENTNET_LITE = (  # width, depth, side of an image
    (1.0, 1.0, 224),
    (1.0, 1.1, 240),
    (1.1, 1.2, 260),
    (1.2, 1.4, 280),
    (1.4, 1.8, 300),
)


def _wide_resnet(depth: int, widen_factor: int) -> NetworkEntry:
    return NetworkEntry(WideResNet, _PAPER, fixed={"depth": depth, "widen_factor": widen_factor})


_networks: dict[str, NetworkEntry] = {
    **{f"wrn_{depth}_{k}": _wide_resnet(depth, k) for depth, ks in _WRN_OF_THE_PAPER for k in ks},
    "googlenet_cifar": NetworkEntry(GoogLeNet, f"{_CIFAR}; Szegedy et al. 2014"),
    "resnet_cifar": NetworkEntry(CifarResNet, f"{_CIFAR}; He et al. 2015"),
    "preact_resnet_cifar": NetworkEntry(CifarResNet, f"{_CIFAR}; He et al. 2016", fixed={"block": "preact"}),
    "densenet_cifar": NetworkEntry(CifarDenseNet, f"{_CIFAR}; Huang et al. 2016"),
    **{
        f"resnet{depth}": NetworkEntry(ResNet, "He et al. 2015, section 4.2", fixed={"depth": depth})
        for depth in (20, 32, 44, 56, 110)
    },
    **{
        arch: NetworkEntry(
            imagenet.paddle_model,
            f"{_PAPER if arch.startswith('wide') else 'He et al. 2015'}; paddle.vision",
            1000,
            (3, 224, 224),
            {"arch": arch},
        )
        for arch in imagenet.NAMES
    },
    **{
        f"efficientnet_lite{number}": NetworkEntry(
            EfficientNetLite,
            "Tan and Le 2019, Lite",
            1000,
            (3, size, size),
            {"width": width, "depth": depth},
        )
        for number, (width, depth, size) in enumerate(_EFFICIENTNET_LITE)
    },
    "resnet18_d2l": NetworkEntry(D2lResNet18, "Dive into Deep Learning", input_shape=(1, 96, 96)),
    "densenet_d2l": NetworkEntry(D2lDenseNet, "Dive into Deep Learning", input_shape=(1, 96, 96)),
    "flowernet": NetworkEntry(FlowerNet, "flower recognition tutorial", 5, (3, 224, 224)),
}


_loaded_files: set[Path] = set()


def list_models() -> list[str]:
    """Return the names of the networks; any other `wrn_<depth>_<widen factor>` can be created too."""
    return list(_networks)


def find_network(name: str) -> NetworkEntry:
    """Return the entry of a name.

    Raises:
        UserError: an unknown name; the nearest known ones are given.
    """
    if name in _networks:
        return _networks[name]
    match = _WRN_NAME.fullmatch(name)
    if match is not None:
        return _wide_resnet(*map(int, match.groups()))
    near = difflib.get_close_matches(name.lower(), _networks, n=3, cutoff=0.3) or ["wrn_16_1"]
    raise UserError(
        f"model.name: found {name!r}; the nearest networks are {', '.join(near)} "
        "(all of them: python -m paddle_wrn.models; one of your own is named with --network FILE)"
    )


def create_model(name: str, num_classes: int, in_channels: int = 3, **options: Any) -> nn.Layer:
    """Build a network by its name, with fresh weights.

    Args:
        name: one of `list_models()`, or any `wrn_<depth>_<widen factor>`.
        num_classes: number of logits.
        in_channels: channels of the images, 3 for RGB.
        **options: further arguments of the network's class. For Paddle's own networks `pretrained=True`
            starts from its ImageNet weights, with a new last layer unless there are 1,000 classes.

    Raises:
        UserError: an unknown name (the nearest known ones are given), an option the network does not
            have, or a value it cannot take.
    """
    network = find_network(name)
    pretrained = name in imagenet.NAMES and options.pop("pretrained", False)
    checked = _checked_options(name, network, options)
    model = network.build(num_classes, in_channels=in_channels, **network.fixed, **checked)
    if pretrained:
        start_pretrained(model, name)
    return model


def register_model(
    name: str,
    *,
    source: str = "your own",
    num_classes: int = 10,
    input_shape: tuple[int, int, int] = (3, 32, 32),
) -> Callable[[Builder], Builder]:
    """Return a decorator that makes a network known by a name to `create_model` and to every command.

        @register_model("my_net")
        class MyNet(nn.Layer):
            def __init__(self, num_classes, in_channels=3, width: int = 16): ...

    Args:
        name: a name that is not taken.
        source: where the network is described.
        num_classes: classes for the table of networks.
        input_shape: (channels, height, width) for the table of networks.

    Raises:
        UserError: the name is taken, or the arguments are not (num_classes, ..., in_channels, ...).
    """

    def register(build: Builder) -> Builder:
        if (name in _networks and _networks[name].build is not build) or _WRN_NAME.fullmatch(name):
            raise UserError(f"register_model: the name {name!r} is taken; choose another")
        names = list(inspect.signature(build).parameters)
        if names[:1] != ["num_classes"] or "in_channels" not in names:
            raise UserError(
                f"register_model: {name} takes ({', '.join(names)}); "
                "its arguments must be (num_classes, in_channels, options...)"
            )
        _networks[name] = NetworkEntry(build, source, num_classes, input_shape)
        return build

    return register


def load_network_file(file: Path) -> None:
    """Run a Python file of the user's, in which `register_model` is called.

    Raises:
        UserError: the file is missing or fails.
    """
    if file.resolve() in _loaded_files:
        return
    if not file.is_file():
        raise UserError(f"{file}: no such Python file; --network names the file of your own network")
    spec = importlib.util.spec_from_file_location(f"network_file_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"{file}: not a Python file; --network names the .py file of your own network")
    before = list_models()
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for the module of a class
    try:
        spec.loader.exec_module(module)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    except Exception as error:  # whatever is wrong with somebody's program
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == spec.origin
        ]
        line = lines[-1] if lines else getattr(error, "lineno", None)
        raise UserError(f"{file}, line {line}: {type(error).__name__}: {error}") from None
    if list_models() == before:
        raise UserError(f'{file}: registers no network; put @register_model("name") above your class')
    _loaded_files.add(file.resolve())


def _checked_options(name: str, network: NetworkEntry, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options converted to the types of the builder's signature."""
    build = network.build.__init__ if inspect.isclass(network.build) else network.build
    hints = get_type_hints(build)
    checked = {}
    for option, value in options.items():
        if option not in network.options:
            raise UserError(f"model.options.{option}: {_no_such_option(name, network, option)}")
        adapter = TypeAdapter(hints.get(option, Any), config=ConfigDict(extra="forbid"))
        try:
            checked[option] = adapter.validate_python(value)
        except ValidationError as error:
            expected = error.errors()[0]["msg"].lower()
            raise UserError(f"model.options.{option}: found {value!r}; {expected}") from None
    return checked


def _no_such_option(name: str, network: NetworkEntry, option: str) -> str:
    if not network.options:
        return f"{name} has no options"
    near = difflib.get_close_matches(option, network.options, n=1, cutoff=0.5)
    owner = next(_owners(option), None)
    hint = f" (did you mean {near[0]}?)" if near else f" ({owner} has it)" if owner else ""
    return f"{name} has no such option; it has {', '.join(network.options)}{hint}"


def _owners(option: str) -> Iterator[str]:
    return (name for name, network in _networks.items() if option in network.options)
