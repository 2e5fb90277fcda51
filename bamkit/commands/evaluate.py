"""`bamkit evaluate`: did the mood change, did the picture survive, would a reviewer believe it."""

from __future__ import annotations

from pathlib import Path

import click

from bamkit.commands.options import example, json_option, pass_workspace
from bamkit.console import print_json, print_table
from bamkit.workspace import Workspace


@click.command(
    epilog=example(
        "bamkit evaluate",
        "bamkit evaluate happy-scary --inception weights-inception-2015-12-05-6726825d.pth",
        "bamkit evaluate happy-scary --split validation",
    )
)
@click.argument("run", required=False)
@click.option(
    "--split", default="test", show_default=True, help="Whose translations: test, or validation while tuning."
)
@click.option(
    "--judge", metavar="DIR", type=click.Path(path_type=Path), help="Default: the workspace's own, if it has one."
)
@click.option(
    "--features",
    default="auto",
    show_default=True,
    help="What KID, FID and distances rest on: inception, judge or colours; auto takes the first that is at hand.",
)
@click.option(
    "--inception", metavar="FILE", type=click.Path(path_type=Path), help="Inception's weights (default: torch's cache)."
)
@click.option(
    "--alexnet",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="AlexNet's weights, for LPIPS (default: torch's cache).",
)
@click.option(
    "--pictures", type=click.IntRange(min=1), default=12, show_default=True, help="Pairs in the uncurated grid."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of KID's subsets and the grid.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@json_option
@pass_workspace
def command(
    workspace: Workspace,
    run: str | None,
    split: str,
    judge: Path | None,
    features: str,
    inception: Path | None,
    alexnet: Path | None,
    pictures: int,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Evaluate a run's translations of the test split.

    Emotion reached (with a judge), content kept, realism and failure modes, each beside its floors: real pictures, no
    translation, and a plain colour transfer. Writes reports/evaluate-RUN/: index.html, metrics.json, metrics.csv,
    pictures.csv. Nothing is downloaded.
    """
    from bamkit.gan.evaluate.core import EvaluateOptions, evaluate_and_write

    options = EvaluateOptions(split, judge, features, inception, alexnet, device, seed, pictures)
    found, folder, notes = evaluate_and_write(workspace, run, options)
    if as_json:
        print_json(found.about())
        return
    for outcome in found.outcomes:
        click.echo(f"{outcome.direction.name}: {len(outcome.direction)} pictures")
        print_table(found.summary(outcome.direction.name))
        click.echo()
    for text in [*found.missing, *found.warnings, *notes]:
        click.echo(f"note: {text}")
    click.echo(f"-> {folder / 'index.html' if (folder / 'index.html').is_file() else folder / 'metrics.json'}")
