"""Wide residual networks in PaddlePaddle: from a folder of photos to an honest classifier."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddle_wrn._version import __version__
from paddle_wrn.errors import ImageError, UserError
from paddle_wrn.system import device

if TYPE_CHECKING:
    from paddle_wrn.models import create_model, list_models
    from paddle_wrn.models.wide_resnet import BasicBlock, NetworkBlock, WideResNet

__all__ = [
    "BasicBlock",
    "ImageError",
    "NetworkBlock",
    "UserError",
    "WideResNet",
    "__version__",
    "create_model",
    "list_models",
]

device.CHOSEN.update(device.prepare_environment())  # Paddle reads these settings once, when it is imported
try:
    device.check_paddle()
except UserError as error:
    called = Path(sys.argv[0]).stem if sys.argv else ""
    if called not in ("-m", "paddle_wrn"):  # -m: Python is still locating a command; or the console script
        raise ImportError(str(error)) from None
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(2) from None


def __getattr__(name: str) -> Any:
    """Import the public names on first use: `import paddle_wrn` itself stays fast."""
    if name in __all__:
        import paddle_wrn.models

        return getattr(paddle_wrn.models, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
