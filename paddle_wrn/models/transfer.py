"""Starting from weights that were trained on something else: a new head, a frozen backbone.

The head is the last linear layer of a network, the backbone all before it.
"""

from pathlib import Path

import numpy as np
from paddle import Tensor, nn

from paddle_wrn.errors import UserError
from paddle_wrn.models.imagenet import NAMES, download_weights
from paddle_wrn.models.pretrained import PRETRAINED, pretrained_file, pretrained_weights
from paddle_wrn.models.weight_files import read_weights
from paddle_wrn.models.weights import Arrays, put_weights, weights_of


def head_of(model: nn.Layer) -> str:
    """Return the name of the last linear layer, such as `fc`.

    Raises:
        UserError: the network has none.
    """
    names = [name for name, layer in model.named_sublayers() if isinstance(layer, nn.Linear)]
    if not names:
        raise UserError("model: the network has no linear layer that could be its head")
    return names[-1]


def start_from(model: nn.Layer, file: Path | str) -> str:
    """Load weights from a file; where only the number of classes differs, the head keeps its fresh ones.

    Returns:
        A phrase that says what was loaded and what is new.

    Raises:
        UserError: the file is missing, damaged or of another network; the tensors that do not fit are named.
    """
    return _start(model, read_weights(file), str(file))


def start_pretrained(model: nn.Layer, network: str) -> str:
    """Load the ImageNet weights that are offered for a network, as `start_from` does.

    Args:
        model: the network.
        network: its name.

    Raises:
        UserError: none are offered, they are not installed, or they cannot be fetched.
    """
    if network in PRETRAINED:
        return _start(model, pretrained_weights(network), str(pretrained_file(network)))
    if network not in NAMES:
        offered = ", ".join((*PRETRAINED, *NAMES))
        raise UserError(f"{network}: no pretrained weights are offered; there are some for {offered}")
    return start_from(model, download_weights(network))


def _start(model: nn.Layer, arrays: Arrays, source: str) -> str:
    own = weights_of(model)
    new = []
    unlike = [name for name in own if name in arrays and arrays[name].shape != own[name].shape]
    if unlike:
        head = head_of(model)
        for name, axis in ((f"{head}.weight", 1), (f"{head}.bias", 0)):
            if name in unlike and _same_but_for(axis, arrays[name].shape, own[name].shape):
                there, here = arrays[name].shape[axis], own[name].shape[axis]
                new.append(f"{name} ({there} classes there, {here} here)")
                arrays[name] = own[name]
    put_weights(model, arrays, source)
    return f"loaded {len(own) - len(new)} tensors from {source}; new: {', '.join(new) or 'none'}"


def _same_but_for(axis: int, one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return len(one) == len(other) and np.delete(one, axis).tolist() == np.delete(other, axis).tolist()


def freeze_backbone(model: nn.Layer) -> None:
    """Let only the head learn. Running statistics stay as they are only in evaluation mode."""
    head = head_of(model)
    for name, parameter in model.named_parameters():
        if not name.startswith(f"{head}."):
            parameter.stop_gradient = True


def see(model: nn.Layer, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return what the head of a network is given, and the logits.

    Args:
        model: the network.
        images: (N, C, H, W).

    Returns:
        (N, F) features, one for each time the last linear layer is used, which is once in most networks; and
        (N, classes) logits.
    """
    head = dict(model.named_sublayers())[head_of(model)]
    given: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].flatten(1)))
    try:
        logits = model(images)
    finally:
        hook.remove()
    return given, logits
