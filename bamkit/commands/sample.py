"""`bamkit sample`: a stand-in for BAM to try everything on."""

from __future__ import annotations

from pathlib import Path

import click

from bamkit.commands.options import example, force_option


@click.command(
    epilog=example(
        "bamkit sample trial",
        "bamkit sample trial --serve          # in a second terminal, while you fetch",
        "bamkit sample small --rows 400 --port 8766",
    )
)
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--rows", default=6000, show_default=True, help="Images in the database.")
@click.option("--seed", default=0, show_default=True, help="Another seed is another database with other pictures.")
@click.option("--port", type=int, help="Port of this machine that the addresses name.  [default: 8765]")
@click.option("--serve", is_flag=True, help="Serve the pictures of DIR (made first if it is not there) until Ctrl-C.")
@click.option("--faults", default=0.06, show_default=True, help="With --serve: share of addresses that are gone.")
@click.option("--processes", default=0, show_default=True, help="With --serve: painting processes beside the server.")
@force_option
def command(
    directory: Path, rows: int, seed: int, port: int | None, serve: bool, faults: float, processes: int, force: bool
) -> None:
    """Make a workspace with a stand-in for the BAM database, and serve its pictures.

    BAM is given out on request only. The stand-in has its tables and its quirks; its pictures are painted on request by
    a server on this machine, from the very attributes that the database scores, so that every label is known to be
    true. A few addresses are dead, slow or cut short, as at the real host.
    """
    from bamkit.curate.sample import DEFAULT_PORT, make_sample
    from bamkit.workspace import DATABASE

    made = force or not serve or not (directory / DATABASE).exists()
    if made:
        make_sample(directory, rows, seed, DEFAULT_PORT if port is None else port, force)
        click.echo(f"{directory / DATABASE}: {rows:,} images, a stand-in for BAM (seed {seed})")
    if serve:
        _serve(directory, port, faults, processes)
        return
    top = 1000 if rows >= 5000 else max(1, rows // 8)
    click.echo(
        "next, in a second terminal, the server that paints its pictures:\n"
        f"  bamkit sample {directory} --serve\n"
        "and here:\n"
        f"  cd {directory}\n"
        "  bamkit info\n"
        f"  bamkit select --emotion happy --top {top}\n"
        f"  bamkit select --emotion scary --top {top}\n"
        "  bamkit fetch"
    )


def _serve(directory: Path, port: int | None, faults: float, processes: int) -> None:
    from bamkit.curate.sample.server import serve_until_stopped

    def ready(url: str, pictures: int) -> None:
        click.echo(f"serving {pictures:,} pictures of {directory} at {url} (Ctrl-C stops)")

    counts = serve_until_stopped(directory, port, faults, processes, ready)
    click.echo("answers: " + (", ".join(f"{name} {n:,}" for name, n in counts.most_common()) or "none"))
