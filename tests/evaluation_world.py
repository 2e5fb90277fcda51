"""A small workspace for the evaluation's tests: two moods, some flowers, written as fetch and translate do."""

import hashlib
import io

import numpy as np
import pyarrow as pa
from PIL import Image
from templates import templated

from bamkit.common.contract import ATTRIBUTES, split_schema, translation_schema
from bamkit.common.shards import write_table
from bamkit.common.workspace import Workspace

SIZE = 48


def paint(mid, mood, flower, size=SIZE):
    """Happy: bright and warm, discs. Scary: dark and cold, bars. A flower is a ring of dots at the lower right."""
    rng = np.random.default_rng(mid)
    y, x = np.mgrid[0:size, 0:size] / size
    happy = mood == "happy"
    ground = np.array([235, 200, 120] if happy else [35, 40, 70]) + rng.normal(0, 12, 3)
    picture = ground + 25 * (y - 0.5)[..., None] * rng.normal(size=3)
    for _ in range(4):
        left, top, radius = rng.random(3) * [1, 1, 0.2] + [0, 0, 0.06]
        inside = (
            np.hypot(x - left, y - top) < radius if happy else np.abs(x - left + (y - top) * rng.normal()) < radius / 4
        )
        picture[inside] = (ground + rng.normal(0, 45, 3)) if happy else ground * rng.uniform(0.2, 2.2)
    if flower:
        for angle in np.arange(0, 2 * np.pi, np.pi / 3):
            inside = np.hypot(x - 0.75 - 0.13 * np.cos(angle), y - 0.75 - 0.13 * np.sin(angle)) < 0.06
            picture[inside] = [225, 60, 150]
    return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def darken(picture):
    """A plain happy-to-scary translation: the shapes stay."""
    return np.clip(picture * [0.18, 0.22, 0.5] + [5, 5, 15], 0, 255).astype(np.uint8)


def jpeg(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def png(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def phash(picture):
    """64 bits of an 8 x 8 mean hash; unlike pictures differ in many bits."""
    small = np.asarray(Image.fromarray(picture).convert("L").resize((8, 8)))
    bits = (small > small.mean()).ravel()
    return f"{int(''.join('1' if b else '0' for b in bits), 2):016x}"


def row(mid, mood, rank, split, flower=None, project=None, ranked="emotion"):
    """A row of a split. Labels: the mood positive, the other three negative, the flower; all else null."""
    flower = mid % 3 == 0 if flower is None else flower
    picture = paint(mid, mood, flower)
    data = jpeg(picture)
    values = dict.fromkeys(ATTRIBUTES) | {f"{name}_score": -6.0 for name in ATTRIBUTES}
    for one in ("happy", "scary", "gloomy", "peaceful"):
        values[f"emotion_{one}"] = "positive" if one == mood else "negative"
    values["content_flower"] = "positive" if flower else "negative"
    values["content_people"] = "unsure"
    score = -0.05 - rank / 1000
    values[f"emotion_{mood}_score"] = score
    return {
        "image": {"bytes": data, "path": f"{mid}.jpg"}, "mid": mid, "project_id": project or mid + 10**6,
        "src": f"http://127.0.0.1/{mid}.jpg", "license": "cc by", "mature": False, "rank": rank,
        "score": score if ranked else -1.0, "split": split, **values, "replaces": None,
        "width": SIZE, "height": SIZE, "original_width": 600, "original_height": 600, "original_format": "JPEG",
        "original_bytes": len(data), "original_sha256": hashlib.sha256(b"original %d" % mid).hexdigest(),
        "phash": hashlib.sha256(b"%d" % mid).hexdigest()[:16],
    }  # fmt: skip


def write_split(workspace, name, rows, group=16):
    for split in ("train", "test", "validation"):
        chosen = [one for one in rows if one["split"] == split]
        if chosen:
            table = pa.Table.from_pylist(chosen, schema=split_schema())
            about = {"kind": "split", "name": name, "split": split, "split_id": f"id-of-{name}"}
            path = workspace.split(name) / f"{split}-00000-of-00001.parquet"
            write_table(table, path, about, row_group_size=group)


def mood_rows(mood, first, train=24, test=24, flower=None):
    """Rows of one mood with mids from `first`: `train` training and `test` test pictures."""
    return [row(first + i, mood, i + 1, "train" if i < train else "test", flower) for i in range(train + test)]


def write_translations(
    workspace, run, rows, translator, directions=("happy-to-scary",), checkpoint="best", split="test", group=16
):
    """translations/RUN/translations.parquet made by `translator(picture, direction)`."""
    table = []
    for direction in directions:
        source = direction.split("-to-")[0]
        for one in rows[source]:
            if one["split"] != split:
                continue
            data = one["image"]["bytes"]
            after = translator(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), direction)
            table.append({
                "image": {"bytes": png(after), "path": f"{direction}/{one['mid']}.png"}, "mid": one["mid"],
                "source": f"{one['mid']}.jpg", "source_sha256": hashlib.sha256(data).hexdigest(),
                "direction": direction, "run": run, "run_id": f"id-of-{run}", "checkpoint": checkpoint,
                "split": split, "rank": one["rank"], "width": after.shape[1], "height": after.shape[0],
            })  # fmt: skip
    path = workspace.translations / run / "translations.parquet"
    about = {"kind": "translation", "run": run}
    write_table(pa.Table.from_pylist(table, schema=translation_schema()), path, about, row_group_size=group)


def world(root, train=24, test=24):
    """A workspace with splits happy and scary, and translations of both directions by the run happy-scary."""
    rows = _world(root, train, test)
    return Workspace.open(root), rows


@templated
def _world(root, train, test):
    root.mkdir(exist_ok=True)
    workspace = Workspace.open(root)
    rows = {"happy": mood_rows("happy", 1000, train, test), "scary": mood_rows("scary", 3000, train, test)}
    for name, part in rows.items():
        write_split(workspace, name, part)

    def translator(picture, direction):
        return darken(picture) if direction == "happy-to-scary" else 255 - picture

    write_translations(workspace, "happy-scary", rows, translator, ("happy-to-scary", "scary-to-happy"))
    return rows
