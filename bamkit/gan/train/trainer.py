"""The training loop: steps, checkpoints, validation, samples, and what happens when something goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bamkit.common import provenance
from bamkit.common.errors import BamkitError
from bamkit.common.interrupt import Interrupt
from bamkit.common.progress import Progress, duration
from bamkit.gan.train import checkpoint, memory
from bamkit.gan.train.data.domains import TrainingDomain
from bamkit.gan.train.device.devices import device_name, pick_device
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.monitor.monitor import Monitor
from bamkit.gan.train.monitor.run_folder import RunFolder
from bamkit.gan.train.schedule import Schedule, StepTimer
from bamkit.gan.train.settings import TrainConfig
from bamkit.gan.train.state import TrainState

ROLLBACKS = 4
"""So often is the rate halved after a NaN; then the run stops."""
VOTE_EVERY = 20
"""Steps between votes of several processes on whether to stop."""

Say = Callable[[str], None]


@dataclass
class Result:
    """How a call of `train` ended."""

    run: Path
    step: int
    total: int
    seconds: float
    """Of training, over all resumptions."""
    best: int | None
    """Step of the best checkpoint by validation."""
    stopped: int = 0
    """The signal that ended it early, or 0."""

    @property
    def duration(self) -> str:
        return duration(self.seconds)


class Trainer:
    """A run in the making. `train` is the ordinary way in."""

    def __init__(
        self,
        folder: RunFolder,
        pair: tuple[TrainingDomain, TrainingDomain],
        config: TrainConfig,
        device: torch.device,
        group: ProcessGroup,
        say: Say,
        cache: Path | None = None,
        run_id: str = "",
    ) -> None:
        self.folder, self.config, self.device, self.group, self.say = folder, config, device, group, say
        self.names = (pair[0].name, pair[1].name)
        for domain in pair:
            for note in domain.notes:
                say(note)
        self.train_state = TrainState(config, pair, device, group, cache)
        self.steps_per_epoch = self.train_state.sampler.steps_per_epoch
        self.schedule = Schedule(config, self.steps_per_epoch)
        self.monitor = Monitor(folder, self.names, config, self.train_state, say) if group.writes else None
        self.run_id = run_id or provenance.digest([config.as_dict(), [d.about for d in pair], group.world])
        self.about = {
            "run_id": self.run_id,
            "name": folder.path.name,
            "config": config.as_dict(),
            "from": pair[0].record(),
            "to": pair[1].record(),
            "device": device_name(device),
            "processes": group.world,
            "acceleration": self.train_state.acceleration.__dict__,
            "versions": provenance.versions(("torch", "torchvision", "numpy", "pillow", "pyarrow")),
            "steps_per_epoch": self.steps_per_epoch,
            "steps": self.schedule.total,
        }
        self.step = 0
        self.seconds = 0.0
        self.best: tuple[float, int] | None = None
        self.slower = 1.0
        self.rollbacks = 0

    def restore(self) -> None:
        """Go on from the newest whole checkpoint; from the beginning if none was written yet."""
        if not checkpoint.steps(self.folder.path):
            self.say("no checkpoint was written yet: starting from the beginning, with the same seed")
            self.train_state.initialise()
            self.step, self.seconds, self.best = 0, 0.0, None
        else:
            path, state, notes = checkpoint.newest(self.folder.path, "cpu")
            for note in notes:
                self.say(note)
            if state["processes"] != self.group.world:
                raise BamkitError(
                    f"{path} was trained by {state['processes']} processes, not {self.group.world}",
                    f"torchrun --nproc-per-node {state['processes']} -m bamkit train --resume",
                )
            self.train_state.load_state_dict(state, str(path))
            self.step, self.seconds, self.slower = state["step"], state["seconds"], state["slower"]
            self.best = tuple(state["best"]) if state["best"] else None  # type: ignore[assignment]
            if not self.schedule.fixed:
                self.schedule.fix(state["total"])
            if self.step >= self.schedule.total:
                done = f"{self.step:,} of {self.schedule.total:,} steps are done"
                self.say(f"{done}: nothing is left to do; --steps {2 * self.step} would go on")
        self.group.barrier()
        if self.monitor:
            self.folder.forget_after(self.step)
            self.monitor.restart(self.step)

    def run(self) -> Result:
        """Train to the end, or until a signal. Raises BamkitError for NaN, lost memory, or a full disk."""
        if self.group.writes:
            self.folder.describe(self.about)
            self.monitor.open(self.step)  # type: ignore[union-attr]
        unit = self.config.batch * self.group.world
        timer = StepTimer(self.device, self.train_state.unmeasured_steps, unit, self.step, self.seconds)
        total = self.schedule.total or 1
        with Interrupt() as interrupt, self.group.progress("train", total * unit) as progress:
            saved, first = time.monotonic(), self.step
            self._set_rate()
            while not self.schedule.fixed or self.step < self.schedule.total:
                began = time.monotonic()
                try:
                    self.train_state.train_step(self.step)
                except Exception as error:
                    if memory.exhausted(error):
                        raise memory.explain(self.config, self.device, self.train_state.acceleration.bf16) from error
                    raise
                self.step += 1
                if timer.tick():
                    self._announce(timer, progress, first)
                try:
                    note = self._flush(timer, began)
                    self._set_rate()
                    progress.update(self.step * unit, note)
                    vote = self._vote(interrupt, time.monotonic() - saved)
                    if self._look() or vote or self._kept(self.step):
                        self._flush(timer, partly=False)
                        self.save()
                        saved = time.monotonic()
                except NotFiniteError as error:
                    self._not_finite(error)
                    saved = time.monotonic()
                    continue
                if vote > 1 and self.step < (self.schedule.total or self.step + 1):
                    return self._result(vote)
            if self.monitor:
                self.monitor.pages()
            return self._result(0)

    def save(self) -> None:
        """Write a checkpoint (all processes take part, one writes). A full disk is said, and fatal at the end only."""
        state = self.train_state.state_dict()
        if self.group.writes:
            state |= {
                "run_id": self.run_id,
                "names": list(self.names),
                "config": self.config.as_dict(),
                "processes": self.group.world,
                "step": self.step,
                "total": self.schedule.total,
                "seconds": self.seconds,
                "slower": self.slower,
                "best": list(self.best) if self.best else None,
            }
            path = checkpoint.path_of(self.folder.path, self.step)
            try:
                checkpoint.write(path, state)
                if self.best and self.best[1] == self.step:
                    checkpoint.mark_best(self.folder.path, self.step)
                checkpoint.prune(self.folder.path, self._kept)
            except OSError as error:
                if self.step >= self.schedule.total:
                    raise BamkitError(
                        f"{path} cannot be written: {error.strerror}", "make room, then --resume"
                    ) from error
                self.say(f"step {self.step:,}: {path} cannot be written ({error.strerror}); training goes on")
        self.group.barrier()

    def _flush(self, timer: StepTimer, began: float = 0.0, partly: bool = True) -> str:
        """Read the losses at the end of a row of metrics.csv (or at a checkpoint, to know that they are finite).

        Adds the time since `began`, in which a step was computed, to the seconds of training.
        """
        every = self.schedule.log_every
        whole = self.step % every == 0 or (self.schedule.fixed and self.step == self.schedule.total)
        if not whole and partly and self.device.type == "cuda":
            self.seconds += time.monotonic() - began
            return self._note
        rows = self.train_state.read_losses()
        self.seconds += time.monotonic() - began if began else 0.0
        bad = [i for i, row in enumerate(rows) if not all(map(_finite, row.values()))]
        if bad:
            name = next(name for name, value in rows[bad[0]].items() if not _finite(value))
            raise NotFiniteError(self.step - len(rows) + bad[0] + 1, name, rows[bad[0]][name])
        if whole and rows:
            mean = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
            mean |= {
                "step": self.step,
                "epoch": round(self.step / self.steps_per_epoch, 4),
                "seconds": round(self.seconds, 3),
                "lr": self.rate,
                "images_per_second": round(timer.images_per_second(self.step, self.seconds), 4),
            }
            if self.monitor:
                self.monitor.row(self.step, mean)
            self.train_state.clear_losses()
            self._note = f"cycle {mean['cycle_A'] + mean['cycle_B']:.2f} · D right {_right(mean)}"
        return self._note

    _note = ""

    def _look(self) -> bool:
        """Samples and validation, when they are due. Whether this was the best validation so far."""
        if self.monitor is None:
            return self._vote_best(better=False)
        self.monitor.sample(self.step, self.schedule)
        found = self.monitor.validate(self.step, self.schedule)
        better = found is not None and _finite(found.score) and (self.best is None or found.score < self.best[0])
        if better:
            self.best = (found.score, self.step)  # type: ignore[union-attr]
        return self._vote_best(better)

    def _vote_best(self, better: bool) -> bool:
        if not self.schedule.due(self.step, self.config.validations):
            return False
        return bool(self.group.maximum(int(better), self.device))

    def _vote(self, interrupt: Interrupt, since_saved: float) -> int:
        """0 to go on; 1 for a checkpoint now; a signal's number to write one and stop."""
        last = self.schedule.fixed and self.step == self.schedule.total
        if self.group.world > 1 and self.step % VOTE_EVERY and not last:
            return 0
        mine = interrupt.signal or int(last or since_saved > 60 * self.config.checkpoint_minutes)
        return self.group.maximum(mine, self.device)

    def _kept(self, step: int) -> bool:
        return bool(self.config.keep) and step > 0 and step % (self.config.keep * self.steps_per_epoch) == 0

    @property
    def rate(self) -> float:
        """The learning rate of the step before."""
        return self.config.learning_rate * self.slower * self.schedule.factor(max(self.step - 1, 0))

    def _set_rate(self) -> None:
        """The rate for the next step."""
        self.train_state.set_rate(self.config.learning_rate * self.slower * self.schedule.factor(self.step))

    def _announce(self, timer: StepTimer, progress: Progress, first: int) -> None:
        """Decide the length of a run given in minutes, and say how long it will take, from measured steps."""
        if not self.schedule.fixed:
            measured = torch.tensor([timer.seconds_a_step], device=self.device)
            self.schedule.fix(self.schedule.steps_in(self.config.minutes, self.group.broadcast(measured).item()))
            self.about["steps"] = self.schedule.total
            if self.group.writes:
                self.folder.describe(self.about)
        progress.total = self.schedule.total * self.config.batch * self.group.world
        left = self.schedule.total - first
        progress.write(timer.sentence(self.config, self.device, left, self.steps_per_epoch))

    def _not_finite(self, error: NotFiniteError) -> None:
        """Stop, or go back to the last good checkpoint at half the rate."""
        good = checkpoint.steps(self.folder.path)
        last = f"the last good checkpoint is {checkpoint.path_of(self.folder.path, good[-1])}" if good else ""
        text = f"step {error.step:,}: {error.name} is {error.value}"
        if self.config.on_nan == "stop" or self.rollbacks >= ROLLBACKS:
            raise BamkitError(
                f"{text}; {last or 'no checkpoint was written yet'}",
                f"bamkit train --resume --name {self.folder.path.name} --on-nan rollback goes on from there at half the rate"  # noqa: E501
                if good
                else "--force --learning-rate with a lower value, or --amp off",
            ) from error
        self.rollbacks += 1
        slower = self.slower / 2
        self.restore()
        self.slower = slower
        self.train_state.reset_graph()
        self._set_rate()
        self.say(f"{text}: back to step {self.step:,}, learning rate times {self.slower:g} from here")

    def _result(self, stopped: int) -> Result:
        best = self.best[1] if self.best else None
        return Result(self.folder.path, self.step, self.schedule.total, self.seconds, best, stopped)


