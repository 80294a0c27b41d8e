"""How far apart two right ways of computing in float32 may end: derived from the arithmetic, never fitted.

Processors add in different orders, so no two of them agree to the last bit. A rounding errs by at most
u = 2^-24 of what it rounds. The error of a sum of n terms is the sum over its n partial sums of each times
its rounding (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 4.2): n u of the largest
partial sum if all roundings go the same way. They do not. They grow as a random walk whose steps have the
standard deviation u / sqrt(3), that of a number anywhere between -u and u, and go further than `DEVIATIONS`
sqrt(n) times that with a probability of 2 exp(-DEVIATIONS^2 / 2) (Higham and Mary, "A New Approach to
Probabilistic Rounding Error Analysis", 2019, theorem 2.4). This walk is what we allow: it holds for any order
of adding, and is small enough to let no mistake through.
"""

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import paddle
from numpy.typing import ArrayLike, NDArray
from paddle import Tensor, nn

from paddle_wrn.answering.classifier import Classifier

STEP = 2.0**-24 / 3**0.5  # the standard deviation of one rounding to float32
DEVIATIONS = 6  # exceeded by one number in 30 million

Results = dict[str, NDArray[Any]]


def rounding(terms: int, scale: float = 1.0) -> float:
    """Return how far apart two float32 results of the same formula may lie.

    Args:
        terms: the additions in a row behind a number; for a network, `additions`.
        scale: the largest partial sum.
    """
    return DEVIATIONS * STEP * scale * (2 * terms) ** 0.5  # two random walks


def assert_equal_to_rounding(
    found: ArrayLike, expected: ArrayLike, *, terms: int, scale: float | None = None, name: str = ""
) -> None:
    """Assert that two float32 results of the same formula differ by no more than `rounding`.

    Args:
        found: one result, of any shape.
        expected: the other, of the same shape.
        terms: see `rounding`.
        scale: the largest partial sum. Without it the largest magnitude in `expected` stands for it, which
            is right unless every number is the small difference of large ones.
        name: what is compared.
    """
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape, name
    scale = float(np.abs(expected).max(initial=0)) if scale is None else scale
    np.testing.assert_allclose(found, expected, rtol=0, atol=rounding(terms, scale), err_msg=name)


def additions(model: nn.Layer) -> int:
    """Return how many additions in a row lie between an image and a logit in evaluation."""
    return sum(_fan_in(layer) for layer in _summing_layers(model))


def logit_rounding(classifier: Classifier, images: NDArray[np.uint8]) -> float:
    """Return how far apart two right computings of calibrated logits may lie.

    Probabilities differ by half of that at most, cross-entropies by twice that: the steepest slopes of both.
    """
    logits = classifier.logits(images) / classifier.calibration.temperature
    return rounding(additions(classifier.model), float(np.abs(logits).max()))


@dataclass(frozen=True)
class Truth:
    """A result in double precision, and how far from it float32 may end.

    Attributes:
        value: of any shape.
        allowed: the largest difference that rounding explains, as a 2-norm over the whole array.
    """

    value: NDArray[np.float64]
    allowed: float

    def check(self, found: NDArray[Any], name: str = "") -> None:
        """Assert that `found` is this result in float32."""
        assert found.shape == self.value.shape, name
        difference = float(np.linalg.norm(found - self.value))
        assert difference <= self.allowed, f"{name}: off by {difference:.3g}, rounding is {self.allowed:.3g}"


def truths(model: nn.Layer, results: Callable[[nn.Layer], Results]) -> dict[str, Truth]:
    """Compute in double precision, and find by experiment what rounding can do to each result.

    Training magnifies rounding from layer to layer, the more the fewer pixels BatchNorm sees, by factors that
    no formula gives; and it puts numbers near zero on the other side of ReLU's corner, where the gradient
    jumps. So the pass is repeated with noise in place of rounding, `DEVIATIONS` times as large: on what each
    layer says, and on the gradient that comes back to it (Parker, "Monte Carlo Arithmetic", 1997). Each noise
    is tried with either sign, so that a number which may cross the corner does. Twice the largest effect is
    allowed.

    Args:
        model: stays as it is.
        results: computes named arrays with a network in double precision.
    """
    twin = copy.deepcopy(model)
    twin.to(dtype="float64")
    state = {name: value.numpy().copy() for name, value in twin.state_dict().items()}
    exact = results(twin)
    effect = dict.fromkeys(exact, 0.0)
    for seed, sign in itertools.product((0, 1), (1, -1)):
        twin.set_state_dict({name: paddle.to_tensor(value) for name, value in state.items()})
        hook = partial(_disturb, rng=np.random.default_rng(seed), sign=sign)
        hooks = [layer.register_forward_post_hook(hook) for layer in _summing_layers(twin)]
        for name, value in results(twin).items():
            effect[name] = max(effect[name], float(np.linalg.norm(value - exact[name])))
        for each in hooks:
            each.remove()
    own = DEVIATIONS * STEP  # of the result itself
    return {
        name: Truth(value, 2 * effect[name] + own * float(np.linalg.norm(value)))
        for name, value in exact.items()
    }


def _disturb(layer: nn.Layer, inputs: Any, output: Tensor, *, rng: np.random.Generator, sign: int) -> Tensor:
    """Disturb what a layer says, and the gradient that comes back to it, as the rounding of its sums may."""
    positions = output.size // output.shape[1]  # over which BatchNorm and the gradients of weights are sums
    size = sign * DEVIATIONS * STEP * (_fan_in(layer) + positions) ** 0.5

    def disturbed(x: Tensor) -> Tensor:
        scale = float(x.detach().square().mean().sqrt())
        each = size * rng.standard_normal(x.shape)
        channel = size * rng.standard_normal((x.shape[1],) + (1,) * (x.ndim - 2))  # some sums serve all of it
        return x * paddle.to_tensor(1 + channel) + scale * paddle.to_tensor(each + channel)

    noisy = disturbed(output)
    if not noisy.stop_gradient:
        noisy.register_hook(disturbed)
    return noisy


def _summing_layers(model: nn.Layer) -> list[nn.Layer]:
    kinds = (nn.Conv2D, nn.BatchNorm2D, nn.Linear)
    return [layer for layer in model.sublayers(include_self=True) if isinstance(layer, kinds)]


def _fan_in(layer: nn.Layer) -> int:
    """Return the terms of the sums that a layer computes."""
    if isinstance(layer, nn.Conv2D):
        return int(np.prod(layer.weight.shape[1:])) + 1
    if isinstance(layer, nn.Linear):
        return int(layer.weight.shape[0]) + 1
    return 2  # BatchNorm in evaluation: a factor and a summand
