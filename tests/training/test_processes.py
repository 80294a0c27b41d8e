"""Several processes, as far as no launcher is needed to try them: shares, devices and what is refused."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import paddle
import paddle.distributed as dist
import pytest
from conftest import RunMain

from paddle_wrn import check_labels, compare
from paddle_wrn.config import load_config
from paddle_wrn.errors import UserError
from paddle_wrn.system import device
from paddle_wrn.system.device import Device
from paddle_wrn.training.batches import refuse_small_batches
from paddle_wrn.training.processes import ALONE, Processes, join_processes, refuse_other_device


def test_shares_cover_a_batch_and_differ_by_one_photo() -> None:
    for total in (0, 1, 7, 32, 100):
        for count in (1, 2, 3, 8):
            shares = [Processes(rank, count).share(total) for rank in range(count)]
            assert [i for share in shares for i in range(total)[share]] == list(range(total))
            sizes = [share.stop - share.start for share in shares]
            assert max(sizes) - min(sizes) <= 1


def test_one_process_alone_exchanges_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PADDLE_TRAINERS_NUM", raising=False)
    monkeypatch.setattr("paddle_wrn.training.processes.dist", None)
    assert join_processes() == ALONE
    values = np.array([0.1, float("nan")])
    assert ALONE.sum(values) is values
    assert ALONE.largest(3) == 3
    assert ALONE.first(lambda: values) is values
    assert ALONE.broadcast(b"x") == b"x"
    ALONE.add_up([paddle.ones([1])], 0.0)
    ALONE.wait()
    with pytest.raises(KeyError), ALONE.together():
        raise KeyError


def test_processes_that_cannot_be_reached_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RuntimeError("[/somewhere/pair.cc:1] Connection refused\nlong story")

    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    monkeypatch.setattr(dist, "init_parallel_env", refuse)
    monkeypatch.setattr("paddle_wrn.training.processes.LAUNCHER_LOOKS", 0)
    with pytest.raises(UserError, match=r"^another process .* cannot be reached \(Connection refused\); "):
        join_processes()


@pytest.mark.parametrize(
    ("settings", "photos", "processes", "refused"),
    [
        ({"batch_size": 4}, 24, 4, None),
        ({"batch_size": 4}, 24, 5, "found 4, so that a batch of the 24 photos has only 4; each of the 5"),
        ({"batch_size": 5, "drop_last": True}, 21, 2, None),
        ({"batch_size": 5, "drop_last": False}, 21, 2, "has only 1; each of the 2"),
        ({"batch_size": 32}, 3, 4, "has only 3; each of the 4"),
    ],
)
def test_no_process_may_be_without_a_photo(
    settings: dict[str, Any], photos: int, processes: int, refused: str | None
) -> None:
    config = load_config(None, settings)
    if refused is None:
        refuse_small_batches(config, photos, Processes(0, processes))
    else:
        with pytest.raises(UserError, match=refused):
            refuse_small_batches(config, photos, Processes(0, processes))


@pytest.mark.parametrize(
    ("request_", "name", "backend", "refused"),
    [
        ("auto", "cpu", "gloo", None),
        ("auto", "gpu:1", "auto", None),
        ("gpu:1", "gpu:1", "auto", "device gpu:1: the launcher gives every process a card"),
        ("cpu", "cpu", "auto", "device cpu: .*PADDLE_DISTRI_BACKEND=gloo"),
        ("gpu", "gpu:0", "gloo", "device gpu:0: .*PADDLE_DISTRI_BACKEND=nccl"),
    ],
)
def test_the_device_must_be_the_launchers(
    request_: str, name: str, backend: str, refused: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PADDLE_DISTRI_BACKEND", backend)
    refuse_other_device(request_, Device(name, "test"), ALONE)
    if refused is None:
        refuse_other_device(request_, Device(name, "test"), Processes(0, 2))
    else:
        with pytest.raises(UserError, match=refused):
            refuse_other_device(request_, Device(name, "test"), Processes(0, 2))


def test_processes_on_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    found: Sequence[int] = []
    for processes in ("", "1", "2", "3", "16", "nonsense"):
        monkeypatch.setenv("PADDLE_LOCAL_SIZE", processes)
        found = [*found, device.available_cores()]
    assert found == [8, 8, 4, 2, 1, 8]


@pytest.mark.parametrize(
    ("main", "words"), [(compare.main, ("configs/smoke.yaml",)), (check_labels.main, ("runs/any",))]
)
def test_commands_of_several_trainings_want_one_process(
    main: Callable[..., int], words: tuple[str, ...], run_main: RunMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    outcome = run_main(main, *words)
    assert outcome.code == 2
    assert "found 2 processes started by Paddle's launcher; run it without" in outcome.err


def test_the_card_is_the_one_of_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_gpu_obstacle", lambda index: None)
    monkeypatch.setattr(paddle, "set_device", lambda name: None)
    monkeypatch.setenv("FLAGS_selected_gpus", "3")
    assert device.select_device("auto").name == "gpu:3"
    assert device.select_device("gpu").name == "gpu:3"
    assert device.select_device("gpu:1").name == "gpu:1"
