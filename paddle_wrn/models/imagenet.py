"""The residual networks for 224 x 224 images that Paddle ships, and their pretrained weights.

He et al. 2015 (arXiv 1512.03385), table 1: ResNet-18 and 34 of basic blocks, 50, 101 and 152 of bottlenecks;
and the wide bottleneck networks of Zagoruyko and Komodakis 2016 (arXiv 1605.07146), section 3.4. Layers and
shapes: `paddle.vision.models.resnet`.
"""

from pathlib import Path

from paddle import nn
from paddle.utils.download import get_weights_path_from_url
from paddle.vision import models as vision
from paddle.vision.models import resnet as paddle_resnet

from paddle_wrn.errors import UserError

NAMES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "wide_resnet101_2")


def paddle_model(num_classes: int, arch: str, in_channels: int = 3) -> nn.Layer:
    """Return one of Paddle's networks with fresh weights.

    Args:
        num_classes: number of logits.
        arch: one of `NAMES`.
        in_channels: channels of the images, 3 for RGB.

    Shape: (N, in_channels, H, W) -> logits (N, num_classes).
    """
    model = getattr(vision, arch)(num_classes=num_classes)
    if in_channels != 3:
        model.conv1 = nn.Conv2D(in_channels, 64, 7, stride=2, padding=3, bias_attr=False)
    return model


def download_weights(arch: str) -> Path:
    """Return the file of Paddle's ImageNet weights, fetched to its cache where it is not there yet.

    Raises:
        UserError: there are none for this network, or they cannot be fetched.
    """
    if arch not in NAMES:
        raise UserError(f"{arch}: no pretrained weights are offered; there are some for {', '.join(NAMES)}")
    url, md5 = paddle_resnet.model_urls[arch]
    try:
        return Path(get_weights_path_from_url(url, md5))
    except Exception as error:  # of the network in any form
        raise UserError(
            f"{arch}: the pretrained weights could not be fetched from {url} ({error}); "
            "fetch the file on another machine and give it with --model.weights FILE"
        ) from None
