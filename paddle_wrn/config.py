"""Every setting once: its name, type, bounds, default and meaning.

The defaults are the recipe for a few hundred photos (`configs/birds.yaml` spells them out). A YAML file
changes some of them, the command line changes some on top: `--optimizer.lr 0.05`.
"""

import copy
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import to_jsonable_python

from paddle_wrn.errors import UserError
from paddle_wrn.system.shipped import find_config

Fraction = Annotated[float, Field(ge=0, le=1)]
Rgb = tuple[float, float, float]


class Section(BaseModel):
    """Settings that belong together; immutable, and unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class ModelConfig(Section):
    """The network."""

    name: str = "wrn_16_1"
    """name of the network; `python -m paddle_wrn.models` lists them"""
    options: dict[str, Any] = {"strides": [2, 2, 2, 2]}
    """further arguments of the network, e.g. --model.options.drop_rate 0.3 (default: for wide ResNets)"""
    weights: str | None = None
    """file (.safetensors, .pdparams, .pth) to start from, or `pretrained` (on ImageNet); null: random"""
    trainable: Literal["all", "head", "head_first"] = "all"
    """all layers; head: the last alone, in one go, on a frozen backbone; head_first: the head, then all"""

    @model_validator(mode="before")
    @classmethod
    def _default_options_suit_wide_resnets_only(cls, settings: Any) -> Any:
        if isinstance(settings, Mapping) and not str(settings.get("name", "wrn_")).startswith("wrn_"):
            return {"options": {}} | dict(settings)
        return settings

    @field_validator("options")
    @classmethod
    def _pretrained_is_no_property_of_a_network(cls, options: dict[str, Any]) -> dict[str, Any]:
        if "pretrained" in options:
            raise ValueError(
                "model.options.pretrained: weights are no option of a network; write `weights: pretrained`"
            )
        return options

    @field_validator("options")
    @classmethod
    def _as_yaml_keeps_them(cls, options: dict[str, Any]) -> Any:
        return to_jsonable_python(options)  # a tuple becomes a list: what is stored reads back equal


class InputConfig(Section):
    """How the network sees a photo."""

    size: PositiveInt = 120
    """side of the black-padded square, pixels"""
    mean: Rgb | None = None
    """mean of pixel values scaled to 0..1, per channel; null: measured on the training photos"""
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None
    """standard deviation on the same scale, per channel; null: measured on the training photos"""
    mirror: bool = True
    """answer with the mean over a photo and its mirror image; for photos whose left and right mean nothing"""
    draft: bool = True
    """decode large JPEG photos at 1/2, 1/4 or 1/8 of their size, never below twice what the square needs"""
    memory_mb: PositiveInt = 1000
    """memory for the decoded photos of one list, megabytes; beyond that, they are kept on disk"""

    @model_validator(mode="after")
    def _mean_and_std_together(self) -> "InputConfig":
        if (self.mean is None) != (self.std is None):
            raise ValueError("input.mean and input.std must be given together, or both be null")
        return self


class AugmentConfig(Section):
    """Random changes of the training photos, applied in this order."""

    crop_size: PositiveInt | None = 96
    """side of the squares to which random crops are stretched, pixels; null: no crops"""
    crop_scale: Annotated[float, Field(gt=0, le=1)] = 0.4
    """smallest share of the area that a crop keeps"""
    crop_ratio: tuple[PositiveFloat, PositiveFloat] = (0.75, 4 / 3)
    """smallest and largest width / height of a crop"""
    shift: int = Field(0, ge=0)
    """how far a photo may be moved, each way, pixels"""
    shift_fill: Literal["black", "reflect"] = "black"
    """what fills the border of a moved photo"""
    flip_horizontal: Fraction = 0.5
    """probability of mirroring left to right"""
    flip_vertical: Fraction = 0.0
    """probability of mirroring top to bottom"""
    colour: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """brightness, contrast and saturation change by factors from 1 - colour to 1 + colour"""


class OptimizerConfig(Section):
    """How the weights follow the gradient."""

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    """sgd (with momentum), adam or adamw"""
    lr: PositiveFloat = 0.1
    """highest learning rate"""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """momentum of sgd"""
    nesterov: bool = True
    """whether sgd uses Nesterov momentum"""
    weight_decay: float = Field(2e-3, ge=0)
    """L2 penalty (sgd, adam) or decoupled decay (adamw) of all trainable parameters"""


class ScheduleConfig(Section):
    """The learning rate over the run."""

    name: Literal["constant", "step", "cosine"] = "cosine"
    """constant; step: multiply by gamma at each milestone; cosine: fall to 0 at the end"""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """share of the run over which the learning rate rises linearly from 0"""
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    """shares of the run after which `step` multiplies by gamma, rounded to whole epochs"""
    gamma: PositiveFloat = 0.2
    """factor of `step`"""


class Config(Section):
    """A whole training run."""

    data: str = "data/sample_birds"
    """folder of the lists that split_data wrote"""
    device: str = "auto"
    """auto, cpu, gpu or gpu:N"""
    seed: int = Field(0, ge=0, lt=2**31)
    """the number that all randomness follows from"""
    epochs: PositiveInt = 140
    """passes over the training photos"""
    batch_size: PositiveInt = 32
    """photos per step"""
    drop_last: bool = True
    """leave out the last, smaller batch of an epoch: its few photos would upset BatchNorm's statistics"""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """share of the target that is spread evenly over all classes"""
    selection: Literal["best", "last"] = "best"
    """which epoch to keep: the best on the validation photos, or the last"""
    amp: bool = False
    """mixed precision (float16) on a GPU; has no effect on the processor"""
    model: ModelConfig = ModelConfig()
    input: InputConfig = InputConfig()
    augment: AugmentConfig = AugmentConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()

    def to_yaml(self) -> str:
        """Return all settings as YAML that `load_config` reads back to an equal object."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load_config(
    base: "Config | Path | str | None" = None, changes: Mapping[str, Any] | None = None
) -> Config:
    """Return the defaults, changed by a YAML file, changed by single settings.

    Args:
        base: a YAML file, the name of a shipped configuration, or a `Config` to start from.
        changes: values by dotted name, e.g. `{"optimizer.lr": 0.05}`.

    Raises:
        UserError: no such configuration, an unknown setting (the nearest name is given), a wrong type or an
            impossible value.
    """
    if isinstance(base, (str, Path)):
        settings = _read_yaml(find_config(base))
        config = _checked(settings, f"{base}: ")
    else:
        config = base or Config()
        settings = config.model_dump() if base else {}
    if not changes:
        return config
    if "model.name" in changes and _family(changes["model.name"]) != _family(config.model.name):
        settings.setdefault("model", {}).pop("options", None)  # they were meant for another network
    for name in sorted(changes, key=lambda name: name != "model.name"):  # the default options depend on it
        _put(settings, name, copy.deepcopy(changes[name]))  # a later name may reach into this dictionary
    return _checked(settings, "")


def _family(name: Any) -> str:
    """Return a network's name without its sizes."""
    return "".join(letter for letter in str(name) if not letter.isdigit())


