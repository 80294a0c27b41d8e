"""The configurations that come with the package, found by their names.

They lie in `configs/`: inside the package where a wheel was installed, beside it in a checkout.
"""

import difflib
from pathlib import Path

from paddle_wrn.errors import UserError

_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "configs", _PACKAGE.parent / "configs")


def shipped_configs() -> dict[str, Path]:
    """Return the files of the shipped configurations by name, such as `birds`."""
    folder = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def find_config(given: Path | str) -> Path:
    """Return the file that a path or the name of a shipped configuration stands for.

    A file of the user's own comes first. `tutorial` and `tutorial.yaml` both name the shipped one.

    Raises:
        UserError: there is neither such a file nor such a name.
    """
    path, shipped = Path(given), shipped_configs()
    if path.exists() and not path.is_dir():
        return path
    name = path.name.removesuffix(".yaml")
    if path.parent == Path() and name in shipped:
        return shipped[name]
    if path.is_dir():
        raise UserError(f"{given}: is a folder; give a YAML file or the name of a shipped configuration")
    near = difflib.get_close_matches(name, shipped, n=1, cutoff=0.0)
    raise UserError(
        f"{given}: no such configuration file; the nearest shipped one is {near[0]} "
        f"(all of them: {', '.join(shipped)})"
    )
