"""The report: what stands in it, and what it says where something is not there."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES
from report_page import FITTED, Page, copy_run
from rounding import additions, rounding

from paddle_wrn.answering.calibration import Calibration
from paddle_wrn.answering.classifier import store_calibration
from paddle_wrn.errors import UserError
from paddle_wrn.pages.report import findings as gathering
from paddle_wrn.pages.report import report
from paddle_wrn.pages.report.cards import LABEL_CARDS
from paddle_wrn.pages.report.findings import gather, nearest
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.splitting import photo_folder as photo_folder_module
from paddle_wrn.runs.checkpoint import load_checkpoint, save_checkpoint
from paddle_wrn.studies.judgements import judge, listed_as, write_judgements

BEST = "checkpoints/best.safetensors"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return copy_run(trained, tmp_path)


@pytest.fixture
def lists(data_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the lists that finds the same photos."""
    return shutil.copytree(data_folder, data_folder.parent / f"lists {tmp_path.name}")


def change_metrics(run: Path, **changes: Any) -> None:
    results = json.loads((run / "metrics.json").read_text("utf-8"))
    (run / "metrics.json").write_text(json.dumps(results | changes), "utf-8")


def record_split(lists: Path, **entries: Any) -> None:
    nothing: dict[str, Any] = {"near_duplicates": [], "mixed_labels": [], "left_out": [], "files": {}}
    (lists / "split.json").write_text(json.dumps(nothing | entries), "utf-8")


# What stands in it


def test_the_page_holds_what_was_found(run: Path, data_folder: Path) -> None:
    file = report(run)
    page, stored = Page(file), json.loads((run / "metrics.json").read_text("utf-8"))

    assert file == run / "report.html"
    test = stored["test"]
    low, high = (f"{100 * bound:.0f}" for bound in test["interval_95"])
    sentence = (
        f"{test['correct']} of 6 test photos right: the true rate is likely between {low} and {high} %."
    )
    assert sentence in page.text
    assert "did not learn from the test photos" in page.text
    assert "Always naming the same class would get at most 2 of 6 right." in page.text
    assert f"{stored['parameters']:,}" in page.text
    assert str(data_folder) in page.text
    assert "temperature fitted on 6 validation photos" in page.text
    assert "logits are divided by 0.50" in page.text
    assert 'An answer below 45.0 % is called "not sure".' in page.text
    assert "label_smoothing: 0.1" in page.text
    assert "Blue Disc 蓝圆" in page.text
    assert "Red Triangle 红 三角" in page.text
    assert "Green 8 2 2 12" in page.text
    cells = [int(text) for text in re.findall(r'<td style="background[^>]*>(\d*)<', page.html) if text]
    assert sum(cells) == 6
    cards = page.of("figure", "card")
    assert len(cards) == 6 + len(gather(run, None, "en").held_out_labels().suspicious()[:LABEL_CARDS])


def test_the_page_needs_nothing_from_outside(run: Path) -> None:
    page = Page(report(run))
    pictures = page.of("img")
    assert len(pictures) >= 9 + 2 * 6
    for picture in pictures:
        assert (picture["src"] or "").startswith("data:image/jpeg;base64,")
        assert picture["alt"]
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base", "form"} == set()
    assert not re.search(r"https?:|url\(|@import", page.html)
    for link in page.of("a"):
        name = (link["href"] or "").removeprefix("#")
        assert any(given.get("id") == name for tag, given in page.tags if tag == "section"), link
    assert all(svg["aria-label"] for svg in page.of("svg"))


def test_errors_and_doubtful_answers_come_in_order(run: Path) -> None:
    judged = gather(run, None, "en").held_out["test"]
    logits = np.log([[0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.1, 0.9, 0.0001], [0.3, 0.3, 0.4]])
    photos = type(judged.photos)(judged.photos.images[:5], np.array([0, 0, 0, 1, 2]), judged.photos.paths[:5])
    made = type(judged)(photos, logits, np.exp(logits), {})
    assert made.errors == [0, 2]
    assert made.hits == [4, 1, 3]


