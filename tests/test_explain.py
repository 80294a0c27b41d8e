"""Explanations: every network, maps that are known beforehand, what is left behind, overlays."""

from collections.abc import Callable
from dataclasses import replace
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
from rounding import additions, assert_equal_to_rounding

from data_tools.birds import SPECIES, draw_bird, random_pose
from paddle_wrn import explain
from paddle_wrn.errors import UserError
from paddle_wrn.explain import features, grad_cam, overlay
from paddle_wrn.exported import Program
from paddle_wrn.inference import Classifier
from paddle_wrn.models import create_model, list_models
from paddle_wrn.models.imagenet import NAMES
from paddle_wrn.preprocessing import Preprocessing, photo_box, resize_and_pad

Pixels = NDArray[np.uint8]
ROOT = Path(__file__).resolve().parents[1]
RNG = np.random.default_rng(0)


def noise(count: int, size: int) -> Pixels:
    return np.random.default_rng(5).integers(0, 256, (count, size, size, 3), np.uint8)


def classifier_of(model: nn.Layer, size: int, num_classes: int = 3, *, mirror: bool = False) -> Classifier:
    """Return a network of random statistics in evaluation mode with a contract."""
    names = tuple(f"class {label}" for label in range(num_classes))
    contract = Preprocessing(
        size=size, mean=(0.5,) * 3, std=(0.25,) * 3, classes=names, display_names=names, mirror=mirror
    )
    model.eval()
    return Classifier(model, contract)


def small(*, mirror: bool = False) -> Classifier:
    paddle.seed(0)
    model = create_model("wrn_10_1", 3, strides=[2, 1, 2, 1])
    model(paddle.randn([8, 3, 24, 24]))  # moves the running statistics
    return classifier_of(model, 24, mirror=mirror)


# Every network

# The smallest images that leave the last map more than one pixel; 8 for the others
SIDE = {"flowernet": 224, "densenet_cifar": 16} | dict.fromkeys((*NAMES, "resnet18_d2l", "densenet_d2l"), 33)


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
    terms, scale = additions(model), np.abs(logits).max()
    assert scale > 0.01
    assert_equal_to_rounding(divided[0].sum(), logits[0, 2] - head[1][2], terms=terms, scale=scale)
    assert_equal_to_rounding(features(classifier, images) @ head[0] + head[1], logits, terms=terms)


def zeros(name: str, num_classes: int, **options: Any) -> nn.Layer:
    """Build a network of zeros where it asks for nothing else: random numbers would take seconds."""
    nn.initializer.set_global_initializer(nn.initializer.Constant(0.0))
    try:
        return create_model(name, num_classes, **options)
    finally:
        nn.initializer.set_global_initializer(None)


def fill(model: nn.Layer) -> None:
    """Give a network weights of He's variance, repeated from a table, and statistics of 0 and 2."""
    table = np.random.default_rng(3).standard_normal(1_000_003).astype(np.float32)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            fan_in = np.prod(parameter.shape[1:]) if parameter.ndim == 4 else parameter.shape[0]
            parameter.set_value(np.resize(table * np.float32(np.sqrt(2 / fan_in)), parameter.shape))
    for layer in model.sublayers():
        if isinstance(layer, nn.BatchNorm2D):
            layer.weight.set_value(paddle.ones_like(layer.weight))
            layer._variance.set_value(paddle.full_like(layer._variance, 2.0))


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


@pytest.mark.numeric
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
        assert_equal_to_rounding(found, enlarged / enlarged.max(), terms=additions(model))


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


@pytest.mark.numeric
@pytest.mark.parametrize("averaged", [True, False])
def test_red_is_where_red_is_and_green_where_green_is(averaged: bool, red_and_green: Pixels) -> None:
    classifier = classifier_of(Redness(averaged), 8, 2)
    both = np.concatenate([red_and_green] * 2)

    red, green = grad_cam(classifier, both, [0, 1])

    assert_equal_to_rounding(red, red_and_green[0, :, :, 0] / 200, terms=8 * 8)
    assert_equal_to_rounding(green, red_and_green[0, :, :, 1] / 250, terms=8 * 8)


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


# Mirror images and batches


@pytest.fixture
def classifier() -> Classifier:
    return small()


@pytest.mark.numeric
def test_with_mirror_images_the_map_turns_with_the_photo() -> None:
    images = noise(3, 24)
    turned = np.ascontiguousarray(images[:, :, ::-1])
    both, one = small(mirror=True), small()

    found = grad_cam(both, turned)[:, :, ::-1]
    assert_equal_to_rounding(found, grad_cam(both, images), terms=additions(both.model))
    assert np.abs(grad_cam(one, turned, [0] * 3)[:, :, ::-1] - grad_cam(one, images, [0] * 3)).max() > 0.1


