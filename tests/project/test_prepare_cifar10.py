"""Tests of CIFAR-10 as one array: three forms give one result, and what is wrong is said in a sentence."""

import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import RunMain
from numpy.typing import NDArray
from PIL import Image

from data_tools import cifar10_source
from data_tools.cifar10_source import CLASSES
from data_tools.prepare_cifar10 import main, prepare_cifar10
from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.loading import load_photos
from paddle_wrn.photos.preprocessing import resize_and_pad
from paddle_wrn.training.session import train

Files = dict[str, bytes]
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
PER_BATCH = 20  # two of each class: 100 training and 20 test images
META = "".join(f"{name}\n" for name in CLASSES).encode() + b"\n"

# --- a tiny CIFAR-10 in its three forms


def tiny_batches() -> dict[str, tuple[list[int], NDArray[np.uint8]]]:
    """Return batch -> labels in mixed order and images (N, 32, 32, 3)."""
    rng = np.random.default_rng(0)
    return {
        batch: (
            rng.permutation(np.arange(PER_BATCH) % 10).tolist(),
            rng.integers(0, 256, (PER_BATCH, 32, 32, 3), np.uint8),
        )
        for batch in BATCHES
    }


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined, misc]
    """Writes texts and bytes alike as Python 2's byte strings, as the official files have them."""

    def save_string(self, value: str | bytes) -> None:
        content = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + len(content).to_bytes(4, "little") + content)
        self.memoize(value)

    dispatch = pickle._Pickler.dispatch | {str: save_string, bytes: save_string}  # type: ignore[attr-defined]


def python2_pickle(content: object) -> bytes:
    file = io.BytesIO()
    pickler = Python2Pickler(file, 2)
    if isinstance(content, dict) and isinstance(content.get("data"), np.ndarray):
        array = content["data"]
        pickler.dispatch_table = {
            np.ndarray: lambda a: (
                array.__reduce__()[0],
                (np.ndarray, (0,), b"b"),
                (1, a.shape, a.dtype, False, a.tobytes()),
            )
        }
    pickler.dump(content)
    return file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def planes(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)


def python_batch(labels: list[int], images: NDArray[np.uint8], name: str = "a batch") -> bytes:
    names = [f"{index}.png" for index in range(len(labels))]
    return python2_pickle({"data": planes(images), "labels": labels, "batch_label": name, "filenames": names})


def python_form() -> Files:
    files = {f"cifar-10-batches-py/{name}": python_batch(*batch) for name, batch in tiny_batches().items()}
    meta = {"num_cases_per_batch": PER_BATCH, "label_names": list(CLASSES), "num_vis": 3072}
    return files | {"cifar-10-batches-py/batches.meta": python2_pickle(meta)}


def binary_form() -> Files:
    files = {
        f"cifar-10-batches-bin/{name}.bin": np.column_stack(
            [np.array(labels, np.uint8), planes(images)]
        ).tobytes()
        for name, (labels, images) in tiny_batches().items()
    }
    return files | {"cifar-10-batches-bin/batches.meta.txt": META, "cifar-10-batches-bin/readme.html": b"<p>"}


def picture_form() -> Files:
    files = {}
    for batch, (labels, images) in tiny_batches().items():
        for index, (label, image) in enumerate(zip(labels, images, strict=True)):
            file = io.BytesIO()
            Image.fromarray(image).save(file, "PNG")
            side = batch.partition("_")[0].replace("data", "train")
            files[f"{side}/{CLASSES[label]}/{batch}_{index:02}.png"] = file.getvalue()
    return files


FORMS = {"python": python_form, "binary": binary_form, "pictures": picture_form}


def pack(path: Path, files: Files) -> Path:
    """Write files as a folder or archive, as the name of `path` says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as zipped:
            for name, content in files.items():
                zipped.writestr(name, content)
    elif ".tar" in path.name:
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as packed:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))
    else:
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    return path


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a binary archive; tests only read it."""
    return pack(tmp_path_factory.mktemp("cifar") / "cifar-10-binary.tar.gz", binary_form())


