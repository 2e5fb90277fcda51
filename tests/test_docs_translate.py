"""Every command and every Python example of docs/translate.md and docs/export.md runs, in order, in a workspace."""

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from test_export import write_domain
from test_translate import picture, write_run

DOCS = Path(__file__).parents[1] / "docs"


def blocks(name, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", (DOCS / f"{name}.md").read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("name", ["translate", "export"])
def test_the_examples_run(name, tmp_path, bamkit, monkeypatch, capsys):
    write_domain(tmp_path, "happy", 100)
    write_domain(tmp_path, "scary", 200)
    run = write_run(tmp_path) / "run.json"
    run.write_text(run.read_text().replace("id-happy", "s-happy").replace("id-scary", "s-scary"))
    Image.fromarray(picture(40, 30)).save(tmp_path / "cat.jpg")
    (tmp_path / "holiday").mkdir()
    Image.fromarray(picture(24, 24)).save(tmp_path / "holiday" / "beach.png")
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks(name, "console") for line in block.splitlines()]
    assert len(lines) >= 4
    for line in lines:
        assert line.startswith("$ bamkit ")
        assert bamkit(shlex.split(line)[2:]).output, line
    for example in blocks(name, "python"):
        exec(compile(example, f"docs/{name}.md", "exec"), {})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("name", ["translate", "export"])
def test_every_option_named_exists(name):
    from bamkit.commands.curate import export
    from bamkit.commands.gan import train, translate

    commands = (translate.command, export.command, train.command)
    known = {flag for command in commands for option in command.params for flag in option.opts}
    text = (
        (DOCS / f"{name}.md").read_text(encoding="utf-8").replace("--dataroot", "").replace("translate.py --help", "")
    )
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= known
