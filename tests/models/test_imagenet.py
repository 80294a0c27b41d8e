"""Tests of Paddle's own networks and of fetching their weights; nothing is fetched here."""

from pathlib import Path

import paddle
import pytest

from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model, imagenet
from paddle_wrn.models.imagenet import NAMES, download_weights


@pytest.mark.parametrize("name", NAMES)
def test_it_is_paddles_network_with_an_own_head(name: str) -> None:
    with paddle.LazyGuard():
        ours, theirs = create_model(name, 7), getattr(paddle.vision.models, name)()

    assert type(ours) is type(theirs)
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    found = {key: value.shape for key, value in ours.state_dict().items()}
    assert found == shapes | {"fc.weight": [shapes["fc.weight"][0], 7], "fc.bias": [7]}


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("resnet18", [2, 2, 2, 2]),
        ("resnet34", [3, 4, 6, 3]),
        ("resnet50", [3, 4, 6, 3]),
        ("resnet101", [3, 4, 23, 3]),
        ("resnet152", [3, 8, 36, 3]),
        ("wide_resnet50_2", [3, 4, 6, 3]),
        ("wide_resnet101_2", [3, 4, 23, 3]),
    ],
)
def test_the_stages_are_those_of_the_paper(name: str, blocks: list[int]) -> None:
    with paddle.LazyGuard():
        model = create_model(name, 10)
    stages = [model.layer1, model.layer2, model.layer3, model.layer4]

    assert [len(stage) for stage in stages] == blocks
    bottleneck = name not in ("resnet18", "resnet34")
    projections = [[block.downsample is not None for block in stage] for stage in stages]
    first = [bottleneck, True, True, True]
    assert projections == [[f] + [False] * (n - 1) for f, n in zip(first, blocks, strict=True)]
    assert model.layer3[-1].conv2.weight.shape[0] == (512 if name.startswith("wide") else 256)


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_change_the_first_convolution_only(channels: int) -> None:
    model = create_model("resnet18", 3, in_channels=channels)
    model.eval()

    assert model.conv1.weight.shape == [64, channels, 7, 7]
    assert model.conv1.bias is None
    assert (model.conv1._stride, model.conv1._padding) == ([2, 2], 3)
    assert model(paddle.zeros([2, channels, 33, 40])).shape == [2, 3]


def test_weights_come_from_paddles_address_and_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(url: str, md5: str) -> str:
        asked.append((url, md5))
        return "/cache/resnet18.pdparams"

    monkeypatch.setattr(imagenet, "get_weights_path_from_url", fetch)

    assert download_weights("resnet18") == Path("/cache/resnet18.pdparams")
    assert asked == [paddle.vision.models.resnet.model_urls["resnet18"]]


@pytest.mark.parametrize(
    "error", [RuntimeError("Downloading failed!\nRetry limit"), OSError("no route"), ValueError("md5")]
)
def test_without_a_network_the_way_round_is_named(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, md5: str) -> str:
        raise error

    monkeypatch.setattr(imagenet, "get_weights_path_from_url", fail)

    with pytest.raises(
        UserError, match=r"^resnet50: the pretrained weights could not be fetched from http"
    ) as raised:
        download_weights("resnet50")
    assert str(error) in str(raised.value)
    assert str(raised.value).endswith(
        "fetch the file on another machine and give it with --model.weights FILE"
    )


@pytest.mark.parametrize("name", ["wrn_16_1", "resnet20", "flowernet"])
def test_a_network_without_pretrained_weights_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"^{name}: no pretrained weights are offered; .*resnet18, resnet34"):
        download_weights(name)