class NotFiniteError(ArithmeticError):
    """A loss became NaN or infinite."""

    def __init__(self, step: int, name: str, value: float) -> None:
        super().__init__(f"step {step}: {name} is {value}")
        self.step, self.name, self.value = step, name, value


def train(
    run: Path,
    pair: tuple[TrainingDomain, TrainingDomain],
    config: TrainConfig,
    device: str | None = None,
    resume: bool = False,
    force: bool = False,
    group: ProcessGroup = ProcessGroup(),  # noqa: B008  (frozen)
    say: Say = print,
    cache: Path | None = None,
) -> Result:
    """Train CycleGAN between two domains (see data.find_pair) in the folder `run`, or go on with a run that lies there.

    `say` gets sentences for the user. A SIGTERM or Ctrl-C ends the training after the step in hand, with a checkpoint;
    `Result.stopped` then names the signal. Raises BamkitError for everything that a user can mend.
    """
    chosen = pick_device(device, group.local_rank)
    if not group.writes:
        say = _silent
    if group.writes and (run / "run.json").exists() and not (resume or force):
        raise BamkitError(
            f"there is a run at {run} already", "--resume to go on with it, --force to replace it, or --name"
        )
    config = config.fitted(min(domain.side for domain in pair))
    run_id = checkpoint.read_run(run)["run_id"] if resume else ""
    folder = RunFolder(run, group.writes)
    try:
        if force and not resume and group.writes:
            folder.clear()
        warning = memory.warning(config, chosen, bf16=False)
        if warning:
            say(warning)
        trainer = Trainer(folder, pair, config, chosen, group, say, cache, run_id)
        if resume:
            trainer.restore()
        return trainer.run()
    finally:
        folder.close()


def _finite(value: float) -> bool:
    return value - value == 0


def _right(mean: dict[str, Any]) -> str:
    return f"{100 * mean['D_A_accuracy']:.0f}/{100 * mean['D_B_accuracy']:.0f} %"


def _silent(_: str) -> None:
    return
