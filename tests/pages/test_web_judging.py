"""Uploaded photos -> answers, without any page."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from rounding import logit_rounding

from paddle_wrn.answering.calibration import Calibration
from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.models import create_model
from paddle_wrn.pages.web import judging
from paddle_wrn.pages.web.judging import AnsweredPhoto, Refused, judge
from paddle_wrn.photos.preprocessing import Preprocessing

CALIBRATION = Calibration(temperature=0.25, threshold=0.6, photos=30)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    paddle.seed(3)
    names = ("Blue Disc", "Green", "红 三角")
    flat = (0.2, 0.2, 0.2)
    contract = Preprocessing(size=32, mean=flat, std=flat, classes=names, display_names=names, mirror=True)
    model = create_model("wrn_10_1", 3)
    model.eval()
    return Classifier(model, contract, calibration=CALIBRATION)


@pytest.fixture
def photos(photo_folder: Path) -> list[tuple[str, Path]]:
    files = sorted(photo_folder.rglob("*.jpg"))[::5]
    return [(f"photo {number}", file) for number, file in enumerate(files)]


def probabilities(classifier: Classifier, file: Path) -> Any:
    return classifier.probabilities(classifier.preprocessing.load(file)[None])[0]


@pytest.mark.numeric
def test_each_photo_gets_its_calibrated_probabilities_in_order(
    classifier: Classifier, photos: list[tuple[str, Path]]
) -> None:
    reply = judge(classifier, photos)
    assert len(reply.photos) == len(photos) > 4
    assert (reply.together, reply.left_out) == (None, 0)
    for answered, (name, file) in zip(reply.photos, photos, strict=True):
        assert isinstance(answered, AnsweredPhoto)
        expected = probabilities(classifier, file)
        order = np.argsort(-expected)
        assert answered.name == name
        assert answered.answer.labels == tuple(order)
        off = logit_rounding(classifier, classifier.preprocessing.load(file)[None]) / 2
        assert answered.answer.probabilities == pytest.approx(expected[order], abs=off)
        assert answered.answer.sure == (expected.max() >= CALIBRATION.threshold)
        assert answered.heat is not None
        assert answered.photo.shape == answered.heat.shape
        assert (answered.photo != answered.heat).any()


@pytest.mark.numeric
def test_one_subject_is_answered_by_the_mean_of_the_log_probabilities(
    classifier: Classifier, photos: list[tuple[str, Path]]
) -> None:
    together = judge(classifier, photos, one_subject=True).together
    assert together is not None
    logs = np.mean([np.log(probabilities(classifier, file)) for _, file in photos], axis=0)
    expected = np.exp(logs) / np.exp(logs).sum()
    given = np.empty(3)
    given[list(together.labels)] = together.probabilities
    squares = np.stack([classifier.preprocessing.load(file) for _, file in photos])
    assert given == pytest.approx(expected, abs=logit_rounding(classifier, squares) / 2)
    assert together.sure == (expected.max() >= CALIBRATION.threshold)


@pytest.mark.numeric
def test_the_same_photo_again_makes_no_answer_surer(
    classifier: Classifier, photos: list[tuple[str, Path]]
) -> None:
    reply = judge(classifier, photos[:1] * 5, one_subject=True)
    answered, together = reply.photos[0], reply.together
    assert isinstance(answered, AnsweredPhoto)
    assert together is not None
    square = classifier.preprocessing.load(photos[0][1])
    off = logit_rounding(classifier, square[None]) / 2
    assert together.probabilities == pytest.approx(answered.answer.probabilities, abs=off)


def test_one_photo_alone_is_not_put_together(classifier: Classifier, photos: list[tuple[str, Path]]) -> None:
    assert judge(classifier, photos[:1], one_subject=True).together is None


def test_what_cannot_be_read_is_refused_by_its_own_name_and_spoils_nothing(
    classifier: Classifier, photos: list[tuple[str, Path]], tmp_path: Path
) -> None:
    broken = tmp_path / "0a1b2c.jpg"
    broken.write_bytes(photos[0][1].read_bytes()[:300])
    reply = judge(classifier, [("bird.jpg", broken), *photos[:2]], one_subject=True)
    refused, *others = reply.photos
    assert isinstance(refused, Refused)
    assert refused.reason.startswith("bird.jpg: cannot be decoded (")
    assert str(tmp_path) not in refused.reason
    assert reply.together == judge(classifier, photos[:2], one_subject=True).together
    assert len(others) == 2


def test_photos_and_time_are_bounded(
    classifier: Classifier, photos: list[tuple[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "MOST_PHOTOS", 2)
    reply = judge(classifier, photos)
    assert (len(reply.photos), reply.left_out) == (2, len(photos) - 2)
    monkeypatch.setattr(judging, "MOST_SECONDS", -1.0)
    reply = judge(classifier, photos)
    assert (reply.photos, reply.left_out) == ((), len(photos))


def test_a_network_that_gives_no_map_answers_all_the_same(
    classifier: Classifier, photos: list[tuple[str, Path]]
) -> None:
    model, bare = classifier.model, paddle.nn.Layer()  # what a compiled network has: no layers
    exported = replace(classifier, model=bare, network=model)
    (answered,) = judge(exported, photos[:1]).photos
    assert isinstance(answered, AnsweredPhoto)
    assert answered.heat is None
    (expected,) = judge(classifier, photos[:1]).photos
    assert isinstance(expected, AnsweredPhoto)
    assert answered.answer == expected.answer
