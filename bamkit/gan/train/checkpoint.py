"""Checkpoints: written atomically, checked by their CRC sums when read, loadable with `weights_only=True`.

A checkpoint is an ordinary `torch.save` file, which is a zip archive with a CRC-32 sum for every tensor. Reading one
here checks all of them first, so that a half-written or damaged file is recognised and the one before it is taken.
"""

from __future__ import annotations

import errno
import json
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bamkit.common.errors import BamkitError
from bamkit.common.provenance import is_provenance
from bamkit.common.workspace import atomic_path
from bamkit.gan.train.networks import cyclegan
from bamkit.gan.train.settings import CHANGEABLE, TrainConfig

FORMAT = 1
FOLDER = "checkpoints"
BEST = "best.pt"
DIRECTIONS = {"a_to_b", "b_to_a"}
"""The names of a checkpoint's generators, and of their averages."""
PARTS = ("generators", "averages", "discriminators", "others")
"""What of a checkpoint's content is weights of networks, by name; `others` are a method's own beside the usual ones."""
STEP = re.compile(r"step-(\d{8,})\.pt")


class DamagedError(BamkitError):
    """A checkpoint that is no longer what was written."""


@dataclass
class Generators:
    """Two trained generators, in evaluation mode, and where they came from."""

    config: TrainConfig
    a_to_b: cyclegan.Generator
    """Translates domain A (`--from`) into domain B (`--to`): the paper's G, the public code's G_A."""
    b_to_a: cyclegan.Generator
    names: tuple[str, str]
    """The names of domain A and domain B, such as ("happy", "scary")."""
    run_id: str
    checkpoint_name: str
    """The file's name without its ending: `step-00012000`, or `best`."""
    step: int
    notes: list[str] = field(default_factory=list)
    """What a user should hear: damaged files that were passed over."""

    def directions(self) -> dict[str, cyclegan.Generator]:
        """{"happy-to-scary": network, "scary-to-happy": network}."""
        a, b = self.names
        return {f"{a}-to-{b}": self.a_to_b, f"{b}-to-{a}": self.b_to_a}


def path_of(run: Path, step: int) -> Path:
    """Where the checkpoint after `step` steps lies."""
    return run / FOLDER / f"step-{step:08}.pt"


def steps(run: Path) -> list[int]:
    """The steps of all numbered checkpoints of a run, ascending."""
    matches = (STEP.fullmatch(path.name) for path in (run / FOLDER).glob("step-*.pt"))
    return sorted(int(match[1]) for match in matches if match)


def any_in(run: Path) -> bool:
    """Whether a run has a checkpoint, whole or not."""
    return bool(steps(run)) or (run / FOLDER / BEST).is_file()


