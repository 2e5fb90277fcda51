"""`bamkit study`: the published experiment, from the database to the tables."""

from __future__ import annotations

from typing import Any

import click

from bamkit.commands.options import example, pass_workspace, settings_options
from bamkit.common.errors import BamkitError
from bamkit.common.settings import build
from bamkit.common.workspace import Workspace
from bamkit.experiment.settings import StudyConfig


@click.command(
    epilog=example(
        "bamkit study",
        "bamkit study --scale 0.1 --preset quick --size 112      # a rehearsal of minutes",
        "bamkit study --from peaceful --to gloomy",
        "bamkit study --methods all --seeds 3 --matched both",
    )
)
@settings_options(StudyConfig)
@pass_workspace
def command(workspace: Workspace, **given: Any) -> None:
    """Repeat the published happy <-> scary experiment, from the database to the tables.

    Selects both domains (the first 1,000 ranks to learn from, ranks 1,001 to 1,200 to test on), fetches them, reports
    their distributions, trains, translates the test ranks, evaluates, and writes one page whose figures correspond to
    the study's. Each step is shown before it runs, with its cost; an interrupted study goes on where it stopped.

    With --methods every method is trained with every seed, its checkpoint chosen on the validation split, and measured
    on the test split once: a leaderboard with intervals over seeds and projects, with what each method costs, and with
    the figure that choosing the checkpoint on the test split would have given.
    """
    config = build(StudyConfig, given)
    if config.methods:
        from bamkit.experiment.leaderboard.run import leaderboard

        page, failed = leaderboard(workspace, config, click.echo)
        click.echo(f"the leaderboard's page: {page}")
        if failed:
            raise BamkitError(f"{failed} of its trainings failed: the page says why", "mend it, then the same command")
        return
    from bamkit.experiment.study import study

    page = study(workspace, config, click.echo)
    click.echo(f"the study's page: {page}")
