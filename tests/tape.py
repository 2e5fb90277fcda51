"""A CUDA graph's rules on a CPU: operations are recorded once with the very tensors they used, then only repeated.

What `torch.cuda.CUDAGraph` demands of a step holds here as well: a value that Python kept (a learning rate, a branch, a
count) stays what it was at the recording, tensors stay where they are, and asking a tensor for its value is an error.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tape(TorchDispatchMode):
    """Records every operation under it; `replay` repeats them on the same memory."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("the step asks a tensor for its value: a graph could not be captured")
        kwargs = kwargs or {}
        made = function(*args, **kwargs)
        self.operations.append((function, args, kwargs, made))
        return made

    @torch.no_grad()
    def replay(self):
        for function, args, kwargs, made in self.operations:
            again = function(*args, **kwargs)
            for old, new in zip(tree_leaves(made), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class TapedStep:
    """Takes the place of `GraphedStep`: some ordinary steps, one recorded (and taken), then replays."""

    WARM_UP = 2

    def __init__(self, say):
        self.done, self.tape = 0, None

    def __call__(self, function):
        if self.tape is not None:
            self.tape.replay()
            return self.result
        self.done += 1
        if self.done <= self.WARM_UP:
            return function()
        tape = Tape()
        with tape:
            self.result = function()
        self.tape = tape
        return self.result
