"""Serve the page on this machine, and nothing beyond it: no analytics, no fonts or scripts from elsewhere."""

import importlib.util
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from paddle_wrn.answering.classifier import load_classifier
from paddle_wrn.errors import UserError
from paddle_wrn.pages.languages import check_language
from paddle_wrn.pages.web.answers import style
from paddle_wrn.system.device import select_device
from paddle_wrn.system.serving import LOOPBACK, address_of, listen

PORT = 7860  # gradio's own
# Whatever a page or a future gradio may ask for, browsers fetch nothing from elsewhere:
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; form-action 'self'; base-uri 'self'"
)

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]


def serve(run: Path | str, *, host: str | None = None, port: int | None = None, language: str = "en") -> None:
    """Serve the page of a network until Ctrl-C.

    Args:
        run: run folder, a `best.safetensors`, or an exported folder.
        host: address to listen on; None: gradio's variable GRADIO_SERVER_NAME, else 127.0.0.1.
        port: 0: any that is free; None: gradio's variable GRADIO_SERVER_PORT, else 7860.
        language: `en` or `zh`.

    Raises:
        UserError: gradio is not installed, no such run, or the address cannot be used.
    """
    if importlib.util.find_spec("gradio") is None:
        raise UserError("the page needs gradio, which is not installed; install it with the extra app: "
                        "pip install '.[app]'")  # fmt: skip
    check_language(language)
    host = host or os.environ.get("GRADIO_SERVER_NAME") or LOOPBACK
    with listen(host, _port() if port is None else port) as taken:
        select_device("auto")
        classifier = load_classifier(run)
        import uvicorn

        with tempfile.TemporaryDirectory(prefix="paddle_wrn_page_") as uploads:
            os.environ["GRADIO_TEMP_DIR"] = uploads  # photos are gone when the page is
            os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # gradio reads it when it is imported
            os.environ["GRADIO_RUN_HISTORY"] = "False"  # or browsers would keep answers
            from paddle_wrn.pages.web.page import MOST_BYTES, build_page

            page = build_page(classifier, language, Path(uploads))
            application = _application(page, style(), MOST_BYTES)
            print(f"the page is at {address_of(taken)} (Ctrl-C ends it)", flush=True)
            # At the end, uvicorn would show a traceback for each page that is still open.
            settings = uvicorn.Config(
                application, log_level="critical", server_header=False, timeout_graceful_shutdown=1
            )
            with suppress(KeyboardInterrupt), _ending_by_signal():
                uvicorn.Server(settings).run(sockets=[taken])


@contextmanager
def _ending_by_signal() -> Iterator[None]:
    """Have the photos deleted at SIGTERM, too; uvicorn passes it on when it has ended, as it does Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _port() -> int:
    given = os.environ.get("GRADIO_SERVER_PORT") or str(PORT)
    if not given.isdecimal():
        raise UserError(f"GRADIO_SERVER_PORT: found {given!r}; a port is a number from 0 to 65535")
    return int(given)


def _application(page: Any, css: str, most_bytes: int) -> Asgi:
    import fastapi
    import gradio as gr

    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    application = gr.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        page,
        path="/",
        footer_links=[],
        show_error=False,
        max_file_size=most_bytes,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        root_path=os.environ.get("GRADIO_ROOT_PATH") or None,
        theme=theme,
        css=css,
    )
    return _with_policy(application)


def _with_policy(application: Asgi) -> Asgi:
    """Have every answer tell the browser to fetch nothing from elsewhere."""

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()), (b"content-security-policy", POLICY.encode())
                ]  # fmt: skip
            await send(message)

        await application(scope, receive, send_with_policy)

    return answer
