"""The ResNet and the pre-activation ResNet of the CIFAR-10 comparison.

He et al., "Deep Residual Learning for Image Recognition", 2015 (arXiv 1512.03385), section 4.2, and "Identity
Mappings in Deep Residual Networks", 2016 (arXiv 1603.05027), figure 1.

    stage    output size   channels   blocks
    stem     32 x 32       16         -
    group1   32 x 32       16         3
    group2   16 x 16       32         3
    group3   8 x 8         64         3
    head     1 x 1         classes    -        global average pool, linear

272,378 parameters, with pre-activation 272,250. The networks of the paper with their shortcut options are in
`resnet.py`; here the shortcut convolution has a bias and no batch normalisation.
"""

import math
from typing import Literal

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddle_wrn.models.activations import Activation, activation_layer

_CHANNELS = (16, 32, 64)
_BLOCKS = (3, 3, 3)


def conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, bias: bool = False
) -> nn.Conv2D:
    """Return a convolution that keeps H and W (at stride 1), initialised as He et al. 2015, fan-out."""
    std = math.sqrt(2 / (out_channels * kernel * kernel))
    return nn.Conv2D(
        in_channels,
        out_channels,
        kernel,
        stride,
        padding=kernel // 2,
        weight_attr=paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, std)),
        bias_attr=None if bias else False,
    )


class BasicBlock(nn.Layer):
    """Conv-BN-act-conv-BN, what came in is added, and act.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride), rounded up.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, activation: Activation = "relu"
    ) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, out_channels, 3, stride)
        self.bn1 = nn.BatchNorm2D(out_channels)
        self.conv2 = conv(out_channels, out_channels, 3)
        self.bn2 = nn.BatchNorm2D(out_channels)
        self.shortcut = None if stride == 1 else conv(in_channels, out_channels, 1, stride, bias=True)
        self.act = activation_layer(activation)

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.shortcut is None else self.shortcut(x)
        return self.act(skip + self.bn2(self.conv2(self.act(self.bn1(self.conv1(x))))))


class PreActBlock(nn.Layer):
    """BN-act-conv-BN-act-conv, and what came in is added; a shortcut that shrinks is BN-act-conv 1 x 1.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride), rounded up.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, activation: Activation = "relu"
    ) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2D(in_channels)
        self.conv1 = conv(in_channels, out_channels, 3, stride)
        self.bn2 = nn.BatchNorm2D(out_channels)
        self.conv2 = conv(out_channels, out_channels, 3)
        self.shortcut = None
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.BatchNorm2D(in_channels),
                activation_layer(activation),
                conv(in_channels, out_channels, 1, stride),
            )
        self.act = activation_layer(activation)

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.shortcut is None else self.shortcut(x)
        return skip + self.conv2(self.act(self.bn2(self.conv1(self.act(self.bn1(x))))))


class CifarResNet(nn.Layer):
    """ResNet, or with `block="preact"` ResNetPreAct, of the CIFAR-10 comparison.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images, 3 for RGB.
        block: `basic` (activation after the sum) or `preact` (before every convolution).
        activation: used throughout.

    Shape: (N, in_channels, H, W) -> logits (N, num_classes).
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        block: Literal["basic", "preact"] = "basic",
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.stem = conv(in_channels, 16, 3)  # (N, 16, H, W)
        if block == "basic":
            self.stem = nn.Sequential(self.stem, nn.BatchNorm2D(16), activation_layer(activation))
        block_class = BasicBlock if block == "basic" else PreActBlock
        blocks = []
        before = 16
        for channels, count in zip(_CHANNELS, _BLOCKS, strict=True):
            for _ in range(count):
                stride = 1 if channels == before else 2
                blocks.append(block_class(before, channels, stride, activation))
                before = channels
        self.blocks = nn.Sequential(*blocks)  # (N, 64, H/4, W/4)
        self.fc = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        return self.fc(paddle.flatten(F.adaptive_avg_pool2d(x, 1), 1))
