"""The notebook of first steps: it runs from top to bottom, and its output can be read without running it.

To write its output anew, run it in a Jupyter, or: ``jupyter execute --inplace docs/quickstart.ipynb``.
"""

import re
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "quickstart.ipynb"


def read():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    return notebook, [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cells):
    """What each cell prints or returns."""
    return [
        "".join(out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.outputs)
        for cell in cells
    ]


def accuracies(cells):
    """Percent of the drawn faces that are named rightly: before training and after it."""
    (line,) = [text for text in texts(cells) if text.startswith("before")]
    return [int(percent) for percent in re.findall(r"(\d+)% of 700 drawn faces", line)]


def test_it_can_be_read_as_it_is():
    notebook, cells = read()
    nbformat.validate(notebook)
    assert NOTEBOOK.stat().st_size < 400_000
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    pictures = [out for cell in cells for out in cell.outputs if "image/png" in out.get("data", {})]
    assert len(pictures) == 3
    before, after = accuracies(cells)
    assert before + 20 < after
    assert not [out for cell in cells for out in cell.outputs if out.output_type == "error"]
    # No path of the machine that ran it, and nothing that is hard to read: warnings, escapes of a terminal.
    for text in texts(cells):
        assert not re.search(r"/(tmp|root|home|usr)/|Warning|\x1b", text), text


def test_it_says_what_to_install():
    notebook, cells = read()
    assert "pip install -r requirements.txt" in notebook.cells[1].source
    assert re.match(r"# !git clone .*\n# %pip install .*requirements\.txt\n", cells[0].source)


def test_its_links_lead_somewhere():
    notebook, _ = read()
    text = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links
    assert all((NOTEBOOK.parent / link).is_file() for link in links)


@pytest.mark.nightly
@pytest.mark.filterwarnings("default")  # of Jupyter's own
def test_it_runs(tmp_path):
    """In a copy of the project's folder, so that its run lies there."""
    for name in ("fer_jax", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").mkdir()
    notebook, cells = read()
    for cell in cells:
        cell.outputs = []
    started = time.monotonic()
    options = {"timeout": 600, "kernel_name": "python3", "coalesce_streams": True}
    NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path / "docs")}}, **options).execute()
    assert time.monotonic() - started < 600  # under 3 minutes on 2 quiet cores
    assert (tmp_path / "docs" / "runs" / "quickstart" / "curves.png").exists()
    before, after = accuracies(cells)
    assert before + 20 < after
