"""A run folder: whether one may begin or continue, and what it holds at the end."""

import csv
import json
from pathlib import Path
from typing import Any

from paddle_wrn.config import Config, differences, load_config
from paddle_wrn.errors import UserError
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.system.files import write_text

CONFIG = "config.yaml"
LAST = Path("checkpoints") / "last.safetensors"  # to continue from
PREVIOUS = Path("checkpoints") / "previous.safetensors"  # the one before, in case that one is damaged
METRICS = "metrics.json"
PREDICTIONS = "test_predictions.csv"
RELIABILITY = "reliability.png"
CONFUSION = "confusion_matrix.png"
PRECISION_RECALL = "precision_recall.png"


def stored_config(run: Path) -> Config | None:
    """Return the configuration a run folder was trained with, or None if it has saved none yet."""
    return load_config(run / CONFIG) if (run / CONFIG).is_file() else None


def check_run_folder(run: Path, config: Config, *, resume: bool, again: bool = False) -> None:
    """Refuse to train into what is there, unless it is the same run and finished or to be continued.

    Args:
        run: the folder.
        config: what is to be trained.
        resume: an unfinished run is to be continued.
        again: a run that is there is to be moved aside.

    Raises:
        UserError: the folder holds something else, an unfinished run that is not to be resumed, or one with
            another configuration.
    """
    if run.exists() and not run.is_dir():
        raise UserError(f"{run}: is a file; --output must name a folder")
    # Hidden files do not count: a kill in the very first moment leaves the beginnings of config.yaml.
    if not run.exists() or all(path.name.startswith(".") for path in run.iterdir()):
        return
    if not (run / CONFIG).is_file():
        raise UserError(f"{run}: holds other files; --output must name a new folder or a run")
    if again:
        if Path.cwd().is_relative_to(run.resolve()):
            raise UserError(f"{run}: cannot be moved aside while you are in it; go to another folder first")
        return
    stored = load_config(run / CONFIG)
    if not resume and not (run / METRICS).is_file():
        raise UserError(f"{run}: holds a run already; add --resume to continue it, or give another --output")
    changed = differences(stored, config.model_copy(update={"device": stored.device}))
    if changed:
        raise UserError(
            f"{run}: was trained with another configuration ({'; '.join(changed)}); "
            "resume with the same settings, train anew with --again, or give another --output"
        )


def finished_results(run: Path, data_digest: str) -> dict[str, Any] | None:
    """Return what `metrics.json` of a finished run holds, or None if the run is not finished.

    Raises:
        UserError: it was trained on other lists than those with this digest.
    """
    try:
        results: dict[str, Any] = json.loads((run / METRICS).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if "lists" not in results:
        return None
    if results["lists"] != data_digest:
        raise UserError(
            f"{run}: the lists have changed since this run began; start a new one in another --output "
            "folder, or here with --again"
        )
    return results


def place_aside(run: Path) -> Path:
    """Return where a run may be moved to: `<run>-before-1`, or the next number that is free."""
    number = 1
    while (aside := run.with_name(f"{run.name}-before-{number}")).exists():
        number += 1
    return aside


def create_run_folder(run: Path, config: Config, preprocessing: Preprocessing) -> None:
    """Make the folder with configuration, classes and preprocessing contract."""
    run.mkdir(parents=True, exist_ok=True)
    write_text(run / CONFIG, config.to_yaml())  # first: it makes the folder a run
    (run / "checkpoints").mkdir(exist_ok=True)
    names = zip(preprocessing.classes, preprocessing.display_names, strict=True)
    lines = (name if name == display else f"{name}\t{display}" for name, display in names)
    write_text(run / "classes.txt", "".join(f"{line}\n" for line in lines))
    write_text(run / "preprocessing.json", preprocessing.model_dump_json(indent=2) + "\n")


def read_predictions(run: Path) -> list[dict[str, str]]:
    """Return the rows of a run's `test_predictions.csv`: path, class, predicted, probability, sure.

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    file = run / PREDICTIONS
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; train the run again with --again") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: not a CSV file ({error}); train the run again with --again") from None
    if any(
        None in row or None in row.values() or not {"path", "class", "predicted"} <= row.keys()
        for row in rows
    ):
        raise UserError(f"{file}: not what training wrote; train the run again with --again")
    return rows
