"""Tests of the run folder: where its files are, what may begin there, and what it says of itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from paddle_wrn.config import Config, load_config
from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import read_classes
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.results import Results
from paddle_wrn.runs.run_folder import RunFolder

CONFIG = load_config(None, {"epochs": 3, "data": "data/birds"})
HALF = (0.5, 0.5, 0.5)
CONTRACT = Preprocessing(
    size=16,
    mean=HALF,
    std=HALF,
    mirror=True,
    draft=True,
    classes=("egret", "crow"),
    display_names=("白鹭", "crow"),
)
RESULTS = Results(
    kept_epoch=3,
    epochs=3,
    seconds=1.0,
    images_per_second=100.0,
    parameters=1,
    multiply_adds=1,
    seed=0,
    device="cpu",
    versions={},
    lists="these",
)


@pytest.fixture
def begun(tmp_path: Path) -> RunFolder:
    """Return a run that has begun and saved nothing yet."""
    run = RunFolder(tmp_path / "runs" / "birds")
    run.create(CONFIG, CONTRACT)
    return run


@pytest.fixture
def finished(begun: RunFolder) -> RunFolder:
    """Return a run that has ended."""
    begun.last.touch()
    begun.results_file.write_text(RESULTS.text(), "utf-8")
    return begun


def another(config: Config) -> Config:
    return config.model_copy(update={"seed": 7})


# What it holds


def test_a_new_run_holds_settings_classes_and_contract(begun: RunFolder) -> None:
    assert begun.config() == CONFIG
    classes = read_classes(begun.path / "classes.txt")
    assert (classes.names, classes.display_names) == (CONTRACT.classes, CONTRACT.display_names)
    assert (begun.path / "classes.txt").read_text("utf-8") == "egret\t白鹭\ncrow\n"
    stored = (begun.path / "preprocessing.json").read_text("utf-8")
    assert Preprocessing.model_validate_json(stored) == CONTRACT
    assert begun.best.parent.is_dir()


def test_the_settings_come_first_since_they_make_a_folder_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr("paddle_wrn.runs.run_folder.write_text", lambda file, text: written.append(file.name))
    RunFolder(tmp_path / "run").create(CONFIG, CONTRACT)
    assert written == ["config.yaml", "classes.txt", "preprocessing.json"]


def test_the_files_have_the_names_that_people_know(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    files = (
        *(run.config_file, run.results_file, run.history_file, run.answers_file),
        *(run.best, run.last, run.previous),
        *(run.curves, run.confusion, run.precision_recall, run.reliability),
    )
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        *("config.yaml", "metrics.json", "history.jsonl", "test_predictions.csv"),
        *(f"checkpoints/{name}.safetensors" for name in ("best", "last", "previous")),
        *("curves.png", "confusion_matrix.png", "precision_recall.png", "reliability.png"),
    ]


@pytest.mark.parametrize(
    "make", [lambda path: None, Path.mkdir, Path.touch], ids=["nothing", "empty", "file"]
)
def test_where_no_run_is_there_is_nothing_to_say(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    assert (run.exists, run.finished, run.unfinished) == (False, False, False)
    assert (run.config(), run.results(), run.results_on("these"), run.epochs()) == (None, None, None, [])


def test_how_far_a_run_is(begun: RunFolder) -> None:
    assert (begun.exists, begun.finished, begun.unfinished) == (True, False, False)
    begun.refuse_unfinished()
    begun.previous.touch()  # a damaged `last` was taken away
    assert (begun.finished, begun.unfinished) == (False, True)
    begun.previous.rename(begun.last)
    assert (begun.finished, begun.unfinished) == (False, True)
    begun.results_file.write_text(RESULTS.text(), "utf-8")
    assert (begun.finished, begun.unfinished) == (True, False)
    begun.refuse_unfinished()


def test_an_unfinished_run_is_refused_with_the_way_out(begun: RunFolder) -> None:
    begun.last.touch()
    with pytest.raises(UserError) as caught:
        begun.refuse_unfinished()
    way = f"{begun}: its training is not finished; continue it with: "
    way += f"python -m paddle_wrn.train --resume --output {begun}"
    assert str(caught.value) == way
    with pytest.raises(UserError) as caught:
        begun.refuse_unfinished("or give another --output")
    assert str(caught.value) == f"{way}, or give another --output"


# Figures


def test_figures_belong_to_the_lists(finished: RunFolder) -> None:
    assert finished.results() == finished.results_on("these") == RESULTS
    with pytest.raises(UserError, match=r"birds: the lists have changed since this run began; .*--again"):
        finished.results_on("others")


def test_a_run_that_does_not_name_its_lists_is_not_taken_for_one_on_these(finished: RunFolder) -> None:
    early = RESULTS.model_copy(update={"lists": None})
    finished.results_file.write_text(early.text(), "utf-8")
    assert finished.results() == early
    assert finished.results_on("these") is None


@pytest.mark.parametrize("content", ["", RESULTS.text()[:50], "[]", '{"lists": "these"}'])
def test_damaged_figures_are_a_sentence_and_no_obstacle_to_writing_them_anew(
    content: str, finished: RunFolder
) -> None:
    finished.results_file.write_text(content, "utf-8")
    with pytest.raises(UserError, match=r"metrics.json: .* train the run again with --again$"):
        finished.results()
    assert finished.results_on("others") is None


# What may begin there


def test_a_training_may_begin_where_nothing_is(tmp_path: Path) -> None:
    for run in (RunFolder(tmp_path / "new"), RunFolder(tmp_path)):
        run.check_free(CONFIG, resume=False)
    (tmp_path / ".config.yaml.tmp").touch()  # of a run that was killed in its first moment
    RunFolder(tmp_path).check_free(CONFIG, resume=False)


@pytest.mark.parametrize("again", [False, True])
def test_a_training_may_not_begin_where_something_else_is(again: bool, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(UserError, match="holds other files; --output must name a new folder or a run"):
        RunFolder(tmp_path).check_free(CONFIG, resume=not again, again=again)
    with pytest.raises(UserError, match=r"thesis.txt: is a file; --output must name a folder"):
        RunFolder(tmp_path / "thesis.txt").check_free(CONFIG, resume=not again, again=again)


def test_an_unfinished_run_is_continued_only_where_that_was_asked_for(begun: RunFolder) -> None:
    with pytest.raises(UserError, match="birds: holds a run already; add --resume to continue it"):
        begun.check_free(CONFIG, resume=False)
    begun.check_free(CONFIG, resume=True)


def test_a_run_has_one_configuration_but_any_device(finished: RunFolder) -> None:
    for resume in (False, True):
        finished.check_free(CONFIG.model_copy(update={"device": "gpu"}), resume=resume)
        with pytest.raises(UserError, match=r"another configuration \(seed was 0, now 7\); .*--again"):
            finished.check_free(another(CONFIG), resume=resume)
    finished.check_free(another(CONFIG), resume=False, again=True)


def test_a_run_is_not_moved_from_under_ones_feet(
    finished: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.best.parent)
    with pytest.raises(UserError, match="cannot be moved aside while you are in it"):
        finished.check_free(CONFIG, resume=False, again=True)


def test_the_place_aside_is_the_first_that_is_free(finished: RunFolder) -> None:
    beside = finished.path.parent
    assert finished.aside() == RunFolder(beside / "birds-before-1")
    (beside / "birds-before-1").mkdir()
    (beside / "birds-before-2").touch()
    assert finished.aside() == RunFolder(beside / "birds-before-3")
