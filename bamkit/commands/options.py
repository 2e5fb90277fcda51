"""Options that several commands share."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bamkit.commands.defaults import defaults
from bamkit.common.contract import ATTRIBUTES, EMOTION, short
from bamkit.common.errors import BamkitError
from bamkit.common.settings import Setting, docstrings, settings_of
from bamkit.common.workspace import Workspace, as_on_disk

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Command = Callable[..., Any]


def pass_workspace(function: Command) -> Command:
    """Adds `-w DIR` and passes the opened Workspace as `workspace`; bamkit.toml then gives the other options' defaults.

    Precedence: command line > environment (BAMKIT_FETCH_SIZE ...) > bamkit.toml > default.
    """
    return click.option(
        "-w",
        "--workspace",
        metavar="DIR",
        is_eager=True,
        expose_value=True,
        callback=_open,
        shell_complete=click.Path(file_okay=False).shell_complete,
        help="The workspace folder (default: this folder, or BAMKIT_WORKSPACE).",
    )(function)


def _open(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Workspace:
    chosen = value or ctx.find_root().params.get("workspace") or "."
    if ctx.resilient_parsing:  # a shell completes: nothing is run, so bamkit.toml says nothing
        return Workspace(Path(chosen))
    chosen = str(as_on_disk(Path(chosen)))
    if not Path(chosen).exists():
        raise BamkitError(f"there is no folder {chosen}", f"mkdir {shlex.quote(chosen)}   # or another -w DIR")
    workspace = Workspace.open(chosen)
    ctx.default_map = defaults(ctx, workspace)
    return workspace


COMPLETIONS: dict[str, Callable[[Workspace], Iterable[str]]] = {
    "emotions": lambda workspace: EMOTION,
    "attributes": lambda workspace: [*map(short, ATTRIBUTES), *ATTRIBUTES],
    "selections": Workspace.selection_names,
    "splits": Workspace.split_names,
    "data": lambda workspace: sorted({*workspace.selection_names(), *workspace.split_names()}),
    "runs": Workspace.run_names,
    "exportable": lambda workspace: sorted({*workspace.split_names(), *workspace.run_names()}),
}
"""By kind of name, what a shell may complete it to."""


PATHS = {"files": "file", "folders": "dir"}
"""By kind of path, what click's scripts call it: the shell itself completes it."""


def completed(*kinds: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """The `shell_complete` of a parameter that takes names or paths of these kinds."""

    def items(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        workspace = _open(ctx, parameter, None) if ctx.params.get("workspace") is None else ctx.params["workspace"]
        names = [name for kind in kinds if kind not in PATHS for name in COMPLETIONS[kind](workspace)]
        # Paths first: click's script for bash forgets what came before one.
        paths = [CompletionItem(incomplete, type=PATHS[kind]) for kind in kinds if kind in PATHS]
        return paths + [CompletionItem(name) for name in names if name.startswith(incomplete)]

    return items


NUMBERS = {int: "INTEGER", float: "FLOAT"}
"""What stands for a number in the help; the range stands behind the default."""


class SettingOption(click.Option):
    """The option of one field of a settings dataclass: None where it is not given, the field's docstring as help."""

    def __init__(self, names: Sequence[str], owner: type, setting: Setting) -> None:
        self.owner, self.setting = owner, setting
        super().__init__(
            names,
            type=_click_type(setting),
            is_flag=setting.kind is bool or None,
            multiple=setting.multiple,
            default=None,
            metavar=setting.option.metavar or NUMBERS.get(setting.kind),
            shell_complete=completed(setting.option.complete) if setting.option.complete else None,
        )

    @property
    def help(self) -> str | None:
        """Read from the source only where it is shown, which keeps the start short."""
        return docstrings(self.owner).get(self.setting.name)

    @help.setter
    def help(self, value: str | None) -> None:
        pass

    def get_help_extra(self, ctx: click.Context) -> Any:
        extra = super().get_help_extra(ctx)
        if default := self._default_text():
            extra["default"] = default
        return extra

    def _default_text(self) -> str:
        default = self.setting.default
        if self.setting.option.default is not None:
            return self.setting.option.default
        if self.setting.kind is bool:
            return ("yes" if default else "no") if self.secondary_opts else ""
        return " ".join(default) if self.setting.multiple else "" if default is None else str(default)


def _click_type(setting: Setting) -> Any:
    if setting.kind is os.PathLike:
        return click.Path(path_type=Path)
    if setting.choices:
        return click.Choice(setting.choices, case_sensitive=False)
    if setting.range and setting.kind in (int, float):
        kind: Any = click.IntRange if setting.kind is int else click.FloatRange
        bounds = setting.range
        return kind(bounds.min, bounds.max, bounds.min_open, bounds.max_open)
    return setting.kind


def settings_options(*classes: Any) -> Callable[[Command], Command]:
    """Adds an option for every field of these settings dataclasses, in order; see common/settings.py.

    The values arrive by option name, None where one was not given: `build(cls, given)` makes the settings of them.
    """

    def add(function: Command) -> Command:
        for cls in reversed(classes):
            for setting in reversed(settings_of(cls)):
                if setting.nested:
                    settings_options(setting.kind)(function)
                elif not setting.option.hidden:
                    click.option(setting.declaration, cls=SettingOption, owner=cls, setting=setting)(function)
        return function

    return add


def refreshes_index(function: Command) -> Command:
    """Brings the workspace's index.html up to date when the command has ended well, if there is one."""

    @wraps(function)
    def run(*args: Any, **given: Any) -> Any:
        result = function(*args, **given)
        from bamkit.common.pages.workspace_index import refresh_index

        refresh_index(given["workspace"].root, first=False)
        return result

    return run


def database_option(function: Command) -> Command:
    """Adds `--db PATH-or-URL` as `db` (resolve it with `workspace.database(db)`)."""
    return click.option(
        "--db",
        metavar="PATH",
        shell_complete=click.Path().shell_complete,
        help="The BAM file or an SQLAlchemy URL (default: bam.sqlite here).",
    )(function)


def json_option(function: Command) -> Command:
    """Adds `--json` as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(function)


def force_option(function: Command) -> Command:
    """Adds `--force`."""
    return click.option("--force", is_flag=True, help="Replace what is already there.")(function)


def stale_option(function: Command) -> Command:
    """Adds `--stale`: the workspace then takes artefacts whose origin has changed since they were made."""

    def take(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
        # `-w` is eager, so the workspace is open by now.
        ctx.params["workspace"] = replace(ctx.params["workspace"], stale=value)

    told = "Go on with what was made from something that has changed since."
    return click.option("--stale", is_flag=True, expose_value=False, callback=take, help=told)(function)


def example(*lines: str) -> str:
    """An epilog that shows commands to type. Pass it as `epilog=`."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
