import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from paddle_wrn.errors import UserError
from paddle_wrn.photos.splitting import archive
from paddle_wrn.photos.splitting.archive import archive_suffix, unpack


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w", **options: str) -> Path:
    with tarfile.open(path, mode, **options) as opened:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def assert_refused(path: Path, sentence: str) -> None:
    """The archive is refused with the sentence, and the folder around it holds what it held before."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(UserError, match=sentence) as caught:
        unpack(path, path.parent / "out")
    assert path.name in str(caught.value)
    assert sorted(path.parent.rglob("*")) == before


MEMBERS = {"egret/1.jpg": b"one" * 1000, "白鹭/张 二.jpg": b"two", "owl/deep/3.jpg": b""}


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.TGZ", "w:gz"),
                                            ("a.tar.bz2", "w:bz2"), ("a.tar.xz", "w:xz")])  # fmt: skip
def test_unpacks_every_kind_of_tar(tmp_path: Path, name: str, mode: str) -> None:
    unpack(make_tar(tmp_path / name, MEMBERS, mode), tmp_path / "out")
    assert tree(tmp_path / "out") == MEMBERS
    assert {p.name for p in tmp_path.iterdir()} == {name, "out"}


def test_unpacks_zip(tmp_path: Path) -> None:
    unpack(make_zip(tmp_path / "a.zip", {**MEMBERS, "empty/": b""}), tmp_path / "out")
    assert tree(tmp_path / "out") == MEMBERS
    assert (tmp_path / "out" / "empty").is_dir()


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.zip", ".zip"),
        ("a.b.tar.gz", ".tar.gz"),
        ("A.TGZ", ".TGZ"),
        ("photos", ""),
        ("a.gz", ""),
        ("a.jpg", ""),
    ],
)
def test_archive_suffix(name: str, suffix: str) -> None:
    assert archive_suffix(Path(name)) == suffix


# Windows' own and most Chinese programs write names in the code page of the system and set no flag.
# 0x5C, a backslash in ASCII, is the second byte of some GBK characters, 乗 among them.
@pytest.mark.parametrize("encoding", ["gbk", "utf-8"])
def test_unflagged_chinese_zip_names(tmp_path: Path, encoding: str) -> None:
    name = "蕉林莺乗/照片 1.jpg"
    placeholder = "x" * len(name.encode(encoding))
    raw = make_zip(tmp_path / "plain.zip", {placeholder: b"photo"}).read_bytes()
    (tmp_path / "a.zip").write_bytes(raw.replace(placeholder.encode(), name.encode(encoding)))
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert tree(tmp_path / "out") == {name: b"photo"}


def test_gbk_tar_names(tmp_path: Path) -> None:
    unpack(make_tar(tmp_path / "a.tar", MEMBERS, encoding="gbk", format=tarfile.GNU_FORMAT), tmp_path / "out")
    assert tree(tmp_path / "out") == MEMBERS


def test_flagged_utf8_is_not_guessed_at(tmp_path: Path) -> None:
    unpack(make_zip(tmp_path / "a.zip", {"é/1.jpg": b"1", "plain/2.jpg": b"2"}), tmp_path / "out")
    assert set(tree(tmp_path / "out")) == {"é/1.jpg", "plain/2.jpg"}


def test_names_of_no_known_encoding_still_unpack(tmp_path: Path) -> None:
    raw = make_zip(tmp_path / "plain.zip", {"xx.jpg": b"photo"}).read_bytes()
    (tmp_path / "a.zip").write_bytes(raw.replace(b"xx.jpg", b"\xff\xfe.jpg"))
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert list(tree(tmp_path / "out").values()) == [b"photo"]


ESCAPING = [
    "../evil.jpg",
    "a/../../evil.jpg",
    "/tmp/evil.jpg",
    "C:/evil.jpg",
    "c:evil.jpg",
    "..\\evil.jpg",
    "a\\b.jpg",
]
NOT_FILES = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)


@pytest.mark.parametrize("name", ESCAPING)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_escaping_members(tmp_path: Path, name: str, make: object) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    path = folder / ("a.zip" if make is make_zip else "a.tar")
    make(path, {"fine/1.jpg": b"1", name: b"evil"})  # type: ignore[operator]
    assert_refused(path, "refused, because its member '.*(outside the folder|no plain path)")
    assert {p.name for p in tmp_path.iterdir()} == {"inner"}


@pytest.mark.parametrize("kind", NOT_FILES)
def test_links_and_devices_in_tar(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as opened:
        info = tarfile.TarInfo("egret/link.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        opened.addfile(info)
    assert_refused(path, "'egret/link.jpg' is a link or a device")


def test_link_in_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("egret/link.jpg")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(info, "/etc/passwd")
    assert_refused(tmp_path / "a.zip", "'egret/link.jpg' is a link or a device")


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_bounds(tmp_path: Path, make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ("a.zip" if make is make_zip else "a.tar")
    make(path, {f"egret/{i}.jpg": bytes(1000) for i in range(5)})  # type: ignore[operator]
    monkeypatch.setattr(archive, "MAX_MEMBERS", 4)
    assert_refused(path, "more than 4 members")
    monkeypatch.setattr(archive, "MAX_MEMBERS", 5)
    monkeypatch.setattr(archive, "MAX_BYTES", 4999)
    assert_refused(path, "more than 4,999 bytes")
    monkeypatch.setattr(archive, "MAX_BYTES", 5000)
    unpack(path, tmp_path / "out")


def test_bytes_are_counted_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_zip(tmp_path / "a.zip", {"egret/1.jpg": bytes(5000)})
    monkeypatch.setattr(archive, "MAX_BYTES", 4999)
    check = archive._check_bounds
    calls: list[int] = []

    def believe_the_header(archive_path: Path, count: int, size: int) -> None:
        calls.append(size)
        if len(calls) > 1:  # the first call is about the header
            check(archive_path, count, size)

    monkeypatch.setattr(archive, "_check_bounds", believe_the_header)
    assert_refused(path, "more than 4,999 bytes")


def test_encrypted_zip(tmp_path: Path) -> None:
    raw = bytearray(make_zip(tmp_path / "plain.zip", {"egret/1.jpg": b"photo"}).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + offset] |= 1
    (tmp_path / "a.zip").write_bytes(raw)
    assert_refused(tmp_path / "a.zip", "protected by a password")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_cut_short(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    noise = {f"egret/{i}.jpg": bytes((i * j * j) % 251 for j in range(3000)) for i in range(4)}
    if name == "a.zip":
        make_zip(path, noise)
    else:
        make_tar(path, noise, "w" if name == "a.tar" else "w:" + name[6:])
    whole = path.read_bytes()
    if name == "a.tar":  # drop the padding, which nobody needs
        whole = whole[: 4 * (512 + 3072)]
    path.write_bytes(whole[: int(share * len(whole))])
    assert_refused(path, r"broken or cut short \(.+\); copy or download it again")


def test_tar_cut_between_two_members(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tar", {"egret/1.jpg": b"1", "egret/2.jpg": b"2"})
    path.write_bytes(path.read_bytes()[:1024])
    assert_refused(path, "its end is missing")


def test_one_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("egret/1.jpg", b"photo")
    path.write_bytes(path.read_bytes().replace(b"photo", b"phoTo"))
    assert_refused(path, "broken or cut short")


def test_name_as_file_and_folder(tmp_path: Path) -> None:
    assert_refused(make_zip(tmp_path / "a.zip", {"egret": b"1", "egret/1.jpg": b"2"}), "broken or cut short")
