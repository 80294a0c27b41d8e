"""What a training begins with: settings, run folder, lists, photos, a place to compute."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from paddle_wrn.config import Config, Rgb, load_config
from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import DataFolder, PhotoList, read_data_folder
from paddle_wrn.photos.loading import Photos, load_photos, measure_mean_std
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.photos.splitting.split import split_data
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.system.console import log
from paddle_wrn.system.device import Device, select_device
from paddle_wrn.training.batches import refuse_small_batches
from paddle_wrn.training.processes import Processes, refuse_other_device

SAMPLE_DATA = "data/sample_birds"


@dataclass(frozen=True)
class Setup:
    """All that is settled before the first step.

    Attributes:
        config: all settings.
        run: the folder to fill.
        folder: classes and lists.
        lists: `train`, `val` and `test`, as far as there are such lists.
        photos: list -> decoded photos; none where features are all that is needed of them.
        device: where to compute.
        processes: who trains together.
    """

    config: Config
    run: RunFolder
    folder: DataFolder
    lists: Mapping[str, PhotoList]
    photos: Mapping[str, Photos]
    device: Device
    processes: Processes

    @cached_property
    def fingerprint(self) -> str:
        """Of classes and lists."""
        return self.folder.digest()

    @property
    def head_only(self) -> bool:
        """Whether the backbone is frozen."""
        return self.config.model.trainable == "head"

    def preprocessing(self) -> Preprocessing:
        """Return the contract of the run: mean and standard deviation are measured unless they are given."""
        return Preprocessing.from_settings(self.config.input, self.folder.classes, self._measured)

    def _measured(self) -> tuple[Rgb, Rgb]:
        train = self.photos.get("train") or _decoded(self.config, self.lists["train"])
        return measure_mean_std(train.images)


def settle(
    config: Config | Path | str | None,
    changes: Mapping[str, Any],
    output: Path | str | None,
    resume: bool,
    again: bool,
) -> tuple[RunFolder, Config]:
    """Return the run folder and all settings, if these may be trained there; see `session.train`.

    Raises:
        UserError: they may not.
    """
    if resume and again:
        raise UserError("--resume continues a run and --again begins anew; give one of them")
    if (resume or again) and output is not None and config is None:
        config = RunFolder(Path(output)).config()
        if config is None and "data" not in changes:
            to_do = "resume" if resume else "train again"
            raise UserError(f"{output}: holds no run to {to_do}; give the --data or --config it began with")
    resolved = load_config(config, changes)
    if output is None:
        name = resolved.model.name if isinstance(config, Config) else Path(config or "birds").stem
        output = Path("runs") / f"{Path(resolved.data).name}-{name}"
    run = RunFolder(Path(output))
    run.check_free(resolved, resume=resume, again=again)
    return run, resolved


def read_lists(config: Config) -> DataFolder:
    """Read the lists of a configuration; the sample birds are drawn and split when they are first needed."""
    if config.data == SAMPLE_DATA and not Path(SAMPLE_DATA, "train.txt").exists():
        log.info("no --data given: drawing and splitting sample birds in %s", SAMPLE_DATA)
        split_data()
    return read_data_folder(config.data)


def set_up(
    config: Config, run: RunFolder, folder: DataFolder, fingerprint: str, processes: Processes
) -> Setup:
    """Choose the place to compute and decode the photos.

    Args:
        config: all settings.
        run: the folder to fill.
        folder: classes and lists, as this process sees them.
        fingerprint: of them, as the first process sees them.
        processes: who trains together.

    Raises:
        UserError: lists, device or batches do not suit all processes, or a photo is broken.
    """
    if folder.digest() != fingerprint:
        raise UserError(f"{folder.folder}: holds other lists than it does for the first process")
    if config.model.trainable != "all" and processes.count > 1:
        raise UserError(
            f"model.trainable: found {config.model.trainable}, with {processes.count} processes; "
            "a head is fitted by one, so start the command without the launcher"
        )
    refuse_small_batches(config, len(folder.train), processes)
    device = select_device(config.device)
    refuse_other_device(config.device, device, processes)
    lists = folder.lists()
    head_only = config.model.trainable == "head"
    photos = {} if head_only else {name: _decoded(config, part) for name, part in lists.items()}
    return Setup(config, run, folder, lists, photos, device, processes)


def _decoded(config: Config, photo_list: PhotoList) -> Photos:
    seen = config.input
    return load_photos(photo_list, seen.size, seen.memory_mb, draft=seen.draft)
