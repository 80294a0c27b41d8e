"""Say what photos show, with probabilities, from a run folder or a best.safetensors alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.answering.classifier import BATCH_SIZE, Classifier, load_classifier
from paddle_wrn.answering.explanations import grad_cam, overlay
from paddle_wrn.drawing import plots, sheets
from paddle_wrn.errors import ImageError, UserError
from paddle_wrn.photos.preprocessing import IMAGE_SUFFIXES, Preprocessing, read_image
from paddle_wrn.system.device import select_device

SHEET_PHOTOS = 24  # in one picture
THUMBNAIL = 640  # pixels of the longer side of a photo in a picture
LONGEST_NAME = 50  # letters of a photo's name in the name of its overlay; a file system may allow 255 bytes
LEAST_BARS, MOST_BARS = 5, 10  # beside or below each


@dataclass(frozen=True)
class Prediction:
    """What the network says of one photo, the most probable classes first.

    Attributes:
        sure: its probability reaches the network's threshold; always, if the network has none.
        overlay: PNG file that shows where in the photo the evidence lies, if one was asked for.
    """

    path: str
    label: int
    class_name: str
    display_name: str
    probability: float
    top: tuple[tuple[str, str, float], ...]  # (class, display name, probability)
    sure: bool = True
    overlay: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        said = {
            "path": self.path,
            "label": self.label,
            "class": self.class_name,
            "probability": self.probability,
            "sure": self.sure,
            "top": [{"class": name, "probability": p} for name, _, p in self.top],
        }
        return said if self.overlay is None else said | {"overlay": self.overlay}

    def table(self) -> str:
        """Return what `--all` prints: the photo, and below it one class a line."""
        lines = [f"  {p:6.1%}  {_shown(name, display)}" for name, display, p in self.top]
        return "\n".join([f"{self.path}:{'' if self.sure else ' not sure'}", *lines])

    def __str__(self) -> str:
        best, *others = (f"{_shown(name, display)} {p:.1%}" for name, display, p in self.top)
        doubt = "" if self.sure else "not sure, perhaps "
        return f"{self.path}: {doubt}{best}" + (f"  ({', '.join(others)})" if others else "")


def predict(
    run: Path | str,
    photos: Sequence[Path | str] | Path | str,
    *,
    top_k: int | None = 3,
    picture: Path | str | None = None,
    explain: Path | str | None = None,
    device: str = "auto",
) -> Iterator[Prediction | ImageError]:
    """Classify photos; folders are walked.

    Args:
        run: run folder, or a `best.safetensors` file.
        photos: photos and folders of photos.
        top_k: number of classes to name; None: all.
        picture: PNG file for the first 24 photos with bars of their probabilities; it is written when all
            photos are done.
        explain: folder for a PNG file a photo that shows where in it the evidence for the answer lies.
        device: `auto`, `cpu`, `gpu` or `gpu:N`.

    Yields:
        For each photo, in order, its prediction, or the error why it could not be read.

    Raises:
        UserError: no such run, there are no photos, a picture cannot be written, or the network cannot be
            explained.
    """
    if top_k is not None and top_k < 1:
        raise UserError(f"top-k: found {top_k}; it must be at least 1")
    file = None if picture is None else plots.make_place(picture)
    folder = None if explain is None else plots.make_place(Path(explain) / "photo.png").parent
    select_device(device)
    classifier = load_classifier(run)
    files = list(find_photos([photos] if isinstance(photos, (str, Path)) else photos))
    results = _predict_in_order(classifier, files, top_k if file is None else None)
    if folder is not None:
        results = _explained(results, classifier, files, folder)
    return results if file is None else _drawn(results, classifier.preprocessing, top_k, file)


def find_photos(places: Sequence[Path | str]) -> Iterator[Path]:
    """Yield the photos among files and folders; a file that was named is always tried.

    Raises:
        UserError: a folder holds no photos.
    """
    for place in map(Path, places):
        if not place.is_dir():
            yield place
            continue
        inside = sorted(
            path
            for path in place.rglob("*")
            if path.suffix.lower() in IMAGE_SUFFIXES
            and not path.is_dir()
            and not any(part.startswith(".") for part in path.relative_to(place).parts)
        )
        if not inside:
            raise UserError(f"{place}: no photos in this folder; JPEG, PNG, ... files are needed")
        yield from inside


def _predict_in_order(
    classifier: Classifier, files: Sequence[Path], top_k: int | None
) -> Iterator[Prediction | ImageError]:
    for start in range(0, len(files), BATCH_SIZE):
        batch = files[start : start + BATCH_SIZE]
        loaded = [_load(classifier, path) for path in batch]
        readable = [image for image in loaded if not isinstance(image, ImageError)]
        probabilities = iter(classifier.probabilities(np.stack(readable)) if readable else ())
        for path, image in zip(batch, loaded, strict=True):
            if isinstance(image, ImageError):
                yield image
            else:
                yield _prediction(classifier, path, next(probabilities), top_k)


def _drawn(
    results: Iterator[Prediction | ImageError], contract: Preprocessing, top_k: int | None, file: Path
) -> Iterator[Prediction | ImageError]:
    """Pass results on, each with its first `top_k` classes, and at the end draw the first photos of them."""
    bars = MOST_BARS if top_k is None else min(max(top_k, LEAST_BARS), MOST_BARS)
    names = _drawable_names(contract)
    images, shown, sure, count = [], [], [], 0
    for result in results:
        if isinstance(result, Prediction):
            count += 1
            if count <= SHEET_PHOTOS:
                images.append(_thumbnail(result.path))
                shown.append([(names[name], p) for name, _, p in result.top[:bars]])
                sure.append(result.sure)
            result = replace(result, top=result.top[:top_k])
        yield result
    if images:
        note = f"the first {SHEET_PHOTOS} of {count} photos" if count > SHEET_PHOTOS else ""
        plots.save(sheets.prediction_sheet(images, shown, note, sure), file)


def _explained(
    results: Iterator[Prediction | ImageError], classifier: Classifier, files: Sequence[Path], folder: Path
) -> Iterator[Prediction | ImageError]:
    """Pass results on, and draw for each where in the photo the evidence lies."""
    names = _drawable_names(classifier.preprocessing)
    taken = {_same_file(path) for path in files}  # no photo is written over
    for result in results:
        if isinstance(result, Prediction):
            image, photo = classifier.preprocessing.load(result.path), _thumbnail(result.path)
            (heat,) = grad_cam(classifier, image[None], [result.label])
            place = _free_place(folder, Path(result.path).stem[:LONGEST_NAME], taken)
            doubt = "" if result.sure else "not sure, perhaps "
            title = f"{doubt}{names[result.class_name]} {result.probability:.1%}"
            plots.save(sheets.explanation(photo, overlay(photo, heat), title), place)
            result = replace(result, overlay=str(place))
        yield result


def _free_place(folder: Path, name: str, taken: set[str]) -> Path:
    """Return name.png, name-2.png, ..., whatever is not taken yet, and take it."""
    place, number = folder / f"{name}.png", 1
    while _same_file(place) in taken:
        number += 1
        place = folder / f"{name}-{number}.png"
    taken.add(_same_file(place))
    return place


def _same_file(path: Path) -> str:
    """Return what is equal for two paths of one file, on systems that take A and a for the same, too."""
    return str(path.resolve()).casefold()


def _thumbnail(path: str) -> NDArray[np.uint8]:
    image = read_image(path)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(image)


def _drawable_names(contract: Preprocessing) -> dict[str, str]:
    """Return what pictures call the classes."""
    labels = plots.labels_for(contract.classes, contract.display_names)
    return dict(zip(contract.classes, labels, strict=True))


def _load(classifier: Classifier, path: Path) -> NDArray[np.uint8] | ImageError:
    try:
        return classifier.preprocessing.load(path)
    except ImageError as error:
        return error


def _prediction(
    classifier: Classifier, path: Path, probabilities: NDArray[np.float64], top_k: int | None
) -> Prediction:
    names, shown = classifier.preprocessing.classes, classifier.preprocessing.display_names
    order = np.argsort(-probabilities, kind="stable").tolist()
    label = order[0]
    top = tuple((names[i], shown[i], float(probabilities[i])) for i in order[:top_k])
    sure = bool(classifier.calibration.sure(probabilities[None])[0])
    return Prediction(str(path), label, names[label], shown[label], float(probabilities[label]), top, sure)


def _shown(name: str, display_name: str) -> str:
    return name if name == display_name else f"{name} ({display_name})"
