"""Importing weights that another script has trained, such as the bird tutorial's model.pdparams, as a run.

Depth, width and biases of the tutorial's network are read off the shapes. For what weights cannot tell, the
tutorial's values are assumed unless others are given: photos of 32 x 32 pixels, mean and standard deviation
0.5, its strides.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paddle_wrn.config import Config, Rgb, load_config
from paddle_wrn.errors import UserError
from paddle_wrn.models.weight_files import read_weights
from paddle_wrn.models.weights import Arrays, put_weights, weights_of
from paddle_wrn.photos.lists import Classes, read_classes
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.system.files import new_folder
from paddle_wrn.system.shipped import shipped_configs
from paddle_wrn.training.state import new_state


def import_weights(
    weights: Path | str,
    classes: Path | str,
    output: Path | str,
    *,
    settings: Mapping[str, Any] | None = None,
) -> Config:
    """Make a run folder of weights, with which `predict`, `evaluate`, `export` and `report` work.

    Args:
        weights: `.pdparams`, of which only arrays are admitted, or `.safetensors`.
        classes: `classes.txt`, a class a line in the order of the labels; the lists are looked for beside it.
        output: run folder to make.
        settings: of `model` and `input`, and `data`, by dotted name, where they are not the tutorial's.

    Returns:
        The configuration of the run.

    Raises:
        UserError: a file is missing or damaged, the weights are of another network or number of classes, a
            setting is unknown, or the output exists.
    """
    weights, output = Path(weights), Path(output)
    settings = dict(settings or {})
    strange = [name for name in settings if not name.startswith(("model.", "input.")) and name != "data"]
    if strange:
        raise UserError(f"--{strange[0]}: has no meaning here; give only model.*, input.* or data")
    arrays, named = read_weights(weights), read_classes(classes)
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise UserError(
            f"{weights}: {broken[0]} holds values that are not numbers (NaN or infinite); use another copy"
        )
    found = {} if "model.name" in settings else _read_off(arrays, weights)
    tutorial = shipped_configs()["tutorial"]
    config = load_config(tutorial, {"data": str(Path(classes).parent), **found, **settings})
    preprocessing = Preprocessing.from_settings(config.input, named, _nothing_to_measure)
    state = new_state(config, preprocessing)
    own = weights_of(state.model)
    arrays = _in_our_names(arrays, own)
    _check_classes(arrays, own, weights, classes, named)
    put_weights(state.model, arrays, weights)
    with new_folder(output) as run:
        folder = RunFolder(run)
        folder.create(config, preprocessing)
        state.save_model(folder)
    return config


def _read_off(arrays: Arrays, weights: Path) -> dict[str, Any]:
    """Return name and biases of the wide ResNet of blocks B(3,3) that has such arrays."""
    convolutions = [name for name, array in arrays.items() if array.ndim == 4 and array.shape[2:] == (3, 3)]
    heads = [array for array in arrays.values() if array.ndim == 2]
    depth, width = len(convolutions) + 3, heads[0].shape[0] if heads else 0
    if len(heads) != 1 or width == 0 or width % 64 or depth < 10 or (depth - 4) % 6:
        raise UserError(
            f"{weights}: not the tutorial's network ({len(convolutions)} convolutions of 3 x 3, {len(heads)} "
            "linear layers); name it with --model.name (python -m paddle_wrn.models lists the networks)"
        )
    bias = convolutions[0].removesuffix("weight") + "bias" in arrays
    return {"model.name": f"wrn_{depth}_{width // 64}", "model.options.conv_bias": bias}


def _nothing_to_measure() -> tuple[Rgb, Rgb]:
    raise UserError("input.mean: found null; there are no photos to measure, so give mean and std")


def _in_our_names(arrays: Arrays, own: Arrays) -> Arrays:
    """Return the arrays under the names of our network, as far as they are known.

    The tutorial's names are known. Other names, of layers in the same order, are known by that: position by
    position shape and kind (weight, bias, ...) must be the same.
    """
    renamed = {_tutorial_name(name): array for name, array in arrays.items()}
    if renamed.keys() == own.keys() or len(arrays) != len(own):
        return renamed

    def kinds(some: Arrays) -> list[tuple[str, tuple[int, ...]]]:
        return [(name.rpartition(".")[2], array.shape) for name, array in some.items()]

    return dict(zip(own, arrays.values(), strict=True)) if kinds(arrays) == kinds(own) else renamed


def _tutorial_name(name: str) -> str:
    name = re.sub(r"^block([123])\.", r"group\1.", name).replace(".convShortcut.", ".shortcut.")
    return re.sub(r"^bn1\.", "bn.", name)


def _check_classes(arrays: Arrays, own: Arrays, weights: Path, classes: Path | str, named: Classes) -> None:
    """Refuse another number of classes in words that say so."""
    last = [name for name, array in own.items() if array.ndim == 2][-1:]
    for name in last:
        there = arrays.get(name, own[name]).shape
        if len(there) == 2 and there[1] != len(named.names):
            raise UserError(
                f"{weights}: tells {there[1]} classes apart, but {classes} names {len(named.names)}; "
                "give the classes it was trained on, in the order of their labels"
            )
