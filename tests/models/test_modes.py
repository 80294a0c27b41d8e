"""Evaluation mode and back: of every layer its own, whatever happens in between."""

from collections.abc import Callable

import numpy as np
import paddle
import pytest
from paddle import Tensor, nn
from small_classifiers import classifier_of, noise

from paddle_wrn.models.modes import evaluation_mode
from paddle_wrn.models.summary import summarise


class Frozen(nn.Layer):
    """A network of which one part is in training mode and one is not."""

    def __init__(self, broken: bool = False) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4))
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(4, 3)
        self.broken = broken
        self.train()
        self.backbone.eval()

    def forward(self, x: Tensor) -> Tensor:
        assert not any(layer.training for layer in self.sublayers(include_self=True))
        if self.broken:
            raise RuntimeError("broken")
        return self.fc(self.dropout(self.backbone(x).mean([2, 3])))


def modes(model: nn.Layer) -> list[bool]:
    return [layer.training for layer in model.sublayers(include_self=True)]


def test_every_layer_is_in_evaluation_mode_and_then_in_its_own() -> None:
    model = Frozen()
    before = modes(model)
    assert set(before) == {True, False}

    with evaluation_mode(model):
        assert not any(modes(model))

    assert modes(model) == before


def test_a_network_in_evaluation_mode_stays_there() -> None:
    model = Frozen()
    model.eval()
    with evaluation_mode(model):
        pass
    assert not any(modes(model))


def test_after_an_error_the_modes_are_back() -> None:
    model = Frozen()
    before = modes(model)
    with pytest.raises(KeyboardInterrupt), evaluation_mode(model):
        raise KeyboardInterrupt
    assert modes(model) == before


def ask(model: nn.Layer) -> None:
    classifier = classifier_of(nn.Layer(), 8)
    type(classifier)(model, classifier.preprocessing).logits(noise(2, 8))


def summary(model: nn.Layer) -> None:
    summarise(model, (3, 8, 8))


@pytest.mark.parametrize("use", [ask, summary])
@pytest.mark.parametrize("broken", [False, True])
def test_whoever_asks_a_network_leaves_its_modes_alone(use: Callable[[nn.Layer], None], broken: bool) -> None:
    model = Frozen(broken)
    before = modes(model)
    statistics = model.backbone[1]._mean.numpy().copy()

    if broken:
        with pytest.raises(RuntimeError, match="broken"):
            use(model)
    else:
        use(model)

    assert modes(model) == before
    np.testing.assert_array_equal(model.backbone[1]._mean.numpy(), statistics)
    assert paddle.is_grad_enabled()