def write(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically: after a kill at any moment there is the old file, or the whole new one.

    Raises OSError where the disk is full.
    """
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            try:
                torch.save({"format": FORMAT, **state}, file)
            except RuntimeError as error:
                # torch's writer finds its positions wrong when a write has failed, and covers the reason.
                reason = error.__context__
                if isinstance(reason, OSError):
                    raise reason from error
                raise OSError(errno.EIO, str(error).splitlines()[0], str(path)) from error


def not_finite(state: dict[str, Any]) -> str:
    """What in a checkpoint's content holds NaN or Inf, such as `a weight of a_to_b`; "" for a sound one."""
    for part in PARTS:
        kind = "average" if part == "averages" else "weight"
        for name, weights in (state.get(part) or {}).items():
            if not all(bool(value.isfinite().all()) for value in weights.values()):
                return f"a {kind} of {name}"
    for name, moments in (state.get("optimizers") or {}).items():
        values = (value for moment in moments.values() for value in moment.values() if isinstance(value, torch.Tensor))
        if not all(bool(value.isfinite().all()) for value in values):
            return f"a moment of the {name}"
    return ""


def misshapen(state: dict[str, Any]) -> str:
    """Which part of a checkpoint's content is not what bamkit train writes there; "" where all are."""
    for part in PARTS:
        networks = state.get(part)
        if networks is None and part != "generators":
            continue
        if not isinstance(networks, dict) or not all(map(_is_weights, networks.values())):
            return part
        if not networks.keys() >= DIRECTIONS and (part == "generators" or (part == "averages" and networks)):
            return part
    optimizers = state.get("optimizers") or {}
    if not isinstance(optimizers, dict) or not all(
        isinstance(moments, dict) and all(isinstance(moment, dict) for moment in moments.values())
        for moments in optimizers.values()
    ):
        return "optimizers"
    kinds: dict[str, Any] = {"config": dict, "names": (list, tuple), "run_id": str, "step": int, "format": int}
    wrong = [
        name for name, kind in kinds.items() if not isinstance(state.get(name, 0 if name == "format" else None), kind)
    ]
    if not wrong and (len(state["names"]) != 2 or not all(isinstance(name, str) for name in state["names"])):
        wrong = ["names"]
    return wrong[0] if wrong else ""


def _is_weights(network: Any) -> bool:
    return isinstance(network, dict) and all(isinstance(value, torch.Tensor) for value in network.values())


def read(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """A checkpoint's content, after checking every CRC sum in it. Raises DamagedError, or BamkitError if it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except FileNotFoundError as error:
        raise BamkitError(f"there is no checkpoint {path}") from error
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise DamagedError(f"checkpoint {path} is damaged: {error}") from error
    if bad is not None:
        raise DamagedError(f"checkpoint {path} is damaged: the check sum of {bad} is wrong")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        # torch reports what it cannot unpickle through a handful of exception types that vary between versions.
        raise DamagedError(f"checkpoint {path} cannot be loaded: {str(error).splitlines()[0]}") from error
    if not isinstance(state, dict) or "generators" not in state or "config" not in state:
        raise BamkitError(f"{path} is not a checkpoint of bamkit train")
    part = misshapen(state)
    if part:
        raise DamagedError(f"checkpoint {path} is damaged: its {part} are not what bamkit train writes")
    if state.get("format", 0) > FORMAT:
        raise BamkitError(f"{path} was written by a newer bamkit", "pip install --upgrade bamkit")
    bad = not_finite(state)
    if bad:
        raise DamagedError(f"checkpoint {path} is damaged: {bad} is not finite")
    return state


def newest(run: Path, device: torch.device | str = "cpu") -> tuple[Path, dict[str, Any], list[str]]:
    """The last checkpoint that is whole: its path, its content, and a sentence for each damaged one passed over.

    After the numbered ones that is best.pt. Raises BamkitError if there is none.
    """
    paths = [*(path_of(run, step) for step in reversed(steps(run))), run / FOLDER / BEST]
    notes: list[str] = []
    for path in filter(Path.is_file, paths):
        try:
            return path, read(path, device), notes
        except DamagedError as error:
            notes.append(f"{error.message}; the one before it is taken")
    if notes:
        raise BamkitError(f"all {len(notes)} checkpoints of {run} are damaged", "bamkit train --force   # starts again")
    raise BamkitError(f"{run} has no checkpoint yet", "bamkit train --force   # starts it again")


def refuse_mismatch(
    path: Path, state: dict[str, Any], config: TrainConfig, run_id: str, names: tuple[str, str], processes: int
) -> None:
    """Raises BamkitError if a checkpoint was not made by the run that shall go on from it.

    run.json beside it must hold every setting that was trained with: a missing one would become the default.
    """
    if state["processes"] != processes:
        raise BamkitError(
            f"{path} was trained by {state['processes']} processes, not {processes}",
            f"torchrun --nproc-per-node {state['processes']} -m bamkit train --resume",
        )
    trained_with = TrainConfig.from_dict(state["config"])
    written = read_run(path.parent.parent)["config"]
    for name in sorted({*state["config"]} - {*written} - CHANGEABLE):
        value = state["config"][name]
        raise BamkitError(
            f"run.json holds no {name}, and {path} was trained with {name} {value}: run.json was changed",
            f"write {name} {value} back into its config, or train with another --name",
        )
    for name, value in config.as_dict().items():
        before = getattr(trained_with, name)
        if name not in CHANGEABLE and before != value:
            raise BamkitError(
                f"run.json says {name} {value}, and {path} was trained with {before}: run.json was changed",
                f"write {before} back into run.json, or train with another --name",
            )
    if state["run_id"] != run_id:
        raise BamkitError(f"{path} belongs to another run than run.json", "train with another --name")
    if tuple(state["names"]) != names:
        raise BamkitError(
            f"run.json says from {names[0]} to {names[1]}, and {path} was trained from {' to '.join(state['names'])}",
            "put run.json back, or train with another --name",
        )


def write_best(run: Path, step: int, state: dict[str, Any]) -> None:
    """Write the checkpoint after `step` steps as `best.pt`, then under its number: a second name for it, or a copy.

    In this order, so that after a kill no numbered checkpoint is there that calls itself the best beside an older one.
    """
    best = run / FOLDER / BEST
    write(best, state)
    with atomic_path(path_of(run, step)) as temporary:
        try:
            os.link(best, temporary)
        except OSError:
            temporary.write_bytes(best.read_bytes())


def prune(run: Path, keep: Callable[[int], bool]) -> None:
    """Remove numbered checkpoints but the last two and those whose step `keep` wants."""
    for step in steps(run)[:-2]:
        if not keep(step):
            path_of(run, step).unlink(missing_ok=True)


def load_generators(run: Path, which: str = "best-or-last", device: torch.device | str = "cpu") -> Generators:
    """The two generators of a run, ready to translate; their moving averages where the run kept them.

    `which`: `best` (by validation), `last`, `best-or-last`, or a name such as `step-00012000`. A damaged checkpoint is
    passed over for the next best one and named in `notes`; one that was asked for by name raises BamkitError.
    """
    if not (run / "run.json").is_file():
        raise BamkitError(f"there is no training run at {run}", "bamkit train   # makes one")
    best, notes = run / FOLDER / BEST, []
    if which == "best" and not best.is_file():
        raise BamkitError(f"{run} has no best checkpoint: nothing was validated yet", "use the last one instead")
    if which in ("best", "best-or-last") and best.is_file():
        try:
            return build(read(best, device), "best", device)
        except DamagedError as error:
            notes.append(f"{error.message}; the last one is taken")
    if which in ("best", "last", "best-or-last"):
        path, state, more = newest(run, device)
        return build(state, path.stem, device, notes + more)
    path = run / FOLDER / f"{which.removesuffix('.pt')}.pt"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in (run / FOLDER).glob("*.pt"))) or "none"
        raise BamkitError(f"{run} has no checkpoint {which!r}", f"it has: {known}")
    return build(read(path, device), path.stem, device)


def build(
    state: dict[str, Any], name: str, device: torch.device | str = "cpu", notes: list[str] | None = None
) -> Generators:
    """Networks from a checkpoint's content. Raises BamkitError if weights and settings do not belong together."""
    config = TrainConfig.from_dict(state["config"])
    weights = state.get("averages") or state["generators"]

    def generator(direction: str) -> cyclegan.Generator:
        network = cyclegan.generator(config)
        load_weights(network, weights[direction], f"{name} ({direction})")
        return network.to(device).eval().requires_grad_(requires_grad=False)

    first, second = state["names"]
    return Generators(
        config, generator("a_to_b"), generator("b_to_a"), (first, second), state["run_id"], name, int(state["step"]),
        notes or [],
    )  # fmt: skip


def load_weights(network: nn.Module, weights: dict[str, Any], what: str) -> None:
    """`network.load_state_dict`, with one line for a user when the sizes do not fit."""
    own = network.state_dict()
    if own.keys() != weights.keys():
        raise BamkitError(f"checkpoint {what} was made with another kind of network or another number of blocks")
    for key, value in own.items():
        if value.shape != weights[key].shape:
            raise BamkitError(
                f"checkpoint {what} has another width: {key} is {tuple(weights[key].shape)}, not {tuple(value.shape)}",
                "train with the settings in its run.json, or start afresh with --force or another --name",
            )
    network.load_state_dict(weights)


def read_run(run: Path) -> dict[str, Any]:
    """The content of run.json. Raises BamkitError if the run is not there or the file cannot be read."""
    try:
        about: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BamkitError(f"there is no training run at {run}", "bamkit train   # makes one") from error
    except (OSError, ValueError) as error:
        raise BamkitError(f"{run / 'run.json'} cannot be read: {error}") from error
    if not is_provenance(about):
        raise BamkitError(f"{run / 'run.json'} was changed: it is not what bamkit train writes", "put it back")
    return about


def read_run_to_resume(run: Path) -> dict[str, Any]:
    """The content of run.json. Raises BamkitError also where a part is missing without which no run goes on."""
    about = read_run(run)
    for name, kind in {"config": dict, "run_id": str, "from": dict, "to": dict}.items():
        if not isinstance(about, dict) or not isinstance(about.get(name), kind):
            raise BamkitError(
                f"{run / 'run.json'} was changed: it holds no {name}",
                "put it back, or bamkit train --force starts again",
            )
    return about
