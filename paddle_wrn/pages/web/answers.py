"""What the page says, as HTML and Markdown; names of files and classes are shown as they are."""

import base64
import io
from importlib.resources import files

import jinja2
from PIL import Image

from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.pages.web.judging import MOST_PHOTOS, MOST_SECONDS, Pixels, Verdict
from paddle_wrn.pages.web.texts import TEXTS
from paddle_wrn.photos.preprocessing import Preprocessing

MOST_BARS = 5  # below an answer
MOST_NAMES = 30  # of classes at the top of the page
_TEMPLATES = files("paddle_wrn.pages.web") / "templates"


def style() -> str:
    """Return the style sheet of the answers."""
    return (_TEMPLATES / "style.css").read_text(encoding="utf-8")


def render(verdict: Verdict, contract: Preprocessing, language: str) -> str:
    """Return the HTML of what is said of some photos."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((_TEMPLATES / "answers.html").read_text(encoding="utf-8"))
    names = zip(contract.classes, contract.display_names, strict=True)
    return template.render(
        verdict=verdict,
        texts=TEXTS[language],
        classes=[{"name": name, "display": display} for name, display in names],
        bars=MOST_BARS,
        percent=_percent,
        picture=_data_uri,
        limits={"photos": MOST_PHOTOS, "seconds": round(MOST_SECONDS)},
    )


def introduction(classifier: Classifier, language: str) -> str:
    """Return Markdown: what the network knows, and when it is sure."""
    texts = TEXTS[language]
    shown = [_escaped(name) for name in classifier.preprocessing.display_names]
    names = texts["comma"].join(shown[:MOST_NAMES])
    if len(shown) > MOST_NAMES:
        names = texts["more"].format(names=names, count=len(shown) - MOST_NAMES)
    calibration = classifier.calibration
    if calibration.photos == 0:
        trust = texts["uncalibrated"]
    elif calibration.threshold > 1:
        trust = texts["never"]
    else:
        trust = texts["threshold"].format(threshold=_percent(calibration.threshold))
    known = texts["known"].format(count=len(shown), names=names)
    return f"# {texts['title']}\n\n{texts['space'].join((known, texts['only'], trust))}"


def _escaped(name: str) -> str:
    """Return a name as Markdown that shows it as it is."""
    return "".join(f"&#{ord(letter)};" if letter in r"\`*_{}[]()<>#+!|~$&" else letter for letter in name)


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _data_uri(pixels: Pixels) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
