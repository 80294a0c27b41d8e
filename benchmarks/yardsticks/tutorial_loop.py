"""The bird tutorial's training, on Paddle as it comes: this process never imports paddle_wrn.

    python -m benchmarks.yardsticks.tutorial_loop train LISTS --epochs 60 --seed 0
    python -m benchmarks.yardsticks.tutorial_loop load LIST --seconds 5      # later epochs of the loader
    python -m benchmarks.yardsticks.tutorial_loop decode LIST                # its first epoch

The tutorial's ways, slow ones included: every photo is read from its file in every epoch, the DataLoader has
no worker processes, and the network is tested in training mode. docs/tutorial_parity.md lists them all. Only
a list's line is split at its last blank, since these photos' folders have blanks in their names.
"""

import argparse
import math
import random
import time
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn
from PIL import Image, ImageOps

from benchmarks.timing import rate, report

SIZE = 32  # pixels
BATCH_SIZE = 32
PRINT_EVERY = 100  # batches


class Birds(paddle.io.Dataset):
    """The photos of a list, read anew whenever one is asked for."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        lines = [line.rsplit(" ", 1) for line in file.read_text(encoding="utf-8").splitlines()]
        self.samples = [(file.parent / path, int(label)) for path, label in lines]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        path, label = self.samples[index]
        image = Image.open(path).convert("RGB")
        scale = SIZE / max(image.size)
        image = image.resize((int(image.width * scale), int(image.height * scale)))
        square = Image.new("RGB", (SIZE, SIZE))
        square.paste(image, ((SIZE - image.width) // 2, (SIZE - image.height) // 2))
        if random.random() < 0.5:
            square = ImageOps.mirror(square)
        if random.random() < 0.5:
            square = ImageOps.flip(square)
        pixels = np.asarray(square, np.float32).transpose(2, 0, 1) / 255
        return (pixels - 0.5) / 0.5, np.array(label, np.int64)


class BasicBlock(nn.Layer):
    """BN-ReLU-conv twice, with a 1 x 1 convolution beside them where the number of channels changes."""

    def __init__(self, in_planes: int, out_planes: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2D(in_planes)
        self.conv1 = nn.Conv2D(in_planes, out_planes, 3, stride, padding=1)
        self.bn2 = nn.BatchNorm2D(out_planes)
        self.conv2 = nn.Conv2D(out_planes, out_planes, 3, padding=1)
        self.shortcut = None if in_planes == out_planes else nn.Conv2D(in_planes, out_planes, 1, stride)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return the block's answer."""
        h = F.relu(self.bn1(x))
        skip = x if self.shortcut is None else self.shortcut(h)
        return skip + self.conv2(F.relu(self.bn2(self.conv1(h))))


class WideResNet(nn.Layer):
    """WRN-28-1 with biases, the tutorial's narrow initialisation and its fixed pool."""

    def __init__(self, num_classes: int, depth: int = 28, widen_factor: int = 1) -> None:
        super().__init__()
        widths = [16, 16 * widen_factor, 32 * widen_factor, 64 * widen_factor]
        layers: list[nn.Layer] = [nn.Conv2D(3, widths[0], 3, padding=1)]
        for group in range(3):
            for block in range((depth - 4) // 6):
                stride = 2 if group and not block else 1
                layers.append(BasicBlock(widths[group + bool(block)], widths[group + 1], stride))
        self.layers = nn.Sequential(*layers)
        self.bn = nn.BatchNorm2D(widths[3])
        self.fc = nn.Linear(widths[3], num_classes)
        for layer in self.sublayers():
            if isinstance(layer, nn.Conv2D):
                out_channels, in_channels, height, _ = layer.weight.shape
                std = math.sqrt(2 / (out_channels * in_channels * height))
                layer.weight.set_value(paddle.normal(0.0, std, layer.weight.shape))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return the logits."""
        x = F.avg_pool2d(F.relu(self.bn(self.layers(x))), 8)
        return self.fc(paddle.flatten(x, 1))


def train(lists: Path, epochs: int, seed: int) -> None:
    """Train and test after every epoch; report the test accuracies, and when each was known."""
    paddle.seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    began = time.perf_counter()
    train_loader = loader_of(lists / "train.txt")
    test_loader = loader_of(lists / "test.txt")
    model = WideResNet(1 + max(label for _, label in train_loader.dataset.samples))
    optimizer = paddle.optimizer.Adam(1e-3, parameters=model.parameters())
    accuracies, moments = [], []
    for epoch in range(epochs):
        for step, (images, labels) in enumerate(train_loader):
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
            accuracy = paddle.metric.accuracy(logits, labels.reshape([-1, 1]))
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            if step % PRINT_EVERY == 0:
                print(epoch, step, loss.item(), accuracy.item())
        accuracies.append(test(model, test_loader))
        moments.append(time.perf_counter() - began)
        print(epoch, accuracies[-1])
    parameters = sum(p.size for p in model.parameters() if not p.stop_gradient)
    report(accuracies=accuracies, moments=moments, parameters=int(parameters))


def test(model: nn.Layer, loader: paddle.io.DataLoader) -> float:
    """Return the mean of the batches' accuracies, the network left in training mode."""
    shares = []
    with paddle.no_grad():
        for images, labels in loader:
            shares.append(paddle.metric.accuracy(model(images), labels.reshape([-1, 1])).item())
    return sum(shares) / len(shares)


def loader_of(file: Path) -> paddle.io.DataLoader:
    """Return the tutorial's loader of a list."""
    return paddle.io.DataLoader(Birds(file), batch_size=BATCH_SIZE, shuffle=True, num_workers=0)


def epoch_of(loader: paddle.io.DataLoader) -> int:
    """Read every batch; return the number of photos."""
    return sum(len(labels) for _, labels in loader)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["train", "load", "decode"])
    parser.add_argument("lists", type=Path)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5)
    given = parser.parse_args()
    if given.what == "train":
        train(given.lists, given.epochs, given.seed)
        return
    loader = loader_of(given.lists)
    if given.what == "load":
        photos = len(loader.dataset)
        report(images_per_second=rate(lambda: epoch_of(loader), photos, given.seconds))
    else:
        began = time.perf_counter()
        photos = epoch_of(loader)
        report(images_per_second=photos / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
