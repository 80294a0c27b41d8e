"""Give some training photos a wrong label, and count how many of them `check_labels` finds.

    python benchmarks/wrong_labels.py PHOTOS [--share 0.05] [--epochs 140] [--output runs/wrong_labels]

Needs five trainings; interrupted, it continues where it was. Prints a Markdown table.
"""

import argparse
from pathlib import Path

import numpy as np

from paddle_wrn.photos.lists import PhotoList, read_data_folder
from paddle_wrn.photos.splitting.split import split_data
from paddle_wrn.studies.comparison_tables import markdown_table
from paddle_wrn.studies.judgements import listed_as
from paddle_wrn.studies.label_check import check_labels
from paddle_wrn.system.files import write_text
from paddle_wrn.training.session import train


def spoil(photo_list: PhotoList, classes: int, share: float) -> dict[str, int]:
    """Give a share of the photos of a list another label, at random; return their names and true labels."""
    rng = np.random.default_rng(0)
    labels = photo_list.labels.copy()
    chosen = np.sort(rng.permutation(len(labels))[: round(share * len(labels))])
    labels[chosen] = (labels[chosen] + rng.integers(1, classes, len(chosen))) % classes
    lines = photo_list.file.read_text("utf-8").splitlines()
    paths = [line.rsplit(" ", 1)[0] for line in lines]
    write_text(
        photo_list.file, "".join(f"{path} {label}\n" for path, label in zip(paths, labels, strict=True))
    )
    return {listed_as(photo_list.paths[i], photo_list.file.parent): int(photo_list.labels[i]) for i in chosen}


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("photos", type=Path)
    options.add_argument("--share", type=float, default=0.05, help="of the training photos")
    options.add_argument("--epochs", type=int, default=140)
    options.add_argument("--output", type=Path, default=Path("runs/wrong_labels"))
    given = options.parse_args()
    lists, run = given.output / "lists", given.output / "run"
    split_data(given.photos, lists, overwrite=True)
    folder = read_data_folder(lists)
    truth = spoil(folder.train, len(folder.classes.names), given.share)
    train(data=lists, output=run, resume=True, settings={"epochs": given.epochs})
    judged = check_labels(run)
    rows = [["all", str(len(judged)), str(len(truth)), ""]]
    contradicted = np.flatnonzero(judged.predicted != judged.labels).tolist()
    for name, found in (("suspicious", judged.suspicious()), ("contradicted at all", contradicted)):
        wrong = [i for i in found if judged.paths[i] in truth]
        mended = sum(int(judged.predicted[i]) == truth[judged.paths[i]] for i in wrong)
        rows.append([name, str(len(found)), str(len(wrong)), str(mended)])
    print(markdown_table(["", "photos", "with a wrong label", "told the true one"], rows))


if __name__ == "__main__":
    main()
