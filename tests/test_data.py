"""Tests of the lists, of decoding them and of the order of batches."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paddle_wrn import data
from paddle_wrn.data import (
    DataFolder,
    load_photos,
    measure_mean_std,
    prepared_ahead,
    read_classes,
    read_data_folder,
    read_list,
    shuffled_batches,
    steps_per_epoch,
)
from paddle_wrn.errors import UserError
from paddle_wrn.preprocessing import read_image, resize_and_pad


def write(folder: Path, **files: str | bytes) -> Path:
    """Write `name=content` as name.txt."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.txt").write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


# --- one list


@pytest.mark.parametrize(
    ("line", "path", "label"),
    [
        ("a.jpg 0", "a.jpg", 0),
        ("a.jpg\t1", "a.jpg", 1),
        ("a.jpg   2", "a.jpg", 2),
        ("a.jpg 2  ", "a.jpg", 2),
        ("a.jpg\t \t2", "a.jpg", 2),
        ("Black Skimmer/1 (2).jpg 12", "Black Skimmer/1 (2).jpg", 12),
        ("蕉林莺/图 1.jpg 3", "蕉林莺/图 1.jpg", 3),
        ("a\tb/c d.jpg 1", "a\tb/c d.jpg", 1),
        ("a b\tc.jpg\t1", "a b\tc.jpg", 1),
        ("../photos/x.jpg 0", "../photos/x.jpg", 0),
        ("2 3 4", "2 3", 4),
        (" leading.jpg 0", " leading.jpg", 0),
        ("line\u2028separator\x85.jpg 0", "line\u2028separator\x85.jpg", 0),
        ("a.jpg 007", "a.jpg", 7),
    ],
)
def test_a_line_is_a_path_and_a_label(tmp_path: Path, line: str, path: str, label: int) -> None:
    found = read_list(write(tmp_path, train=line + "\n") / "train.txt")

    assert found.paths == (tmp_path / path,)
    assert found.labels.tolist() == [label]
    assert found.labels.dtype == np.int64


def test_the_tutorials_absolute_paths_are_kept(tmp_path: Path) -> None:
    lines = "/home/aistudio/work/bird_photos/Black Skimmer/1.jpg 1\n/data/Cockatoo/2.jpg 3\n"

    found = read_list(write(tmp_path, train=lines) / "train.txt")

    assert [str(path) for path in found.paths] == [
        "/home/aistudio/work/bird_photos/Black Skimmer/1.jpg",
        "/data/Cockatoo/2.jpg",
    ]
    assert found.labels.tolist() == [1, 3]


@pytest.mark.parametrize(
    "content",
    [
        b"a.jpg 0\nb.jpg 1\n",
        b"a.jpg 0\nb.jpg 1",
        b"\xef\xbb\xbfa.jpg 0\nb.jpg 1\n",
        b"a.jpg 0\r\nb.jpg 1\r\n",
        b"\n\na.jpg 0\n  \n\t\nb.jpg 1\n\n",
        b"\xef\xbb\xbf\r\na.jpg\t0\r\n\r\nb.jpg\t1",
    ],
)
def test_byte_order_mark_line_ends_and_blank_lines_do_not_matter(tmp_path: Path, content: bytes) -> None:
    found = read_list(write(tmp_path, train=content) / "train.txt")

    assert [path.name for path in found.paths] == ["a.jpg", "b.jpg"]
    assert found.labels.tolist() == [0, 1]
    assert len(found) == 2


