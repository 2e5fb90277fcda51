"""What a training step of a method costs on this machine: `python -m bamkit.experiment.leaderboard.probe SETTINGS`.

A process of its own, so that its peak memory is the training's. SETTINGS is JSON: the preset, the settings that differ,
the pictures' size, the device. Prints JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

from bamkit.experiment.cost import measure_steps
from bamkit.gan.train.settings import build

STEPS = 5
"""Steps that are measured, after those that warm up."""


@dataclass(frozen=True)
class StepCost:
    """What training costs."""

    seconds: float
    """Of a step, by the clock."""
    processor: float
    """Of a step, over all cores; on a GPU what the processor does beside it."""
    memory: float
    """Bytes: the most that the process held; on a GPU, what it reserved there."""
    pictures: int
    """Of both domains, in a step."""


def measure(preset: str, given: dict[str, Any], size: int, device: str) -> StepCost | str:
    """The cost of a step with these settings, measured in a process of its own; where that fails, why."""
    about = json.dumps({"preset": preset, "given": given, "size": size, "device": device})
    command = [sys.executable, "-m", "bamkit.experiment.leaderboard.probe", about]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"])[-1]
    return StepCost(**json.loads(done.stdout.splitlines()[-1]))


def main(text: str) -> None:
    about = json.loads(text)
    settings = build(about["preset"], None, about["given"])
    seconds, processor = measure_steps(settings, about["size"], about["device"], STEPS)
    print(json.dumps(asdict(StepCost(seconds, processor, _peak(about["device"]), 2 * settings.batch))))


def _peak(device: str) -> float:
    import torch

    from bamkit.gan.train.device.devices import pick_device

    if pick_device(device or None, 0).type == "cuda":
        return float(torch.cuda.max_memory_reserved())
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)


if __name__ == "__main__":
    main(sys.argv[1])
