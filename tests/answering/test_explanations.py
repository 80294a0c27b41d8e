"""Where the evidence lies: of every network, and where the map is known beforehand."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
import yaml
from numpy.typing import NDArray
from paddle import nn
from PIL import Image
from small_classifiers import Pixels, classifier_of, fill, noise, small, zeros

from paddle_wrn.answering import explanations as explain
from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.answering.explanations import features, grad_cam
from paddle_wrn.models import create_model, list_models
from paddle_wrn.models.imagenet import NAMES
from paddle_wrn.photos.sample.birds import SPECIES, draw_bird, random_pose

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def classifier() -> Classifier:
    return small()


# Every network

# The smallest images that leave the last map more than one pixel; 8 for the others
SIDE = {"flowernet": 224, "densenet_cifar": 16} | dict.fromkeys(
    (*NAMES, *(f"efficientnet_lite{number}" for number in range(5)), "resnet18_d2l", "densenet_d2l"), 33
)


@pytest.mark.parametrize("name", list_models())
def test_every_network_is_explained_and_its_head_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    side = SIDE.get(name, 8)
    model = zeros(name, 3)
    fill(model)
    classifier = classifier_of(model, side)
    images = noise(1, side)
    logits = classifier.logits(images)
    divided: list[paddle.Tensor] = []
    evidence = explain._evidence
    monkeypatch.setattr(explain, "_evidence", lambda *given: divided.append(evidence(*given)) or divided[0])

    heat = grad_cam(classifier, images, [2])

    assert (heat.shape, heat.dtype) == ((1, side, side), np.float32)
    assert np.isfinite(heat).all()
    assert heat.min() >= 0
    assert heat.max() == (1 if divided[0].max().item() > 0 else 0)
    head = model.fc.weight.numpy(), model.fc.bias.numpy()
    np.testing.assert_allclose(divided[0].sum().item(), logits[0, 2] - head[1][2], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(features(classifier, images) @ head[0] + head[1], logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda config: config.stem)
def test_the_documentation_says_how_fine_the_map_is(config: Path) -> None:
    given = yaml.safe_load(config.read_text("utf-8"))
    side, options = given["input"]["size"], given["model"].get("options", {})
    model = zeros(given["model"]["name"], 2, **options)
    shapes: list[list[int]] = []

    with explain._borrowed(model):
        wanted = explain._last_map(model, side)
        explain._forward(
            model,
            paddle.zeros([1, 3, side, side]),
            lambda call, output: shapes.append(output.shape) if call == wanted else None,
        )

    ((_, _, height, width),) = shapes
    row = f"| `{config.stem}` | {side} x {side} | {height} x {width} |"
    assert row in (ROOT / "docs" / "explanations.md").read_text("utf-8")


# Maps that are known beforehand


def test_a_wide_resnets_map_is_the_textbooks(classifier: Classifier) -> None:
    """Compare with equations 1 and 2 of Selvaraju et al. at the last activated map."""
    images, model = noise(5, 24), classifier.model
    seen: list[paddle.Tensor] = []
    hook = model.bn.register_forward_post_hook(lambda _, inputs, output: seen.append(F.relu(output).detach()))
    model(paddle.to_tensor(classifier.preprocessing.normalise(images)))
    hook.remove()
    (activated,) = seen
    activated.stop_gradient = False
    logits = model.fc(activated.mean([2, 3]))
    weights = paddle.grad(logits[:, 1].sum(), activated)[0].mean([2, 3], keepdim=True)
    textbook = F.relu((weights * activated).sum(1)).numpy()

    heat = grad_cam(classifier, images, [1] * 5)

    for found, wanted in zip(heat, textbook, strict=True):
        enlarged = np.asarray(Image.fromarray(wanted).resize((24, 24), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(found, enlarged / enlarged.max(), atol=1e-4)


class Redness(nn.Layer):
    """Logits: how red an image is where it is redder than green, and how green; by its places or averaged."""

    def __init__(self, averaged: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2D(3, 2, 1, bias_attr=False)
        self.conv.weight.set_value(np.float32([[1, -1, 0], [-1, 1, 0]]).reshape(2, 3, 1, 1))
        self.averaged = averaged
        self.fc = nn.Linear(2 if averaged else 2 * 8 * 8, 2)
        self.fc.weight.set_value(np.repeat(np.eye(2, dtype=np.float32), 1 if averaged else 64, axis=0))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = F.relu_(self.conv(x))
        return self.fc(x.mean([2, 3]) if self.averaged else x.flatten(1))


@pytest.fixture
def red_and_green() -> Pixels:
    """Return an image that is red on the left and, half as bright, in one place; green on the right."""
    image = np.zeros((1, 8, 8, 3), np.uint8)
    image[0, 2:5, 0:3, 0] = 200
    image[0, 7, 7, 0] = 100
    image[0, 0:2, 5:8, 1] = 250
    return image


@pytest.mark.parametrize("averaged", [True, False])
def test_red_is_where_red_is_and_green_where_green_is(averaged: bool, red_and_green: Pixels) -> None:
    classifier = classifier_of(Redness(averaged), 8, 2)
    both = np.concatenate([red_and_green] * 2)

    red, green = grad_cam(classifier, both, [0, 1])

    np.testing.assert_allclose(red, red_and_green[0, :, :, 0] / 200, atol=1e-6)
    np.testing.assert_allclose(green, red_and_green[0, :, :, 1] / 250, atol=1e-6)


def test_without_labels_the_answer_is_explained(red_and_green: Pixels) -> None:
    classifier = classifier_of(Redness(True), 8, 2)
    answers = np.concatenate([red_and_green, red_and_green[..., [1, 0, 2]]])

    assert classifier.logits(answers).argmax(1).tolist() == [0, 1]
    np.testing.assert_array_equal(grad_cam(classifier, answers), grad_cam(classifier, answers, [0, 1]))


def test_what_does_not_speak_for_a_class_is_zero_all_over() -> None:
    black = np.zeros((2, 8, 8, 3), np.uint8)

    assert not grad_cam(classifier_of(Redness(True), 8, 2), black).any()


def draw_place(rng: np.random.Generator, label: int, size: int) -> tuple[Pixels, NDArray[np.bool_]]:
    """Draw a bird of one of two species, or none, on an empty background; return where its box is, too."""
    scene = Image.new("RGB", (size, size), (int(rng.integers(90, 170)),) * 3)
    if label == 2:
        return np.asarray(scene), np.zeros((size, size), bool)
    species = list(SPECIES.values())[label]
    bird = draw_bird(species, random_pose(rng), rng.uniform(0.35, 0.5) * size, (size, size)).image
    left, top = (int(rng.integers(0, size - side + 1)) for side in bird.size)
    scene.paste(bird, (left, top), bird)
    box = np.zeros((size, size), bool)
    box[top : top + bird.height, left : left + bird.width] = True
    return np.asarray(scene), box


def test_a_drawn_bird_draws_the_map_to_itself_and_permuted_weights_do_not() -> None:
    size, rng = 40, np.random.default_rng(0)
    labels = np.arange(132) % 3
    drawn = [draw_place(rng, label, size) for label in labels]
    images, boxes = np.stack([image for image, _ in drawn]), np.stack([box for _, box in drawn])
    paddle.seed(0)
    model = create_model("wrn_10_1", 3, strides=[2, 2, 1, 1])  # its last map has 10 x 10 pixels
    classifier = classifier_of(model, size, 3)
    train(classifier, images[:96], labels[:96], rng)
    birds = 96 + np.flatnonzero(labels[96:] < 2)
    images, boxes, labels = images[birds], boxes[birds], labels[birds]

    def gain() -> float:
        """Return how much more of a map lies in the box than would by chance, the median over images."""
        heat = grad_cam(classifier, images)
        inside = (heat * boxes).sum((1, 2)) / heat.sum((1, 2))
        return float(np.median(inside / boxes.mean((1, 2))))

    assert (classifier.logits(images).argmax(1) == labels).mean() > 0.9
    peaks = grad_cam(classifier, images).reshape(len(images), -1).argmax(1)
    assert np.take_along_axis(boxes.reshape(len(images), -1), peaks[:, None], 1).mean() > 0.7
    trained = gain()
    weights = {key: value.numpy() for key, value in model.state_dict().items()}
    permuted = []
    for _ in range(5):
        mixed = {key: rng.permutation(value.ravel()).reshape(value.shape) for key, value in weights.items()}
        model.set_state_dict(mixed)
        permuted.append(gain())
    assert trained > 2.5
    assert np.median(permuted) < 0.6 * trained


def train(classifier: Classifier, images: Pixels, labels: NDArray[Any], rng: np.random.Generator) -> None:
    model = classifier.model
    model.train()
    optimizer = paddle.optimizer.Momentum(0.1, 0.9, model.parameters(), use_nesterov=True, weight_decay=1e-3)
    for step in range(40):
        optimizer.set_lr(0.1 * (1 - step / 40))
        batch = rng.choice(len(images), 32, replace=False)
        inputs = paddle.to_tensor(classifier.preprocessing.normalise(images[batch]))
        F.cross_entropy(model(inputs), paddle.to_tensor(labels[batch])).backward()
        optimizer.step()
        optimizer.clear_grad()
    model.eval()
