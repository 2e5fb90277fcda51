"""`bamkit fetch`: download the selections' pictures and write the splits."""

from __future__ import annotations

from typing import Any

import click

from bamkit.commands.options import example, json_option, pass_workspace
from bamkit.common.console import print_next
from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace, is_judges

# As in curate/fetch/config.py, which is too slow to import for `bamkit --help`; a test compares them.
FITS = ("squash", "crop", "pad", "short-side")
FORMATS = ("jpeg", "png", "webp")
ENGINES = ("local", "ray")


@click.command(
    epilog=example(
        "bamkit fetch",
        "bamkit fetch happy --size 512 --fit crop     (another size, from the originals kept here)",
        "bamkit fetch --retry-failed timeout,reset    (ask once more for these only)",
    )
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@pass_workspace
@click.option("--size", type=int, default=286, show_default=True, help="Side of the pictures in pixels.")
@click.option(
    "--fit",
    type=click.Choice(FITS, case_sensitive=False),
    default="squash",
    show_default=True,
    help="How a picture becomes a square: pad adds white; short-side keeps the shape.",
)
@click.option(
    "--format", type=click.Choice(FORMATS, case_sensitive=False), default="jpeg", show_default=True,
    help="jpeg is 4:4:4, png and webp are lossless.",
)  # fmt: skip
@click.option("--quality", type=int, default=95, show_default=True, help="JPEG quality.")
@click.option("--no-replace", is_flag=True, help="Keep the strict ranks: do not fill gaps from the reserve.")
@click.option("--no-originals", is_flag=True, help="Do not keep the downloaded files (another size: download again).")
@click.option("--download-again", is_flag=True, help="Ask again for pictures whose original is missing when needed.")
@click.option(
    "--retry-failed",
    is_flag=False,
    flag_value="passing",
    default="",
    metavar="[REASONS]",
    help="Ask again for failed pictures: passing (default), permanent, all, or reasons with commas.",
)
@click.option("--allow-private", is_flag=True, help="Allow addresses of this machine and of private networks.")
@click.option("--rate", type=float, help="Requests per second and host; 0: no limit.  [default: 40]")
@click.option("--connections", type=int, default=16, show_default=True, help="Requests under way at one host.")
@click.option("--workers", type=int, default=64, show_default=True, help="Requests under way in all.")
@click.option("--attempts", type=int, default=4, show_default=True, help="Requests for a picture in one run.")
@click.option("--seconds", type=float, default=60.0, show_default=True, help="Total time for one picture.")
@click.option("--max-bytes", type=int, default=50_000_000, show_default=True, help="Largest file.")
@click.option("--max-pixels", type=int, default=64_000_000, show_default=True, help="Most pixels.")
@click.option("--min-side", type=int, default=32, show_default=True, help="Shortest side in pixels.")
@click.option("--accept", multiple=True, metavar="FORMAT", help="Decode these only.  [default: JPEG PNG GIF WEBP]")
@click.option("--placeholder", multiple=True, metavar="HASH", help="MD5 or SHA-256 of an 'unavailable' picture.")
@click.option(
    "--placeholder-repeats", type=int, default=5, show_default=True,
    help="A file that answers so many addresses is one; 0: off.",
)  # fmt: skip
@click.option("--ignore-noai", is_flag=True, help="Fetch although the owner's X-Robots-Tag says noai or noimageai.")
@click.option("--contact", default="", metavar="TEXT", help="E-mail or web address for the User-Agent.")
@click.option("--ca-file", metavar="PEM", help="Trust these certificates instead of the system's.")
@click.option(
    "--oversample", type=float, default=1.5, show_default=True, help="Reduced JPEG decoding; below 1.5 coarse."
)
@click.option("--threads", type=int, default=0, help="Threads that decode.  [default: one a core]")
@click.option("--shard-rows", type=int, default=5000, show_default=True, help="Most pictures in one parquet file.")
@click.option(
    "--engine", type=click.Choice(ENGINES), default="local", show_default=True,
    help="Threads of this process, or tasks on a Ray cluster.",
)  # fmt: skip
@click.option(
    "--ray-address", metavar="HOST:PORT", help="The cluster to join.  [default: RAY_ADDRESS, or this machine]"
)
@click.option("--partition", type=int, default=200, show_default=True, help="With Ray: addresses of one task.")
@json_option
def command(workspace: Workspace, names: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Download the pictures of the selections (all of them by default) and write the splits.

    Originals are kept under originals/, with a ledger of every address ever tried; what has arrived is not asked for
    again, so that an interrupted fetch goes on where it was. Pictures that cannot be had are replaced from the
    reserve in rank order and listed in missing/NAME.parquet.
    """
    from bamkit.curate.fetch import fetch

    names, config = _settings(workspace, names, options)
    try:
        summary = fetch(workspace, names, config)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("bamkit fetch   # what has arrived is kept") from None
    if as_json:
        from bamkit.common.console import print_json

        print_json(summary.as_dict())
    else:
        _print(summary)
    if summary.given_up:
        why = sorted(set(summary.given_up.values()))[0]
        raise BamkitError(
            f"{len(summary.given_up):,} pictures were not asked for: {why}", "bamkit fetch, later, asks for them"
        )


def _settings(workspace: Workspace, names: tuple[str, ...], options: dict[str, Any]) -> tuple[tuple[str, ...], Any]:
    """The names and the Fetch settings that were meant."""
    from bamkit.curate.fetch import FetchSettings, Limits, PictureSettings, Politeness
    from bamkit.curate.fetch.faults import parse_reasons

    retry = options["retry_failed"]
    if retry in workspace.selection_names():
        # `bamkit fetch --retry-failed happy`: the name was meant as one.
        names, retry = (*names, retry), "passing"
    build = PictureSettings(
        size=options["size"], fit=options["fit"], format=options["format"], quality=options["quality"],
        oversample=options["oversample"],
    )  # fmt: skip
    limits = Limits(
        max_bytes=options["max_bytes"], max_pixels=options["max_pixels"], min_side=options["min_side"],
        seconds=options["seconds"], connect_seconds=min(10.0, options["seconds"]),
        **({"decoders": tuple(name.upper() for name in options["accept"])} if options["accept"] else {}),
    )  # fmt: skip
    politeness = Politeness(
        connections=options["connections"], workers=options["workers"], rate=options["rate"],
        attempts=options["attempts"], contact=options["contact"], honour_noai=not options["ignore_noai"],
    )  # fmt: skip
    config = FetchSettings(
        build, limits, politeness, replace=not options["no_replace"], originals=not options["no_originals"],
        retry=parse_reasons(retry), again=options["download_again"], allow_private=options["allow_private"],
        ca_file=options["ca_file"], placeholders=tuple(text.lower() for text in options["placeholder"]),
        placeholder_repeats=options["placeholder_repeats"], threads=options["threads"],
        shard_rows=options["shard_rows"],
        engine=options["engine"], ray_address=options["ray_address"], partition=options["partition"],
    )  # fmt: skip
    return names, config


def _print(summary: Any) -> None:
    from bamkit.common.console import print_table
    from bamkit.common.progress import duration, size

    if summary.asked:
        rate = summary.arrived / summary.seconds if summary.seconds else 0.0
        click.echo(
            f"{summary.arrived:,} of {summary.asked:,} pictures arrived: {size(summary.bytes)} in "
            f"{duration(summary.seconds)} ({rate:,.1f} pictures/s)"
        )
    else:
        click.echo("nothing to download: every address has an outcome already")
    print_table(summary.rows())
    if reasons := summary.reasons():
        click.echo()
        print_table(reasons)
    for one in summary.selections:
        if one.before:
            was = f"{one.before['size']} px {one.before['fit']} {one.before['format']}"
            click.echo(f"{one.name}: was {was} before; put size, fit and format under [fetch] in bamkit.toml to settle")
    _print_next(summary)


def _print_next(summary: Any) -> None:
    reasons = {row["reason"]: row for row in summary.reasons()}
    if private := reasons.get("private-address"):
        click.echo(
            f"  next: bamkit fetch --allow-private   (if the {private['missing']:,} pictures on this machine or a "
            "private network are meant)"
        )
    passing = [name for name, row in reasons.items() if row["ask again?"] == "yes" and name != "host-down"]
    if passing:
        print_next(f"bamkit fetch --retry-failed {','.join(passing)}   # these may pass")
    judged = all(is_judges(one.name) for one in summary.selections)
    print_next(*(["bamkit judge train"] if judged else ["bamkit report", "bamkit train"]))
