"""Training steps of the same wide residual network in PyTorch, on the processor.

python -m benchmarks.yardsticks.torch_wrn 28 1 --batch-size 32 --size 32 --threads 2 --seconds 5 [--compile]
"""

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.timing import rate, report

CLASSES = 10


class BasicBlock(nn.Module):
    """BN-ReLU-conv twice; where the shape changes, a 1 x 1 convolution on the first activated tensor."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        same_shape = stride == 1 and in_channels == out_channels
        self.shortcut = None if same_shape else nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's answer."""
        h = F.relu(self.bn1(x))
        skip = x if self.shortcut is None else self.shortcut(h)
        return skip + self.conv2(F.relu(self.bn2(self.conv1(h))))


class WideResNet(nn.Module):
    """The paper's network."""

    def __init__(self, depth: int, widen_factor: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False)]
        channels = 16
        for width, stride in ((16, 1), (32, 2), (64, 2)):
            for block in range((depth - 4) // 6):
                layers.append(BasicBlock(channels, width * widen_factor, 1 if block else stride))
                channels = width * widen_factor
        self.layers = nn.Sequential(*layers)
        self.bn = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        x = F.adaptive_avg_pool2d(F.relu(self.bn(self.layers(x))), 1)
        return self.fc(torch.flatten(x, 1))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("depth", type=int)
    parser.add_argument("widen_factor", type=int)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--size", type=int, default=32, help="side of an image, pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    model = WideResNet(given.depth, given.widen_factor)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    images = torch.randn(given.batch_size, 3, given.size, given.size)
    labels = torch.randint(0, CLASSES, (given.batch_size,))
    forward = torch.compile(model) if given.compile else model
    criterion = nn.CrossEntropyLoss()

    def step() -> None:
        loss = criterion(forward(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()

    report(images_per_second=rate(step, given.batch_size, given.seconds), parameters=parameters)


if __name__ == "__main__":
    main()
