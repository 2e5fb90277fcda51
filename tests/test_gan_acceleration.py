"""What makes a step fast falls back to eager PyTorch where it does not work, and keeps memory layouts equal."""

import contextlib
import gc
import weakref

import gan_parts
import pytest
import torch
from tape import TapedStep

from bamkit.gan.train import state
from bamkit.gan.train.data import loader
from bamkit.gan.train.device import acceleration, devices
from bamkit.gan.train.device.acceleration import WARM_UP, Acceleration, GraphedStep, compile_failure
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.settings import TrainConfig


class Ready(state.TrainState):
    """A train state on random pictures, without files."""

    def decode(self, domain, split, most=None):
        generator = torch.Generator().manual_seed(0)
        return torch.randint(0, 256, (6, 32, 32, 3), generator=generator, dtype=torch.uint8).numpy()


def ready(made=None, **settings):
    config = gan_parts.tiny(**settings)
    return Ready(config, ("a", "b"), torch.device("cpu"), ProcessGroup(), acceleration=made or Acceleration())


def test_a_compilation_that_fails_is_said_in_one_line(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("\nFailed to find C++ compiler.\nSet TORCH_LOGS")

    monkeypatch.setattr(torch, "compile", fails)
    compile_failure.cache_clear()
    made = Acceleration.best(torch.device("cuda"), TrainConfig(amp="off"))
    compile_failure.cache_clear()
    assert (made.compile, made.graph) == (False, True)
    assert "does not work here (Failed to find C++ compiler.): " in made.note


@pytest.mark.slow
def test_without_a_compiler_training_runs_uncompiled_and_says_so(monkeypatch):
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", (None, "no-such-compiler"))
    monkeypatch.setattr(config, "force_disable_caches", True)
    compile_failure.cache_clear()
    made = Acceleration.best(torch.device("cpu"), TrainConfig(compile="on"))
    compile_failure.cache_clear()
    assert not made.compile
    assert made.merged
    assert "torch.compile does not work here (" in made.note
    assert made.note.endswith("): the networks run uncompiled")
    assert not Acceleration.best(torch.device("cpu"), TrainConfig()).note, "nobody asked"


@pytest.mark.parametrize(("amp", "bf16", "tf32"), [("off", False, False), ("bf16", True, True)])
def test_amp_off_is_float32_without_tf32(monkeypatch, amp, bf16, tf32):
    monkeypatch.setattr(acceleration, "compile_failure", lambda device: "no GPU here")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    made = Acceleration.best(torch.device("cuda"), TrainConfig(amp=amp))
    assert (made.bf16, made.tf32) == (bf16, tf32)
    Acceleration(tf32=made.tf32).prepare(torch.nn.Sequential())
    assert torch.backends.cudnn.allow_tf32 is tf32


@pytest.fixture
def cuda(monkeypatch):
    """The parts of torch.cuda that GraphedStep uses, of which the capture runs its body, as on a GPU without replay."""

    class Stream:
        def wait_stream(self, other):
            pass

    class Graph:
        def replay(self):
            pass

    for name, value in {
        "Stream": Stream, "current_stream": Stream, "synchronize": lambda: None, "CUDAGraph": Graph,
        "stream": lambda stream: contextlib.nullcontext(), "graph": lambda *_, **__: contextlib.nullcontext(),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)


def test_a_failed_capture_leaves_eager_steps_and_says_so(cuda):
    said, calls = [], []

    def step():
        calls.append(len(calls))
        if len(calls) == WARM_UP + 1:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        return torch.tensor(float(len(calls)))

    graphed = GraphedStep(said.append)
    values = [graphed(step).item() for _ in range(WARM_UP + 3)]
    assert values == [1, 2, 3, 4, 6, 7, 8], "the failed call has no result, and every step has one"
    assert said == [
        "the step cannot be captured as a CUDA graph (operation not permitted when stream is capturing): "
        "it runs eagerly"
    ]


def test_memory_that_runs_out_in_a_capture_is_no_reason_to_run_eagerly(cuda):
    """The capture's own error covers the one that ended it."""

    calls = []

    def step():
        calls.append(1)
        if len(calls) > WARM_UP:
            try:
                raise torch.OutOfMemoryError("CUDA out of memory")
            finally:
                raise RuntimeError("capture ended in an invalid state")
        return torch.zeros(())

    graphed = GraphedStep(pytest.fail)
    for _ in range(WARM_UP):
        graphed(step)
    with pytest.raises(RuntimeError, match="invalid state") as caught:
        graphed(step)
    assert devices.exhausted(caught.value)


def test_exhausted_looks_behind_causes_and_stops_at_circles():
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__context__, second.__context__ = second, first
    assert not devices.exhausted(first)
    second.__cause__ = MemoryError()
    assert devices.exhausted(first)
    assert not devices.exhausted(None)


def test_a_graph_does_not_keep_the_training_that_it_was_made_for(monkeypatch):
    monkeypatch.setattr(state, "GraphedStep", TapedStep)
    monkeypatch.setattr(loader, "cut", loader.gather)
    ready()  # what torch imports at first use leaves frames in circles
    gc.collect()
    gc.disable()
    try:
        made = ready(Acceleration(graph=True, fused_adam=True))
        for step in range(5):
            made.train_step(step)
        reference = weakref.ref(made)
        del made
        assert reference() is None
    finally:
        gc.enable()


def test_moments_and_averages_have_the_strides_of_their_parameters():
    """A checkpoint of plain memory format goes on in channels_last, where fused Adam wants equal strides."""
    plain = ready(ema=0.9)
    plain.train_step(0)
    made = ready(Acceleration(channels_last=True), ema=0.9)
    made.load_state_dict(plain.state_dict(), "x")
    weight = made.nets.G_A.blocks[0].first.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    for optimizer in made.step.optimizers.values():
        for parameter, entry in optimizer.state.items():
            assert entry["exp_avg"].stride() == entry["exp_avg_sq"].stride() == parameter.stride()
    for average, parameter in zip(made.step.averages, made.nets.generators(), strict=True):
        assert average.stride() == parameter.stride()
    again = plain.step.optimizers["generators"].state_dict()["state"]
    for number, entry in made.step.optimizers["generators"].state_dict()["state"].items():
        assert torch.equal(entry["exp_avg"], again[number]["exp_avg"])


def test_every_training_compiles_anew(monkeypatch):
    """Dynamo keeps 8 variants of a function, and runs the ninth eagerly without a word."""
    calls = []
    monkeypatch.setattr(torch._dynamo, "reset", lambda: calls.append("reset"))
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: calls.append("compile"))
    for _ in range(2):
        Acceleration(compile=True).prepare(torch.nn.Sequential(torch.nn.ReLU()))
    assert calls == ["reset", "compile"] * 2
