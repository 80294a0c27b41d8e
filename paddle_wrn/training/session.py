"""Train a network on the lists that split_data wrote.

Read from the top down: train -> _train_run -> _train_epochs; one epoch is in loop.py. Paddle's launcher makes
several processes do this together; processes.py says how.
"""

import sys
import time
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from tqdm import tqdm

from paddle_wrn.config import Config, load_config
from paddle_wrn.drawing import sheets
from paddle_wrn.errors import UserError
from paddle_wrn.models.summary import summarise
from paddle_wrn.models.weights import weights_of
from paddle_wrn.photos.augmentation import augment
from paddle_wrn.photos.lists import DataFolder, read_data_folder
from paddle_wrn.photos.loading import Photos, load_photos, measure_mean_std
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.history import History
from paddle_wrn.runs.run_folder import (
    CONFIG,
    LAST,
    PREVIOUS,
    check_run_folder,
    create_run_folder,
    finished_results,
    place_aside,
    stored_config,
)
from paddle_wrn.system.console import log, log_to, log_to_screen
from paddle_wrn.system.device import Device, select_device
from paddle_wrn.system.files import write_text
from paddle_wrn.system.signals import StoppedBySignal, stop_signals
from paddle_wrn.training.announcements import epoch_line, introduce, not_again, stopped
from paddle_wrn.training.batches import steps_per_epoch
from paddle_wrn.training.loop import (
    finish_epoch,
    refuse_ruined_weights,
    refuse_small_batches,
    train_epoch,
    training_batches,
)
from paddle_wrn.training.processes import Processes, join_processes, refuse_other_device
from paddle_wrn.training.results import write_results
from paddle_wrn.training.state import TrainingState, new_state

SAMPLE_DATA = "data/sample_birds"


