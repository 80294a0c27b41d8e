import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.splitting import photo_folder
from paddle_wrn.photos.splitting.list_files import OUTPUT_FILES
from paddle_wrn.photos.splitting.split import split_data
from paddle_wrn.split_data import main, report


def draw(seed: int) -> Image.Image:
    blobs = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(blobs).resize((40, 30), Image.Resampling.BICUBIC)


def make_photos(folder: Path, counts: dict[str, int]) -> Path:
    seed = 0
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            draw(seed).save(folder / name / f"{number:03}.png")
            seed += 1
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def reasons(folder: Path) -> dict[str, str]:
    record = json.loads((folder / "split.json").read_text(encoding="utf-8"))
    return {entry["path"]: entry["reason"] for entry in record["left_out"]}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photos(here: Path) -> Path:
    return make_photos(here / "photos", {"owl": 20, "egret": 10, "puffin": 7})


# ---- lists


def test_lists_are_stratified_disjoint_complete_and_readable(photos: Path) -> None:
    split = split_data("photos")
    assert split.output == Path("data/photos")
    assert split.classes == ("egret", "owl", "puffin")
    assert split.counts() == {"train": (6, 14, 5), "val": (2, 3, 1), "test": (2, 3, 1)}
    data = read_data_folder("data/photos")
    assert data.val is not None
    assert data.test is not None
    listed = [p.resolve() for part in (data.train, data.val, data.test) for p in part.paths]
    assert sorted(listed) == sorted(photos.rglob("*.png"))
    for part in (data.train, data.val, data.test):
        for path, label in zip(part.paths, part.labels, strict=True):
            assert path.parent.name == split.classes[label]
    lines = Path("data/photos/train.txt").read_bytes().decode().split("\n")
    assert lines[-1] == ""
    assert all(line.startswith("../../photos/") for line in lines[:-1])
    assert lines[:-1] == sorted(lines[:-1], key=lambda line: (int(line.split()[-1]), line))


def test_record(photos: Path) -> None:
    split_data("photos", seed=3)
    record = json.loads(Path("data/photos/split.json").read_text(encoding="utf-8"))
    assert {key: record[key] for key in ("version", "source", "protocol", "val", "test", "seed")} == {
        "version": 1, "source": "photos", "protocol": "stratified", "val": 0.15, "test": 0.15, "seed": 3
    }  # fmt: skip
    assert record["counts"]["owl"] == {"train": 14, "val": 3, "test": 3}
    assert len(record["files"]) == 37
    assert str(photos) not in json.dumps(record)


def test_class_indices_are_written_as_other_programs_read_them(photos: Path) -> None:
    (photos / "owl").rename(photos / "雪鸮")
    split_data("photos")
    text = Path("data/photos/class_indices.json").read_bytes().decode()
    assert text == '{\n    "0": "egret",\n    "1": "puffin",\n    "2": "雪鸮"\n}\n'


def test_class_indices_are_not_read(photos: Path) -> None:
    split_data("photos")
    Path("data/photos/class_indices.json").write_text("{}")
    assert read_data_folder("data/photos").classes.names == ("egret", "owl", "puffin")


