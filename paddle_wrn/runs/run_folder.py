"""A run folder: where its files are, whether a training may begin or continue there, and what it holds."""

from dataclasses import dataclass
from pathlib import Path

from paddle_wrn.config import Config, differences, load_config
from paddle_wrn.errors import UserError
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.epochs import Epoch, read_epochs
from paddle_wrn.runs.results import Results, TestAnswer, read_answers
from paddle_wrn.system.console import command_line
from paddle_wrn.system.files import write_text
from paddle_wrn.system.records import read_record


@dataclass(frozen=True)
class RunFolder:
    """A folder that a training fills.

    Attributes:
        path: of the folder.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def config_file(self) -> Path:
        """All settings; it is written first and makes the folder a run."""
        return self.path / "config.yaml"

    @property
    def results_file(self) -> Path:
        """The figures; they are written last and say that the run is finished."""
        return self.path / "metrics.json"

    @property
    def history_file(self) -> Path:
        """One line an epoch."""
        return self.path / "history.jsonl"

    @property
    def answers_file(self) -> Path:
        """What was said of each test photo."""
        return self.path / "test_predictions.csv"

    @property
    def best(self) -> Path:
        """The kept weights with all that is needed to use them."""
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def last(self) -> Path:
        """All that is needed to continue."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def previous(self) -> Path:
        """What was `last` before."""
        return self.path / "checkpoints" / "previous.safetensors"

    @property
    def curves(self) -> Path:
        """Picture of loss and accuracy by epoch."""
        return self.path / "curves.png"

    @property
    def confusion(self) -> Path:
        """Picture of the confusion matrix of the test photos."""
        return self.path / "confusion_matrix.png"

    @property
    def precision_recall(self) -> Path:
        """Picture of precision over recall of the test photos."""
        return self.path / "precision_recall.png"

    @property
    def reliability(self) -> Path:
        """Picture of how often the probabilities of the validation photos are right."""
        return self.path / "reliability.png"

    @property
    def exists(self) -> bool:
        """Whether a training has begun here."""
        return self.config_file.is_file()

    @property
    def finished(self) -> bool:
        """Whether a training has ended here."""
        return self.results_file.is_file()

    @property
    def unfinished(self) -> bool:
        """Whether a training has saved something here, but not ended."""
        return not self.finished and (self.last.exists() or self.previous.exists())

    def config(self) -> Config | None:
        """Return the settings it was trained with, or None if it has saved none yet."""
        return load_config(self.config_file) if self.exists else None

    def results(self) -> Results | None:
        """Return the figures of the run, or None if it is not finished.

        Raises:
            UserError: the file is damaged.
        """
        if not self.finished:
            return None
        return read_record(Results, self.results_file, "train the run again with --again")

    def epochs(self) -> list[Epoch]:
        """Return the epochs that are done, oldest first."""
        return read_epochs(self.history_file)

    def answers(self) -> list[TestAnswer]:
        """Return what was said of each test photo.

        Raises:
            UserError: there is no such file, or it holds something else.
        """
        return read_answers(self.answers_file)

    def refuse_unfinished(self, instead: str = "") -> None:
        """Raise `UserError` if a training has begun here and not ended.

        Args:
            instead: what else could be done, such as `or give ...`.
        """
        if self.unfinished:
            raise UserError(
                f"{self}: its training is not finished; continue it with: "
                f"{command_line('train', '--resume', '--output', self)}{instead and f', {instead}'}"
            )

    def results_on(self, lists: str) -> Results | None:
        """Return the figures if the run is finished on the lists with this fingerprint; None if it is not.

        Raises:
            UserError: it was trained on other lists.
        """
        try:
            results = self.results()
        except UserError:  # what is damaged is written anew
            return None
        if results is None or results.lists is None:
            return None
        if results.lists != lists:
            raise UserError(
                f"{self}: the lists have changed since this run began; start a new one in another --output "
                "folder, or here with --again"
            )
        return results

    def check_free(self, config: Config, *, resume: bool, again: bool = False) -> None:
        """Refuse to train into what is there, unless it is the same run and finished or to be continued.

        Args:
            config: what is to be trained.
            resume: an unfinished run is to be continued.
            again: a run that is there is to be moved aside.

        Raises:
            UserError: the folder holds something else, an unfinished run that is not to be resumed, or one
                with another configuration.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self}: is a file; --output must name a folder")
        # Hidden files do not count: a kill in the very first moment leaves the beginnings of config.yaml.
        if not self.path.exists() or all(file.name.startswith(".") for file in self.path.iterdir()):
            return
        stored = self.config()
        if stored is None:
            raise UserError(f"{self}: holds other files; --output must name a new folder or a run")
        if again:
            if Path.cwd().is_relative_to(self.path.resolve()):
                raise UserError(
                    f"{self}: cannot be moved aside while you are in it; go to another folder first"
                )
            return
        if not resume and not self.finished:
            raise UserError(
                f"{self}: holds a run already; add --resume to continue it, or give another --output"
            )
        changed = differences(stored, config.model_copy(update={"device": stored.device}))
        if changed:
            raise UserError(
                f"{self}: was trained with another configuration ({'; '.join(changed)}); "
                "resume with the same settings, train anew with --again, or give another --output"
            )

    def aside(self) -> "RunFolder":
        """Return a name that is free, for this run to move to: `<run>-before-1`, -2, ..."""
        number = 1
        while (free := self.path.with_name(f"{self.path.name}-before-{number}")).exists():
            number += 1
        return RunFolder(free)

    def create(self, config: Config, preprocessing: Preprocessing) -> None:
        """Make the folder with configuration, classes and preprocessing contract."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.config_file, config.to_yaml())  # first: it makes the folder a run
        self.best.parent.mkdir(exist_ok=True)
        names = zip(preprocessing.classes, preprocessing.display_names, strict=True)
        lines = (name if name == display else f"{name}\t{display}" for name, display in names)
        write_text(self.path / "classes.txt", "".join(f"{line}\n" for line in lines))
        write_text(self.path / "preprocessing.json", preprocessing.model_dump_json(indent=2) + "\n")
