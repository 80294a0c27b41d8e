"""Which versions results depend on."""

import platform
from importlib.metadata import version

import paddle

from paddle_wrn._version import __version__


def versions() -> dict[str, str]:
    """Return the versions that results depend on."""
    libraries = ("numpy", "pillow")
    return {
        "paddle_wrn": __version__,
        "paddle": paddle.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
    }
