"""What the steps of an experiment will cost, said before they start."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bamkit.common.shards import count_rows
from bamkit.common.terminal.progress import duration, size
from bamkit.common.workspace import Workspace
from bamkit.experiment.settings import Experiment
from bamkit.gan.train.settings import TrainConfig, build

USUAL_BYTES = 238_000
"""Median size of a BAM picture in bytes (35 real files)."""
USUAL_RATE = 40.0
"""Pictures a second: the default limit of `bamkit fetch` for one host."""


def of_fetch(workspace: Workspace, names: Sequence[str]) -> str:
    """Bytes and time of the downloads at the size and the rate that are usual."""
    rows = count_rows(workspace.selection(name) for name in names)
    return f"up to {rows:,} downloads, about {size(rows * USUAL_BYTES)}, {duration(rows / USUAL_RATE)} at 40 a second"


def of_training(config: Experiment) -> str:
    """From a step measured on this machine with the experiment's own settings, on random pictures."""
    settings = build(config.preset, None, {})
    steps = length(settings, config)
    seconds = measured_step(settings, config.size, config.device)
    return f"{steps:,} steps of {seconds:.3g} s, measured here: about {duration(steps * seconds)}"


def length(settings: TrainConfig, config: Experiment) -> int:
    """Steps of a training of the experiment with these settings."""
    return config.steps or settings.steps or (settings.epochs + settings.decay_epochs) * config.counts["top"]


def measured_step(settings: TrainConfig, size: int, device: str = "", steps: int = 2) -> float:
    """Seconds of one training step with these settings on pictures of `size` px on this machine."""
    return measure_steps(settings, size, device, steps)[0]


def measure_steps(settings: TrainConfig, size: int, device: str, steps: int) -> tuple[float, float]:
    """Seconds of one training step by the clock, and of processor time, on random pictures of `size` px."""
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
        started, busy = time.perf_counter(), time.process_time()
        for step in range(steps):
            train_state.train_step(train_state.acceleration.warm_up + step)
        train_state.read_losses()  # waits for the device
        return (time.perf_counter() - started) / steps, (time.process_time() - busy) / steps
