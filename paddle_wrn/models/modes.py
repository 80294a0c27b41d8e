"""Evaluation mode for as long as it is needed, and back."""

from collections.abc import Iterator
from contextlib import contextmanager

from paddle import nn


@contextmanager
def evaluation_mode(model: nn.Layer) -> Iterator[None]:
    """Put a network into evaluation mode for a block.

    Afterwards every layer is in the mode it was in, also after an error: of a network whose backbone is
    frozen, some layers are in training mode and some are not.
    """
    modes = [(layer, layer.training) for layer in model.sublayers(include_self=True)]
    model.eval()
    try:
        yield
    finally:
        for layer, training in modes:
            layer.training = training
