"""Several processes that train one network together, started by Paddle's launcher.

    python -m paddle.distributed.launch --nproc_per_node 2 python -m paddle_wrn.train --data data/my_birds

Each takes its share of every batch; gradients are added up, so all have the same weights after every step.
The first process alone writes the run folder. A process that was not launched is the first of one.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import paddle
import paddle.distributed as dist
from numpy.typing import NDArray

from paddle_wrn.errors import UserError
from paddle_wrn.system.device import Device

Result = TypeVar("Result")

PATIENCE = 1800  # seconds that the others may need longer to read photos or to write results
LAUNCHER_LOOKS = 2  # seconds; it looks every second whether a process has ended
_ARRIVED = "paddle_wrn/arrived"


@dataclass(frozen=True)
class Processes:
    """The processes of one training, as one of them sees them; all must call the same methods in turn.

    Attributes:
        rank: number of this one, from 0.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes and speaks."""
        return self.rank == 0

    def share(self, total: int) -> slice:
        """Return which of `total` photos are for this process; shares differ by one photo at most."""
        return slice(total * self.rank // self.count, total * (self.rank + 1) // self.count)

    def sum(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the element-wise sum over all processes, the same bits on each."""
        return values if self.count == 1 else _all_reduce(values, dist.ReduceOp.SUM)

    def largest(self, number: int) -> int:
        """Return the largest number that any process has."""
        if self.count == 1:
            return number
        return int(_all_reduce(np.array([number], np.int64), dist.ReduceOp.MAX)[0])

    def add_up(self, tensors: Sequence[paddle.Tensor], weight: float = 1.0) -> None:
        """Replace float32 tensors by their weighted sums over all processes, in one exchange."""
        if self.count == 1 or not tensors:
            return
        with paddle.no_grad():
            flat = paddle.concat([tensor.flatten() for tensor in tensors])
            if weight != 1:
                flat *= weight
            with _exchange():
                dist.all_reduce(flat)
            parts = paddle.split(flat, [tensor.size for tensor in tensors])
            for tensor, part in zip(tensors, parts, strict=True):
                paddle.assign(part.reshape(tensor.shape), tensor)

    def first(self, work: Callable[[], Result]) -> Result:
        """Return, on every process, what `work` returns on the first, which alone does it.

        Args:
            work: returns what JSON can hold.

        Raises:
            UserError: on every process, what `work` raises.
        """
        if self.count == 1:
            return work()
        content = b""
        with self.together():
            if self.is_first:
                content = json.dumps(work()).encode()
        result: Result = json.loads(self.broadcast(content))
        return result

    def first_then_others(self, work: Callable[[], Result]) -> Result:
        """Do `work` on the first process and then on the others, who find what the first has made."""
        for turn in (self.is_first, not self.is_first):
            with self.together():
                if turn:
                    result = work()
        return result

    def broadcast(self, content: bytes, source: int = 0) -> bytes:
        """Return, on every process, what process `source` gives."""
        if self.count == 1:
            return content
        with _exchange():
            size = paddle.to_tensor(np.array([len(content)], np.int64))
            dist.broadcast(size, source)
            if size.item() == 0:  # Paddle refuses to send nothing
                return b""
            data = (
                np.frombuffer(content, np.uint8) if self.rank == source else np.zeros(size.item(), np.uint8)
            )
            tensor = paddle.to_tensor(data)
            dist.broadcast(tensor, source)
            return bytes(tensor.numpy().tobytes())

    @contextmanager
    def together(self) -> Iterator[None]:
        """Wait at the end until all processes have come here; what fails on one fails on all.

        Raises:
            UserError: on every process, the mistake of the first that has one.
        """
        if self.count == 1:
            yield
            return
        mistake: Exception | None = None
        try:
            yield
        except Exception as error:  # whatever it is: the others must not wait for ever
            mistake = error
        self.wait()
        source = self.count - self.largest(0 if mistake is None else self.count - self.rank)
        if source < self.count:
            sentence = self.broadcast(str(mistake).encode(), source).decode()
            if mistake is not None and not isinstance(mistake, UserError):
                raise mistake
            raise UserError(f"process {source}: {sentence}" if source else sentence)

    def wait(self) -> None:
        """Wait until all processes have come here.

        An exchange by gloo fails if one process comes 30 seconds after the others, so before each that may
        be late they wait in this way, by counting.
        """
        if self.count == 1:
            return
        store = paddle.base.core.create_or_get_global_tcp_store()  # the launcher's; has no public name
        give_up = time.monotonic() + PATIENCE
        with _exchange():
            arrived = store.add(_ARRIVED, 1)
            all_here = -(-arrived // self.count) * self.count  # a process cannot be two rounds ahead
            while arrived < all_here:
                if time.monotonic() > give_up:
                    raise TimeoutError(f"not all came within {PATIENCE // 60} minutes")
                time.sleep(0.01)
                arrived = store.add(_ARRIVED, 0)


ALONE = Processes()


def refuse_launcher(command: str) -> None:
    """Raise `UserError` if Paddle's launcher has started several processes of a command that needs one."""
    count = os.environ.get("PADDLE_TRAINERS_NUM", "1")
    if count != "1":
        raise UserError(f"{command}: found {count} processes started by Paddle's launcher; run it without")


def join_processes() -> Processes:
    """Meet the processes that Paddle's launcher has started; without it, return the only one.

    Raises:
        UserError: they cannot be reached.
    """
    if os.environ.get("PADDLE_TRAINERS_NUM", "1") == "1":
        return ALONE
    if not dist.is_initialized():
        with _exchange():
            dist.init_parallel_env()
    return Processes(dist.get_rank(), dist.get_world_size())


def refuse_other_device(request: str, device: Device, processes: Processes) -> None:
    """Raise `UserError` if the processes cannot exchange what they compute on this device.

    Args:
        request: what was asked for, see `device.select_device`.
        device: what was selected.
        processes: who exchanges.
    """
    if processes.count == 1:
        return
    if ":" in request:
        raise UserError(
            f"device {request}: the launcher gives every process a card; "
            "use --device auto, and choose cards with the launcher's --devices"
        )
    backend = "nccl" if device.is_gpu else "gloo"
    if (os.environ.get("PADDLE_DISTRI_BACKEND") == "gloo") != (backend == "gloo"):
        raise UserError(
            f"device {device.name}: the launcher has not prepared the processes for it; "
            f"launch them with PADDLE_DISTRI_BACKEND={backend} in the environment"
        )


def _all_reduce(values: NDArray[Any], operation: int) -> NDArray[Any]:
    tensor = paddle.to_tensor(values)
    with _exchange():
        dist.all_reduce(tensor, operation)
        total: NDArray[Any] = tensor.numpy()
    return total


@contextmanager
def _exchange() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the connection of another that has ended breaks off in many ways
        time.sleep(LAUNCHER_LOOKS)  # it is to find the one that ended first, and names that
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rpartition("] ")[2]
        raise UserError(
            f"another process of this training has ended or cannot be reached ({reason}); "
            "the launcher says which, and its log folder why"
        ) from None
