"""What several tests share: a folder of drawn photos, lists of them, and a way to run a command."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageDraw

pytest_plugins = ("tiny_runs", "interruptions")  # fixtures of tests in several folders

# class (a folder): colour; sorted as `split_data` sorts them
CLASSES = {"Blue Disc": (50, 80, 220), "Green": (40, 180, 60), "红 三角": (220, 50, 40)}
PHOTOS_PER_CLASS = 12
SPLITS = {"train": range(8), "val": range(8, 10), "test": range(10, 12)}

# settings of a training that takes a second
TINY: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 8,
    "model.name": "wrn_10_1",
    "model.options": {"strides": [2, 1, 2, 2]},
    "input.size": 16,
    "augment.crop_size": None,
}


class Outcome(NamedTuple):
    """What a command did: its exit code and what it printed."""

    code: int
    out: str
    err: str


RunMain = Callable[..., Outcome]


def draw_photo(label: int, rng: np.random.Generator) -> Image.Image:
    """Draw a disc, a square or a triangle in the colour of its class on dark noise; sides 24 to 64 px."""
    width, height = rng.integers(24, 65, 2).tolist()
    noise = rng.integers(0, 60, (height, width, 3), np.uint8)
    photo = Image.fromarray(noise)
    side = min(width, height) * rng.uniform(0.5, 0.9)
    left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
    box = (left, top, left + side, top + side)
    colour = tuple(list(CLASSES.values())[label])
    draw = ImageDraw.Draw(photo)
    if label == 0:
        draw.ellipse(box, fill=colour)
    elif label == 1:
        draw.rectangle(box, fill=colour)
    else:
        draw.polygon([(left + side / 2, top), (left, top + side), (left + side, top + side)], fill=colour)
    return photo


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests put into the user's cache folder apart from what is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 3 x 12 photos, one folder a class; tests only read it."""
    folder = tmp_path_factory.mktemp("birds") / "photos"
    rng = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(PHOTOS_PER_CLASS):
            draw_photo(label, rng).save(folder / name / f"{name} {number:02}.jpg", quality=90)
    return folder


@pytest.fixture(scope="session")
def data_folder(photo_folder: Path) -> Path:
    """Return a folder with the lists of `photo_folder`: 8 train, 2 val and 2 test photos a class."""
    folder = photo_folder.parent / "lists"
    folder.mkdir()
    for split, numbers in SPLITS.items():
        lines = [
            f"../photos/{name}/{name} {number:02}.jpg {label}\n"
            for label, name in enumerate(CLASSES)
            for number in numbers
        ]
        (folder / f"{split}.txt").write_text("".join(lines), encoding="utf-8")
    (folder / "classes.txt").write_text("Blue Disc\t蓝圆\nGreen\n红 三角\tRed Triangle\n", encoding="utf-8")
    return folder


@pytest.fixture
def run_main(capsys: pytest.CaptureFixture[str]) -> RunMain:
    """Return `run_main(main, *args, errors=1)`, which runs a command's `main` as the shell would.

    A user error (exit code 2) must be exactly `errors` lines on stderr, each one `error: ...`; whatever
    happens, there is no traceback.
    """

    def run(main: Callable[[Sequence[str]], int], *args: object, errors: int = 1) -> Outcome:
        capsys.readouterr()
        try:
            code = main([str(arg) for arg in args])
        except SystemExit as end:  # --help
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        if code == 2:
            lines = err.splitlines()
            assert len(lines) == errors, err
            assert all(line.startswith("error: ") for line in lines), err
        return Outcome(code, out, err)

    return run


@pytest.fixture
def font_settings() -> Iterator[None]:
    """Put matplotlib's fonts back after a test."""
    from matplotlib import rcParams

    before = rcParams["font.family"]
    yield
    rcParams["font.family"] = before


@pytest.fixture(params=[None, "DejaVu Sans"])
def any_font(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, font_settings: None
) -> str | None:
    """Pretend that a Chinese font is missing, or there."""
    monkeypatch.setattr("paddle_wrn.drawing.plots.cjk_font", lambda: request.param)
    return request.param


@pytest.fixture(scope="session")
def trained(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run with the settings `TINY`; tests only read it."""
    from paddle_wrn.training.session import train  # only now: importing Paddle takes seconds

    run = tmp_path_factory.mktemp("trained") / "run"
    train(data=data_folder, output=run, settings=TINY)
    return run


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Let Paddle compute with two threads."""
    import paddle

    before = paddle.get_flags("FLAGS_paddle_num_threads")
    paddle.set_flags({"FLAGS_paddle_num_threads": 2})
    yield
    paddle.set_flags(before)


@pytest.fixture
def needs_onednn(request: pytest.FixtureRequest) -> None:
    """Skip a test where there is no oneDNN, unless it is marked as one `without_onednn`."""
    from paddle_wrn import native
    from paddle_wrn.native import onednn, tape

    if "without_onednn" in request.keywords:
        return
    try:
        native._library()
    except (tape.UnsupportedError, onednn.OneDNNError, OSError) as obstacle:
        pytest.skip(str(obstacle))
