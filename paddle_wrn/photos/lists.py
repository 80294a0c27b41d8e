"""Lists of photos: what `split_data` writes and everything else reads.

Lists are UTF-8 text, one `path label` a line, separated by the last blank or tab; relative paths are
relative to the list. Beside them `classes.txt` names one class a line (line number = label), with an
optional display name after a tab. `split_data` writes both; the bird tutorial's own lists are read too.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.errors import UserError
from paddle_wrn.system.console import command_line

MAX_CLASSES = 100_000


@dataclass(frozen=True)
class PhotoList:
    """The lines of one list: photo `paths[i]` shows class `labels[i]`."""

    file: Path
    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    lines: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def where(self, index: int) -> str:
        """Say where photo `index` stands, for error messages."""
        return f"{self.file}, line {self.lines[index]}"

    def part(self, indices: Sequence[int]) -> "PhotoList":
        """Return some of its photos, in the order that is given."""
        return PhotoList(
            self.file,
            tuple(self.paths[i] for i in indices),
            self.labels[list(indices)],
            tuple(self.lines[i] for i in indices),
        )


class Labelled(Protocol):
    """Photos with their classes, decoded or not."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where each photo came from."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) the class of each."""


@dataclass(frozen=True)
class Classes:
    """Class names (position = label) and what to show to people."""

    names: tuple[str, ...]
    display_names: tuple[str, ...]


@dataclass(frozen=True)
class DataFolder:
    """What `split_data` wrote: the classes and up to three lists."""

    folder: Path
    classes: Classes
    train: PhotoList
    val: PhotoList | None
    test: PhotoList | None

    def split(self, name: str) -> PhotoList:
        """Return the list `train`, `val` or `test`; raise `UserError` if there is none."""
        photo_list: PhotoList | None = getattr(self, name)
        if photo_list is None:
            raise UserError(f"{self.folder / name}.txt: no such list; split the photos with split_data")
        return photo_list

    def lists(self) -> dict[str, PhotoList]:
        """Return `train`, `val` and `test`, as far as there are such lists."""
        every = {"train": self.train, "val": self.val, "test": self.test}
        return {name: photo_list for name, photo_list in every.items() if photo_list is not None}

    def digest(self) -> str:
        """Return a fingerprint of the classes and lists: equal only if a run can be continued on them."""
        text = [
            repr(self.classes.names),
            *(part.file.name + part.file.read_text("utf-8") for part in self.lists().values()),
        ]
        return hashlib.sha256("\n".join(text).encode()).hexdigest()


def read_data_folder(folder: Path | str) -> DataFolder:
    """Read and check the lists of a folder.

    Raises:
        UserError: a list is missing or a line is wrong; file and line are named.
    """
    folder = Path(folder)
    if not (folder / "train.txt").is_file():
        found = "train.txt is missing" if folder.is_dir() else "no such folder"
        make = command_line("split_data", "PHOTOS", "--output", folder)
        raise UserError(f"{folder}: {found}; make the lists with: {make}")
    classes_file = folder / "classes.txt"
    named = read_classes(classes_file) if classes_file.is_file() else None
    num_classes = None if named is None else len(named.names)
    files = {name: folder / f"{name}.txt" for name in ("train", "val", "test")}
    lists = {name: read_list(file, num_classes) for name, file in files.items() if file.is_file()}
    classes = named or _classes_from_folders(lists["train"])
    for name, photo_list in lists.items():
        if len(photo_list) == 0:
            raise UserError(f"{photo_list.file}: the list is empty; it needs at least one `path label` line")
        beyond = int(photo_list.labels.max())
        if beyond >= len(classes.names):
            raise UserError(f"{name}.txt: label {beyond} does not occur in train.txt; split the photos again")
    missing = sorted(set(range(len(classes.names))) - set(lists["train"].labels.tolist()))
    if missing:
        raise UserError(
            f"{files['train']}: no photo of class {classes.names[missing[0]]!r} (label {missing[0]})"
        )
    if len(classes.names) < 2:
        raise UserError(
            f"{folder}: one class only ({classes.names[0]!r}); there must be two or more to tell apart"
        )
    return DataFolder(folder, classes, lists["train"], lists.get("val"), lists.get("test"))


def read_list(file: Path | str, num_classes: int | None = None) -> PhotoList:
    """Read a list; whether the photos can be decoded is seen when they are loaded.

    Raises:
        UserError: the file is missing or not UTF-8, or a line has no label or one out of range.
    """
    file = Path(file)
    paths, labels, numbers = [], [], []
    for number, line in enumerate(_read_lines(file), start=1):
        if not line.strip():
            continue
        path, label = _parse(line, f"{file}, line {number}", num_classes)
        paths.append(file.parent / path)
        labels.append(label)
        numbers.append(number)
    return PhotoList(file, tuple(paths), np.array(labels, np.int64), tuple(numbers))


def _parse(line: str, where: str, num_classes: int | None) -> tuple[str, int]:
    parts = line.rstrip().replace("\t", " ").rsplit(" ", 1)
    if len(parts) < 2 or not parts[0].strip():
        raise UserError(f"{where}: found {line.strip()!r}; `path label` is needed")
    path, label = line[: len(parts[0])].rstrip(), parts[1]
    if not label.isdecimal() or len(label) > 9:
        found = repr(label[:40])
        raise UserError(f"{where}: found {found} as the label; a number from 0 is needed (`path label`)")
    limit = MAX_CLASSES if num_classes is None else num_classes
    if int(label) >= limit:
        raise UserError(f"{where}: label {label} is out of range; classes.txt has labels 0 to {limit - 1}")
    return path, int(label)


def read_classes(file: Path | str) -> Classes:
    """Read `classes.txt`: `name` or `name<TAB>display name` a line, line number = label."""
    file = Path(file)
    names, display_names = [], []
    for number, line in enumerate(_read_lines(file), start=1):
        name, _, display_name = (part.strip() for part in line.partition("\t"))
        if not name:
            raise UserError(
                f"{file}, line {number}: found an empty line; each line names the class of that label"
            )
        if name in names:
            raise UserError(f"{file}, line {number}: class {name!r} stands there twice; names must differ")
        names.append(name)
        display_names.append(display_name or name)
    if not names:
        raise UserError(f"{file}: the file is empty; each line names the class of that label")
    return Classes(tuple(names), tuple(display_names))


def _read_lines(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; check the path") from None
    except UnicodeDecodeError:
        raise UserError(f"{file}: not UTF-8 text; save it as UTF-8") from None
    return text.removesuffix("\n").split("\n") if text else []


def _classes_from_folders(train: PhotoList) -> Classes:
    """Name the classes of lists without classes.txt (the tutorial's) by the folders of their photos."""
    names: dict[int, str] = {}
    for index, (path, label) in enumerate(zip(train.paths, train.labels.tolist(), strict=True)):
        if names.setdefault(label, path.parent.name) != path.parent.name:
            raise UserError(
                f"{train.where(index)}: label {label} is used for the folders {names[label]!r} and "
                f"{path.parent.name!r}; add a classes.txt beside the lists that names the classes"
            )
    if sorted(names) != list(range(len(names))):
        raise UserError(
            f"{train.file}: labels are {sorted(names)[:5]}...; they must count from 0 without a gap"
        )
    ordered = tuple(names[label] for label in range(len(names)))
    twice = next((name for name in ordered if ordered.count(name) > 1), None)
    if twice is not None:
        raise UserError(
            f"{train.file}: {ordered.count(twice)} labels have photos in {twice!r}; add a classes.txt beside "
            "the lists that names the classes"
        )
    return Classes(ordered, ordered)
