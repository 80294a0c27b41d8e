"""A small GoogLeNet for 32 x 32 images.

The Inception network of Szegedy et al., "Going Deeper with Convolutions", 2014 (arXiv 1409.4842), section 5,
without auxiliary heads and with batch normalisation, scaled down to CIFAR-10: 260,650 parameters.

    stage    output size   channels
    stem     32 x 32       64
    group1   32 x 32       64, 96            then max pooling 3 x 3, stride 2
    group2   16 x 16       96, 96, 96, 128   then max pooling 3 x 3, stride 2
    group3   8 x 8         128, 128
    head     1 x 1         classes           global average pool, linear
"""

from typing import NamedTuple

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddle_wrn.models.activations import Activation, activation_layer


class Widths(NamedTuple):
    """Channels of the branches of an Inception block."""

    reduce_3x3: int
    reduce_5x5: int
    out_1x1: int
    out_3x3: int
    out_5x5: int
    out_pool: int

    @property
    def out(self) -> int:
        """Channels of the concatenated branches."""
        return self.out_1x1 + self.out_3x3 + self.out_5x5 + self.out_pool


_GROUPS = (
    (Widths(32, 16, 16, 32, 8, 8), Widths(32, 16, 24, 48, 12, 12)),
    (
        Widths(32, 16, 24, 48, 12, 12),
        Widths(32, 16, 16, 48, 16, 16),
        Widths(32, 16, 16, 48, 16, 16),
        Widths(32, 16, 32, 48, 24, 24),
    ),
    (Widths(48, 16, 32, 64, 16, 16), Widths(48, 16, 32, 64, 16, 16)),
)


def conv_bn(in_channels: int, out_channels: int, kernel: int, activation: Activation) -> nn.Sequential:
    """Return a convolution with bias that keeps H and W, batch normalisation and the activation."""
    he_init = paddle.ParamAttr(initializer=nn.initializer.KaimingNormal())  # fan-in
    return nn.Sequential(
        nn.Conv2D(in_channels, out_channels, kernel, padding=kernel // 2, weight_attr=he_init),
        nn.BatchNorm2D(out_channels),
        activation_layer(activation),
    )


class InceptionBlock(nn.Layer):
    """Four branches side by side: 1x1; 1x1 and 3x3; 1x1 and 5x5; max pooling and 1x1.

    Shape: (N, in_channels, H, W) -> (N, widths.out, H, W).
    """

    def __init__(self, in_channels: int, widths: Widths, activation: Activation = "relu") -> None:
        super().__init__()
        self.branch_1x1 = conv_bn(in_channels, widths.out_1x1, 1, activation)
        self.branch_3x3 = nn.Sequential(
            conv_bn(in_channels, widths.reduce_3x3, 1, activation),
            conv_bn(widths.reduce_3x3, widths.out_3x3, 3, activation),
        )
        self.branch_5x5 = nn.Sequential(
            conv_bn(in_channels, widths.reduce_5x5, 1, activation),
            conv_bn(widths.reduce_5x5, widths.out_5x5, 5, activation),
        )
        self.branch_pool = nn.Sequential(
            nn.MaxPool2D(3, stride=1, padding=1), conv_bn(in_channels, widths.out_pool, 1, activation)
        )

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.branch_1x1(x), self.branch_3x3(x), self.branch_5x5(x), self.branch_pool(x))
        return paddle.concat(branches, axis=1)


class GoogLeNet(nn.Layer):
    """The small GoogLeNet of the CIFAR-10 comparison.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images, 3 for RGB.
        activation: after every batch normalisation.

    Shape: (N, in_channels, H, W) -> logits (N, num_classes).
    """

    def __init__(self, num_classes: int, in_channels: int = 3, activation: Activation = "relu") -> None:
        super().__init__()
        self.stem = conv_bn(in_channels, 64, 3, activation)  # (N, 64, H, W)
        channels = 64
        groups = []
        for group_widths in _GROUPS:
            blocks = []
            for widths in group_widths:
                blocks.append(InceptionBlock(channels, widths, activation))
                channels = widths.out
            groups.append(nn.Sequential(*blocks))
        self.group1, self.group2, self.group3 = groups
        self.pool = nn.MaxPool2D(3, stride=2, padding=1)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.group1(self.stem(x)))  # (N, 96, H/2, W/2)
        x = self.pool(self.group2(x))  # (N, 128, H/4, W/4)
        x = self.group3(x)
        return self.fc(paddle.flatten(F.adaptive_avg_pool2d(x, 1), 1))
