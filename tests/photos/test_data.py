"""Tests of decoding the photos of lists and of the order of batches."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from paddle_wrn.errors import UserError
from paddle_wrn.photos import loading as data
from paddle_wrn.photos.lists import DataFolder, read_data_folder, read_list
from paddle_wrn.photos.loading import load_photos, measure_mean_std
from paddle_wrn.photos.preprocessing import read_image, read_square, resize_and_pad
from paddle_wrn.training.batches import prepared_ahead, shuffled_batches, steps_per_epoch


def write(folder: Path, **files: str | bytes) -> Path:
    """Write `name=content` as name.txt."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.txt").write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


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


def test_drafts_are_those_of_single_photos(tmp_path: Path) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    Image.fromarray(coarse).resize((90, 70)).save(tmp_path / "photo.jpg")
    photo_list = read_list(write(tmp_path, train="photo.jpg 0\n") / "train.txt")

    whole, draft = (load_photos(photo_list, 16, draft=draft).images[0] for draft in (False, True))

    assert np.array_equal(whole, np.asarray(read_square(tmp_path / "photo.jpg", 16)))
    assert np.array_equal(draft, np.asarray(read_square(tmp_path / "photo.jpg", 16, draft=True)))
    assert not np.array_equal(whole, draft)


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


# --- rows of arrays


@pytest.fixture
def pixels(tmp_path: Path) -> NDArray[np.uint8]:
    """Return an array that is saved as images.npy."""
    pixels = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    return pixels


@pytest.mark.parametrize("memory_mb", [0, 1])
def test_rows_are_copied_in_the_order_of_the_list(
    tmp_path: Path, pixels: NDArray[np.uint8], memory_mb: int
) -> None:
    order = [6, 0, 3, 3]
    lines = "".join(f"images.npy/{row:05} {row % 2}\n" for row in order)

    photos = load_photos(read_list(write(tmp_path, train=lines) / "train.txt"), 8, memory_mb)

    assert np.array_equal(photos.images, pixels[order])
    assert isinstance(photos.images, np.memmap) == (memory_mb == 0)
    assert photos.labels.tolist() == [0, 0, 1, 1]
    assert photos.paths[0] == tmp_path / "images.npy" / "00006"


def test_rows_of_another_size_are_fitted_into_the_square(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 10, 6, 3), np.uint8)
    np.save(tmp_path / "images.npy", pixels)

    photos = load_photos(read_list(write(tmp_path, train="images.npy/1 0\n") / "train.txt"), 10)

    assert np.array_equal(photos.images[0], np.asarray(resize_and_pad(Image.fromarray(pixels[1]), 10)))


def test_a_list_may_mix_arrays_and_files(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    (tmp_path / "other").mkdir()
    np.save(tmp_path / "other" / "images.npy", 255 - pixels)
    Image.fromarray(pixels[4]).save(tmp_path / "photo.png")
    lines = f"images.npy/1 0\nphoto.png 1\n{tmp_path}/other/images.npy/2 0\n"

    photos = load_photos(read_list(write(tmp_path, train=lines) / "train.txt"), 8)

    assert np.array_equal(photos.images, [pixels[1], pixels[4], 255 - pixels[2]])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 8, 8, 3), np.uint8), "images.npy has rows 0 to 2, not 00003"),
        (np.zeros((0, 8, 8, 3), np.uint8), "images.npy has no rows, not even 00003"),
        (
            np.zeros((9, 8, 8), np.uint8),
            r"images.npy is \(9, 8, 8\), uint8; photos are \(N, height, width, 3\)",
        ),
        (np.zeros((9, 8, 8, 4), np.uint8), r"images.npy is \(9, 8, 8, 4\), uint8;"),
        (np.zeros((9, 0, 8, 3), np.uint8), r"images.npy is \(9, 0, 8, 3\), uint8;"),
        (np.zeros((9, 8, 8, 3), np.float32), r"images.npy is \(9, 8, 8, 3\), float32;"),
        (np.array([{}]), "images.npy: cannot be read as an array"),
        (b"text", "images.npy: cannot be read as an array"),
        (b"", "images.npy: cannot be read as an array"),
        (b"PK\x03\x04", "images.npy: cannot be read as an array"),
        (None, "images.npy: no such file"),
    ],
)
def test_an_array_that_does_not_fit_is_named_by_list_and_line(
    tmp_path: Path, array: NDArray[np.generic] | bytes | None, message: str
) -> None:
    if isinstance(array, bytes):
        (tmp_path / "images.npy").write_bytes(array)
    elif array is not None:
        np.save(tmp_path / "images.npy", array, allow_pickle=True)
    file = write(tmp_path, train="\nimages.npy/00003 0\n") / "train.txt"

    with pytest.raises(UserError, match=rf"^{file}, line 2: {tmp_path}/{message}"):
        load_photos(read_list(file), 8)


def test_an_array_cut_short_is_refused(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    whole = (tmp_path / "images.npy").read_bytes()
    (tmp_path / "images.npy").write_bytes(whole[:-1])
    file = write(tmp_path, train="images.npy/0 0\n") / "train.txt"

    with pytest.raises(UserError, match=r"line 1: .*images\.npy: cannot be read as an array"):
        load_photos(read_list(file), 8)


# --- mean and standard deviation


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
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