def test_where_counts_blank_lines_too(tmp_path: Path) -> None:
    found = read_list(write(tmp_path, train="\na.jpg 0\n\n\nb.jpg 1\n") / "train.txt")

    assert [found.where(i) for i in (0, 1)] == [f"{tmp_path / 'train.txt'}, line {n}" for n in (2, 5)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg", "found 'a.jpg'; `path label` is needed"),
        ("3", "found '3'; `path label` is needed"),
        (" 3", "`path label` is needed"),
        ("\t3", "`path label` is needed"),
        ("a.jpg bird", "found 'bird' as the label; a number from 0"),
        ("a.jpg -1", "found '-1' as the label"),
        ("a.jpg 1.0", "found '1.0' as the label"),
        ("a.jpg ²", "found '²' as the label"),
        ("0 a b.jpg", "found 'b.jpg' as the label"),
        ("a.jpg 3", "label 3 is out of range; classes.txt has labels 0 to 2"),
        ("a.jpg 999999999", "is out of range"),
        ("a.jpg " + "9" * 5000, f"found '{'9' * 40}' as the label"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path: Path, line: str, message: str) -> None:
    file = write(tmp_path, train=f"good.jpg 0\n\n{line}\ngood.jpg 1\n") / "train.txt"

    with pytest.raises(UserError, match=f"^{file}, line 3: .*{message}"):
        read_list(file, num_classes=3)


@pytest.mark.parametrize("reader", [read_list, read_classes])
@pytest.mark.parametrize("encoding", ["gb18030", "utf-16"])
def test_another_encoding_is_named(tmp_path: Path, reader: object, encoding: str) -> None:
    file = write(tmp_path, train="蕉林莺/1.jpg 0\n".encode(encoding)) / "train.txt"

    with pytest.raises(UserError, match=f"{file}: not UTF-8 text; save it as UTF-8"):
        reader(file)


@pytest.mark.parametrize("reader", [read_list, read_classes])
def test_a_missing_file_is_named(tmp_path: Path, reader: object) -> None:
    with pytest.raises(UserError, match=r"none\.txt: no such file"):
        reader(tmp_path / "none.txt")


# --- classes.txt


def test_classes_have_a_name_and_maybe_a_display_name(tmp_path: Path) -> None:
    text = "\ufeffBananaquit\t蕉林莺\r\nBlack Skimmer\r\n蓝 鸟\t\r\n"

    classes = read_classes(write(tmp_path, classes=text) / "classes.txt")

    assert classes.names == ("Bananaquit", "Black Skimmer", "蓝 鸟")
    assert classes.display_names == ("蕉林莺", "Black Skimmer", "蓝 鸟")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n\nb\n", "line 2: found an empty line"),
        ("a\n\tdisplay only\n", "line 2: found an empty line"),
        ("a\nb\na\n", "line 3: class 'a' stands there twice"),
        ("a\na\tother\n", "line 2: class 'a' stands there twice"),
        ("\n", "line 1: found an empty line"),
        ("", "empty"),
    ],
)
def test_bad_classes_are_named_by_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path, classes=text) / "classes.txt"

    with pytest.raises(UserError, match=f"^{file}.*{message}"):
        read_classes(file)


# --- the folder


def test_a_data_folder_is_classes_and_lists(data_folder: Path) -> None:
    folder = read_data_folder(str(data_folder))

    assert folder.classes.names == ("Blue Disc", "Green", "红 三角")
    assert folder.classes.display_names == ("蓝圆", "Green", "Red Triangle")
    counts = {name: len(folder.split(name)) for name in ("train", "val", "test")}
    assert counts == {"train": 24, "val": 6, "test": 6}
    assert all(path.is_file() for name in counts for path in folder.split(name).paths)


def test_lists_without_classes_are_named_by_their_folders(tmp_path: Path) -> None:
    train = "/photos/Cockatoo/1.jpg 1\n/photos/Black Skimmer/2.jpg 0\n/photos/Cockatoo/3.jpg 1\n"

    folder = read_data_folder(write(tmp_path, train=train, test="/elsewhere/a.jpg 1\n"))

    assert folder.classes.names == folder.classes.display_names == ("Black Skimmer", "Cockatoo")
    assert folder.val is None
    assert folder.split("test").labels.tolist() == [1]
    with pytest.raises(UserError, match=r"val\.txt: no such list"):
        folder.split("val")


