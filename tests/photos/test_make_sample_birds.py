"""Tests of the drawn sample birds: the same pictures each time, of birds which look like their species."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import RidgeClassifier

from data_tools.make_sample_birds import main
from paddle_wrn.errors import UserError
from paddle_wrn.photos.preprocessing import read_image, resize_and_pad
from paddle_wrn.photos.sample import birds
from paddle_wrn.photos.sample import drawing as sampler
from paddle_wrn.photos.sample.drawing import make_sample_birds
from paddle_wrn.photos.sample.parts import smooth

SPECIES = ["Bananaquit", "Black Skimmer", "Black Throated Bushtit", "Cockatoo"]
STANDING = birds.Pose("ground", body_angle=8, head_angle=0, head_turn=1, wing_lift=0, wing_lean=0)
FLYING = STANDING._replace(stance="flying", wing_lift=0.9)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sample with two pictures of each species; tests only read it."""
    return make_sample_birds(tmp_path_factory.mktemp("sample") / "photos", per_species=2, seed=3)


@pytest.fixture
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every attempt to draw a picture fail the test."""

    def refuse(name: str, index: int, seed: int) -> None:
        pytest.fail(f"drew {name} {index} with seed {seed}")

    monkeypatch.setattr(sampler, "draw_picture", refuse)


def test_same_seed_gives_same_bytes_of_every_file(sample: Path, tmp_path: Path) -> None:
    again = make_sample_birds(tmp_path / "photos", per_species=2, seed=3)

    assert contents(again) == contents(sample)


def test_same_bytes_in_another_process_with_another_hash_seed_and_without_loading_paddle(
    sample: Path,
) -> None:
    script = (
        "import hashlib, io, sys; from paddle_wrn.photos.sample.drawing import draw_picture\n"
        "picture, quality = draw_picture('Cockatoo', 1, 3); file = io.BytesIO()\n"
        "picture.save(file, 'JPEG', quality=quality); print(hashlib.sha256(file.getvalue()).hexdigest())\n"
        "print('paddle' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    )

    expected = hashlib.sha256((sample / "Cockatoo" / "cockatoo_001.jpg").read_bytes()).hexdigest()
    assert run.stdout.split() == [expected, "False"]


def test_other_seed_gives_other_pictures(sample: Path, tmp_path: Path) -> None:
    other = contents(make_sample_birds(tmp_path / "photos", per_species=1, seed=4))

    pictures = {path: data for path, data in contents(sample).items() if path.endswith("_000.jpg")}
    assert len(pictures) == 4
    assert all(other[path] != data for path, data in pictures.items())


def test_picture_does_not_depend_on_how_many_are_drawn(sample: Path, tmp_path: Path) -> None:
    fewer = contents(make_sample_birds(tmp_path / "photos", per_species=1, seed=3))

    pictures = {path: data for path, data in fewer.items() if path.endswith(".jpg")}
    assert len(pictures) == 4
    assert pictures.items() <= contents(sample).items()


def test_no_two_pictures_are_alike(sample: Path) -> None:
    pictures = [data for path, data in contents(sample).items() if path.endswith(".jpg")]

    assert len(set(pictures)) == len(pictures) == 8


def test_folders_files_and_names(sample: Path) -> None:
    assert sorted(contents(sample)) == sorted(
        [
            *("display_names.txt", "sample.json"),
            *("Bananaquit/bananaquit_000.jpg", "Bananaquit/bananaquit_001.jpg"),
            *("Black Skimmer/black_skimmer_000.jpg", "Black Skimmer/black_skimmer_001.jpg"),
            "Black Throated Bushtit/black_throated_bushtit_000.jpg",
            "Black Throated Bushtit/black_throated_bushtit_001.jpg",
            *("Cockatoo/cockatoo_000.jpg", "Cockatoo/cockatoo_001.jpg"),
        ]
    )
    assert (sample / "display_names.txt").read_text(encoding="utf-8") == (
        "Bananaquit\t蕉林莺\nBlack Skimmer\t黑剪嘴鸥\nBlack Throated Bushtit\t黑喉树莺\nCockatoo\t凤头鹦鹉\n"
    )
    assert list(sampler.DISPLAY_NAMES) == SPECIES


def test_files_are_jpeg_of_the_stated_sizes(sample: Path) -> None:
    for path in sample.rglob("*.jpg"):
        with Image.open(path) as picture:
            picture.load()
            assert (picture.format, picture.mode) == ("JPEG", "RGB")
            assert 160 <= min(picture.size) <= max(picture.size) <= 320


def test_sizes_and_aspect_ratios_vary_within_their_limits() -> None:
    sizes = [sampler.picture_size(np.random.default_rng(seed)) for seed in range(300)]

    assert min(min(size) for size in sizes) >= 160
    assert 300 <= max(max(size) for size in sizes) <= 320
    assert len(set(sizes)) > 50
    ratios = [width / height for width, height in sizes]
    assert min(ratios) == pytest.approx(2 / 3, abs=0.01)
    assert max(ratios) == pytest.approx(16 / 9, abs=0.01)
    assert {round(ratio, 1) for ratio in ratios} == {0.7, 0.8, 1.0, 1.2, 1.3, 1.5, 1.8}


def test_poses_vary() -> None:
    poses = [birds.random_pose(np.random.default_rng(seed)) for seed in range(200)]

    assert {pose.stance for pose in poses} == {"perched", "ground", "water", "flying"}
    assert min(pose.head_turn for pose in poses) < 0 < max(pose.head_turn for pose in poses)
    assert np.ptp([pose.body_angle for pose in poses]) > 40


@pytest.mark.usefixtures("no_drawing")
def test_same_settings_return_at_once(sample: Path) -> None:
    before = contents(sample)

    assert make_sample_birds(sample, per_species=2, seed=3) == sample
    assert contents(sample) == before


@pytest.mark.usefixtures("no_drawing")
@pytest.mark.parametrize(("per_species", "seed"), [(1, 3), (2, 4)])
def test_sample_with_other_settings_is_refused(sample: Path, per_species: int, seed: int) -> None:
    before = contents(sample)

    with pytest.raises(UserError, match="holds something other than these sample birds"):
        make_sample_birds(sample, per_species, seed)
    assert contents(sample) == before


@pytest.mark.usefixtures("no_drawing")
def test_sample_of_an_older_version_is_refused(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "VERSION", sampler.VERSION + 1)

    with pytest.raises(UserError, match="holds something other"):
        make_sample_birds(sample, per_species=2, seed=3)


@pytest.mark.parametrize("change", ["a file more", "a file less"])
def test_changed_sample_is_refused(tmp_path: Path, change: str) -> None:
    folder = make_sample_birds(tmp_path / "photos", per_species=1)
    if change == "a file more":
        (folder / "Cockatoo" / "mine.jpg").write_bytes(b"")
    else:
        (folder / "Cockatoo" / "cockatoo_000.jpg").unlink()
    before = contents(folder)

    with pytest.raises(UserError, match="holds something other"):
        make_sample_birds(folder, per_species=1)
    assert contents(folder) == before


def test_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").write_text("mine")

    with pytest.raises(UserError, match="holds something other"):
        make_sample_birds(tmp_path / "photos", per_species=1)
    assert (tmp_path / "photos").read_text() == "mine"


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    make_sample_birds(tmp_path, per_species=1)

    assert len(list(tmp_path.glob("*/*.jpg"))) == 4


@pytest.mark.parametrize("same", [True, False])
def test_folder_filled_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    target = tmp_path / "photos"
    draw = sampler.write_sample

    def draw_twice(folder: Path, settings: dict[str, int]) -> None:
        draw(folder, settings)
        draw(target, settings if same else settings | {"seed": 1})

    monkeypatch.setattr(sampler, "write_sample", draw_twice)
    if same:
        assert make_sample_birds(target, per_species=1) == target
    else:
        with pytest.raises(OSError, match="photos"):
            make_sample_birds(target, per_species=1)
    assert len(list(target.glob("*/*.jpg"))) == 4
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
def test_interrupted_run_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    drawn: list[tuple[str, int]] = []

    def draw_two_and_stop(name: str, index: int, seed: int) -> tuple[Image.Image, int]:
        if len(drawn) == 2:
            raise stop
        drawn.append((name, index))
        return Image.new("RGB", (8, 8)), 80

    monkeypatch.setattr(sampler, "draw_picture", draw_two_and_stop)
    with pytest.raises(stop):
        make_sample_birds(tmp_path / "photos")
    assert len(drawn) == 2
    assert list(tmp_path.iterdir()) == []


def test_command_makes_a_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output", str(tmp_path / "photos"), "--per-species", "1", "--seed", "3"]) == 0

    assert len(list(tmp_path.glob("photos/*/*_000.jpg"))) == 4
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.usefixtures("no_drawing")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--per-species", "0"], "pictures of each species: found 0; at least 1 is needed"),
        (["--per-species", "many"], "invalid int value: 'many'"),
        (["--seed", "-1"], "seed: found -1; it must be 0 or more"),
        (["--colour", "red"], "unrecognized arguments: --colour red"),
        (["--output", "."], "holds something other than these sample birds"),
        (["--output", "mine.txt/photos"], "mine.txt"),
    ],
)
def test_bad_arguments_exit_with_2_and_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.txt").write_text("mine")

    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1
    assert list(contents(tmp_path)) == ["mine.txt"]


class Layer:
    """A bird on nothing, with masks of its colours; shares are of the bird's own pixels."""

    def __init__(self, name: str, pose: birds.Pose = STANDING) -> None:
        """Draw a bird which looks to the right."""
        image = birds.draw_bird(birds.SPECIES[name], pose, long_side_px=240, room=(300, 300)).image
        red, green, blue, alpha = np.moveaxis(np.asarray(image).astype(int), 2, 0)
        self.bird = alpha > 200
        self.dark = self.bird & (np.maximum(red, np.maximum(green, blue)) < 100)
        self.white = self.bird & (np.minimum(red, np.minimum(green, blue)) > 200)
        self.yellow = self.bird & (red > 200) & (green > 150) & (blue < 120)
        self.red = self.bird & (red > 180) & (green < 90) & (blue < 80)
        self.rufous = self.bird & (abs(red - 188) < 30) & (abs(green - 98) < 30) & (blue < 90)
        self.height, self.width = self.bird.shape

    def share(self, mask: np.ndarray, rows: tuple[float, float] = (0, 1)) -> float:
        """Return how much of the bird between two heights (0 is the top) a mask covers."""
        band = slice(round(rows[0] * self.height), round(rows[1] * self.height))
        return float(mask[band].sum() / self.bird[band].sum())

    def middle(self, mask: np.ndarray) -> tuple[float, float]:
        """Return the middle of a mask as shares of width and height, from the upper left."""
        y, x = np.nonzero(mask)
        return x.mean() / self.width, y.mean() / self.height


