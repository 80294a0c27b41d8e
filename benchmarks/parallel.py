"""Training in one or two processes, each with one thread, from the shell."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.processes import ROOT, LeftOut, ProcessFailed, clean_environment

EPOCHS = 3  # the first is not counted
_STARTS_PARALLEL = "init_parallel_env"  # Paddle's function without which two processes are two trainings


def parallel_speed(store: Path, processes: int, batch_size: int, model: str = "wrn_28_1") -> float:
    """Return images a second of a training, all its processes together, after the first epoch.

    Args:
        store: lists of 32 x 32 images.
        processes: how many, through Paddle's launcher if there are several.
        batch_size: images a step of all processes together.
        model: network.

    Raises:
        LeftOut: train cannot do that yet.
        ProcessFailed: it failed.
    """
    if processes > 1 and not _is_supported():
        raise LeftOut("paddle_wrn.train does not train in several processes yet")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        command = [sys.executable, "-m", "paddle_wrn.train", "--config", "configs/tutorial.yaml",
                   "--data", store, "--output", run, "--epochs", EPOCHS, "--batch_size", batch_size,
                   "--model.name", model, "--model.options", "{}"]  # fmt: skip
        if processes > 1:  # the launcher takes a script or a program, but no -m
            command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", processes,
                       "--log_dir", Path(folder, "log"), *command]  # fmt: skip
        done = subprocess.run(
            [str(word) for word in command],
            cwd=ROOT,
            env=clean_environment({"OMP_NUM_THREADS": "1"}),
            capture_output=True,
            text=True,
        )
        if done.returncode or not (run / "history.jsonl").exists():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ProcessFailed(f"training in {processes} processes ended with {done.returncode}: {last}")
        return speed_of_history((run / "history.jsonl").read_text(encoding="utf-8"))


def speed_of_history(text: str) -> float:
    """Return the median images a second of all epochs but the first."""
    epochs = [json.loads(line) for line in text.splitlines()]
    return median(epoch["images_per_second"] for epoch in epochs[1:])


def _is_supported() -> bool:
    sources = (ROOT / "paddle_wrn").rglob("*.py")
    return any(_STARTS_PARALLEL in source.read_text(encoding="utf-8") for source in sources)


def cores_for(processes: int) -> None:
    """Raise `LeftOut` unless every process can have a core of its own."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if available < processes:
        raise LeftOut(f"{processes} processes need {processes} cores")
