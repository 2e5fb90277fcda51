"""Settings as frozen dataclasses: how a field is declared, and the one check of all of them.

    @dataclass(frozen=True)
    class BuildSettings:
        size: Annotated[int, Range(8, 8192)] = 286
        \"\"\"Side of the pictures in pixels.\"\"\"
        fit: Annotated[str, Choice("squash", "crop")] = "squash"
        \"\"\"How a picture becomes a square.\"\"\"

        def __post_init__(self) -> None:
            check(self)

The docstring under a field, up to its first empty line, is the help of the option that commands/options.py makes of it.
Modules of settings import nothing heavy: the command line reads them before it knows what it will do.
"""

from __future__ import annotations

import ast
import inspect
import os
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from bamkit.common.errors import BamkitError

T = TypeVar("T")
KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", os.PathLike: "a path"}


@dataclass(frozen=True)
class Range:
    """The numbers a setting takes, both ends included unless they are open."""

    min: float | None = None
    max: float | None = None
    min_open: bool = False
    max_open: bool = False

    def holds(self, value: float) -> bool:
        above = self.min is None or value > self.min or (value == self.min and not self.min_open)
        return above and (self.max is None or value < self.max or (value == self.max and not self.max_open))

    def __str__(self) -> str:
        if self.max is None:
            return f"{'above' if self.min_open else 'at least'} {self.min:,g}"
        if self.min_open or self.max_open:
            return f"in {'(' if self.min_open else '['}{self.min:g}, {self.max:g}{')' if self.max_open else ']'}"
        return f"from {self.min:,g} to {self.max:,g}"


class Choice(tuple[str, ...]):
    """The words a setting takes. Where the default is empty, that is allowed too."""

    __slots__ = ()

    def __new__(cls, *words: str) -> Choice:
        return super().__new__(cls, words)


@dataclass(frozen=True)
class Option:
    """How a field appears on the command line, where its name and type do not say it all."""

    name: str = ""
    """Such as `--with`, or `--flip/--no-flip`. "": `--NAME`, and `--no-NAME` for what is true by default."""
    metavar: str | None = None
    """What stands for the value in the help."""
    default: str | None = None
    """The default as the help tells it, where the value does not say what it means; "" leaves it out."""
    complete: str | None = None
    """What completes the value in a shell, see commands.options.completed."""
    hidden: bool = False
    """There is no such option: the field is for Python alone."""


PYTHON_ONLY = Option(hidden=True)


@dataclass(frozen=True)
class Setting:
    """One field of a settings dataclass, as the check and the command line need it."""

    name: str
    kind: Any
    """int, float, str, bool or os.PathLike; of a tuple or frozenset: that of its items; else a settings dataclass."""
    default: Any
    optional: bool
    """Whether None is a value."""
    multiple: bool
    range: Range | None
    choices: Choice | None
    option: Option

    @property
    def nested(self) -> bool:
        """Whether the field is a settings dataclass itself."""
        return is_dataclass(self.kind)

    @property
    def declaration(self) -> str:
        """The option as click declares it: `--top`, `--no-mature`, `--flip/--no-flip`."""
        negative = "no-" if self.kind is bool and self.default is True else ""
        return self.option.name or f"--{negative}{self.name.replace('_', '-')}"

    @property
    def negated(self) -> bool:
        """Whether giving the option makes the field false."""
        return self.kind is bool and self.default is True and "/" not in self.declaration

    @property
    def parameter(self) -> str:
        """The name under which click hands the value over."""
        return self.declaration.partition("/")[0].removeprefix("--").replace("-", "_")

    @property
    def shown(self) -> str:
        """The name in messages."""
        return self.name if self.option.hidden else self.declaration.partition("/")[0]


@cache
def settings_of(cls: Any) -> tuple[Setting, ...]:
    """The fields of a settings dataclass, in order."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        _setting(field.name, hints[field.name], None if field.default is MISSING else field.default)
        for field in fields(cls)
    )


def _setting(name: str, hint: Any, default: Any) -> Setting:
    marks: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        marks = tuple(rest)
    optional = get_origin(hint) in (Union, types.UnionType)
    if optional:
        hint = next(kind for kind in get_args(hint) if kind is not type(None))
    multiple = get_origin(hint) in (tuple, frozenset)
    kind = get_args(hint)[0] if multiple else hint
    if kind not in KINDS and not is_dataclass(kind) and issubclass(kind, os.PathLike):
        kind = os.PathLike

    def mark(of: type) -> Any:
        return next((mark for mark in marks if isinstance(mark, of)), None)

    return Setting(name, kind, default, optional, multiple, mark(Range), mark(Choice), mark(Option) or Option())


def check(config: Any, hint: str = "") -> None:
    """Raises BamkitError for the first field of a settings dataclass whose type, range or choice does not hold."""
    cls: Any = type(config)
    for setting in settings_of(cls):
        value = getattr(config, setting.name)
        if not (value is None and setting.optional):
            for item in value if setting.multiple else (value,):
                _check(setting, item, hint)


def _check(setting: Setting, value: Any, hint: str) -> None:
    kind: Any = setting.kind
    allowed: Any = (int, float) if kind is float else (str, os.PathLike) if kind is os.PathLike else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool) or value != value:
        raise BamkitError(f"{setting.shown} must be {KINDS.get(kind, kind)}, not {value!r}", hint)
    if isinstance(value, int) and abs(value) >= 2**63:
        raise BamkitError(f"{setting.shown} must be a number of at most 64 bits", hint)
    if setting.range and not setting.range.holds(value):
        raise BamkitError(f"{setting.shown} must be {setting.range}, not {value:g}", hint)
    if setting.choices and value not in (*setting.choices, setting.default):
        raise BamkitError(f"{setting.shown} must be one of {', '.join(setting.choices)}, not {value!r}", hint)


def build(cls: Callable[..., T], given: Mapping[str, Any], **fixed: Any) -> T:
    """A settings dataclass from the values of its options, by option, and from `fixed` ones, by field.

    None means not given; options that are not its own are ignored. A field that is a settings dataclass itself is built
    from the same options.
    """
    values: dict[str, Any] = {}
    for setting in settings_of(cls):
        value = given.get(setting.parameter)
        if setting.nested:
            values[setting.name] = build(setting.kind, given)
        elif value is not None and not (setting.multiple and not value):
            values[setting.name] = not value if setting.negated else value
    return cls(**values, **fixed)


@cache
def docstrings(cls: Any) -> dict[str, str]:
    """By field of a dataclass, the string literal under it, up to its first empty line, from the source."""
    tree = ast.parse(inspect.getsource(sys.modules[cls.__module__]))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__)
    return {
        before.target.id: " ".join(after.value.value.partition("\n\n")[0].split())
        for before, after in pairwise(body)
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name)
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
    }
