"""Hashes, content-addressed ids and versions: what ties every artefact to what it was made from."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import bamkit

PARTS = (
    *("build", "checkpoints", "config", "database", "features", "from", "imported", "inputs", "judge", "labels"),
    *("match", "n", "query", "split_ids", "to", "versions", "weights"),
)
"""What is a mapping wherever bamkit writes it (but for the `inputs` of translated files, a digest of their names)."""

TEXTS = ("checkpoint", "kind", "name", "run", "run_id", "selection_id", "split", "split_id", "translation_id")
"""What is text wherever bamkit writes it."""


def is_provenance(value: Any) -> bool:
    """Whether a value read from a file has the form of what bamkit writes about an artefact: a mapping, and so are its
    PARTS; its TEXTS are text."""
    if not isinstance(value, dict):
        return False
    sides = [value.get(side) or {} for side in ("from", "to")]
    digested = ("inputs",) if value.get("kind") == "translation" else ()
    kinds = [*((name, dict) for name in PARTS if name not in digested), *((name, str) for name in TEXTS)]
    return all(
        part.get(name) is None or isinstance(part[name], kind)
        for part in (value, *(side for side in sides if isinstance(side, dict)))
        for name, kind in kinds
    )


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: the same value always gives the same text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """The first 16 hex digits of the SHA-256 of `canonical(value)`: a content-addressed id."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def sha256_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(packages: Iterable[str] = ("torch", "torchvision", "pandas", "pyarrow", "pillow")) -> dict[str, str]:
    """Versions of bamkit, Python and the given packages (those that are installed)."""
    installed = {"bamkit": bamkit.__version__, "python": platform.python_version()}
    for name in packages:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed
