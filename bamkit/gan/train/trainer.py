"""The training loop: steps, checkpoints, validation, samples, and what happens when something goes wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bamkit.common import provenance
from bamkit.common.errors import BamkitError
from bamkit.common.terminal.interrupt import Interrupt
from bamkit.common.terminal.progress import Progress, duration
from bamkit.gan.train import checkpoint, memory
from bamkit.gan.train.data.domains import TrainingDomain
from bamkit.gan.train.device.devices import device_name, exhausted, pick_device
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.methods.terms import METHODS
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
    """Of training steps, over all resumptions."""
    best: int | None
    """Step of the best checkpoint by validation."""
    stopped: int = 0
    """The signal that ended it early, or 0."""
    elapsed: float = 0.0
    """Seconds of this call by the clock: also decoding, samples, validation, checkpoints and pages."""

    @property
    def duration(self) -> str:
        return duration(self.seconds)


class NotFiniteError(ArithmeticError):
    """A loss or a weight became NaN or infinite."""

    def __init__(self, step: int, what: str) -> None:
        super().__init__(f"step {step:,}: {what}")


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
        self.state = TrainState(config, pair, device, group, cache, say=say)
        acceleration = self.state.acceleration
        if acceleration.note:
            say(acceleration.note)
        self.steps_per_epoch = self.state.sampler.steps_per_epoch
        self.schedule = Schedule(config, self.steps_per_epoch)
        self.run_id = run_id or provenance.digest([config.as_dict(), [d.about for d in pair], group.world])
        self.monitor = Monitor(folder, self.names, config, self.state, say, self.run_id) if group.writes else None
        self.about: dict[str, Any] = {
            "run_id": self.run_id,
            "name": folder.path.name,
            "config": config.as_dict(),
            "from": pair[0].record(),
            "to": pair[1].record(),
            "device": device_name(device),
            "processes": group.world,
            "acceleration": asdict(acceleration),
            "versions": provenance.versions(("torch", "torchvision", "numpy", "pillow", "pyarrow")),
            "steps_per_epoch": self.steps_per_epoch,
            "steps": self.schedule.total,
        }
        self.step = 0
        self.seconds = 0.0
        self.best: tuple[float, int] | None = None
        self.rate_factor = 1.0
        """Halved at each rollback."""
        self.rollbacks = 0
        self._rolled_back_to = -1
        self._note = ""

    def restore(self) -> None:
        """Go on from the newest whole checkpoint; from the beginning if none was written yet.

        Raises BamkitError if it was trained with other settings than run.json says, by another number of processes, or
        further than the run shall go.
        """
        run = self.folder.path
        if not checkpoint.any_in(run):
            self.say("no checkpoint was written yet: starting from the beginning, with the same seed")
            self.state.initialise()
            self.step, self.seconds, self.best = 0, 0.0, None
        else:
            path, state, notes = checkpoint.newest(run)
            for note in notes:
                self.say(note)
            checkpoint.refuse_mismatch(path, state, self.config, self.run_id, self.names, self.group.world)
            if not self.schedule.fixed:
                self.schedule.fix(state["total"])
            self._refuse_earlier_end(state["step"])
            self.state.load_state_dict(state, str(path))
            self.step, self.seconds, self.rate_factor = state["step"], state["seconds"], state["slower"]
            self.best = (state["best"][0], state["best"][1]) if state["best"] else None
        self.group.barrier()
        if self.monitor:
            self.folder.forget_after(self.step)
            self.monitor.restart()

    def run(self) -> Result:
        """Train to the end, or until a signal. Raises BamkitError for NaN, lost memory, or a full disk."""
        if self.monitor:
            self.folder.describe(self.about)
            self.monitor.open(self.step)
        unit = self.config.batch * self.group.world
        timer = StepTimer(self.device, self.state.acceleration, unit, self.step, self.seconds)
        total = self.schedule.total or 1
        stopped = 0
        with Interrupt() as interrupt, self.group.progress("train", total * unit) as progress:
            saved, first = time.monotonic(), self.step
            self._set_rate()
            while not stopped and (not self.schedule.fixed or self.step < self.schedule.total):
                began = time.monotonic()
                self._train_step()
                if timer.tick():
                    self._announce(timer, progress, first)
                try:
                    self._log(timer, began)
                    self._set_rate()
                    progress.update(self.step * unit, self._note)
                    vote = self._vote(interrupt, time.monotonic() - saved)
                    stopped = vote if vote > 1 and not self._at_end else 0
                    if self._sample_and_validate() or vote or self._kept(self.step):
                        self._log(timer, checkpoint=True)
                        self.save(last=bool(stopped) or self._at_end)
                        saved = time.monotonic()
                except NotFiniteError as error:
                    self._roll_back(error)
                    saved, stopped = time.monotonic(), 0
        if self.monitor and not stopped:
            self.monitor.pages()
        best = self.best[1] if self.best else None
        return Result(self.folder.path, self.step, self.schedule.total, self.seconds, best, stopped)

    def save(self, last: bool = False) -> None:
        """Write a checkpoint (all processes take part, one writes). A full disk is said, and fatal at the `last` only.

        Raises NotFiniteError, and writes nothing, where a weight is NaN or infinite.
        """
        state = self.state.state_dict()
        bad = checkpoint.not_finite(state)
        if bad:
            raise NotFiniteError(self.step, f"{bad} is not finite")
        if self.group.writes:
            state |= {
                "run_id": self.run_id,
                "names": list(self.names),
                "config": self.config.as_dict(),
                "processes": self.group.world,
                "step": self.step,
                "total": self.schedule.total,
                "seconds": self.seconds,
                "slower": self.rate_factor,
                "best": list(self.best) if self.best else None,
            }
            path = checkpoint.path_of(self.folder.path, self.step)
            try:
                if self.best and self.best[1] == self.step:
                    checkpoint.write_best(self.folder.path, self.step, state)
                else:
                    checkpoint.write(path, state)
                checkpoint.prune(self.folder.path, self._kept)
            except OSError as error:
                text = f"{path} cannot be written"
                if last:
                    raise BamkitError(
                        f"{text}: {error.strerror}",
                        f"make room, then bamkit train --resume --name {self.folder.path.name}",
                    ) from error
                self.say(f"step {self.step:,}: {text} ({error.strerror}); training goes on, make room for the next one")
        self.group.barrier()

    def _train_step(self) -> None:
        try:
            self.state.train_step(self.step)
        except Exception as error:
            if exhausted(error):
                raise memory.explain(self.config, self.device, self.state.acceleration.bf16) from error
            raise
        self.step += 1

    def _log(self, timer: StepTimer, began: float = 0.0, checkpoint: bool = False) -> None:
        """Read the losses at the end of a row of metrics.csv, and at a checkpoint, to know that they are finite.

        Adds the time since `began`, in which a step was computed, to the seconds of training. Raises NotFiniteError.
        """
        row_ends = self.step % self.schedule.log_every == 0 or self._at_end
        # Reading waits for a GPU.
        rows = self.state.read_losses() if row_ends or checkpoint or self.device.type != "cuda" else []
        self.seconds += time.monotonic() - began if began else 0.0
        for i, row in enumerate(rows):
            for name, value in row.items():
                if not math.isfinite(value):
                    raise NotFiniteError(self.step - len(rows) + i + 1, f"{name} is {value}")
        if not (row_ends and rows):
            return
        mean = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        mean |= {
            "step": self.step,
            "epoch": round(self.step / self.steps_per_epoch, 4),
            "seconds": round(self.seconds, 3),
            "lr": self._rate(self.step - 1),
            "images_per_second": round(timer.images_per_second(self.step, self.seconds), 4),
        }
        if self.monitor:
            self.monitor.row(self.step, mean)
        self.state.clear_losses()
        right = f"{100 * mean['D_A_accuracy']:.0f}/{100 * mean['D_B_accuracy']:.0f} %"
        content = METHODS[self.config.method].content
        self._note = f"{content.name} {sum(mean[name] for name in content.columns):.2f} · D right {right}"

    def _sample_and_validate(self) -> bool:
        """Samples and validation, when they are due. Whether this was the best validation so far."""
        better = False
        if self.monitor:
            self.monitor.sample(self.step, self.schedule)
            measured = self.monitor.validate(self.step, self.schedule)
            if measured and math.isfinite(measured.score) and (self.best is None or measured.score < self.best[0]):
                self.best, better = (measured.score, self.step), True
        if not self.schedule.due(self.step, self.config.validations):
            return False
        return bool(self.group.maximum(int(better), self.device))

    def _vote(self, interrupt: Interrupt, since_saved: float) -> int:
        """0 to go on; 1 for a checkpoint now; a signal's number to write one and stop."""
        if self.group.world > 1 and self.step % VOTE_EVERY and not self._at_end:
            return 0
        mine = interrupt.signal or int(self._at_end or since_saved > 60 * self.config.checkpoint_minutes)
        return self.group.maximum(mine, self.device)

    @property
    def _at_end(self) -> bool:
        return self.schedule.fixed and self.step >= self.schedule.total

    def _kept(self, step: int) -> bool:
        if self.config.keep_validated and self.schedule.due(step, self.config.validations):
            return True
        return bool(self.config.keep) and step > 0 and step % (self.config.keep * self.steps_per_epoch) == 0

    def _rate(self, step: int) -> float:
        """The learning rate of step `step` (from 0)."""
        return self.config.learning_rate * self.rate_factor * self.schedule.factor(max(step, 0))

    def _set_rate(self) -> None:
        self.state.set_rate(self._rate(self.step))

    def _announce(self, timer: StepTimer, progress: Progress, first: int) -> None:
        """Decide the length of a run given in minutes, and say how long it will take, from measured steps."""
        if not self.schedule.fixed:
            measured = torch.tensor([timer.seconds_a_step], device=self.device)
            seconds = float(self.group.broadcast(measured).item())
            self.schedule.fix(self.schedule.steps_in(self.config.minutes, seconds))
            self.about["steps"] = self.schedule.total
            if self.group.writes:
                self.folder.describe(self.about)
        progress.total = self.schedule.total * self.config.batch * self.group.world
        left = self.schedule.total - first
        progress.write(timer.sentence(self.config, self.device, left, self.steps_per_epoch))

    def _roll_back(self, error: NotFiniteError) -> None:
        """Stop, or go back to the last good checkpoint at half the rate; where that led to NaN again, to one before."""
        run = self.folder.path
        good = checkpoint.steps(run)
        if self.config.on_nan == "stop" or self.rollbacks >= ROLLBACKS:
            again = f"bamkit train --resume --name {run.name} --on-nan rollback   # goes on from there at half the rate"
            raise BamkitError(
                f"{error}; the last good checkpoint is {checkpoint.path_of(run, good[-1])}"
                if good
                else f"{error}; no checkpoint was written yet",
                again if good else "--force --learning-rate with a lower value, or --amp off",
            ) from error
        self.rollbacks += 1
        factor = self.rate_factor / 2
        self.group.barrier()
        if good[-1:] == [self._rolled_back_to] and len(good) > 1:
            if self.group.writes:
                checkpoint.path_of(run, good[-1]).unlink()
            self.group.barrier()
        self.restore()
        self._rolled_back_to, self.rate_factor = self.step, factor
        self._set_rate()
        self.say(f"{error}: back to step {self.step:,}, learning rate times {factor:g} from here")

    def _refuse_earlier_end(self, done: int) -> None:
        total, name = self.schedule.total, self.folder.path.name
        if done > total:
            raise BamkitError(
                f"{done:,} steps are done, and {total:,} in all were asked for",
                f"bamkit train --resume --name {name} --steps {2 * done}   # goes on\n"
                f"bamkit translate {name}   # takes the run as it is",
            )
        if done == total:
            self.say(f"{done:,} of {total:,} steps are done: nothing is left to do; --steps {2 * done} would go on")


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
    """Train between two domains (see domains.find_pair) in the folder `run`, or go on with a run there.

    `say` gets sentences for the user. A SIGTERM or Ctrl-C ends the training after the step in hand, with a checkpoint;
    `Result.stopped` then names the signal. Raises BamkitError for everything that a user can mend.
    """
    began = time.monotonic()
    chosen = pick_device(device, group.local_rank)
    if not group.writes:
        say = _silent
    if group.writes and (run / "run.json").exists() and not (resume or force):
        raise BamkitError(
            f"there is a run at {run} already", "--resume to go on with it, --force to replace it, or --name"
        )
    config = config.fitted(min(domain.side for domain in pair))
    run_id = checkpoint.read_run(run)["run_id"] if resume else ""
    folder = RunFolder(run, group.writes, METHODS[config.method])
    try:
        if force and not resume and group.writes:
            folder.clear()
        warning = memory.warning(config, chosen, bf16=False)
        if warning:
            say(warning)
        trainer = Trainer(folder, pair, config, chosen, group, say, cache, run_id)
        if resume:
            trainer.restore()
        return replace(trainer.run(), elapsed=time.monotonic() - began)
    finally:
        folder.close()


def _silent(_: str) -> None:
    return
