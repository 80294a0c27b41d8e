"""The networks once more in PyTorch, written from the papers and tutorials and not from `paddle_wrn`.

Layers with weights are defined in the order of `paddle_wrn.models`, because weights are carried over in that
order; what is computed with them is what the tests compare.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Conv(nn.Conv2d):
    """A convolution that keeps height and width at stride 1."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, bias: bool = False) -> None:
        super().__init__(c_in, c_out, kernel, stride, kernel // 2, bias=bias)


def pooled(x: Tensor) -> Tensor:
    return x.mean((2, 3))


class WideBlock(nn.Module):
    """B(M) of Zagoruyko and Komodakis 2016."""

    def __init__(self, c_in: int, c_out: int, stride: int, kernels: Sequence[int], bias: bool) -> None:
        super().__init__()
        self.units = nn.ModuleList()
        channels = c_in
        for position, kernel in enumerate(kernels):
            convolution = Conv(channels, c_out, kernel, stride if position == 0 else 1, bias)
            self.units.append(nn.ModuleList([nn.BatchNorm2d(channels), convolution]))
            channels = c_out
        self.projection = None
        if stride != 1 or c_in != c_out:
            self.projection = Conv(c_in, c_out, 1, stride, bias)

    def forward(self, x: Tensor) -> Tensor:
        skip = x
        for position, (bn, convolution) in enumerate(self.units):
            x = F.relu(bn(x))
            if position == 0 and self.projection is not None:
                skip = self.projection(x)
            x = convolution(x)
        return x + skip


class WideResNet(nn.Module):
    """WRN of any block B(M) with n blocks a group."""

    def __init__(
        self, classes: int, n: int, k: int, kernels: Sequence[int] = (3, 3), bias: bool = False
    ) -> None:
        super().__init__()
        self.conv = Conv(3, 16, 3, 1, bias)
        blocks, channels = [], 16
        for width, stride in ((16 * k, 1), (32 * k, 2), (64 * k, 2)):
            for position in range(n):
                blocks.append(WideBlock(channels, width, stride if position == 0 else 1, kernels, bias))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.bn = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(pooled(F.relu(self.bn(self.blocks(self.conv(x))))))


def conv_bn_relu(c_in: int, c_out: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(Conv(c_in, c_out, kernel, bias=True), nn.BatchNorm2d(c_out), nn.ReLU())


class Inception(nn.Module):
    """Szegedy et al. 2014, figure 2 (b), with batch normalisation."""

    def __init__(self, c_in: int, reduce: tuple[int, int], out: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.one = conv_bn_relu(c_in, out[0], 1)
        self.three = nn.Sequential(conv_bn_relu(c_in, reduce[0], 1), conv_bn_relu(reduce[0], out[1], 3))
        self.five = nn.Sequential(conv_bn_relu(c_in, reduce[1], 1), conv_bn_relu(reduce[1], out[2], 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_bn_relu(c_in, out[3], 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


def googlenet(classes: int) -> nn.Sequential:
    """Return the small GoogLeNet of the CIFAR-10 comparison."""
    return nn.Sequential(
        conv_bn_relu(3, 64, 3),
        Inception(64, (32, 16), (16, 32, 8, 8)),
        Inception(64, (32, 16), (24, 48, 12, 12)),
        nn.MaxPool2d(3, 2, 1),
        Inception(96, (32, 16), (24, 48, 12, 12)),
        Inception(96, (32, 16), (16, 48, 16, 16)),
        Inception(96, (32, 16), (16, 48, 16, 16)),
        Inception(96, (32, 16), (32, 48, 24, 24)),
        nn.MaxPool2d(3, 2, 1),
        Inception(128, (48, 16), (32, 64, 16, 16)),
        Inception(128, (48, 16), (32, 64, 16, 16)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, classes),
    )


class PostBlock(nn.Module):
    """Two convolutions, batch normalisation, ReLU after the sum; the shortcut is given."""

    def __init__(
        self, c_in: int, c_out: int, stride: int, shortcut: nn.Module | None, bias: bool = False
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            Conv(c_in, c_out, 3, stride, bias),
            nn.BatchNorm2d(c_out),
            nn.ReLU(),
            Conv(c_out, c_out, 3, 1, bias),
            nn.BatchNorm2d(c_out),
        )
        self.shortcut = shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.shortcut(x))


class PreBlock(nn.Module):
    """BN-ReLU-conv twice; a shortcut that shrinks is BN-ReLU-conv 1 x 1."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.BatchNorm2d(c_in),
            nn.ReLU(),
            Conv(c_in, c_out, 3, stride),
            nn.BatchNorm2d(c_out),
            nn.ReLU(),
            Conv(c_out, c_out, 3),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride == 2:
            self.shortcut = nn.Sequential(nn.BatchNorm2d(c_in), nn.ReLU(), Conv(c_in, c_out, 1, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x) + self.shortcut(x)


def comparison_resnet(classes: int, preact: bool) -> nn.Sequential:
    """Return ResNet or ResNetPreAct of the CIFAR-10 comparison: groups of 3, 16, 32 and 64 channels."""
    layers: list[nn.Module] = [Conv(3, 16, 3)]
    if not preact:
        layers += [nn.BatchNorm2d(16), nn.ReLU()]
    channels = 16
    for width in (16, 32, 64):
        for _ in range(3):
            stride = 2 if width > channels else 1
            if preact:
                layers.append(PreBlock(channels, width, stride))
            else:
                shortcut = Conv(channels, width, 1, 2, bias=True) if stride == 2 else None
                layers.append(PostBlock(channels, width, stride, shortcut))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


class Dense(nn.Module):
    """Layers whose result is put in front of their input, or behind it."""

    def __init__(self, layers: nn.Module, in_front: bool) -> None:
        super().__init__()
        self.layers, self.in_front = layers, in_front

    def forward(self, x: Tensor) -> Tensor:
        new = self.layers(x)
        return torch.cat([new, x] if self.in_front else [x, new], 1)


def comparison_densenet(classes: int) -> nn.Sequential:
    """Return the DenseNet of the CIFAR-10 comparison: growth 16, bottleneck 2, 4 x 6 layers."""
    layers: list[nn.Module] = [Conv(3, 32, 3, bias=True)]
    channels = 32
    for block in range(4):
        for _ in range(6):
            unit = nn.Sequential(
                nn.BatchNorm2d(channels), nn.ReLU(), Conv(channels, 32, 1),
                nn.BatchNorm2d(32), nn.ReLU(), Conv(32, 16, 3),
            )  # fmt: skip
            layers.append(Dense(unit, in_front=True))
            channels += 16
        if block < 3:
            layers += [
                nn.BatchNorm2d(channels), nn.ReLU(), Conv(channels, channels // 2, 1), nn.AvgPool2d(2),
            ]  # fmt: skip
            channels //= 2
    layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(184, classes))


def textbook_stem(channels: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, 64, 7, 2, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]


def textbook_resnet18(classes: int, channels: int) -> nn.Sequential:
    """Return ResNet-18 of Dive into Deep Learning."""
    layers = textbook_stem(channels)
    before = 64
    for width in (64, 128, 256, 512):
        shortcut = None if width == before else Conv(before, width, 1, 2, bias=True)
        layers.append(PostBlock(before, width, 1 if width == before else 2, shortcut, bias=True))
        layers.append(PostBlock(width, width, 1, None, bias=True))
        before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def textbook_densenet(classes: int, channels: int) -> nn.Sequential:
    """Return DenseNet of Dive into Deep Learning."""
    layers = textbook_stem(channels)
    width = 64
    for block in range(4):
        for _ in range(4):
            unit = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), Conv(width, 32, 3, bias=True))
            layers.append(Dense(unit, in_front=False))
            width += 32
        if block < 3:
            layers += [
                nn.BatchNorm2d(width), nn.ReLU(), Conv(width, width // 2, 1, bias=True), nn.AvgPool2d(2),
            ]  # fmt: skip
            width //= 2
    layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(248, classes))


class OptionA(nn.Module):
    """Every second pixel, and zeros in the place of the new channels."""

    def __init__(self, missing: int, stride: int) -> None:
        super().__init__()
        self.missing, self.stride = missing, stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        zeros = torch.zeros(len(x), self.missing, *x.shape[2:], dtype=x.dtype)
        return torch.cat([x, zeros], 1)


class BottleneckBlock(nn.Module):
    """1 x 1, 3 x 3, 1 x 1, each with batch normalisation; ReLU after the sum."""

    def __init__(self, c_in: int, width: int, stride: int, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            Conv(c_in, width, 1), nn.BatchNorm2d(width), nn.ReLU(),
            Conv(width, width, 3, stride), nn.BatchNorm2d(width), nn.ReLU(),
            Conv(width, 4 * width, 1), nn.BatchNorm2d(4 * width),
        )  # fmt: skip
        self.shortcut = shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.shortcut(x))


def small_resnet(classes: int, n: int, option: str, bottleneck: bool = False) -> nn.Sequential:
    """Return the CIFAR-10 network of He et al. 2015 with n blocks a group and shortcut option A, B or C."""
    layers: list[nn.Module] = [Conv(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU()]
    channels = 16
    for width in (16, 32, 64):
        out = 4 * width if bottleneck else width
        for position in range(n):
            stride = 2 if width > 16 and position == 0 else 1
            shortcut: nn.Module | None = None
            if option == "C" or (option == "B" and channels != out):
                shortcut = nn.Sequential(Conv(channels, out, 1, stride), nn.BatchNorm2d(out))
            elif channels != out:
                shortcut = OptionA(out - channels, stride)
            block = BottleneckBlock if bottleneck else PostBlock
            layers.append(block(channels, width, stride, shortcut))
            channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def large_resnet(classes: int, blocks: Sequence[int], bottleneck: bool) -> nn.Sequential:
    """Return an ImageNet network of He et al. 2015, table 1."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    channels = 64
    for count, width in zip(blocks, (64, 128, 256, 512), strict=True):
        out = 4 * width if bottleneck else width
        for position in range(count):
            stride = 2 if width > 64 and position == 0 else 1
            shortcut = None
            if channels != out:
                shortcut = nn.Sequential(Conv(channels, out, 1, stride), nn.BatchNorm2d(out))
            block = BottleneckBlock if bottleneck else PostBlock
            layers.append(block(channels, width, stride, shortcut))
            channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class FlowerBlock(nn.Module):
    """Conv 5x5 to 30 channels, conv 3x3 back, the sum, ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(Conv(channels, 30, 5, bias=True), Conv(30, channels, 3, bias=True))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.residual(x))


def flowernet(classes: int) -> nn.Sequential:
    """Return the flower tutorial's network."""
    return nn.Sequential(
        nn.Conv2d(3, 20, 5), nn.MaxPool2d(2), nn.ReLU(), FlowerBlock(20),
        nn.Conv2d(20, 15, 3), nn.MaxPool2d(2), nn.ReLU(), FlowerBlock(15),
        nn.Flatten(), nn.Linear(43_740, classes),
    )  # fmt: skip
