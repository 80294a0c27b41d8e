"""What was found -> the page. What the template shows is computed here; how it is said is in `texts/`."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from paddle_wrn._version import __version__
from paddle_wrn.models.summary import count_parameters
from paddle_wrn.pages.html import render
from paddle_wrn.pages.report.cards import (
    CARDS,
    LABEL_CARDS,
    SMALL,
    answer_cards,
    error_cards,
    label_cards,
    photo_uri,
)
from paddle_wrn.pages.report.charts import HEIGHT, WIDTH, Chart, chart
from paddle_wrn.pages.report.findings import Findings, HeldOut
from paddle_wrn.pages.report.texts import Texts
from paddle_wrn.photos.splitting import photo_folder
from paddle_wrn.photos.thumbnails import listed_thumbnails
from paddle_wrn.runs.epochs import points
from paddle_wrn.scoring.metrics import softmax, wilson_interval
from paddle_wrn.scoring.reliability import reliability
from paddle_wrn.scoring.scores import Scores
from paddle_wrn.system.console import command_line
from paddle_wrn.system.versions import versions

MATRIX_CLASSES = 25  # a larger table nobody reads
CONFUSIONS = 15
SAMPLES = 3  # training photos of each class

# What `split_data` notes in English -> the name of the sentence; a detail may follow after a colon.
REASONS = {
    photo_folder.HIDDEN: "reason_hidden",
    photo_folder.SYSTEM: "reason_system",
    photo_folder.NOT_UTF8: "reason_not_utf8",
    photo_folder.LINE_BREAK: "reason_line_break",
    photo_folder.LINK_OUT: "reason_link_out",
    photo_folder.LINK_FOLDER: "reason_link_folder",
    photo_folder.NO_CLASS: "reason_no_class",
    photo_folder.HEIC: "reason_heic",
    photo_folder.NO_IMAGE: "reason_no_image",
    photo_folder.IRREGULAR: "reason_irregular",
    photo_folder.UNREADABLE: "reason_unreadable",
}


def write_page(findings: Findings, texts: Texts) -> str:
    """Return the page as HTML."""
    name = next((name for name in ("test", "val") if name in findings.held_out), None)
    held_out = None if name is None else findings.held_out[name]
    return render(
        "paddle_wrn.pages.report",
        "page.html",
        t=texts,
        command_line=command_line,
        run=findings.run.resolve().name,
        findings=findings,
        contract=findings.classifier.preprocessing,
        calibration=findings.classifier.calibration,
        version=__version__,
        written=f"{datetime.now():%Y-%m-%d %H:%M}",
        notes=_notes(findings, texts),
        list_name=name,
        classes=_classes(findings),
        left_out=_left_out(findings, texts),
        parameters=count_parameters(findings.classifier.model),
        curves=_curves(findings),
        kept=findings.results and findings.results.kept_epoch,
        result=None if held_out is None else _result(findings, held_out),
        labels=_labels(findings),
        versions=_versions(findings),
        chart_size=(WIDTH, HEIGHT),
    )


def _notes(findings: Findings, texts: Texts) -> list[str]:
    """Return what a reader must know before anything else."""
    notes = []
    if findings.other_lists:
        notes.append(texts["note_other_lists"])
    if findings.other_lists is None:
        notes.append(texts["note_unknown_lists"])
    changed = [row for row in _versions(findings) if row[1] and row[1] != row[2]]
    if changed:
        differences = ", ".join(f"{name} {then} → {now}" for name, then, now in changed)
        notes.append(texts("note_versions", differences=differences))
    for name, held_out in findings.held_out.items():
        then, now = findings.results and findings.results.scores.get(name), held_out.scores
        if then and not findings.other_lists and then.correct != now.correct:
            values = {"list": texts[name], "then": then.correct, "now": now.correct}
            notes.append(texts("note_other_figures", images=now.images, **values))
    torn = findings.duplicates_on_both_sides()
    if torn:
        notes.append(texts("note_duplicates", count=torn))
    return notes


def _classes(findings: Findings) -> list[dict[str, Any]]:
    """Return a row for each class: its names, how many photos each list has, some of the training photos."""
    contract, train = findings.classifier.preprocessing, findings.train
    counts = {
        name: np.bincount(part.labels, minlength=len(contract.classes)).tolist()
        for name, part in findings.folder.lists().items()
    }
    rows = []
    for label, name in enumerate(findings.names):
        both = (contract.classes[label], contract.display_names[label])
        pictures = []
        if len(contract.classes) <= MATRIX_CLASSES:
            chosen = _evenly(np.flatnonzero(train.labels == label).tolist(), SAMPLES)
            paths = [train.paths[i] for i in chosen]
            pictures = [
                photo_uri(picture) for picture in listed_thumbnails(paths, findings.folder.train.file, SMALL)
            ]
        numbers = {list_name: counts[list_name][label] for list_name in counts}
        other = both[1] if name == both[0] else both[0]
        rows.append({"name": name, "other": other, "counts": numbers, "pictures": pictures})
    return rows


def _evenly(indices: Sequence[int], count: int) -> list[int]:
    """Return up to `count` of some indices, from all over."""
    if len(indices) <= count:
        return list(indices)
    return [indices[i] for i in np.linspace(0, len(indices) - 1, count).round().astype(int)]


def _left_out(findings: Findings, texts: Texts) -> list[tuple[str, int, list[str]]]:
    """Return (why, how many, the first of them), the most frequent reason first."""
    entries = () if findings.record is None else findings.record.left_out
    reasons = Counter(entry.reason.partition(":")[0] for entry in entries)
    return [
        (
            texts[REASONS[reason]] if reason in REASONS else reason,
            count,
            [entry.path for entry in entries if entry.reason.partition(":")[0] == reason][:5],
        )
        for reason, count in reasons.most_common()
    ]


def _curves(findings: Findings) -> dict[str, Chart] | None:
    history, kept = findings.history, None if findings.results is None else findings.results.kept_epoch
    if not history:
        return None
    lines = {what: points(history, what) for what in ("loss", "acc")}
    epochs = (0, max(epoch.epoch for epoch in history))
    highest = max(y for line in lines["loss"].values() for _, y in line)
    return {
        "loss": chart(lines["loss"], epochs, (0, 1.05 * highest), mark=kept),
        "acc": chart(lines["acc"], epochs, (0, 1), mark=kept, y_percent=True),
    }


def _result(findings: Findings, held_out: HeldOut) -> dict[str, Any]:
    """Return all there is to say of photos the network did not learn from."""
    scores, errors, hits = held_out.scores, held_out.errors, held_out.hits
    return {
        "scores": scores,
        "classes": _class_rows(scores),
        "most_frequent": max(map(sum, scores.confusion)),  # what always saying one class would get right
        "confusion": scores.confusion if len(scores.confusion) <= MATRIX_CLASSES else None,
        "confusions": _confusions(scores.confusion),
        "errors": error_cards(findings, held_out, errors[:CARDS]),
        "hits": answer_cards(findings, held_out, hits[:CARDS]),
        "reliability": _reliability(findings, held_out),
        "coverage": _coverage(held_out),
    }


def _class_rows(scores: Scores) -> list[dict[str, Any]]:
    """Return the figures of each class, how often it was right and named, and the interval of its recall."""
    matrix = np.array(scores.confusion)
    return [
        {
            **row.model_dump(),
            "right": right,
            "said": said,
            "interval": wilson_interval(right, row.images) if row.images else None,
        }
        for row, right, said in zip(
            scores.per_class, matrix.diagonal().tolist(), matrix.sum(axis=0).tolist(), strict=True
        )
    ]


def _confusions(matrix: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    """Return (truth, answer, how often), the most frequent first."""
    counts = np.array(matrix)
    np.fill_diagonal(counts, 0)
    found = [(int(truth), int(said), int(counts[truth, said])) for truth, said in np.argwhere(counts)]
    return sorted(found, key=lambda row: -row[2])[:CONFUSIONS]


def _reliability(findings: Findings, held_out: HeldOut) -> Chart:
    """Draw how often answers of some probability were right, with and without the temperature."""
    labels = held_out.photos.labels
    probabilities = {"val": held_out.probabilities}
    if findings.classifier.calibration.photos:
        probabilities = {"train": softmax(held_out.logits), "val": held_out.probabilities}
    dots = {
        name: [(part.confidence, part.accuracy, part.count) for part in reliability(shares, labels)]
        for name, shares in probabilities.items()
    }
    lines = {"ideal": [(0.0, 0.0), (1.0, 1.0)]}
    lines |= {name: [(x, y) for x, y, _ in points] for name, points in dots.items()}
    return chart(lines, (0, 1), (0, 1), counted=dots, x_percent=True, y_percent=True)


def _coverage(held_out: HeldOut) -> Chart:
    """Draw the accuracy of the surest answers by how many of all they are."""
    right = held_out.predicted == held_out.photos.labels
    order = np.argsort(-held_out.probabilities.max(axis=1), kind="stable")
    counts = np.arange(1, len(right) + 1)
    accuracy = np.cumsum(right[order]) / counts
    shares = counts / len(right)
    lowest = min(0.9, np.floor(10 * accuracy.min()) / 10)
    trust = held_out.scores.calibration
    mark = trust.coverage if trust is not None and trust.photos else None
    points = list(zip(shares.tolist(), accuracy.tolist(), strict=True))
    return chart({"val": points}, (0, 1), (lowest, 1), mark=mark, x_percent=True, y_percent=True)


def _labels(findings: Findings) -> dict[str, Any] | None:
    """Return the suspicious labels: by `check_labels`, if it has been run, else among the held-out photos."""
    judgements = findings.checked or findings.held_out_labels()
    if not len(judgements):
        return None
    suspicious = judgements.suspicious()
    return {
        "checked": bool(findings.checked),
        "photos": len(judgements),
        "count": len(suspicious),
        "cards": label_cards(findings, judgements, suspicious[:LABEL_CARDS]),
    }


def _versions(findings: Findings) -> list[tuple[str, str, str]]:
    """Return (what, its version when the network was trained, its version now)."""
    then, now = findings.results.versions if findings.results else {}, versions()
    return [(name, str(then.get(name, "")), now[name]) for name in now]