def test_same_seed_same_bytes_in_any_file_order(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split_data("photos", "first")
    listdir, scandir = os.listdir, os.scandir

    def shuffled_listdir(path: str = ".") -> list[str]:
        return random.Random(5).sample(names := listdir(path), len(names))

    class ShuffledScandir:
        def __init__(self, path: str = ".") -> None:
            with scandir(path) as entries:
                self.entries = list(entries)
            random.Random(5).shuffle(self.entries)

        def __enter__(self) -> "ShuffledScandir":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def __iter__(self):
            return iter(self.entries)

    monkeypatch.setattr(os, "listdir", shuffled_listdir)
    monkeypatch.setattr(os, "scandir", ShuffledScandir)
    assert os.listdir("photos/owl") != sorted(os.listdir("photos/owl"))
    split_data("photos", "second")
    monkeypatch.undo()
    os.chdir(photos.parent)
    assert contents(Path("first")) == contents(Path("second"))


def test_another_seed_another_split(photos: Path) -> None:
    assert split_data("photos", "a", seed=0).lists["test"] != split_data("photos", "b", seed=1).lists["test"]


def test_another_class_leaves_the_others_alone(photos: Path) -> None:
    before = {path for path, _ in split_data("photos", "a").lists["test"]}
    make_photos(Path("more"), {"aracari": 8})
    for number, path in enumerate(sorted(Path("more/aracari").iterdir())):
        draw(500 + number).save(path)
    shutil.move("more/aracari", "photos")
    after = {path for path, _ in split_data("photos", "b").lists["test"]}
    assert before == {path for path in after if not path.startswith("aracari")}


@pytest.mark.parametrize(
    ("options", "lists"),
    [({"val": 0}, {"train", "test"}), ({"test": 0}, {"train", "val"}), ({"val": 0, "test": 0}, {"train"})],
)
def test_share_0_means_no_such_list(photos: Path, options: dict[str, float], lists: set[str]) -> None:
    assert set(split_data("photos", "out", **options).lists) == lists
    assert {p.stem for p in Path("out").glob("*.txt")} == {*lists, "classes"}


def test_80_20_without_test_photos(photos: Path) -> None:
    assert main(["photos", "--val", "0.2", "--test", "0"]) == 0
    data = read_data_folder("data/photos")
    assert data.val is not None
    assert data.test is None
    assert np.bincount(data.train.labels).tolist() == [8, 16, 6]
    assert np.bincount(data.val.labels).tolist() == [2, 4, 1]


def test_rounding_leaves_a_photo_to_train(here: Path) -> None:
    make_photos(here / "photos", {"a": 2, "b": 3})
    assert split_data("photos", val=0, test=0.9).counts() == {"train": (1, 1), "test": (1, 2)}


# ---- near-duplicates


def test_groups_stay_together_and_counts_stay_near(here: Path) -> None:
    make_photos(here / "photos", {"owl": 20, "egret": 20})
    for number in range(5):
        image = Image.open(f"photos/owl/{number:03}.png")
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(f"photos/owl/{number:03}_mirrored.png")
        image.resize((80, 60)).save(f"photos/owl/{number:03}_large.png")
    shutil.copy("photos/egret/000.png", "photos/egret/copy.png")
    for seed in range(10):
        split = split_data("photos", "out", seed=seed, overwrite=True)
        assert sorted(map(len, split.near_duplicates)) == [2, 3, 3, 3, 3, 3]
        assert split.groups_on_both_sides() == 0
        assert split.mixed_labels == ()
        assert split.counts() == {"train": (15, 22), "val": (3, 4), "test": (3, 4)}
    assert "6 groups, 17 photos" in report(split)
    assert "each group stays on one side" in report(split)


def test_large_groups_leave_something_for_every_list(here: Path) -> None:
    make_photos(here / "photos", {"owl": 3, "egret": 3})
    for original, copies in (("000", 4), ("001", 4), ("002", 2)):
        for number in range(copies - 1):
            shutil.copy(f"photos/owl/{original}.png", f"photos/owl/{original}_{number}.png")
    counts = split_data("photos").counts()
    assert sorted(counts[name][1] for name in counts) == [2, 4, 4]


def test_one_photo_under_two_labels(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("photos/owl/003.png", "photos/egret/also.png")
    assert main(["photos"]) == 0
    assert "warning: 1 groups lie in several classes" in (out := capsys.readouterr().out)
    assert "egret/also.png = owl/003.png" in out
    record = json.loads(Path("data/photos/split.json").read_text(encoding="utf-8"))
    assert record["mixed_labels"] == record["near_duplicates"] == [["egret/also.png", "owl/003.png"]]
    homes = [name for name, listed in split_data("photos").lists.items() for path, _ in listed
             if path in record["mixed_labels"][0]]  # fmt: skip
    assert len(homes) == 2
    assert len(set(homes)) == 1


# ---- the tutorial's protocol


def test_tutorial_protocol(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(10):
        shutil.copy(f"photos/owl/{number:03}.png", f"photos/owl/copy{number}.png")
    assert main(["photos", "--protocol", "tutorial"]) == 0
    split = split_data("photos", protocol="tutorial")
    assert split.status == "unchanged"
    assert split.counts() == {"train": (7, 21, 4), "test": (3, 9, 3)}
    assert not Path("data/photos/val.txt").exists()
    line = Path("data/photos/train.txt").read_text(encoding="utf-8").splitlines()[0]
    assert line.startswith(f"{photos}/egret/")
    assert split.groups_on_both_sides() > 0
    assert f"{split.groups_on_both_sides()} of the groups lie on both sides" in capsys.readouterr().out


# ---- what is left out


def test_everything_left_out_is_named(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (".ipynb_checkpoints", "__MACOSX", "owl/.ipynb_checkpoints"):
        (photos / folder).mkdir()
        draw(900).save(photos / folder / "x.png")
    for name in (".DS_Store", "README.txt", "loose.png", "owl/Thumbs.db", "owl/notes.txt", "owl/._000.png",
                 "owl/empty.jpg", "owl/phone.HEIC", "owl/a\nb.png"):  # fmt: skip
        (photos / name).write_bytes(b"")
    (photos / "owl/cut.png").write_bytes((photos / "owl/000.png").read_bytes()[:300])
    draw(901).save(photos.parent / "outside.png")
    (photos / "owl/link.png").symlink_to(photos.parent / "outside.png")
    (photos / "owl/gone.png").symlink_to(photos / "owl/missing.png")
    (photos / "owl/again").symlink_to(photos / "egret")
    (photos / "other").symlink_to(photos.parent)
    os.mkfifo(photos / "owl/pipe.png")
    with open(os.fsencode(photos / "owl") + b"/\xff.png", "wb"):
        pass
    assert main(["photos"]) == 0
    found = reasons(Path("data/photos"))
    unreadable = {path: found.pop(path) for path in ("owl/empty.jpg", "owl/cut.png")}
    assert all(reason.startswith(photo_folder.UNREADABLE) for reason in unreadable.values())
    assert "0 bytes" in unreadable["owl/empty.jpg"]
    assert str(photos) not in str(unreadable)
    assert found == {
        ".DS_Store": photo_folder.HIDDEN,
        ".ipynb_checkpoints": photo_folder.HIDDEN,
        "README.txt": photo_folder.NO_CLASS,
        "__MACOSX": photo_folder.SYSTEM,
        "loose.png": photo_folder.NO_CLASS,
        "other": photo_folder.LINK_OUT,
        "owl/.ipynb_checkpoints": photo_folder.HIDDEN,
        "owl/._000.png": photo_folder.HIDDEN,
        "owl/Thumbs.db": photo_folder.SYSTEM,
        "owl/\\udcff.png": photo_folder.NOT_UTF8,
        "owl/a\nb.png": photo_folder.LINE_BREAK,
        "owl/again": photo_folder.LINK_FOLDER,
        "owl/gone.png": photo_folder.IRREGULAR,
        "owl/link.png": photo_folder.LINK_OUT,
        "owl/notes.txt": photo_folder.NO_IMAGE,
        "owl/phone.HEIC": photo_folder.HEIC,
        "owl/pipe.png": photo_folder.IRREGULAR,
    }
    out = capsys.readouterr().out
    assert (
        "left out: 4 (hidden, its name begins with a dot): .DS_Store, .ipynb_checkpoints, owl/._000.png, ..."
        in out
    )
    assert "left out: 2 (cannot be read as a photo): owl/cut.png, owl/empty.jpg\n" in out
    assert read_data_folder("data/photos").train


# ---- names


def test_chinese_names_blanks_tabs_and_deeper_folders(here: Path) -> None:
    make_photos(
        here / "我的 照片", {"蕉林莺": 3, "Black Skimmer": 3, unicodedata.normalize("NFD", "éléonore"): 3}
    )
    os.rename("我的 照片/蕉林莺/000.png", "我的 照片/蕉林莺/a\tb  c.png")
    os.makedirs("我的 照片/蕉林莺/2023/五月")
    os.rename("我的 照片/蕉林莺/001.png", "我的 照片/蕉林莺/2023/五月/一.png")
    split = split_data("我的 照片")
    assert split.classes == ("Black Skimmer", "éléonore", "蕉林莺")
    data = read_data_folder("data/我的 照片")
    assert data.classes.names == split.classes
    paths = [p for part in (data.train, data.val, data.test) if part for p in part.paths]
    assert all(path.is_file() for path in paths)
    assert len(paths) == 9


@pytest.mark.parametrize("from_option", [True, False])
def test_display_names(photos: Path, from_option: bool) -> None:
    file = photos.parent / "names.txt" if from_option else photos / "display_names.txt"
    file.write_text("\ufeffowl\t雪鸮\n\npuffin\tAtlantic puffin\n", encoding="utf-8")
    split = split_data("photos", names=file if from_option else None)
    assert split.display_names == ("egret", "雪鸮", "Atlantic puffin")
    assert (
        Path("data/photos/classes.txt").read_bytes().decode() == "egret\nowl\t雪鸮\npuffin\tAtlantic puffin\n"
    )
    assert split.left_out == ()
    lines = report(split).splitlines()
    assert lines[2] == "owl     雪鸮                14    3     3     20"


# ---- where the lists are


def test_output_beside_the_class_folders(photos: Path) -> None:
    assert split_data("photos", "photos").status == "written"
    again = split_data("photos", "photos")
    assert again.status == "unchanged"
    assert again.left_out == ()
    assert Path("photos/train.txt").read_text(encoding="utf-8").startswith("egret/")


def test_linked_output_folder(photos: Path) -> None:
    Path("deep/er").mkdir(parents=True)
    Path("link").symlink_to("deep/er")
    split_data("photos", "link")
    assert all(path.is_file() for path in read_data_folder("link").train.paths)


def test_dry_run_writes_nothing(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.make_archive("birds", "zip", "photos")
    before = sorted(photos.parent.rglob("*"))
    assert main(["photos", "--dry-run"]) == 0
    assert main(["birds.zip", "--dry-run"]) == 0
    assert sorted(photos.parent.rglob("*")) == before
    assert "14" in capsys.readouterr().out


# ---- overwriting


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seed": 1}, "(seed was 0, now 1)"),
        ({"val": 0.2, "test": 0}, "(val was 0.15, now 0.2; test was 0.15, now 0)"),
        ({"protocol": "tutorial"}, "protocol was stratified, now tutorial"),
    ],
)
def test_other_settings_need_overwrite(photos: Path, options: dict[str, object], sentence: str) -> None:
    split_data("photos")
    before = contents(Path("data"))
    with pytest.raises(UserError, match="holds other lists already") as caught:
        split_data("photos", **options)  # type: ignore[arg-type]
    assert sentence in str(caught.value)
    assert contents(Path("data")) == before
    split = split_data("photos", overwrite=True, **options)  # type: ignore[arg-type]
    assert {p.stem for p in Path("data/photos").glob("*.txt")} == {*split.lists, "classes"}


def test_other_photos_or_names_need_overwrite(photos: Path) -> None:
    split_data("photos")
    assert split_data("photos").status == "unchanged"
    (photos / "display_names.txt").write_text("owl\t雪鸮\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"\(classes\.txt would change\)"):
        split_data("photos")
    (photos / "display_names.txt").unlink()
    (photos / "owl/000.png").unlink()
    draw(950).save(photos / "owl/001.png")
    with pytest.raises(UserError, match=r"\(photos: 1 removed, 1 changed\)"):
        split_data("photos")
    assert split_data("photos", overwrite=True).status == "written"


def test_class_indices_are_added_to_lists_that_have_none(photos: Path) -> None:
    split_data("photos")
    complete = contents(Path("data/photos"))
    Path("data/photos/class_indices.json").unlink()
    assert split_data("photos").status == "written"
    assert contents(Path("data/photos")) == complete


def test_other_class_indices_need_overwrite(photos: Path) -> None:
    split_data("photos")
    Path("data/photos/class_indices.json").write_text("mine")
    with pytest.raises(UserError, match=r"\(class_indices\.json would change\)"):
        split_data("photos")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [("train.txt", "mine", "train.txt is there without"), ("split.json", "{", "cannot be read")],
)
def test_lists_of_unknown_origin_need_overwrite(photos: Path, name: str, content: str, sentence: str) -> None:
    (photos.parent / "out").mkdir()
    (photos.parent / "out" / name).write_text(content)
    with pytest.raises(UserError, match=sentence):
        split_data("photos", "out")
    split_data("photos", "out", overwrite=True)
    assert read_data_folder("out")


def test_interruption_leaves_no_mixture_unnoticed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split_data("photos")
    real = Path.replace

    def pull_the_plug(self: Path, target: Path) -> Path:
        if target.name == "test.txt":
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", pull_the_plug)
    with pytest.raises(KeyboardInterrupt):
        split_data("photos", seed=1, overwrite=True)
    monkeypatch.undo()
    os.chdir(photos.parent)
    assert all(name in OUTPUT_FILES for name in contents(Path("data/photos")))
    with pytest.raises(UserError, match=r"without the split\.json"):
        split_data("photos", seed=1)


# ---- archives


@pytest.mark.parametrize("kind", ["zip", "gztar"])
@pytest.mark.parametrize("top", [True, False])
def test_archive_gives_the_split_of_its_folder(photos: Path, kind: str, top: bool) -> None:
    (photos.parent / "photos/__MACOSX").mkdir()
    archive = Path(shutil.make_archive("birds", kind, *((".", "photos") if top else ("photos",))))
    from_folder = split_data("photos", "plain")
    split = split_data(archive)
    assert split.output == Path("data/birds")
    prefix = "photos/" if top else ""
    assert split.lists == {
        name: tuple((prefix + path, label) for path, label in listed)
        for name, listed in from_folder.lists.items()
    }
    data = read_data_folder("data/birds")
    assert all(path.is_file() for path in data.train.paths)
    assert Path("data/birds/train.txt").read_text(encoding="utf-8").startswith(f"photos/{prefix}egret/")
    assert {p.name for p in Path("data/birds").iterdir()} == {*OUTPUT_FILES, "photos"}


def test_archive_is_unpacked_once(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.make_archive("birds", "zip", "photos")
    split_data("birds.zip")
    with monkeypatch.context() as patch:
        patch.setattr(photo_folder, "unpack", lambda *_: pytest.fail("unpacked again"))
        assert split_data("birds.zip").status == "unchanged"
    shutil.rmtree("photos/puffin")
    shutil.make_archive("birds", "zip", "photos")
    with pytest.raises(UserError, match="unpacked from another archive"):
        split_data("birds.zip")
    assert split_data("birds.zip", overwrite=True).classes == ("egret", "owl")
    assert not Path("data/birds/photos/puffin").exists()


def test_folder_that_was_not_unpacked_here_is_never_replaced(photos: Path) -> None:
    shutil.make_archive("birds", "zip", "photos")
    mine = make_photos(photos.parent / "data/birds/photos", {"mine": 1})
    with pytest.raises(UserError, match="was not unpacked by this command"):
        split_data("birds.zip", overwrite=True)
    assert (mine / "mine/000.png").exists()


# ---- the sample


def test_sample_is_drawn_when_there_is_no_source(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make_sample_birds(output: Path, per_species: int = 100, seed: int = 0) -> Path:
        if not output.exists():
            make_photos(output, {"owl": 3, "egret": 3})
            (output / "sample.json").write_text("{}")
        return output

    monkeypatch.setattr(photo_folder, "make_sample_birds", make_sample_birds)
    assert main(["--dry-run"]) == 0
    assert list(here.iterdir()) == []
    assert main([]) == 0
    assert main(["--dry-run"]) == 0
    assert read_data_folder("data/sample_birds").classes.names == ("egret", "owl")
    assert (here / "data/sample_birds/train.txt").read_text().startswith("photos/egret/")
    assert reasons(here / "data/sample_birds") == {}  # the sample's own record is expected
    split = split_data("data/sample_birds/photos", "as_any_folder")
    assert split.left_out == (photo_folder.LeftOut("sample.json", photo_folder.NO_CLASS),)


def test_a_sample_that_was_changed_is_left_alone(here: Path) -> None:
    changed = here / "data/sample_birds/photos/mine.jpg"
    changed.parent.mkdir(parents=True)
    changed.touch()
    with pytest.raises(UserError, match=r"photos: holds something other .*\.split_data data"):
        split_data()
    assert changed.is_file()


# ---- bad input


def one_class(here: Path) -> None:
    make_photos(here / "p", {"owl": 3})


def two_classes(here: Path) -> None:
    make_photos(here / "p", {"owl": 3, "egret": 3})


def too_few(here: Path) -> None:
    make_photos(here / "p", {"owl": 3, "egret": 2})


def copies_only(here: Path) -> None:
    make_photos(here / "p", {"owl": 3, "egret": 1})
    for number in range(5):
        shutil.copy(here / "p/egret/000.png", here / f"p/egret/copy{number}.png")


def tab_in_class(here: Path) -> None:
    make_photos(here / "p", {"owl": 3, "eg\tret": 3})


def twin_classes(here: Path) -> None:
    make_photos(here / "p", {"é": 3, unicodedata.normalize("NFD", "é"): 3})


def wrong_names(here: Path) -> None:
    two_classes(here)
    (here / "names").write_text("egrett\tReiher\n")


def names_without_tab(here: Path) -> None:
    two_classes(here)
    (here / "names").write_text("egret Reiher\n")


def latin_names(here: Path) -> None:
    two_classes(here)
    (here / "names").write_bytes("egret\tGrünspecht\n".encode("latin-1"))


def slipping_zip(here: Path) -> None:
    with zipfile.ZipFile(here / "p.zip", "w") as opened:
        opened.writestr("../evil.png", b"")


def linking_tar(here: Path) -> None:
    with tarfile.open(here / "p.tar", "w") as opened:
        info = tarfile.TarInfo("owl/link.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc"
        opened.addfile(info)


def cut_zip(here: Path) -> None:
    two_classes(here)
    shutil.make_archive(str(here / "p"), "zip", here / "p")
    (here / "p.zip").write_bytes((here / "p.zip").read_bytes()[:-200])


def zip_of_one_class(here: Path) -> None:
    one_class(here)
    shutil.make_archive(str(here / "p"), "zip", here / "p")


BAD: list[tuple[Callable[[Path], object], str, str]] = [
    (lambda _: None, "missing", "missing: no such folder or archive"),
    (lambda here: (here / "p.txt").write_text("x"), "p.txt", "neither a folder nor an archive"),
    (lambda here: (here / "p").mkdir(), "p", "no class folders"),
    (one_class, "p", "one class only ('owl')"),
    (lambda here: make_photos(here / "p", {"train": 3, "Test": 3}), "p", "ready-made split (Test, train)"),
    (too_few, "p", "class 'egret': 2 distinct photo(s); 3 is the minimum, one for each of train, val, test"),
    (copies_only, "p", "class 'egret': 1 distinct photo(s)"),
    (copies_only, "p --protocol tutorial --test 0.15", "its shares are fixed"),
    (tab_in_class, "p", "'eg\\tret' is blank or holds a tab; rename"),
    (twin_classes, "p", "looks like another folder's name"),
    (two_classes, "p --val 0.5 --test 0.5", "val + test: found 0.5 + 0.5"),
    (two_classes, "p --val -0.1", "val: found -0.1"),
    (two_classes, "p --test nan", "test: found nan"),
    (two_classes, "p --val much", "argument --val: invalid float value"),
    (two_classes, "p --seed -1", "seed: found -1"),
    (two_classes, "p --protocol other", "argument --protocol: invalid choice"),
    (two_classes, "p --output p/owl", "lies inside the photos"),
    (wrong_names, "p --output names", "names: this is a file"),
    (
        wrong_names,
        "p --names names",
        "names, line 1: no class folder is named 'egrett'; the nearest is 'egret'",
    ),
    (names_without_tab, "p --names names", "`class<TAB>display name` is needed"),
    (latin_names, "p --names names", "not UTF-8"),
    (two_classes, "p --names missing", "missing: no such file"),
    (slipping_zip, "p.zip", "would be written outside the folder"),
    (linking_tar, "p.tar", "is a link or a device"),
    (cut_zip, "p.zip", "broken or cut short"),
    (zip_of_one_class, "p.zip", "one class only"),
]


@pytest.mark.parametrize(("prepare", "arguments", "sentence"), BAD, ids=[f"{a}: {s}"[:50] for _, a, s in BAD])
def test_bad_input_is_one_sentence_and_writes_nothing(
    here: Path,
    prepare: Callable[[Path], object],
    arguments: str,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepare(here)
    before = sorted(here.rglob("*"))
    assert main(arguments.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert sentence in captured.err
    assert sorted(here.rglob("*")) == before


def test_class_that_lives_on_copies_of_others(here: Path) -> None:
    make_photos(here / "photos", {"owl": 12, "egret": 3})
    for number, path in enumerate(sorted((here / "photos/egret").iterdir())):
        shutil.copy(here / f"photos/owl/{number:03}.png", path)
    counts = split_data("photos").counts()
    assert [counts[name][0] for name in counts] == [1, 1, 1]


def test_classes_that_leave_each_other_nothing(here: Path) -> None:
    make_photos(here / "photos", {"a": 2, "b": 1, "c": 0})
    for original, copy in (("a/000", "b/001"), ("a/001", "c/000"), ("b/000", "c/001")):
        shutil.copy(f"photos/{original}.png", f"photos/{copy}.png")
    with pytest.raises(
        UserError, match=r"class '[bc]': no photo is left for t.*, because copies of its photos"
    ):
        split_data("photos", val=0)


def test_paddle_is_not_imported() -> None:
    code = "import sys, paddle_wrn.split_data; sys.exit('paddle' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
