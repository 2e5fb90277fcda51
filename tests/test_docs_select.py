"""Every example of docs/select.md runs, in order, in a sample workspace."""

import re
import shlex
from pathlib import Path

import pytest

from bamkit.sample import make_sample

PAGE = Path(__file__).parents[1] / "docs" / "select.md"
BLOCKS = re.findall(r"^```(console|python)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def commands():
    for kind, text in BLOCKS:
        if kind == "console":
            yield from (line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ "))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs") / "trial"
    make_sample(folder, rows=3000)
    return folder


def test_commands_run_in_order(workspace, bamkit, six_trees):
    lines = list(commands())
    assert len(lines) > 8
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "bamkit"
        assert bamkit(words[1:], cwd=workspace).output, line


def test_python_runs(workspace, monkeypatch, capsys):
    monkeypatch.chdir(workspace)
    for kind, text in BLOCKS:
        if kind == "python":
            exec(compile(text, str(PAGE), "exec"), {})
    assert "images are labelled happy" in capsys.readouterr().out


def test_every_option_named_exists():
    from bamkit.commands.curate.select import command

    known = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    known |= {"--db", "--csv", "--json", "--rows", "--force", "--to", "--without-pandas"}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE.read_text(encoding="utf-8")))
    assert named <= known
