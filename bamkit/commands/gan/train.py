"""`bamkit train`: a translation between two domains."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bamkit.commands.options import completed, example, force_option, pass_workspace, settings_options, stale_option
from bamkit.common.errors import BamkitError
from bamkit.common.terminal.console import print_next
from bamkit.common.terminal.progress import duration
from bamkit.common.workspace import Workspace
from bamkit.gan.train import settings


@click.command(
    epilog=example(
        "bamkit train",
        "bamkit train --from happy --to scary --preset quick",
        "bamkit train --method cut --name happy-scary-cut",
        "bamkit train --from photos/day --to photos/night --minutes 60",
        "bamkit train --resume",
        "torchrun --nproc-per-node 2 -m bamkit train",
    )
)
@click.option(
    "--from",
    "first",
    metavar="NAME",
    shell_complete=completed("splits", "folders"),
    help="Domain A: a fetched split, or a folder of pictures.",
)
@click.option(
    "--to",
    "second",
    metavar="NAME",
    shell_complete=completed("splits", "folders"),
    help="Domain B. With exactly two fetched splits no names are needed.",
)
@click.option(
    "--name", shell_complete=completed("runs"), help="The run's name under runs/ (default: such as happy-scary)."
)
@click.option("--device", help="cuda, cuda:1, mps or cpu (default: a GPU if there is one).")
@click.option("--preset", type=click.Choice(list(settings.PRESETS)), help=settings.preset_help())
@click.option("--config", "file", type=click.Path(path_type=Path), help="Settings from a TOML file or a run.json.")
@click.option("--resume", is_flag=True, help="Go on with a run from its last checkpoint.")
@click.option("--allow-shared", is_flag=True, help="Train although the domains share pictures.")
@force_option
@settings_options(settings.TrainConfig)
@stale_option
@pass_workspace
def command(
    workspace: Workspace,
    first: str | None,
    second: str | None,
    name: str | None,
    device: str | None,
    preset: str | None,
    file: Path | None,
    resume: bool,
    allow_shared: bool,
    force: bool,
    **given: Any,
) -> None:
    """Train a translation between two domains, both ways. Without flags this is the study's training, a CycleGAN.

    Ctrl-C and SIGTERM end it after the step in hand, with a checkpoint; --resume goes on from there.
    """
    if resume and force:
        raise click.UsageError("--resume goes on with a run, --force replaces it: give one of them")
    try:
        from bamkit.gan.train import launch
    except ModuleNotFoundError as error:
        raise BamkitError(f"training needs {error.name}", f"pip install {error.name}") from error

    def say(line: str) -> None:
        click.echo(line, err=True)

    result = launch.launch(
        workspace, first, second, name=name, device=device, preset=preset, file=file, given=given, resume=resume,
        allow_shared=allow_shared, force=force, say=say,
    )  # fmt: skip
    if result is None:
        return
    again = f"bamkit train --resume --name {result.run.name}"
    if result.stopped:
        click.echo(f"stopped after step {result.step:,} of {result.total:,}; a checkpoint is written")
        print_next(again)
        sys.exit(128 + result.stopped)
    chosen = f", best by validation after step {result.best:,}" if result.best else ""
    elapsed = f"; this call took {duration(result.elapsed)} with samples, validation and pages"
    click.echo(f"{result.run}: {result.step:,} steps in {result.duration} of training{chosen}{elapsed}")
    for artefact in ("index.html", "samples", "metrics.csv"):
        if (result.run / artefact).exists():
            click.echo(f"  {result.run / artefact}")
    print_next(f"bamkit translate {result.run.name}")
