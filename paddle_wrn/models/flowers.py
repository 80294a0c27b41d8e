"""The small residual network of a flower-recognition tutorial, for 224 x 224 images.

    stage    output size   channels
    conv1    220 x 220     20         5 x 5 without padding
    block1   110 x 110     20         after max pooling and ReLU
    conv2    108 x 108     15         3 x 3 without padding
    block2   54 x 54       15         after max pooling and ReLU
    head     1 x 1         classes    linear on all 43,740 values

258,735 parameters for 5 classes.
"""

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from paddle_wrn.errors import UserError

SIZE = 224


class ResidualBlock(nn.Layer):
    """Conv 5x5 to 30 channels, conv 3x3 back; what came in is added, and ReLU.

    Shape: (N, channels, H, W) -> (N, channels, H, W).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(channels, 30, 5, padding=2)
        self.conv2 = nn.Conv2D(30, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.conv2(self.conv1(x)))


class FlowerNet(nn.Layer):
    """The flower tutorial's network.

    Args:
        num_classes: number of logits.
        in_channels: channels of the images, 3 for RGB.

    Shape: (N, in_channels, 224, 224) -> logits (N, num_classes).

    Raises:
        UserError: in `forward`, images of another size: the last layer is made for this one.
    """

    def __init__(self, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(in_channels, 20, 5)
        self.block1 = ResidualBlock(20)
        self.conv2 = nn.Conv2D(20, 15, 3)
        self.block2 = ResidualBlock(15)
        self.fc = nn.Linear(15 * 54 * 54, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2:] != [SIZE, SIZE]:
            raise UserError(
                f"flowernet: found images of {x.shape[2]} x {x.shape[3]} pixels, but it takes "
                f"{SIZE} x {SIZE}; set --input.size {SIZE} and --augment.crop_size {SIZE}"
            )
        x = self.block1(F.relu(F.max_pool2d(self.conv1(x), 2)))  # (N, 20, 110, 110)
        x = self.block2(F.relu(F.max_pool2d(self.conv2(x), 2)))  # (N, 15, 54, 54)
        return self.fc(paddle.flatten(x, 1))
