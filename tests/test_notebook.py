"""The notebook of docs/ runs, and what is kept of its outputs is small and of no machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def kinds(cell):
    """Return the forms in which a cell shows its results: text, a table, a picture."""
    return [sorted(output["data"]) for output in cell["outputs"] if "data" in output]


@pytest.mark.filterwarnings("default")  # of the libraries that run notebooks
def test_the_notebook_runs_and_shows_what_is_kept_of_it(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [kinds(cell) for cell in ran] == [kinds(cell) for cell in code]
    assert "6 of 6 cells done" in ran[1].outputs[0].data["text/plain"]
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "pareto.pdf").is_file()


def test_what_is_kept_of_its_outputs_is_small_and_names_no_place():
    assert NOTEBOOK.stat().st_size < 150_000
    outputs = json.dumps([cell.get("outputs") for cell in CELLS])
    assert "/home" not in outputs
    assert "/tmp" not in outputs
