"""What a run has come to: `metrics.json`, and what it says of each test photo."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_wrn.errors import UserError
from paddle_wrn.scoring.scores import Scores
from paddle_wrn.system.records import Record

_COLUMNS = ("path", "class", "predicted", "probability", "sure")
_AGAIN = "train the run again with --again"


class Results(Record):
    """The figures of a finished run.

    Attributes:
        val: of the validation photos, if there are any.
        test: of the test photos, if there are any.
        kept_epoch: the epoch whose weights were kept.
        epochs: how many there were.
        seconds: of training and validation.
        images_per_second: training photos a second; median over the epochs.
        parameters: of the network.
        multiply_adds: of the network, for one image.
        seed: of the run.
        device: what it was trained on, such as `cpu`.
        versions: of what results depend on.
        lists: fingerprint of the lists; None in runs of early versions.
    """

    val: Scores | None = None
    test: Scores | None = None
    kept_epoch: int
    epochs: int
    seconds: float
    images_per_second: float
    parameters: int
    multiply_adds: int
    seed: int
    device: str
    versions: dict[str, str]
    lists: str | None = None

    def plain(self) -> dict[str, Any]:
        """Return what `metrics.json` holds: without the scores of lists that there are not."""
        scores = {name: found.plain() for name, found in self.scores.items()}
        return scores | self.model_dump(mode="json", exclude={"val", "test"})

    @property
    def scores(self) -> dict[str, Scores]:
        """`val` and `test`, as far as there are such photos."""
        both = {"val": self.val, "test": self.test}
        return {name: found for name, found in both.items() if found is not None}


@dataclass(frozen=True)
class TestAnswer:
    """What the network said of one test photo.

    Attributes:
        path: of the photo, from the folder of the lists where it lies below that.
        class_name: what it shows.
        predicted: the most probable class.
        probability: of that class, 0..1.
        sure: whether the answer was called sure.
    """

    __test__ = False  # for pytest: no class of tests

    path: str
    class_name: str
    predicted: str
    probability: float
    sure: bool

    @property
    def correct(self) -> bool:
        """Whether the answer was right."""
        return self.predicted == self.class_name


def answers_text(answers: Iterable[TestAnswer]) -> str:
    """Return `test_predictions.csv`."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    for answer in answers:
        sure = "yes" if answer.sure else "no"
        table.writerow((answer.path, answer.class_name, answer.predicted, f"{answer.probability:.6f}", sure))
    return text.getvalue()


def read_answers(file: Path) -> list[TestAnswer]:
    """Read a `test_predictions.csv`.

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            table = csv.DictReader(lines)
            if not set(_COLUMNS[:3]) <= set(table.fieldnames or ()):
                raise ValueError("its columns are others")
            return [_answer(row) for row in table]
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; {_AGAIN}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: not a CSV file ({error}); {_AGAIN}") from None
    except ValueError as error:
        raise UserError(f"{file}: not what training wrote ({error}); {_AGAIN}") from None


def _answer(row: dict[str, str]) -> TestAnswer:
    if None in row or None in row.values():
        raise ValueError("a row has too many or too few columns")
    probability = float(row.get("probability", "nan"))  # the first versions wrote neither this
    return TestAnswer(row["path"], row["class"], row["predicted"], probability, row.get("sure") != "no")
