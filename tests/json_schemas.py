"""The schemas of what `--json` prints (docs/schemas): the fixture `bamkit` holds every output of every test to them."""

import json
from functools import cache
from pathlib import Path

import click
from jsonschema import Draft202012Validator

from bamkit.cli import root

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"
# What asks for something else than a command's ordinary result.
OTHER = {"--explain": "explain", "--answers": "answers"}


@cache
def validator(name):
    schema = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def name_of(words):
    """The schema of a command line: `judge-card`, `select`, `select-explain`."""
    command, parts, rest = root, [], list(words)
    while rest and isinstance(command, click.Group):
        word = rest.pop(0)
        if word in ("-w", "--workspace"):
            rest.pop(0)
        elif not word.startswith("-"):
            command = command.get_command(click.Context(command), word)
            parts.append(word)
    return "-".join([*parts, *(name for option, name in OTHER.items() if option in words)])


def check(words, text):
    """Raises AssertionError where the JSON that a command line printed is not what its schema says."""
    start = min((place for place in (text.find("{"), text.find("[")) if place >= 0), default=0)
    value, _ = json.JSONDecoder().raw_decode(text[start:])
    name = name_of(words)
    wrong = [f"{'/'.join(map(str, error.path))}: {error.message[:300]}" for error in validator(name).iter_errors(value)]
    assert not wrong, f"docs/schemas/{name}.json: {'; '.join(wrong)}"


def commands(group=root, parts=()):
    """Every command with --json, by the name of its schema."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*parts, name))
        elif any("--json" in option.opts for option in command.params):
            yield "-".join([*parts, name]), command
