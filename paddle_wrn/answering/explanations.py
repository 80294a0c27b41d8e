"""Where in a photo the evidence for an answer lies, and what the last layer of a network sees.

The map is Grad-CAM (Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", 2017, arXiv 1610.02391, section 3): the last feature map times the gradient of the answer's
logit, summed over channels, negative sums cut off. The product is taken place by place, without averaging
the gradient over the map first, as Draelos and Carin do ("Use HiResCAM instead of Grad-CAM", 2020, arXiv
2011.08891). Where a network averages its last map, which most do, both are the same; where it does not, as
`flowernet`, only this map shows places that the network used.

Neither function may run while another thread uses the same network.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from itertools import count
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import Tensor, nn
from PIL import Image

from paddle_wrn.answering.classifier import BATCH_SIZE, Classifier
from paddle_wrn.errors import UserError
from paddle_wrn.models.modes import evaluation_mode
from paddle_wrn.models.transfer import head_of, see
from paddle_wrn.native import Accelerated
from paddle_wrn.photos.preprocessing import photo_box

Pixels = NDArray[np.uint8]
OnOutput = Callable[[int, Any], Tensor | None]  # number of a layer's call, its output -> another output

WEAKEST, STRONGEST = 0.25, 0.65  # opacity of the colours where the map is 0 and 1


def grad_cam(
    classifier: Classifier, images: Pixels, labels: Sequence[int] | NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """Return how much each place of an image speaks for a class.

    Where the contract asks for the mean over a photo and its mirror image, so does the map. It is as coarse
    as the network's last feature map, enlarged smoothly.

    Args:
        classifier: the network; it is left as it was found.
        images: (N, S, S, 3) uint8, as `Preprocessing.load` makes them.
        labels: N classes to speak for; None: the most probable ones.

    Returns:
        (N, S, S) from 0 to 1, its greatest value; all zeros where nothing speaks for the class.

    Raises:
        UserError: the network has no feature map, or is an exported program without layers.
    """
    model, size = _layers_of(classifier), classifier.preprocessing.size
    heat = np.zeros((len(images), size, size), np.float32)
    with _borrowed(model), paddle.enable_grad():
        call = _last_map(model, size)
        for start in range(0, len(images), BATCH_SIZE):
            part = slice(start, start + BATCH_SIZE)
            wanted = None if labels is None else np.asarray(labels, np.int64)[part]
            evidence = F.relu(_evidence(model, call, _views(classifier, images[part]), wanted))
            enlarged = F.interpolate(evidence.unsqueeze(1), size=[size, size], mode="bilinear")
            heat[part] = enlarged.squeeze(1).numpy()
    greatest = heat.max(axis=(1, 2), keepdims=True, initial=0)
    return np.divide(heat, greatest, out=heat, where=greatest > 0)


def features(classifier: Classifier, images: Pixels) -> NDArray[np.float32]:
    """Return what the last linear layer sees; similar photos lie close to one another there.

    Args:
        classifier: the network; it is left as it was found.
        images: (N, S, S, 3) uint8, as `Preprocessing.load` makes them.

    Returns:
        (N, D), the mean over a photo and its mirror image where the contract asks for that.

    Raises:
        UserError: the network has no linear layer, uses it more than once, or is an exported program.
    """
    model, size = _layers_of(classifier), classifier.preprocessing.size
    name = head_of(model)
    look = classifier.network.see if isinstance(classifier.network, Accelerated) else partial(see, model)
    shown = images if len(images) else np.zeros((1, size, size, 3), np.uint8)  # D is known of no images, too
    parts = []
    with evaluation_mode(model), paddle.no_grad():
        for start in range(0, len(shown), BATCH_SIZE):
            seen = [look(view)[0] for view in _views(classifier, shown[start : start + BATCH_SIZE])]
            if any(len(given) != 1 for given in seen):
                raise UserError(
                    f"{type(model).__name__}: its last linear layer ({name}) is used {len(seen[0])} times; "
                    "features need once"
                )
            parts.append(np.mean([given[0].numpy() for given in seen], axis=0))
    return np.concatenate(parts)[: len(images)]


def overlay(image: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """Lay a map on a photo: yellow where it is greatest, through green to violet where it is 0.

    The colours are viridis, which colour-blind people see in the same order. The photo shows through in grey,
    lest its colours be taken for the map's.

    Args:
        image: (H, W, 3), a photo as it is, or the square the network sees.
        heat: (S, S), of the square; what was padding is cut away.

    Returns:
        (H, W, 3).
    """
    height, width = image.shape[:2]
    box = photo_box((width, height), len(heat))
    fitted = Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR, box)
    strength = np.clip(np.asarray(fitted), 0, 1)
    colours = _viridis()[np.rint(255 * strength).astype(int)]
    opacity = (WEAKEST + (STRONGEST - WEAKEST) * strength)[..., None]
    grey = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    return np.rint((1 - opacity) * grey + opacity * colours).astype(np.uint8)


@cache
def _viridis() -> NDArray[np.float64]:
    """Return the 256 colours. Shape: (256, 3), 0..255."""
    from matplotlib import colormaps  # only now: importing it takes a while

    return 255 * colormaps["viridis"](np.arange(256))[:, :3]


def _layers_of(classifier: Classifier) -> nn.Layer:
    if not classifier.model.sublayers():
        raise UserError(
            "the network has no layers to look into; if it was exported, give the run folder it came from"
        )
    return classifier.model


@contextmanager
def _borrowed(model: nn.Layer) -> Iterator[None]:
    """Put a network into evaluation mode without gradients of its parameters, and back as it was."""
    frozen = [(parameter, parameter.stop_gradient) for parameter in model.parameters()]
    try:
        for parameter, _ in frozen:  # so nothing in front of the map is kept for a gradient
            parameter.stop_gradient = True
        with evaluation_mode(model):
            yield
    finally:
        for parameter, stopped in frozen:
            parameter.stop_gradient = stopped


def _views(classifier: Classifier, images: Pixels) -> list[Tensor]:
    """Return what the network is shown of some photos: themselves, and their mirror images if it is so."""
    inputs = paddle.to_tensor(classifier.preprocessing.normalise(images))
    return [inputs, inputs.flip([3])] if classifier.preprocessing.mirror else [inputs]


def _evidence(model: nn.Layer, call: int, views: list[Tensor], labels: NDArray[np.int64] | None) -> Tensor:
    """Return the product of map and gradient, summed over channels.

    Where only averages, ReLU and a linear layer follow, this divides the logit without its bias among places.

    Shape: views of (N, 3, S, S) -> (N, h, w).
    """
    maps: list[Tensor] = []

    def cut(number: int, output: Tensor) -> Tensor | None:
        if number != call:
            return None
        maps.append(output.detach())
        maps[-1].stop_gradient = False
        return maps[-1].clone()  # which the network may change in place

    logits = paddle.stack([_forward(model, view, cut) for view in views]).mean(0)
    chosen = logits.argmax(1) if labels is None else paddle.to_tensor(labels)
    gradients = paddle.grad((logits * F.one_hot(chosen, logits.shape[1])).sum(), maps)
    evidence = [(a * gradient).sum(1) for a, gradient in zip(maps, gradients, strict=True)]
    return evidence[0] if len(evidence) == 1 else evidence[0] + evidence[1].flip([2])


def _last_map(model: nn.Layer, size: int) -> int:
    """Find the last feature map that the whole answer goes through.

    A map is an output (N, C, h, w) of a layer with more than one pixel. The answer goes through it if no
    gradient finds its way from the logits to the image once the map is cut off: maps of single branches are
    passed over.

    Args:
        model: a borrowed network; gradients of its parameters would be taken for a way to the image.
        size: side of the images, pixels.

    Returns:
        The number of the call of a layer that gives it.
    """
    image = paddle.zeros([1, 3, size, size])
    image.stop_gradient = False
    maps: list[int] = []

    def note(number: int, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            maps.append(number)

    def cut(number: int, output: Any) -> Tensor | None:
        return output.detach() if number == maps[-1] else None

    if not _forward(model, image, note).stop_gradient:
        while maps:
            if _forward(model, image, cut).stop_gradient:
                return maps[-1]
            maps.pop()
    raise UserError(
        f"{type(model).__name__}: no layer gives a feature map of more than one pixel that the whole answer "
        f"goes through at {size} x {size} pixels; such a network cannot be explained by Grad-CAM"
    )


def _forward(model: nn.Layer, inputs: Tensor, on_output: OnOutput) -> Tensor:
    """Run a network and tell of the output of each call of a layer inside, in order."""
    numbers = count()
    hooks = [
        layer.register_forward_post_hook(lambda _, inputs, output: on_output(next(numbers), output))
        for layer in model.sublayers()
    ]
    try:
        return model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
