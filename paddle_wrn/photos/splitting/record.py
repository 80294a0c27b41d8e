"""What split.json says of photos, for those who use lists later: copies, and what was left out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from paddle_wrn.photos.splitting.photo_folder import LeftOut


class SplitRecord(BaseModel):
    """The part of split.json that is of interest after the split; paths are those below the source."""

    model_config = ConfigDict(frozen=True)

    near_duplicates: tuple[tuple[str, ...], ...]
    mixed_labels: tuple[tuple[str, ...], ...]
    left_out: tuple[LeftOut, ...]
    files: dict[str, str]

    def name_of(self, path: Path) -> str | None:
        """Return what the record calls a photo that a list names, or None if it does not know it."""
        names = ("/".join(path.parts[start:]) for start in range(1, len(path.parts)))
        return next((name for name in names if name in self.files), None)


def read_record(folder: Path) -> SplitRecord | None:
    """Return the split.json beside lists, or None if there is none that `split_data` wrote."""
    try:
        return SplitRecord.model_validate_json((folder / "split.json").read_bytes())
    except (OSError, ValidationError):
        return None


def duplicate_numbers(folder: Path, paths: Sequence[Path]) -> NDArray[np.int64]:
    """Return a number for each photo, the same one for near-duplicates. Shape: N paths -> (N,)."""
    record = read_record(folder)
    groups = () if record is None else record.near_duplicates
    number = {name: index for index, group in enumerate(groups) for name in group}
    alone = len(groups)
    names = [None if record is None else record.name_of(path) for path in paths]
    return np.array([number.get(name or "", alone + i) for i, name in enumerate(names)], np.int64)
