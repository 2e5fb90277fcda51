"""How a step is computed on a device: precision, memory format, compilation, CUDA graphs. Never what it computes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bamkit.gan.train.settings import TrainConfig

WARM_UP = 4
"""Ordinary steps before a CUDA graph is captured: optimizers make their state, cuDNN chooses its algorithms."""


@dataclass(frozen=True)
class Acceleration:
    """What makes a step faster without changing what it computes. `Acceleration()` is plain eager PyTorch."""

    merged: bool = False
    """One pass of a network over pictures that do not depend on each other."""
    bf16: bool = False
    """Convolutions in bfloat16; weights, norm statistics, losses and Adam stay in float32."""
    channels_last: bool = False
    """NHWC memory, which tensor cores take without a copy."""
    fused_adam: bool = False
    """All of Adam in one kernel, with the learning rate and the step count on the GPU."""
    compile: bool = False
    """torch.compile fuses norm, activation and padding."""
    graph: bool = False
    """The whole step replayed as one CUDA graph."""

    @classmethod
    def best(cls, device: torch.device, config: TrainConfig) -> Acceleration:
        """The fastest set for a device. On a CPU that is eager float32 in the default memory format, passes merged."""
        cuda = device.type == "cuda"
        bf16 = config.amp == "bf16" or (config.amp == "auto" and cuda and torch.cuda.is_bf16_supported())
        compiled = config.compile == "on" or (config.compile == "auto" and cuda and can_compile())
        return cls(
            merged=True,
            bf16=bf16,
            channels_last=cuda,
            fused_adam=cuda,
            compile=compiled,
            graph=cuda and config.graphs != "off",
        )

    def adam(self, parameters: list[nn.Parameter], config: TrainConfig) -> torch.optim.Adam:
        """Adam as in the paper, in the form that these acceleration need."""
        betas = (config.beta1, config.beta2)
        if not self.fused_adam:
            return torch.optim.Adam(parameters, lr=config.learning_rate, betas=betas)
        rate = torch.tensor(config.learning_rate, device=parameters[0].device)
        return torch.optim.Adam(parameters, lr=rate, betas=betas, fused=True, capturable=rate.is_cuda)

    def prepare(self, network: nn.Module) -> None:
        """Lay out and compile a network in place. Its weights and their names stay what they are."""
        if self.channels_last:
            network.to(memory_format=torch.channels_last)
        if self.compile:
            for part in network.children():
                part.compile(dynamic=False)


def can_compile() -> bool:
    """Whether torch.compile can work for CUDA here: it needs Triton, which is not on every system."""
    import importlib.util

    return sys.platform != "win32" and importlib.util.find_spec("triton") is not None


class GraphedStep:
    """A step function on fixed input tensors, run eagerly a few times, then captured and replayed as one CUDA graph.

    `function` reads only `inputs` (whose values change by `copy_`) and state that stays at its address. The eager
    steps before the capture are real steps of the training: nothing is computed twice.
    """

    def __init__(self, function: Callable[[], Tensor]) -> None:
        self.function = function
        self.done = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.result: Tensor | None = None
        self.stream = torch.cuda.Stream()

    def __call__(self) -> Tensor:
        if self.graph is not None:
            self.graph.replay()
            return self.result  # type: ignore[return-value]
        if self.done < WARM_UP:
            self.done += 1
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                result = self.function()
            torch.cuda.current_stream().wait_stream(self.stream)
            return result
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Threads that pin memory, and NCCL's watchdog, may go on with calls that a capture forbids its own thread.
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            self.result = self.function()
        self.graph = graph
        # A capture records and does not run.
        graph.replay()
        return self.result
