"""Where Paddle computes, and with which processor settings."""

import importlib.metadata
import importlib.util
import os
import warnings
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from paddle_wrn.errors import UserError

INSTALL_HINT = (
    "install one with: pip install paddlepaddle (processor), or for an NVIDIA card follow "
    "https://www.paddlepaddle.org.cn/install/quick"
)

CHOSEN: dict[str, str] = {}  # the settings this package made when it was imported, since the user had not


def check_paddle() -> None:
    """Raise `UserError` unless exactly one PaddlePaddle is installed; imports nothing."""
    both = [name for name in ("paddlepaddle", "paddlepaddle-gpu") if _is_installed(name)]
    if len(both) == 2:
        raise UserError(
            "both paddlepaddle and paddlepaddle-gpu are installed and overwrite each other's files; "
            "run: pip uninstall -y paddlepaddle paddlepaddle-gpu, then install the one you want"
        )
    if importlib.util.find_spec("paddle") is None:
        raise UserError(f"PaddlePaddle is not installed; {INSTALL_HINT}")


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def prepare_environment(environment: MutableMapping[str, str] = os.environ) -> dict[str, str]:
    """Choose the processor settings that Paddle reads when it is imported.

    Paddle uses one thread unless told otherwise, and the MKL inside its wheel takes a slow path on AMD
    processors. A variable the user has set is left as it is.

    Returns:
        The settings of the processor that were chosen.
    """
    threads = environment.get("OMP_NUM_THREADS") or str(available_cores())
    settings = {"FLAGS_paddle_num_threads": threads} | ({"MKL_DEBUG_CPU_TYPE": "5"} if _is_amd() else {})
    chosen = {name: value for name, value in settings.items() if name not in environment}
    environment.update(chosen)
    # What Paddle tells its own developers is no news for the user of a command.
    environment.setdefault("GLOG_minloglevel", "2")  # errors
    for message in ("No ccache found", "When training, we now always track global mean and variance"):
        warnings.filterwarnings("ignore", message=message)
    return chosen


def available_cores() -> int:
    """Return the number of processor cores for this process: its part, if a launcher has started several."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = os.environ.get("PADDLE_LOCAL_SIZE", "")  # on this machine
    return max(1, cores // int(processes)) if processes.isdecimal() and int(processes) else cores


def _is_amd(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    try:
        return "AuthenticAMD" in cpu_info.read_text(errors="replace")
    except OSError:
        return False


@dataclass(frozen=True)
class Device:
    """A place to compute on: Paddle's name for it (`cpu`, `gpu:0`) and why it was chosen."""

    name: str
    reason: str

    @property
    def is_gpu(self) -> bool:
        """Whether this is a graphics card."""
        return self.name.startswith("gpu")


def select_device(request: str = "auto") -> Device:
    """Make Paddle compute on the requested place.

    Args:
        request: `auto` (a working GPU if there is one, else the processor), `cpu`, `gpu` or `gpu:N`.

    Raises:
        UserError: a GPU was asked for and none works, or the request is none of the four.
    """
    import paddle

    if request == "cpu":
        device = Device("cpu", "as asked")
    else:
        index = _gpu_index(request)
        obstacle = _gpu_obstacle(index)
        if obstacle is None:
            reason = "as asked" if request != "auto" else "a working GPU was found"
            device = Device(f"gpu:{index}", reason)
        elif request == "auto":
            device = Device("cpu", obstacle)
        else:
            raise UserError(f"device {request}: {obstacle}; use --device cpu or --device auto")
    paddle.set_device(device.name)
    return device


def _gpu_index(request: str) -> int:
    if request in ("auto", "gpu"):
        chosen = os.environ.get("FLAGS_selected_gpus", "")  # noqa: SIM112 - by the launcher, one a process
        return int(chosen) if chosen.isdecimal() else 0
    family, _, index = request.partition(":")
    if family != "gpu" or not index.isdecimal():
        raise UserError(f"device: found {request!r}; choose auto, cpu, gpu or gpu:N with N = 0, 1, ...")
    return int(index)


def _gpu_obstacle(index: int) -> str | None:
    """Return why GPU `index` cannot be used, or None if a small sum on it works.

    Asks whether there is a card before touching one: older versions of Paddle end the process otherwise.
    """
    import paddle

    if not paddle.device.is_compiled_with_cuda():
        return "this PaddlePaddle was built without GPU support"
    count = paddle.device.cuda.device_count()
    if count == 0:
        return "no GPU is visible"
    if index >= count:
        return f"only {count} GPU(s) are visible, numbered from 0"
    try:
        paddle.set_device(f"gpu:{index}")
        if paddle.ones([2]).sum().item() != 2.0:
            return f"GPU {index} computes wrongly"
    except Exception as error:  # drivers fail in many ways; each means: not this card
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return f"GPU {index} does not work with this PaddlePaddle ({lines[-1]})"
    return None
