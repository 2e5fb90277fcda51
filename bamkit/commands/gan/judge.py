"""`bamkit judge`: the classifier that says whether the mood changed."""

from __future__ import annotations

from pathlib import Path

import click

from bamkit.commands.options import example, force_option, json_option, pass_workspace
from bamkit.common.console import print_json, print_table
from bamkit.common.workspace import Workspace


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
@click.argument("splits", nargs=-1)
@click.option(
    "--weights",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Pretrained: a torchvision backbone's state dict (.pth), or Keras' MobileNetV2 (.h5). Default: from scratch.",
)
@click.option("--backbone", default="", help="From scratch: resnet10 (default), resnet18, mobilenet_v3_small ...")
@click.option("--size", type=int, default=0, help="Side of the pictures it sees (default: 64, or 160 with --weights).")
@click.option(
    "--epochs", type=int, default=20, show_default=True, help="Passes over the pictures, where it is trained whole."
)
@click.option("--finetune", is_flag=True, help="With --weights: train the backbone too, not only a linear head.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the parts, the weights and the order.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--output", metavar="DIR", type=click.Path(path_type=Path), help="Default: judge/ in the workspace.")
@force_option
@json_option
@pass_workspace
def train(
    workspace: Workspace,
    splits: tuple[str, ...],
    weights: Path | None,
    backbone: str,
    size: int,
    epochs: int,
    finetune: bool,
    seed: int,
    device: str,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Train a judge on the splits called judge and judge-..., or on those named.

    Images, near-duplicates and projects of every other split and selection in the workspace are left out, so the judge
    shares nothing with what it will judge; it refuses to judge what it was trained on.
    """
    from bamkit.gan.judge.card import card_rows
    from bamkit.gan.judge.settings import JudgeConfig
    from bamkit.gan.judge.train import train_judge

    config = JudgeConfig(weights, backbone, size, epochs, finetune, seed=seed, device=device)
    judge = train_judge(workspace, splits, config, output, force)
    if as_json:
        print_json(judge.card)
        return
    print_table(card_rows(judge.card))
    click.echo(judge.summary()["sentence"])
    click.echo(f"-> {(output or workspace.root / 'judge') / 'card.json'}")


@command.command(epilog=example("bamkit judge card", "bamkit judge card --json"))
@click.option("--judge", metavar="DIR", type=click.Path(path_type=Path), help="Default: judge/ in the workspace.")
@json_option
@pass_workspace
def card(workspace: Workspace, judge: Path | None, as_json: bool) -> None:
    """Show what a judge was trained on and how good it is."""
    from bamkit.gan.judge.card import card_rows
    from bamkit.gan.judge.model import load_judge

    found = load_judge(judge or workspace.root / "judge")
    if as_json:
        print_json(found.card)
        return
    print_table(card_rows(found.card))
    click.echo(found.summary()["sentence"])
