"""Show how gradients travel through plain and residual networks of depth 20 and 56.

    python benchmarks/gradient_norms.py DATA [--seeds 5] [--output docs/images/gradient_norms.png]

DATA is a folder of lists. For each network with fresh weights, the loss of one batch is differentiated, and
the norm of the gradient of every 3 x 3 convolution is noted; medians over seeds. Each network is taken as it
is, and as it would have been before batch normalisation and He's initialisation. Prints a Markdown table and
draws a plot.
"""

import itertools
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from paddle import nn

from paddle_wrn.cli import Parser, command
from paddle_wrn.drawing import plots
from paddle_wrn.models import create_model
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.loading import load_photos, measure_mean_std
from paddle_wrn.photos.preprocessing import Preprocessing

DEPTHS = (20, 56)
NETWORKS = {"plain": "none", "residual": "A"}  # with the shortcut option
ERAS = {
    "now": "batch normalisation, He initialisation",
    "before": "no batch normalisation, variance 1 / fan-in",
}
BATCH_SIZE = 64


def gradient_norms(model: nn.Layer, images: NDArray[np.float32], labels: NDArray[np.int64]) -> list[float]:
    """Return the norm of the loss's gradient at each 3 x 3 convolution, first layer first.

    Args:
        model: a network of `models.resnet`.
        images: (N, 3, H, W).
        labels: (N,).
    """
    F.cross_entropy(model(paddle.to_tensor(images)), paddle.to_tensor(labels)).backward()
    return [
        float(layer.weight.grad.norm().item())
        for layer in model.sublayers()
        if isinstance(layer, nn.Conv2D) and layer.weight.shape[2] == 3
    ]


def age(model: nn.Layer) -> None:
    """Take a network back: no batch normalisation, weights of variance 1 / fan-in, half of He's."""
    for layer in model.sublayers():
        for name, child in list(layer.named_children()):
            if isinstance(child, nn.BatchNorm2D):
                setattr(layer, name, nn.Identity())
            elif isinstance(child, nn.Conv2D):
                child.weight.set_value(child.weight / math.sqrt(2))


def draw(norms: dict[tuple[str, int, str], NDArray[np.float64]]) -> Figure:
    """Draw the norms by layer, one panel an era and depth."""
    figure = plots.new_figure(9.6, 6.4)
    panels = figure.subplots(len(ERAS), len(DEPTHS), sharey="row")
    for row, (era, described) in zip(panels, ERAS.items(), strict=True):
        for axes, depth in zip(row, DEPTHS, strict=True):
            for name, colour in zip(NETWORKS, (plots.ORANGE, plots.BLUE), strict=True):
                values = norms[era, depth, name]
                axes.plot(range(1, len(values) + 1), values, color=colour, label=name)
            axes.set_yscale("log")
            axes.set_title(f"depth {depth}, {described}", fontsize=9)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel("norm of the loss's gradient")
    for axes in panels[-1]:
        axes.set_xlabel("convolution, from the image on")
    panels[0, 0].legend(frameon=False)
    return figure


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = Parser(prog="python benchmarks/gradient_norms.py", description=__doc__.splitlines()[0])
    options.add_argument("data", type=Path, help="folder that split_data wrote")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--output", type=Path, default=Path("gradient_norms.png"))
    given = options.parse_args(argv)
    folder = read_data_folder(given.data)
    photos = load_photos(folder.train, 32)
    mean, std = measure_mean_std(photos.images)
    names = folder.classes.names
    contract = Preprocessing(size=32, mean=mean, std=std, classes=names, display_names=names)
    norms = {}
    print("| network | | first convolution | last convolution | first / last |\n|---|---|---|---|---|")
    for era, depth, name in itertools.product(ERAS, DEPTHS, NETWORKS):
        measured = []
        for seed in range(given.seeds):
            paddle.seed(seed)
            model = create_model(f"resnet{depth}", len(names), shortcut=NETWORKS[name])
            if era == "before":
                age(model)
            chosen = np.random.default_rng(seed).permutation(len(photos))[:BATCH_SIZE]
            images = contract.normalise(photos.images[chosen])
            measured.append(gradient_norms(model, images, photos.labels[chosen]))
        norms[era, depth, name] = np.median(measured, axis=0)
        first, last = norms[era, depth, name][[0, -1]]
        line = f"| {name}, depth {depth} | {ERAS[era]} | {first:.2g} | {last:.2g} | {first / last:.2g} |"
        print(line, flush=True)
    plots.save(draw(norms), given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
