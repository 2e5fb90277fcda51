"""The notebook of the documentation: executed from end to end, kept without outputs."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"


def test_it_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 8
    assert not [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_goes_the_whole_way(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    from conftest import free_port

    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    first = notebook.cells[1]
    assert "rows=600)" in first.source
    first.source = first.source.replace("rows=600)", f"rows=600, port={free_port()})")
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()

    def outputs(word):
        (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and word in cell.source]
        return [output.get("data", {}) for output in cell.outputs]

    shown = outputs("ws.fetch(")
    lines = [data["text/plain"] for data in shown if "text/plain" in data and "text/html" not in data]
    assert lines[0].startswith("fetch  "), "the progress line is an output of its own"
    assert " in 0:" in lines[0], "and says in the end how long it took"
    assert "<table>" in shown[-1]["text/html"]
    assert "image/png" in outputs("happy.show(")[-1]
    assert "image/png" in outputs("run.translate(picture, ")[-1]
    assert outputs("after.shape")[-1]["text/plain"] == "((2, 96, 128, 3), dtype('float64'))"
    assert "happy-to-scary" in outputs("evaluation.figures")[-1]["text/html"]
    everything = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in everything if output.get("name") == "stderr"], "nothing is set in red"
