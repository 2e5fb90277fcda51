"""Every command and every Python example of docs/report.md and docs/curate.md runs."""

import re
import shutil
from pathlib import Path

import pytest
from domains import bam, two_domains

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", ["report", "curate"])
def test_the_examples_run(name, tmp_path, bamkit, monkeypatch, capsys):
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    two_domains(tmp_path)
    if name == "curate":
        bam(tmp_path / "bam.sqlite", n=600)
    lines = [line[2:] for block in re.findall(r"```console\n(.*?)```", text, re.S) for line in block.splitlines()]
    examples = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(lines) >= 2
    assert len(examples) == 2
    monkeypatch.chdir(tmp_path)
    for line in lines:
        assert line.startswith("bamkit ")
        if line.startswith("bamkit select"):
            shutil.rmtree(tmp_path / "splits", ignore_errors=True)  # made from the selections that were there before
        # The example asks for as many images as in the study; this database has but 600, and `happy` is there already.
        small = line.removeprefix("bamkit ").replace(
            "--top 1000", "--top 30 --test 5 --validation 5 --reserve 5 --force"
        )
        # Shared projects are there to be found, so that this command ends with 1.
        result = bamkit(small, code=1 if "--group-by project" in line and line.startswith("bamkit check") else 0)
        assert result.output.strip()
    for example in examples:
        exec(compile(example, f"docs/{name}.md", "exec"), {})
    assert capsys.readouterr().out.strip()
