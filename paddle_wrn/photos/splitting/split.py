"""Splitting photos, one folder per class, into lists for training, validation and testing.

Near-duplicates stay in one list. The same photos, settings and seed give the same bytes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from paddle_wrn.errors import UserError
from paddle_wrn.photos.splitting.assignment import TUTORIAL_TRAIN_SHARE, stratified_sides, tutorial_sides
from paddle_wrn.photos.splitting.duplicates import duplicate_groups
from paddle_wrn.photos.splitting.list_files import OUTPUT_FILES, check_output, file_texts, reference, save
from paddle_wrn.photos.splitting.photo_folder import (
    ARCHIVE_RECORD,
    DISPLAY_NAMES,
    SAMPLE,
    SAMPLE_SETTINGS,
    LeftOut,
    Photo,
    bare_name,
    class_names,
    find_classes,
    photo_folder,
    read_display_names,
    read_photos,
)
from paddle_wrn.photos.splitting.preview import PREVIEW, draw_preview

VERSION = 1  # of split.json
DEFAULT_SHARE = 0.15  # of each class for val, and for test

Protocol = Literal["stratified", "tutorial"]


@dataclass(frozen=True)
class Split:
    """What `split_data` made.

    Attributes:
        output: folder of the lists.
        classes: class names; the position is the label.
        display_names: what to show to people, one per class.
        lists: `train`, `val`, `test` (those that are wanted) -> (path below the source, label), sorted.
        near_duplicates: groups of photos that show the same picture, as paths below the source.
        mixed_labels: those of the groups that span several classes.
        left_out: what is in no list, and why.
        status: `written`, `unchanged` (the same bytes were there already) or `dry run`.
        preview: picture of some photos of each class, if one was asked for.
    """

    output: Path
    classes: tuple[str, ...]
    display_names: tuple[str, ...]
    lists: Mapping[str, tuple[tuple[str, int], ...]]
    near_duplicates: tuple[tuple[str, ...], ...]
    mixed_labels: tuple[tuple[str, ...], ...]
    left_out: tuple[LeftOut, ...]
    status: Literal["written", "unchanged", "dry run"]
    preview: Path | None = None

    def counts(self) -> dict[str, tuple[int, ...]]:
        """Return split -> number of photos of each class."""
        found = {name: Counter(label for _, label in photos) for name, photos in self.lists.items()}
        return {name: tuple(found[name][label] for label in range(len(self.classes))) for name in self.lists}

    def groups_on_both_sides(self) -> int:
        """Return how many groups of near-duplicates lie in more than one list."""
        home = {path: name for name, photos in self.lists.items() for path, _ in photos}
        return sum(len({home[path] for path in group}) > 1 for group in self.near_duplicates)


def split_data(
    source: Path | str | None = None,
    output: Path | str | None = None,
    *,
    val: float | None = None,
    test: float | None = None,
    seed: int = 0,
    names: Path | str | None = None,
    protocol: Protocol = "stratified",
    overwrite: bool = False,
    dry_run: bool = False,
    preview: bool = False,
) -> Split:
    """Split a folder of photos into lists.

    Args:
        source: a folder with a sub-folder per class, or a zip or tar of one, which is unpacked into
            `output`/photos; None: the drawn sample birds of the checkout.
        output: folder for the lists; None: data/<name of the source>.
        val: share of each class for validation, 0.15 unless given; 0: no such list.
        test: share of each class for the test, 0.15 unless given; 0: no such list.
        seed: of the shuffle, 0 or more.
        names: UTF-8 file of lines `class<TAB>display name`; None: display_names.txt in the source, if any.
        protocol: `stratified`, or `tutorial`: 70 % / 30 % train and test, absolute paths, copies not kept
            together.
        overwrite: replace lists that were made with other settings or from other photos.
        dry_run: do everything but write.
        preview: draw some photos of each class, with its counts, into `output`/preview.png.

    Raises:
        UserError: source, settings or photos do not allow a split, or other lists would be overwritten.
    """
    shares = _shares(val, test, seed, protocol)
    if preview and dry_run:
        raise UserError("preview: a dry run writes nothing; leave out one of the two")
    given = SAMPLE if source is None else Path(source)
    output = Path("data", bare_name(given)) if output is None else Path(output)
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: this is a file; the lists need a folder")
    with photo_folder(None if source is None else given, output, overwrite, dry_run) as (root, home):
        left_out: list[LeftOut] = []
        expected = {DISPLAY_NAMES, ARCHIVE_RECORD}
        if source is None:
            expected.add(SAMPLE_SETTINGS)
        if root.resolve() == output.resolve():
            expected.update((*OUTPUT_FILES, PREVIEW))
        class_folders = find_classes(root, root, expected, left_out)
        classes = class_names(class_folders, given)
        names_file = class_folders[0].parent / DISPLAY_NAMES if names is None else Path(names)
        display_names = read_display_names(classes, names_file, needed=names is not None)
        photos = read_photos(root, class_folders, left_out)
        groups = duplicate_groups([photo.fingerprint for photo in photos])
        labels = [photo.label for photo in photos]
        if protocol == "tutorial":
            sides = tutorial_sides(labels, classes, seed)
        else:
            sides = stratified_sides(labels, groups, classes, shares, seed)
        chosen = list(zip(photos, sides, strict=True))
        mixed = [group for group in groups if len({labels[index] for index in group}) > 1]
        split = Split(
            output=output,
            classes=classes,
            display_names=display_names,
            lists={name: tuple((p.path, p.label) for p, side in chosen if side == name) for name in shares},
            near_duplicates=_paths(photos, groups),
            mixed_labels=_paths(photos, mixed),
            left_out=tuple(sorted(left_out)),
            status="dry run",
        )
        settings = {
            "version": VERSION,
            "source": "sample" if source is None else given.as_posix(),
            "protocol": protocol,
            "val": None if protocol == "tutorial" else shares.get("val", 0),
            "test": None if protocol == "tutorial" else shares.get("test", 0),
            "seed": seed,
        }
        record = _record(split, settings, photos)
        base = reference(home, output, absolute=protocol == "tutorial")
        texts = file_texts(split.lists, classes, display_names, record, base)
        same = check_output(output, texts, overwrite)
        if not dry_run:
            save(output, texts, root, home)
            split = replace(split, status="unchanged" if same else "written")
            if not same:
                (output / PREVIEW).unlink(missing_ok=True)  # it showed the lists before these
        if preview:
            draw_preview(output / PREVIEW, home, classes, display_names, split.lists)
            split = replace(split, preview=output / PREVIEW)
    return split


def _shares(val: float | None, test: float | None, seed: int, protocol: str) -> dict[str, float]:
    """Check the settings and return the share of each wanted list."""
    if seed < 0:
        raise UserError(f"seed: found {seed}; it must be 0 or more")
    if protocol == "tutorial":
        if (val, test) != (None, None):
            raise UserError(
                "protocol tutorial: its shares are fixed (70 % train, 30 % test); leave out val and test"
            )
        return {"train": TUTORIAL_TRAIN_SHARE, "test": 1 - TUTORIAL_TRAIN_SHARE}
    if protocol != "stratified":
        raise UserError(f"protocol: found {protocol!r}; choose stratified or tutorial")
    shares = {"val": DEFAULT_SHARE if val is None else val, "test": DEFAULT_SHARE if test is None else test}
    for name, share in shares.items():
        if not 0 <= share < 1:  # false for NaN, too
            raise UserError(f"{name}: found {share}; a share from 0 to below 1 is needed, such as 0.15")
    train = 1 - sum(shares.values())
    if train <= 0:
        raise UserError(
            f"val + test: found {shares['val']} + {shares['test']}; below 1 leaves photos to train with"
        )
    return {"train": train, **{name: share for name, share in shares.items() if share > 0}}


def _paths(photos: Sequence[Photo], groups: Sequence[tuple[int, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(photos[index].path for index in group) for group in groups)


def _record(split: Split, settings: Mapping[str, Any], photos: Sequence[Photo]) -> dict[str, Any]:
    """Return the content of split.json."""
    counts = split.counts()
    return {
        **settings,
        "classes": split.classes,
        "counts": {
            name: {side: counts[side][label] for side in counts} for label, name in enumerate(split.classes)
        },
        "near_duplicates": split.near_duplicates,
        "mixed_labels": split.mixed_labels,
        "left_out": [asdict(entry) for entry in split.left_out],
        "files": {photo.path: photo.fingerprint.digest for photo in photos},
    }