def parse_settings(words: Sequence[str]) -> dict[str, Any]:
    """Return the changes that `--name value` or `--name=value` words ask for; values are read as YAML."""
    changes = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("--"):
            raise UserError(f"{word}: not expected here; give settings as --name value")
        name, equals, value = word[2:].partition("=")
        if not equals:
            try:
                value = next(rest)
            except StopIteration:
                raise UserError(f"{word}: a value must follow") from None
        try:
            changes[name.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError:
            changes[name.replace("-", "_")] = value
    return changes


def describe_settings() -> Iterator[tuple[str, str, Any]]:
    """Yield (dotted name, meaning, default) of every setting."""
    for name, field in Config.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            for inner, inner_field in section.model_fields.items():
                yield f"{name}.{inner}", inner_field.description or "", inner_field.default
        else:
            yield name, field.description or "", field.default


def differences(old: Config, new: Config) -> list[str]:
    """Return one phrase for each setting that differs, e.g. `optimizer.lr was 0.1, now 0.05`."""
    before, after = _flat(old), _flat(new)
    return [
        f"{name} was {before[name]!r}, now {after[name]!r}" for name in before if before[name] != after[name]
    ]


def _flat(config: Config) -> dict[str, Any]:
    flat = {}
    for name, value in config:
        if isinstance(value, Section):
            flat.update({f"{name}.{inner}": inner_value for inner, inner_value in value})
        else:
            flat[name] = value
    return flat


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a YAML file ({error})") from None
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise UserError(f"{path}: found a {type(settings).__name__}; lines such as `epochs: 60` are needed")
    return settings


def _put(settings: dict[str, Any], name: str, value: Any) -> None:
    """Set a dotted name in nested dictionaries."""
    *sections, last = name.split(".")
    for section in sections:  # one of the network's options is changed: the other defaults stay
        inner = settings.setdefault(section, _default_options(settings) if section == "options" else {})
        if not isinstance(inner, dict):
            raise UserError(f"--{name}: {section} is not a group of settings")
        settings = inner
    settings[last] = value


def _default_options(model: Mapping[str, Any]) -> dict[str, Any]:
    name = model.get("name")
    return dict(ModelConfig(name=name).options if isinstance(name, str) else ModelConfig().options)


def _checked(settings: Mapping[str, Any], source: str) -> Config:
    _refuse_unknown(settings, Config, "", source)
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise UserError(source + _sentence(error)) from None


def _refuse_unknown(settings: Mapping[str, Any], section: type[Section], prefix: str, source: str) -> None:
    known = [name for name, _, _ in describe_settings()]
    for name, value in settings.items():
        field = section.model_fields.get(str(name))
        if field is None:
            full = f"{prefix}{name}"
            near = difflib.get_close_matches(full, known, n=1, cutoff=0.0)[0]
            same = [k for k in known if k.rpartition(".")[2] == str(name)]
            raise UserError(f"{source}{full}: there is no such setting; did you mean {(same or [near])[0]}?")
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section) and isinstance(value, Mapping):
            _refuse_unknown(value, inner, f"{prefix}{name}.", source)


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] == "value_error":  # one of our own sentences
        return str(first["ctx"]["error"])
    known = {name for name, _, _ in describe_settings()}
    place = [str(part) for part in first["loc"]]
    while len(place) > 1 and ".".join(place) not in known:  # leave out pydantic's own union members
        place.pop()
    expected = first["msg"][0].lower() + first["msg"][1:]
    return f"{'.'.join(place)}: found {first['input']!r}; {expected}"
