"""`bamkit judge`: the classifier that says whether the mood changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bamkit.commands.options import (
    completed,
    example,
    force_option,
    json_option,
    pass_workspace,
    settings_options,
    stale_option,
)
from bamkit.common.settings import build
from bamkit.common.terminal.console import print_json, print_table
from bamkit.common.workspace import Workspace
from bamkit.gan.judge.settings import JudgeConfig


@click.group(epilog=example("bamkit judge train", "bamkit judge card"))
def command() -> None:
    """Train an independent judge of emotions, and show its card."""


@command.command(
    short_help="Train a judge on pictures of its own.",
    epilog=example(
        "bamkit select --emotion happy --name judge-happy --sample stratified --test 0 --validation 0 "
        "--disjoint-from happy --disjoint-from scary --group-by project",
        "bamkit select --emotion scary --name judge-scary --sample stratified --test 0 --validation 0 "
        "--disjoint-from happy --disjoint-from scary --group-by project",
        "bamkit fetch judge-happy judge-scary",
        "bamkit judge train",
        "bamkit judge train --weights resnet18-f37072fd.pth",
    ),
)
@click.argument("splits", nargs=-1, shell_complete=completed("splits"))
@settings_options(JudgeConfig)
@click.option("--output", metavar="DIR", type=click.Path(path_type=Path), help="Default: judge/ in the workspace.")
@force_option
@json_option
@stale_option
@pass_workspace
def train(
    workspace: Workspace,
    splits: tuple[str, ...],
    output: Path | None,
    force: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Train a judge on the splits called judge and judge-..., or on those named.

    Images, near-duplicates and projects of every other split and selection in the workspace are left out, so the judge
    shares nothing with what it will judge; it refuses to judge what it was trained on.
    """
    from bamkit.gan.judge.card import held_out
    from bamkit.gan.judge.train import train_judge

    judge = train_judge(workspace, splits, build(JudgeConfig, given), output, force)
    if as_json:
        print_json(judge.card)
        return
    print_table(held_out(judge.card))
    click.echo(judge.summary()["sentence"])
    _tell_form((output or workspace.root / "judge") / "form")
    click.echo(f"-> {(output or workspace.root / 'judge') / 'card.json'}")


@command.command(epilog=example("bamkit judge card", "bamkit judge card --json"))
@click.option("--judge", metavar="DIR", type=click.Path(path_type=Path), help="Default: judge/ in the workspace.")
@json_option
@pass_workspace
def card(workspace: Workspace, judge: Path | None, as_json: bool) -> None:
    """Show what a judge was trained on and how good it is."""
    from bamkit.gan.judge.card import held_out
    from bamkit.gan.judge.model import load_judge

    shown = load_judge(judge or workspace.root / "judge")
    if as_json:
        print_json(shown.card)
        return
    print_table(held_out(shown.card))
    click.echo(shown.summary()["sentence"])
    _tell_form((judge or workspace.root / "judge") / "form")


def _tell_form(folder: Path) -> None:
    """A sentence about the judge of form alone, where there is one."""
    from bamkit.gan.judge.model import CARD, load_judge

    if (folder / CARD).is_file():
        click.echo(load_judge(folder).summary()["sentence"].replace("The judge:", "The judge of form alone:"))
