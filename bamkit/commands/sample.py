"""`bamkit sample`: a stand-in for BAM to try everything on."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from bamkit.commands.options import example, force_option
from bamkit.common.terminal.console import print_next


@click.command(
    epilog=example(
        "bamkit sample trial",
        "bamkit sample trial --serve          # in a second terminal, while you fetch",
        "bamkit sample small --rows 400 --port 8766",
    )
)
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--rows", type=click.IntRange(20, 1_000_000), metavar="N", help="Images in the database.  [default: 6000]"
)
@click.option("--seed", type=int, help="Another seed is another database with other pictures.  [default: 0]")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    help="Port of this machine that the addresses name.  [default: 8765]",
)
@click.option("--serve", is_flag=True, help="Serve the pictures of DIR (made first if it is not there) until Ctrl-C.")
@click.option(
    "--faults",
    type=click.FloatRange(0, 0.45),
    default=0.06,
    show_default=True,
    help="With --serve: share of addresses that are gone.",
)
@click.option(
    "--processes",
    type=click.IntRange(0, 64),
    help="With --serve: painting processes.  [default: one a core, at most 4]",
)
@force_option
def command(
    directory: Path,
    rows: int | None,
    seed: int | None,
    port: int | None,
    serve: bool,
    faults: float,
    processes: int | None,
    force: bool,
) -> None:
    """Make a workspace with a stand-in for the BAM database, and serve its pictures.

    BAM is given out on request only. The stand-in has its tables and its quirks; its pictures are painted on request by
    a server on this machine, from the very attributes that the database scores, so that every label is known to be
    true. A few addresses are dead, slow or cut short, as at the real host.
    """
    from bamkit.sample.database import DEFAULT_ROWS, keep_or_make, make_sample

    if serve:
        is_new = keep_or_make(directory, rows, seed, port, force)
    else:
        is_new = bool(make_sample(directory, **_given(rows=rows, seed=seed, port=port), force=force))
    rows = rows or DEFAULT_ROWS
    if is_new:
        click.echo(f"{directory / 'bam.sqlite'}: {rows:,} images, a stand-in for BAM (seed {seed or 0})")
    if serve:
        _serve(directory, faults, processes)
        return
    place = shlex.quote(str(directory))
    top = 1000 if rows >= 5000 else max(1, rows // 8)
    print_next(
        f"bamkit sample {place} --serve   # in a second terminal: the server that paints its pictures",
        f"cd {place}",
        "bamkit info",
        f"bamkit select --emotion happy --top {top}",
        f"bamkit select --emotion scary --top {top}",
        "bamkit fetch",
    )


def _given(**options: int | None) -> dict[str, int]:
    return {name: value for name, value in options.items() if value is not None}


def _serve(directory: Path, faults: float, processes: int | None) -> None:
    from bamkit.sample.server import serve_until_stopped

    def ready(url: str, pictures: int) -> None:
        click.echo(f"serving {pictures:,} pictures of {directory} at {url} (Ctrl-C stops)")

    if processes is None:
        processes = min(4, os.cpu_count() or 1)
    counts = serve_until_stopped(directory, faults, processes, ready)
    click.echo("answers: " + (", ".join(f"{name} {n:,}" for name, n in counts.most_common()) or "none"))
