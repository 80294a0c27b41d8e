"""The page in a real browser, and the command that serves it."""

import importlib.util
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from browser import Visit, chromium, serving
from conftest import CLASSES, RunMain

from paddle_wrn.answering.answer import Answer
from paddle_wrn.answering.calibration import Calibration
from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.answering.prediction import Prediction, predict
from paddle_wrn.app import main
from paddle_wrn.models import create_model
from paddle_wrn.models.weights import weights_of
from paddle_wrn.pages.languages import LANGUAGES
from paddle_wrn.pages.web import server
from paddle_wrn.pages.web.answers import MOST_NAMES, introduction, reply_html
from paddle_wrn.pages.web.judging import AnsweredPhoto, Refused, Reply
from paddle_wrn.pages.web.texts import TEXTS
from paddle_wrn.photos.preprocessing import Preprocessing, read_image
from paddle_wrn.runs.checkpoint import save_checkpoint

CONTRACT = Preprocessing(
    size=32,
    mean=(0.2, 0.2, 0.2),
    std=(0.2, 0.2, 0.2),
    classes=tuple(CLASSES),
    display_names=("蓝圆 <b>", "Green", "红 三角"),
)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a network that was never trained; tests only read it."""
    paddle.seed(3)
    model = create_model("wrn_10_1", 3)
    record = {
        "kind": "model",
        "model": {"name": "wrn_10_1", "options": {}},
        "preprocessing": CONTRACT.model_dump(),
        "calibration": Calibration(temperature=0.5, threshold=0.99, photos=30).model_dump(),
    }
    file = tmp_path_factory.mktemp("app") / "best.safetensors"
    save_checkpoint(file, weights_of(model), record)
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("gradio is not installed")
    with chromium() as opened:
        yield opened


def answers(page: Any) -> list[Any]:
    return page.locator("#answers article").all()


@pytest.mark.slow
def test_photos_are_judged_in_a_browser(
    network: Path, photo_folder: Path, browser: Any, tmp_path: Path
) -> None:
    photos = [photo_folder / name / f"{name} 03.jpg" for name in ("Green", "红 三角")]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes((30 << 20) + 1))
    expected = list(predict(network, photos, top_k=None))
    with serving("paddle_wrn.app", network, folder=tmp_path) as address:
        visit = Visit(browser, address, viewport={"width": 400, "height": 800})
        page = visit.page
        page.get_by_text("This network knows 3 names: 蓝圆 <b>, Green, 红 三角.").wait_for()
        choose = page.locator("input[type=file]").first

        choose.set_input_files([*photos, broken])
        assert list((tmp_path / "temporary").glob("paddle_wrn_page_*"))  # where uploads are
        page.locator("#answers article").nth(2).wait_for()
        *judged, refused = answers(page)
        for article, prediction, photo in zip(judged, expected, photos, strict=True):
            assert isinstance(prediction, Prediction)
            text = article.inner_text()
            assert text.splitlines()[0] == photo.name
            assert f"Not sure, perhaps {prediction.display_name}" in text
            for _, display_name, probability in prediction.top:
                assert display_name in text
                assert f"{probability:.1%}" in text
            widths = [image.evaluate("image => image.naturalWidth") for image in article.locator("img").all()]
            assert widths == [read_image(photo).width] * 2  # the photo, and the map on it
        assert refused.inner_text().startswith("broken.jpg: not an image this program can read")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400

        page.locator("#one_subject input").check()
        together = page.locator("#answers article.together")
        together.wait_for()
        assert together.inner_text().startswith("All photos together")

        page.reload()
        choose.set_input_files([large])
        page.get_by_text("exceed the maximum allowed size of 30").wait_for()

        page.reload()
        page.get_by_role("tab", name="Camera").click()
        page.locator("#camera button:visible").first.click()
        page.wait_for_function("document.querySelector('#camera video')?.readyState >= 2")
        page.get_by_label("capture photo").click()
        page.locator("#answers article img").first.wait_for()
        assert answers(page)[0].inner_text().startswith("Camera\n")

        assert "only uploaded files are read" in _asked_to_read(page, "http://192.0.2.1/photo.jpg")
        assert "only uploaded files are read" in _asked_to_read(page, str(photos[0]))
        assert page.request.get(f"{address}gradio_api/file={photos[0]}").status == 403
        assert visit.hosts == {"127.0.0.1"}


def reply(*photos: AnsweredPhoto | Refused, together: Answer | None = None, left_out: int = 0) -> Reply:
    return Reply(photos, together, left_out)


PIXELS = np.full((6, 4, 3), 200, np.uint8)
SURE = Answer((0, 2, 1), (0.9, 0.08, 0.02), "sure")


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_are_shown_as_they_are_and_never_obeyed(language: str) -> None:
    photo = AnsweredPhoto("<script>alert(1)</script>.jpg", PIXELS, PIXELS, SURE)
    shown = reply_html(reply(photo, Refused("<i>x</i>.jpg: broken")), CONTRACT, language)
    assert "&lt;script&gt;" in shown
    assert "蓝圆 &lt;b&gt;" in shown
    assert "&lt;i&gt;x&lt;/i&gt;.jpg: broken" in shown
    assert not any(tag in shown for tag in ("<script", "<b>蓝", "<i>x"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sure_answer_has_no_doubt_and_an_unsure_one_has(language: str) -> None:
    doubt = TEXTS[language]["unsure"].format(name="Green")
    unsure = Answer((1, 0, 2), (0.5, 0.3, 0.2), "not_sure")
    assert doubt not in reply_html(reply(AnsweredPhoto("a", PIXELS, None, SURE)), CONTRACT, language)
    assert doubt in reply_html(reply(AnsweredPhoto("a", PIXELS, None, unsure)), CONTRACT, language)
    assert doubt in reply_html(reply(together=unsure), CONTRACT, language)


def test_without_a_map_the_photo_stands_alone() -> None:
    shown = reply_html(reply(AnsweredPhoto("a", PIXELS, None, SURE)), CONTRACT, "en")
    assert shown.count("<img") == 1
    assert TEXTS["en"]["heat"] not in shown


def test_photos_that_were_left_out_are_counted() -> None:
    shown = reply_html(reply(left_out=3), CONTRACT, "en")
    assert "3 more were left out: at a time, 12 photos or 30 seconds are the most." in shown
    assert "left out" not in reply_html(reply(), CONTRACT, "en")


@pytest.mark.parametrize(
    ("calibration", "said"),
    [
        (Calibration(), "never says that it is not sure"),
        (Calibration(threshold=0.642, photos=90), "Below 64.2% it says that it is not sure."),
        (Calibration(threshold=2, photos=90), "not good enough in training ever to be sure"),
    ],
)
def test_the_page_says_when_it_is_sure(calibration: Calibration, said: str) -> None:
    network = Classifier(paddle.nn.Linear(1, 1), CONTRACT, calibration=calibration)
    assert said in introduction(network, "en")


def test_many_names_are_counted_and_odd_ones_are_no_markdown() -> None:
    names = tuple(f"wood_duck_{number}" for number in range(MOST_NAMES + 5))
    contract = CONTRACT.model_copy(update={"classes": names, "display_names": names})
    said = introduction(Classifier(paddle.nn.Linear(1, 1), contract), "en")
    assert f"knows {MOST_NAMES + 5} names: wood&#95;duck&#95;0, " in said
    assert said.count("wood&#95;duck") == MOST_NAMES
    assert "and 5 more." in said


def test_both_languages_say_the_same_things() -> None:
    english, chinese = TEXTS["en"], TEXTS["zh"]
    assert english.keys() == chinese.keys()
    for name, text in english.items():
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", chinese[name])), name


def test_a_missing_run_or_a_port_in_use_is_a_sentence(
    network: Path, tmp_path: Path, run_main: RunMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())  # gradio is not needed for this
    outcome = run_main(main, tmp_path / "gone", "--port", 0)
    assert outcome.code == 2
    assert "no such run folder" in outcome.err
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"port {port} is in use already" in run_main(main, network, "--port", port).err
        monkeypatch.setenv("GRADIO_SERVER_PORT", str(port))
        assert f"port {port} is in use already" in run_main(main, network).err
    monkeypatch.setenv("GRADIO_SERVER_PORT", "any")
    assert "GRADIO_SERVER_PORT: found 'any'" in run_main(main, network).err


def test_the_page_can_be_served_from_python() -> None:
    from paddle_wrn.app import serve

    assert serve is server.serve


def test_without_gradio_the_extra_is_named(
    network: Path, run_main: RunMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    outcome = run_main(main, network)
    assert outcome.code == 2
    assert "install it with the extra app: pip install '.[app]'" in outcome.err


def _asked_to_read(page: Any, place: str) -> str:
    """Ask the page's server, as a visitor of ill will might, to read a photo from elsewhere."""
    return str(
        page.evaluate(
            """async place => {
                const config = await (await fetch("/config")).json();
                const upload = {path: place, meta: {_type: "gradio.FileData"}};
                const ask = {data: [[{image: upload, caption: null}], false], session_hash: "x"};
                ask.fn_index = config.dependencies[0].id;
                const headers = {"Content-Type": "application/json"};
                await fetch("/gradio_api/queue/join", {method: "POST", headers, body: JSON.stringify(ask)});
                return await (await fetch("/gradio_api/queue/data?session_hash=x")).text();
            }""",
            place,
        )
    )
