"""Training in several processes: as one with the same batches, stopped, resumed and with one of them killed.

The processes are real ones, started by Paddle's launcher, with gloo on the processor.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle.distributed as dist
import paddle.nn.functional as F
import pytest
from paddle import nn
from rounding import assert_equal_to_rounding, truths
from tiny_runs import LAST, history, words

from paddle_wrn.models import create_model
from paddle_wrn.runs.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[2]
LAUNCHED_SECONDS = 300  # after which something hangs, on a busy machine too

# Without BatchNorm and dropout, which see the share of one process. Steps take long enough to be stopped.
NETWORK = """
import os
import signal
import time

import paddle.nn.functional as F
from paddle import nn
from paddle_wrn.models.registry import register_model


@register_model("plain")
class Plain(nn.Layer):
    def __init__(self, num_classes, in_channels=3):
        super().__init__()
        self.conv = nn.Conv2D(in_channels, 8, 3, stride=2)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        if self.training:
            time.sleep(0.02)
            if os.environ.get("PADDLE_TRAINER_ID") == "1" and os.path.exists("kill the second"):
                os.kill(os.getpid(), signal.SIGKILL)
        return self.fc(F.relu(self.conv(x)).mean([2, 3]))
"""
# 24 training photos: three steps of 7 and one of 3 an epoch
PLAIN: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 7,
    "drop_last": False,
    "model.name": "plain",
    "input.size": 16,
    "augment.crop_size": 12,
    "optimizer.lr": 0.05,
}
LONG = PLAIN | {"epochs": 12}
# Additions in a row behind a number after 12 epochs of 4 steps: those of the convolution (28), the mean over
# 5 x 5 pixels and the head (9) on the way to the logits, as many on the way back, and the pixels of 7 photos.
ADDITIONS = 12 * 4 * (2 * (28 + 25 + 9) + 7 * 25)

needs_gloo = pytest.mark.skipif(
    not (dist.is_available() and paddle.base.core.is_compiled_with_dist()) or os.name == "nt",
    reason="this PaddlePaddle cannot exchange between processes",
)


def start(folder: Path, processes: int, *command: object) -> "subprocess.Popen[str]":
    """Start a Python program in so many processes, in the folder."""
    words = [sys.executable, *map(str, command)]
    if processes > 1:
        launcher = ("-m", "paddle.distributed.launch", "--nproc_per_node", str(processes))
        words = [sys.executable, *launcher, *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PADDLE_")}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.Popen(
        words, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def start_train(folder: Path, processes: int, *words: object) -> "subprocess.Popen[str]":
    (folder / "network.py").write_text(NETWORK)
    return start(folder, processes, "-m", "paddle_wrn.train", "--network", "network.py", *words)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Return exit code and output."""
    try:
        out = process.communicate(timeout=LAUNCHED_SECONDS)[0]
    except subprocess.TimeoutExpired:
        process.terminate()
        process.communicate()
        raise
    return process.returncode, out


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    give_up = time.monotonic() + LAUNCHED_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < give_up
        time.sleep(0.01)


