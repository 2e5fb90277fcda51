"""Which pictures are meant: from what a person names to every mid, address and file hash that stands for them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import pandas as pd
import pyarrow as pa

from bamkit.common.errors import BamkitError
from bamkit.common.pictures.reader import BadPictureError, open_picture
from bamkit.common.shards import read_schema, read_table
from bamkit.common.tombstones import Tombstone, Tombstones, address_hash
from bamkit.common.workspace import Workspace, shard_paths
from bamkit.curate.database.connection import Database
from bamkit.curate.database.named_queries import query as named
from bamkit.curate.fetch.ledger import naming_damage, now, read_only
from bamkit.curate.fetch.splits.picture import phash

PROJECT = re.compile(r"project:(\d+)|https?://(?:www\.)?behance\.net/gallery/(\d+)(?:[/?#].*)?", re.IGNORECASE)
COLUMNS = ("mid", "project_id", "src", "original_sha256", "phash")
HASH = re.compile("[0-9a-fA-F]{16}")
"""A perceptual hash."""
LEDGER = "select url, sha256 from ledger where sha256 is not null and outcome = 'ok'"


@dataclass
class Named:
    """What was named on the command line."""

    mids: set[int] = field(default_factory=set)
    projects: set[int] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    """As `address_hash`."""
    sha256: set[str] = field(default_factory=set)
    phash: set[str] = field(default_factory=set)


def parse(targets: Sequence[str]) -> Named:
    """Mids, addresses, picture files, and projects as `project:ID` or the address of their page.

    Raises BamkitError for what is none of them, or a file that is no picture.
    """
    found = Named()
    for text in targets:
        if match := PROJECT.fullmatch(text.strip()):
            found.projects.add(int(match[1] or match[2]))
        elif re.fullmatch(r"\d{1,18}", text) and not Path(text).exists():
            found.mids.add(int(text))
        elif re.match(r"(?i)https?://", text.strip()):
            found.addresses.add(address_hash(text))
        elif Path(text).is_file():
            data = Path(text).read_bytes()
            found.sha256.add(hashlib.sha256(data).hexdigest())
            try:
                from PIL import Image

                found.phash.add(phash(Image.fromarray(open_picture(data).rgb)))
            except BadPictureError as error:
                raise BamkitError(f"{text} is no readable picture: {error}", "give its mid or its address") from error
        else:
            raise BamkitError(f"{text} is no mid, no address, no project and no file", "bamkit forget --help")
    return found


def tombstones_of(named: Named, rows: pd.DataFrame, exact: bool = False) -> list[Tombstone]:
    """A tombstone for everything that stands for the pictures that were named.

    Rows of one mid, one address or one file are the same picture. Near-duplicates of those (by the perceptual hash)
    are forgotten with them, unless `exact` files alone are meant; they get tombstones without a perceptual hash, so
    that theirs are not forgotten in turn.
    """
    mids, addresses, files = set(named.mids), set(named.addresses), set(named.sha256)
    wanted = rows["project_id"].isin(named.projects)
    wanted = _same(rows, wanted, mids, addresses, files)
    hashes = set() if exact else {*named.phash, *rows.loc[wanted, "phash"].dropna()}
    stones = _stones(rows[wanted], with_phash=not exact)
    near = Tombstones([Tombstone(phash=each) for each in hashes]).near(rows["phash"].tolist())
    copies = _same(rows, wanted | near, set(), set(), set()) & ~wanted
    stones += _stones(rows[copies], with_phash=False)
    # What is not in the workspace is kept out of it all the same.
    stones += [Tombstone(mid=str(mid)) for mid in sorted(named.mids - set(rows.loc[wanted, "mid"].dropna()))]
    stones += [Tombstone(address=each) for each in sorted(named.addresses - set(rows.loc[wanted, "address"].dropna()))]
    stones += [Tombstone(sha256=each) for each in sorted(named.sha256 - set(rows.loc[wanted, "original_sha256"]))]
    if not exact:
        stones += [Tombstone(phash=each) for each in sorted(named.phash - set(rows.loc[wanted, "phash"].dropna()))]
    moment = now()
    return [Tombstone(*stone.identity, moment) for stone in dict.fromkeys(stones)]


def _same(rows: pd.DataFrame, wanted: pd.Series, mids: set[int], addresses: set[str], files: set[str]) -> pd.Series:
    """`wanted` and all rows that share a mid, an address or a file with them, or with one another."""
    while True:
        for known, column in ((mids, "mid"), (addresses, "address"), (files, "original_sha256")):
            known |= set(rows.loc[wanted, column].dropna())
            wanted = wanted | rows[column].isin(known)
        if all(
            set(rows.loc[wanted, column].dropna()) <= known
            for known, column in ((mids, "mid"), (addresses, "address"), (files, "original_sha256"))
        ):
            return wanted


def _stones(rows: pd.DataFrame, with_phash: bool) -> list[Tombstone]:
    """Tombstones of rows that stand for pictures: one a picture, more where it has several addresses or files."""
    pictures: dict[str, list[dict[str, None]]] = {}
    home: dict[str, str] = {}
    columns = ["mid", "address", "original_sha256", *(["phash"] if with_phash else [])]
    # Rows with a mid first: an address or a file of the ledger belongs to the mid that has it.
    ordered = rows.sort_values("mid", kind="stable", na_position="last")
    for mid, *others in zip(*(ordered[column].tolist() for column in columns), strict=True):
        texts = [value if isinstance(value, str) else "" for value in others]
        known_as = [text for text in texts[:2] if text]
        key = str(mid) if isinstance(mid, int) else next((home[text] for text in known_as if text in home), known_as[0])
        for column, text in zip(pictures.setdefault(key, [{}, {}, {}]), texts, strict=False):
            column |= {text: None} if text else {}
        for text in known_as:
            home.setdefault(text, key)
    return [
        Tombstone(key if key.isdigit() and len(key) < 19 else "", *values)
        for key, parts in pictures.items()
        for values in zip_longest(*parts, fillvalue="")
    ]


def known_rows(workspace: Workspace, database: str | None, named: Named) -> pd.DataFrame:
    """Every row of the workspace that says which picture is which, with `address` for the hash of `src`.

    Of selections, splits, the judge's list, the ledger and, where it is at hand, the database.
    """
    paths = [workspace.selection(name) for name in workspace.selection_names()]
    paths += [path for name in workspace.split_names() for path in shard_paths(workspace.split(name))]
    paths += [path for path in [workspace.root / "judge" / "known.parquet"] if path.is_file()]
    frames = [_columns_of(path) for path in paths]
    ledger = workspace.originals / "ledger.sqlite"
    if ledger.is_file():
        with naming_damage(workspace.originals), read_only(ledger) as db:
            frames.append(pd.DataFrame(db.execute(LEDGER).fetchall(), columns=["src", "original_sha256"]))
    if database:
        frames.append(_database_rows(database, named))
    kinds = {"mid": "Int64", "project_id": "Int64", **dict.fromkeys(("src", "original_sha256", "phash"), "object")}
    parts = [frame.reindex(columns=list(COLUMNS)).astype(kinds) for frame in frames if len(frame)]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS)).astype(kinds)
    rows = rows.drop_duplicates(ignore_index=True)
    for column in ("src", "original_sha256", "phash"):
        texts = [value if isinstance(value, str) else None for value in rows[column]]
        rows[column] = pd.Series(texts, dtype="object")
    # A damaged hash is nobody's: in a tombstone it would spoil the list.
    hashes = [text if text and HASH.fullmatch(text) else None for text in rows["phash"]]
    rows["phash"] = pd.Series(hashes, dtype="object")
    rows["address"] = [address_hash(src) if isinstance(src, str) else None for src in rows["src"]]
    return rows


def _columns_of(path: Path) -> pd.DataFrame:
    names = [name for name in COLUMNS if name in read_schema(path).names]
    table: pa.Table = read_table(path, names)
    frame: pd.DataFrame = table.replace_schema_metadata(None).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return frame


def _database_rows(location: str, named: Named) -> pd.DataFrame:
    """The images of the mids and projects that were named, as the database has them."""
    with Database.open(location) as database:
        project = "m.project_id" if "project_id" in database.columns("modules") else "NULL"
        rows = []
        for column, ids in (("mid", named.mids), ("project_id", named.projects if project != "NULL" else set())):
            text = named_text(column, project)
            rows += list(database.rows_in(text, sorted(ids)))
    kept = [row for row in rows if isinstance(row[0], int)]
    return pd.DataFrame(kept, columns=["mid", "project_id", "src"])


def named_text(column: str, project: str) -> str:
    """The query for the images whose `column` is among ids."""
    return named("modules_named").format(column=column, project=project)
