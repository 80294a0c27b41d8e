"""Say what photos show, with probabilities, from a run folder or a best.safetensors alone."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.cli import EXIT_USER_ERROR, command, parser
from paddle_wrn.device import select_device
from paddle_wrn.errors import ImageError, UserError
from paddle_wrn.inference import BATCH_SIZE, Classifier, load_classifier
from paddle_wrn.metrics import softmax
from paddle_wrn.preprocessing import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Prediction:
    """What the network says of one photo, the most probable classes first."""

    path: str
    label: int
    class_name: str
    display_name: str
    probability: float
    top: tuple[tuple[str, str, float], ...]  # (class, display name, probability)

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        return {
            "path": self.path,
            "label": self.label,
            "class": self.class_name,
            "probability": self.probability,
            "top": [{"class": name, "probability": p} for name, _, p in self.top],
        }

    def __str__(self) -> str:
        best, *others = (f"{_shown(name, display)} {p:.1%}" for name, display, p in self.top)
        return f"{self.path}: {best}" + (f"  ({', '.join(others)})" if others else "")


def predict(
    run: Path | str,
    photos: Sequence[Path | str] | Path | str,
    *,
    top_k: int = 3,
    device: str = "auto",
) -> Iterator[Prediction | ImageError]:
    """Classify photos; folders are walked.

    Args:
        run: run folder, or a `best.safetensors` file.
        photos: photos and folders of photos.
        top_k: number of classes to name.
        device: `auto`, `cpu`, `gpu` or `gpu:N`.

    Yields:
        For each photo, in order, its prediction, or the error why it could not be read.

    Raises:
        UserError: no such run, or there are no photos.
    """
    if top_k < 1:
        raise UserError(f"top-k: found {top_k}; it must be at least 1")
    select_device(device)
    classifier = load_classifier(run)
    files = list(find_photos([photos] if isinstance(photos, (str, Path)) else photos))
    return _predict_in_order(classifier, files, top_k)


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
    classifier: Classifier, files: Sequence[Path], top_k: int
) -> Iterator[Prediction | ImageError]:
    for start in range(0, len(files), BATCH_SIZE):
        batch = files[start : start + BATCH_SIZE]
        loaded = [_load(classifier, path) for path in batch]
        readable = [image for image in loaded if not isinstance(image, ImageError)]
        probabilities = iter(softmax(classifier.logits(np.stack(readable))) if readable else ())
        for path, image in zip(batch, loaded, strict=True):
            if isinstance(image, ImageError):
                yield image
            else:
                yield _prediction(classifier, path, next(probabilities), top_k)


def _load(classifier: Classifier, path: Path) -> NDArray[np.uint8] | ImageError:
    try:
        return classifier.preprocessing.load(path)
    except ImageError as error:
        return error


def _prediction(
    classifier: Classifier, path: Path, probabilities: NDArray[np.float64], top_k: int
) -> Prediction:
    names, shown = classifier.preprocessing.classes, classifier.preprocessing.display_names
    order = np.argsort(-probabilities, kind="stable").tolist()
    label = order[0]
    top = tuple((names[i], shown[i], float(probabilities[i])) for i in order[:top_k])
    return Prediction(str(path), label, names[label], shown[label], float(probabilities[label]), top)


def _shown(name: str, display_name: str) -> str:
    return name if name == display_name else f"{name} ({display_name})"


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser("predict", __doc__)
    options.add_argument("run", type=Path, help="run folder (or its checkpoints/best.safetensors)")
    options.add_argument("photos", type=Path, nargs="+", metavar="PHOTO_OR_FOLDER")
    options.add_argument("--top-k", type=int, default=3, help="number of species to name (default: 3)")
    options.add_argument("--json", action="store_true", help="print one JSON object a line")
    options.add_argument("--device", default="auto", help="auto, cpu, gpu or gpu:N (default: auto)")
    given: argparse.Namespace = options.parse_args(argv)
    failed = False
    for result in predict(given.run, given.photos, top_k=given.top_k, device=given.device):
        if isinstance(result, ImageError):
            failed = True
            print(f"error: {result}", file=sys.stderr)
        else:
            print(json.dumps(result.to_json(), ensure_ascii=False) if given.json else result)
    return EXIT_USER_ERROR if failed else 0


if __name__ == "__main__":
    sys.exit(main())
