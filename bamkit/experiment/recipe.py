"""Runs a list of bamkit commands one after another, showing each before it runs, going on where it stopped."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from bamkit.common.errors import BamkitError
from bamkit.common.progress import duration

Say = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One command of a recipe."""

    words: tuple[str, ...]
    """What is typed after `bamkit`."""
    why: str
    """One line that says what the step is for."""
    done: Callable[[], bool]
    """Whether its result is there already."""
    cost: str | Callable[[], str] = ""
    """What it will cost, said before it starts; called only when it is about to."""

    @property
    def line(self) -> str:
        return "bamkit " + shlex.join(self.words)


def run(steps: Sequence[Step], root: Path, again: str, after: int = 0, of: int = 0) -> None:
    """Run the steps in the workspace `root`, each as its own process; skip those that are done.

    `again` is what to type after a failure; the steps are numbered from `after` + 1, `of` so many in all. Raises
    BamkitError when a step fails. Ctrl-C ends the running step in its own way and then the recipe, with a
    KeyboardInterrupt that carries `again`.
    """
    of = of or len(steps)
    started = time.monotonic()
    for number, step in enumerate(steps, after + 1):
        head = click.style(f"[{number}/{of}] {step.why}", bold=True)
        if step.done():
            click.echo(f"{head}\n  $ {step.line}   (done already)")
            continue
        said = step.cost() if callable(step.cost) else step.cost
        cost = f"   ({said})" if said else ""
        click.echo(f"\n{head}{cost}\n  $ {click.style(step.line, fg='cyan')}")
        begun = time.monotonic()
        try:
            status = _call(step.words, root)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(again) from None
        if status:
            raise BamkitError(f"`{step.line}` in {root} ended with status {status}", f"mend it, then type {again}")
        click.echo(click.style(f"  took {duration(time.monotonic() - begun)}", dim=True))
    if after + len(steps) == of:
        click.echo(f"\ndone in {duration(time.monotonic() - started)}")


def _call(words: Sequence[str], root: Path) -> int:
    # Settings meant for the user's own workspace must not change what the recipe does.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BAMKIT_") or k == "BAMKIT_DEBUG"}
    sys.stdout.flush()
    child = subprocess.Popen([sys.executable, "-m", "bamkit", *words], cwd=root, env=kept)
    try:
        return child.wait()
    except BaseException as error:
        # Ctrl-C reaches the child by itself; SIGTERM must be passed on. Then let it save what it has.
        if not isinstance(error, KeyboardInterrupt):
            child.terminate()
        try:
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
        raise