@pytest.mark.numeric
def test_with_mirror_images_features_are_what_the_answer_is_made_of() -> None:
    images, both = noise(3, 24), small(mirror=True)
    seen = features(both, images)

    found, terms = both.model.fc(paddle.to_tensor(seen)), additions(both.model)
    assert_equal_to_rounding(found, both.logits(images), terms=terms)
    assert_equal_to_rounding(features(both, np.ascontiguousarray(images[:, :, ::-1])), seen, terms=terms)


@pytest.mark.numeric
@pytest.mark.parametrize("mirror", [False, True])
def test_batches_change_nothing(mirror: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, images, labels = small(mirror=mirror), noise(5, 24), [2, 0, 1, 1, 0]
    maps, seen = grad_cam(classifier, images, labels), features(classifier, images)

    monkeypatch.setattr(explain, "BATCH_SIZE", 2)

    terms = additions(classifier.model)
    assert_equal_to_rounding(grad_cam(classifier, images, labels), maps, terms=terms)
    assert_equal_to_rounding(features(classifier, images), seen, terms=terms)


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


@pytest.mark.numeric
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
    assert_equal_to_rounding(heat, expected / expected.max(), terms=additions(model))


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


# Overlays


@pytest.mark.parametrize("sides", [(300, 200), (120, 213), (64, 64), (400, 3)])
def test_an_overlay_lies_on_the_photo_as_the_map_on_its_square(sides: tuple[int, int]) -> None:
    width, height = sides
    heat = np.zeros((60, 60), np.float32)
    left, _, right, _ = photo_box(sides, 60)
    heat[:, : (left + right) // 2] = 1

    laid = overlay(np.full((height, width, 3), 128, np.uint8), heat)

    assert (laid.shape, laid.dtype) == ((height, width, 3), np.uint8)
    yellow = laid[..., 0].astype(int) - laid[..., 2] > 60
    assert yellow[:, : width * 9 // 20].all()
    assert not yellow[:, width * 11 // 20 :].any()


def test_an_overlay_of_a_photo_is_that_of_its_square_without_the_padding() -> None:
    photo, heat = noise(1, 60)[0, :40], RNG.random((60, 60), np.float32)
    square = np.asarray(resize_and_pad(Image.fromarray(photo), 60))

    np.testing.assert_array_equal(overlay(photo, heat), overlay(square, heat)[10:50])


def test_a_box_is_where_the_photo_lies_in_its_square() -> None:
    for sides in [(300, 200), (120, 213), (64, 64), (400, 3), (7, 5), (1, 1)]:
        square = np.asarray(resize_and_pad(Image.new("RGB", sides, "white"), 60))
        left, top, right, bottom = photo_box(sides, 60)
        expected = np.zeros((60, 60), bool)
        expected[top:bottom, left:right] = True
        np.testing.assert_array_equal(square.min(2) == 255, expected)


def test_the_photo_shows_through_and_more_heat_is_brighter() -> None:
    ramp = np.tile(np.arange(0, 250, 10, np.uint8)[:, None, None], (1, 25, 3))
    heat = np.tile(np.linspace(0, 1, 25, dtype=np.float32), (25, 1))

    laid = overlay(ramp, heat).astype(float).mean(2)

    assert (np.diff(laid, axis=0) > 2).all()
    assert (np.diff(laid[12:13, 2:], axis=1) >= 0).mean() > 0.5
    assert laid[0, -1] > laid[0, 0] + 50


def test_colours_of_a_photo_are_not_taken_for_the_maps() -> None:
    grey = overlay(np.full((4, 4, 3), 76, np.uint8), np.zeros((4, 4), np.float32))
    red = overlay(np.full((4, 4, 3), (255, 0, 0), np.uint8), np.zeros((4, 4), np.float32))

    np.testing.assert_array_equal(grey, red)


def test_a_map_of_a_mirrored_contract_fits_a_photo_of_any_shape() -> None:
    mirrored = small(mirror=True)
    one = replace(mirrored, preprocessing=mirrored.preprocessing.model_copy(update={"mirror": False}))
    image = noise(1, 24)

    maps = [grad_cam(classifier, image, [0])[0] for classifier in (mirrored, one)]

    assert np.abs(maps[0] - maps[1]).max() > 0.01
    assert [overlay(noise(1, 24)[0, :12], heat).shape for heat in maps] == [(12, 24, 3)] * 2
