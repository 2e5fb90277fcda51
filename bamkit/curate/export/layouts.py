"""Which files and record sets of croissant.json each format has."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from bamkit.common.contract import selection_schema, split_schema
from bamkit.curate.export import croissant
from bamkit.curate.export.source import Source

Parts: TypeAlias = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""Files and record sets."""


def _tables(sources: Sequence[Source], folder: Path, ending: str, pattern: str) -> Parts:
    """A record set a domain over its files of one ending, one file a split."""
    files, records = [], []
    for source in sources:
        paths = [pattern.format(name=source.name, split=split) for split in source.splits]
        files += [croissant.file_object(folder, path) for path in paths]
        name, of_domain = source.name, f"{source.name}-files"
        files.append(croissant.file_set(of_domain, paths))
        where = {"fileSet": {"@id": of_domain}}
        schema = split_schema() if source.domain.fetched else selection_schema()
        fields = croissant.columns(name, where, schema)
        if ending == ".parquet":
            image = croissant.field(name, "image", "sc:ImageObject", where, {"column": "image"}, jsonPath="bytes")
            fields.insert(0, image)
        records.append(croissant.record_set(name, f"The images of {name}, all splits.", fields, "mid"))
    return files, records


def _hf(sources: Sequence[Source], folder: Path) -> Parts:
    return _tables(sources, folder, ".parquet", "{name}/{split}-00000-of-00001.parquet")


def _csv(sources: Sequence[Source], folder: Path) -> Parts:
    return _tables(sources, folder, ".csv", "{name}-{split}.csv")


def _endings(folder: Path, pattern: str) -> list[str]:
    """The endings of the pictures there."""
    return sorted({path.suffix for path in folder.glob(pattern) if path.suffix in croissant.ENCODINGS} - {".csv"})


def _imagefolder(sources: Sequence[Source], folder: Path) -> Parts:
    """The rows of metadata.csv, and the pictures: mlcroissant joins by file name alone, which two domains may share."""
    splits = sorted(path.parent.name for path in folder.glob("*/metadata.csv"))
    tables = [f"{split}/metadata.csv" for split in splits]
    where = {"fileSet": {"@id": "rows-files"}}
    schema = croissant.text_columns(["file_name", "domain", *[n for n in split_schema().names if n != "image"]])
    fields = croissant.columns("rows", where, schema)
    rows = croissant.record_set("rows", "The rows of metadata.csv, all splits.", fields)
    below = [f"{split}/{source.name}/*" for split in splits for source in sources]
    patterns = [pattern + ending for pattern in below for ending in _endings(folder, pattern)]
    files, images = croissant.pictures("pictures", patterns, split=r"^([^/]+)/", domain=r"^[^/]+/([^/]+)/")
    objects = [croissant.file_object(folder, path) for path in tables]
    return [*objects, croissant.file_set("rows-files", tables), files], [rows, images]


def _cyclegan(sources: Sequence[Source], folder: Path) -> Parts:
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir())
    patterns = [f"{name}/*{ending}" for name in folders for ending in _endings(folder, f"{name}/*")]
    files, images = croissant.pictures("pictures", patterns, folder=r"^([^/]+)/")
    return [files], [images]


def _webdataset(sources: Sequence[Source], folder: Path) -> Parts:
    """The rows of the tables, and the pictures of the tars: mlcroissant reads no JSON that lies in an archive."""
    files, records = _csv(sources, folder)
    for source in sources:
        stems = [f"{source.name}-{split}" for split in source.splits]
        tars = sorted(path.name for path in folder.glob("*.tar") if path.name.rpartition("-")[0] in stems)
        files += [croissant.file_object(folder, tar) for tar in tars]
        patterns = [f"*{ending}" for ending in sorted({_first_ending(folder / tar) for tar in tars})]
        pictures, images = croissant.pictures(f"{source.name}-pictures", patterns, tars)
        files.append(pictures)
        records.append(images)
    return files, records


def _first_ending(path: Path) -> str:
    """The ending of the pictures in a tar: a split's all have one format, and its tars begin with a picture."""
    with tarfile.open(path) as tar:
        first = tar.next()
    return Path(first.name if first else "").suffix


LAYOUTS: dict[str, Callable[[Sequence[Source], Path], Parts]] = {
    "cyclegan": _cyclegan,
    "imagefolder": _imagefolder,
    "webdataset": _webdataset,
    "csv": _csv,
    "hf": _hf,
}
