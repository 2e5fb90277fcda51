"""Messages and hints of the command line in words of Python: `bamkit fetch --size 64` is `ws.fetch(size=64)`."""

from __future__ import annotations

import keyword
import re
import shlex
from typing import Any

import click

from bamkit.cli import MODULES, root

SAME = (
    "status", "info", "sql", "select", "fetch", "check", "balance", "report", "train", "translate", "evaluate",
    "compare", "verify", "diff", "export", "review",
)  # fmt: skip
METHODS = {name: name for name in SAME} | {"judge train": "train_judge"}
"""By command, the method of Workspace that does the same."""
ASKED = {
    ("select", "explain"): "explain", ("evaluate", "user_study"): "user_study", ("evaluate", "answers"): "answers",
    ("export", "run"): "import_run", ("export", "parquet"): "export_tables",
}  # fmt: skip
"""By command and option (or value of `--to`), the method for what has another result than the command's own."""
COMMAND = re.compile(rf"bamkit (?:(?:{'|'.join(MODULES)})\b)(?:(?!   #|[;`,]|: |$).)*")
"""A command in a text: it reaches to a remark, a mark of punctuation or the end."""
OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)(?: ([A-Z][A-Z-]*|\d+)\b)?")
"""An option, with what stands for its value if anything does."""


def in_python(text: str, command: str) -> str:
    """A message or hint with calls in place of commands, and keywords in place of options.

    `command` is the one whose options are meant where none is named. What has no counterpart stays as it is.
    """
    return "\n".join(_line(line, command) for line in text.splitlines())


def _line(line: str, command: str) -> str:
    pieces, end = [], 0
    for found in COMMAND.finditer(line):
        pieces += [_options(line[end : found.start()], command), _call(found[0])]
        end = found.end()
    return "".join([*pieces, _options(line[end:], command)])


def _options(text: str, command: str) -> str:
    return OPTION.sub(lambda found: _keyword(found[1], found[2], command), text)


def _call(typed: str) -> str:
    """`bamkit select --emotion happy` as `ws.select(emotion='happy')`; as typed where there is no such call."""
    text = typed.rstrip()
    space = typed[len(text) :]
    words = shlex.split(re.sub(r"(?<=\S)\.$", "", text))[1:] if text.count("'") % 2 == 0 else []
    if words[:1] == ["sample"] and len(words) == 2:
        return f"bamkit.Workspace.sample({words[1]!r}){space}"
    name = " ".join(words[:2]) if words[:1] == ["judge"] else words[0] if words else ""
    if name not in METHODS or "..." in words:
        return typed
    method, options = _parsed(name, words[len(name.split()) :])
    return f"ws.{method}({', '.join(options)}){space}" if method else typed


def _parsed(name: str, words: list[str]) -> tuple[str, list[str]]:
    """The method and its arguments; no method where the words do not parse."""
    command: Any = root
    context = click.Context(root)
    for part in name.split():
        command = command.get_command(context, part)
        context = click.Context(command, context, info_name=part)
    try:
        given, rest, order = command.make_parser(context).parse_args(list(words))
    except click.UsageError:
        return "", []
    method, arguments, keywords = METHODS[name], [], []
    for parameter in dict.fromkeys(order):
        value = given.get(parameter.name)
        asked = ASKED.get((name, value if parameter.name == "to" else parameter.name))
        method = asked or method
        if asked and method != "answers":
            continue
        if isinstance(parameter, click.Argument):
            values = value if isinstance(value, list | tuple) else [value]
            arguments += [repr(one) for one in values if isinstance(one, str)]
        else:
            keywords.append(f"{_word(parameter)}={_value(parameter, value)}")
    return method, [*arguments, *map(repr, rest), *keywords]


def _word(parameter: click.Parameter) -> str:
    """An option as a keyword: its name with underscores; a word of Python gets one behind."""
    name = next(option for option in parameter.opts if option.startswith("--"))[2:].replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


def _value(parameter: click.Parameter, value: Any) -> str:
    if getattr(parameter, "is_flag", False) and not isinstance(value, str):
        return repr(value if value is not None else True)
    if isinstance(value, list | tuple):
        return repr([str(one) for one in value]) if len(value) > 1 else repr(value[0])
    try:
        return str(int(value))
    except (TypeError, ValueError):
        return repr(value)


def _keyword(option: str, value: str | None, command: str) -> str:
    """`--force` as `force=True`, `--name` as `name`, `--name NAME` as `name=NAME`."""
    context = click.Context(root)
    found: Any = root
    for part in command.split():
        found = found.get_command(context, part)
    for parameter in found.params:
        if isinstance(parameter, click.Option) and f"--{option}" in parameter.opts + parameter.secondary_opts:
            word = _word(parameter)
            flag = parameter.is_flag and parameter.flag_value is not None
            text = f"{word}={f'--{option}' in parameter.opts}" if flag else word
            return text if value is None else f"{text} {value}" if flag else f"{text}={value}"
    return f"--{option} {value}" if value else f"--{option}"
