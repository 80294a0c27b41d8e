"""Suspicious labels: the rule, and the file between the command and the report."""

from pathlib import Path

import numpy as np
import pytest

from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.studies.judgements import LABEL_CHECK, judge, listed_as, read_judgements, write_judgements


def probabilities(*firsts: float) -> np.ndarray:
    """Return rows of two classes."""
    return np.array([[first, 1 - first] for first in firsts])


def test_a_label_is_suspicious_where_the_network_is_as_sure_as_it_usually_is_of_that_class() -> None:
    labels = np.array([0, 0, 1, 1, 1, 1])
    #   class 0 usually gets 0.85, class 1 (0.9 + 0.7 + 0.1 + 0.3) / 4 = 0.5
    judged = judge("abcdef", labels, probabilities(0.9, 0.8, 0.1, 0.3, 0.9, 0.7))

    assert judged.predicted.tolist() == [0, 0, 1, 1, 0, 0]
    assert judged.suspicious() == [4]  # and not 5: with 0.7, class 0 is named with less than is usual


def test_the_clearest_comes_first() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    judged = judge("abcdefg", labels, probabilities(0.7, 0.6, 0.65, 0.8, 0.97, 0.9, 0.1))
    assert judged.suspicious() == [4, 5, 3]


def test_a_class_without_photos_is_no_measure() -> None:
    judged = judge("ab", np.array([0, 0]), probabilities(0.6, 0.1))
    assert judged.predicted.tolist() == [0, 1]
    assert judged.suspicious() == []


def test_swapped_labels_are_found_far_above_chance() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 400)
    logits = rng.normal(0, 1, (400, 5))
    logits[np.arange(400), truth] += 4  # a network that is right about nine times of ten
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = truth.copy()
    swapped = set(range(0, 400, 20))
    labels[list(swapped)] = (labels[list(swapped)] + 1) % 5

    found = judge([str(i) for i in range(400)], labels, shares).suspicious()

    assert len(swapped & set(found[:20])) >= 14  # by chance 1 would be


def test_what_is_written_reads_back(data_folder: Path, tmp_path: Path) -> None:
    folder = read_data_folder(data_folder)
    names = [listed_as(path, data_folder) for path in folder.train.paths]
    assert names[0] == "../photos/Blue Disc/Blue Disc 00.jpg"
    rng = np.random.default_rng(1)
    judged = judge(names, folder.train.labels, rng.dirichlet(np.ones(3), len(names)))

    file = write_judgements(tmp_path, judged, folder.classes.names)
    back = read_judgements(tmp_path, folder)

    assert back is not None
    suspicious = judged.suspicious()
    assert suspicious
    assert [back.paths[i] for i in back.suspicious()] == [names[i] for i in suspicious]
    assert sorted(back.paths) == sorted(names)
    np.testing.assert_allclose(sorted(back.probability), sorted(judged.probability), atol=1e-6)
    lines = file.read_text("utf-8").splitlines()
    assert lines[0] == "path,class,predicted,probability,class_probability,suspicious"
    assert [line.endswith(",yes") for line in lines[1:]] == [i < len(suspicious) for i in range(len(names))]


def test_photos_with_another_label_by_now_are_left_out(data_folder: Path, tmp_path: Path) -> None:
    folder = read_data_folder(data_folder)
    names = [listed_as(path, data_folder) for path in folder.train.paths]
    labels = folder.train.labels.copy()
    labels[:2] = [2, 1]  # what the lists said then
    write_judgements(
        tmp_path, judge([*names[:-1], "gone.jpg"], labels, np.full((24, 3), 1 / 3)), folder.classes.names
    )
    back = read_judgements(tmp_path, folder)
    assert back is not None
    assert set(back.paths) == set(names[2:-1])


def test_before_the_check_there_is_nothing(data_folder: Path, tmp_path: Path) -> None:
    assert read_judgements(tmp_path, read_data_folder(data_folder)) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n1,2\n",
        b"\xff\xfe",
        b"path,class,predicted,probability,class_probability\na,Nobody,Green,1,0\n",
        b"path,class,predicted,probability,class_probability\na,Green,Green,high,0\n",
        b"path,class,predicted,probability,class_probability\na,Green\n",
        b"path,class,predicted,probability,class_probability\na,Green,Green,nan,0\n",
    ],
)
def test_another_file_is_refused(content: bytes, data_folder: Path, tmp_path: Path) -> None:
    (tmp_path / LABEL_CHECK).write_bytes(content)
    with pytest.raises(UserError, match=r"label_check.csv: not what check_labels wrote"):
        read_judgements(tmp_path, read_data_folder(data_folder))
