"""`bamkit doctor`: what is wrong with this installation, and how to mend it."""

from __future__ import annotations

import click

from bamkit.commands.options import example, json_option, pass_workspace
from bamkit.common.workspace import Workspace


@click.command(epilog=example("bamkit doctor", "bamkit doctor --json"))
@pass_workspace
@json_option
@click.pass_context
def command(context: click.Context, workspace: Workspace, as_json: bool) -> None:
    """Look for what is wrong with this installation, and say how to mend it; exit 1 if anything is.

    Python, packages, torch and CUDA, torchvision, free disk space, fonts, write access, proxies and optional packages.
    Nothing is downloaded, no address is asked, and nothing is changed.
    """
    from bamkit.common.terminal.console import print_json, print_table
    from bamkit.doctor import WRONG, as_dict, examine, healthy

    findings = examine(workspace)
    if as_json:
        print_json(as_dict(findings))
    else:
        print_table([{"state": each.state, "what": each.what, "found": each.found} for each in findings])
        for each in sorted((each for each in findings if each.mend), key=lambda each: each.state != WRONG):
            click.echo(f"hint: {each.what}: {each.mend}")
        wrong = sum(each.state == WRONG for each in findings)
        click.echo(f"{wrong} to mend" if wrong else "nothing is wrong")
    context.exit(0 if healthy(findings) else 1)
