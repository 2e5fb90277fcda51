"""docs/evaluate.md: every command parses, the examples that need no other files run, the Python example runs."""

import re
import shlex
from pathlib import Path

import click
import evaluation_world as w
import pytest

from bamkit.cli import root

TEXT = (Path(__file__).parents[1] / "docs" / "evaluate.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.M | re.S)


LINES = [line for block in blocks("") for line in block.replace("\\\n", " ").splitlines() if line.startswith("bamkit ")]


def parse(command, words, parent):
    """Parse as click would, without running anything."""
    context = command.make_context(words[0], list(words[1:]), parent=parent)
    if isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args] if hasattr(context, "_protected_args") else context.args
        parse(command.commands[rest[0]], rest, context)


@pytest.mark.parametrize("line", LINES)
def test_every_command_parses(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line, comments=True)
    context = click.Context(root, info_name="bamkit", **root.context_settings)  # click keeps a command's first --help
    parse(root.get_command(context, words[1]), words[1:], context)


def test_there_are_commands():
    assert len(LINES) >= 15


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    w.world(tmp_path, train=6, test=12)
    monkeypatch.chdir(tmp_path)
    for example in blocks("python"):
        exec(compile(example, "docs/evaluate.md", "exec"), {})
    assert "±" in capsys.readouterr().out


def test_every_option_named_exists():
    from bamkit.commands.curate import fetch, select
    from bamkit.commands.gan import compare, evaluate, judge

    commands = [evaluate.command, compare.command, fetch.command, select.command, *judge.command.commands.values()]
    known = {flag for command in commands for option in command.params for flag in option.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT)) <= known
