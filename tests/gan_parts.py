"""Parts that the trainer's tests share: tiny workspaces with real splits, tiny settings, weights from numpy."""

import hashlib
import importlib.util
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from templates import templated

from bamkit.common import contract, shards
from bamkit.common.workspace import Workspace
from bamkit.gan.train.networks.cyclegan import convolutions
from bamkit.gan.train.settings import ONLY, TrainConfig

ROOT = Path(__file__).parent.parent
TINY = {"width": 4, "blocks": 1, "log_every": 1, "samples": 2, "sample_pictures": 1, "tensorboard": False}
FLAGS = "--width 4 --blocks 1 --log-every 1 --samples 2 --sample-pictures 1 --no-tensorboard --device cpu"


def tiny(**changed):
    """Settings of a run of seconds; the pool is left to the methods that have one."""
    pool = {"pool": 3} if changed.get("method", "cyclegan") in ONLY["pool"] else {}
    return TrainConfig(**{**TINY, "size": 32, "crop": 28, "steps": 6, **pool, **changed})


def picture(mood, seed, side=32):
    """A bright or a dark picture with a disc in it, as an RGB array."""
    rng = np.random.default_rng([seed, mood == "happy"])
    ground = np.array([90, 180, 250] if mood == "happy" else [15, 12, 35])
    array = np.clip(ground + rng.normal(0, 8, (side, side, 3)), 0, 255)
    y, x = np.mgrid[:side, :side]
    cy, cx = rng.integers(side // 4, 3 * side // 4, 2)
    array[(y - cy) ** 2 + (x - cx) ** 2 < (side // 6) ** 2] = rng.integers(0, 255, 3)
    return array.astype(np.uint8)


def encoded(array, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def make_split(root, name, counts=(8, 2, 6), side=32, first_mid=None, change=None):
    """splits/NAME/ with train, test and validation shards of `counts` pictures, as fetch writes them."""
    make = _make_split if change else _make_split_once
    make(Path(root) / "splits" / name, name, counts, side, first_mid, change)


def _make_split(folder, name, counts, side, first_mid, change):
    mid = first_mid or {"happy": 1000, "scary": 5000}.get(name, 9000)
    schema = contract.split_schema()
    for split, count in zip(("train", "test", "validation"), counts, strict=True):
        rows = []
        for i in range(count):
            data = encoded(picture(name, mid, side))
            row = dict.fromkeys(schema.names)
            row |= {
                "image": {"bytes": data, "path": f"{mid}.png"}, "mid": mid, "src": f"http://h/{mid}.png", "rank": i + 1,
                "split": split, "width": side, "height": side, "original_sha256": hashlib.sha256(data).hexdigest(),
            }  # fmt: skip
            rows.append(change(split, i, row) if change else row)
            mid += 1
        about = {"kind": "split", "name": name, "split": split, "split_id": f"id-{name}", "selection_id": "s"}
        table = pa.Table.from_pylist(rows, schema=schema)
        shards.write_table(table, folder / f"{split}-00000-of-00001.parquet", about, row_group_size=3)


_make_split_once = templated(_make_split)


def make_workspace(root, **options):
    for name in ("happy", "scary"):
        make_split(root, name, **options)
    return Workspace.open(root)


def make_folder(folder, mood, count=6, side=32):
    folder.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(picture(mood, i, side)).save(folder / f"{i}.png")
    return folder


def baseline():
    """benchmarks/baseline.py: the public implementation's structure, which shares no code with bamkit.gan."""
    spec = importlib.util.spec_from_file_location("baseline", ROOT / "benchmarks" / "baseline.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numpy_weights(network, seed):
    """(weight, bias) arrays for every convolution of a network, in order, from numpy's own generator."""
    rng = np.random.Generator(np.random.PCG64(seed))
    found = []
    for _, conv in convolutions(network):
        weight = rng.normal(0, 0.02, tuple(conv.weight.shape))
        found.append((weight, np.zeros(conv.bias.shape) if conv.bias is not None else None))
    return found


def assert_gradients(objective, parameters, rel, abs):
    """What autograd says of the objective's slope, at one number of each parameter, is what differences say."""
    objective().backward()
    rng = np.random.default_rng(0)
    for parameter in parameters:
        at = tuple(rng.integers(0, n) for n in parameter.shape)
        with torch.no_grad():
            values = []
            for nudge in (1e-7, -2e-7):
                parameter[at] += nudge
                values.append(float(objective()))
            parameter[at] += 1e-7
        assert parameter.grad[at].item() == pytest.approx((values[0] - values[1]) / 2e-7, rel=rel, abs=abs)
