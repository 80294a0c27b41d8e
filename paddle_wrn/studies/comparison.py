"""Comparing configurations: train each with several seeds on the same photos, then write a table of them.

Runs that are already finished in the output folder are not trained again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from paddle_wrn.config import Config, load_config
from paddle_wrn.drawing import plots
from paddle_wrn.errors import UserError
from paddle_wrn.models.summary import Summary, summarise
from paddle_wrn.photos.lists import DataFolder
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.results import Results
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.studies.comparison_tables import csv_text, report
from paddle_wrn.studies.statistics import Entry, Run, refuse_other_photos
from paddle_wrn.system.console import log, log_on_screen
from paddle_wrn.system.device import select_device
from paddle_wrn.system.files import write_text
from paddle_wrn.training.processes import refuse_launcher
from paddle_wrn.training.session import train
from paddle_wrn.training.setup import read_lists
from paddle_wrn.training.state import new_state


@log_on_screen()
def compare(
    configs: Sequence[Path | str],
    *,
    seeds: int = 3,
    data: Path | str | None = None,
    output: Path | str = "runs/compare",
    settings: Mapping[str, Any] | None = None,
) -> list[Entry]:
    """Train every configuration with every seed, and write how they did into the output folder.

    Args:
        configs: YAML files, or names of shipped configurations.
        seeds: how many trainings of each; their seeds are 0, 1, ...
        data: folder that `split_data` wrote; without one, that of the configurations.
        output: folder for the runs, `<configuration>-seed<k>`, and for `comparison.md`, `comparison.csv` and
            `comparison.png`, which are written anew after every training.
        settings: changes of all configurations, by dotted name.

    Returns:
        One entry a configuration, in the order given.

    Raises:
        UserError: whatever is wrong with a configuration, the lists or a run folder; it is looked for
            before the first training begins.
    """
    refuse_launcher("compare")
    if seeds < 1:
        raise UserError(f"--seeds: found {seeds}; 1 or more are needed")
    changes = dict(settings or {}) | ({} if data is None else {"data": str(data)})
    if "seed" in changes:
        raise UserError("--seed: a comparison takes the seeds 0, 1, ...; say how many with --seeds")
    files = _by_name(configs)
    resolved = {name: load_config(file, changes) for name, file in files.items()}
    lists = _same_lists(files, resolved)
    entries = [_entry(name, files[name], config, lists, seeds) for name, config in resolved.items()]
    output = Path(output)
    waiting = []  # by seed, so that every configuration has been trained once before the second round
    for seed in range(seeds):
        for entry in entries:
            run = RunFolder(output / f"{entry.name}-seed{seed}")
            config = _seeded(resolved[entry.name], seed)
            run.check_free(config, resume=True)
            results = run.results_on(lists.digest())
            if results is None:
                waiting.append((entry, seed, run, config))
            else:
                entry.runs[seed] = _finished(run, results)
    refuse_other_photos([run for entry in entries for run in entry.runs.values()])
    output.mkdir(parents=True, exist_ok=True)
    _write(output, entries)
    done = len(entries) * seeds - len(waiting)
    if done:
        log.info(f"{done} of {len(entries) * seeds} runs in {output} are trained already")
    for number, (entry, seed, run, config) in enumerate(waiting, start=done + 1):
        log.info(f"{number} of {len(entries) * seeds}: {entry.name}, seed {seed}")
        try:
            results = train(config, output=run.path, resume=True)
        except KeyboardInterrupt:
            log.info(f"{output}: what is finished is in comparison.md; the same command continues it")
            raise
        entry.runs[seed] = _finished(run, results)
        _write(output, entries)
    return entries


def _by_name(configs: Sequence[Path | str]) -> dict[str, Path]:
    """Return the files by their names without suffix, which name the runs and the lines of the table."""
    files: dict[str, Path] = {}
    for file in map(Path, configs):
        if file.stem in files:
            raise UserError(
                f"{files[file.stem]} and {file}: are both called {file.stem}, and their runs would have "
                "the same names; rename one of them"
            )
        files[file.stem] = file
    return files


def _same_lists(files: Mapping[str, Path], configs: Mapping[str, Config]) -> DataFolder:
    """Return the lists that all configurations have in common.

    Raises:
        UserError: they have different ones, or no test photos.
    """
    first, *others = configs
    lists = read_lists(configs[first])
    lists.split("test")
    for other in others:
        if (
            configs[other].data != configs[first].data
            and read_lists(configs[other]).digest() != lists.digest()
        ):
            raise UserError(
                f"{files[first]} and {files[other]}: have different photos or classes "
                f"({configs[first].data} and {configs[other].data}); give the same lists to "
                "all of them with --data"
            )
    return lists


def _entry(name: str, file: Path, config: Config, lists: DataFolder, seeds: int) -> Entry:
    """Build the network once, to see that it can be built and what it is made of."""
    try:
        select_device(config.device)
        summary = _summary(config, lists)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    return Entry(name, config.model.name, summary.parameters, summary.multiply_adds, seeds, {})


def _summary(config: Config, lists: DataFolder) -> Summary:
    grey = (0.5, 0.5, 0.5)  # a network is the same whatever its photos look like
    preprocessing = Preprocessing.from_settings(config.input, lists.classes, lambda: (grey, grey))
    with paddle.utils.unique_name.guard():
        state = new_state(config, preprocessing)
    state.begin()
    if config.augment.crop_size is not None:  # it is trained on these
        summarise(state.model, (3, config.augment.crop_size, config.augment.crop_size))
    return summarise(state.model, (3, config.input.size, config.input.size))


def _seeded(config: Config, seed: int) -> Config:
    return config.model_copy(update={"seed": seed})


def _finished(run: RunFolder, results: Results) -> Run:
    answers = sorted(run.answers(), key=lambda answer: answer.path)
    photos = tuple((answer.path, answer.class_name) for answer in answers)
    return Run(str(run), results, photos, np.array([answer.correct for answer in answers]))


def _write(output: Path, entries: Sequence[Entry]) -> None:
    write_text(output / "comparison.md", report(entries))
    write_text(output / "comparison.csv", csv_text(entries))
    rows = [
        plots.ComparedRow(
            name=entry.name,
            note=f"{entry.parameters:,} parameters\n{_time(entry)}",
            accuracies=entry.accuracies,
            interval=entry.interval if entry.runs else None,
        )
        for entry in entries
    ]
    photos = max((len(run.photos) for entry in entries for run in entry.runs.values()), default=0)
    if photos:
        plots.save(plots.comparison(rows, photos), output / "comparison.png")


def _time(entry: Entry) -> str:
    if not entry.runs:
        return "not trained yet"
    seconds = entry.median("seconds")
    if seconds < 120:
        return f"{seconds:.0f} s of training"
    return f"{seconds / 60:.0f} min of training" if seconds < 7200 else f"{seconds / 3600:.1f} h of training"