@pytest.mark.numeric
def test_the_nearest_training_photo_of_a_training_photo_is_itself(run: Path) -> None:
    findings = gather(run, None, "en")
    indices, distances = nearest(findings, findings.train.images[[3, 17]])
    assert indices[:, 0].tolist() == [3, 17]
    assert distances[:, 0] == pytest.approx([0, 0], abs=rounding(additions(findings.classifier.model)))
    assert (np.diff(distances) >= 0).all()


def test_of_many_training_photos_some_are_drawn(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "NEIGHBOURS_AMONG", 10)
    findings = gather(run, None, "en")
    assert len(findings.train) == 10
    for path, label in zip(findings.train.paths, findings.train.labels, strict=True):
        assert path.parent.name == list(CLASSES)[label]
    assert "8" in Page(report(run)).text  # counts are still those of the lists


def test_what_strangers_name_things_is_text(run: Path, lists: Path) -> None:
    evil = "<script>alert('x')</script>&\"{{ 7*7 }}"
    arrays, record = load_checkpoint(run / BEST, "model")
    record["preprocessing"]["display_names"] = [evil, evil, evil]
    save_checkpoint(run / BEST, arrays, record)
    named = run.rename(run.with_name("<b>run"))
    record_split(lists, left_out=[{"path": evil, "reason": evil}], mixed_labels=[[evil, evil]])

    page = Page(report(named, data=lists))

    assert page.of("script") == []
    assert page.of("b")
    assert "<b>run" in page.text
    assert page.text.count(evil) > 10
    assert "<script" not in page.html


def test_a_name_that_is_no_text_still_gets_a_page(run: Path, lists: Path) -> None:
    named = run.rename(run.with_name("run \udcff"))
    assert "Report on run \\udcff" in Page(report(named, data=lists)).text


def test_split_json_tells_of_duplicates_and_left_out_files(run: Path, lists: Path) -> None:
    copies = ["Green/Green 00.jpg", "Green/Green 11.jpg"]  # of train and test
    left_out = [
        {"path": "a.heic", "reason": photo_folder_module.HEIC},
        {"path": "b.jpg", "reason": f"{photo_folder_module.UNREADABLE}: an empty file (0 bytes)"},
        {"path": "c.jpg", "reason": f"{photo_folder_module.UNREADABLE}: cut short"},
    ]
    record_split(lists, files=dict.fromkeys(copies, ""), near_duplicates=[copies], left_out=left_out)
    page = Page(report(run, data=lists))
    assert "2 photos in 1 groups" in page.text
    assert "Near-duplicates that lie in more than one list, groups: 1." in page.text
    assert "2: cannot be read as a photo b.jpg, c.jpg" in page.text
    assert "1: HEIC photo, to be converted to JPEG first a.heic" in page.text
    chinese = Page(report(run, data=lists, language="zh"))
    assert "2 个：无法作为照片读取 b.jpg, c.jpg" in chinese.text


def test_labels_are_those_of_check_labels_where_it_has_been_run(run: Path, data_folder: Path) -> None:
    assert "These are among the 12 validation and test photos only." in Page(report(run)).text
    folder = read_data_folder(data_folder)
    names = [listed_as(path, data_folder) for path in folder.train.paths]
    shares = np.eye(3)[folder.train.labels] * 0.85 + 0.05
    shares[4] = [0.02, 0.05, 0.93]
    write_judgements(run, judge(names, folder.train.labels, shares), folder.classes.names)
    page = Page(report(run))
    assert "All 24 photos were judged by networks that had seen neither them" in page.text
    assert "Labels contradicted with confidence: 1" in page.text
    assert (
        "labelled Blue Disc (2 %) looks like Red Triangle (93 %) ../photos/Blue Disc/Blue Disc 04.jpg"
        in page.text
    )


# What there is not


