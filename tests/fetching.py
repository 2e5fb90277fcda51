"""What the tests of fetch share: manifests written by the contract, pictures made in code."""

from __future__ import annotations

import functools
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from bamkit.common.contract import ATTRIBUTES, selection_schema
from bamkit.common.provenance import digest
from bamkit.common.shards import write_table


def write_selection(
    workspace: Path, name: str, urls: list[str], train: int, test: int = 0, validation: int = 0
) -> Path:
    """A selection manifest: the first `train` URLs, then test, then validation, the rest is the reserve."""
    rows = []
    for index, url in enumerate(urls):
        split = "train" if index < train else "test" if index < train + test else "validation"
        if index >= train + test + validation:
            split = "reserve"
        row = {"mid": 1000 + index, "project_id": index // 2, "src": url, "license": "cc by", "mature": False}
        row |= {"rank": index + 1, "score": -0.01 * (index + 1), "split": split}
        row |= dict.fromkeys(ATTRIBUTES) | {f"{attribute}_score": -1.0 for attribute in ATTRIBUTES}
        row |= {"emotion_happy": "positive", "emotion_happy_score": row["score"]}
        rows.append(row)
    path = workspace / "selections" / f"{name}.parquet"
    about = {"kind": "selection", "name": name, "query": {}, "selection_id": digest([name, urls, train, test])}
    write_table(pa.Table.from_pylist(rows, selection_schema()), path, about)
    return path


def picture(seed: int = 0, width: int = 120, height: int = 90) -> Image.Image:
    """A smooth picture that differs for every seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, format_name: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


@functools.cache
def jpeg(seed: int = 0, width: int = 120, height: int = 90) -> bytes:
    return encoded(picture(seed, width, height), "JPEG", quality=90)
