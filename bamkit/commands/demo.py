"""`bamkit demo`: the whole way on the sample."""

from __future__ import annotations

from pathlib import Path

import click

from bamkit.commands.options import example, force_option


@click.command(
    epilog=example("bamkit demo", "bamkit demo try-it --top 400 --size 96", "bamkit demo --steps 4000 --force")
)
@click.argument("directory", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default="demo")
@click.option("--rows", type=click.IntRange(min=1), help="Rows of the sample database.")
@click.option("--top", type=click.IntRange(min=1), help="Training pictures of each domain.")
@click.option("--test", type=click.IntRange(min=1), help="Test pictures of each domain.")
@click.option("--size", type=click.IntRange(min=16), help="Edge of the pictures in pixels.")
@click.option("--steps", type=click.IntRange(min=1), help="Training steps (default: those of the preset `quick`).")
@force_option
def command(directory: Path, force: bool, **numbers: int | None) -> None:
    """Go the whole way on a stand-in database, showing every command, and end with one page.

    Makes a sample workspace in DIR (default: demo), selects happy and scary pictures, fetches them from a loopback
    server that misbehaves as real hosts do, trains, and translates the test pictures. Takes some minutes on two CPU
    cores; uses the GPU if there is one. Interrupted, it goes on where it stopped.
    """
    from bamkit.experiment.demo import DemoConfig, run

    page = run(directory, DemoConfig(**{name: value for name, value in numbers.items() if value}), force)
    click.echo(f"\nLook at the pictures: {page.resolve().as_uri()}")
