"""Figures over a range of sizes, without a verdict: one process a point."""

import itertools
from collections.abc import Callable
from statistics import median

from benchmarks import drawing
from benchmarks.parallel import cores_for, parallel_speed
from benchmarks.processes import measure
from benchmarks.results import Table
from benchmarks.rows import PARALLEL_BATCH, PARALLEL_IMAGES, Bench

DEPTHS = (16, 28)
WIDEN_FACTORS = (1, 4)
BATCH_SIZES = (32, 128)
SIZES = (32, 64)  # pixels
DATASET_SIZES = (600, 10_000, 60_000)  # images
MEMORY_MB = (1000, 50)  # the default, and one that the largest data set does not fit into


def sweep(bench: Bench) -> Table:
    """Training speed over depth, width, batch and image size."""
    lines = []
    for depth, width, batch, size in itertools.product(DEPTHS, WIDEN_FACTORS, BATCH_SIZES, SIZES):
        words = (f"wrn_{depth}_{width}", "--batch-size", batch, "--size", size, "--seconds", bench.seconds)
        figures = measure("benchmarks.workers.train_speed", *words)
        lines.append((depth, width, batch, size, figures["parameters"], figures["images_per_second"]))
    columns = ("depth", "widen factor", "batch", "pixels", "parameters", "images/s")
    return Table("sweep", "Training speed, one process a point", columns, tuple(lines))


def memory(bench: Bench) -> Table:
    """Memory of training over the size of the data set."""
    lines = []
    for limit, count in itertools.product(MEMORY_MB, DATASET_SIZES):
        store = drawing.array_store(bench.drawn, count)
        figures = measure("benchmarks.workers.memory", store, "--memory-mb", limit)
        peak, photos = figures["peak_mb"], figures["photos_mb"]
        lines.append((count, limit, round(photos), round(peak), round(figures["own_mb"])))
    columns = ("images", "input.memory_mb", "decoded, MB", "peak resident, MB", "not file-backed, MB")
    title = "Memory of configs/tutorial.yaml; pages of mapped files are resident while there is room"
    return Table("memory", title, columns, tuple(lines))


def scaling(bench: Bench) -> Table:
    """Strong and weak scaling over processes of one thread."""
    cores_for(2)
    store = drawing.array_store(bench.drawn, PARALLEL_IMAGES)
    lines = []
    for kind, batch in (("strong", PARALLEL_BATCH), ("weak", PARALLEL_BATCH // 2)):
        speeds = {}
        for processes in (2, 1):  # what may be left out comes first
            total = batch * processes if kind == "weak" else batch
            runs = [parallel_speed(store, processes, total) for _ in range(bench.repeats)]
            speeds[processes] = (total, median(runs))
        for processes, (total, speed) in sorted(speeds.items()):
            efficiency = f"{100 * speed / (processes * speeds[1][1]):.0f} %"
            lines.append((kind, processes, total, speed, efficiency))
    columns = ("scaling", "processes", "images a step", "images/s", "efficiency")
    return Table("scaling", "Data-parallel training, WRN-28-1", columns, tuple(lines))


SWEEPS: dict[str, Callable[[Bench], Table]] = {"sweep": sweep, "memory": memory, "scaling": scaling}
