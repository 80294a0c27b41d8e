"""Tests of the head: logistic regression on features, held against scikit-learn on all features at once."""

import numpy as np
import pytest
from numpy.typing import NDArray

from paddle_wrn.scoring.metrics import cross_entropy, softmax
from paddle_wrn.training import head as heads
from paddle_wrn.training.head import STRENGTHS, UNCHOSEN, HeadFit, OutOfFold, choose_strength, usable_folds

Case = tuple[NDArray[np.float32], NDArray[np.int64]]


def clusters(photos: int, features: int, classes: int, spread: float, seed: int = 0) -> Case:
    """Return points around one centre a class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(photos) % classes
    centres = rng.normal(0, 1, (classes, features))
    return (centres[labels] + rng.normal(0, spread, (photos, features))).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize(("photos", "features"), [(40, 100), (120, 10)])
def test_a_head_is_the_minimum_of_its_penalised_loss(photos: int, features: int, classes: int) -> None:
    points, labels = clusters(photos, features, classes, 2.0)
    strength = 0.1
    head = HeadFit(points, labels, classes).head(strength)

    variance = points.var(axis=0)
    deviation = np.sqrt((variance + variance.mean()) / 2)
    targets = np.eye(classes)[labels]
    scaled_weight = head.weight * deviation[:, None]  # what the penalty acts on
    residual = softmax(head.logits(points)) - targets
    slope = ((points - points.mean(0)) / deviation).T @ residual * strength + scaled_weight
    assert np.abs(slope).max() < 5e-3 * strength * photos
    assert np.abs(residual.sum(axis=0)).max() < 5e-3 * photos  # the bias is not penalised
    assert head.weight.shape == (features, classes)
    assert head.weight.dtype == head.bias.dtype == np.float32


def test_two_classes_have_logits_of_a_softmax() -> None:
    points, labels = clusters(60, 5, 2, 0.5)
    head = HeadFit(points, labels, 2).head(1.0)
    assert np.abs(head.weight.sum(axis=1)).max() < 1e-6
    assert (head.logits(points).argmax(axis=1) == labels).mean() > 0.9


def test_features_that_hardly_vary_do_not_drown_the_others() -> None:
    points, labels = clusters(30, 4, 3, 0.3)
    noise = np.random.default_rng(1).normal(0, 1e-4, (30, 200)).astype(np.float32)
    test_points, test_labels = clusters(300, 4, 3, 0.3, seed=0)
    test_noise = np.random.default_rng(2).normal(0, 1e-4, (300, 200)).astype(np.float32)
    head = HeadFit(np.hstack([points, noise]), labels, 3).head(1.0)
    said = head.logits(np.hstack([test_points, test_noise])).argmax(axis=1)
    assert (said == test_labels).mean() > 0.95


def test_photos_are_judged_by_heads_that_were_not_fitted_to_them() -> None:
    points, labels = clusters(40, 60, 2, 1.0)
    wrong = labels.copy()
    wrong[7] = 1 - wrong[7]
    folds = usable_folds(wrong, np.arange(40))
    logits = OutOfFold(points, wrong, folds).logits(10.0)
    assert sorted(np.concatenate(folds).tolist()) == list(range(40))
    assert logits[7].argmax() == labels[7]  # a head that had seen photo 7 would say what it was told
    fitted = HeadFit(points, wrong, 2).head(10.0)
    assert fitted.logits(points)[7].argmax() == wrong[7]


def test_noisy_photos_ask_for_a_weaker_head_than_clear_ones() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(100) % 4
    noise = rng.normal(0, 1, (100, 50)).astype(np.float32)
    clear, clear_labels = clusters(100, 50, 4, 0.1)
    assert choose_strength(noise, labels, np.arange(100)) == STRENGTHS[0]
    assert choose_strength(clear, clear_labels, np.arange(100)) == STRENGTHS[-1]


def test_the_strength_is_that_of_the_least_loss_out_of_fold() -> None:
    points, labels = clusters(90, 20, 3, 3.0)
    groups = np.arange(90)
    folds = usable_folds(labels, groups)
    losses = [
        cross_entropy(OutOfFold(points, labels, folds).logits(strength), labels) for strength in STRENGTHS
    ]
    assert choose_strength(points, labels, groups) == STRENGTHS[int(np.argmin(losses))]


@pytest.mark.parametrize(("photos", "features"), [(40, 100), (120, 10)])
def test_one_strength_after_another_ends_where_each_would_alone(photos: int, features: int) -> None:
    points, labels = clusters(photos, features, 3, 1.0)
    fit = HeadFit(points, labels, 3)
    for strength in STRENGTHS:
        after, alone = fit.head(strength), HeadFit(points, labels, 3).head(strength)
        scale = np.abs(alone.logits(points)).max()
        assert np.abs(after.logits(points) - alone.logits(points)).max() < 0.02 * scale


def test_the_head_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    points, labels = clusters(150, 6, 4, 1.5)
    variance = points.var(axis=0)
    scaled = (points - points.mean(axis=0)) / np.sqrt((variance + variance.mean()) / 2)
    theirs = LogisticRegression(C=0.5, tol=1e-8, max_iter=5000).fit(scaled.astype(float), labels)
    ours = HeadFit(points, labels, 4).head(0.5)
    assert np.abs(softmax(ours.logits(points)) - theirs.predict_proba(scaled)).max() < 1e-3


def test_photos_of_one_group_never_judge_one_another() -> None:
    labels = np.repeat([0, 1], 10)
    groups = np.repeat(np.arange(10), 2)
    for held_out in usable_folds(labels, groups):
        kept = np.setdiff1d(np.arange(20), held_out)
        assert not set(groups[held_out]) & set(groups[kept])


def test_one_photo_a_class_is_too_few_to_choose_by() -> None:
    points, labels = clusters(3, 5, 3, 0.1)
    assert usable_folds(labels, np.arange(3)) == []
    assert choose_strength(points, labels, np.arange(3)) == UNCHOSEN


def test_of_very_many_photos_some_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "MOST_FOR_FOLDS", 50)
    seen = []
    monkeypatch.setattr(heads, "usable_folds", lambda labels, groups: seen.append(len(labels)) or [])
    points, labels = clusters(80, 5, 2, 1.0)
    assert choose_strength(points, labels, np.arange(80)) == UNCHOSEN
    assert seen == [50]
