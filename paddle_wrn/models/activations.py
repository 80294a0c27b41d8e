"""Activations by name, for the networks that let one choose."""

from typing import Literal

from paddle import nn

Activation = Literal["tanh", "relu", "leaky_relu", "gelu"]

_LAYERS: dict[str, type[nn.Layer]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,  # slope 0.01
    "gelu": nn.GELU,
}


def activation_layer(name: Activation) -> nn.Layer:
    """Return a layer that applies the activation."""
    return _LAYERS[name]()
