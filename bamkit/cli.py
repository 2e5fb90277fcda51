"""The root command: loads each command's module only when it is called, turns BamkitError into one line."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

import bamkit
from bamkit.common.errors import BamkitError, StaleWarning
from bamkit.common.terminal.console import PRINTED, outlive_reader, print_what_cannot_be_encoded

SECTIONS = {
    "Try": ("sample", "demo", "study"),
    "Find your way": ("status", "doctor"),
    "Choose": ("curate.info", "curate.sql", "curate.select", "curate.verify", "curate.diff", "curate.balance"),
    "Fetch and hand on": ("curate.fetch", "curate.export", "forget"),
    "Look": ("curate.review", "curate.check", "curate.report", "curate.pages"),
    "Train and judge": ("gan.train", "gan.translate", "gan.judge", "gan.evaluate", "gan.compare"),
}  # fmt: skip
"""The modules of bamkit.commands by section of `bamkit --help`, in the order of the work; each holds one `command`."""
MODULES = {path.rpartition(".")[2]: f"bamkit.commands.{path}" for paths in SECTIONS.values() for path in paths}
"""By name of a command, its module."""
TYPED = ("bamkit ", "pip ", "mkdir ", "torchrun ", "ray ")
"""How a line of a hint begins that can be typed as it is; any other says what to change in what was typed."""
ERROR = 3
"""Exit status of a mistake. 1 is kept for a command whose answer is no, and 2 is click's for a wrong option."""


class Shown(click.ClickException):
    """A BamkitError on its way to the screen."""

    exit_code = ERROR

    def __init__(self, error: BamkitError) -> None:
        super().__init__(error.message)
        self.hint = error.hint

    def show(self, file: Any = None) -> None:
        click.echo(f"bamkit: {self.message}", err=True)
        for line in self.hint.splitlines():
            click.echo(f"{'next' if line.startswith(TYPED) else 'hint'}: {line}", err=True)


class Interrupted(Shown):
    """Ctrl-C, with what goes on from there as the hint."""

    exit_code = 128 + signal.SIGINT


@contextmanager
def stale_notes() -> Iterator[None]:
    """Shows every StaleWarning once as a note; other warnings go their usual way."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", StaleWarning)
        usual: Any = warnings.showwarning
        shown: set[str] = set()

        def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, StaleWarning):
                usual(message, category, *where, **more)
            elif str(message) not in shown:
                shown.add(str(message))
                click.echo(f"note: {message}", err=True)

        warnings.showwarning = show
        yield


def _of_the_disk(error: OSError) -> BamkitError:
    if error.filename and isinstance(error, FileExistsError | NotADirectoryError):
        return BamkitError(f"{error.filename}: there is a file where bamkit needs a folder", "move it away")
    if error.filename == PRINTED:
        return BamkitError(f"{PRINTED} cannot be written: {error.strerror}", "print to a place with room")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        at = f" at {error.filename}" if error.filename else ""
        message = f"the disk is full{at}; nothing was left half written"
        return BamkitError(message, "free some space, then the same command")
    where = f"{error.filename}: " if error.filename else ""
    closed = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
    return BamkitError(
        f"{where}{error.strerror or error}", "give it the permission, or another place" if closed else ""
    )


class Root(click.Group):
    """Finds commands by name in bamkit.commands; shows mistakes in a line or two, tracebacks only in debug mode."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(MODULES)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in MODULES:
            return None
        command: click.Command = importlib.import_module(MODULES[name]).command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in MODULES and not ctx.resilient_parsing:  # a shell completes: no error
            import difflib

            if near := difflib.get_close_matches(args[0], MODULES, 1):
                ctx.fail(f"No such command '{args[0]}'. Did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, paths in SECTIONS.items():
            commands = {name: self.get_command(ctx, name) for name in (path.rpartition(".")[2] for path in paths)}
            with formatter.section(section):
                rows = [(name, command.get_short_help_str(200)) for name, command in commands.items() if command]
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        print_what_cannot_be_encoded()
        try:
            with stale_notes():
                return super().invoke(ctx)
        except BamkitError as error:
            raise Shown(error) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt as stop:
            # What comes with it, if anything, is what to type to go on.
            click.echo(err=True)
            raise Interrupted(BamkitError("interrupted", *stop.args[:1])) from stop
        except UnicodeEncodeError as error:
            text = error.object[error.start : error.end].encode("utf-8", "backslashreplace").decode("utf-8")
            message = f"this system's character encoding ({error.encoding}) cannot hold {text!r}"
            raise Shown(BamkitError(message, "the same command after: export PYTHONUTF8=1")) from error
        except OSError as error:
            if os.environ.get("BAMKIT_DEBUG"):
                raise
            raise Shown(_of_the_disk(error)) from error
        except Exception as error:
            if os.environ.get("BAMKIT_DEBUG"):
                raise
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            raise Shown(
                BamkitError(f"internal error, please report it: {text}", "set BAMKIT_DEBUG=1 to see where it happened")
            ) from error


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "BAMKIT", "max_content_width": 100},
)
@click.option(
    "-w",
    "--workspace",
    metavar="DIR",
    envvar="BAMKIT_WORKSPACE",
    shell_complete=click.Path(file_okay=False).shell_complete,
    help="The workspace folder (default: this folder).",
)
@click.version_option(bamkit.__version__, prog_name="bamkit")
@click.pass_context
def root(ctx: click.Context, workspace: str | None) -> None:
    """From the Behance Artistic Media database to a picture whose mood has changed.

    \b
    Try it on a stand-in database:   bamkit demo
    The way through a workspace:
      bamkit select --emotion happy --top 1000
      bamkit select --emotion scary --top 1000
      bamkit fetch
      bamkit train
      bamkit translate
      bamkit evaluate
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main() -> None:
    """The console script."""
    # SIGTERM unwinds the stack, so that temporary files go and children are told.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    outlive_reader()
    try:
        try:
            root(prog_name="bamkit")
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        if error.filename != PRINTED:
            raise
        Shown(_of_the_disk(error)).show()
        sys.exit(ERROR)
    finally:
        # At its end Python looks through every object for cycles, which takes 0.3 s after a report; all go anyway.
        gc.freeze()
