"""The rows: each measures ours and its peer in the same run and says what the ratio is held to."""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import drawing
from benchmarks.parallel import cores_for, parallel_speed
from benchmarks.processes import ProcessFailed, alternate, measure, needs, run_module
from benchmarks.results import Row
from benchmarks.trainings import (
    TutorialRun,
    recipe_seconds,
    seconds_to_accuracy,
    train_words,
    tutorial_run,
)

TUTORIAL_EPOCHS = 60
BIRDS_EPOCHS = 140
SAME_LOGITS = 1e-3  # greatest difference of two runtimes on one network
PHOTOS_TO_DECODE = 3000
PARALLEL_IMAGES = 1280
PARALLEL_BATCH = 128  # that of the recipes for CIFAR-10
LOOP = "benchmarks.yardsticks.tutorial_loop"
LOOP_NAME = "the tutorial's loop"
LOADER_NAME = "the tutorial's loader"
INPUT = "benchmarks.workers.input_speed"
EXPORT = "benchmarks.workers.export"
TORCH_LITE = "benchmarks.yardsticks.torch_lite"
LITE_SIZE = 224  # pixels


@dataclass(frozen=True)
class Bench:
    """What a run of the benchmarks was asked for.

    Attributes:
        repeats: of every figure.
        seconds: for which a process repeats what it times.
        epochs: of the tutorial's training; that of our default recipe is scaled with it.
        seeds: of whole trainings, one a repeat.
        photos: folder with a folder of photos per class; None: drawn birds.
        drawn: folder for what is drawn.
        cores: how many are used.
    """

    repeats: int
    seconds: float
    epochs: int
    seeds: tuple[int, ...]
    photos: Path | None
    drawn: Path
    cores: int

    def lists(self, seed: int = 0) -> Path:
        """Return the lists of the photos, split with a seed."""
        return drawing.lists_of(self.photos or drawing.sample_birds(self.drawn), self.drawn, seed)


def train_28_1(bench: Bench) -> list[Row]:
    """Training steps of a thin network."""
    return [_training_speed(bench, "train-28-1", 28, 1, must=1.0)]


def train_16_4(bench: Bench) -> list[Row]:
    """Training steps of a wide network."""
    return [_training_speed(bench, "train-16-4", 16, 4, must=1.1)]


def train_lite0(bench: Bench) -> list[Row]:
    """Training steps of a network of depthwise convolutions on large pictures."""
    needs("torch")
    words = ("--batch-size", 16, "--seconds", bench.seconds)
    torch = (TORCH_LITE, "train", *words, "--threads", bench.cores)
    ours, eager, last = alternate({
        "ours": lambda _: _speed(
            "benchmarks.workers.train_speed", "efficientnet_lite0", "--size", LITE_SIZE, *words
        ),
        "PyTorch eager": lambda _: _speed(*torch),
        "channels_last": lambda _: _speed(*torch, "--channels-last"),
    }, range(bench.repeats)).values()  # fmt: skip
    what = f"training steps of all layers, EfficientNet-Lite0, batch 16, {LITE_SIZE} x {LITE_SIZE}, float32"
    note = f"PyTorch in channels_last: {median(last):.3g} images/s"
    return [Row("train-lite0", what, "images/s", ours, 3, eager, "PyTorch eager", note=note)]


def features_lite0(bench: Bench) -> list[Row]:
    """Evaluation of a network of depthwise convolutions on large pictures."""
    needs("onnxruntime", "paddle2onnx", "torch")
    words = ("--batch-size", 32, "--seconds", bench.seconds)
    threads = ("--threads", bench.cores)
    torch = (TORCH_LITE, "evaluate", *words, *threads)
    with tempfile.TemporaryDirectory() as folder:
        run_module(EXPORT, folder, "--model", "efficientnet_lite0", "--size", LITE_SIZE, "--images", 32)
        ours, onnx, eager, last = alternate({
            "ours": lambda _: _speed("benchmarks.workers.batch_speed", folder, *words),
            "ONNX Runtime": lambda _: _speed("benchmarks.yardsticks.onnx_wrn", folder, *words, *threads),
            "PyTorch eager": lambda _: _speed(*torch),
            "channels_last": lambda _: _speed(*torch, "--channels-last"),
        }, range(bench.repeats)).values()  # fmt: skip
        difference = _apart(folder)
    what = f"evaluation, EfficientNet-Lite0, batch 32, {LITE_SIZE} x {LITE_SIZE}, float32"
    note = f"the logits differ by at most {difference:.1g}"
    channels_last = f"in channels_last: {median(last):.3g} images/s"
    return [
        Row("features-lite0", what, "images/s", ours, 0.95, onnx, "ONNX Runtime", note=note),
        Row("features-lite0-torch", what, "images/s", ours, 5, eager, "PyTorch eager", note=channels_last),
    ]