@log_to_screen()
def train(
    config: Config | Path | str | None = None,
    *,
    data: Path | str | None = None,
    output: Path | str | None = None,
    resume: bool = False,
    again: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train, keep the best weights, and score the test photos once.

    A finished run with the same settings and lists is not trained again: its figures are returned. Of several
    processes that Paddle's launcher has started, the first alone reads and writes the run folder.

    Args:
        config: a `Config`, a YAML file, or the name of a shipped configuration; without one, `birds`.
        data: folder that `split_data` wrote; without one, that of the configuration, which is the drawn
            sample birds unless it says otherwise.
        output: run folder; by default `runs/<data>-<config>`. A `Config` goes by the name of its network.
        resume: continue what the run folder holds.
        again: train anew; what the run folder holds is first moved aside to `<output>-before-1`, -2, ...
        settings: changes on top, by dotted name: `{"optimizer.lr": 0.05}`.

    Returns:
        The figures that are also in the run folder's `metrics.json`.

    Raises:
        UserError: whatever is wrong with the configuration, the lists, the photos or the folder.
    """
    processes = join_processes()
    changes = dict(settings or {}) | ({} if data is None else {"data": str(data)})

    def settle() -> tuple[str, dict[str, Any]]:
        run, resolved = _settle(config, changes, output, resume, again)
        return str(run), resolved.model_dump(mode="json")

    name, settled = processes.first(settle)
    run, resolved = Path(name), Config.model_validate(settled)
    folder = processes.first_then_others(lambda: read_lists(resolved))
    digest = processes.first(folder.digest)
    finished = processes.first(lambda: None if again else finished_results(run, digest))
    if finished is not None:
        if processes.is_first:
            log.info("%s", not_again(run, finished))
        return finished
    with processes.together():
        if folder.digest() != digest:
            raise UserError(f"{folder.folder}: holds other lists than it does for the first process")
        refuse_small_batches(resolved, len(folder.train), processes)
        device = select_device(resolved.device)
        refuse_other_device(resolved.device, device, processes)
        names = ("train", "val", "test")
        seen = resolved.input
        lists = {name: load_photos(folder.split(name), seen.size, seen.memory_mb, draft=seen.draft)
                 for name in names if getattr(folder, name) is not None}  # fmt: skip
    with paddle.utils.unique_name.guard():  # parameter names must not depend on what was built before
        return _train_run(resolved, run, device, folder, lists, again, processes)


def _settle(
    config: Config | Path | str | None,
    changes: Mapping[str, Any],
    output: Path | str | None,
    resume: bool,
    again: bool,
) -> tuple[Path, Config]:
    """Return the run folder and all settings, if these may be trained there."""
    if resume and again:
        raise UserError("--resume continues a run and --again begins anew; give one of them")
    if (resume or again) and output is not None and config is None:
        config = stored_config(Path(output))
        if config is None and "data" not in changes:
            to_do = "resume" if resume else "train again"
            raise UserError(f"{output}: holds no run to {to_do}; give the --data or --config it began with")
    resolved = load_config(config, changes)
    if output is None:
        name = resolved.model.name if isinstance(config, Config) else Path(config or "birds").stem
        run = Path("runs") / f"{Path(resolved.data).name}-{name}"
    else:
        run = Path(output)
    check_run_folder(run, resolved, resume=resume, again=again)
    return run, resolved


def read_lists(config: Config) -> DataFolder:
    """Read the lists of a configuration; the sample birds are drawn and split when they are first needed."""
    if config.data == SAMPLE_DATA and not Path(SAMPLE_DATA, "train.txt").exists():
        from paddle_wrn.photos.splitting.split import split_data

        log.info("no --data given: drawing and splitting sample birds in %s", SAMPLE_DATA)
        split_data()
    return read_data_folder(config.data)


def preprocessing_for(config: Config, folder: DataFolder, train: Photos) -> Preprocessing:
    """Return the contract of a run: mean and standard deviation are measured unless they are given."""
    return Preprocessing.from_settings(config.input, folder.classes, partial(measure_mean_std, train.images))


def _train_run(
    config: Config,
    run: Path,
    device: Device,
    folder: DataFolder,
    lists: Mapping[str, Photos],
    again: bool,
    processes: Processes,
) -> dict[str, Any]:
    photos, digest = lists["train"], folder.digest()
    with processes.together():
        preprocessing = preprocessing_for(config, folder, photos)
        state = new_state(config, preprocessing, processes)
        summary = summarise(state.model, (3, config.input.size, config.input.size))
        if processes.is_first:
            aside = place_aside(run) if again and (run / CONFIG).is_file() else None
            complaints = state.restore(aside or run, digest)  # nothing is in `aside` yet
            if aside is not None:  # only now: settings, photos and weights to begin with are all right
                run.rename(aside)
            create_run_folder(run, config, preprocessing)
    state.take_from_first()
    if not processes.is_first:
        _train_epochs(state, photos, lists.get("val"), None, run, digest)
        return processes.first(dict)  # the figures
    write_text(run / "model.txt", f"{summary}\n")
    history = History(run, state.progress.epoch)
    with log_to(run / "train.log"):
        if aside is not None:
            log.info("again     what was in %s is now in %s", run, aside)
        for complaint in complaints:
            log.warning("%s; continuing from the checkpoint before it", complaint)
        introduce(config, device, folder, lists, summary, state, run)
        if not history.epochs:
            rng = np.random.default_rng([config.seed, 0, 0])
            sample = augment(photos.images[:32], config.augment, rng)
            history.add_image("augmented training photos", sheets.image_grid(sample), 0)
            history.add_graph(state.model, summary.input_shape)
        try:
            _train_epochs(state, photos, lists.get("val"), history, run, digest)
            return processes.first(lambda: write_results(run, state, history, lists, digest, device, summary))
        finally:
            history.close()


def _train_epochs(
    state: TrainingState, photos: Photos, val: Photos | None, history: History | None, run: Path, digest: str
) -> None:
    """Train to the end. Only the first process has a history and saves."""
    config, progress, processes = state.config, state.progress, state.processes
    histogram_every = max(1, config.epochs // 10)
    steps = steps_per_epoch(len(photos), config.batch_size, config.drop_last)
    an_epoch = min(len(photos), steps * config.batch_size)  # photos
    done = progress.epoch * an_epoch + progress.seen
    bar = tqdm(total=config.epochs * an_epoch, initial=done, unit="photo", desc="training", leave=False,
               disable=history is None or not sys.stderr.isatty())  # fmt: skip
    batches = training_batches(state, photos)
    with bar, closing(batches), stop_signals(launched=processes.count > 1) as stop:
        while progress.epoch < config.epochs:
            began, seen_before = time.perf_counter(), progress.seen
            try:
                train_epoch(state, batches, steps, stop, bar)
                refuse_ruined_weights(state)
                trained = time.perf_counter() - began
                seen = progress.seen
                finished = finish_epoch(state, val) if progress.step == steps else None
            except UserError as error:
                raise UserError(f"{error}; {_last_good(run)}") from None
            seconds = time.perf_counter() - began
            progress.seconds += seconds
            if history is not None:
                if finished is not None:
                    epoch, keep = finished
                    epoch |= {"images_per_second": (seen - seen_before) / trained, "seconds": seconds}
                    history.add(epoch)
                    log.info("%s", epoch_line(epoch, config.epochs, keep))
                    if keep:
                        state.save_model(run)
                    if progress.epoch % histogram_every == 0:
                        history.add_histograms(weights_of(state.model), progress.epoch)
                state.save(run, digest)
            processes.wait()
            stop_signal = processes.largest(stop.signal or 0)
            if stop_signal and progress.epoch < config.epochs:
                log.info("%s", stopped(stop_signal, run, progress))
                raise StoppedBySignal(stop_signal)


def _last_good(run: Path) -> str:
    saved = [str(run / file) for file in (LAST, PREVIOUS) if (run / file).exists()]
    return f"the last good checkpoint is {saved[0]}" if saved else "no checkpoint was saved yet"
