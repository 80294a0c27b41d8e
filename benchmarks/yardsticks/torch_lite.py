"""EfficientNet-Lite0 in PyTorch, on the processor: training steps, or the forward pass of evaluation.

python -m benchmarks.yardsticks.torch_lite train --batch-size 16 --threads 2 --seconds 5
python -m benchmarks.yardsticks.torch_lite evaluate --batch-size 32 --threads 2 --seconds 5 [--channels-last]
"""

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.timing import rate, report

CLASSES = 10
SIZE = 224
STAGES = (  # channels, kernel, stride, expansion, blocks
    (16, 3, 1, 1, 1),
    (24, 3, 2, 6, 2),
    (40, 5, 2, 6, 2),
    (80, 3, 2, 6, 3),
    (112, 5, 1, 6, 3),
    (192, 5, 2, 6, 4),
    (320, 3, 1, 6, 1),
)


class SamePadding(nn.Module):
    """TensorFlow's "same" padding in front of a convolution of stride 2: an odd zero goes behind."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        """Return the padded map."""
        totals = [max((-(-side // 2) - 1) * 2 + self.kernel - side, 0) for side in x.shape[:1:-1]]
        return F.pad(x, [zeros for total in totals for zeros in (total // 2, total - total // 2)])


def unit(c_in: int, c_out: int, kernel: int, stride: int, groups: int, relu6: bool) -> list[nn.Module]:
    """Return padding, convolution, batch normalisation and activation."""
    padding = kernel // 2 if stride == 1 else 0
    convolution = nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False)
    layers = [convolution, nn.BatchNorm2d(c_out, eps=1e-3)]
    return [SamePadding(kernel)] * (stride == 2) + layers + [nn.ReLU6()] * relu6


class Block(nn.Module):
    """More channels, a depthwise convolution, fewer channels; what came in is added where the shape stays."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = expansion * c_in
        self.layers = nn.Sequential(
            *(unit(c_in, width, 1, 1, 1, True) if expansion > 1 else []),
            *unit(width, width, kernel, stride, width, True),
            *unit(width, c_out, 1, 1, 1, False),
        )
        self.same_shape = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's answer."""
        return x + self.layers(x) if self.same_shape else self.layers(x)


class Lite0(nn.Module):
    """The network of the paper's table 1, as its Lite variant."""

    def __init__(self) -> None:
        super().__init__()
        layers, channels = unit(3, 32, 3, 2, 1, True), 32
        for width, kernel, stride, expansion, blocks in STAGES:
            for position in range(blocks):
                layers.append(Block(channels, width, kernel, 1 if position else stride, expansion))
                channels = width
        self.layers = nn.Sequential(*layers, *unit(channels, 1280, 1, 1, 1, True))
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(1280, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        x = torch.flatten(F.adaptive_avg_pool2d(self.layers(x), 1), 1)
        return self.fc(self.dropout(x))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["train", "evaluate"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--channels-last", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    model = Lite0()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    layout = torch.channels_last if given.channels_last else torch.contiguous_format
    images = torch.randn(given.batch_size, 3, SIZE, SIZE).to(memory_format=layout)
    model = model.to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    labels = torch.randint(0, CLASSES, (given.batch_size,))
    criterion = nn.CrossEntropyLoss()

    def train() -> None:
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()

    def evaluate() -> None:
        with torch.no_grad():
            model(images)

    model.train(given.what == "train")
    step = train if given.what == "train" else evaluate
    report(images_per_second=rate(step, given.batch_size, given.seconds), parameters=parameters)


if __name__ == "__main__":
    main()