def predict(bench: Bench) -> list[Row]:
    """Evaluation of images in memory, against ONNX Runtime on the same network."""
    needs("onnxruntime", "paddle2onnx")
    with tempfile.TemporaryDirectory() as folder:
        run_module(EXPORT, folder)
        seconds = ("--seconds", bench.seconds)
        threads = ("--threads", bench.cores)
        ours, theirs = alternate({
            "ours": lambda _: _speed("benchmarks.workers.predict_speed", folder, *seconds),
            "ONNX Runtime": lambda _: _speed("benchmarks.yardsticks.onnx_wrn", folder, *threads, *seconds),
        }, range(bench.repeats)).values()  # fmt: skip
        difference = _apart(folder)
    what = "evaluation, WRN-16-4, 32 x 32, float32"
    note = f"ours from uint8, the peer from ready float32; the logits differ by at most {difference:.1g}"
    return [Row("predict", what, "images/s", ours, 0.9, theirs, "ONNX Runtime", note=note)]


def tutorial(bench: Bench) -> list[Row]:
    """Whole trainings: the tutorial's recipe, and the way to the tutorial's accuracy."""
    recipe: list[float] = []
    to_accuracy: list[float] = []
    loops: list[TutorialRun] = []
    birds_epochs = max(1, round(BIRDS_EPOCHS * bench.epochs / TUTORIAL_EPOCHS))
    for count, seed in enumerate(bench.seeds):
        lists = bench.lists(seed)
        if count % 2:
            recipe.append(recipe_seconds(lists, bench.epochs, seed))
        loops.append(tutorial_run(lists, bench.epochs, seed))
        if not count % 2:
            recipe.append(recipe_seconds(lists, bench.epochs, seed))
        to_accuracy.append(seconds_to_accuracy(lists, birds_epochs, seed, loops[-1].accuracy))
        _tell(f"seed {seed}: {loops[-1]}, recipe {recipe[-1]:.1f} s, to its accuracy {to_accuracy[-1]:.1f} s")
    peer = tuple(loop.seconds for loop in loops)
    accuracies = ", ".join(f"{100 * loop.accuracy:.1f}" for loop in loops)
    first_reached = median(loop.first_reached for loop in loops)
    scaled = "" if bench.epochs == TUTORIAL_EPOCHS else f" (SCALED DOWN from {TUTORIAL_EPOCHS})"
    size = f"{drawing.count_photos(lists)} photos, {bench.epochs} epochs{scaled}"
    return [
        Row(
            "recipe", f"whole run of configs/tutorial.yaml, {size}", "s", tuple(recipe), 0.3, peer, LOOP_NAME,
            at_most=True, note="from the shell; ours validates on val.txt every epoch, the loop on test.txt",
        ),
        Row(
            "accuracy", f"until configs/birds.yaml has the tutorial's final accuracy, {size}", "s",
            tuple(to_accuracy), 0.2, peer, LOOP_NAME, at_most=True,
            note=f"the loop's final test accuracies: {accuracies} %; it first saw them after "
            f"{first_reached:.3g} s of training (median)",
        ),
    ]  # fmt: skip


def input_pipeline(bench: Bench) -> list[Row]:
    """Batches of 32 x 32 pixels with the tutorial's augmentation, after the first epoch."""
    lists, seconds = bench.lists(), ("--seconds", bench.seconds)
    config = ("--config", "configs/tutorial.yaml")
    ours, theirs = alternate({
        "ours": lambda _: _speed(INPUT, "batches", lists, *config, *seconds),
        LOADER_NAME: lambda _: _speed(LOOP, "load", lists / "train.txt", *seconds),
    }, range(bench.repeats)).values()  # fmt: skip
    what = "batches of later epochs, 32 x 32, flips"
    return [Row("input", what, "images/s", ours, 30, theirs, LOADER_NAME)]


def decode(bench: Bench) -> list[Row]:
    """First reading of photos from the disk's cache."""
    file = drawing.large_photos(bench.drawn, PHOTOS_TO_DECODE)
    sizes = [path.stat().st_size for path in file.parent.glob("*.jpg")]
    for path in file.parent.glob("*.jpg"):
        path.read_bytes()  # into the cache, for both
    ours, theirs = alternate({
        "ours": lambda _: _speed(INPUT, "decode", file, "--size", 32),
        LOADER_NAME: lambda _: _speed(LOOP, "decode", file),
    }, range(bench.repeats)).values()  # fmt: skip
    what = f"first decode of {PHOTOS_TO_DECODE} photos of 500 x 375 to 32 x 32"
    note = f"drawn JPEG files of {median(sizes) / 1000:.0f} kB (median), in the operating system's cache"
    return [Row("decode", what, "images/s", ours, 2.5, theirs, LOADER_NAME, note=note)]


