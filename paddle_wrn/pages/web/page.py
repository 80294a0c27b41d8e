"""The page itself: gradio's components around `judging` and `answers`."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.pages.web.answers import introduction, reply_html
from paddle_wrn.pages.web.judging import MOST_PHOTOS, judge
from paddle_wrn.pages.web.texts import TEXTS

MOST_BYTES = 30 << 20  # of a photo
FORGET_AFTER = 3600  # seconds an uploaded photo is kept

log = logging.getLogger("paddle_wrn")
Upload = Mapping[str, Any]  # what gradio says of a file: its `path` here and its `orig_name` there


def build_page(classifier: Classifier, language: str, uploads: Path) -> gr.Blocks:
    """Return the page for one network.

    Args:
        classifier: the network, or an exported one.
        language: one of `languages.LANGUAGES`.
        uploads: the folder gradio puts uploaded files into.
    """
    texts = TEXTS[language]
    hint = texts["empty"].format(most=MOST_PHOTOS, megabytes=MOST_BYTES >> 20)
    empty = f'<div class="answers"><p>{hint}</p></div>'

    def answer(given: Sequence[Upload], one_subject: bool) -> str:
        if not given:
            return empty
        photos = [(upload.get("orig_name") or texts["photo"], Path(upload["path"])) for upload in given]
        try:
            reply = judge(classifier, photos, one_subject=one_subject)
        except Exception:  # the page lives on, and the visitor learns no more than that
            log.exception("a photo could not be judged")
            return f'<div class="answers"><article class="refused"><p>{texts["failed"]}</p></article></div>'
        return reply_html(reply, classifier.preprocessing, language)

    def answer_photos(gallery: Sequence[Mapping[str, Upload]] | None, one_subject: bool) -> str:
        return answer([item.get("image") or item["video"] for item in gallery or ()], one_subject)

    def answer_camera(upload: Upload | None) -> str:
        return answer([{**upload, "orig_name": texts["camera"]}] if upload else [], False)

    with gr.Blocks(
        title=texts["title"], analytics_enabled=False, delete_cache=(FORGET_AFTER // 4, FORGET_AFTER)
    ) as page:
        gr.Markdown(introduction(classifier, language))
        with gr.Row():
            with gr.Column():
                with gr.Tab(texts["photos"]):
                    photos = gr.Gallery(
                        label=texts["photos"], sources=["upload"], file_types=["image"], columns=3,
                        height=320, allow_preview=False, buttons=[], elem_id="photos",
                    )  # fmt: skip
                    one_subject = gr.Checkbox(label=texts["one_subject"], elem_id="one_subject")
                with gr.Tab(texts["camera"]):
                    camera = gr.Image(
                        show_label=False, sources=["webcam"], height=320, buttons=[], elem_id="camera"
                    )
            with gr.Column():
                answers = gr.HTML(empty, elem_id="answers", padding=False)
        for component in (photos, camera):
            _take_uploads_only(component, uploads)
        # The network is asked by one visitor at a time. Without `preprocess`, gradio leaves uploads unread:
        # files are opened by `preprocessing` alone, which knows what may be opened.
        shared: dict[str, Any] = {
            "outputs": answers, "preprocess": False, "concurrency_id": "network", "concurrency_limit": 1,
            "trigger_mode": "always_last", "api_visibility": "private",
        }  # fmt: skip
        gr.on([photos.change, one_subject.change], answer_photos, [photos, one_subject], **shared)
        camera.change(answer_camera, camera, **shared)
    page.queue(max_size=32)
    return page


def _take_uploads_only(component: gr.components.Component, folder: Path) -> None:
    """Have a component take the files in a folder alone.

    gradio would fetch a file from whatever address a visitor sends, and, since it did not start the server
    itself, read any file of this machine.
    """
    move = component.async_move_resource_to_block_cache

    async def move_upload(place: str | Path | None) -> str | None:
        if place is not None and not Path(place).resolve().is_relative_to(folder.resolve()):
            raise gr.Error("only uploaded files are read", print_exception=False)
        return await move(place)

    # Not by a class derived from it: gradio would write a .pyi file beside this one.
    component.async_move_resource_to_block_cache = move_upload  # type: ignore[assignment,method-assign]
