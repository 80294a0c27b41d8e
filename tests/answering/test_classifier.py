"""Tests of a network with its contract: what it answers of photos and of their mirror images."""

import numpy as np
import paddle
import pytest
from numpy.typing import NDArray
from rounding import additions, assert_equal_to_rounding

from paddle_wrn.answering import classifier as inference
from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.models import create_model
from paddle_wrn.photos.preprocessing import Preprocessing

pytestmark = pytest.mark.numeric

Pixels = NDArray[np.uint8]
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), np.uint8)


@pytest.fixture
def classifier(request: pytest.FixtureRequest) -> Classifier:
    """Return an untrained network that mirrors, unless the test's parameter says otherwise."""
    paddle.seed(0)
    model = create_model("wrn_10_1", 3, strides=[2, 1, 2, 2])
    model(paddle.randn([8, 3, 16, 16]))  # moves the running statistics
    names = ("Cockatoo", "Bananaquit", "Black Skimmer")
    mirror = getattr(request, "param", True)
    contract = Preprocessing(
        size=16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.3), classes=names, display_names=names, mirror=mirror
    )
    return Classifier(model, contract)


unmirrored = pytest.mark.parametrize("classifier", [False], indirect=True)
both_ways = pytest.mark.parametrize("classifier", [True, False], indirect=True, ids=["mirrored", "plain"])


def forward(classifier: Classifier, images: Pixels) -> NDArray[np.float32]:
    """Return what the network itself says in evaluation mode."""
    classifier.model.eval()
    with paddle.no_grad():
        return classifier.model(paddle.to_tensor(classifier.preprocessing.normalise(images))).numpy()


def mirrored(images: Pixels) -> Pixels:
    return np.ascontiguousarray(images[:, :, ::-1])


def test_the_answer_is_exactly_the_mean_over_a_photo_and_its_mirror_image(classifier: Classifier) -> None:
    upright, turned = forward(classifier, IMAGES), forward(classifier, mirrored(IMAGES))

    np.testing.assert_array_equal(classifier.logits(IMAGES), (upright + turned) / 2)
    assert np.abs(upright - turned).max() > 1e-3


def test_a_photo_and_its_mirror_image_get_the_same_answer(classifier: Classifier) -> None:
    found, expected = classifier.logits(mirrored(IMAGES)), classifier.logits(IMAGES)
    assert_equal_to_rounding(found, expected, terms=additions(classifier.model))


def test_a_photo_upside_down_gets_another_answer(classifier: Classifier) -> None:
    upside_down = np.ascontiguousarray(IMAGES[:, ::-1])

    assert np.abs(classifier.logits(upside_down) - classifier.logits(IMAGES)).max() > 1e-3


@unmirrored
def test_without_mirroring_the_answer_is_the_networks(classifier: Classifier) -> None:
    np.testing.assert_array_equal(classifier.logits(IMAGES), forward(classifier, IMAGES))


@both_ways
def test_batches_change_nothing_and_are_told(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = classifier.logits(IMAGES)
    done: list[int] = []
    monkeypatch.setattr(inference, "BATCH_SIZE", 3)

    parts = classifier.logits(IMAGES, done.append)

    assert done == [3, 3, 1]
    assert (parts.shape, parts.dtype) == ((7, 3), np.float32)
    assert_equal_to_rounding(parts, whole, terms=additions(classifier.model))


@both_ways
@pytest.mark.parametrize("training", [True, False])
def test_the_network_stays_in_its_mode_and_unchanged(classifier: Classifier, training: bool) -> None:
    (classifier.model.train if training else classifier.model.eval)()
    before = {name: value.numpy().copy() for name, value in classifier.model.state_dict().items()}

    classifier.logits(IMAGES)

    assert classifier.model.training == training
    for name, value in classifier.model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_changed_weights_count_at_once(classifier: Classifier) -> None:
    before = classifier.logits(IMAGES)
    classifier.model.fc.bias.set_value(classifier.model.fc.bias + 1)

    assert_equal_to_rounding(classifier.logits(IMAGES), before + 1, terms=additions(classifier.model))
