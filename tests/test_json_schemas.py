"""Every command's JSON has a schema. That outputs keep to them is checked wherever a test asks for JSON."""

import pytest
from json_schemas import FOLDER, OTHER, check, commands, name_of, validator


def test_every_command_has_one_and_there_is_none_without_a_command():
    wanted = set()
    for name, command in commands():
        options = {option for parameter in command.params for option in parameter.opts}
        wanted |= {name, *(f"{name}-{what}" for option, what in OTHER.items() if option in options)}
    assert {path.stem for path in FOLDER.glob("*.json")} == wanted


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.json")))
def test_it_is_a_schema_that_says_something(name):
    schema = validator(name).schema
    assert schema["title"].startswith("bamkit " + name.split("-")[0])
    assert not validator(name).is_valid("nonsense")
    assert not validator(name).is_valid({"nonsense": 1})


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("-w here judge card --json", "judge-card"),
        ("select --emotion happy --json --explain", "select-explain"),
        ("evaluate --answers folder --json", "evaluate-answers"),
        ("sql select --json", "sql"),
    ],
)
def test_the_schema_of_a_line(line, name):
    assert name_of(line.split()) == name


def test_what_a_schema_does_not_say_is_found():
    with pytest.raises(AssertionError, match=r"docs/schemas/report.json: figures: 'many' is not of type 'integer'"):
        check(["report", "--json"], '{"path": "", "figures": "many", "tables": 1, "domains": [], "database": null}')
    with pytest.raises(AssertionError, match="'path' is a required property"):
        check(["report", "--json"], '{"figures": 1, "tables": 1, "domains": [], "database": null}')