def parallel(bench: Bench) -> list[Row]:
    """Two processes against one."""
    cores_for(2)
    store = drawing.array_store(bench.drawn, PARALLEL_IMAGES)
    two, one = alternate({
        "two processes": lambda _: parallel_speed(store, 2, PARALLEL_BATCH),
        "one process": lambda _: parallel_speed(store, 1, PARALLEL_BATCH),
    }, range(bench.repeats)).values()  # fmt: skip
    what = f"two processes of one thread, WRN-28-1, {PARALLEL_BATCH} images a step in all"
    return [Row("parallel", what, "images/s", two, 1.7, one, "one process of one thread")]


def waiting(bench: Bench) -> list[Row]:
    """Share of training that is spent waiting for the next batch."""
    lists = bench.lists()

    def share(config: str) -> float:
        words = ("waiting", lists, "--config", f"configs/{config}.yaml", "--seconds", bench.seconds)
        return 100 * float(measure(INPUT, *words)["waiting_share"])

    ours, tutorial = alternate({
        "birds.yaml": lambda _: share("birds"),
        "tutorial.yaml": lambda _: share("tutorial"),
    }, range(bench.repeats)).values()  # fmt: skip
    note = f"with configs/tutorial.yaml {median(tutorial):.2g} %"
    what = "share of a training step spent waiting for data, configs/birds.yaml"
    return [Row("waiting", what, "%", ours, 3, at_most=True, note=note)]


def first_step(bench: Bench) -> list[Row]:
    """From the command to the end of its first training step."""
    lists = bench.lists()

    def seconds(_: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            words = train_words("birds", lists, Path(folder, "run"), 1, 0)
            figures = measure("benchmarks.workers.first_step", time.time(), *words)
            return float(figures["seconds"])

    seconds(0)  # Python compiles what it imports, the photos come into the cache
    (ours,) = alternate({"ours": seconds}, range(bench.repeats)).values()
    what = f"from command to first training step, configs/birds.yaml, {drawing.count_photos(lists)} photos"
    return [Row("first-step", what, "s", ours, 6, at_most=True, note="not the first start on this machine")]


ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "train-28-1": train_28_1,
    "train-16-4": train_16_4,
    "train-lite0": train_lite0,
    "features-lite0": features_lite0,
    "predict": predict,
    "tutorial": tutorial,
    "input": input_pipeline,
    "decode": decode,
    "parallel": parallel,
    "waiting": waiting,
    "first-step": first_step,
}


def _training_speed(bench: Bench, name: str, depth: int, widen_factor: int, must: float) -> Row:
    needs("torch")
    seconds = ("--seconds", bench.seconds)

    def torch(_: int, *more: str) -> float:
        words = (depth, widen_factor, "--threads", bench.cores, *seconds, *more)
        return _speed("benchmarks.yardsticks.torch_wrn", *words)

    ours, eager = alternate({
        "ours": lambda _: _speed("benchmarks.workers.train_speed", f"wrn_{depth}_{widen_factor}", *seconds),
        "PyTorch eager": torch,
    }, range(bench.repeats)).values()  # fmt: skip
    try:
        note = f"torch.compile, one run: {torch(0, '--compile'):.3g} images/s"
    except ProcessFailed as failure:
        note = f"torch.compile did not work ({failure})"
    what = f"training steps, WRN-{depth}-{widen_factor}, batch 32, 32 x 32, float32"
    return Row(name, what, "images/s", ours, must, eager, "PyTorch eager", note=note)


def _apart(folder: str) -> float:
    """Return the greatest difference of our logits and ONNX Runtime's."""
    ours, theirs = (np.load(Path(folder, f"{side}_logits.npy")) for side in ("our", "onnx"))
    difference = float(np.abs(ours - theirs).max())
    if difference > SAME_LOGITS:
        raise ProcessFailed(f"the two runtimes' logits differ by up to {difference:.2g}")
    return difference


def _speed(module: str, *words: object) -> float:
    return float(measure(module, *words)["images_per_second"])


def _tell(sentence: str) -> None:
    print(f"  {sentence}", file=sys.stderr, flush=True)
