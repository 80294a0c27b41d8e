"""Wide residual networks for small images.

Zagoruyko and Komodakis, "Wide Residual Networks", 2016 (arXiv 1605.07146), section 2 and table 1.

    stage    output size        channels   blocks
    conv1    H   x W            16         -
    group1   H   x W            16 k       n
    group2   H/2 x W/2          32 k       n
    group3   H/4 x W/4          64 k       n         n = (depth - 4) / 6, k = widen_factor
    head     1 x 1              classes    -         BN, ReLU, global average pool, linear

The paper trains on 32 x 32 images; any size of at least 4 x 4 works, because the pooling is global.

Most of the paper's networks consist of the block B(3,3), `BasicBlock`. `KernelBlock` is the general block
B(M), M being a list of kernel sizes (section 3.1). Depth is counted as the paper's tables label it: in
table 2, n = (depth - 4) / 6 whatever M is; in table 3, where a block has l = `deepening_factor` convolutions
of 3 x 3, n = (depth - 4) / (3 l).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddle_wrn.errors import UserError


def conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, bias: bool = False
) -> nn.Conv2D:
    """Return a convolution that keeps H and W (at stride 1), initialised as He et al. 2015 (fan-in)."""
    return nn.Conv2D(
        in_channels,
        out_channels,
        kernel,
        stride,
        padding=kernel // 2,
        weight_attr=paddle.ParamAttr(initializer=nn.initializer.KaimingNormal()),
        bias_attr=None if bias else False,
    )


class BasicBlock(nn.Layer):
    """The block B(3,3): BN-ReLU-conv, dropout, BN-ReLU-conv, and what came in is added.

    Where the shape changes, the shortcut is a 1 x 1 convolution on the first activated tensor.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride), rounded up.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        drop_rate: float = 0.0,
        *,
        conv_bias: bool = False,
    ) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2D(in_channels)
        self.conv1 = conv(in_channels, out_channels, 3, stride, bias=conv_bias)
        self.bn2 = nn.BatchNorm2D(out_channels)
        self.dropout = nn.Dropout(drop_rate)
        self.conv2 = conv(out_channels, out_channels, 3, bias=conv_bias)
        same_shape = stride == 1 and in_channels == out_channels
        self.shortcut = None if same_shape else conv(in_channels, out_channels, 1, stride, bias=conv_bias)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(x))
        skip = x if self.shortcut is None else self.shortcut(h)
        return skip + self.conv2(self.dropout(F.relu(self.bn2(self.conv1(h)))))


