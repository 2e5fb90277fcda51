"""Keywords as options: what is not given comes from the environment, bamkit.toml or the default, as in a shell."""

from __future__ import annotations

import difflib
import functools
import inspect
import keyword
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from click.core import ParameterSource

from bamkit.api.hints import in_python
from bamkit.cli import root
from bamkit.commands.defaults import defaults
from bamkit.common.errors import BamkitError
from bamkit.common.settings import Setting, settings_of
from bamkit.common.workspace import Workspace

Verb = TypeVar("Verb", bound=Callable[..., Any])


@dataclass(frozen=True)
class Options:
    """The values of a command's options."""

    values: dict[str, Any]
    """By the option's name with underscores."""
    named: frozenset[str]
    """Those that the caller or the environment gave."""

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def options_of(command: str, workspace: Workspace, given: Mapping[str, Any]) -> Options:
    """What a command's options are worth, `given` ones as keywords; None means not given.

    Precedence: keyword > environment (BAMKIT_FETCH_SIZE ...) > bamkit.toml > default. Raises BamkitError for a wrong
    name or value in the environment or in bamkit.toml.
    """
    context = click.Context(root, info_name="bamkit", auto_envvar_prefix="BAMKIT")
    for word in command.split():
        group = cast(click.Group, context.command)
        found = group.get_command(context, word)
        assert found is not None, command
        context = click.Context(found, context, info_name=word)
    # What the caller gave needs no parsing; what has a callback of its own is about the workspace, which is open.
    options = [one for one in context.command.params if isinstance(one, click.Option) and one.callback is None]
    open_ones: list[click.Parameter] = [one for one in options if given.get(one.name or "") is None]
    rest = click.Command(context.info_name, params=open_ones, add_help_option=False)
    inner = click.Context(rest, context.parent, info_name=context.info_name, default_map=defaults(context, workspace))
    try:
        rest.parse_args(inner, [])
    except click.BadParameter as error:
        raise BamkitError(f"in the environment: {error.format_message()}") from error
    named = {name for name, value in given.items() if value is not None}
    named |= {name for name in inner.params if inner.get_parameter_source(name) == ParameterSource.ENVIRONMENT}
    values = {name: value for name, value in given.items() if value is not None}
    return Options({**dict.fromkeys(given), **inner.params, **values}, frozenset(named))


def verb(command: str, *settings: Any) -> Callable[[Verb], Verb]:
    """Makes a method speak Python for a command.

    Its keywords `**options` are the options of these settings dataclasses, which `help()` and completion then name;
    lists become what the settings hold; errors say what to change in words of Python.
    """
    known = {word: setting for cls in settings for word, setting in keywords_of(cls).items()}

    def decorate(function: Verb) -> Verb:
        own = inspect.signature(function)
        explicit = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]

        @functools.wraps(function)
        def wrapper(*args: Any, **given: Any) -> Any:
            names = {parameter.name for parameter in explicit}
            if unknown := given.keys() - names - known.keys():
                raise TypeError(_unexpected(function.__name__, sorted(unknown)[0], [*names, *known]))
            values = {word: _plain(value, known.get(word)) for word, value in given.items()}
            try:
                return function(*args, **values)
            except BamkitError as error:
                error.message, error.hint = in_python(error.message, command), in_python(error.hint, command)
                error.args = (error.message,)
                raise

        more = [
            inspect.Parameter(word, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(setting))
            for word, setting in known.items()
            if word not in own.parameters
        ]
        # `help` and the completion of notebooks read it.
        wrapper.__signature__ = own.replace(parameters=[*explicit, *more])  # type: ignore[attr-defined]
        return cast(Verb, wrapper)

    return decorate


def keywords_of(cls: Any) -> dict[str, Setting]:
    """The keywords of a settings dataclass: its options, and what only Python can set. `with` is `with_`."""
    found: dict[str, Setting] = {}
    for setting in settings_of(cls):
        found |= keywords_of(setting.kind) if setting.nested else {as_keyword(setting.parameter): setting}
    return found


def as_keyword(name: str) -> str:
    """An option's name as a keyword: a word of Python gets an underscore behind."""
    return f"{name}_" if keyword.iskeyword(name) else name


def as_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords by the names of their options."""
    return {word.removesuffix("_"): value for word, value in given.items()}


def _plain(value: Any, setting: Setting | None) -> Any:
    """The value as settings hold it: one text for several is one of them, lists are tuples."""
    if setting is None or value is None:
        return value
    if setting.multiple:
        return (value,) if isinstance(value, str) else tuple(value)
    return Path(value) if setting.kind is os.PathLike else value


def _annotation(setting: Setting) -> Any:
    return tuple[setting.kind, ...] if setting.multiple else setting.kind  # type: ignore[name-defined]


def _unexpected(function: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{function}() got an unexpected keyword argument {name!r}" + (f": did you mean {near[0]}?" if near else "")
