"""`bamkit translate`: pictures through a trained generator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bamkit.commands.options import (
    completed,
    example,
    force_option,
    json_option,
    pass_workspace,
    refreshes_index,
    settings_options,
    stale_option,
)
from bamkit.common.errors import BamkitError
from bamkit.common.settings import build
from bamkit.common.terminal.console import print_json, print_next, print_notes, print_table
from bamkit.common.terminal.progress import duration
from bamkit.common.workspace import Workspace
from bamkit.gan.translate.settings import TranslateConfig

if TYPE_CHECKING:
    from bamkit.gan.translate.results import Result

SHOWN = 5
"""Skipped pictures of a direction that are named on the screen."""


@click.command(
    epilog=example(
        "bamkit translate",
        "bamkit translate happy-scary --split validation",
        "bamkit translate --input cat.jpg --direction happy-to-scary",
        "bamkit translate --input holiday/ --output dark-holiday --direction happy-to-scary",
        "find . -name '*.jpg' | bamkit translate --input - --output out",
        "bamkit translate --weights latest_net_G_A.pth --input cat.jpg --output out",
    )
)
@click.argument("run", required=False, shell_complete=completed("runs"))
@click.option(
    "--input",
    "inputs",
    metavar="PATH",
    multiple=True,
    shell_complete=click.Path().shell_complete,
    help="A picture or a folder of pictures (repeatable), or - for a list of paths on standard input.",
)
@click.option("--direction", metavar="A-to-B", help="One direction, such as happy-to-scary (default: both).")
@click.option("--split", help="Which split, where no --input is given.  [default: test]")
@click.option("--limit", type=click.IntRange(min=0), default=0, help="At most so many pictures (0: all).")
@click.option(
    "--output",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="A folder, or for one picture in one direction a file such as dark.jpg. "
    "Default: translations/RUN for test pictures, else RUN-validation or such.",
)
@click.option(
    "--weights",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Instead of a run: a generator saved by the public CycleGAN code (.pth) or as .safetensors.",
)
@settings_options(TranslateConfig)
@force_option
@json_option
@stale_option
@pass_workspace
@refreshes_index
def command(
    workspace: Workspace,
    run: str | None,
    inputs: tuple[str, ...],
    direction: str | None,
    split: str | None,
    limit: int,
    output: Path | None,
    weights: Path | None,
    force: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Translate pictures with a trained run.

    With no flag: the test pictures of the newest run, in both directions, to translations/RUN as PNG files, a
    before/after grid each, and translations.parquet. Pictures may have any size; alpha is kept; what cannot be read is
    skipped and listed in skipped.csv. A call that was interrupted goes on where it stopped.
    """
    from bamkit.gan.translate.run import translate_run, translate_weights

    if "-" in inputs and len(inputs) > 1:
        raise click.UsageError("--input - reads all paths from standard input: give it alone")
    listed = click.open_file("-", errors="surrogateescape") if inputs == ("-",) else None
    paths = [Path(path) for path in inputs] if listed is None else []
    config = build(TranslateConfig, given)
    if inputs and click.get_current_context().get_parameter_source("split") is not ParameterSource.COMMANDLINE:
        split = None  # of bamkit.toml: meant for calls that translate a split
    if weights is not None:
        if run:
            raise click.UsageError("give a RUN or --weights, not both")
        if not inputs or output is None:
            raise BamkitError("--weights needs pictures and a place for the results", "--input PATH --output DIR")
        result = translate_weights(
            weights, paths, output, listed=listed, direction=direction or "a-to-b", config=config, force=force
        )
    else:
        result = translate_run(
            workspace, run, inputs=paths, listed=listed, direction=direction, split=split, limit=limit, output=output,
            config=config, force=force,
        )  # fmt: skip
    if as_json:
        print_json(result.as_dict())
        return
    _print(result)
    if not inputs and output is None:
        name = result.output.name
        print_next(f"bamkit evaluate {name}" + ("" if split in (None, "test") else f" --split {split}"))


def _print(result: Result) -> None:
    for line in result.folders:
        click.echo(line)
    print_table(result.rows())
    for direction in result.directions:
        for row in direction.skipped[:SHOWN]:
            click.echo(f"skipped {row['source']}: {row['reason']}")
        if len(direction.skipped) > SHOWN:
            click.echo(f"... {len(direction.skipped) - SHOWN} more in {result.output / 'skipped.csv'}")
    print_notes(result.notes)
    translated = sum(direction.translated for direction in result.directions)
    before = f", {result.pictures - translated:,} were there already" if result.pictures > translated else ""
    pictures = "picture" if translated == 1 else "pictures"
    click.echo(f"{translated:,} {pictures} translated in {duration(result.seconds)}{before} -> {result.table}")
