"""croissant.json: an export described for programs, in Croissant 1.0 with the responsible-AI fields (RAI 1.0).

Files are given with their hashes, tables as record sets with the type of every column, pictures as record sets of their
own. Nothing here knows the time or the machine: the same export gives the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from bamkit.common.contract import ATTRIBUTES, split_schema
from bamkit.common.licences import ATTRIBUTION, COLUMNS
from bamkit.common.provenance import digest, sha256_file

FILE = "croissant.json"
DATABASE_PAGE = "https://bam-dataset.org/"
CONFORMS_TO = ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"]
_TERMS = """citeAs column equivalentProperty extract field fileProperty fileObject fileSet format includes isLiveDataset
jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source subField
transform"""
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS.split()},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
"""The context of Croissant 1.0, in full."""
ENCODINGS = {
    ".bin": "application/octet-stream",
    ".csv": "text/csv",
    ".jpg": "image/jpeg",
    ".parquet": "application/x-parquet",
    ".png": "image/png",
    ".tar": "application/x-tar",
    ".webp": "image/webp",
}
DESCRIPTIONS = {
    "image": "The picture.",
    "mid": "The database's identifier of the image.",
    "project_id": "The Behance project that the image is part of; its page names the author.",
    "src": "The address that the image was taken from.",
    "license": "The licence as the database writes it.",
    "mature": "Whether the author marked the image as mature content.",
    "rank": "Place in the ranking of its domain, from 1.",
    "score": "The score of the attribute that the domain is ranked by (log-probability-like, higher is surer).",
    "split": "train, test, validation or reserve.",
    "domain": "The selection that the image belongs to.",
    "replaces": "The mid of the image that could not be had and whose place this one took.",
    "original_sha256": "SHA-256 of the file as it was downloaded.",
    "phash": "64-bit perceptual hash of the picture, as 16 hexadecimal digits.",
}
_TYPES = {"int64": "sc:Integer", "int32": "sc:Integer", "double": "sc:Float", "bool": "sc:Boolean"}


def document(about: Mapping[str, Any], files: Iterable[dict[str, Any]], records: Iterable[dict[str, Any]]) -> str:
    """The file's text: `about` (schema.org's and RAI's properties by name), its files and its record sets."""
    distribution = list(files)
    hashes = [file.get("sha256", file["@id"]) for file in distribution]
    value = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        # The version changes with the content, and with nothing else.
        "version": f"1.0.0+{digest([hashes, about])}",
        **about,
        "distribution": distribution,
        "recordSet": list(records),
    }
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def file_object(folder: Path, path: str, description: str = "") -> dict[str, Any]:
    """A file of the export, with its hash."""
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        **({"description": description} if description else {}),
        "contentUrl": path,
        "encodingFormat": ENCODINGS[Path(path).suffix],
        "sha256": sha256_file(folder / path),
    }


def file_set(name: str, includes: list[str], inside: Sequence[str] = ()) -> dict[str, Any]:
    """Files of one kind: exact names or patterns, in the export's folder or in the archives `inside`."""
    kinds = sorted({ENCODINGS[Path(pattern).suffix] for pattern in includes})
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        **({"containedIn": [{"@id": archive} for archive in inside]} if inside else {}),
        "encodingFormat": kinds[0] if len(kinds) == 1 else kinds,
        "includes": includes,
    }


def record_set(name: str, description: str, fields: list[dict[str, Any]], key: str = "") -> dict[str, Any]:
    """A table or a set of pictures; `key` names the field that tells its records apart."""
    told = {"description": description, **({"key": {"@id": f"{name}/{key}"}} if key else {})}
    return {"@type": "cr:RecordSet", "@id": name, "name": name, **told, "field": fields}


def columns(name: str, source: Mapping[str, Any], schema: Iterable[pa.Field]) -> list[Any]:
    """The fields of a table: one a column of the schema, in order."""
    return [
        field(name, each.name, _TYPES.get(str(each.type), "sc:Text"), source, {"column": each.name})
        for each in schema
        if each.name != "image"
    ]


def text_columns(names: Iterable[str]) -> list[pa.Field]:
    """A schema of a CSV file whose columns are not all in the contract."""
    known = {each.name: each for each in split_schema()}
    return [known.get(name, pa.field(name, pa.string())) for name in names]


def field(
    name: str, column: str, kind: str, source: Mapping[str, Any], extract: Mapping[str, str], **transform: str
) -> dict[str, Any]:
    """One field of the record set `name`."""
    told = DESCRIPTIONS.get(column) or _described(column)
    return {
        "@type": "cr:Field",
        "@id": f"{name}/{column}",
        "name": column,
        **({"description": told} if told else {}),
        "dataType": kind,
        "source": {**source, "extract": dict(extract), **({"transform": transform} if transform else {})},
    }


def _described(column: str) -> str:
    attribute = column.removesuffix("_score")
    if attribute not in ATTRIBUTES:
        return ""
    group, name = re.sub("_", " ", attribute).split(" ", 1)
    if column == attribute:
        return f"The database's label for {name} ({group}): positive, unsure or negative."
    return f"The database's score for {name} ({group})."


def pictures(name: str, patterns: list[str], inside: Sequence[str] = (), **parts: str) -> tuple[Any, Any]:
    """A file set and a record set of pictures called `<mid>.<ending>`; `parts`: field -> pattern in the path."""
    files = f"{name}-files"
    source = {"fileSet": {"@id": files}}
    fields = [
        field(name, "mid", "sc:Integer", source, {"fileProperty": "filename"}, regex=r"^(\d+)\."),
        *(
            field(name, part, "sc:Text", source, {"fileProperty": "fullpath"}, regex=pattern)
            for part, pattern in parts.items()
        ),
        field(name, "image", "sc:ImageObject", source, {"fileProperty": "content"}),
    ]
    return file_set(files, patterns, inside), record_set(name, "The pictures, by mid.", fields, "" if parts else "mid")


def attribution_records(folder: Path) -> tuple[Any, Any]:
    """attribution.csv as a file and as a record set."""
    source = {"fileObject": {"@id": ATTRIBUTION}}
    fields = columns("attribution", source, text_columns(COLUMNS))
    return (
        file_object(folder, ATTRIBUTION, "Where each image is from, its licence and what that asks for."),
        record_set("attribution", "Origin and licence of every image.", fields),
    )
