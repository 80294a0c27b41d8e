"""The residual networks for small images, with the three kinds of shortcut, or none.

He et al., "Deep Residual Learning for Image Recognition", 2015 (arXiv 1512.03385), sections 3.3 and 4.

    stage    output size   channels, basic / bottleneck   blocks
    stem     32 x 32       16                             -
    group1   32 x 32       16 / 64                        n
    group2   16 x 16       32 / 128                       n
    group3   8 x 8         64 / 256                       n
    head     1 x 1         classes                        -    global average pool, linear

n = (depth - 2) / 6 for basic blocks, (depth - 2) / 9 for bottlenecks.

The shortcut options of the paper, where the shape changes:

    A    channels are padded with zeros: no parameters (the paper's choice on CIFAR-10)
    B    a 1 x 1 convolution with batch normalisation
    C    the same on every shortcut, also where the shape stays

`none` is the plain network of the paper's figure 6, which degrades with depth. The paper's networks for
224 x 224 images are Paddle's own: see `imagenet.py`.
"""

from typing import Literal

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddle_wrn.errors import UserError

Shortcut = Literal["A", "B", "C", "none"]


def conv_bn(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution that keeps H and W (at stride 1) and batch normalisation; He init, fan-in."""
    he_init = paddle.ParamAttr(initializer=nn.initializer.KaimingNormal())
    convolution = nn.Conv2D(
        in_channels,
        out_channels,
        kernel,
        stride,
        padding=kernel // 2,
        weight_attr=he_init,
        bias_attr=False,  # batch normalisation subtracts it again
    )
    return nn.Sequential(convolution, nn.BatchNorm2D(out_channels))


class ZeroPadding(nn.Layer):
    """Shortcut A: every `stride`-th pixel, and zeros for the channels that are missing.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride), rounded up.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.missing, self.stride = out_channels - in_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(x, kernel_size=1, stride=self.stride)
        return F.pad(x, [0, 0, 0, self.missing, 0, 0, 0, 0])


def make_shortcut(kind: Shortcut, in_channels: int, out_channels: int, stride: int) -> nn.Layer | None:
    """Return the layer that a shortcut passes through, or None where it is the identity (or absent)."""
    same_shape = stride == 1 and in_channels == out_channels
    if kind == "none" or (same_shape and kind != "C"):
        return None
    if kind == "A":
        return ZeroPadding(in_channels, out_channels, stride)
    return conv_bn(in_channels, out_channels, 1, stride)


class ResidualBlock(nn.Layer):
    """The sum of a few layers and of what came in, and ReLU; the plain network leaves the sum out."""

    def __init__(
        self, residual: nn.Layer, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut
    ) -> None:
        super().__init__()
        self.residual = residual
        self.plain = shortcut == "none"
        self.shortcut = make_shortcut(shortcut, in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.plain:
            return F.relu(self.residual(x))
        skip = x if self.shortcut is None else self.shortcut(x)
        return F.relu(skip + self.residual(x))


class BasicBlock(ResidualBlock):
    """Two 3 x 3 convolutions.

    Shape: (N, in_channels, H, W) -> (N, width, H/stride, W/stride), rounded up.
    """

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1, shortcut: Shortcut = "B") -> None:
        residual = nn.Sequential(conv_bn(in_channels, width, 3, stride), nn.ReLU(), conv_bn(width, width, 3))
        super().__init__(residual, in_channels, width, stride, shortcut)


class Bottleneck(ResidualBlock):
    """1 x 1, 3 x 3 and 1 x 1 convolutions: the 3 x 3 one works on a quarter of the channels.

    Shape: (N, in_channels, H, W) -> (N, 4 width, H/stride, W/stride), rounded up.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, shortcut: Shortcut = "B") -> None:
        residual = nn.Sequential(
            conv_bn(in_channels, width, 1),
            nn.ReLU(),
            conv_bn(width, width, 3, stride),
            nn.ReLU(),
            conv_bn(width, 4 * width, 1),
        )
        super().__init__(residual, in_channels, 4 * width, stride, shortcut)


class ResNet(nn.Layer):
    """ResNet-depth for small images.

    Args:
        num_classes: number of logits.
        depth: 6 n + 2 with basic blocks, 9 n + 2 with bottlenecks.
        in_channels: channels of the images, 3 for RGB.
        block: `basic` or `bottleneck`.
        shortcut: the paper's option `A`, `B` or `C`, or `none` for the plain network.

    Shape: (N, in_channels, H, W) -> logits (N, num_classes).

    Raises:
        UserError: a depth that the block does not allow.
    """

    def __init__(
        self,
        num_classes: int,
        depth: int = 20,
        in_channels: int = 3,
        block: Literal["basic", "bottleneck"] = "basic",
        shortcut: Shortcut = "A",
    ) -> None:
        super().__init__()
        per_block = 6 if block == "basic" else 9
        num_blocks, rest = divmod(depth - 2, per_block)
        if rest or num_blocks < 1:
            raise UserError(
                f"depth: found {depth}; with {block} blocks it is {per_block} n + 2, n = 1, 2, ..."
            )
        block_class = BasicBlock if block == "basic" else Bottleneck
        self.stem = conv_bn(in_channels, 16, 3)  # (N, 16, H, W)
        channels = 16
        blocks = []
        for width in (16, 32, 64):
            for position in range(num_blocks):
                stride = 2 if position == 0 and width > 16 else 1
                blocks.append(block_class(channels, width, stride, shortcut))
                channels = block_class.expansion * width
        self.blocks = nn.Sequential(*blocks)  # (N, 64 or 256, H/4, W/4)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.stem(x)))
        return self.fc(paddle.flatten(F.adaptive_avg_pool2d(x, 1), 1))
