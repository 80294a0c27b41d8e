"""Naming what photos show, with probabilities, and drawing the answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.answering.answer import Answer, answers_from
from paddle_wrn.answering.classifier import BATCH_SIZE, Classifier, load_classifier
from paddle_wrn.answering.explanations import grad_cam, overlay
from paddle_wrn.drawing import plots, sheets
from paddle_wrn.errors import ImageError, UserError
from paddle_wrn.photos.preprocessing import IMAGE_SUFFIXES, Preprocessing
from paddle_wrn.photos.thumbnails import thumbnail
from paddle_wrn.system.device import select_device
from paddle_wrn.system.wording import percent

SHEET_PHOTOS = 24  # in one picture
THUMBNAIL = 640  # pixels of the longer side of a photo in a picture
LONGEST_NAME = 50  # letters of a photo's name in the name of its overlay; a file system may allow 255 bytes
LEAST_BARS, MOST_BARS = 5, 10  # beside or below each


@dataclass(frozen=True)
class Prediction:
    """A photo, and what the network says of it.

    Attributes:
        path: of the photo.
        answer: the network's.
        top: the classes to name, the most probable first: class, display name, probability.
        overlay: PNG file that shows where in the photo the evidence lies, if one was asked for.
    """

    path: str
    answer: Answer
    top: tuple[tuple[str, str, float], ...]
    overlay: str | None = None

    @property
    def label(self) -> int:
        """The most probable class."""
        return self.answer.label

    @property
    def class_name(self) -> str:
        """Its name."""
        return self.top[0][0]

    @property
    def display_name(self) -> str:
        """What to show to people."""
        return self.top[0][1]

    @property
    def probability(self) -> float:
        """Its probability."""
        return self.answer.probability

    @property
    def sure(self) -> bool:
        """Whether the network is sure of it."""
        return self.answer.sure

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
        lines = [f"  {percent(p):>6}  {_shown(name, display)}" for name, display, p in self.top]
        return "\n".join([f"{self.path}:{'' if self.sure else ' not sure'}", *lines])

    def __str__(self) -> str:
        best, *others = (f"{_shown(name, display)} {percent(p)}" for name, display, p in self.top)
        return f"{self.path}: {_doubt(self.answer)}{best}" + (f"  ({', '.join(others)})" if others else "")


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
    results = _predict_in_order(classifier, files, top_k)
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
        answers = iter(answers_from(classifier, classifier.logits(np.stack(readable))) if readable else ())
        for path, image in zip(batch, loaded, strict=True):
            if isinstance(image, ImageError):
                yield image
            else:
                yield _prediction(classifier.preprocessing, path, next(answers), top_k)


def _drawn(
    results: Iterator[Prediction | ImageError], contract: Preprocessing, top_k: int | None, file: Path
) -> Iterator[Prediction | ImageError]:
    """Pass results on, and at the end draw the first photos of them."""
    bars = MOST_BARS if top_k is None else min(max(top_k, LEAST_BARS), MOST_BARS)
    names = plots.labels_for(contract.classes, contract.display_names)
    images, shown, sure, count = [], [], [], 0
    for result in results:
        if isinstance(result, Prediction):
            count += 1
            if count <= SHEET_PHOTOS:
                images.append(thumbnail(result.path, THUMBNAIL))
                best = zip(result.answer.labels[:bars], result.answer.probabilities, strict=False)
                shown.append([(names[label], p) for label, p in best])
                sure.append(result.sure)
        yield result
    if images:
        note = f"the first {SHEET_PHOTOS} of {count} photos" if count > SHEET_PHOTOS else ""
        plots.save(sheets.prediction_sheet(images, shown, note, sure), file)


def _explained(
    results: Iterator[Prediction | ImageError], classifier: Classifier, files: Sequence[Path], folder: Path
) -> Iterator[Prediction | ImageError]:
    """Pass results on, and draw for each where in the photo the evidence lies."""
    contract = classifier.preprocessing
    names = plots.labels_for(contract.classes, contract.display_names)
    taken = {_same_file(path) for path in files}  # no photo is written over
    for result in results:
        if isinstance(result, Prediction):
            image, photo = contract.load(result.path), thumbnail(result.path, THUMBNAIL)
            (heat,) = grad_cam(classifier, image[None], [result.label])
            place = _free_place(folder, Path(result.path).stem[:LONGEST_NAME], taken)
            title = f"{_doubt(result.answer)}{names[result.label]} {percent(result.probability)}"
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


def _load(classifier: Classifier, path: Path) -> NDArray[np.uint8] | ImageError:
    try:
        return classifier.preprocessing.load(path)
    except ImageError as error:
        return error


def _prediction(contract: Preprocessing, path: Path, answer: Answer, top_k: int | None) -> Prediction:
    best = zip(answer.labels[:top_k], answer.probabilities, strict=False)
    top = tuple((contract.classes[label], contract.display_names[label], p) for label, p in best)
    return Prediction(str(path), answer, top)


def _doubt(answer: Answer) -> str:
    return "" if answer.sure else "not sure, perhaps "


def _shown(name: str, display_name: str) -> str:
    return name if name == display_name else f"{name} ({display_name})"