TWO = "a/1.jpg 0\nb/1.jpg 1\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"classes": "a\nb\n"}, "train.txt is missing; make the lists with: .*split_data"),
        ({"train": ""}, "train.txt: the list is empty"),
        ({"train": "\n\n", "classes": "a\nb\n"}, "train.txt: the list is empty"),
        ({"train": TWO, "val": ""}, "val.txt: the list is empty"),
        ({"train": TWO, "test": "b/1.jpg 2\n"}, "test.txt: label 2 does not occur in train.txt"),
        (
            {"train": TWO, "test": "b/1.jpg 2\n", "classes": "a\nb\n"},
            "test.txt, line 1: label 2 is out of range",
        ),
        ({"train": TWO, "classes": "a\nb\nc c\n"}, r"train.txt: no photo of class 'c c' \(label 2\)"),
        ({"train": "a/1.jpg 0\nb/1.jpg 2\n"}, r"train.txt: labels are \[0, 2\].*without a gap"),
        ({"train": "a/1.jpg 1\nb/1.jpg 2\n"}, r"train.txt: labels are \[1, 2\].*from 0"),
        ({"train": TWO + "c/1.jpg 1\n"}, "train.txt, line 3: label 1 is used for the folders 'b' and 'c'"),
        ({"train": "a/1.jpg 0\n"}, "one class only .'a'."),
        ({"train": "a/1.jpg 0\n", "classes": "a\n"}, "one class only .'a'."),
        ({"train": TWO, "classes": ""}, "classes.txt: .*empty"),
    ],
)
def test_a_wrong_data_folder_is_explained(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_data_folder(write(tmp_path / "lists", **files))


def test_a_missing_data_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none: no such folder; make the lists with: .*--output .*none"):
        read_data_folder(tmp_path / "none")


def digest(folder: Path, **changes: str) -> str:
    lists = {"train": TWO, "val": TWO, "test": TWO, "classes": "a\nb\n"}
    return read_data_folder(write(folder, **lists | changes)).digest()


@pytest.mark.parametrize("changed", ["train", "val", "test"])
def test_the_digest_tells_other_lists_apart(tmp_path: Path, changed: str) -> None:
    assert digest(tmp_path, **{changed: TWO + TWO}) != digest(tmp_path)


def test_the_digest_tells_other_classes_apart_but_not_what_people_are_shown(tmp_path: Path) -> None:
    before = digest(tmp_path)

    assert digest(tmp_path, classes="a\nc\n") != before
    assert digest(tmp_path, classes="a\nb\tB\n") == before
    assert digest(tmp_path / "elsewhere") == before


# --- decoding


@pytest.fixture(scope="module")
def folder(data_folder: Path) -> DataFolder:
    return read_data_folder(data_folder)


@pytest.mark.parametrize("cores", [1, 8])
def test_threads_decode_what_one_by_one_gives(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr(data, "available_cores", lambda: cores)

    photos = load_photos(folder.train, 32)

    one_by_one = [np.asarray(resize_and_pad(read_image(path), 32)) for path in folder.train.paths]
    assert np.array_equal(photos.images, one_by_one)
    assert photos.images.dtype == np.uint8
    assert not isinstance(photos.images, np.memmap)
    assert np.array_equal(photos.labels, folder.train.labels)
    assert photos.paths == folder.train.paths
    assert len(photos) == 24


def test_beyond_the_budget_photos_live_in_a_file_nobody_sees(
    folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    on_disk = load_photos(folder.train, 128, memory_mb=1)  # 24 x 128 x 128 x 3 = 1.2 MB
    in_memory = load_photos(folder.train, 128, memory_mb=2)

    assert isinstance(on_disk.images, np.memmap)
    assert not isinstance(in_memory.images, np.memmap)
    assert np.array_equal(on_disk.images, in_memory.images)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("content", "message"), [(None, "no such file"), (b"text", "not an image")])
def test_a_broken_photo_is_named_by_list_line_and_file(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "good.png")
    if content is not None:
        (tmp_path / "bad.jpg").write_bytes(content)
    lines = "good.png 0\n" * 20 + "\nbad.jpg 1\n" + "good.png 0\n" * 20

    file = write(tmp_path, train=lines) / "train.txt"

    with pytest.raises(UserError, match=rf"^{file}, line 22: {tmp_path}/bad\.jpg: .*{message}"):
        load_photos(read_list(file), 8)


# --- mean and standard deviation


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2500])
def test_mean_and_std_are_numpys(count: int) -> None:
    rng = np.random.default_rng(count)
    images = (rng.integers(0, 256, (count, 4, 5, 3)) * [1.0, 0.5, 0.1]).astype(np.uint8)

    mean, std = measure_mean_std(images)

    scaled = images.reshape(-1, 3) / 255
    np.testing.assert_allclose(mean, scaled.mean(0), rtol=1e-12)
    np.testing.assert_allclose(std, scaled.std(0), rtol=1e-9)
    assert all(type(value) is float for value in (*mean, *std))


def test_a_channel_without_contrast_is_not_divided_by_zero() -> None:
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[..., 1] = 77
    images[0, ..., 2] = 255

    mean, std = measure_mean_std(images)

    assert mean == pytest.approx((0, 77 / 255, 0.5))
    assert std == pytest.approx((1, 1, 0.5))


# --- batches


def batches(
    count: int, batch_size: int, drop_last: bool = False, **options: int
) -> list[tuple[int, list[int]]]:
    found = shuffled_batches(count, batch_size, drop_last, **options)
    return [(step, indices.tolist()) for step, indices in found]


@pytest.mark.parametrize(("count", "batch_size"), [(10, 3), (9, 3), (1, 5), (5, 5), (7, 1), (100, 32)])
def test_each_photo_comes_once_an_epoch(count: int, batch_size: int) -> None:
    found = batches(count, batch_size, seed=4, epoch=2)

    assert [step for step, _ in found] == list(range(len(found)))
    assert sorted(index for _, indices in found for index in indices) == list(range(count))
    assert all(len(indices) == batch_size for _, indices in found[:-1])
    assert len(found[-1][1]) == (count % batch_size or batch_size)


