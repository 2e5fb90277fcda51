"""The root command: loads each command's module only when it is called, turns BamkitError into one line."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from typing import Any

import click

import bamkit
from bamkit.common.errors import BamkitError

# In the order of the work, which is also the order of `bamkit --help`.
SECTIONS = {
    "Try": ("sample", "demo", "study"),
    "Choose": ("info", "sql", "index", "select", "verify", "diff", "balance"),
    "Fetch and look": ("fetch", "check", "report", "export"),
    "Train and judge": ("train", "translate", "judge", "evaluate", "compare"),
}
COMMANDS = tuple(name for names in SECTIONS.values() for name in names)
GAN = ("train", "translate", "judge", "evaluate", "compare")
WHOLE_WAY = ("sample", "demo", "study")


class Shown(click.ClickException):
    """A BamkitError on its way to the screen."""

    def __init__(self, error: BamkitError, exit_code: int = 1) -> None:
        super().__init__(error.message)
        self.hint = error.hint
        self.exit_code = exit_code

    def show(self, file: Any = None) -> None:
        click.echo(f"bamkit: {self.message}", err=True)
        if self.hint:
            click.echo(f"  next: {self.hint}", err=True)


def _of_the_disk(error: OSError) -> BamkitError:
    if error.filename and isinstance(error, FileExistsError | NotADirectoryError):
        return BamkitError(f"{error.filename}: there is a file where bamkit needs a folder", "move it away")
    where = f"{error.filename}: " if error.filename else ""
    return BamkitError(f"{where}{error.strerror or error}")


class Root(click.Group):
    """Finds commands by name in bamkit.commands; shows mistakes in a line or two, tracebacks only in debug mode."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        room = "" if name in WHOLE_WAY else "gan." if name in GAN else "curate."
        return importlib.import_module(f"bamkit.commands.{room}{name}").command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS:
            import difflib

            if near := difflib.get_close_matches(args[0], COMMANDS, 1):
                ctx.fail(f"No such command '{args[0]}'. Did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, names in SECTIONS.items():
            found = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(section):
                formatter.write_dl([(name, command.get_short_help_str(200)) for name, command in found if command])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BamkitError as error:
            raise Shown(error) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt as stop:
            # What comes with it, if anything, is what to type to go on.
            click.echo(err=True)
            raise Shown(BamkitError("interrupted", *stop.args[:1]), 128 + signal.SIGINT) from stop
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
    "-w", "--workspace", metavar="DIR", envvar="BAMKIT_WORKSPACE", help="The workspace folder (default: this folder)."
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
    ctx.obj = workspace
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main() -> None:
    """The console script."""
    # A polite kill unwinds the stack, so that temporary files go and children are told.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        root(prog_name="bamkit")
    except BrokenPipeError:
        # `bamkit info | head`: the reader has what it wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    finally:
        # At its end Python looks through every object for cycles, which takes 0.3 s after a report; all go anyway.
        gc.freeze()
