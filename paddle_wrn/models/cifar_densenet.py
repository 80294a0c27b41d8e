"""The DenseNet of the CIFAR-10 comparison.

Huang et al., "Densely Connected Convolutional Networks", 2016 (arXiv 1608.06993), section 3, with bottleneck
layers and compression (DenseNet-BC): 239,146 parameters.

    stage         output size   channels in   layers   channels out
    stem          32 x 32       3             -        32
    block1        32 x 32       32            6        128, halved to 64
    block2        16 x 16       64            6        160, halved to 80
    block3        8 x 8         80            6        176, halved to 88
    block4        4 x 4         88            6        184
    head          1 x 1         184           -        classes    BN, act, global average pool, linear
"""

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddle_wrn.models.activations import Activation, activation_layer

_GROWTH = 16  # channels that each layer adds
_BOTTLENECK = 2  # channels between the two convolutions of a layer, in units of the growth
_LAYERS = (6, 6, 6, 6)


def conv(in_channels: int, out_channels: int, kernel: int, *, bias: bool = False) -> nn.Conv2D:
    """Return a convolution that keeps H and W, initialised as He et al. 2015 (fan-in)."""
    return nn.Conv2D(
        in_channels,
        out_channels,
        kernel,
        padding=kernel // 2,
        weight_attr=paddle.ParamAttr(initializer=nn.initializer.KaimingNormal()),
        bias_attr=None if bias else False,
    )


class DenseLayer(nn.Layer):
    """BN-act-conv 1x1-BN-act-conv 3x3; the result is put in front of what came in.

    Shape: (N, in_channels, H, W) -> (N, growth + in_channels, H, W).
    """

    def __init__(self, in_channels: int, activation: Activation = "relu") -> None:
        super().__init__()
        middle = _BOTTLENECK * _GROWTH
        self.net = nn.Sequential(
            nn.BatchNorm2D(in_channels),
            activation_layer(activation),
            conv(in_channels, middle, 1),
            nn.BatchNorm2D(middle),
            activation_layer(activation),
            conv(middle, _GROWTH, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        return paddle.concat([self.net(x), x], axis=1)


def transition(in_channels: int, activation: Activation) -> nn.Sequential:
    """Return BN-act-conv 1x1-average pool, which halves channels, height and width."""
    return nn.Sequential(
        nn.BatchNorm2D(in_channels),
        activation_layer(activation),
        conv(in_channels, in_channels // 2, 1),
        nn.AvgPool2D(2, stride=2),
    )


class CifarDenseNet(nn.Layer):
    """The DenseNet of the CIFAR-10 comparison.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images, 3 for RGB.
        activation: used throughout.

    Shape: (N, in_channels, H, W) -> logits (N, num_classes); H and W at least 8.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, activation: Activation = "relu") -> None:
        super().__init__()
        channels = _BOTTLENECK * _GROWTH
        self.stem = conv(in_channels, channels, 3, bias=True)  # (N, 32, H, W)
        stages: list[nn.Layer] = []
        for position, layers in enumerate(_LAYERS):
            if position > 0:
                stages.append(transition(channels, activation))
                channels //= 2
            for _ in range(layers):
                stages.append(DenseLayer(channels, activation))
                channels += _GROWTH
        self.blocks = nn.Sequential(*stages)  # (N, 184, H/8, W/8)
        self.bn = nn.BatchNorm2D(channels)
        self.act = activation_layer(activation)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn(self.blocks(self.stem(x))))
        return self.fc(paddle.flatten(F.adaptive_avg_pool2d(x, 1), 1))