class KernelBlock(nn.Layer):
    """The block B(M): one BN-ReLU-conv per kernel size, dropout before each but the first.

    The stride and the shortcut are as in `BasicBlock`, which is B(3,3).

    Shape: (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride), rounded up.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        drop_rate: float = 0.0,
        *,
        kernels: tuple[int, ...],
        conv_bias: bool = False,
    ) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2D(in_channels)
        self.conv1 = conv(in_channels, out_channels, kernels[0], stride, bias=conv_bias)
        self.rest = nn.Sequential(
            *(
                nn.Sequential(
                    nn.BatchNorm2D(out_channels),
                    nn.ReLU(),
                    nn.Dropout(drop_rate),
                    conv(out_channels, out_channels, kernel, bias=conv_bias),
                )
                for kernel in kernels[1:]
            )
        )
        same_shape = stride == 1 and in_channels == out_channels
        self.shortcut = None if same_shape else conv(in_channels, out_channels, 1, stride, bias=conv_bias)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(x))
        skip = x if self.shortcut is None else self.shortcut(h)
        return skip + self.rest(self.conv1(h))


class NetworkBlock(nn.Layer):
    """A group: `num_blocks` blocks of one width, of which the first may change channels and size.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride), rounded up.
    """

    def __init__(
        self,
        num_blocks: int,
        in_channels: int,
        out_channels: int,
        block: Callable[..., nn.Layer] = BasicBlock,
        stride: int = 1,
        drop_rate: float = 0.0,
        *,
        conv_bias: bool = False,
    ) -> None:
        super().__init__()
        first = block(in_channels, out_channels, stride, drop_rate, conv_bias=conv_bias)
        rest = [
            block(out_channels, out_channels, 1, drop_rate, conv_bias=conv_bias)
            for _ in range(num_blocks - 1)
        ]
        self.layer = nn.Sequential(first, *rest)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class WideResNet(nn.Layer):
    """WRN-depth-widen_factor.

    Args:
        num_classes: number of logits.
        depth: number of convolutions counted as in the paper; 6 n + 4.
        widen_factor: the paper's k; group widths are 16 k, 32 k and 64 k channels.
        drop_rate: probability of dropping an activation between the two convolutions of a block.
        in_channels: channels of the images, 3 for RGB.
        conv_bias: give every convolution a bias, as the bird tutorial does; the paper has none.
        strides: of conv1 and the three groups. The paper's suit 32 x 32; with (2, 2, 2, 2) an image of
            96 x 96 costs about as much.
        conv_init: `he` (He et al. 2015, fan-in), or `tutorial`: the bird tutorial's much narrower normal
            distribution, under which every block begins close to doing nothing.
        kernels: kernel sizes of a block B(M), such as (3, 1, 3); without them it is B(3,3).
        deepening_factor: the paper's l, number of 3 x 3 convolutions in a block, which then are fewer.

    Shape: (N, in_channels, H, W) -> logits (N, num_classes).

    Raises:
        UserError: an argument outside its range; for a wrong depth the nearest right ones are named.
    """

    def __init__(
        self,
        num_classes: int,
        depth: int = 28,
        widen_factor: int = 1,
        drop_rate: float = 0.0,
        *,
        in_channels: int = 3,
        conv_bias: bool = False,
        strides: tuple[int, int, int, int] = (1, 1, 2, 2),
        conv_init: Literal["he", "tutorial"] = "he",
        kernels: tuple[int, ...] | None = None,
        deepening_factor: int = 2,
    ) -> None:
        super().__init__()
        _check(num_classes, widen_factor, drop_rate, in_channels, strides, kernels, deepening_factor)
        num_blocks = _blocks_of_a_group(depth, deepening_factor)
        kernels = kernels or (3,) * deepening_factor
        block = BasicBlock if kernels == (3, 3) else partial(KernelBlock, kernels=kernels)
        widths = [16 * widen_factor, 32 * widen_factor, 64 * widen_factor]

        def group(channels_in: int, channels_out: int, stride: int) -> NetworkBlock:
            return NetworkBlock(
                num_blocks, channels_in, channels_out, block, stride, drop_rate, conv_bias=conv_bias
            )

        # sizes are those of the paper's strides
        self.conv1 = conv(in_channels, 16, 3, strides[0], bias=conv_bias)  # (N, 16, H, W)
        self.group1 = group(16, widths[0], strides[1])  # (N, 16 k, H, W)
        self.group2 = group(widths[0], widths[1], strides[2])  # (N, 32 k, H/2, W/2)
        self.group3 = group(widths[1], widths[2], strides[3])  # (N, 64 k, H/4, W/4)
        self.bn = nn.BatchNorm2D(widths[2])
        self.fc = nn.Linear(widths[2], num_classes)
        if conv_init == "tutorial":
            for layer in self.sublayers():
                if isinstance(layer, nn.Conv2D):
                    _narrow(layer)

    def forward(self, x: Tensor) -> Tensor:
        x = self.group3(self.group2(self.group1(self.conv1(x))))
        x = F.adaptive_avg_pool2d(F.relu(self.bn(x)), 1)
        return self.fc(paddle.flatten(x, 1))


def _narrow(layer: nn.Conv2D) -> None:
    """Draw the weights with the tutorial's standard deviation, sqrt(2 / (out * in * kernel height))."""
    shape = layer.weight.shape
    layer.weight.set_value(paddle.normal(0.0, math.sqrt(2 / (shape[0] * shape[1] * shape[2])), shape))


def _blocks_of_a_group(depth: int, deepening_factor: int) -> int:
    """Return the paper's n."""
    per_block = 3 * deepening_factor
    num_blocks, rest = divmod(depth - 4, per_block)
    if num_blocks < 1 or rest:
        smallest = per_block + 4
        below = num_blocks * per_block + 4
        nearest = (
            f"the nearest are {below} and {below + per_block}"
            if depth > smallest
            else f"the smallest is {smallest}"
        )
        raise UserError(
            f"depth: found {depth}; a wide ResNet has depth {per_block} n + 4 with n = 1, 2, ...: {nearest}"
        )
    return num_blocks


def _check(
    num_classes: int,
    widen_factor: int,
    drop_rate: float,
    in_channels: int,
    strides: tuple[int, ...],
    kernels: tuple[int, ...] | None,
    deepening_factor: int,
) -> None:
    at_least_1 = {
        "num_classes": num_classes,
        "widen_factor": widen_factor,
        "in_channels": in_channels,
        "strides": min(strides),
        "deepening_factor": deepening_factor,
    }
    for name, value in at_least_1.items():
        if value < 1:
            raise UserError(f"{name}: found {value}; it must be at least 1")
    if not 0 <= drop_rate < 1:
        raise UserError(f"drop_rate: found {drop_rate}; it must be at least 0 and below 1")
    if kernels is not None and (not kernels or any(kernel < 1 or kernel % 2 == 0 for kernel in kernels)):
        raise UserError(f"kernels: found {list(kernels)}; odd kernel sizes are needed, such as [3, 1, 3]")
    if kernels is not None and deepening_factor != 2:
        raise UserError(
            f"kernels: found together with deepening_factor {deepening_factor}; give one of them, "
            "kernels [3, 3, 3] or deepening_factor 3"
        )