@pytest.fixture(scope="module")
def store(binary: Path) -> Path:
    """Return what is prepared from it, with 20 validation images; tests only read it."""
    return prepare_cifar10(binary, binary.parent / "store", val=20).output


def contents(folder: Path, *others: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in others}


# --- what is written


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("container", ["x.tar.gz", "x.tar", "x.zip", "folder"])
def test_every_form_gives_the_same_bytes(tmp_path: Path, store: Path, form: str, container: str) -> None:
    source = pack(tmp_path / container, FORMS[form]())

    prepared = prepare_cifar10(source, tmp_path / "out", val=20)

    assert prepared.status == "written"
    assert prepared.counts == {"train": 80, "val": 20, "test": 20}
    assert contents(prepared.output, "split.json") == contents(store, "split.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([container, "out"])  # no leavings


def test_the_pixels_and_labels_are_those_of_the_batches(store: Path) -> None:
    images = np.load(store / "images.npy", allow_pickle=False)

    batches = tiny_batches()
    for part, names in ((images[:100], BATCHES[:5]), (images[100:], BATCHES[5:])):
        labels = np.concatenate([batches[name][0] for name in names])
        expected = np.concatenate([batches[name][1] for name in names])[np.argsort(labels, kind="stable")]
        assert np.array_equal(part, expected)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous


def test_each_row_is_in_one_list_with_its_label_and_the_split_is_stratified(store: Path) -> None:
    folder = read_data_folder(store)

    assert folder.classes.names == CLASSES
    rows = {name: [int(path.name) for path in folder.split(name).paths] for name in ("train", "val", "test")}
    assert sorted(rows["train"] + rows["val"]) == list(range(100))
    assert rows["test"] == list(range(100, 120))
    for name in rows:
        labels = folder.split(name).labels
        assert labels.tolist() == [row // 10 if row < 100 else (row - 100) // 2 for row in rows[name]]
        assert set(np.bincount(labels)) == {len(labels) // 10}
    assert (store / "train.txt").read_text().splitlines()[0].startswith("images.npy/0000")
    assert json.loads((store / "split.json").read_text())["counts"] == {"train": 80, "val": 20, "test": 20}


def test_the_array_is_what_numpy_itself_would_save(store: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "same.npy", np.load(store / "images.npy"))

    assert (tmp_path / "same.npy").read_bytes() == (store / "images.npy").read_bytes()


def rows_of(output: Path, name: str) -> set[str]:
    return set((output / f"{name}.txt").read_text().splitlines())


def test_the_seed_chooses_and_the_array_does_not_depend_on_it(
    binary: Path, store: Path, tmp_path: Path
) -> None:
    again = prepare_cifar10(binary, tmp_path / "again", val=20, seed=42).output
    other = prepare_cifar10(binary, tmp_path / "other", val=20, seed=43).output

    assert contents(again) == contents(store)
    assert rows_of(other, "val") != rows_of(store, "val")
    assert (other / "images.npy").read_bytes() == (store / "images.npy").read_bytes()


def test_fewer_training_images_are_a_stratified_part(binary: Path, store: Path, tmp_path: Path) -> None:
    short = prepare_cifar10(binary, tmp_path, val=20, train_images=50).output

    folder = read_data_folder(short)
    assert np.bincount(folder.train.labels).tolist() == [3] * 10
    assert rows_of(short, "train") < rows_of(store, "train")
    assert rows_of(short, "val") == rows_of(store, "val")  # so that shortened runs can be compared
    assert rows_of(short, "test") == rows_of(store, "test")


@pytest.mark.parametrize(("val", "counts"), [(13, {1, 2}), (1, {0, 1}), (90, {9})])
def test_any_number_of_validation_images_is_cut_evenly(
    binary: Path, tmp_path: Path, val: int, counts: set[int]
) -> None:
    folder = read_data_folder(prepare_cifar10(binary, tmp_path, val=val).output)

    assert len(folder.split("val")) == val
    assert set(np.bincount(folder.split("val").labels, minlength=10)) == counts


def test_without_validation_there_is_no_list(binary: Path, tmp_path: Path) -> None:
    prepared = prepare_cifar10(binary, tmp_path / "out", val=0)

    assert prepared.counts == {"train": 100, "test": 20}
    assert not (tmp_path / "out" / "val.txt").exists()


# --- what reads it


def test_loading_equals_decoding_the_pictures(store: Path, tmp_path: Path) -> None:
    pack(tmp_path, picture_form())
    names = sorted(tmp_path.rglob("train/*/*.png"), key=lambda p: (CLASSES.index(p.parent.name), p.name))
    folder = read_data_folder(store)

    for size in (32, 20, 45):
        photos = load_photos(folder.train, size)
        decoded = [
            np.asarray(resize_and_pad(Image.open(names[int(path.name)]).convert("RGB"), size))
            for path in folder.train.paths
        ]
        assert np.array_equal(photos.images, decoded)
        assert photos.labels.tolist() == folder.train.labels.tolist()


def test_a_network_is_trained_on_it(store: Path, tmp_path: Path) -> None:
    settings = {
        "epochs": 1, "batch_size": 16, "model.name": "wrn_10_1", "model.options": {"strides": [2, 1, 2, 2]},
        "input.size": 32, "augment.crop_size": None, "device": "cpu",
    }  # fmt: skip

    results = train(data=store, output=tmp_path / "run", settings=settings)

    assert results.test is not None
    assert results.test.images == 20
    assert (tmp_path / "run" / "checkpoints" / "best.safetensors").is_file()


def test_the_command_runs_as_a_file_from_anywhere(binary: Path, tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "data_tools" / "prepare_cifar10.py"
    words = [sys.executable, script, binary, "--val", "20", "--train-images", "40"]

    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "data/cifar10: written (20 train, 20 val, 20 test images" in done.stdout
    assert np.load(tmp_path / "data/cifar10/images.npy").shape == (120, 32, 32, 3)


# --- what is there already


def test_the_same_again_changes_nothing(binary: Path, tmp_path: Path) -> None:
    prepare_cifar10(binary, tmp_path, val=20)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    assert prepare_cifar10(binary, tmp_path, val=20).status == "unchanged"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ({}, "holds other lists already (seed was 42, now 7); add --overwrite"),
        ({"split.json": None}, "without the split.json that says how it was made); add --overwrite"),
        (
            dict.fromkeys(["split.json", "train.txt", "val.txt", "test.txt", "classes.txt"]),
            "holds another images.npy already",
        ),
    ],
)
def test_other_files_are_replaced_only_when_told(
    binary: Path, tmp_path: Path, run_main: RunMain, there: dict[str, None], message: str
) -> None:
    prepare_cifar10(binary, tmp_path, val=20)
    for path in tmp_path.iterdir():
        if path.name in there or (len(there) > 1 and path.name != "images.npy"):
            path.unlink()
    (tmp_path / "notes.md").write_text("mine")
    before = contents(tmp_path)

    refused = run_main(main, binary, "--output", tmp_path, "--val", 20, "--seed", 7)
    assert refused.code == 2
    assert message in refused.err
    assert contents(tmp_path) == before

    assert run_main(main, binary, "--output", tmp_path, "--val", 20, "--seed", 7, "--overwrite").code == 0
    assert json.loads((tmp_path / "split.json").read_text())["seed"] == 7
    assert (tmp_path / "notes.md").read_text() == "mine"


def test_a_damaged_array_is_written_again(binary: Path, tmp_path: Path, store: Path) -> None:
    prepare_cifar10(binary, tmp_path, val=20)
    (tmp_path / "images.npy").write_bytes(b"\x93NUMPY")

    assert prepare_cifar10(binary, tmp_path, val=20).status == "written"
    assert (tmp_path / "images.npy").read_bytes() == (store / "images.npy").read_bytes()


def test_an_interruption_leaves_nothing(
    binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("data_tools.prepare_cifar10.file_digest", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare_cifar10(binary, tmp_path / "out", val=20)

    assert list(tmp_path.iterdir()) == []


# --- bad sources


def changed(files: Files, name: str, content: bytes | None) -> Files:
    """Replace the file whose own name is `name`, or leave it out."""
    kept = {path: old for path, old in files.items() if Path(path).name != name}
    assert len(kept) == len(files) - 1
    return kept if content is None else kept | {f"x/{name}": content}


def bad_batch(**values: Any) -> Callable[[], Files]:
    labels, images = tiny_batches()["data_batch_2"]
    batch = {"data": planes(images), "labels": labels} | values
    return lambda: changed(python_form(), "data_batch_2", python2_pickle(batch))


def bad_label(label: int) -> Callable[[], Files]:
    content = binary_form()["cifar-10-batches-bin/data_batch_4.bin"]
    return lambda: changed(binary_form(), "data_batch_4.bin", bytes([label]) + content[1:])


def relabelled(batch: str, old: int, new: int) -> Files:
    labels, images = tiny_batches()[batch]
    return {batch: python_batch([new if label == old else label for label in labels], images)}


def without(files: Files, *parts: str) -> Files:
    kept = {name: content for name, content in files.items() if not any(part in name for part in parts)}
    assert len(kept) < len(files)
    return kept


def png(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, "PNG")
    return file.getvalue()


class Touches:
    """Unpickled by Python's own pickle, this would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


CUT = binary_form()["cifar-10-batches-bin/data_batch_3.bin"][:-7]
ONE_LESS = binary_form()["cifar-10-batches-bin/data_batch_3.bin"][:-3073]

BAD_SOURCES: dict[str, tuple[Callable[[], Files], str]] = {
    "nothing of it": (
        lambda: {"a/b.txt": b"x", "bird/1.jpg": b"x"},
        "found no CIFAR-10; it needs data_batch_1",
    ),
    "empty": (dict, "found no CIFAR-10"),
    "cifar-100": (lambda: {"cifar-100-python/train": b"x", "cifar-100/meta": b"x"}, "found no CIFAR-10"),
    "two forms": (lambda: python_form() | binary_form(), "found several forms of CIFAR-10 at once"),
    "two copies": (
        lambda: binary_form() | {"copy/test_batch.bin": b"x"},
        "found .*bin/test_batch.bin and copy/test_batch.bin; give one copy of CIFAR-10",
    ),
    "missing batches": (
        lambda: without(python_form(), "batch_3", "test_"),
        "without data_batch_3, test_batch; all six batches and batches.meta are needed",
    ),
    "missing bin": (lambda: changed(binary_form(), "data_batch_1.bin", None), "without data_batch_1.bin;"),
    "no meta": (lambda: changed(python_form(), "batches.meta", None), "without batches.meta;"),
    "other classes": (
        lambda: changed(binary_form(), "batches.meta.txt", META.replace(b"frog", b"toad")),
        "batches.meta.txt names the classes airplane.*toad.*; CIFAR-10 has airplane.*frog",
    ),
    "meta without names": (
        lambda: changed(python_form(), "batches.meta", python2_pickle({})),
        "batches.meta names the classes ; CIFAR-10 has airplane",
    ),
    "cut bin": (
        lambda: changed(binary_form(), "data_batch_3.bin", CUT),
        r"data_batch_3.bin: 61,453 bytes; 61,460 or another multiple of 3073 .*cut short",
    ),
    "empty bin": (lambda: changed(binary_form(), "test_batch.bin", b""), "test_batch.bin: 0 bytes; 3,073"),
    "cut between records": (
        lambda: changed(binary_form(), "data_batch_3.bin", ONE_LESS),
        "data_batch_3.bin: 19 images where other batches have 20",
    ),
    "label 10": (bad_label(10), "data_batch_4.bin: found the label 10; labels of CIFAR-10 are 0 to 9"),
    "label 255": (bad_label(255), "data_batch_4.bin: found the label 255;"),
    "label -1": (bad_batch(labels=[-1] * 20), "data_batch_2: found the label -1;"),
    "no labels": (bad_batch(labels=None), "data_batch_2: not a batch of CIFAR-10"),
    "text labels": (bad_batch(labels=["3"] * 20), "data_batch_2: not a batch of CIFAR-10"),
    "huge labels": (bad_batch(labels=[10**30] * 20), "data_batch_2: not a batch of CIFAR-10"),
    "fewer labels": (bad_batch(labels=[1] * 19), "data_batch_2: not a batch of CIFAR-10"),
    "floats": (bad_batch(data=np.zeros((20, 3072), np.float32)), "data_batch_2: not a batch of CIFAR-10"),
    "wide rows": (bad_batch(data=np.zeros((20, 3073), np.uint8)), "data_batch_2: not a batch of CIFAR-10"),
    "no dictionary": (
        lambda: changed(python_form(), "data_batch_2", python2_pickle([1])),
        "data_batch_2: found a list; CIFAR-10's pickles are dictionaries",
    ),
    "no pickle": (
        lambda: changed(python_form(), "data_batch_2", b"<html>"),
        "data_batch_2: the file is damaged or no pickle",
    ),
    "cut pickle": (
        lambda: changed(python_form(), "test_batch", python_batch(*tiny_batches()["test_batch"])[:-9]),
        "test_batch: the file is damaged or no pickle",
    ),
    "a class missing in test": (
        lambda: changed(python_form(), "test_batch", relabelled("test_batch", 6, 7)["test_batch"]),
        "no test image of class 'frog'",
    ),
    "a class folder missing": (
        lambda: without(picture_form(), "train/ship"),
        "no train image of class 'ship'",
    ),
    "another class folder": (
        lambda: picture_form() | {"train/wolf/1.png": png((32, 32))},
        r"train/wolf/1.png is in the class 'wolf'; CIFAR-10 has .*split_data",
    ),
    "no test": (
        lambda: without(picture_form(), "test/"),
        "no pictures in test/<class>/; both train/ and test/",
    ),
    "no train": (lambda: without(picture_form(), "train/"), "no pictures in train/<class>/"),
    "other size": (
        lambda: picture_form() | {"train/cat/big.png": png((33, 32))},
        r"train/cat/big.png: 33 x 32 pixels; images of CIFAR-10 have 32 x 32 \(split_data",
    ),
    "broken picture": (
        lambda: picture_form() | {"test/cat/broken.png": png((32, 32))[:50]},
        "test/cat/broken.png: cannot be decoded",
    ),
    "text as picture": (lambda: picture_form() | {"test/cat/a.jpg": b"text"}, "test/cat/a.jpg: not an image"),
    "empty picture": (lambda: picture_form() | {"test/cat/a.jpg": b""}, "test/cat/a.jpg: an empty file"),
}  # fmt: skip


@pytest.mark.parametrize("container", ["x.zip", "folder"])
@pytest.mark.parametrize("case", BAD_SOURCES)
def test_a_bad_source_is_explained(tmp_path: Path, run_main: RunMain, case: str, container: str) -> None:
    make, message = BAD_SOURCES[case]
    (tmp_path / "folder").mkdir()
    source = pack(tmp_path / container, make())

    with pytest.raises(UserError, match=f"^{source}: .*{message}"):
        prepare_cifar10(source, tmp_path / "out", val=20)
    assert run_main(main, source, "--output", tmp_path / "out", "--val", 20).code == 2
    assert not (tmp_path / "out").exists()


def test_a_malicious_pickle_is_refused(tmp_path: Path, run_main: RunMain) -> None:
    evil = {"data": Touches(tmp_path / "executed"), "labels": [1]}
    files = changed(python_form(), "data_batch_5", pickle.dumps(evil, 2))
    source = pack(tmp_path / "cifar.tar.gz", files)

    outcome = run_main(main, source, "--output", tmp_path / "out")

    assert outcome.code == 2
    assert "x/data_batch_5: refused: it asks for posix.system, which could run code" in outcome.err
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_cut_archive_is_refused(binary: Path, tmp_path: Path, share: float) -> None:
    content = binary.read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(content[: int(share * len(content))])

    with pytest.raises(UserError, match=r"cut\.tar\.gz: broken or cut short"):
        prepare_cifar10(tmp_path / "cut.tar.gz", tmp_path / "out", val=20)


def test_a_tar_cut_between_members_is_refused(tmp_path: Path) -> None:
    source = pack(tmp_path / "cut.tar", picture_form())
    with tarfile.open(source) as opened:
        place = opened.getmembers()[-1].offset
    source.write_bytes(source.read_bytes()[:place])

    with pytest.raises(UserError, match=r"cut\.tar: broken or cut short \(its end is missing\)"):
        prepare_cifar10(source, tmp_path / "out", val=20)


def test_names_that_point_elsewhere_do_no_harm(tmp_path: Path, store: Path) -> None:
    files = binary_form()
    tricks = {f"{'/abs' if 'data' in name else '../../up'}/{Path(name).name}": files[name] for name in files}

    prepared = prepare_cifar10(pack(tmp_path / "tricks.tar.gz", tricks), tmp_path / "out", val=20)

    assert contents(prepared.output, "split.json") == contents(store, "split.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "tricks.tar.gz"]


def add_twice(packed: tarfile.TarFile) -> None:
    for _ in range(2):
        info = tarfile.TarInfo("train/cat/1.png")
        packed.addfile(info, io.BytesIO())


def add_link(packed: tarfile.TarFile) -> None:
    info = tarfile.TarInfo("train/cat/1.png")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    packed.addfile(info)


@pytest.mark.parametrize(
    ("add", "message"),
    [(add_twice, "train/cat/1.png is there twice"), (add_link, "'train/cat/1.png' is a link or a device")],
)
def test_odd_members_are_refused(
    tmp_path: Path, add: Callable[[tarfile.TarFile], None], message: str
) -> None:
    with tarfile.open(tmp_path / "odd.tar", "w") as packed:
        add(packed)

    with pytest.raises(UserError, match=message):
        prepare_cifar10(tmp_path / "odd.tar", tmp_path / "out", val=20)


@pytest.mark.parametrize("container", ["x.tar.gz", "x.zip", "folder"])
@pytest.mark.parametrize("limit", ["_MAX_FILE_BYTES", "_MAX_BYTES"])
def test_what_is_far_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, container: str
) -> None:
    monkeypatch.setattr(cifar10_source, limit, 60_000)
    source = pack(tmp_path / container, binary_form())

    with pytest.raises(UserError, match="more than 60,000 bytes"):
        prepare_cifar10(source, tmp_path / "out", val=20)


# --- bad settings


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--val", 100],
            "val: found 100; it must be at least 0 and below 100, the number of training images",
        ),
        (["--val", -1], "val: found -1;"),
        (["--val", 95], "val: found 95 of 100 training images; no image of class"),
        (["--val", 40, "--train-images", 40], "val: found 40; it must be at least 0 and below 40"),
        (["--train-images", 101], "train-images: found 101; the source has 100 training images"),
        (["--train-images", 0], "train-images: found 0;"),
        (["--seed", -1], "seed: found -1; it must be 0 or more"),
        (["--val", "some"], "invalid int value: 'some' (see: python data_tools/prepare_cifar10.py --help)"),
    ],
)
def test_bad_numbers_are_explained(
    binary: Path, tmp_path: Path, run_main: RunMain, words: list[object], message: str
) -> None:
    outcome = run_main(main, binary, "--output", tmp_path / "out", *words)

    assert outcome.code == 2
    assert message in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.tar.gz", "none.tar.gz: no such folder or archive; check the path"),
        ("text.txt", "text.txt: neither a folder nor an archive (.zip"),
        ("text.tar.gz", "text.tar.gz: broken or cut short"),
    ],
)
def test_a_source_that_is_none_is_explained(
    tmp_path: Path, run_main: RunMain, name: str, message: str
) -> None:
    for file in ("text.txt", "text.tar.gz"):
        (tmp_path / file).write_text("text")

    outcome = run_main(main, tmp_path / name, "--output", tmp_path / "out")

    assert outcome.code == 2
    assert message in outcome.err


def test_the_output_is_a_folder(binary: Path, tmp_path: Path, run_main: RunMain) -> None:
    (tmp_path / "file").write_text("mine")

    assert "this is a file" in run_main(main, binary, "--output", tmp_path / "file", "--val", 20).err
    assert (tmp_path / "file").read_text() == "mine"
