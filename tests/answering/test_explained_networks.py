"""What explanations do to a network, and which networks can be explained."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle import nn
from small_classifiers import classifier_of, noise, small

from paddle_wrn.answering import explanations as explain
from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.answering.explanations import features, grad_cam
from paddle_wrn.answering.exported import Program
from paddle_wrn.errors import UserError

# Mirror images and batches


@pytest.fixture
def classifier() -> Classifier:
    return small()


def test_with_mirror_images_the_map_turns_with_the_photo() -> None:
    images = noise(3, 24)
    turned = np.ascontiguousarray(images[:, :, ::-1])
    both, one = small(mirror=True), small()

    np.testing.assert_allclose(grad_cam(both, turned)[:, :, ::-1], grad_cam(both, images), atol=1e-4)
    assert np.abs(grad_cam(one, turned, [0] * 3)[:, :, ::-1] - grad_cam(one, images, [0] * 3)).max() > 0.1


def test_with_mirror_images_features_are_what_the_answer_is_made_of() -> None:
    images, both = noise(3, 24), small(mirror=True)
    seen = features(both, images)

    np.testing.assert_allclose(both.model.fc(paddle.to_tensor(seen)).numpy(), both.logits(images), atol=1e-5)
    np.testing.assert_allclose(features(both, np.ascontiguousarray(images[:, :, ::-1])), seen, atol=1e-5)


@pytest.mark.parametrize("mirror", [False, True])
def test_batches_change_nothing(mirror: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, images, labels = small(mirror=mirror), noise(5, 24), [2, 0, 1, 1, 0]
    maps, seen = grad_cam(classifier, images, labels), features(classifier, images)

    monkeypatch.setattr(explain, "BATCH_SIZE", 2)

    np.testing.assert_allclose(grad_cam(classifier, images, labels), maps, atol=1e-4)
    np.testing.assert_allclose(features(classifier, images), seen, atol=1e-5)


def test_no_images_are_no_maps(classifier: Classifier) -> None:
    nothing = noise(0, 24)

    assert grad_cam(classifier, nothing).shape == (0, 24, 24)
    assert features(classifier, nothing).shape == (0, 64)


# The network is left as it was


@pytest.mark.parametrize("look", [grad_cam, features])
def test_the_network_is_left_as_it_was(look: Callable[..., Any], classifier: Classifier) -> None:
    model, images = classifier.model, noise(2, 24)
    paddle.seed(7)
    expected = paddle.randn([3]).numpy()
    before = {key: value.numpy() for key, value in model.state_dict().items()}
    model.group3.train()
    model.fc.bias.stop_gradient = True
    modes = [layer.training for layer in model.sublayers()]
    paddle.seed(7)

    with paddle.no_grad():  # nor does it matter where it is called
        look(classifier, images)

    np.testing.assert_array_equal(paddle.randn([3]).numpy(), expected)
    assert [layer.training for layer in model.sublayers()] == modes
    assert any(modes)
    assert not all(modes)
    assert [key for key, p in model.named_parameters() if p.stop_gradient and "bn" not in key] == ["fc.bias"]
    assert all(parameter.grad is None for parameter in model.parameters())
    for layer in (model, *model.sublayers()):
        assert not layer._forward_post_hooks
        assert not layer._forward_pre_hooks
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key], key)


def test_a_gradient_that_was_there_stays(classifier: Classifier) -> None:
    model = classifier.model
    model(paddle.ones([1, 3, 24, 24])).sum().backward()
    before = model.conv1.weight.grad.numpy()

    grad_cam(classifier, noise(1, 24))

    np.testing.assert_array_equal(model.conv1.weight.grad.numpy(), before)


def test_a_frozen_backbone_changes_nothing(classifier: Classifier) -> None:
    images = noise(2, 24)
    expected = grad_cam(classifier, images)
    for parameter in classifier.model.parameters():
        parameter.stop_gradient = True

    np.testing.assert_array_equal(grad_cam(classifier, images), expected)


# Networks of one's own


class Pieces(nn.Layer):
    """Layers for strange networks: (N, 3, 8, 8) -> (N, 4, 4, 4) -> 2 logits."""

    def __init__(self) -> None:
        super().__init__()
        paddle.seed(1)
        self.trunk = nn.Conv2D(3, 4, 2, stride=2)
        self.branch = nn.Conv2D(4, 4, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.fc = nn.Linear(4, 2)

    def answer(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.fc(self.pool(x).flatten(1))


class SideBranch(Pieces):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.trunk(x)
        return self.answer(x + F.relu(self.branch(x)))


class UnusedBranch(Pieces):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.trunk(x)
        self.branch(x)
        return self.answer(x)


class SharedLayer(Pieces):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.answer(self.branch(F.relu(self.branch(self.trunk(x)))))


class Tuples(Pieces):
    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.answer(self.pair(self.trunk(x))[0])


class Pair(nn.Layer):
    def forward(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        return x, x


@pytest.mark.parametrize(
    ("network", "name", "calls"),
    [(SideBranch, "trunk", 0), (UnusedBranch, "trunk", 0), (SharedLayer, "branch", 1), (Tuples, "trunk", 0)],
)
def test_the_map_is_one_that_the_whole_answer_goes_through(
    network: Callable[[], Pieces], name: str, calls: int
) -> None:
    model = network()
    classifier, image = classifier_of(model, 8, 2), noise(1, 8)
    maps: list[paddle.Tensor] = []
    hook = getattr(model, name).register_forward_post_hook(lambda _, inputs, output: maps.append(output))
    logits = model(paddle.to_tensor(classifier.preprocessing.normalise(image)))
    hook.remove()
    product = maps[calls] * paddle.grad(logits[0, 1], maps[calls])[0]
    expected = F.interpolate(F.relu(product.sum(1, keepdim=True)), size=[8, 8], mode="bilinear")[0, 0].numpy()

    (heat,) = grad_cam(classifier, image, [1])

    assert expected.max() > 0
    np.testing.assert_allclose(heat, expected / expected.max(), atol=1e-5)


class NoMap(Pieces):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.fc(F.pad(x.mean([2, 3]), [0, 0, 0, 1]))


class OnePixel(Pieces):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.answer(self.pool(F.pad(x, [0, 0, 0, 0], data_format="NCHW")).tile([1, 2, 1, 1])[:, :4])


class NoSlope(Pieces):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.one_hot(self.answer(self.trunk(x)).argmax(1), 2)


class TwoRoads(Pieces):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.answer(self.trunk(x)) + x.mean([1, 2, 3]).unsqueeze(1)


@pytest.mark.parametrize("network", [NoMap, OnePixel, NoSlope, TwoRoads])
def test_a_network_without_such_a_map_gets_a_sentence(network: Callable[[], Pieces]) -> None:
    model = network()
    sentence = rf"^{network.__name__}: no layer gives a feature map .* at 8 x 8 pixels; .* Grad-CAM$"

    with pytest.raises(UserError, match=sentence):
        grad_cam(classifier_of(model, 8, 2), noise(1, 8))

    assert not any(layer._forward_post_hooks for layer in model.sublayers())
    assert not model.fc.weight.stop_gradient


class TwoHeads(Pieces):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.answer(self.trunk(x)) + self.answer(self.branch(self.trunk(x)))


class Convolutions(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2D(3, 2, 3)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.conv(x).mean([2, 3])


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (TwoHeads, r"^TwoHeads: its last linear layer \(fc\) is used 2 times; features need once$"),
        (Convolutions, "^model: the network has no linear layer"),
    ],
)
def test_features_need_a_head_that_is_used_once(network: Callable[[], nn.Layer], sentence: str) -> None:
    model = network()
    with pytest.raises(UserError, match=sentence):
        features(classifier_of(model, 8, 2), noise(3, 8))

    assert grad_cam(classifier_of(Convolutions(), 8, 2), noise(3, 8)).shape == (3, 8, 8)


@pytest.mark.parametrize("look", [grad_cam, features])
def test_an_exported_network_gets_a_sentence(look: Callable[..., Any], classifier: Classifier) -> None:
    exported = replace(classifier, model=Program(lambda images: np.zeros((len(images), 3), np.float32)))

    with pytest.raises(UserError, match=r"^the network has no layers to look into; .* run folder"):
        look(exported, noise(1, 24))
