"""bamkit diff"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import click

from bamkit.commands.options import completed, example, json_option, pass_workspace
from bamkit.common.terminal.console import percent_interval, print_json, print_table
from bamkit.common.workspace import Workspace


@click.command(
    epilog=example("bamkit diff scary scary-matched", "bamkit diff old/selections/happy.parquet happy --json")
)
@pass_workspace
@click.argument("a", metavar="A", shell_complete=completed("selections"))
@click.argument("b", metavar="B", shell_complete=completed("selections"))
@click.option("--split", help="Compare this split only: train, test, validation or reserve.")
@json_option
def command(workspace: Workspace, a: str, b: str, split: str | None, as_json: bool) -> None:
    """Show what changed from selection A to selection B: images, splits, and each attribute with a 95 % interval.

    A and B are names of selections or parquet files.
    """
    from bamkit.curate.select.diff import diff_named

    difference = diff_named(workspace, a, b, split)
    if as_json:
        print_json(difference.as_dict())
        return
    moved = sum(difference.moved.values())
    kept = f"{len(difference.kept):,} kept" + (f" ({moved:,} of them in another split)" if moved else "")
    click.echo(f"{len(difference.added):,} added, {len(difference.removed):,} removed, {kept}")
    if difference.changed:
        worst = ", ".join(f"{name} {n:,}" for name, n in list(difference.changed.items())[:6])
        click.echo(f"the database changed under them: {len(difference.changed)} columns differ ({worst})")
    if difference.same:
        click.echo("the selections are the same")
        return
    click.echo()
    print_table([_row(row) for row in difference.attributes.to_dict("records")])
    click.echo(
        "\npositive: share of images with that label (Wilson interval); shift: B minus A, * where 0 is outside it"
    )


def _row(row: Mapping[Hashable, Any]) -> dict[str, str | None]:
    return {
        "attribute": row["attribute"],
        "positive in A": _share(row, "a"),
        "positive in B": _share(row, "b"),
        "shift": _shift(row, "positive_shift", 100, " %"),
        "score shift": _shift(row, "score_shift", 1, ""),
    }


def _share(row: Mapping[Hashable, Any], side: str) -> str | None:
    return percent_interval(*(row[f"positive_{side}{end}"] for end in ("", "_low", "_high")))


def _shift(row: Mapping[Hashable, Any], name: str, scale: int, unit: str) -> str:
    shift, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if math.isnan(shift):
        return ""
    clear = " *" if low > 0 or high < 0 else ""
    return f"{scale * shift:+.{1 if unit else 2}f}{unit} [{scale * low:+.2f}, {scale * high:+.2f}]{clear}"
