"""The files of a split: their content, what they would replace, and how they are written.

train.txt, val.txt and test.txt hold `path label` lines, classes.txt the class of each label, and split.json
how the lists were made. class_indices.json (label -> class) is written for other programs and never read.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from paddle_wrn.errors import UserError
from paddle_wrn.photos.splitting.photo_folder import staging

CLASS_INDICES = "class_indices.json"
OUTPUT_FILES = ("train.txt", "val.txt", "test.txt", "classes.txt", CLASS_INDICES, "split.json")


def file_texts(
    lists: Mapping[str, Sequence[tuple[str, int]]],
    classes: Sequence[str],
    display_names: Sequence[str],
    record: Mapping[str, Any],
    base: str,
) -> dict[str, bytes]:
    """Return the content of every output file.

    Args:
        lists: name of a list -> (path below the photos, label).
        classes: class names; the position is the label.
        display_names: what to show to people, one per class.
        record: content of split.json.
        base: what leads from the lists to the photos.
    """
    texts = {
        f"{name}.txt": "".join(f"{_join(base, path)} {label}\n" for path, label in photos)
        for name, photos in lists.items()
    }
    texts["classes.txt"] = "".join(
        f"{name}\n" if name == shown else f"{name}\t{shown}\n"
        for name, shown in zip(classes, display_names, strict=True)
    )
    texts[CLASS_INDICES] = json.dumps(dict(enumerate(classes)), ensure_ascii=False, indent=4) + "\n"
    texts["split.json"] = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
    return {name: text.encode() for name, text in texts.items()}


def reference(home: Path, output: Path, absolute: bool) -> str:
    """Return what leads from the lists to the photos, links resolved: `..` goes by real folders."""
    if not absolute:
        with suppress(ValueError):  # another drive: there is no relative path
            return Path(os.path.relpath(home.resolve(), output.resolve())).as_posix()
    return home.resolve().as_posix()


def _join(base: str, path: str) -> str:
    return path if base == "." else f"{base.rstrip('/')}/{path}"


def check_output(output: Path, texts: Mapping[str, bytes], overwrite: bool) -> bool:
    """Return whether exactly these files exist already; raise `UserError` if others would be lost."""
    existing = {name: (output / name).read_bytes() for name in OUTPUT_FILES if (output / name).is_file()}
    as_now = {CLASS_INDICES: texts[CLASS_INDICES]} | existing  # earlier versions did not write it
    if existing and as_now != dict(texts) and not overwrite:
        difference = _difference(existing, texts)
        raise UserError(
            f"{output}: holds other lists already ({difference}); add --overwrite to replace them"
        )
    return existing == dict(texts)


def _difference(existing: Mapping[str, bytes], texts: Mapping[str, bytes]) -> str:
    if "split.json" not in existing:
        return f"{next(iter(existing))} is there without the split.json that says how it was made"
    try:
        old = json.loads(existing["split.json"])
        old_files = dict(old["files"])
    except (ValueError, KeyError, TypeError):
        return "its split.json cannot be read"
    new = json.loads(texts["split.json"])
    settings = ("source", "protocol", "val", "test", "seed")
    found = [f"{key} was {old.get(key)}, now {new[key]}" for key in settings if old.get(key) != new[key]]
    files = new["files"]
    changes = {
        "added": len(files.keys() - old_files.keys()),
        "removed": len(old_files.keys() - files.keys()),
        "changed": sum(old_files[path] != files[path] for path in files.keys() & old_files.keys()),
    }
    if any(changes.values()):
        found.append("photos: " + ", ".join(f"{count} {what}" for what, count in changes.items() if count))
    others = [name for name in OUTPUT_FILES if existing.get(name) != texts.get(name)]
    return "; ".join(found) or f"{' and '.join(others)} would change"


def save(output: Path, texts: Mapping[str, bytes], root: Path, home: Path) -> None:
    """Write all files aside, then move them; split.json goes first and comes last.

    Lists without a split.json are what an interruption leaves: the next run recognises them.
    """
    with staging(output, elsewhere=False) as aside:
        for name, content in texts.items():
            (aside / name).write_bytes(content)
        (output / "split.json").unlink(missing_ok=True)
        if root != home:
            if home.exists():
                home.rename(aside / "replaced photos")
            root.rename(home)
        for name in OUTPUT_FILES:
            if name in texts:
                (aside / name).replace(output / name)
            else:
                (output / name).unlink(missing_ok=True)
