"""The commands of an experiment, and how they are run one after another, going on where they stopped."""

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
from bamkit.common.shards import read_table
from bamkit.common.terminal.progress import duration
from bamkit.common.workspace import Workspace
from bamkit.experiment import cost
from bamkit.experiment.settings import Experiment


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


def preparation(workspace: Workspace, config: Experiment) -> list[Step]:
    """The commands before the first training: selections, pictures, the published study's report, the judge."""
    a, b = config.domains
    counts = [word for name, count in config.counts.items() for word in (f"--{name}", str(count))]
    counts += ["--group-by", "project"] if config.apart else []
    judges = [f"judge-{name}" for name in config.domains] if config.judge_count else []
    domains = list(dict.fromkeys(name for pair in config.pairs for name in pair))
    names = [*domains, *judges]
    steps = [_select(workspace, a, "--emotion", a, *counts)]
    for name in domains[1:]:
        matched = () if name == b else ("--name", name, "--match", a)
        steps.append(_select(workspace, name, "--emotion", b, *counts, *matched, "--disjoint-from", a))
    for number, name in enumerate(judges):
        others = (*domains, *judges[:number])
        steps.append(_select_for_judge(workspace, name, config.domains[number], config.judge_count, others))
    steps += [
        Step(
            ("fetch", *names, "--size", str(config.size)),
            "download the pictures and resize them",
            lambda: all(is_fetched(workspace, name) for name in names),
            lambda: cost.of_fetch(workspace, names),
        ),
    ]
    if not config.apart:
        report = Step(
            ("report", a, b),
            "score histograms, attribute distributions, contact sheets",
            (workspace.reports / "index.html").exists,
            "a pass over the database: seconds to half a minute",
        )
        steps.append(report)
    if judges:
        judge = Step(
            ("judge", "train", *judges),
            "train the judge on pictures that the study does not touch",
            (workspace.root / "judge" / "card.json").exists,
            f"20 passes over about {2 * config.judge_count:,} pictures",
        )
        steps.append(judge)
    return steps


def steps_of(workspace: Workspace, config: Experiment) -> list[Step]:
    """The commands of the experiment in order, each typed in the workspace."""
    run = workspace.run(config.run)
    length = ("--steps", str(config.steps)) if config.steps else ()
    return [
        *preparation(workspace, config),
        Step(
            ("train", *train_words(run, config.domains, config.preset, config.device, length)),
            "train CycleGAN",
            lambda: is_trained(run),
            lambda: cost.of_training(config),
        ),
        Step(
            ("translate", config.run),
            "translate the test ranks in both directions",
            (workspace.translations / config.run / "translations.parquet").exists,
            f"{2 * config.counts['test']:,} pictures",
        ),
        Step(
            ("evaluate", config.run),
            "measure it",
            (workspace.reports / f"evaluate-{config.run}" / "metrics.json").exists,
            "minutes at most",
        ),
    ]


def _select(workspace: Workspace, name: str, *words: str) -> Step:
    why = f"select the images surest to be {name}: the first ranks to learn from, the next ones to test on"
    if "--match" in words:
        why = f"select {name}: images that are alike to the other domain in content and media"
    return Step(("select", *words), why, workspace.selection(name).exists, "seconds")


def _select_for_judge(workspace: Workspace, name: str, mood: str, count: int, others: Sequence[str]) -> Step:
    words = ("--name", name, "--emotion", mood, "--sample", "stratified", "--top", str(count))
    disjoint = [word for other in others for word in ("--disjoint-from", other)]
    rest = ("--test", "0", "--validation", "0", *disjoint, "--group-by", "project")
    why = f"select other images over the whole range of {mood}, for the judge"
    return Step(("select", *words, *rest), why, workspace.selection(name).exists, "seconds")


def train_words(
    run: Path, domains: tuple[str, str], preset: str, device: str, options: Sequence[str]
) -> tuple[str, ...]:
    """What follows `bamkit train`: to begin a run with some options beside the preset, or to go on with it."""
    if (run / "run.json").exists():
        return ("--resume", "--name", run.name)
    a, b = domains
    on = ("--device", device) if device else ()
    return ("--from", a, "--to", b, "--name", run.name, "--preset", preset, *options, *on)


def is_fetched(workspace: Workspace, name: str) -> bool:
    """Whether a split is whole: its last file is there, and none of its pictures waits for a host that was down."""
    missing = workspace.missing(name)
    return missing.exists() and "host-down" not in read_table(missing, ["outcome"])["outcome"].to_pylist()


def is_trained(run: Path) -> bool:
    """Whether the run has trained all its steps."""
    from bamkit.gan.train import checkpoint  # torch: a second, and a recipe whose steps are done has no use for it

    return (run / "run.json").exists() and checkpoint.read_run(run).get("steps") in checkpoint.steps(run)


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
        estimate = step.cost() if callable(step.cost) else step.cost
        cost = f"   ({estimate})" if estimate else ""
        click.echo(f"\n{head}{cost}\n  $ {click.style(step.line, fg='cyan')}")
        begun = time.monotonic()
        try:
            status = call(step.words, root)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(again) from None
        if status:
            raise BamkitError(f"`{step.line}` in {root} ended with status {status}", f"mend it, then type {again}")
        click.echo(click.style(f"  took {duration(time.monotonic() - begun)}", dim=True))
    if after + len(steps) == of:
        click.echo(f"\ndone in {duration(time.monotonic() - started)}")


def call(words: Sequence[str], root: Path, hear: Callable[[str], None] | None = None) -> int:
    """Run a command in the workspace `root` as a process of its own; its exit status.

    `hear` gets the lines that it writes to standard error, which are shown all the same. SIGTERM is passed on.
    """
    # Settings meant for the user's own workspace must not change what the recipe does.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BAMKIT_") or k == "BAMKIT_DEBUG"}
    sys.stdout.flush()
    told = subprocess.PIPE if hear else None
    child = subprocess.Popen(
        [sys.executable, "-m", "bamkit", *words], cwd=root, env=environment, stderr=told, text=True
    )
    try:
        for line in child.stderr or ():
            click.echo(line, err=True, nl=False)
            hear and hear(line)
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
