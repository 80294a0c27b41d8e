"""What computes here, with which settings, and who chose them: to send along with questions about speed."""

import os
import platform
from pathlib import Path

import paddle

from paddle_wrn import native
from paddle_wrn.system.device import CHOSEN, available_cores, select_device


def device_report(request: str = "auto", cpu_info: Path = Path("/proc/cpuinfo")) -> str:
    """Describe place, processor and processor settings, a line each.

    Args:
        request: the place that is asked for; see `device.select_device`.
        cpu_info: where Linux describes its processor.

    Raises:
        UserError: that place is not there.
    """
    device = select_device(request)
    lines = [
        ("PaddlePaddle", paddle.__version__),
        ("device", f"{device.name} ({device.reason})"),
        ("processor", f"{_processor(cpu_info)}, {available_cores()} cores for this process"),
        ("networks", f"on a processor computed by {native.describe()}"),
        *((name, _setting(name)) for name in ("FLAGS_paddle_num_threads", "MKL_DEBUG_CPU_TYPE")),
    ]
    return "\n".join(f"{name:26}{value}" for name, value in lines)


def _setting(name: str) -> str:
    if name in os.environ:
        return f"{os.environ[name]} ({'chosen by paddle_wrn' if name in CHOSEN else 'from your environment'})"
    return "not set"


def _processor(cpu_info: Path) -> str:
    try:
        lines = cpu_info.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