@pytest.mark.parametrize(
    ("count", "batch_size", "steps", "full_steps"),
    [(10, 3, 4, 3), (9, 3, 3, 3), (1, 5, 1, 1), (4, 5, 1, 1), (5, 5, 1, 1), (6, 5, 2, 1), (7, 1, 7, 7)],
)
def test_a_smaller_last_batch_is_left_out_unless_it_is_the_only_one(
    count: int, batch_size: int, steps: int, full_steps: int
) -> None:
    whole = batches(count, batch_size, drop_last=False, seed=4, epoch=2)

    assert len(whole) == steps == steps_per_epoch(count, batch_size, drop_last=False)
    assert full_steps == steps_per_epoch(count, batch_size, drop_last=True)
    assert batches(count, batch_size, drop_last=True, seed=4, epoch=2) == whole[:full_steps]


def test_each_epoch_leaves_out_others() -> None:
    seen = [
        {index for _, indices in batches(10, 4, drop_last=True, seed=0, epoch=epoch) for index in indices}
        for epoch in range(20)
    ]

    assert {len(indices) for indices in seen} == {8}
    assert set.union(*seen) == set(range(10)) != set.intersection(*seen)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    first = batches(50, 8, seed=1, epoch=1)
    np.random.default_rng(5).random(3)

    assert batches(50, 8, seed=1, epoch=1) == first
    others = [batches(50, 8, seed=seed, epoch=epoch) for seed, epoch in ((1, 2), (2, 1), (0, 1))]
    assert first not in others
    assert others[0] != others[1]


def test_the_order_does_not_depend_on_the_batch_size() -> None:
    def order(batch_size: int) -> list[int]:
        return [index for _, indices in batches(20, batch_size, seed=1, epoch=0) for index in indices]

    assert order(3) == order(20) != list(range(20))


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("first", range(8))
def test_an_epoch_can_be_continued_at_any_step(first: int, drop_last: bool) -> None:
    whole = batches(50, 8, drop_last, seed=1, epoch=3)

    assert batches(50, 8, drop_last, seed=1, epoch=3, first=first) == whole[first:]


# --- preparing ahead


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_what_is_prepared_comes_in_order(count: int) -> None:
    def job(number: int) -> int:
        time.sleep(0.003 * (number % 3))
        return number

    assert list(prepared_ahead(partial(job, number) for number in range(count))) == list(range(count))


def test_the_next_job_runs_while_the_caller_works() -> None:
    working = [threading.Event() for _ in range(4)]
    threads = []

    def job(number: int) -> bool:
        threads.append(threading.current_thread())
        return number == 0 or working[number - 1].wait(5)

    overlapped = []
    for number, result in enumerate(prepared_ahead(partial(job, number) for number in range(4))):
        overlapped.append(result)
        working[number].set()  # the next job, which waits for this, has begun already
    assert overlapped == [True] * 4
    assert threading.current_thread() not in threads


def test_no_more_than_the_next_job_is_prepared() -> None:
    asked: list[int] = []

    def jobs() -> Iterator[Callable[[], int]]:
        for number in range(9):
            asked.append(number)
            yield partial(int, number)

    results = prepared_ahead(jobs())

    assert asked == []
    assert [next(results), list(asked)] == [0, [0, 1]]
    assert [next(results), list(asked)] == [1, [0, 1, 2]]


@pytest.mark.parametrize("bad", [0, 1, 4])
def test_an_error_while_preparing_reaches_the_caller_in_its_turn(bad: int) -> None:
    def job(number: int) -> int:
        if number == bad:
            raise UserError(f"job {number}")
        return number

    results = prepared_ahead(partial(job, number) for number in range(5))

    assert [next(results) for _ in range(bad)] == list(range(bad))
    with pytest.raises(UserError, match=f"^job {bad}$"):
        next(results)
    assert list(results) == []


@pytest.mark.parametrize("way", ["break", "error", "close"])
def test_stopping_early_ends_the_thread(way: str) -> None:
    done: list[int] = []
    before = threading.active_count()

    def use() -> None:
        results = prepared_ahead(partial(done.append, number) for number in range(1000))
        for _ in results:
            if way == "break":
                break
            if way == "error":
                raise KeyboardInterrupt
            results.close()  # type: ignore[attr-defined]

    user = threading.Thread(target=use)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", lambda _: None)
        user.start()
        user.join(10)
    assert not user.is_alive()
    assert len(done) <= 2
    assert threading.active_count() == before
