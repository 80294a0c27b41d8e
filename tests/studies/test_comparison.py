"""The statistics of a comparison, and its tables, against numbers worked out by hand or by other means."""

import csv
import io
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from paddle_wrn.errors import UserError
from paddle_wrn.runs.results import Results
from paddle_wrn.scoring.metrics import score, wilson_interval
from paddle_wrn.scoring.scores import Scores
from paddle_wrn.studies.comparison_tables import caption, csv_text, markdown_table, report, table, verdicts
from paddle_wrn.studies.statistics import (
    Entry,
    Pair,
    Run,
    accuracy_interval,
    compare_pairs,
    holm,
    photos_p,
    seeds_p,
)


def scored(correct: list[bool]) -> Scores:
    """Return the figures of photos of a bird, of which these are classified rightly."""
    logits = np.array([[hit, not hit] for hit in correct], np.float32)
    names = ("bird", "other")
    return score(logits, np.zeros(len(correct), np.int64), names, names)


def make_run(correct: list[bool], seed: int = 0, **figures: Any) -> Run:
    photos = tuple((f"{number:04}.jpg", "bird") for number in range(len(correct)))
    results = Results(
        val=scored(right(1, 2)),
        test=scored(correct),
        kept_epoch=3,
        epochs=5,
        seconds=60.0,
        images_per_second=200.0,
        parameters=77_395,
        multiply_adds=1_234_567,
        seed=seed,
        device="cpu",
        versions={"paddle": "3.0"},
    )
    return Run(f"runs/{seed}", results.model_copy(update=figures), photos, np.array(correct))


def make_entry(name: str, *answers: list[bool], seeds: int | None = None, **figures: Any) -> Entry:
    runs = {seed: make_run(correct, seed, **figures) for seed, correct in enumerate(answers)}
    return Entry(name, "wrn_10_1", 77_395, 1_234_567, len(answers) if seeds is None else seeds, runs)


def right(count: int, of: int) -> list[bool]:
    """Return answers of which the first are right."""
    return [number < count for number in range(of)]


# Intervals


def test_one_seed_has_wilsons_interval() -> None:
    assert accuracy_interval([0.9], 30) == wilson_interval(27, 30)


def test_several_seeds_widen_wilsons_interval_by_students() -> None:
    low, high = wilson_interval(80, 100)
    width = 4.302653 * 0.02 / math.sqrt(3)  # t with 2 degrees of freedom; standard deviation 0.02
    expected = (0.8 - math.hypot(0.8 - low, width), 0.8 + math.hypot(high - 0.8, width))
    assert accuracy_interval([0.78, 0.80, 0.82], 100) == pytest.approx(expected)


def test_seeds_that_agree_leave_the_noise_of_the_photos() -> None:
    assert accuracy_interval([0.9, 0.9, 0.9], 30) == pytest.approx(wilson_interval(27, 30))
    assert accuracy_interval([1.0, 1.0], 30) == pytest.approx(wilson_interval(30, 30))


def test_an_interval_stays_between_0_and_1() -> None:
    assert accuracy_interval([0.2, 0.9], 10) == (0, 1)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):  # photos differ in how hard they are, seeds in how well they do
        hardness, skill = rng.normal(1.3, 1, 60), rng.normal(0, 0.3, 4)
        said = hardness + skill[:, None] + rng.normal(0, 0.5, (4, 60)) > 0
        low, high = accuracy_interval(said.mean(1).tolist(), 60)
        hits += low < stats.norm.cdf(1.3 / math.sqrt(1 + 0.3**2 + 0.5**2)) < high
    assert 0.93 <= hits / 300 <= 1


# Tests


def test_identical_answers_have_p_1() -> None:
    answers = np.array([1.0, 0, 1, 1, 0])
    assert photos_p(answers, answers) == 1


def test_a_single_photo_proves_nothing() -> None:
    assert photos_p(np.array([1.0, 0.5, 1]), np.array([0.0, 0.5, 1])) == 1


def test_p_over_photos_is_exact_for_few_photos() -> None:
    first, second = np.array([1.0, 1, 1, 1, 0, 1]), np.array([0.0, 0, 0, 1, 0, 1])
    assert photos_p(first, second) == pytest.approx(2 / 2**3)
    assert photos_p(second, first) == photos_p(first, second)


def test_p_over_photos_is_about_that_of_the_sign_test() -> None:
    first = np.repeat([1.0, 0.0, 1.0], [40, 20, 100])
    second = np.repeat([0.0, 1.0, 1.0], [40, 20, 100])
    assert photos_p(first, second) == pytest.approx(stats.binomtest(40, 60).pvalue, abs=0.005)
    assert photos_p(first, second) == photos_p(first, second)


def test_a_clear_difference_over_photos_has_a_small_p() -> None:
    assert photos_p(np.ones(100), np.repeat([0.0, 1.0], 50)) < 0.001


def test_p_over_seeds_is_that_of_the_paired_t_test() -> None:
    first, second = [0.90, 0.92, 0.89, 0.93], [0.85, 0.90, 0.88, 0.86]
    expected = stats.ttest_rel(first, second).pvalue
    assert seeds_p(first, second, 1000) == pytest.approx(expected)
    assert seeds_p(second, first, 1000) == pytest.approx(expected)


def test_seeds_that_differ_by_the_same_photo_prove_little() -> None:
    assert seeds_p([0.9, 0.8], [0.8, 0.7], 10) > 0.1
    assert seeds_p([0.9, 0.8], [0.9, 0.8], 10) == 1


@pytest.mark.parametrize(
    ("ps", "corrected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.04], [0.04]),
        ([], []),
    ],
)
def test_holm(ps: list[float], corrected: list[float]) -> None:
    assert holm(ps) == pytest.approx(corrected)


