"""`bamkit export`: a trained run or a chosen dataset in the form that another program reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bamkit.commands.options import (
    completed,
    database_option,
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
from bamkit.common.workspace import Workspace
from bamkit.curate.export.settings import FORMATS, ExportSettings

NETWORKS = ("cyclegan", "onnx", "safetensors", "torchscript", "web")


@click.command(
    epilog=example(
        "bamkit export happy scary --to cyclegan",
        "bamkit export happy --to hf --licensed-only",
        "bamkit export happy scary --to webdataset --output shards",
        "bamkit export happy-scary --to onnx --direction happy-to-scary",
        "bamkit export happy-scary --to cyclegan",
        "bamkit export happy-scary --to web",
        "bamkit export --to parquet --db bam.sqlite",
        "bamkit export checkpoints/horse2zebra --to run --name horses --domains horse,zebra",
    )
)
@click.argument("names", nargs=-1, metavar="NAME [NAME ...]", shell_complete=completed("exportable", "folders"))
@click.option(
    "--to",
    required=True,
    type=click.Choice([*FORMATS, *NETWORKS[1:], "run", "parquet"]),
    help="Datasets: cyclegan, imagefolder, webdataset, csv, hf. Runs: cyclegan, onnx, safetensors, torchscript; "
    "web: a page that translates in the browser, without a network. "
    "run: makes a run of the public implementation's latest_net_G_A.pth and latest_net_G_B.pth. "
    "parquet: the tables of the BAM file.",
)
@click.option("--output", metavar="DIR", type=click.Path(path_type=Path), help="Default: exports/NAME-FORMAT.")
@settings_options(ExportSettings)
@click.option("--direction", metavar="A-to-B", help="One generator of a run only (default: both).")
@click.option("--checkpoint", default="best-or-last", show_default=True, help="Which checkpoint of a run.")
@click.option("--old", is_flag=True, help="cyclegan: with the running statistics of files from before torch 0.4.")
@click.option("--dropout", is_flag=True, help="cyclegan: numbered as in networks with dropout.")
@click.option(
    "--runtime",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="web: onnxruntime-web's .tgz from npm, where it cannot be downloaded.",
)
@click.option("--name", help="run: what the new run is called.")
@click.option("--domains", metavar="A,B", default="A,B", show_default=True, help="run: the names of the two domains.")
@database_option
@force_option
@json_option
@stale_option
@pass_workspace
@refreshes_index
def command(
    workspace: Workspace,
    names: tuple[str, ...],
    to: str,
    output: Path | None,
    direction: str | None,
    checkpoint: str,
    old: bool,
    dropout: bool,
    runtime: Path | None,
    name: str | None,
    domains: str,
    db: str | None,
    force: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Write a dataset or a trained run in another program's format.

    Datasets (splits of this workspace) come with a dataset card, croissant.json and attribution.csv; images whose
    licence does not allow passing them on are not exported without a word from you. Runs come with a model card.
    Without a NAME all splits are exported, but those of a judge. A run's networks take and give pictures as float32
    [N, 3, H, W] in -1 .. 1.
    """
    if to == "run":
        _import(workspace, names, name, domains, force)
        return
    if to == "parquet":
        _tables(workspace, names, db, output, force, as_json)
        return
    kind = _kind(workspace, names, to)
    from bamkit.curate.export.run import folder_for

    target = output or folder_for(workspace, names, to)
    if kind == "dataset":
        _dataset(workspace, names, target, build(ExportSettings, given, to=to), force, as_json)
        return
    from bamkit.gan.exchange import export as exchange

    if len(names) > 1:
        raise click.UsageError("one run, or one file of weights, at a time")
    if kind == "weights":
        result = exchange.export_weights(
            Path(names[0]), to, target, old=old, dropout=dropout, force=force, runtime=runtime
        )
    else:
        result = exchange.export_run(
            workspace.run(names[0]), to, target, which=checkpoint, direction=direction, old=old, dropout=dropout,
            force=force, runtime=runtime,
        )  # fmt: skip
    if as_json:
        print_json({"output": str(target), "files": [str(path) for path in result.files], "notes": result.notes})
        return
    for path in result.files:
        click.echo(str(path))
    print_notes(result.notes)


def _dataset(
    workspace: Workspace, names: tuple[str, ...], target: Path, settings: ExportSettings, force: bool, as_json: bool
) -> None:
    from bamkit.curate.export.run import export

    result = export(workspace, list(names), target, settings, force=force)
    if as_json:
        print_json(result.as_dict())
        return
    print_table(result.rows)
    print_notes(result.notes)
    click.echo(f"{result.images:,} images -> {result.output}")


def _kind(workspace: Workspace, names: tuple[str, ...], to: str) -> str:
    """`run`, `weights` or `dataset`: decided by what the names are, then checked against the format."""
    data = {*workspace.split_names(), *workspace.selection_names()}
    runs = set(workspace.run_names())
    if not names:
        if to not in FORMATS:
            raise BamkitError(f"--to {to} needs the name of a run", _known("runs", runs) or "bamkit train")
        return "dataset"
    for name in names:
        if Path(name).suffix in (".pth", ".safetensors") and name not in data | runs:
            kind, noun = "weights", "a network"
        elif name in runs and not (name in data and to in FORMATS):
            kind, noun = "run", "a training run"
        elif name in data:
            kind, noun = "dataset", "a dataset"
        else:
            known = "; ".join(filter(None, [_known("runs", runs), _known("splits", data)]))
            known = known or "bamkit select --emotion happy --top 1000\nbamkit fetch"
            raise BamkitError(f"there is no run, split or selection {name!r} in {workspace.root}", known)
        formats = FORMATS if kind == "dataset" else NETWORKS
        if to not in formats:
            raise BamkitError(f"{name} is {noun}: it cannot be exported to {to}", f"--to {', '.join(formats)}")
    return kind


def _tables(
    workspace: Workspace, names: tuple[str, ...], db: str | None, output: Path | None, force: bool, as_json: bool
) -> None:
    from bamkit.curate.database.connection import Database
    from bamkit.curate.export.tables import export_to_workspace

    if names:
        raise BamkitError("--to parquet exports the BAM file, and takes no NAME", "bamkit export --to parquet")
    with Database.open(workspace.database(db)) as database:
        target, written = export_to_workspace(workspace, database, output, force)
    if as_json:
        print_json({"output": str(target), "rows": {path.name: rows for path, rows in written.items()}})
        return
    print_table([{"file": str(path), "rows": rows} for path, rows in written.items()])


def _known(what: str, names: set[str]) -> str:
    return f"{what}: {', '.join(sorted(names))}" if names else ""


def _import(workspace: Workspace, names: tuple[str, ...], name: str | None, domains: str, force: bool) -> None:
    from bamkit.gan.exchange import export as exchange

    if not names or not name:
        raise BamkitError("--to run needs the weights and a name", "bamkit export FOLDER --to run --name NAME")
    pair = domains.split(",")
    if len(pair) != 2 or not all(pair) or pair[0] == pair[1]:
        raise BamkitError(f"--domains {domains!r} does not name two domains", "--domains happy,scary")
    run = exchange.import_public([Path(path) for path in names], workspace.run(name), (pair[0], pair[1]), force)
    click.echo(str(run))
    print_next(f"bamkit translate {name} --input PICTURES")
