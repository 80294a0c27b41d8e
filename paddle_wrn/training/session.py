"""A training from its settings to its figures.

    train -> _train_run -> loop.train_epochs -> train_epoch -> train_step

Paddle's launcher makes several processes do this together; `processes` says how.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from paddle_wrn.answering.classifier import load_classifier
from paddle_wrn.config import Config
from paddle_wrn.drawing import sheets
from paddle_wrn.models.summary import Summary, summarise
from paddle_wrn.photos.augmentation import augment
from paddle_wrn.runs.results import Results
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.system.console import log, log_on_screen, log_to
from paddle_wrn.system.files import write_text
from paddle_wrn.training.announcements import introduce, not_again
from paddle_wrn.training.head_training import fit_head_first, head_in, train_head
from paddle_wrn.training.loop import train_epochs
from paddle_wrn.training.processes import join_processes
from paddle_wrn.training.recording import Recorder, RunRecorder
from paddle_wrn.training.results import Kept, write_results
from paddle_wrn.training.setup import Setup, read_lists, set_up, settle
from paddle_wrn.training.state import TrainingState, new_state


@log_on_screen()
def train(
    config: Config | Path | str | None = None,
    *,
    data: Path | str | None = None,
    output: Path | str | None = None,
    resume: bool = False,
    again: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Results:
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
        Stopped: Ctrl-C or SIGTERM came, and everything is saved; a `KeyboardInterrupt`.
    """
    processes = join_processes()
    changes = dict(settings or {}) | ({} if data is None else {"data": str(data)})

    def settled() -> tuple[str, dict[str, Any]]:
        run, resolved = settle(config, changes, output, resume, again)
        return str(run), resolved.model_dump(mode="json")

    def finished() -> dict[str, Any] | None:
        results = None if again else run.results_on(fingerprint)
        return None if results is None else results.plain()

    name, plain = processes.first(settled)
    run, resolved = RunFolder(Path(name)), Config.model_validate(plain)
    folder = processes.first_then_others(lambda: read_lists(resolved))
    fingerprint = processes.first(folder.digest)
    found = processes.first(finished)
    if found is not None:
        results = Results.model_validate(found)
        if processes.is_first:
            log.info("%s", not_again(run, results))
        return results
    with processes.together():
        setup = set_up(resolved, run, folder, fingerprint, processes)
    with paddle.utils.unique_name.guard():  # parameter names must not depend on what was built before
        return _train_run(setup, again)


def _train_run(setup: Setup, again: bool) -> Results:
    config, run, processes = setup.config, setup.run, setup.processes
    with processes.together():
        state = new_state(config, setup.preprocessing(), processes)
        summary = summarise(state.model, (3, config.input.size, config.input.size))
        complaints = _open_run_folder(setup, state, again) if processes.is_first else []
    state.take_from_first()
    if not processes.is_first:
        train_epochs(state, setup.photos["train"], setup.photos.get("val"), Recorder())
        return Results.model_validate(processes.first(dict))
    write_text(run.path / "model.txt", f"{summary}\n")
    recorder = RunRecorder(run, setup.fingerprint, state.progress.epoch)
    try:
        with log_to(run.path / "train.log"):
            for complaint in complaints:
                log.info("%s", complaint)
            introduce(setup, state, summary)
            if not recorder.epochs and not setup.head_only:  # tracing takes longer than fitting a head
                _show_beginning(recorder, setup, state, summary)
            kept = (
                _trained_head(setup, state, recorder) if setup.head_only else _trained(setup, state, recorder)
            )
            plain = processes.first(lambda: write_results(setup, state, recorder, summary, kept).plain())
            return Results.model_validate(plain)
    finally:
        recorder.close()


def _trained(setup: Setup, state: TrainingState, recorder: RunRecorder) -> Kept:
    """Train all epochs; return the kept network and its answers."""
    if setup.config.model.trainable == "head_first" and state.fresh:
        fit_head_first(setup, state, recorder)
    train_epochs(state, setup.photos["train"], setup.photos.get("val"), recorder)
    kept = load_classifier(setup.run.path)
    logits = {
        name: kept.logits(setup.photos[name].images) for name in ("val", "test") if name in setup.photos
    }
    return Kept(kept, logits)


def _trained_head(setup: Setup, state: TrainingState, recorder: RunRecorder) -> Kept:
    """Fit the head alone; return the kept network and its answers, which the features give at once."""
    features = train_head(setup, state, recorder)
    head = head_in(state.model)
    logits = {name: head.logits(part) for name, part in features.items() if name != "train"}
    return Kept(load_classifier(setup.run.path), logits)


def _open_run_folder(setup: Setup, state: TrainingState, again: bool) -> list[str]:
    """Make the run folder, or continue what is there; return what there is to say about it."""
    run, said = setup.run, []
    aside = run.aside() if again and run.exists else None
    complaints = state.restore(aside or run, setup.fingerprint)  # nothing is in `aside` yet
    if aside is not None:  # only now: settings, photos and weights to begin with are all right
        run.path.rename(aside.path)
        said.append(f"again     what was in {run} is now in {aside}")
    run.create(setup.config, state.preprocessing)
    return said + [f"{complaint}; continuing from the checkpoint before it" for complaint in complaints]


def _show_beginning(recorder: RunRecorder, setup: Setup, state: TrainingState, summary: Summary) -> None:
    """Show VisualDL some augmented photos and the graph of the network."""
    rng = np.random.default_rng([setup.config.seed, 0, 0])
    sample = augment(setup.photos["train"].images[:32], setup.config.augment, rng)
    recorder.visual.add_image("augmented training photos", sheets.image_grid(sample), 0)
    recorder.visual.add_graph(state.model, summary.input_shape)
