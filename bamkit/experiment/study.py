"""The published experiment as a recipe: from the database to the tables, resumable at every step."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bamkit.common.contract import emotion, short
from bamkit.common.errors import BamkitError
from bamkit.common.progress import duration, size
from bamkit.common.shards import count_rows, read_table
from bamkit.common.workspace import Workspace, write_text
from bamkit.experiment import recipe
from bamkit.experiment.recipe import Step

USUAL_BYTES = 238_000
"""Median size of a BAM picture in bytes (35 real files)."""
USUAL_RATE = 40.0
"""Pictures a second: the default limit of `bamkit fetch` for one host."""
SETTINGS = "study.json"


@dataclass(frozen=True)
class StudyConfig:
    """What is studied, and how large. The defaults are the published experiment."""

    source: str = "happy"
    """Domain A: an emotion."""
    target: str = "scary"
    """Domain B: an emotion."""
    scale: float = 1.0
    """Share of the published numbers of pictures (1,000 for training, 200 for testing, of each domain)."""
    preset: str = "study"
    """Training settings: `study` is the published training, `quick` a rehearsal of minutes."""
    size: int = 286
    """Edge of the fetched pictures in pixels."""
    judge: bool = True
    """Train an independent judge of emotions on further images, so that the change of mood can be measured."""
    device: str = ""
    """Where to train; empty: a GPU if there is one."""
    steps: int = 0
    """Training steps; 0: those of the preset."""

    def __post_init__(self) -> None:
        if short(emotion(self.source)) == short(emotion(self.target)):
            raise BamkitError("the two emotions of a study must differ", "bamkit study --from happy --to scary")
        if not 0 < self.scale <= 10:
            raise BamkitError(f"--scale must be above 0 and at most 10, not {self.scale}", "bamkit study --scale 0.1")
        if self.size < 32:
            raise BamkitError(f"--size must be at least 32 px, not {self.size}")
        if self.steps < 0:
            raise BamkitError(f"--steps must not be below 0, not {self.steps}")

    @property
    def domains(self) -> tuple[str, str]:
        return short(emotion(self.source)), short(emotion(self.target))

    @property
    def run(self) -> str:
        return "-".join(self.domains)

    @property
    def judges(self) -> tuple[str, str]:
        """Names of the selections the judge learns from."""
        a, b = self.domains
        return f"judge-{a}", f"judge-{b}"

    def scaled(self, published: int, least: int) -> int:
        return max(least, round(published * self.scale))

    @property
    def counts(self) -> dict[str, int]:
        """Pictures of each domain: 1,000 train, 200 test at scale 1; validation chooses the checkpoint."""
        return {"top": self.scaled(1000, 8), "test": self.scaled(200, 4), "validation": self.scaled(50, 4)}


def study(workspace: Workspace, config: StudyConfig, say: recipe.Say) -> Path:
    """Do what is not done yet of the experiment, and write its page: reports/study-A-B/index.html (returned).

    Each step is a bamkit command that can be typed by hand; each says before it starts what it will cost. Raises
    BamkitError when a step fails; the same call then goes on from there.
    """
    workspace.database()
    _begin(workspace, config)
    steps = recipe_of(workspace, config)
    say(f"the study {config.run}, {len(steps)} steps; pictures of each domain: {_numbers(config)}")
    recipe.run(steps, workspace.root, f"bamkit study{_flags(config)}")
    from bamkit.experiment.study_page import write

    return write(workspace, config)


def _begin(workspace: Workspace, config: StudyConfig) -> None:
    """Note the settings, so that what a rehearsal left is never taken for the published numbers.

    Raises BamkitError where a study of the same name was begun with other settings, or where one of its selections is
    there with other numbers.
    """
    mark = workspace.reports / f"study-{config.run}" / SETTINGS
    settings = {name: value for name, value in vars(config).items() if name != "device"}
    if mark.exists():
        try:
            before = StudyConfig(**json.loads(mark.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise BamkitError(f"{mark} is damaged: {error}", "remove it, if the study here is yours") from error
        if replace(before, device=config.device) != config:
            raise BamkitError(
                f"the study {config.run} was begun here with other settings: bamkit study{_flags(before)}",
                "go on with those, or begin another in a folder of its own: bamkit -w FOLDER study",
            )
    for name in config.domains:
        path = workspace.selection(name)
        splits = read_table(path, ["split"])["split"].to_pylist() if path.exists() else []
        have = {"top": splits.count("train"), "test": splits.count("test"), "validation": splits.count("validation")}
        if splits and have != config.counts:
            told = ", ".join(f"{count:,} {'train' if part == 'top' else part}" for part, count in have.items())
            raise BamkitError(
                f"there is a selection {name} already, of other numbers ({told}) than the study's ({_numbers(config)})",
                f"move {path} away, or study in a folder of its own: bamkit -w FOLDER study",
            )
    write_text(mark, json.dumps(settings, indent=1) + "\n")


def _numbers(config: StudyConfig) -> str:
    return ", ".join(f"{count:,} {'train' if name == 'top' else name}" for name, count in config.counts.items())


def _flags(config: StudyConfig) -> str:
    """The options that differ from the defaults, to be typed again."""
    default = StudyConfig()
    names = {"source": "from", "target": "to"}
    given = [
        f" --{names.get(name, name)} {value}"
        for name, value in vars(config).items()
        if value != getattr(default, name) and name != "judge"
    ]
    return "".join(given) + ("" if config.judge else " --no-judge")


def recipe_of(workspace: Workspace, config: StudyConfig) -> list[Step]:
    """The commands of the study in order."""
    a, b = config.domains
    numbers = [word for name, count in config.counts.items() for word in (f"--{name}", str(count))]
    names = [a, b, *(config.judges if config.judge else ())]
    steps = [
        _select(workspace, a, ("--emotion", a, *numbers)),
        _select(workspace, b, ("--emotion", b, *numbers, "--disjoint-from", a)),
    ]
    if config.judge:
        steps += [
            _judge_selection(workspace, config, name, mood) for name, mood in zip(config.judges, (a, b), strict=True)
        ]
    steps += [
        Step(
            ("fetch", *names, "--size", str(config.size)),
            "download the pictures and resize them",
            lambda: all(_fetched(workspace, name) for name in names),
            lambda: _fetch_cost(workspace, names),
        ),
        Step(
            ("report", a, b),
            "score histograms, attribute distributions, contact sheets",
            (workspace.reports / "index.html").exists,
            "a pass over the database: seconds to half a minute",
        ),
    ]
    if config.judge:
        steps.append(
            Step(
                ("judge", "train", *config.judges),
                "train the judge on pictures that the study does not touch",
                (workspace.root / "judge" / "card.json").exists,
                f"20 passes over about {2 * _judge_count(config):,} pictures",
            )
        )
    return steps + _training(workspace, config)


def _training(workspace: Workspace, config: StudyConfig) -> list[Step]:
    a, b = config.domains
    run = workspace.run(config.run)
    device = ("--device", config.device) if config.device else ()
    resume = ("--resume", "--name", config.run)
    length = ("--steps", str(config.steps)) if config.steps else ()
    afresh = ("--from", a, "--to", b, "--name", config.run, "--preset", config.preset, *length, *device)
    return [
        Step(
            ("train", *(resume if (run / "run.json").exists() else afresh)),
            "train CycleGAN",
            lambda: finished(run),
            lambda: _training_cost(config),
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


def _select(workspace: Workspace, name: str, words: tuple[str, ...]) -> Step:
    why = f"select the images surest to be {name}: the first ranks to learn from, the next ones to test on"
    return Step(("select", *words), why, workspace.selection(name).exists, "seconds")


def _judge_count(config: StudyConfig) -> int:
    return config.scaled(1500, 60)


def _judge_selection(workspace: Workspace, config: StudyConfig, name: str, mood: str) -> Step:
    a, b = config.domains
    words = ("--name", name, "--emotion", mood, "--sample", "stratified", "--top", str(_judge_count(config)))
    others = [word for domain in (a, b) for word in ("--disjoint-from", domain)]
    if name == config.judges[1]:
        others += ["--disjoint-from", config.judges[0]]
    rest = ("--test", "0", "--validation", "0", *others, "--group-by", "project")
    why = f"select other images over the whole range of {mood}, for the judge"
    return Step(("select", *words, *rest), why, workspace.selection(name).exists, "seconds")


def finished(run: Path) -> bool:
    """Whether the run has trained all its steps."""
    from bamkit.gan.train import checkpoint

    return (run / "run.json").exists() and checkpoint.read_run(run).get("steps") in checkpoint.steps(run)


def _fetched(workspace: Workspace, name: str) -> bool:
    """Whether a split is whole: its last file is there, and none of its pictures waits for a host that was down."""
    missing = workspace.missing(name)
    return missing.exists() and "host-down" not in read_table(missing, ["outcome"])["outcome"].to_pylist()


def _fetch_cost(workspace: Workspace, names: list[str]) -> str:
    rows = count_rows(workspace.selection(name) for name in names)
    return f"up to {rows:,} downloads, about {size(rows * USUAL_BYTES)}, {duration(rows / USUAL_RATE)} at 40 a second"


def _training_cost(config: StudyConfig) -> str:
    """From a step measured on this machine with the study's own settings, on random pictures."""
    from bamkit.gan.train.settings import build

    settings = build(config.preset, None, {})
    steps = config.steps or settings.steps or (settings.epochs + settings.decay_epochs) * config.counts["top"]
    seconds = measured_step(settings, config.size, config.device)
    return f"{steps:,} steps of {seconds:.3g} s, measured here: about {duration(steps * seconds)}"


def measured_step(settings: Any, size: int, device: str = "", steps: int = 2) -> float:
    """Seconds of one training step with these settings (a TrainConfig) on pictures of `size` px on this machine."""
    import numpy as np
    from PIL import Image

    from bamkit.gan.train.data.domains import find_pair
    from bamkit.gan.train.device.devices import pick_device
    from bamkit.gan.train.device.distributed import ProcessGroup
    from bamkit.gan.train.state import TrainState

    noise = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for domain in "ab":
            (Path(folder) / domain).mkdir()
            for number in range(max(4, settings.batch)):
                pixels = noise.integers(0, 256, (size, size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(Path(folder) / domain / f"{number}.png")
        pair = find_pair(Workspace(Path(folder)), f"{folder}/a", f"{folder}/b")
        train_state = TrainState(settings.fitted(size), pair, pick_device(device or None, 0), ProcessGroup())
        train_state.set_rate(settings.learning_rate)
        for step in range(train_state.acceleration.warm_up):
            train_state.train_step(step)
        train_state.read_losses()
        started = time.perf_counter()
        for step in range(steps):
            train_state.train_step(train_state.acceleration.warm_up + step)
        train_state.read_losses()  # waits for the device
        return (time.perf_counter() - started) / steps
