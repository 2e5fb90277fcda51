"""bamkit.toml as defaults of a command's options: every name and value is checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import CONFIG, Workspace


def defaults(ctx: click.Context, workspace: Workspace) -> dict[str, Any]:
    """What the workspace's bamkit.toml says about the parameters of the command of `ctx`, by parameter name.

    A key is spelt as the option is on the command line (`json`, `no-mature`, `with`); the command's own table beats
    the top level. Raises BamkitError where a table, a key or a value is wrong, also for other commands' tables' names.
    """
    try:
        return _read(ctx, workspace)
    except BamkitError as error:
        raise BamkitError(f"{workspace.root / CONFIG}: {error.message}", error.hint) from error


def _read(ctx: click.Context, workspace: Workspace) -> dict[str, Any]:
    tables = {name for name, value in workspace.config.items() if isinstance(value, dict)}
    shared = {_spelling(key): value for key, value in workspace.config.items() if key not in tables}
    own = _own(ctx, workspace.config)
    known = _spellings(ctx.command)
    for table in tables:
        _one_of(table, _commands(ctx), f"[{table}] belongs to no command")
    for key in own:
        _one_of(key, known, f"`bamkit {ctx.command_path.partition(' ')[2]}` has no option --{key}")
    for key in shared.keys() - known.keys():
        _one_of(key, _all_spellings(ctx), f"no command has an option --{key}")
    values = {}
    for key, value in {**shared, **own}.items():
        if key == "db":
            # The top-level one is read by Workspace.database(), also where a command has no --db.
            value = workspace.located(value) if key in own else None
        if key in known:
            parameter, negated = known[key]
            values[parameter.name or ""] = _checked(ctx, parameter, key, value, negated)
    return values


def _spelling(key: str) -> str:
    return key.replace("_", "-")


def _spellings(command: click.Command) -> dict[str, tuple[click.Option, bool]]:
    """Each long option without its dashes: its parameter, and whether it is the negative of a pair."""
    spellings = {}
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name != "workspace":
            for names, negated in ((parameter.opts, False), (parameter.secondary_opts, True)):
                spellings.update({name[2:]: (parameter, negated) for name in names if name.startswith("--")})
    return spellings


def _commands(ctx: click.Context) -> dict[str, click.Command]:
    root = ctx.find_root()
    if not isinstance(root.command, click.Group):
        return {ctx.info_name or "": ctx.command}
    names = root.command.list_commands(root)
    return {name: command for name in names if (command := root.command.get_command(root, name))}


def _all_spellings(ctx: click.Context) -> set[str]:
    commands = list(_commands(ctx).values())
    commands += [inner for group in commands if isinstance(group, click.Group) for inner in group.commands.values()]
    return {key for command in commands for key in _spellings(command)} | {"db"}


def _own(ctx: click.Context, config: Mapping[str, Any]) -> dict[str, Any]:
    """The command's own table: `bamkit judge train` reads [judge.train], not [train]."""
    if ctx.parent is not None and ctx.parent.parent is not None:
        config = config.get(ctx.parent.info_name or "", {})
    own = config.get(ctx.info_name or "", {}) if isinstance(config, dict) else {}
    return {_spelling(key): value for key, value in own.items()} if isinstance(own, dict) else {}


def _one_of(name: str, known: Iterable[str], message: str) -> None:
    known = list(known)
    if name not in known:
        import difflib

        near = difflib.get_close_matches(name, known, 1)
        raise BamkitError(message, f"did you mean {near[0]}?" if near else "bamkit COMMAND --help names them all")


def _checked(ctx: click.Context, parameter: click.Option, key: str, value: Any, negated: bool) -> Any:
    """The value as the option takes it, which click would only say without naming the file."""
    if value is None:
        return None
    if parameter.multiple and not isinstance(value, list):
        value = [value]
    if isinstance(value, dict) or (isinstance(value, list) and not parameter.multiple):
        raise BamkitError(f"{key} = {value!r}: this option takes one value")
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str | int | float):  # TOML has dates, too
            raise BamkitError(f"{key} = {item}: this option takes text or a number")
    try:
        taken = parameter.type_cast_value(ctx, value)
    except click.BadParameter as error:
        raise BamkitError(f"{key} = {value!r}: {error.message}") from error
    except AttributeError as error:  # click's yes-or-no takes text, true and false
        raise BamkitError(f"{key} = {value!r}: this option takes true or false") from error
    return not taken if negated else value
