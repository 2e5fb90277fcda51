"""How long a run is, what its learning rate is when, and how fast it goes."""

from __future__ import annotations

import time

import torch

from bamkit.common.terminal.progress import duration
from bamkit.gan.train.device.acceleration import Acceleration
from bamkit.gan.train.device.devices import device_name
from bamkit.gan.train.settings import PRESETS, TrainConfig

ROWS = 2000
"""Rows of metrics.csv in a run, unless the settings say otherwise."""
SLOW = 10.0
"""A step that takes longer than this many seconds is measured once, not twice."""


class Schedule:
    """Steps in all, and the learning rate's factor at each.

    By epochs it is the public code's: 1 - max(0, e - epochs) / (decay_epochs + 1) at epoch e (from 1). A run given in
    steps or minutes is divided into as many parts of equal length as there would be epochs.
    """

    def __init__(self, config: TrainConfig, steps_per_epoch: int) -> None:
        self.config = config
        self.epochs = config.epochs + config.decay_epochs
        self.total = 0 if config.minutes else config.steps or self.epochs * steps_per_epoch

    @property
    def fixed(self) -> bool:
        """Whether the length is known (by minutes only once a step has been measured)."""
        return self.total > 0

    def fix(self, total: int) -> None:
        """Set the number of steps of a run that was given in minutes."""
        self.total = max(total, 1)

    def steps_in(self, minutes: float, seconds_a_step: float) -> int:
        """Steps that fit into so many minutes."""
        return max(1, int(minutes * 60 / max(seconds_a_step, 1e-6)))

    def factor(self, step: int) -> float:
        """What the learning rate is multiplied with in step `step` (from 0)."""
        if not self.fixed:
            return 1.0
        epoch = 1 + min(step * self.epochs // self.total, self.epochs - 1)
        return rate_factor(epoch, self.config.epochs, self.config.decay_epochs)

    def due(self, step: int, times: int) -> bool:
        """Whether one of `times` occasions, spread evenly over the run, falls on the end of step `step` (from 1)."""
        if not self.fixed or not times:
            return False
        return step * times // self.total > (step - 1) * times // self.total

    @property
    def log_every(self) -> int:
        """Steps in a row of metrics.csv."""
        if self.config.log_every:
            return self.config.log_every
        return max(1, self.total // ROWS) if self.fixed else 1


def rate_factor(epoch: int, epochs: int = 100, decay_epochs: int = 100) -> float:
    """1 - max(0, e - epochs) / (decay_epochs + 1) at epoch e, counted from 1: never quite 0."""
    return 1.0 - max(0, epoch - epochs) / (decay_epochs + 1)


class StepTimer:
    """Times the first steps that are typical, and the images a second of each row.

    Steps that compile are never measured, however long they take: a run's minutes are minutes of training.
    """

    def __init__(
        self, device: torch.device, acceleration: Acceleration, batch: int, step: int = 0, seconds: float = 0.0
    ) -> None:
        self.device, self.warm_up, self.batch = device, acceleration.warm_up, batch
        self.compiles = acceleration.compile or acceleration.graph
        self.count = 20 if device.type == "cuda" else 2
        self.seconds_a_step = 0.0
        self.warm_up_seconds = 0.0
        self._row = (step, seconds)
        self._steps = 0
        self._done = False
        self._started = time.monotonic()

    def tick(self) -> bool:
        """Call after each of the first steps. True once: when enough has been measured."""
        self._steps += 1
        if self._done:
            return False
        slow = time.monotonic() - self._started >= SLOW
        if self._steps <= self.warm_up and (self.compiles or not slow):
            if self._steps == self.warm_up:
                self._synchronize()
                self.warm_up_seconds = time.monotonic() - self._started
                self._started = time.monotonic()
            return False
        measured = self._steps if self._steps <= self.warm_up else self._steps - self.warm_up
        if measured < self.count and not slow:
            return False
        self._synchronize()
        self.seconds_a_step = (time.monotonic() - self._started) / measured
        self._done = True
        return True

    def images_per_second(self, step: int, seconds: float) -> float:
        """Pictures of each domain a second since the row before."""
        (first, began), self._row = self._row, (step, seconds)
        return (step - first) * self.batch / (seconds - began) if seconds > began else 0.0

    def sentence(self, config: TrainConfig, device: torch.device, steps: int, steps_per_epoch: int) -> str:
        """How long the run will take, and what to change."""
        total = steps * self.seconds_a_step
        seconds = self.seconds_a_step
        each = f"{1000 * seconds:.3g} ms" if seconds < 0.1 else f"{seconds:{'.2g' if seconds < 9.5 else ',.0f'}} s"
        where = f"{'the ' if device.type == 'cpu' else ''}{device_name(device)}"
        passes = f"{steps / steps_per_epoch:.3g} epochs"
        line = f"{steps:,} steps of {each} on {where}, {passes}: about {duration(total)}."
        if self.compiles and self.warm_up_seconds >= 1:
            line += f" Compilation took {duration(self.warm_up_seconds)} before."
        return f"{line} {_advice(config, device, total)}"

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _advice(config: TrainConfig, device: torch.device, seconds: float) -> str:
    if seconds > 3600 and device.type == "cpu":
        ways = ["a GPU", "--minutes 60 (a shorter schedule)"]
        if config.width > PRESETS["quick"]["width"] or config.crop > PRESETS["quick"]["crop"]:
            ways.append("--preset quick (small pictures, a narrow network)")
        return f"Sooner: {', '.join(ways)}."
    if seconds > 3600:
        return "Sooner: --minutes 60 (a shorter schedule), --batch 8 (more images a second), --preset small."
    if (config.steps or config.minutes) and seconds < 900:
        return f"Longer trains better, such as --minutes {max(10, round(seconds / 60) * 4)}."
    return "Longer: --epochs and --decay-epochs; shorter: --minutes 10."
