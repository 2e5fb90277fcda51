"""The trainings of a leaderboard, one a method, seed and pair of domains: what is done for each, resumable anywhere.

A training that fails is told and does not stop the others. Called again, finished ones are not repeated, and failed
ones are tried once more.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from bamkit.common.errors import BamkitError
from bamkit.common.terminal.progress import duration
from bamkit.common.workspace import Workspace
from bamkit.experiment import recipe
from bamkit.experiment.recipe import Step
from bamkit.experiment.settings import MATCHED, StudyConfig
from bamkit.gan.train.settings import CHANGEABLE, TrainConfig, build

CANDIDATES = 5
"""Checkpoints of a training among which validation chooses.

All are measured on test as well, to see what choosing there would have given. Each costs one more translation of the
test split and one more look at its pictures, a few seconds at rehearsal size and minutes at the published one; more of
them make the choice on test flatter more.
"""


@dataclass(frozen=True)
class Cell:
    """One training."""

    method: str
    seed: int
    domains: tuple[str, str]

    @property
    def name(self) -> str:
        """Of its run, its translations and its evaluation: `happy-scary-cut-0`."""
        return "-".join([*self.domains, self.method, str(self.seed)])

    @property
    def title(self) -> str:
        matched = ", matched domains" if self.domains[1].endswith(MATCHED) else ""
        return f"{self.method}, seed {self.seed}{matched}"


def cells_of(config: StudyConfig) -> list[Cell]:
    """All trainings; every method has its first seed before any has its second."""
    return [
        Cell(method, seed, pair) for seed in config.trainings for pair in config.pairs for method in config.compared
    ]


def settings_given(config: StudyConfig, method: str, seed: int = 0) -> dict[str, object]:
    """What a cell's training sets beside the preset."""
    given = {"method": method, "seed": seed, "validations": CANDIDATES, "keep_validated": True, "samples": CANDIDATES}
    return given | ({"steps": config.steps} if config.steps else {})


def steps_of(workspace: Workspace, config: StudyConfig, cell: Cell) -> list[Step]:
    """The commands of one training, from its first step to its figures."""
    run = workspace.run(cell.name)
    given = settings_given(config, cell.method, cell.seed)
    options = [word for name, value in given.items() for word in _option(name, value)]
    return [
        Step(
            ("train", *recipe.train_words(run, cell.domains, config.preset, config.device, options)),
            "train it",
            lambda: recipe.is_trained(run),
        ),
        Step(
            ("translate", cell.name),
            "translate the test ranks with the checkpoint that validation chose",
            (workspace.translations / cell.name / "translations.parquet").exists,
        ),
        Step(
            ("evaluate", cell.name, "--checkpoints"),
            "measure it, and what its other checkpoints would have given",
            lambda: is_measured(workspace, cell),
        ),
    ]


def _option(name: str, value: object) -> tuple[str, ...]:
    option = f"--{name.replace('_', '-')}"
    return (option,) if value is True else (option, str(value))


def is_measured(workspace: Workspace, cell: Cell) -> bool:
    """Whether its evaluation is whole, with all checkpoints."""
    folder = workspace.reports / f"evaluate-{cell.name}"
    return all((folder / name).exists() for name in ("checkpoints.csv", "metrics.json"))


def refuse_foreign(workspace: Workspace, config: StudyConfig, cells: Sequence[Cell]) -> None:
    """Raises BamkitError if a run of a cell's name was trained with other settings than the leaderboard's."""
    there = [cell for cell in cells if (workspace.run(cell.name) / "run.json").exists()]
    if not there:
        return
    from bamkit.gan.train import checkpoint  # torch, only where there is a run

    for cell in there:
        run = workspace.run(cell.name)
        had = TrainConfig.from_dict(checkpoint.read_run_to_resume(run)["config"])
        wanted = build(config.preset, None, settings_given(config, cell.method, cell.seed)).fitted(config.size)
        for name, value in vars(wanted).items():
            if (name not in CHANGEABLE or name in ("steps", "validations", "epochs")) and getattr(had, name) != value:
                raise BamkitError(
                    f"{run} was trained with {name} {getattr(had, name)}, and this leaderboard trains with {value}",
                    "move it away, or study in a folder of its own: bamkit -w FOLDER study",
                )


def run(workspace: Workspace, config: StudyConfig, cells: Sequence[Cell], expected: dict[str, float]) -> dict[str, str]:
    """Do what is not done of every cell; by name of those that failed, the reason.

    `expected`: by method, the seconds that a training is thought to take until one was seen.
    """
    failed: dict[str, str] = {}
    seen: dict[str, list[float]] = {}
    for number, cell in enumerate(cells, 1):
        head = click.style(f"training {number} of {len(cells)}: {cell.title}", bold=True)
        if is_measured(workspace, cell):
            click.echo(f"{head}   (done already)")
            continue
        left = sum(
            _seconds(other.method, seen, expected) for other in cells[number - 1 :] if not is_measured(workspace, other)
        )
        click.echo(f"\n{head}" + (f"   (about {duration(left)} left)" if left else ""))
        began = time.monotonic()
        reason = attempt(steps_of(workspace, config, cell), workspace.root)
        if reason:
            failed[cell.name] = reason
            click.echo(f"{cell.title} failed, the others go on: {reason}", err=True)
        else:
            seen.setdefault(cell.method, []).append(time.monotonic() - began)
    return failed


def _seconds(method: str, seen: dict[str, list[float]], expected: dict[str, float]) -> float:
    """Of a whole cell: as the method's last took, or any other's, or what its steps alone are thought to take."""
    known = seen.get(method) or ([times[-1] for times in seen.values()] if seen else [])
    return known[-1] if known else expected.get(method, 0.0)


def attempt(steps: Sequence[Step], root: Path) -> str:
    """Run the steps that are not done; "" if all went well, else what the first failing one said.

    Raises KeyboardInterrupt for Ctrl-C, which is meant for the whole.
    """
    for step in steps:
        if step.done():
            continue
        click.echo(f"  $ {click.style(step.line, fg='cyan')}")
        heard: list[str] = []
        status = recipe.call(step.words, root, heard.append)
        if status:
            told = [line.removeprefix("bamkit: ").strip() for line in heard if line.startswith("bamkit: ")]
            return told[-1] if told else f"`{step.line}` ended with status {status}"
    return ""
