"""The report on a run: one HTML file that opens without internet, prints well and fits a phone."""

import os
from pathlib import Path

from paddle_wrn.errors import UserError
from paddle_wrn.pages.report.findings import gather
from paddle_wrn.pages.report.page import write_page
from paddle_wrn.pages.report.texts import read_texts
from paddle_wrn.system.device import select_device
from paddle_wrn.system.files import write_atomically


def report(
    run: Path | str,
    *,
    language: str = "en",
    output: Path | str | None = None,
    data: Path | str | None = None,
) -> Path:
    """Write the report of a finished run.

    Args:
        run: run folder.
        language: `en` or `zh`.
        output: HTML file; by default `report.html`, or `report.zh.html`, in the run folder.
        data: folder of the lists; by default the one the run was trained on.

    Returns:
        The file.

    Raises:
        UserError: the run is not finished, its photos are not where its lists say, or the file cannot be
            written.
    """
    run, texts = Path(run), read_texts(language)
    name = "report.html" if language == "en" else f"report.{language}.html"
    file = run / name if output is None else Path(output)
    if output is not None or run.is_dir():  # a run that is not there is `gather`'s to complain about
        _refuse_bad_place(file)
    select_device("auto")
    page = write_page(gather(run, data, language), texts)
    # A file name may hold what no UTF-8 text can.
    write_atomically(file, lambda place: place.write_bytes(page.encode("utf-8", "backslashreplace")))
    return file


def _refuse_bad_place(file: Path) -> None:
    """Make the folder of the page, and complain before the work is done instead of after it."""
    if file.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{file}: the report is an HTML file; give a name that ends in .html")
    if file.is_dir():
        raise UserError(f"{file}: this is a folder; give the name of an HTML file")
    above = next(folder for folder in (file.parent, *file.parent.parents) if folder.exists())
    if not above.is_dir():
        raise UserError(f"{above}: this is a file where a folder is needed; choose another place")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"{above}: no permission to write into this folder; choose another --output")
    file.parent.mkdir(parents=True, exist_ok=True)
