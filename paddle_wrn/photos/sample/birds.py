"""The birds: four species with their field marks, the poses they take, and how one is drawn.

`draw_bird` puts a bird together in its own coordinates from the parts listed in SPECIES, back to front, and
paints it on a transparent layer; `modelled` makes it round. Species and field marks are changed in SPECIES
only. Poses are chosen in the same way for all, so they tell nothing about the species.

After a change here which makes other pictures, raise VERSION in make_sample_birds.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageOps

from paddle_wrn.photos.sample.parts import (
    LEAF,
    STICK,
    Part,
    Rng,
    Size,
    along,
    blurred,
    disc,
    mark,
    paint,
    placed,
    shaded,
    shape,
    smooth,
    soft_noise,
    turned,
    with_brightness,
)

STANCES = ("perched", "ground", "water", "flying")

# Outlines of feathers and wings, to be laid along a line like those in parts.py.
FEATHER = ((0, 0.3), (0.8, 0.55), (1, 0.1), (1, -0.1), (0.85, -0.45), (0, -0.3))
FEATHER_TIP = ((0.88, -2), (0.88, 2), (1.1, 2), (1.1, -2))
FOLDED_WING = ((0, 0), (0.03, 0.5), (0.35, 0.75), (0.7, 0.4), (1, 0), (1, 0), (0.6, -0.22), (0.2, -0.25))
FOLDED_COVERTS = ((-0.1, -1), (-0.1, 1), (0.25, 1), (0.4, -1))
FOLDED_EDGE = ((0.3, 0.62), (0.3, 0.62), (0.62, 0.45), (1, 0), (1, 0), (0.6, 0.34))
# The arm of a spread wing: (share of the span, share of the chord).
ARM = ((0, -0.1), (0.4, -0.16), (0.62, -0.12), (0.97, 0.1), (0.6, 0.4), (0.3, 0.5), (0, 0.55))
FEATHERS_PER_WING = 11


class Wing(NamedTuple):
    """A wing: its colours, where it lies on the body when folded, and its reach when spread."""

    colour: str
    edge_colour: str
    trailing_colour: str
    shoulder: tuple[float, float]
    tip: tuple[float, float]
    depth: float
    span: float
    chord: float


class Species(NamedTuple):
    """A species from its right side, in hundredths of a body: x runs to the bill, y down.

    The outlines of the head, and the eye, are measured from the middle of the head.
    """

    display_name: str
    tail: Sequence[Part]
    body: Sequence[Part]
    head_at: tuple[float, float]
    head: Sequence[Part]
    eye_at: tuple[float, float]
    iris: str
    wing: Wing
    leg_colour: str
    leg_length: float


class Pose(NamedTuple):
    """How the bird holds itself: angles in degrees, upwards; the rest are shares."""

    stance: str
    body_angle: float
    head_angle: float
    head_turn: float  # 1 looks ahead, -1 looks back over the shoulder
    wing_lift: float  # 1 straight up, -1 straight down
    wing_lean: float  # towards the bill


class BirdLayer(NamedTuple):
    """A drawn bird on nothing, cut to its outline, and the point in it where it stands, in pixels."""

    image: Image.Image
    feet: np.ndarray


SPECIES = {
    "Bananaquit": Species(
        display_name="蕉林莺",
        tail=(
            shape("#3b3a40", "-36,-8 -70,-2 -98,8 -98,8 -96,19 -96,19 -70,14 -36,12"),
            mark("#e8e6e0", "-90,10 -100,4 -100,22 -91,20"),
        ),
        body=(
            shape("#48474d", "62,-38 30,-44 -6,-34 -44,-14 -62,0 -50,16 -18,33 22,34 50,18 64,-10"),
            mark("#f2c91c", "70,-14 44,-6 14,4 -20,2 -44,-6 -58,-16 -70,0 -60,22 -20,44 30,44 66,20"),
            mark("#f7df6a", "40,12 10,20 -20,18 -10,28 24,28"),
            mark("#8d8c90", "72,-40 40,-34 36,-14 50,-4 72,-8"),
        ),
        head_at=(42, -25),
        head=(
            shape("#3c3b41", "22,-4 17,-18 0,-23 -18,-18 -24,0 -18,17 0,22 17,15"),
            mark("#96959a", "26,2 6,3 -10,8 -22,20 0,30 26,24"),
            mark("#fbfaf5", "22,-10 12,-13 -4,-14 -26,-6 -26,2 -8,-5 10,-6 22,-5"),
            shape("#1d1c20", "15,-5 26,-5 36,2 41,12 41,12 33,6 25,3 15,4"),
            shape("#d8697a", "15,3 19,3 20,6 16,7"),
        ),
        eye_at=(8, -3),
        iris="#2a1a14",
        wing=Wing("#35343a", "#5b5a61", "#8a898e", (24, -22), (-62, 2), 34, 112, 62),
        leg_colour="#4a4a50",
        leg_length=22,
    ),
    "Black Skimmer": Species(
        display_name="黑剪嘴鸥",
        tail=(shape("#f1f0ec", "-50,-8 -84,-2 -106,6 -106,6 -92,8 -100,14 -100,14 -50,12"),),
        body=(
            shape("#f6f5f1", "66,-34 34,-38 -14,-28 -60,-10 -84,2 -60,14 -14,25 28,25 56,8 68,-14"),
            mark("#1b1b1f", "40,-60 36,-22 20,-10 -30,-2 -96,4 -96,-60"),
        ),
        head_at=(48, -23),
        head=(
            shape("#f6f5f1", "24,-2 18,-15 0,-20 -18,-16 -26,2 -16,16 0,18 18,13"),
            mark("#17171b", "19,-3 17,-30 -30,-30 -40,24 -18,13 -2,3"),
            shape("#c92a1b", "16,1 30,5 48,10 48,14 30,13 15,10"),
            shape("#17171b", "45,9 64,14 82,21 82,21 64,18 45,14"),
            shape("#e33a22", "17,-7 30,-5 46,1 46,5 30,5 16,5"),
            shape("#17171b", "43,0 56,4 66,9 66,9 54,8 43,5"),
        ),
        eye_at=(8, -4),
        iris="#3a2418",
        wing=Wing("#1d1d21", "#3a3a40", "#f2f1ed", (26, -20), (-112, 4), 30, 185, 52),
        leg_colour="#d8402c",
        leg_length=16,
    ),
    "Black Throated Bushtit": Species(
        display_name="黑喉树莺",
        tail=(
            shape("#6d7280", "-26,-8 -80,0 -122,10 -124,18 -118,22 -80,15 -26,12"),
            mark("#eceae6", "-60,10 -124,18 -124,26 -60,18"),
        ),
        body=(
            shape("#8e94a2", "58,-44 22,-48 -14,-36 -40,-12 -46,6 -34,24 -6,40 26,40 50,24 60,-6"),
            mark("#f1e7da", "70,-20 40,-4 10,4 -30,8 -50,10 -40,50 40,50 70,30"),
            mark("#c4672a", "70,-14 44,-4 18,2 -24,5 -36,22 -10,26 12,19 28,25 48,22 70,10"),
        ),
        head_at=(32, -28),
        head=(
            shape("#f8f5ee", "27,-2 20,-20 0,-28 -20,-21 -28,0 -20,20 0,26 20,19"),
            mark("#d06a26", "30,-8 14,-11 -8,-10 -40,2 -40,-40 30,-40"),
            mark("#18181c", "30,-7 14,-11 -8,-10 -34,0 -34,16 -14,9 6,4 30,2"),
            mark("#18181c", "22,12 8,10 0,18 6,30 22,28"),
            shape("#1a1a1e", "22,-5 29,-3 36,2 36,2 29,4 22,5"),
        ),
        eye_at=(10, -4),
        iris="#f0dc6c",
        wing=Wing("#6f7584", "#9aa0ad", "#565b68", (18, -24), (-54, 6), 34, 104, 62),
        leg_colour="#c98a5a",
        leg_length=24,
    ),
    "Cockatoo": Species(
        display_name="凤头鹦鹉",
        tail=(
            shape("#efede6", "-40,-8 -84,6 -112,16 -116,26 -108,32 -84,28 -40,18"),
            mark("#f3e6a0", "-40,18 -84,22 -112,26 -112,36 -40,26"),
        ),
        body=(
            shape("#f7f5ef", "62,-48 28,-50 -10,-38 -48,-14 -70,6 -54,22 -16,37 26,37 54,20 64,-14"),
            mark("#e2dfd8", "40,20 10,24 -30,20 -60,12 -60,40 20,50"),
        ),
        head_at=(40, -34),
        head=(
            shape("#e9bf10", "2,-16 -20,-34 -40,-42 -58,-56 -58,-56 -40,-20 -14,-6"),
            shape("#f6d62e", "8,-16 -14,-40 -32,-52 -42,-72 -42,-72 -22,-26 -8,-10"),
            shape("#efc817", "12,-14 -6,-42 -18,-56 -20,-78 -20,-78 -2,-36 0,-10"),
            shape("#f8de48", "17,-10 4,-38 -4,-48 -1,-66 -1,-66 14,-36 12,-10"),
            shape("#f8f6f1", "25,-4 18,-19 0,-25 -18,-20 -26,0 -19,18 0,23 18,17"),
            mark("#f3e9b8", "4,4 -4,0 -12,6 -8,14 2,12"),
            shape("#4a4a50", "17,6 26,6 27,14 21,18 16,14"),
            shape("#303036", "15,-10 25,-12 34,-4 35,10 30,20 30,20 27,9 16,8"),
        ),
        eye_at=(8, -4),
        iris="#1c1614",
        wing=Wing("#f0eee8", "#d8d5cd", "#f5e7a6", (22, -28), (-72, 10), 42, 140, 84),
        leg_colour="#5a5a60",
        leg_length=16,
    ),
}
DISPLAY_NAMES = {name: species.display_name for name, species in SPECIES.items()}


def random_pose(rng: Rng) -> Pose:
    """Choose a pose, in the same way for every species."""
    stance = str(rng.choice(STANCES, p=(0.4, 0.2, 0.15, 0.25)))
    low, high = {"perched": (5, 45), "ground": (-5, 22), "water": (-2, 15), "flying": (-18, 28)}[stance]
    body_angle = rng.uniform(low, high)
    head_turn = -0.9 if rng.random() < 0.1 else rng.uniform(0.75, 1.0)
    head_angle = 0.25 * body_angle + rng.normal(0, 8)
    wing_lift = rng.choice((-1, 1), p=(0.35, 0.65)) * rng.uniform(0.45, 1.0)
    return Pose(stance, body_angle, head_angle, head_turn, wing_lift, wing_lean=rng.uniform(-0.4, 0.2))


def folded_wing(wing: Wing) -> list[Part]:
    """Draw a wing laid on the flank: paler coverts in front, long feathers which run to its tip."""

    def on_wing(outline: ArrayLike) -> np.ndarray:
        return along(wing.shoulder, wing.tip, wing.depth, outline)

    feather_roots = on_wing([(0.30, 0.5), (0.27, 0.3), (0.24, 0.1), (0.21, -0.1)])
    return [
        Part(wing.colour, on_wing(FOLDED_WING)),
        Part(shaded(wing.edge_colour, 0.92), on_wing(FOLDED_COVERTS), mark=True),
        *(Part(wing.edge_colour, along(root, wing.tip, 2.4, LEAF), mark=True) for root in feather_roots),
        Part(wing.trailing_colour, on_wing(FOLDED_EDGE), mark=True),
    ]


def spread_wing(wing: Wing, lift: float, lean: float, light: float) -> list[Part]:
    """Draw an open wing: a fan of feathers from the inside outwards, and over them the arm."""
    colour, edge_colour, trailing_colour = (shaded(colour, light) for colour in wing[:3])
    extent, width = np.array([wing.span, wing.chord]), 1.9 * wing.span / FEATHERS_PER_WING
    parts = []
    for t in np.linspace(0, 1, FEATHERS_PER_WING):
        root, tip = extent * (0.05 + 0.6 * t, 0.2), extent * (0.1 + 0.9 * t, 1 - 0.9 * t**2.5)
        parts.append(Part(shaded(colour, 1 + 0.1 * math.cos(9 * t)), along(root, tip, width, FEATHER)))
        parts.append(Part(trailing_colour, along(root, tip, width, FEATHER_TIP), mark=True))
        parts.append(Part(edge_colour, along(root, tip, 1.6, LEAF), mark=True))
    parts.append(Part(colour, np.array(ARM) * extent))
    parts.append(Part(edge_colour, np.array(ARM) * extent * (0.9, 0.45), mark=True))
    return placed(parts, np.array([[lean, -1], [-lift, 0.12]]), wing.shoulder)


def legs(colour: str, length: float, hip: np.ndarray) -> list[Part]:
    """Draw two legs with three toes each, straight down from the hip."""
    parts = []
    for step, light in ((9, 0.75), (-3, 1.0)):
        foot = np.add(hip, (step, length))
        outlines = [along(np.add(hip, (step / 2, 0)), foot, 4.5, STICK)]
        outlines += [along(foot, np.add(foot, toe), 4, STICK) for toe in ((11, 2), (7, 4), (-7, 2))]
        parts += [Part(shaded(colour, light), outline) for outline in outlines]
    return parts


def open_eye(at: ArrayLike, iris: str) -> list[Part]:
    """Draw an eye with a glint."""
    glint_at = np.add(at, (1.2, -1.4))
    return [Part(iris, disc(at, 4.4)), Part("#0c0b0d", disc(at, 2.9)), Part("#ffffff", disc(glint_at, 1.2))]


def bird_parts(species: Species, pose: Pose) -> tuple[list[Part], np.ndarray]:
    """Put a bird together, back to front, and return it with the point where it stands."""
    body_turn = turned(pose.body_angle)
    hip = body_turn @ (-6, 22)
    parts: list[Part] = []
    if pose.stance == "flying":
        far_wing = spread_wing(species.wing, 0.9 * pose.wing_lift, pose.wing_lean + 0.35, 0.78)
        wing = spread_wing(species.wing, pose.wing_lift, pose.wing_lean, 1.0)
        parts += placed(far_wing, body_turn)
    else:
        wing = folded_wing(species.wing)
    if pose.stance in ("perched", "ground"):
        parts += legs(species.leg_colour, species.leg_length, hip)
    parts += placed([*species.tail, *species.body, *wing], body_turn)
    head_turn = turned(pose.head_angle) @ np.diag([pose.head_turn, 1])
    head = [*species.head, *open_eye(species.eye_at, species.iris)]
    parts += placed(head, head_turn, body_turn @ species.head_at)
    depth = 4 if pose.stance == "water" else species.leg_length
    return parts, np.add(hip, (0, depth))


def draw_bird(species: Species, pose: Pose, long_side_px: float, room: Size) -> BirdLayer:
    """Draw a bird on nothing, its longer side as long as asked unless it would outgrow its room."""
    parts, feet = bird_parts(species, pose)
    outline = np.concatenate([smooth(part.points) for part in parts if not part.mark])
    low, high = outline.min(axis=0), outline.max(axis=0)
    scale = min(long_side_px / (high - low).max(), *(room / (high - low)))
    width, height = (math.ceil(side) for side in (high - low) * scale)
    image = paint(placed(parts, np.eye(2) * scale, -low * scale), (width, height))
    return BirdLayer(image, (feet - low) * scale)


def modelled(bird: Image.Image, rng: Rng) -> Image.Image:
    """Make a flat bird round and soft: light from above and one side, barbs, a little paler or darker."""
    radius = max(bird.size) / 14
    margin = math.ceil(2 * radius)
    alpha = ImageOps.expand(bird.getchannel("A"), margin)
    inner = blurred(alpha, radius).crop((margin, margin, margin + bird.size[0], margin + bird.size[1]))
    down, right = np.gradient(np.asarray(inner).astype(np.float32) * radius / 100)
    relief = down + rng.uniform(-0.6, 0.6) * right
    barbs = 0.035 * soft_noise(rng, bird.size, 2) + 0.04 * soft_noise(rng, bird.size, radius)
    return with_brightness(bird, rng.uniform(0.85, 1.05) * np.clip(1 + 0.35 * relief, 0.6, 1.3) + barbs)