def test_a_pair_must_exceed_both_noises() -> None:
    better, worse = right(90, 100), right(70, 100)
    (pair,) = compare_pairs([make_entry("a", worse, worse), make_entry("b", better, better)])
    assert (pair.first, pair.second) == ("b", "a")
    assert pair.difference == pytest.approx(0.2)
    over_photos = photos_p(np.array(better, float), np.array(worse, float))
    assert pair.p == seeds_p([0.9, 0.9], [0.7, 0.7], 100) > over_photos
    unsteady = make_entry("c", right(100, 100), right(70, 100))
    (pair,) = compare_pairs([make_entry("a", worse, worse), unsteady])
    assert pair.p > 0.3


def test_all_pairs_are_corrected_and_unfinished_entries_left_out() -> None:
    entries = [make_entry(name, right(count, 100)) for name, count in (("a", 50), ("b", 56), ("c", 90))]
    pairs = compare_pairs([*entries, make_entry("d", right(1, 100), seeds=2), make_entry("e", seeds=1)])
    assert [(pair.first, pair.second) for pair in pairs] == [("b", "a"), ("c", "a"), ("c", "b")]
    assert [pair.p for pair in pairs] == pytest.approx([2 / 2**6, 6e-4, 6e-4])  # 2 in 10,000, times 3


def test_other_photos_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"runs/0 and runs/0 .*different test photos \(0002.jpg, class bird\)"
    ):
        compare_pairs([make_entry("a", right(1, 2)), make_entry("b", right(1, 3))])


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        (Pair("a", "b", 0.0123, 0.03), "a is ahead of b by 1.2 points (p = 0.030): more than noise"),
        (Pair("a", "b", 0.2, 0.0001), "a is ahead of b by 20.0 points (p < 0.001): more than noise"),
        (Pair("a", "b", 0.01, 0.05), "a is ahead of b by 1.0 points (p = 0.050): within noise"),
        (Pair("a", "b", 0.01, 0.71), "a is ahead of b by 1.0 points (p = 0.71): within noise"),
        (Pair("a", "b", 0.0, 1.0), "a and b are equal (p = 1.00): within noise"),
    ],
)
def test_what_is_said_of_a_pair(pair: Pair, sentence: str) -> None:
    assert str(pair) == sentence


# Text


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_the_table_has_what_was_measured() -> None:
    entry = make_entry("a", right(18, 20), right(16, 20), right(17, 20))
    entry.runs[0] = make_run(right(18, 20), 0, val=scored(right(9, 10)), seconds=10.0, kept_epoch=2)
    low, high = accuracy_interval([0.9, 0.8, 0.85], 20)
    head, rule, row = cells(table([entry]))
    assert head[4:8] == ["seeds", "validation accuracy %", "test accuracy %", "95 % interval"]
    assert all(set(cell) <= set("-:") for cell in rule)
    interval = f"{100 * low:.1f} to {100 * high:.1f}"
    assert row == [
        *("a", "wrn_10_1", "77,395", "1,234,567", "3", "63.3 (23.1)", "85.0 (5.0)"),
        *(interval, "60", "200", "3"),
    ]


def test_what_is_missing_is_a_dash() -> None:
    one, none = make_entry("one", right(9, 10), seeds=2), make_entry("none", seeds=2)
    *_, first, second = cells(table([one, none]))
    assert first[4:7] == ["1 of 2", "50.0", "90.0"]
    assert second[4:] == ["0 of 2", *"------"]
    assert caption([none]) == "No run is finished yet."
    assert verdicts([one, none]) == []


def test_a_markdown_table_is_aligned() -> None:
    assert markdown_table(["name", "n"], [["a", "10"], ["long name", "7"]]).splitlines() == [
        "| name      |  n |",
        "| --------- | -: |",
        "| a         | 10 |",
        "| long name |  7 |",
    ]


def test_the_caption_names_photos_seeds_versions_and_machine() -> None:
    text = caption([make_entry("a", right(1, 1200)), make_entry("b", seeds=1)])
    assert text.startswith("1,200 test photos, seed 0. ")
    assert "noise of the test photos only, not that of training" in text
    assert "paddle 3.0, on cpu, " in text
    text = caption([make_entry("a", right(1, 12), right(1, 12), versions={"paddle": "9"})])
    assert text.startswith("12 test photos, seeds 0 to 1. ")
    assert "the noise of the test photos and that of training" in text


def test_verdicts_say_what_p_covers() -> None:
    one = verdicts([make_entry("a", right(5, 10)), make_entry("b", right(6, 10))])
    assert one[0] == "b is ahead of a by 10.0 points (p = 1.00): within noise"
    assert one[-1] == "With one seed it covers the noise of the test photos only, not that of training."
    three = [make_entry(name, right(5, 10), right(6, 10)) for name in "abc"]
    assert len(verdicts(three)) == 4
    assert verdicts(three)[-1].endswith("a paired t-test over seeds, corrected for 3 pairs (Holm).")
    assert report(three).count("\n- ") == 4


def test_csv_has_a_row_a_run() -> None:
    entry = make_entry("a, b", right(18, 20), right(16, 20))
    rows = list(csv.DictReader(io.StringIO(csv_text([entry, make_entry("none", seeds=2)]))))
    assert [(row["configuration"], row["seed"], row["test_correct"]) for row in rows] == [
        ("a, b", "0", "18"),
        ("a, b", "1", "16"),
    ]
    assert float(rows[1]["test_accuracy"]) == 0.8
    assert (rows[0]["val_accuracy"], rows[0]["parameters"], rows[0]["kept_epoch"]) == ("0.5", "77395", "3")
