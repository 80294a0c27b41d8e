"""What a comparison of trained networks says: accuracies with intervals, and which differences are noise.

Two noises are kept in mind: other test photos would give another accuracy, and so would another seed. All
functions are pure: the figures of finished runs go in, numbers come out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean, median, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.errors import UserError
from paddle_wrn.runs.results import Results
from paddle_wrn.scoring.metrics import wilson_interval
from paddle_wrn.scoring.scores import Scores

RESAMPLES = 9999  # the smallest p is 2 in 10,000
SIGNIFICANT = 0.05

Photo = tuple[str, str]  # path and class


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        folder: where it is.
        results: what its `metrics.json` holds.
        photos: the test photos, ordered by path.
        correct: (N,) bool, whether they were classified rightly.
    """

    folder: str
    results: Results
    photos: tuple[Photo, ...]
    correct: NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """Share of the test photos that was classified rightly."""
        return self.test.accuracy

    @property
    def test(self) -> Scores:
        """Figures of the test photos, without which there is nothing to compare."""
        assert self.results.test is not None
        return self.results.test


@dataclass(frozen=True)
class Entry:
    """One of the configurations that are compared.

    Attributes:
        name: of the configuration.
        network: its network.
        parameters: trainable ones.
        multiply_adds: for one image.
        seeds: how many runs there are to be.
        runs: those that are finished, by seed; it grows.
    """

    name: str
    network: str
    parameters: int
    multiply_adds: int
    seeds: int
    runs: dict[int, Run]

    @property
    def accuracies(self) -> list[float]:
        """Test accuracies of the finished runs, in the order of their seeds."""
        return [self.runs[seed].accuracy for seed in sorted(self.runs)]

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the test accuracy."""
        return accuracy_interval(self.accuracies, len(next(iter(self.runs.values())).photos))

    def median(self, figure: str) -> float:
        """Return the median over the finished runs of a figure of `metrics.json`."""
        return float(median(getattr(run.results, figure) for run in self.runs.values()))


@dataclass(frozen=True)
class Pair:
    """Two configurations on the same test photos.

    Attributes:
        first: the one with the higher accuracy.
        second: the other.
        difference: of their mean accuracies, 0..1.
        p: how probable so large a difference is if there is none; corrected for the number of pairs.
    """

    first: str
    second: str
    difference: float
    p: float

    def __str__(self) -> str:
        p = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}" if self.p < 0.1 else f"p = {self.p:.2f}"
        if self.difference == 0:
            return f"{self.first} and {self.second} are equal ({p}): within noise"
        verdict = "more than noise" if self.p < SIGNIFICANT else "within noise"
        points = 100 * self.difference
        return f"{self.first} is ahead of {self.second} by {points:.1f} points ({p}): {verdict}"


def accuracy_interval(accuracies: Sequence[float], photos: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean accuracy over seeds, for other photos and other seeds.

    With one seed it is Wilson's interval over photos. With several, the half-width of Student's interval
    over seeds is added to it in quadrature, each side for itself (G. Y. Zou and A. Donner, Statistics in
    Medicine 27, 2008). More seeds do not make more photos: Wilson's part stays. What photos and seeds have
    in common is counted twice, so the interval is rather too wide than too narrow.

    Args:
        accuracies: one a seed, 0..1.
        photos: how many each was measured on.
    """
    from scipy.stats import t

    centre = mean(accuracies)
    correct = round(centre * photos)
    low, high = wilson_interval(correct, photos)
    if len(accuracies) == 1:
        return low, high
    seeds = len(accuracies)
    width = float(t.ppf(0.975, seeds - 1)) * stdev(accuracies) / math.sqrt(seeds)
    share = correct / photos
    return (
        max(0.0, centre - math.hypot(share - low, width)),
        min(1.0, centre + math.hypot(high - share, width)),
    )


def photos_p(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return p of a paired sign-flip permutation test over photos, two-sided.

    Args:
        first: (N,) how often each photo was classified rightly, 0..1.
        second: (N,) the same of another network.
    """
    from scipy.stats import permutation_test

    differences = first - second
    differences = differences[np.abs(differences) > 1e-9]  # a flipped 0 is a 0: all others decide
    if len(differences) < 2:  # one alone is as likely to be the other way round
        return 1.0
    options: dict[str, Any] = {"vectorized": True, "n_resamples": RESAMPLES, "batch": 500}
    result = permutation_test(
        (differences,),
        lambda flipped, axis: np.sum(flipped, axis=axis),
        permutation_type="samples",
        random_state=np.random.default_rng(0),
        **options,
    )
    return float(result.pvalue)


def seeds_p(first: Sequence[float], second: Sequence[float], photos: int) -> float:
    """Return p of a paired t-test over seeds, two-sided.

    Accuracies are whole photos, so a few seeds may differ by exactly the same by chance. Their standard
    deviation is therefore taken to be that of rounding to a photo at least.

    Args:
        first: accuracies, one a seed, two or more.
        second: of another network with the same seeds.
        photos: how many the accuracies were measured on.
    """
    from scipy.stats import t

    differences = [a - b for a, b in zip(first, second, strict=True)]
    spread = max(stdev(differences), 1 / photos / math.sqrt(12))
    statistic = mean(differences) / (spread / math.sqrt(len(differences)))
    return float(2 * t.sf(abs(statistic), len(differences) - 1))


def holm(ps: Sequence[float]) -> list[float]:
    """Correct p values for their number (S. Holm, Scandinavian Journal of Statistics 6, 1979)."""
    corrected, highest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        corrected[index] = highest
    return corrected


def compare_pairs(entries: Sequence[Entry]) -> list[Pair]:
    """Compare every pair of those entries whose runs are all finished.

    The p of a pair is that over photos or that over seeds, whichever is larger: both noises must be
    exceeded.

    Raises:
        UserError: two runs were scored on other test photos.
    """
    complete = [entry for entry in entries if len(entry.runs) == entry.seeds]
    refuse_other_photos([run for entry in complete for run in entry.runs.values()])
    pairs = []
    for first, second in combinations(complete, 2):
        if mean(second.accuracies) > mean(first.accuracies):
            first, second = second, first
        shares = [np.mean([run.correct for run in e.runs.values()], axis=0) for e in (first, second)]
        p = photos_p(*shares)
        if first.seeds > 1:
            p = max(p, seeds_p(first.accuracies, second.accuracies, len(shares[0])))
        pairs.append(Pair(first.name, second.name, round(float(np.mean(shares[0] - shares[1])), 9), p))
    ps = holm([pair.p for pair in pairs])
    return [Pair(pair.first, pair.second, pair.difference, p) for pair, p in zip(pairs, ps, strict=True)]


def refuse_other_photos(runs: Sequence[Run]) -> None:
    """Raise `UserError` unless all runs were scored on the same test photos with the same classes."""
    for run in runs[1:]:
        if run.photos != runs[0].photos:
            found = sorted(set(run.photos) ^ set(runs[0].photos))
            example = f" ({found[0][0]}, class {found[0][1]})" if found else ""
            raise UserError(
                f"{run.folder} and {runs[0].folder} were scored on different test photos{example}; "
                "train them on the same lists"
            )
