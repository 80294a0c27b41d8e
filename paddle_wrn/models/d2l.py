"""ResNet-18 and DenseNet as the textbook "Dive into Deep Learning" (d2l.ai) builds them.

Chapter "Modern Convolutional Neural Networks", sections on ResNet and DenseNet. Written there for grey
images of 96 x 96; convolutions have a bias, the shortcut convolution no batch normalisation.

    stage     output size, ResNet-18 / DenseNet     channels, ResNet-18 / DenseNet
    stem      24 x 24                               64
    1         24 x 24                               64  / 192, halved to 96
    2         12 x 12                               128 / 224, halved to 112
    3         6 x 6                                 256 / 240, halved to 120
    4         3 x 3                                 512 / 248
    head      1 x 1                                 classes

11,178,378 and 758,226 parameters for grey images and 10 classes.
"""

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn


def stem(in_channels: int) -> nn.Sequential:
    """Return the beginning of both networks: (N, in_channels, H, W) -> (N, 64, H/4, W/4), rounded up."""
    return nn.Sequential(
        nn.Conv2D(in_channels, 64, 7, stride=2, padding=3),
        nn.BatchNorm2D(64),
        nn.ReLU(),
        nn.MaxPool2D(3, stride=2, padding=1),
    )


class Residual(nn.Layer):
    """Conv-BN-ReLU-conv-BN, what came in is added, and ReLU.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride), rounded up.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(in_channels, out_channels, 3, stride, padding=1)
        self.bn1 = nn.BatchNorm2D(out_channels)
        self.conv2 = nn.Conv2D(out_channels, out_channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2D(out_channels)
        same_shape = stride == 1 and in_channels == out_channels
        self.shortcut = None if same_shape else nn.Conv2D(in_channels, out_channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.shortcut is None else self.shortcut(x)
        return F.relu(skip + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class D2lResNet18(nn.Layer):
    """The textbook's ResNet-18.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images, 3 for RGB; the textbook's are grey.

    Shape: (N, in_channels, H, W) -> logits (N, num_classes).
    """

    def __init__(self, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        self.stem = stem(in_channels)
        blocks = []
        before = 64
        for channels in (64, 128, 256, 512):
            blocks += [
                Residual(before, channels, 1 if channels == before else 2),
                Residual(channels, channels),
            ]
            before = channels
        self.blocks = nn.Sequential(*blocks)  # (N, 512, H/32, W/32)
        self.fc = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        return self.fc(paddle.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class DenseBlock(nn.Layer):
    """BN-ReLU-conv units; the result of each is put behind all that came before.

    Shape: (N, in_channels, H, W) -> (N, in_channels + num_convs * growth, H, W).
    """

    def __init__(self, num_convs: int, in_channels: int, growth: int) -> None:
        super().__init__()
        self.units = nn.LayerList(
            nn.Sequential(
                nn.BatchNorm2D(in_channels + unit * growth),
                nn.ReLU(),
                nn.Conv2D(in_channels + unit * growth, growth, 3, padding=1),
            )
            for unit in range(num_convs)
        )

    def forward(self, x: Tensor) -> Tensor:
        for unit in self.units:
            x = paddle.concat([x, unit(x)], axis=1)
        return x


class D2lDenseNet(nn.Layer):
    """The textbook's DenseNet: growth 32, four dense blocks of four units.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images, 3 for RGB; the textbook's are grey.

    Shape: (N, in_channels, H, W) -> logits (N, num_classes); H and W at least 29.
    """

    def __init__(self, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        self.stem = stem(in_channels)
        channels, growth = 64, 32
        stages: list[nn.Layer] = []
        for position in range(4):
            if position > 0:  # transition: halve channels, height and width
                stages += [
                    nn.BatchNorm2D(channels),
                    nn.ReLU(),
                    nn.Conv2D(channels, channels // 2, 1),
                    nn.AvgPool2D(2, stride=2),
                ]
                channels //= 2
            stages.append(DenseBlock(4, channels, growth))
            channels += 4 * growth
        self.blocks = nn.Sequential(*stages)  # (N, 248, H/32, W/32)
        self.bn = nn.BatchNorm2D(channels)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.blocks(self.stem(x))))
        return self.fc(paddle.flatten(F.adaptive_avg_pool2d(x, 1), 1))
