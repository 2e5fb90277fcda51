"""How a step is computed on a device: precision, memory format, compilation, CUDA graphs. Never what it computes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bamkit.common.errors import BamkitError
from bamkit.gan.train.settings import TrainConfig

WARM_UP = 4
"""Ordinary steps before a CUDA graph is captured: optimizers make their state, cuDNN chooses its algorithms."""


@dataclass(frozen=True)
class Levers:
    """What makes a step faster without changing what it computes. `Levers()` is plain eager PyTorch."""

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
    def best(cls, device: torch.device, config: TrainConfig) -> Levers:
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
        """Adam as in the paper, in the form that these levers need."""
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


def pick_device(name: str | None, local_rank: int = 0) -> torch.device:
    """`cuda`, `cuda:1`, `mps`, `cpu`, or None / `auto` for the best there is. Raises BamkitError if it is not there."""
    if name in (None, "auto"):
        return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BamkitError(f"there is no device {name!r}", "--device cpu, cuda, cuda:1 or mps") from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            built = (
                "this torch is built without CUDA" if torch.version.cuda is None else "no NVIDIA driver or GPU found"
            )
            raise BamkitError(f"there is no CUDA device here: {built}", "--device cpu")
        index = device.index if device.index is not None else local_rank
        if index >= torch.cuda.device_count():
            raise BamkitError(
                f"there is no GPU {index}: this machine has {torch.cuda.device_count()}", "--device cuda:0"
            )
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise BamkitError("there is no MPS device here", "--device cpu")
    if device.type not in ("cpu", "mps"):
        raise BamkitError(f"bamkit does not train on {device.type!r}", "--device cpu, cuda, cuda:1 or mps")
    return device


def device_name(device: torch.device) -> str:
    """A device in words, such as `CPU (2 threads)` or `cuda:0 (NVIDIA H200)`."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return f"CPU ({threads} thread{'s' if threads > 1 else ''})" if device.type == "cpu" else str(device)


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
