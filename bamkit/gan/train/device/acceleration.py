"""How a step is computed on a device: precision, memory format, compilation, CUDA graphs. Never what it computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import cast

import torch
from torch import Tensor, nn

from bamkit.gan.train.device.devices import exhausted
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
    tf32: bool = False
    """On CUDA, float32 convolutions with factors rounded to 10 bits (TF32)."""
    channels_last: bool = False
    """NHWC memory, which tensor cores take without a copy."""
    fused_adam: bool = False
    """All of Adam in one kernel, with the learning rate and the step count on the GPU."""
    compile: bool = False
    """torch.compile fuses norm, activation and padding."""
    graph: bool = False
    """The whole step replayed as one CUDA graph."""
    note: str = ""
    """What was asked for and does not work here, in a sentence."""

    @classmethod
    def best(cls, device: torch.device, config: TrainConfig) -> Acceleration:
        """The fastest set for a device. On a CPU that is eager float32 in the default memory format, passes merged."""
        cuda = device.type == "cuda"
        wanted = config.compile == "on" or (config.compile == "auto" and cuda)
        failure = compile_failure(str(device)) if wanted else ""
        return cls(
            merged=True,
            bf16=config.amp == "bf16" or (config.amp == "auto" and cuda and torch.cuda.is_bf16_supported()),
            tf32=cuda and config.amp != "off",
            channels_last=cuda,
            fused_adam=cuda,
            compile=wanted and not failure,
            graph=cuda and config.graphs != "off",
            note=f"torch.compile does not work here ({failure}): the networks run uncompiled" if failure else "",
        )

    @property
    def warm_up(self) -> int:
        """First steps that are not typical: compilation, capture, cold caches."""
        if self.graph:
            return WARM_UP + 2
        return 3 if self.compile or self.channels_last else 1

    def adam(self, parameters: list[nn.Parameter], config: TrainConfig) -> torch.optim.Adam:
        """Adam as in the paper, in the form that these settings need."""
        betas = (config.beta1, config.beta2)
        if not self.fused_adam:
            return torch.optim.Adam(parameters, lr=config.learning_rate, betas=betas)
        rate = torch.tensor(config.learning_rate, device=parameters[0].device)
        return torch.optim.Adam(parameters, lr=rate, betas=betas, fused=True, capturable=rate.is_cuda)

    def prepare(self, networks: nn.Module) -> None:
        """Lay out and compile the children of `networks` in place. Their weights and names stay what they are."""
        # TF32 is a setting of the process; torch's default for convolutions is on.
        torch.backends.cudnn.allow_tf32 = self.tf32
        if self.channels_last:
            cast("Callable[..., nn.Module]", networks.to)(memory_format=torch.channels_last)
        if self.compile:
            # Dynamo keeps 8 variants of a function and runs further ones eagerly: a training begins with none.
            torch._dynamo.reset()
            for network in networks.children():
                network.compile(dynamic=False)


@cache
def compile_failure(device: str) -> str:
    """Why torch.compile does not work on a device, or "". It needs Triton or a C++ compiler, and Python's headers."""
    try:
        torch.compile(lambda x: torch.relu(x) * 2 + 1, dynamic=False)(torch.ones(64, device=device))
    except Exception as error:  # each backend fails with exceptions of its own
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return lines[0][:200] if lines else type(error).__name__
    return ""


class GraphedStep:
    """A step function on fixed input tensors, run eagerly a few times, then captured and replayed as one CUDA graph.

    The function reads only tensors whose values change by `copy_`, and state that stays at its address. The eager steps
    before the capture are real steps of the training: nothing is computed twice. It is handed over at each call and not
    kept, so that the graph does not hold the state of a training that is over. Where the capture fails, `say` hears it
    and all steps run eagerly.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.done = 0
        self.failed = False
        self.graph: torch.cuda.CUDAGraph | None = None
        self.result = torch.empty(0)
        self.stream = torch.cuda.Stream()

    def __call__(self, function: Callable[[], Tensor]) -> Tensor:
        if self.graph is None and self.done >= WARM_UP and not self.failed:
            self._capture(function)
        if self.graph is not None:
            # A capture records and does not run.
            self.graph.replay()
            return self.result
        self.done += 1
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            result = function()
        torch.cuda.current_stream().wait_stream(self.stream)
        return result

    def _capture(self, function: Callable[[], Tensor]) -> None:
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            # Threads that pin memory, and NCCL's watchdog, may go on with calls that a capture forbids its own thread.
            with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                self.result = function()
        except Exception as error:
            if exhausted(error):
                raise
            self.failed = True
            self.say(f"the step cannot be captured as a CUDA graph ({str(error).splitlines()[0]}): it runs eagerly")
            return
        self.graph = graph
