"""Settings dataclasses: one check of types, ranges and choices, and the options that are made of them."""

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import click
import pytest
from click.testing import CliRunner

from bamkit.commands.options import settings_options
from bamkit.common.errors import BamkitError
from bamkit.common.settings import PYTHON_ONLY, Choice, Option, Range, build, check, docstrings, settings_of


@dataclass(frozen=True)
class Inner:
    quality: Annotated[int, Range(1, 100)] = 95
    """JPEG quality.

    More for those who read the source.
    """
    seconds: Annotated[float, Range(0, min_open=True)] = 60.0
    """Total time."""
    share: Annotated[float, Range(0, 1, max_open=True)] = 0.5
    """A share."""

    def __post_init__(self):
        check(self)


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    fit: Annotated[str, Choice("squash", "crop")] = "squash"
    """How."""
    group_by: Annotated[str, Choice("project")] = ""
    """Whether."""
    mature: bool = True
    """No mature images."""
    noai: Annotated[bool, Option("--ignore-noai")] = True
    """Ignore it."""
    flip: Annotated[bool, Option("--flip/--no-flip")] = True
    """Mirror."""
    force_it: bool = False
    """Do it."""
    rate: Annotated[float | None, Range(0)] = None
    """Requests."""
    weights: Annotated[Path | None, Option(metavar="FILE", default="from scratch")] = None
    """Weights."""
    having: Annotated[tuple[str, ...], Option("--with", metavar="ATTR")] = ()
    """Labels."""
    secret: Annotated[int, PYTHON_ONLY] = 3
    """For Python."""

    def __post_init__(self):
        check(self)


def test_a_docstring_is_the_help_up_to_its_first_empty_line():
    assert docstrings(Inner)["quality"] == "JPEG quality."


@pytest.mark.parametrize(
    ("cls", "values", "says"),
    [
        (Inner, {"quality": 101}, "--quality must be from 1 to 100, not 101"),
        (Inner, {"quality": 0}, "--quality must be from 1 to 100, not 0"),
        (Inner, {"quality": 10**400}, "--quality must be a number of at most 64 bits"),
        (Inner, {"quality": 9.5}, "--quality must be a whole number, not 9.5"),
        (Inner, {"quality": True}, "--quality must be a whole number, not True"),
        (Inner, {"quality": None}, "--quality must be a whole number, not None"),
        (Inner, {"seconds": 0}, "--seconds must be above 0, not 0"),
        (Inner, {"seconds": float("nan")}, "--seconds must be a number, not nan"),
        (Inner, {"share": 1.0}, r"--share must be in [0, 1), not 1"),
        (Outer, {"fit": "stretch"}, "--fit must be one of squash, crop, not 'stretch'"),
        (Outer, {"group_by": "mid"}, "--group-by must be one of project, not 'mid'"),
        (Outer, {"mature": "no"}, "--no-mature must be true or false, not 'no'"),
        (Outer, {"rate": -1}, "--rate must be at least 0, not -1"),
        (Outer, {"rate": "fast"}, "--rate must be a number, not 'fast'"),
        (Outer, {"weights": 3}, "--weights must be a path, not 3"),
        (Outer, {"having": ("a", 3)}, "--with must be text, not 3"),
        (Outer, {"secret": "x"}, "secret must be a whole number, not 'x'"),
    ],
)
def test_what_does_not_hold_is_refused_in_one_way(cls, values, says):
    with pytest.raises(BamkitError) as error:
        cls(**values)
    assert error.value.message == says


@pytest.mark.parametrize("values", [{"rate": 0}, {"rate": None}, {"weights": "x.pth"}, {"weights": Path("x")}])
def test_what_holds_is_taken(values):
    assert Outer(**values) == Outer(**values)


def parsed(*words, code=0):
    caught = {}

    @click.command()
    @settings_options(Outer)
    def probe(**given):
        caught.update(given)

    result = CliRunner().invoke(probe, words)
    assert result.exit_code == code, result.output
    return caught, result.output


def test_what_is_not_given_is_none_and_takes_the_default():
    given, _ = parsed()
    assert set(given.values()) == {None, ()}
    assert build(Outer, given) == Outer()


def test_options_are_named_and_turned_around_as_declared():
    words = "--no-mature --ignore-noai --no-flip --force-it --with a --with b --quality 5 --fit CROP --weights w.pth"
    given, _ = parsed(*words.split())
    assert build(Outer, given) == Outer(
        Inner(5), "crop", mature=False, noai=False, flip=False, force_it=True, weights=Path("w.pth"), having=("a", "b")
    )


def test_help_shows_docstrings_defaults_and_ranges():
    text = parsed("--help")[1]
    assert "JPEG quality.  [default: 95; 1<=x<=100]" in text
    assert "--fit [squash|crop]" in text
    assert "--flip / --no-flip" in text
    assert "Mirror.  [default: yes]" in text
    assert "--weights FILE" in text
    assert "[default: from scratch]" in text
    assert "--secret" not in text
    assert "None" not in text


def test_a_value_out_of_range_is_a_usage_error_on_the_command_line():
    assert "101 is not in the range" in parsed("--quality", "101", code=2)[1]


CLASSES = (
    "curate.select.query:Query",
    "curate.fetch.settings:PictureSettings",
    "curate.fetch.settings:Limits",
    "curate.fetch.settings:Politeness",
    "curate.fetch.settings:FetchSettings",
    "curate.export.settings:ExportSettings",
    "gan.train.settings:TrainConfig",
    "gan.translate.settings:TranslateConfig",
    "gan.judge.settings:JudgeConfig",
    "gan.evaluate.settings:EvaluateOptions",
    "gan.user_study.settings:StudyOptions",
    "experiment.settings:StudyConfig",
    "experiment.settings:DemoConfig",
)
REQUIRED = {"Query": {"attribute": "happy"}, "ExportSettings": {"to": "csv"}}


@pytest.mark.parametrize("place", CLASSES)
def test_every_settings_class_is_checked_and_explained(place):
    module, name = place.split(":")
    cls = getattr(importlib.import_module(f"bamkit.{module}"), name)
    required = REQUIRED.get(name, {})
    cls(**required)
    for setting in settings_of(cls):
        assert setting.nested or len(docstrings(cls)[setting.name]) > 5, setting.name
        wrong = []
        if setting.range and setting.range.min is not None:
            wrong.append(setting.range.min - 1)
        if setting.range and setting.range.max is not None:
            wrong.append(setting.range.max + 1)
        if setting.choices:
            wrong.append("no such word")
        if setting.kind in (int, float) and not setting.multiple:
            wrong += ["7", True]
        for value in wrong:
            value = (value,) if setting.multiple else value
            with pytest.raises(BamkitError, match=f"{setting.shown} must be"):
                cls(**required | {setting.name: value})


def test_settings_are_read_once():
    assert settings_of(Outer) is settings_of(Outer)
