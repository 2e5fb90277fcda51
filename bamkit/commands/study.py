"""`bamkit study`: the published experiment, from the database to the tables."""

from __future__ import annotations

import click

from bamkit.commands.options import example, pass_workspace
from bamkit.common.workspace import Workspace


@click.command(
    epilog=example(
        "bamkit study",
        "bamkit study --scale 0.1 --preset quick --size 72       # a rehearsal of minutes",
        "bamkit study --from peaceful --to gloomy",
    )
)
@click.option("--from", "source", default="happy", show_default=True, help="Domain A: an emotion.")
@click.option("--to", "target", default="scary", show_default=True, help="Domain B: an emotion.")
@click.option("--scale", default=1.0, show_default=True, help="Share of the published numbers of pictures.")
@click.option("--preset", default="study", show_default=True, help="Training settings; see bamkit train --help.")
@click.option("--size", default=286, show_default=True, help="Edge of the fetched pictures in pixels.")
@click.option("--judge/--no-judge", default=True, show_default=True, help="Train an independent judge of emotions.")
@click.option("--device", default="", help="Where to train (default: a GPU if there is one).")
@click.option("--steps", default=0, help="Training steps (default: the preset's).")
@pass_workspace
def command(
    workspace: Workspace,
    source: str,
    target: str,
    scale: float,
    preset: str,
    size: int,
    judge: bool,
    device: str,
    steps: int,
) -> None:
    """Repeat the published happy <-> scary experiment, from the database to the tables.

    Selects both domains (the first 1,000 ranks to learn from, ranks 1,001 to 1,200 to test on), fetches them, reports
    their distributions, trains, translates the test ranks, evaluates, and writes one page whose figures correspond to
    the study's. Each step is shown before it runs, with its cost; an interrupted study goes on where it stopped.
    """
    from bamkit.experiment.study import StudyConfig, study

    page = study(workspace, StudyConfig(source, target, scale, preset, size, judge, device, steps), click.echo)
    click.echo(f"the study's page: {page}")
