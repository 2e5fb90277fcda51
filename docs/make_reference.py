"""Writes docs/cli.md from the commands' own help. Run it after changing a command: `make reference`."""

from __future__ import annotations

from pathlib import Path

import click

from bamkit.cli import root

TARGET = Path(__file__).with_name("cli.md")
WIDTH = 100


def reference() -> str:
    """The whole reference as Markdown: the root command, then each command in the order of the work."""
    settings = {**root.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    top = click.Context(root, info_name="bamkit", **settings)
    parts = [
        "# Command-line reference\n",
        "Made from `bamkit COMMAND --help` by `make reference`; a test keeps it true.\n",
        f"```\n{root.get_help(top)}\n```\n",
    ]
    for name in root.list_commands(top):
        parts += section(root.get_command(top, name), name, top, depth=2)
    return "\n".join(parts)


def section(command: click.Command, name: str, parent: click.Context, depth: int) -> list[str]:
    """A command's heading and help, then those of its own commands."""
    context = click.Context(command, parent, info_name=name)
    parts = [f"{'#' * depth} {context.command_path}\n", f"```\n{command.get_help(context)}\n```\n"]
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            parts += section(command.get_command(context, inner), inner, context, depth + 1)
    return parts


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
