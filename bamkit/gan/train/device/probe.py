"""What torch and torchvision say of this machine, as JSON: `python -m bamkit.gan.train.device.probe`.

A process of its own, so that an installation that dies when it is imported is an answer, too.
"""

from __future__ import annotations

import json
from typing import Any


def probe() -> dict[str, Any]:
    """Versions, the CUDA that torch is built for, the GPUs it can use, and whether torchvision works beside it."""
    import torch

    gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    found: dict[str, Any] = {
        "torch": torch.__version__,
        "built_for": f"CUDA {torch.version.cuda}" if torch.version.cuda else "ROCm" if torch.version.hip else "CPU",
        "gpus": [{"name": gpu.name, "memory": gpu.total_memory} for gpu in gpus],
        "threads": torch.get_num_threads(),
        "torchvision": None,
        "torchvision_error": None,
    }
    try:
        from bamkit.gan.vision import torchvision

        package = torchvision()
        found["torchvision"] = package.__version__
        package.models.resnet18(num_classes=2)
    except Exception as error:  # whatever a mismatched build dies of is what is asked for
        found["torchvision_error"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return found


if __name__ == "__main__":
    print(json.dumps(probe()))
