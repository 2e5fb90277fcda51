"""Pictures, networks and the step, put together: everything that a checkpoint must hold is here."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bamkit.gan.train.checkpoint import load_weights
from bamkit.gan.train.data import decoding
from bamkit.gan.train.data.domains import TrainingDomain
from bamkit.gan.train.data.loader import Inputs, UnpairedLoader
from bamkit.gan.train.device.acceleration import Acceleration, GraphedStep
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.methods import build
from bamkit.gan.train.methods.terms import METHODS
from bamkit.gan.train.random_draws import Sampler
from bamkit.gan.train.settings import TrainConfig

Translate = Callable[[Tensor], Tensor]
DIRECTIONS = {"a_to_b": "G_A", "b_to_a": "G_B"}


class TrainState:
    """The state of a training: networks, averages, optimizers, pools, and the losses not yet written."""

    def __init__(
        self,
        config: TrainConfig,
        pair: tuple[TrainingDomain, TrainingDomain],
        device: torch.device,
        group: ProcessGroup,
        cache: Path | None = None,
        acceleration: Acceleration | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self.config, self.pair, self.device, self.group, self.cache = config, pair, device, group, cache
        self.say = say
        self.acceleration = acceleration or Acceleration.best(device, config)
        if device.type == "cuda":
            # Streams and graphs are made on the current device.
            torch.cuda.set_device(device)
            torch.backends.cudnn.benchmark = True
        self.train_pictures = self.decode(pair[0], "train"), self.decode(pair[1], "train")
        self.sampler = Sampler(
            len(self.train_pictures[0]), len(self.train_pictures[1]), config.batch, config.size, config.crop,
            config.pool, config.seed, config.flip, config.diffaug, group.rank, group.world, build.uniforms(config),
        )  # fmt: skip
        self.loader = UnpairedLoader(
            *self.train_pictures, crop=config.crop, device=device, channels_last=self.acceleration.channels_last
        )
        self.initialise()

    def decode(self, domain: TrainingDomain, split: str, most: int | None = None) -> np.ndarray:
        """The first `most` pictures of a split, uint8 [N, size, size, 3]."""
        entries = domain.entries[split][:most]
        with self.group.progress(f"decode {domain.name} {split}", len(entries)) as progress:
            return decoding.decode(entries, self.config.size, self.cache, progress.update)

    def initialise(self) -> None:
        """Networks, optimizers and pools as they are before the first step: a function of the seed."""
        self.nets = build.networks(self.config).to(self.device)
        self.acceleration.prepare(self.nets)
        self.averages: dict[str, nn.Module] | None = None
        parameters: list[nn.Parameter] | None = None
        if self.config.ema:
            # Copied when they are laid out: averaging wants the same strides.
            self.averages = {
                name: copy.deepcopy(getattr(self.nets, name)).requires_grad_(requires_grad=False)
                for name in DIRECTIONS.values()
            }
            parameters = [p for network in self.averages.values() for p in network.parameters()]
        self.step = build.step(self.nets, self.config, self.acceleration, self.group, parameters)
        self.losses: list[Tensor] = []
        self._epoch = -1
        self.reset_graph()

    def reset_graph(self) -> None:
        """Forget a captured CUDA graph: tensors have moved."""
        self._graph: GraphedStep | None = None
        self._static: Inputs | None = None

    def train_step(self, step: int) -> None:
        """Step `step` of the training (from 0)."""
        epoch, within = divmod(step, self.sampler.steps_per_epoch)
        if epoch != self._epoch:
            self.loader.set_epoch(self.sampler.epoch(epoch))
            self._epoch = epoch
        inputs = self.loader.inputs(within)
        # A graph's result stays at its address: keep a copy.
        self.losses.append(self._run(inputs).clone())

    def _run(self, inputs: Inputs) -> Tensor:
        if not self.acceleration.graph:
            return self.step(*self.loader.pictures(inputs), inputs.draws)
        if self._graph is None or self._static is None:
            self._graph, self._static = GraphedStep(self.say), copy.deepcopy(inputs)
        static = self._static
        static.copy_(inputs)
        return self._graph(lambda: self.step(*self.loader.pictures(static), static.draws))

    def set_rate(self, rate: float) -> None:
        """The learning rate from now on."""
        self.step.set_rate(rate)

    def read_losses(self) -> list[dict[str, float]]:
        """Losses of the steps since the last `clear_losses`, one dict a step, averaged over the processes."""
        if not self.losses:
            return []
        values = self.group.mean(torch.stack(self.losses)).tolist()
        return [dict(zip(METHODS[self.config.method].losses, row, strict=True)) for row in values]

    def clear_losses(self) -> None:
        self.losses = []

    def translators(self) -> tuple[Translate, Translate]:
        """A to B and B to A, as they would translate now: moving averages where there are any, never compiled."""
        networks = self.averages or {name: getattr(self.nets, name) for name in DIRECTIONS.values()}

        def translator(network: nn.Module) -> Translate:
            def translate(x: Tensor, *strength: Tensor) -> Tensor:
                # Pictures of another size than the crops would be compiled for each size.
                with torch.compiler.set_stance("force_eager"):
                    translated: Tensor = network(x.to(self.device), *strength)
                return translated

            return translate

        return translator(networks["G_A"]), translator(networks["G_B"])

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on; tensors on the CPU. All processes take part."""
        pools = {
            name: [part.cpu() for part in self.group.all_gather(pool.pictures)]
            for name, pool in self.step.pools.items()
        }
        averages, others = self.averages, self.nets.others()
        return {
            "generators": {key: _weights(getattr(self.nets, name)) for key, name in DIRECTIONS.items()},
            "averages": {key: _weights(averages[name]) for key, name in DIRECTIONS.items()} if averages else None,
            "discriminators": {name: _weights(getattr(self.nets, name)) for name in ("D_A", "D_B")},
            **({"others": {name: _weights(network) for name, network in others.items()}} if others else {}),
            "optimizers": {name: _moments(o) for name, o in self.step.optimizers.items()},
            "pools": pools,
            "window": torch.stack(self.losses).cpu() if self.losses else None,
        }

    def load_state_dict(self, state: dict[str, Any], what: str) -> None:
        """Take over what `state_dict` returned. Raises BamkitError if it belongs to other settings."""
        self.initialise()
        weights = {name: state["generators"][key] for key, name in DIRECTIONS.items()} | state["discriminators"]
        for name in weights:
            load_weights(getattr(self.nets, name), weights[name], f"{what} ({name})")
        for name, network in self.nets.others().items():
            load_weights(network, state["others"][name], f"{what} ({name})")
        if self.averages:
            for key, name in DIRECTIONS.items():
                load_weights(self.averages[name], (state["averages"] or state["generators"])[key], f"{what} ({name})")
        for name, optimizer in self.step.optimizers.items():
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state["optimizers"][name], "param_groups": groups})
            _lay_out_moments(optimizer)
        for name, pool in self.step.pools.items():
            pool.pictures.copy_(state["pools"][name][self.group.rank])
        if state["window"] is not None:
            self.losses = list(state["window"].to(self.device))


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous().clone() for key, value in network.state_dict().items()}


def _moments(optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Any]]:
    """Adam's state by parameter number, on the CPU; the settings beside it follow from the run's."""
    return {
        number: {key: value.cpu().clone() if isinstance(value, Tensor) else value for key, value in moments.items()}
        for number, moments in optimizer.state_dict()["state"].items()
    }


def _lay_out_moments(optimizer: torch.optim.Optimizer) -> None:
    """Give Adam's moments their parameters' strides, which fused Adam wants, whatever device they were saved on."""
    for parameter, moments in optimizer.state.items():
        for key, value in moments.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                moments[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