def test_a_network_that_was_brought_in_has_no_settings_nor_curves(run: Path, data_folder: Path) -> None:
    for name in ("metrics.json", "history.jsonl"):
        (run / name).unlink()
    for name in ("last", "previous"):
        (run / "checkpoints" / f"{name}.safetensors").unlink()
    assert "The run holds no settings" in Page(report(run)).text  # those of `import_weights` trained nothing
    (run / "config.yaml").unlink()
    with pytest.raises(UserError, match=r"does not say which photos it was trained on; give --data"):
        report(run)
    page = Page(report(run, data=data_folder))
    assert "The run holds no settings" in page.text
    assert "The run holds no history, so there are no curves." in page.text
    assert "of 6 test photos right" in page.text
    assert "It is not known which photos the network learned from." in page.text


def test_without_calibration_one_is_told_how_to_get_it(run: Path) -> None:
    run = run.rename(run.with_name("my run"))
    store_calibration(run, Calibration())
    page = Page(report(run))
    assert "The probabilities are not calibrated." in page.text
    assert f"python -m paddle_wrn.calibrate '{run}'" in page.text
    assert "not sure" not in page.text


def test_where_nothing_is_sure_the_page_says_so(run: Path) -> None:
    store_calibration(run, FITTED.model_copy(update={"threshold": 2.0}))
    assert "No answer is called sure: on the validation photos, no threshold" in Page(report(run)).text


def test_without_test_photos_validation_is_told_with_its_fault(run: Path, lists: Path) -> None:
    (lists / "test.txt").unlink()
    change_metrics(run, lists=read_data_folder(lists).digest())
    page = Page(report(run, data=lists))
    assert "of 6 validation photos right" in page.text
    assert "so the figure is rather too good" in page.text
    assert "These are the photos it was fitted on" in page.text


def test_without_held_out_photos_nothing_is_claimed(run: Path, lists: Path) -> None:
    (lists / "test.txt").unlink()
    (lists / "val.txt").unlink()
    page = Page(report(run, data=lists))
    assert "nothing can be said about how often the network is right" in page.text
    assert "photos right" not in page.text
    assert not any(f'id="{part}"' in page.html for part in ("errors", "labels", "probabilities"))
    assert page.of("table")


@pytest.mark.parametrize("right", [True, False])
def test_all_right_and_all_wrong_are_pages_too(
    right: bool, run: Path, lists: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paddle_wrn.answering.classifier import Classifier

    labels = np.repeat([0, 1, 2], 2)  # of val and of test
    logits = 9 * np.eye(3, dtype=np.float32)[labels if right else (labels + 1) % 3]
    monkeypatch.setattr(Classifier, "logits", lambda *_: logits)
    page = Page(report(run, data=lists))
    assert ("There is not a single error." in page.text) == right
    assert ("There is not a single right answer." in page.text) != right


def test_many_classes_get_no_matrix(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from paddle_wrn.pages.report import page as page_module

    assert Page(report(run)).of("table", "matrix")
    monkeypatch.setattr(page_module, "MATRIX_CLASSES", 2)
    page = Page(report(run))
    assert 'class="matrix"' not in page.html
    assert "The most frequent confusions" in page.text


def test_rows_of_an_array_are_photos_too(run: Path, lists: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(lists / "images.npy", rng.integers(0, 256, (6, 16, 16, 3), np.uint8))
    for name in ("train", "val", "test"):
        (lists / f"{name}.txt").write_text("".join(f"images.npy/0000{i} {i // 2}\n" for i in range(6)))
    assert len(Page(report(run, data=lists)).of("figure", "card")) >= 6


# What must be known beforehand


def test_other_versions_lists_and_figures_are_said(run: Path) -> None:
    results = json.loads((run / "metrics.json").read_text("utf-8"))
    assert Page(report(run)).of("section", "notes") == []
    now = results["test"]["correct"]
    then = results["test"] | {"correct": now + 1}
    change_metrics(run, test=then, versions=results["versions"] | {"paddle": "2.5.1"})
    page = Page(report(run))
    assert (
        "Other versions are installed than those the network was trained with: paddle 2.5.1 → " in page.text
    )
    assert f"test: when it was trained, {now + 1} of 6 photos were right, and now {now}" in page.text
    change_metrics(run, lists="0")
    page = Page(report(run))
    assert "The lists of photos are not those of the training" in page.text
    assert "did not learn from the test photos" not in page.text
    assert "when it was trained" not in page.text
