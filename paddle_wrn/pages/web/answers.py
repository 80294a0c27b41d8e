"""What the page says, as HTML and Markdown; names of files and classes are shown as they are."""

from functools import partial
from importlib.resources import files

from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.pages.html import data_uri, render
from paddle_wrn.pages.web.judging import MOST_PHOTOS, MOST_SECONDS, Reply
from paddle_wrn.pages.web.texts import TEXTS
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.system.wording import percent

MOST_BARS = 5  # below an answer
MOST_NAMES = 30  # of classes at the top of the page
QUALITY = 88  # of the photos' JPEG files
_HERE = "paddle_wrn.pages.web"


def style() -> str:
    """Return the style sheet of the answers."""
    return (files(_HERE) / "templates" / "style.css").read_text(encoding="utf-8")


def reply_html(reply: Reply, contract: Preprocessing, language: str) -> str:
    """Return the HTML of what is said of some photos."""
    names = zip(contract.classes, contract.display_names, strict=True)
    return render(
        _HERE,
        "answers.html",
        reply=reply,
        texts=TEXTS[language],
        classes=[{"name": name, "display": display} for name, display in names],
        bars=MOST_BARS,
        percent=percent,
        picture=partial(data_uri, quality=QUALITY),
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
        trust = texts["threshold"].format(threshold=percent(calibration.threshold))
    known = texts["known"].format(count=len(shown), names=names)
    return f"# {texts['title']}\n\n{texts['space'].join((known, texts['only'], trust))}"


def _escaped(name: str) -> str:
    """Return a name as Markdown that shows it as it is."""
    return "".join(f"&#{ord(letter)};" if letter in r"\`*_{}[]()<>#+!|~$&" else letter for letter in name)
