"""`bamkit demo`: the whole way on the sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bamkit.commands.options import example, force_option, settings_options
from bamkit.common.settings import build
from bamkit.experiment.settings import DemoConfig


@click.command(epilog=example("bamkit demo", "bamkit demo try-it --top 400", "bamkit demo --steps 4000 --force"))
@click.argument("directory", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default="demo")
@settings_options(DemoConfig)
@force_option
def command(directory: Path, force: bool, **given: Any) -> None:
    """Go the whole way on a stand-in database, showing every command, and end with one page.

    Makes a sample workspace in DIR (default: demo), selects happy and scary pictures, fetches them from a loopback
    server that misbehaves as real hosts do, trains, translates the test pictures and evaluates them. Takes some
    minutes on two CPU cores; uses the GPU if there is one. Interrupted, it goes on where it stopped.
    """
    from bamkit.experiment.demo import run

    page = run(directory, build(DemoConfig, given), force)
    evaluation = page.parent.parent / f"evaluate-{DemoConfig.run}" / "index.html"
    click.echo(f"\nLook at the pictures: {page.resolve().as_uri()}")
    click.echo(f"and at the evaluation: {evaluation.resolve().as_uri()}")