def stop_in(epoch: int, run: Path, process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Send SIGTERM when so many epochs are finished; return exit code and output."""
    wait_for(lambda: (run / "history.jsonl").exists() and len(history(run)) >= epoch, process)
    process.send_signal(signal.SIGTERM)
    return finish(process)


def assert_same_run(run: Path, reference: Path) -> None:
    """Compare what rounding must not change, and what it changes a little."""
    for ours, theirs in zip(history(run), history(reference), strict=True):
        assert ours.keys() == theirs.keys()
        for name in ("epoch", "lr", "train_acc", "val_acc"):
            assert ours[name] == theirs[name]
        for name in ("train_loss", "val_loss"):
            assert_equal_to_rounding(ours[name], theirs[name], terms=ADDITIONS, name=name)
    arrays, record = load_checkpoint(run / LAST, "training")
    expected, expected_record = load_checkpoint(reference / LAST, "training")
    assert arrays.keys() == expected.keys()
    for name, values in expected.items():
        assert_equal_to_rounding(arrays[name], values, terms=ADDITIONS, name=name)
    assert record["progress"]["best_epoch"] == expected_record["progress"]["best_epoch"]
    results, expected_results = (
        json.loads((folder / "metrics.json").read_text()) for folder in (run, reference)
    )
    for split in ("val", "test"):
        assert results[split]["confusion"] == expected_results[split]["confusion"]
    assert results["kept_epoch"] == expected_results["kept_epoch"]


@pytest.fixture(scope="module")
def alone(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of one process that never stopped."""
    folder = tmp_path_factory.mktemp("alone")
    code, out = finish(start_train(folder, 1, "--data", data_folder, "--output", "run", *words(LONG)))
    assert code == 0, out
    return folder / "run"


@needs_gloo
@pytest.mark.slow
def test_three_processes_train_as_one(alone: Path, data_folder: Path, tmp_path: Path) -> None:
    code, out = finish(start_train(tmp_path, 3, "--data", data_folder, "--output", "run", *words(LONG)))
    assert code == 0, out
    assert_same_run(tmp_path / "run", alone)
    assert "processes 3" in out
    assert out.count("epoch  4/12") == 1
    assert "epoch" not in (tmp_path / "log" / "workerlog.1").read_text("utf-8")
    files = {path.relative_to(tmp_path / "run") for path in (tmp_path / "run").rglob("*")}
    assert files == {path.relative_to(alone) for path in alone.rglob("*")}


@needs_gloo
@pytest.mark.slow
def test_stopped_in_two_processes_resumed_in_one_and_in_two(
    alone: Path, data_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    begun = start_train(tmp_path, 2, "--data", data_folder, "--output", "run", *words(LONG))
    code, out = stop_in(2, run, begun)
    assert code == signal.SIGTERM, out  # the launcher's way to say so
    assert "Traceback" not in out
    progress = load_checkpoint(run / LAST, "training")[1]["progress"]
    assert 2 <= progress["epoch"] < 12
    log = (run / "train.log").read_text("utf-8")
    assert f"stopped by SIGTERM after epoch {progress['epoch']}, step {progress['step']}" in log

    code, out = stop_in(5, run, start_train(tmp_path, 1, "--resume", "--output", "run"))
    assert code == 128 + signal.SIGTERM, out
    code, out = finish(start_train(tmp_path, 2, "--resume", "--output", "run"))
    assert code == 0, out
    assert_same_run(run, alone)


@needs_gloo
@pytest.mark.slow
def test_a_killed_process_ends_the_run_which_can_be_resumed(data_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start_train(tmp_path, 2, "--data", data_folder, "--output", "run", *words(LONG))
    wait_for(lambda: (run / "history.jsonl").exists() and len(history(run)) >= 2, process)
    (tmp_path / "kill the second").touch()
    killed = time.monotonic()
    code, out = finish(process)
    assert time.monotonic() - killed < 30
    assert code != 0
    assert re.search("Container rank 1 status failed .* code -9 ", out)  # the launcher's sentence
    (error,) = (
        line
        for line in (tmp_path / "log" / "workerlog.0").read_text("utf-8").splitlines()
        if line.startswith("error: ")
    )
    assert "another process of this training has ended" in error
    assert f"the last good checkpoint is run/{LAST}" in error
    progress = load_checkpoint(run / LAST, "training")[1]["progress"]
    assert (progress["epoch"], progress["step"]) == (len(history(run)), 0)


@needs_gloo
@pytest.mark.slow
def test_a_mistake_is_one_sentence_and_leaves_nothing(data_folder: Path, tmp_path: Path) -> None:
    for name in ("train", "val"):
        (tmp_path / f"{name}.txt").write_text("gone.jpg 0\ngone.jpg 1\n", "utf-8")
    (tmp_path / "classes.txt").write_text("a\nb\n", "utf-8")
    code, out = finish(start_train(tmp_path, 2, "--data", ".", "--output", "run", *words(PLAIN)))
    assert code == 2, out
    assert "Traceback" not in out
    log = (tmp_path / "log" / "workerlog.0").read_text("utf-8")
    assert log.count("error: ") == log.count("error: train.txt, line 1") == 1
    assert log in out  # so the launcher shows it
    assert not (tmp_path / "run").exists()


# One launch for all that the processes say to one another
EXCHANGES = """
import json
import sys
import time

import numpy as np
import paddle
from paddle_wrn.config import load_config
from paddle_wrn.training.processes import join_processes
from paddle_wrn.errors import UserError
from paddle_wrn.training.batches import Batch
from paddle_wrn.training.loop import average_running_statistics, train_step
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.training.state import new_state


def fail(number):
    if processes.rank == number:
        raise UserError(f"wrong on {number}")


def caught(work):
    try:
        with processes.together():
            work()
    except UserError as error:
        return str(error)


processes = join_processes()
assert join_processes() == processes
rank = processes.rank
tensors = [paddle.full([2, 3], rank + 1.0), paddle.full([1], 10.0 * rank)]
processes.add_up(tensors, 0.5)
found = {
    "rank": [rank, processes.count],
    "sum": processes.sum(np.array([[rank + 0.5, 2.0]])).tolist(),
    "largest": processes.largest(7 - rank),
    "add_up": [tensor.numpy().tolist() for tensor in tensors],
    "broadcast": processes.broadcast(f"from {rank}".encode(), 1).decode(),
    "empty": processes.broadcast(b"").decode(),
    "first": processes.first(lambda: {"rank": rank}),
    "turns": processes.first_then_others(lambda: rank),
    "no mistake": caught(lambda: None),
    "mistake of the first": caught(lambda: fail(0)),
    "mistake of the second": caught(lambda: fail(1)),
}
began = time.monotonic()
if rank == 0:
    time.sleep(int(sys.argv[1]))
processes.wait()
found["waited"] = time.monotonic() - began

# One step with BatchNorm: gradients and running statistics of two unequal shares
half = (0.5, 0.5, 0.5)
classes = ("a", "b")
contract = Preprocessing(size=8, mean=half, std=half, classes=classes, display_names=classes)
config = load_config(None, {"model.name": "wrn_10_1", "optimizer.lr": 0.1, "optimizer.weight_decay": 0.0,
                            "optimizer.momentum": 0.0, "optimizer.nesterov": False, "seed": rank})
state = new_state(config, contract, processes)
state.take_from_first()
own = slice(0, 5) if rank == 0 else slice(5, 8)
images = np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32)
labels = np.arange(8) % 2
begin = {name: value.numpy() for name, value in state.model.state_dict().items()}
train_step(state, Batch(images[own], labels[own], 0, 8))
average_running_statistics(state)
found["seen"] = [state.progress.seen, state.progress.loss_sum, state.progress.correct]
np.savez(f"weights{rank}.npz", **{name: value.numpy() for name, value in state.model.state_dict().items()})
if rank == 0:
    np.savez("begin.npz", **begin)
with open(f"found{rank}.json", "w") as file:
    json.dump(found, file)
"""


@pytest.fixture(scope="module")
def exchanged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what each of two processes has found."""
    folder = tmp_path_factory.mktemp("exchanged")
    (folder / "exchanges.py").write_text(EXCHANGES)
    code, out = finish(start(folder, 2, "exchanges.py", 1))
    assert code == 0, out
    return folder


@needs_gloo
@pytest.mark.slow
def test_what_processes_say_to_one_another(exchanged: Path) -> None:
    found = [json.loads((exchanged / f"found{rank}.json").read_text()) for rank in (0, 1)]
    for rank, own in enumerate(found):
        assert own["rank"] == [rank, 2]
        assert own["sum"] == [[2.0, 4.0]]
        assert own["largest"] == 7
        assert own["add_up"] == [[[1.5] * 3] * 2, [5.0]]
        assert (own["broadcast"], own["empty"]) == ("from 1", "")
        assert own["first"] == {"rank": 0}
        assert own["turns"] == rank
        assert own["no mistake"] is None
        assert own["mistake of the first"] == "wrong on 0"
        assert own["mistake of the second"] == "process 1: wrong on 1"
        assert own["waited"] > 0.9


@pytest.mark.numeric
@needs_gloo
@pytest.mark.slow
def test_a_step_is_the_mean_over_unequal_shares(exchanged: Path) -> None:
    begin, *ends = (dict(np.load(exchanged / f"{name}.npz")) for name in ("begin", "weights0", "weights1"))
    images = np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32).astype(np.float64)
    labels = np.arange(8) % 2

    def step(model: nn.Layer) -> dict[str, Any]:
        """Return the loss and the weights after a step; BatchNorm takes the statistics of each share."""
        state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
        ends = {name: np.zeros_like(value) for name, value in state.items()}
        total = 0.0
        for own in (slice(0, 5), slice(5, 8)):
            model.set_state_dict({name: paddle.to_tensor(value) for name, value in state.items()})
            logits = model(paddle.to_tensor(images[own]))
            loss = F.cross_entropy(logits, paddle.to_tensor(labels[own]), label_smoothing=0.1)
            loss.backward()
            photos = len(labels[own])
            total += loss.item() * photos
            for name, value in model.named_parameters():
                if value.stop_gradient:  # the two running statistics
                    ends[name] += value.numpy() / 2
                else:
                    ends[name] += photos / 8 * (state[name] - 0.1 * value.grad.numpy())
            model.clear_gradients()
        return ends | {"loss": np.array(total)}

    model = create_model("wrn_10_1", 2, strides=[2, 2, 2, 2])
    model.set_state_dict({name: paddle.to_tensor(value) for name, value in begin.items()})
    expected = truths(model, step)
    seen, loss_sum, correct = json.loads((exchanged / "found0.json").read_text())["seen"]
    expected.pop("loss").check(np.array(loss_sum))
    for name, truth in expected.items():
        truth.check(ends[0][name], name)
        np.testing.assert_array_equal(ends[0][name], ends[1][name])
    assert seen == 8
    assert 0 <= correct <= 8
