"""One safe way to import torchvision, on every kind of install.

PyPI's torchvision is built against CUDA. Beside a CPU build of torch its compiled operators cannot be loaded, and
`import torchvision` dies with `operator torchvision::nms does not exist`, because a Python file registers a fake kernel
for an operator that was never declared. Declaring the two missing schemas first is enough: transforms (v1 and v2),
`make_grid`, `save_image`, datasets and all classification models then work. What stays unavailable on such an install:
everything in `torchvision.io` (decode with Pillow), `nms` and the detection models that call it.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_declared: list[Any] = []  # the library must stay alive as long as its operators


def torchvision() -> ModuleType:
    """The torchvision package, after declaring `nms` and `qnms` where, and only where, its operators cannot load."""
    if "torchvision" not in sys.modules and not _declared and _operators_missing():
        import torch

        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)
    return importlib.import_module("torchvision")


def _operators_missing() -> bool:
    """Whether torch has no CUDA and torchvision's compiled operators cannot be loaded beside it."""
    import torch

    if torch.version.cuda is not None or torch.version.hip is not None:
        return False
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    for path in Path(spec.origin).parent.glob("_C*.*"):
        try:
            ctypes.CDLL(str(path))
        except OSError:
            return True
    return False
