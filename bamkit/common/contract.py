"""The vocabulary and the parquet schemas: all that curate and gan share.

`pyarrow` is imported inside the functions that need it, so that the command line can read the vocabulary at once.
"""

from __future__ import annotations

import difflib
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from bamkit.common.errors import BamkitError

if TYPE_CHECKING:
    import pyarrow as pa

CONTENT = ("bicycle", "bird", "building", "cars", "cat", "dog", "flower", "people", "tree")
EMOTION = ("gloomy", "happy", "peaceful", "scary")
MEDIA = ("3d_graphics", "comic", "graphite", "oilpaint", "pen_ink", "vectorart", "watercolor")
GROUPS: dict[str, tuple[str, ...]] = {"content": CONTENT, "emotion": EMOTION, "media": MEDIA}
ATTRIBUTES: tuple[str, ...] = tuple(f"{group}_{name}" for group, names in GROUPS.items() for name in names)
"""The 20 attributes under their database names, e.g. `emotion_happy`. Address columns by name, never by position."""

NOT_EMOTION: tuple[str, ...] = tuple(name for name in ATTRIBUTES if not name.startswith("emotion_"))
"""What should not tell two emotions apart: the 16 content and media attributes."""

LABELS = ("positive", "unsure", "negative")
SPLITS = ("train", "test", "validation", "reserve")
"""`train` holds the first ranks, `test` the next ones, then `validation` (it chooses checkpoints), then `reserve`
(ranks that replace links found dead)."""


def attribute(name: str) -> str:
    """The full attribute name for a full or short form: `happy` -> `emotion_happy`, `pen-ink` -> `media_pen_ink`.

    Raises BamkitError naming the nearest attribute.
    """
    wanted = name.strip().lower().replace("-", "_")
    if wanted in ATTRIBUTES:
        return wanted
    for full in ATTRIBUTES:
        if short(full) == wanted:
            return full
    near = difflib.get_close_matches(wanted, [*ATTRIBUTES, *map(short, ATTRIBUTES)], n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"the 20 attributes are {', '.join(map(short, ATTRIBUTES))}"
    raise BamkitError(f"there is no attribute {name!r}", hint)


def emotion(name: str) -> str:
    """Like `attribute`, for the four emotions only: `scary` -> `emotion_scary`."""
    wanted = name.strip().lower().replace("-", "_").removeprefix("emotion_")
    if wanted in EMOTION:
        return f"emotion_{wanted}"
    near = difflib.get_close_matches(wanted, EMOTION, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"the emotions are {', '.join(EMOTION)}"
    raise BamkitError(f"there is no emotion {name!r}", hint)


def short(full: str) -> str:
    """`emotion_happy` -> `happy`."""
    return full.split("_", 1)[1]


@cache
def selection_schema() -> pa.Schema:
    """Columns of `selections/NAME.parquet`, one row an image, ordered by rank.

    A label is null where the database has none; a score is null where the image has no `scores` row. `rank` starts
    at 1. `score` is the ranked attribute's score (log-probability-like, <= 0, higher is surer).
    """
    import pyarrow as pa

    head = [
        ("mid", pa.int64()),
        ("project_id", pa.int64()),
        ("src", pa.string()),
        ("license", pa.string()),
        ("mature", pa.bool_()),
        ("rank", pa.int32()),
        ("score", pa.float64()),
        ("split", pa.string()),
    ]
    labels = [(name, pa.string()) for name in ATTRIBUTES]
    scores = [(f"{name}_score", pa.float64()) for name in ATTRIBUTES]
    return pa.schema(head + labels + scores)


@cache
def split_schema() -> pa.Schema:
    """Columns of `splits/NAME/<split>-00000-of-00001.parquet`: the picture, the manifest row, where it came from.

    `image` is Hugging Face's image struct (encoded bytes, and a suggested file name that keeps the mid). `replaces` is
    the mid of the unavailable image whose place this one took, else null. `original_*` describe the file as it was
    downloaded; `phash` is the 64-bit perceptual hash of the picture as 16 hex digits.
    """
    import pyarrow as pa

    image = pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    tail = [
        ("replaces", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("original_width", pa.int32()),
        ("original_height", pa.int32()),
        ("original_format", pa.string()),
        ("original_bytes", pa.int64()),
        ("original_sha256", pa.string()),
        ("phash", pa.string()),
    ]
    return with_features(pa.schema([image, *selection_schema(), *(pa.field(*column) for column in tail)]))


@cache
def missing_schema() -> pa.Schema:
    """Columns of `missing/NAME.parquet`: every image of the selection that could not be had, with the reason.

    `rule` is what the image's host said about fetching it (robots.txt and others), null where it was not asked.
    """
    import pyarrow as pa

    return pa.schema(
        [
            ("mid", pa.int64()),
            ("src", pa.string()),
            ("rank", pa.int32()),
            ("split", pa.string()),
            ("outcome", pa.string()),
            ("reason", pa.string()),
            ("http_status", pa.int32()),
            ("attempts", pa.int32()),
            ("replaced_by", pa.int64()),
            ("rule", pa.string()),
        ]
    )


@cache
def translation_schema() -> pa.Schema:
    """Columns of `translations/NAME/translations.parquet`: `image` is the translation.

    `mid` is null for pictures that came from plain files (then `source` is the file name). `direction` reads
    `happy-to-scary`; `split` is the split the source picture came from, or null.
    """
    import pyarrow as pa

    image = pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    tail = [
        ("mid", pa.int64()),
        ("source", pa.string()),
        ("source_sha256", pa.string()),
        ("direction", pa.string()),
        ("run", pa.string()),
        ("run_id", pa.string()),
        ("checkpoint", pa.string()),
        ("split", pa.string()),
        ("rank", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
    ]
    return with_features(pa.schema([image, *(pa.field(*column) for column in tail)]))


def with_features(schema: pa.Schema) -> pa.Schema:
    """The schema with Hugging Face feature types in its metadata, so that `datasets.load_dataset` decodes pictures."""
    features: dict[str, Any] = {}
    for field in schema:
        names = {"double": "float64"}
        dtype = names.get(str(field.type), str(field.type))
        features[field.name] = {"_type": "Image"} if field.name == "image" else {"dtype": dtype, "_type": "Value"}
    info = json.dumps({"info": {"features": features}}, separators=(",", ":"))
    return schema.with_metadata({**(schema.metadata or {}), b"huggingface": info.encode()})