def test_bananaquit_is_dark_above_and_yellow_below_with_a_white_eyebrow() -> None:
    layer = Layer("Bananaquit")

    assert layer.share(layer.dark, rows=(0, 0.4)) > 0.6
    assert layer.share(layer.yellow, rows=(0, 0.3)) < 0.02
    assert layer.share(layer.yellow, rows=(0.5, 1)) > 0.5
    eyebrow = layer.white[: layer.height // 2, layer.width // 2 :]
    assert 0.02 < eyebrow.sum() / layer.bird.sum() < 0.08
    assert layer.share(layer.red) < 0.01


def test_black_skimmer_is_black_above_white_below_with_a_red_bill_and_legs() -> None:
    layer = Layer("Black Skimmer")

    assert layer.middle(layer.dark)[1] < layer.middle(layer.white)[1]
    assert layer.share(layer.dark) > 0.3
    assert layer.share(layer.white) > 0.2
    bill, legs = layer.red[:, layer.width * 7 // 10 :], layer.red[layer.height * 3 // 4 :]
    assert bill.sum() > 200
    assert legs.sum() > 100
    assert bill.sum() + legs.sum() == layer.red.sum()
    assert layer.share(layer.yellow) < 0.01


def test_black_skimmer_bill_ends_black_and_its_lower_half_is_longer() -> None:
    layer = Layer("Black Skimmer")

    red_bill, tip = layer.red[:, layer.width * 7 // 10 :], layer.bird[:, -layer.width // 20 :]
    assert tip.sum() > 10
    assert not layer.red[:, -layer.width // 20 :].any()
    assert np.nonzero(tip)[0].min() > np.nonzero(red_bill)[0].max()


def test_bushtit_has_a_rufous_cap_over_a_black_mask_and_a_breast_band() -> None:
    layer = Layer("Black Throated Bushtit")

    cap, mask = layer.rufous[: layer.height // 3], layer.dark[: layer.height // 3]
    assert layer.share(layer.rufous, rows=(0, 0.15)) > 0.8
    assert cap.sum() > 500
    assert mask.sum() > 900
    assert np.nonzero(cap)[0].mean() < np.nonzero(mask)[0].mean()
    assert layer.rufous[layer.height // 2 : layer.height * 9 // 10].sum() > 500


def test_bushtit_has_a_black_bib_on_a_white_chin() -> None:
    layer = Layer("Black Throated Bushtit")

    chin = np.s_[layer.height * 35 // 100 : layer.height * 45 // 100, layer.width * 2 // 3 :]
    assert layer.white[chin].sum() > 400
    assert layer.dark[chin].sum() > 150


def test_bushtit_tail_is_long_and_its_body_round() -> None:
    layer = Layer("Black Throated Bushtit")

    depth = layer.bird.sum(axis=0)
    assert depth[: layer.width * 3 // 10].max() < 0.25 * depth.max()
    assert depth.max() > 0.5 * layer.width * 0.8


def test_cockatoo_is_white_with_a_yellow_crest_and_a_dark_bill() -> None:
    layer = Layer("Cockatoo")

    assert layer.share(layer.white) > 0.6
    assert layer.share(layer.yellow, rows=(0, 0.2)) > 0.8
    assert layer.share(layer.yellow) > 0.12
    assert layer.share(layer.yellow, rows=(0.5, 1)) < 0.02
    assert layer.middle(layer.dark)[0] > 0.8
    assert layer.share(layer.dark) > 0.02


@pytest.mark.parametrize("name", SPECIES)
def test_flying_bird_spreads_its_wings_above_its_back(name: str) -> None:
    flying, standing = Layer(name, FLYING), Layer(name)

    assert flying.height / flying.width > 1.15 * standing.height / standing.width


@pytest.mark.parametrize("name", SPECIES)
@pytest.mark.parametrize("stance", birds.STANCES)
def test_bird_fills_its_layer_and_stands_in_it(name: str, stance: str) -> None:
    pose = STANDING._replace(stance=stance, body_angle=25, wing_lift=-0.7)
    layer = birds.draw_bird(birds.SPECIES[name], pose, long_side_px=120, room=(300, 300))

    assert max(layer.image.size) == pytest.approx(120, abs=1)
    left, top, right, bottom = layer.image.getchannel("A").getbbox() or (0, 0, 0, 0)
    assert left <= 2
    assert top <= 2
    assert right >= layer.image.width - 2
    assert bottom >= layer.image.height - 2
    assert 0 < layer.feet[0] < layer.image.width
    assert layer.image.height / 2 < layer.feet[1] <= layer.image.height


def test_bird_does_not_outgrow_its_room() -> None:
    layer = birds.draw_bird(birds.SPECIES["Cockatoo"], STANDING, long_side_px=500, room=(200, 90))

    assert layer.image.height == pytest.approx(90, abs=1)
    assert layer.image.width <= 200


def test_smooth_rounds_single_corners_and_keeps_double_ones() -> None:
    outline = smooth(np.array([(0, 0), (0, 0), (1, 0), (1, 1), (0, 1)], float))

    assert np.linalg.norm(outline - (0, 0), axis=1).min() == 0
    assert np.linalg.norm(outline - (1, 1), axis=1).min() > 0.15


def test_a_linear_classifier_on_pixels_fails(tmp_path: Path) -> None:
    folder = make_sample_birds(tmp_path / "birds", per_species=50)
    files = sorted(folder.glob("*/*.jpg"))
    pixels = np.stack([np.asarray(resize_and_pad(read_image(file), 32)) for file in files])
    species = np.array([file.parent.name for file in files])
    order = np.random.default_rng(0).permutation(len(files))
    train, test = order[:140], order[140:]
    classifier = RidgeClassifier(alpha=100.0)
    classifier.fit(pixels[train].reshape(140, -1) / 255, species[train])
    right = classifier.predict(pixels[test].reshape(60, -1) / 255) == species[test]
    assert right.mean() < 0.6  # guessing is right in a quarter
