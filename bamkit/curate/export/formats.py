"""The five formats. Each writer gets the sources and an empty folder; same input, byte-identical files."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from bamkit.common.contract import split_schema
from bamkit.common.shards import write_shard
from bamkit.curate.export.settings import ExportSettings
from bamkit.curate.export.source import USED, Source

OnRows = Callable[[int], None]
"""Told how many more images are written."""
Writer = Callable[[Sequence[Source], Path, ExportSettings, OnRows], None]


def file_name(row: dict[str, Any]) -> str:
    """`<mid>.jpg`: the mid, and the ending that the bytes deserve whatever the original was called."""
    kinds = {b"\xff\xd8\xff": "jpg", b"\x89PN": "png", b"RIF": "webp"}
    return f"{row['mid']}.{kinds.get(row['image']['bytes'][:3], 'bin')}"


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row without its picture."""
    return {name: value for name, value in row.items() if name != "image"}


def cyclegan(sources: Sequence[Source], folder: Path, config: ExportSettings, step: OnRows) -> None:
    """trainA/ trainB/ testA/ testB/ (valA/ valB/), as the public CycleGAN code reads them; A is the first domain."""
    short = {"train": "train", "test": "test", "validation": "val"}
    for letter, source in zip("AB", sources, strict=True):
        for split in source.splits:
            below = folder / f"{short[split]}{letter}"
            below.mkdir()
            for row in source.pictures(split):
                (below / file_name(row)).write_bytes(row["image"]["bytes"])
                step(1)


def imagefolder(sources: Sequence[Source], folder: Path, config: ExportSettings, step: OnRows) -> None:
    """<split>/<domain>/<mid>.jpg, a class a domain, and <split>/metadata.csv with all columns.

    torchvision's ImageFolder takes <split>/; Hugging Face's `imagefolder` takes the whole.
    """
    for split in USED:
        parts = [source for source in sources if split in source.splits]
        if not parts:
            continue
        (folder / split).mkdir()
        columns = ["file_name", "domain", *[n for n in split_schema().names if n != "image"]]
        with open(folder / split / "metadata.csv", "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
            table.writeheader()
            for source in parts:
                (folder / split / source.name).mkdir()
                for row in source.pictures(split):
                    name = f"{source.name}/{file_name(row)}"
                    (folder / split / name).write_bytes(row["image"]["bytes"])
                    table.writerow({"file_name": name, "domain": source.name, **plain(row)})
                    step(1)


def webdataset(sources: Sequence[Source], folder: Path, config: ExportSettings, step: OnRows) -> None:
    """<domain>-<split>-000000.tar ...: <mid>.jpg and <mid>.json (all columns), `config.shard` samples a tar.

    The rows lie beside the tars, too, as <domain>-<split>.csv.
    """
    table(sources, folder, config, lambda more: None)
    for source in sources:
        for split in source.splits:
            rows = source.pictures(split)
            for number, chunk in enumerate(_chunks(rows, config.shard)):
                path = folder / f"{source.name}-{split}-{number:06}.tar"
                with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
                    for row in chunk:
                        about = {"domain": source.name, **plain(row)}
                        _add(tar, file_name(row), row["image"]["bytes"])
                        _add(tar, f"{row['mid']}.json", json.dumps(about, ensure_ascii=False).encode())
                        step(1)


def _chunks(rows: Iterator[dict[str, Any]], size: int) -> Iterator[Iterator[dict[str, Any]]]:
    """Runs of at most `size` rows, none of them empty; each must be used up before the next is asked for."""
    for first in rows:

        def run(first: dict[str, Any] = first) -> Iterator[dict[str, Any]]:
            yield first
            for _, row in zip(range(size - 1), rows, strict=False):
                yield row

        yield run()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # with no time and no owner, so that the same input gives the same bytes
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


def table(sources: Sequence[Source], folder: Path, config: ExportSettings, step: OnRows) -> None:
    """<domain>-<split>.csv: every column but the picture. Works for selections that were not fetched."""
    for source in sources:
        for split, rows in source.table_rows.items():
            if not rows:
                continue
            with open(folder / f"{source.name}-{split}.csv", "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(plain(rows[0])), lineterminator="\n")
                writer.writeheader()
                for row in rows:
                    writer.writerow(plain(row))
                    step(1)


def hf(sources: Sequence[Source], folder: Path, config: ExportSettings, step: OnRows) -> None:
    """<domain>/<split>-00000-of-00001.parquet with Hugging Face's image type; the card names the configurations."""
    schema = split_schema()
    for source in sources:
        (folder / source.name).mkdir()
        for split in source.splits:
            split_id = source.domain.about.get("split_id")
            about = {"kind": "export", "name": source.name, "split": split, "split_id": split_id}
            path = folder / source.name / f"{split}-00000-of-00001.parquet"
            fitted = (pa.table(part.columns, schema=schema) for part in source.tables(split))
            write_shard(path, schema, about, fitted, step)


WRITERS: dict[str, Writer] = {
    "cyclegan": cyclegan,
    "imagefolder": imagefolder,
    "webdataset": webdataset,
    "csv": table,
    "hf": hf,
}
