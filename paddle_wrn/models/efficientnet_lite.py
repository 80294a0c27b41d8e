"""EfficientNet-Lite0 to Lite4: small networks of depthwise convolutions, made for processors.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019 (arXiv
1905.11946), table 1 and section 3.3; the Lite variant as its authors published it
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite): no squeeze-and-excite,
ReLU6 in place of swish, and a stem and a head of the same width in every network. Lite0 on 224 x 224 pixels:

    stage    output size   channels   kernel   expansion   blocks
    stem     112 x 112     32         3        -           -
    blocks   112 x 112     16         3        1           1
             56 x 56       24         3        6           2
             28 x 28       40         5        6           2
             14 x 14       80         3        6           3
             14 x 14       112        5        6           3
             7 x 7         192        5        6           4
             7 x 7         320        3        6           1
    head     1 x 1         1280       1        -           -        global average pool, dropout, linear

Lite1 to Lite4 multiply the channels and the numbers of blocks, but not the first and the last of the latter.
Convolutions pad as TensorFlow does, "same": an output of n/stride pixels, rounded up, and where the padding
is odd, one zero more at the right and at the bottom. Any size of image works.
"""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import Tensor, nn

from paddle_wrn.errors import UserError

_EPSILON = 1e-3  # of batch normalisation
_STEM, _HEAD = 32, 1280  # channels


class Stage(NamedTuple):
    """Blocks of one width, as Lite0 has them."""

    channels: int
    kernel: int
    stride: int  # of the first block
    expansion: int
    blocks: int


_STAGES = (
    Stage(16, 3, 1, 1, 1),
    Stage(24, 3, 2, 6, 2),
    Stage(40, 5, 2, 6, 2),
    Stage(80, 3, 2, 6, 3),
    Stage(112, 5, 1, 6, 3),
    Stage(192, 5, 2, 6, 4),
    Stage(320, 3, 1, 6, 1),
)


def conv_bn(
    in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1, *, relu6: bool
) -> nn.Sequential:
    """Return a convolution, initialised as He et al. 2015 (fan-out), batch normalisation and perhaps ReLU6.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride), rounded up.
    """
    std = math.sqrt(2 / (kernel * kernel * out_channels / groups))
    convolution = nn.Conv2D(
        in_channels,
        out_channels,
        kernel,
        stride,
        padding="SAME",
        groups=groups,
        weight_attr=paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, std)),
        bias_attr=False,
    )
    layers = [convolution, nn.BatchNorm2D(out_channels, epsilon=_EPSILON)]
    return nn.Sequential(*layers, nn.ReLU6()) if relu6 else nn.Sequential(*layers)


class InvertedResidual(nn.Layer):
    """More channels, a depthwise convolution, fewer channels; what came in is added where the shape stays.

    Sandler et al., "MobileNetV2", 2018 (arXiv 1801.04381), section 3.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride), rounded up.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = expansion * in_channels
        self.expand = None if expansion == 1 else conv_bn(in_channels, width, relu6=True)
        self.depthwise = conv_bn(width, width, kernel, stride, groups=width, relu6=True)
        self.project = conv_bn(width, out_channels, relu6=False)
        self.same_shape = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        h = x if self.expand is None else self.expand(x)
        h = self.project(self.depthwise(h))
        return x + h if self.same_shape else h


class EfficientNetLite(nn.Layer):
    """One of the five networks, or another by its multipliers.

    Args:
        num_classes: number of logits.
        width: multiplies the channels.
        depth: multiplies the numbers of blocks.
        drop_rate: probability of dropping a feature before the last layer; the source has 0.2, from Lite2 on
            0.3.
        in_channels: channels of the images, 3 for RGB.

    Shape: (N, in_channels, H, W) -> logits (N, num_classes).

    Raises:
        UserError: `drop_rate` is not at least 0 and below 1.
    """

    def __init__(
        self,
        num_classes: int,
        width: float = 1.0,
        depth: float = 1.0,
        drop_rate: float = 0.2,
        *,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if not 0 <= drop_rate < 1:
            raise UserError(f"drop_rate: found {drop_rate}; it must be at least 0 and below 1")
        self.stem = conv_bn(in_channels, _STEM, 3, stride=2, relu6=True)  # (N, 32, H/2, W/2)
        channels, blocks = _STEM, []
        for stage in _STAGES:
            scaled = stage not in (_STAGES[0], _STAGES[-1])
            out_channels = scaled_channels(stage.channels, width)
            for position in range(math.ceil(depth * stage.blocks) if scaled else stage.blocks):
                stride = 1 if position else stage.stride
                blocks.append(InvertedResidual(channels, out_channels, stage.kernel, stride, stage.expansion))
                channels = out_channels
        self.blocks = nn.Sequential(*blocks)  # (N, 320 width, H/32, W/32)
        self.head = conv_bn(channels, _HEAD, relu6=True)  # (N, 1280, H/32, W/32)
        self.dropout = nn.Dropout(drop_rate)
        self.fc = nn.Linear(_HEAD, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(self.blocks(self.stem(x)))
        x = paddle.flatten(F.adaptive_avg_pool2d(x, 1), 1)
        return self.fc(self.dropout(x))


def scaled_channels(channels: int, width: float) -> int:
    """Return the multiple of 8 nearest to `channels * width`, but never less than 9/10 of that."""
    wanted = channels * width
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * wanted else nearest + 8


# Our names for the layers of the PyTorch package `efficientnet_lite_pytorch`, outside of blocks and inside
_LAYERS = {"_conv_stem": "stem.0", "_bn0": "stem.1", "_conv_head": "head.0", "_bn1": "head.1", "_fc": "fc"}
_LAYERS_OF_A_BLOCK = {
    "_expand_conv": "expand.0",
    "_bn0": "expand.1",
    "_depthwise_conv": "depthwise.0",
    "_bn1": "depthwise.1",
    "_project_conv": "project.0",
    "_bn2": "project.1",
}
_TENSORS = {"weight": "weight", "bias": "bias", "running_mean": "_mean", "running_var": "_variance"}


def from_pytorch_names(arrays: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Return the weights of `efficientnet_lite_pytorch` under our names and in our shapes.

    Args:
        arrays: its state dict, such as `_blocks.3._depthwise_conv.weight`.

    Returns:
        Weights for `EfficientNetLite`, `blocks.3.depthwise.0.weight` for example; the linear layer's is
        transposed, since Paddle's are (in, out), and the numbers of batches that were seen are left out.

    Raises:
        UserError: a name that no EfficientNet-Lite of that package has.
    """
    return {
        _our_name(name): array.T if name == "_fc.weight" else array
        for name, array in arrays.items()
        if not name.endswith(".num_batches_tracked")
    }


def _our_name(name: str) -> str:
    match = re.fullmatch(r"(?:_(blocks\.\d+\.))?(\w+)\.(\w+)", name)
    block, layer, tensor = match.groups(default="") if match else ("", "", "")
    layers = _LAYERS_OF_A_BLOCK if block else _LAYERS
    if layer not in layers or tensor not in _TENSORS:
        raise UserError(f"{name}: not a tensor of an EfficientNet-Lite of efficientnet_lite_pytorch")
    return f"{block}{layers[layer]}.{_TENSORS[tensor]}"
