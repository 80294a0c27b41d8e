"""The notebooks: they run from top to bottom in their short setting, and none is kept with its outputs."""

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = {"bird_classification.ipynb", "compare_networks.ipynb", "inside_the_network.ipynb"}

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that looks like the checkout; what a notebook writes stays in it."""
    for name in ("paddle_wrn", "data_tools", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "notebooks").mkdir()
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        (tmp_path / ".jupyter" / name).mkdir(parents=True)
        monkeypatch.setenv(name, str(tmp_path / ".jupyter" / name))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("PADDLE_WRN_NOTEBOOK_QUICK", "1")
    return tmp_path


def run(notebook: Any, checkout: Path) -> str:
    """Execute a notebook with this very Python, and return what its cells printed and showed as text."""
    here = KernelSpecManager(
        kernel_dirs=[]
    )  # with none to choose from, `python3` is the Python that runs this
    client = NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=here),
        timeout=300,
        resources={"metadata": {"path": str(checkout / "notebooks")}},
    )
    client.execute(cleanup_kc=True)  # the sockets, too
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [output.get("data", {}).get("text/plain", "") for output in outputs]
    return "\n".join([*(output.get("text", "") for output in outputs), *shown])


def pictures(notebook: Any) -> int:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def test_all_are_there() -> None:
    assert {path.name for path in NOTEBOOKS} == NAMES


@each_notebook
def test_nothing_that_ran_is_kept(path: Path) -> None:
    notebook = read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 8
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert notebook.metadata.kernelspec.name == "python3"  # the name that is there everywhere


@each_notebook
def test_text_is_chinese_first_with_english_beside_it(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            chinese = [place for place, letter in enumerate(cell.source) if "\u4e00" <= letter <= "\u9fff"]
            assert chinese, cell.source
            assert sum(letter.isascii() and letter.isalpha() for letter in cell.source) > 6, cell.source
            assert min(chinese) < len(cell.source) / 3, cell.source


@each_notebook
def test_links_lead_somewhere(path: Path) -> None:
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links
    assert [link for link in links if not (path.parent / link).is_file()] == []


@pytest.mark.slow
@each_notebook
def test_it_runs_from_top_to_bottom(path: Path, checkout: Path) -> None:
    notebook = read(path)
    run(notebook, checkout)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert pictures(notebook) >= 3
    assert len(list((checkout / "runs").rglob("best.safetensors"))) >= 1


@pytest.mark.slow
def test_attached_photos_are_found(checkout: Path, photo_folder: Path) -> None:
    """As on AI Studio: a data set with an archive, beside a folder that holds no photos."""
    attached = checkout / "attached"
    (attached / "data1").mkdir(parents=True)
    (attached / "data1" / "readme.txt").write_text("no photos")
    shutil.make_archive(str(attached / "data2" / "birds"), "zip", photo_folder)
    notebook = read(ROOT / "notebooks" / "bird_classification.ipynb")
    found = next(place for place, cell in enumerate(notebook.cells) if "print(report(split))" in cell.source)
    notebook.cells = notebook.cells[: found + 1]
    for cell in notebook.cells:
        cell.source = cell.source.replace('/home/aistudio/data"', f'{attached}"')
    said = run(notebook, checkout)
    assert "跳过 / passed over" in said
    assert "红 三角" in said
    assert (checkout / "data" / "birds_lists" / "preview.png").is_file()


def test_a_failing_cell_is_noticed(checkout: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        run(notebook, checkout)
