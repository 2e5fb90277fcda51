"""The columnar copy of a database that `bamkit index` builds in the workspace, used where it matches the database.

`index/images.parquet` holds one row a scored image, in the order of `scores`: `row` (what finds it again in SQLite),
`mid`, `project_id`, `license`, `mature`, the label of each attribute under its name and its score under
`<attribute>_score`. Any parquet reader can use it. The counts of `database.counts` lie in the schema's metadata.
Nothing is ever written into the user's database or beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import bamkit
from bamkit.common.contract import ATTRIBUTES, LABELS
from bamkit.common.errors import BamkitError
from bamkit.common.progress import Progress
from bamkit.common.provenance import canonical
from bamkit.common.shards import KEY, read_about
from bamkit.common.workspace import CONFIG, DATABASE, Workspace, atomic_path, write_text
from bamkit.curate.database.connection import Database, quote, truth
from bamkit.curate.database.counts import CountAccumulator, Counts, ScoreSummary, chunks, modules_sql
from bamkit.curate.database.crowd import crowd_of
from bamkit.curate.database.named_queries import query
from bamkit.curate.database.packed_labels import CODES, PackedLabels, threshold_labels, whole

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
"""Raised when the layout of the index changes; an index of another format is rebuilt."""


@dataclass(frozen=True)
class Index:
    """An index that matches the database it was asked for."""

    path: Path
    about: dict[str, Any]

    def counts(self) -> Counts:
        """The counts that were taken while the index was built."""
        return counts_from(self.about["counts"])


def index_path(workspace: Workspace) -> Path:
    return workspace.root / "index" / "images.parquet"


def find(database: Database, workspace: Workspace) -> Index | None:
    """The workspace's index of this database; None if there is none, or it was made from other content."""
    path = index_path(workspace)
    if not path.is_file():
        return None
    about = _about(path)
    if about.get("kind") != "index" or about.get("format") != FORMAT:
        return None
    if about["database"] != _identity(database):
        return None
    return Index(path, about)


def _about(path: Path) -> dict[str, Any]:
    """What the index says of itself; {} if it is damaged, for it holds nothing that is not in the database."""
    try:
        return read_about(path)
    except (BamkitError, ValueError):
        return {}


def known_counts(database: Database, workspace: Workspace) -> Counts | None:
    """The counts of this very database from the workspace's index, or as they were remembered; None if not there."""
    index = find(database, workspace)
    if index:
        return index.counts()
    try:
        about = json.loads(counts_path(workspace).read_text(encoding="utf-8"))
        if (about["kind"], about["format"], about["database"]) == ("counts", FORMAT, _identity(database)):
            return counts_from(about["counts"])
    except (OSError, ValueError, KeyError, TypeError):
        # Missing, damaged or written by another version: it is counted again.
        return None
    return None


def remember(database: Database, workspace: Workspace, counts: Counts) -> None:
    """Keep the counts in the workspace, if this folder is one: `bamkit info --db FILE` leaves other folders alone."""
    signs = (CONFIG, DATABASE, "selections", "index")
    if not any((workspace.root / sign).exists() for sign in signs):
        return
    about = {"kind": "counts", "format": FORMAT, "database": _identity(database), "counts": counts_as_dict(counts)}
    try:
        write_text(counts_path(workspace), canonical(about) + "\n")
    except OSError:
        # A workspace on read-only media works without.
        return


def counts_path(workspace: Workspace) -> Path:
    return workspace.root / "index" / "counts.json"


def _identity(database: Database) -> dict[str, str]:
    return {"fingerprint": database.fingerprint}


def build(database: Database, workspace: Workspace, force: bool = False) -> tuple[Index, bool]:
    """The index of this database and whether it had to be built: one pass over the tables, about 300 MB for 2.3 million
    images. An index of another or changed database is replaced. The comparison of crowd and scores, which reports show,
    is kept beside it. Raises BamkitError if the database is damaged."""
    there = None if force else find(database, workspace)
    if there:
        return there, False
    path = index_path(workspace)
    tally = CountAccumulator(database)
    total = sum(database.one(f"SELECT count(*) FROM {table}")[0] for table in ("modules", "scores"))
    with Progress("index", total, "rows") as bar, PackedLabels(database) as packed:
        done = 0
        modules = Modules()
        for chunk in chunks(database.rows(modules_sql(database))):
            tally.add_modules(chunk)
            modules.add(chunk)
            bar.update(done := done + len(chunk))
        modules.finish()
        labels = Labels(*packed.arrays())
        if database.automatic != "absent":
            tally.add_labels(labels.packed)
        _write(database, path, tally, modules, labels, lambda n: bar.update(min(done + n, total)))
    found = find(database, workspace)
    if not found:
        raise BamkitError(f"{database.name} changed while it was indexed", "run bamkit index again")
    crowd_of(database, workspace)
    return found, True


class Modules:
    """What the index keeps of `modules`, as columns sorted by mid: about 20 bytes an image."""

    def __init__(self) -> None:
        self.parts: list[tuple[np.ndarray, ...]] = []
        self.words: dict[str | None, int] = {}

    def add(self, chunk: list[tuple[Any, ...]]) -> None:
        """Rows of (mid, project_id, src, mature_content, license)."""
        mids, projects, _, mature, licenses = zip(*chunk, strict=True)
        words = [self.words.setdefault(None if t is None else str(t), len(self.words)) for t in licenses]
        known = [truth(value) for value in mature]
        codes = np.array([2 if value is None else int(value) for value in known], np.int8)
        self.parts.append(
            (whole(mids), whole([-1 if p is None else p for p in projects]), np.array(words, np.int32), codes)
        )

    def finish(self) -> None:
        mids, *rest = (np.concatenate(part) for part in zip(*self.parts, strict=True)) if self.parts else _nothing(4)
        order = np.argsort(mids, kind="stable")
        self.mids = mids[order]
        self.projects, self.licenses, self.mature = (part[order] for part in rest)
        self.parts = []

    def columns(self, mids: np.ndarray) -> list[pa.Array]:
        """project_id, license and mature of the given images, null where `modules` does not have them."""
        import pyarrow as pa

        place, missing = _places(self.mids, mids)
        projects = self.projects[place]
        licenses, mature = self.licenses[place], self.mature[place]
        words = pa.array(list(self.words) or [""], pa.string())
        return [
            pa.array(projects, mask=missing | (projects < 0)),
            pa.DictionaryArray.from_arrays(pa.array(licenses, mask=missing), words).cast(pa.string()),
            pa.array(mature == 1, mask=missing | (mature == 2)),
        ]


class Labels:
    """The packed labels of all images, sorted by mid: 16 bytes an image."""

    def __init__(self, mids: np.ndarray, packed: np.ndarray) -> None:
        order = np.argsort(mids, kind="stable")
        self.mids, self.packed = mids[order], packed[order]

    def columns(self, mids: np.ndarray) -> list[pa.Array]:
        """The label of each attribute of the given images, null where there is none."""
        import pyarrow as pa

        known = (self.mids, self.packed) if len(self.mids) else _nothing(2)
        place, missing = _places(known[0], mids)
        packed = np.where(missing, 0, known[1][place])
        words = pa.array(LABELS, pa.string())
        codes = {CODES[label]: i for i, label in enumerate(LABELS)}
        to_word = np.array([codes.get(code, 0) for code in range(4)], np.int8)
        found = []
        for i in range(len(ATTRIBUTES)):
            code = ((packed >> (2 * i)) & 3).astype(np.int8)
            found.append(pa.DictionaryArray.from_arrays(pa.array(to_word[code], mask=code == 0), words))
        return found


def _write(
    database: Database, path: Path, tally: CountAccumulator, modules: Modules, labels: Labels, report: Any
) -> None:
    """Stream `scores` into the parquet file, joined by mid with what was read before."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    key = "rowid" if database.tables["scores"].rowid else "mid"
    text = query("all_scores").format(columns=", ".join([key, "mid", *map(quote, database.score_attributes)]))
    done = 0
    # The counts are complete only after the last row, and metadata is written with the footer: so is this.
    with atomic_path(path) as temporary:
        with (
            pa.OSFile(os.fsencode(temporary), "wb") as sink,
            pq.ParquetWriter(
                sink,
                _schema(database),
                compression="zstd",
                compression_level=1,
                use_dictionary=[*ATTRIBUTES, "license"],
                column_encoding={f"{name}_score": "BYTE_STREAM_SPLIT" for name in database.score_attributes},
            ) as writer,
        ):
            for batch in _batches(database.rows(text)):
                keys = whole([row[0] for row in batch])
                mids, scores = tally.add_scores([row[1:] for row in batch])
                if database.automatic == "absent":
                    tally.add_labels(threshold_labels(scores, database.score_attributes))
                writer.write_table(_table(database, keys, mids, scores, modules, labels))
                report(done := done + len(batch))
            about = {
                "kind": "index",
                "format": FORMAT,
                "database": _identity(database),
                "counts": counts_as_dict(tally.result()),
                "bamkit": bamkit.__version__,
            }
            writer.add_key_value_metadata({KEY: canonical(about).encode()})


def _batches(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Row groups of 25,000: a column of one is 200 kB, so that writing takes little memory."""
    return chunks(rows, 25_000)


def _schema(database: Database) -> pa.Schema:
    import pyarrow as pa

    head = [("row", pa.int64()), ("mid", pa.int64()), ("project_id", pa.int64()), ("license", pa.string())]
    words = pa.dictionary(pa.int8(), pa.string())
    return pa.schema(
        [*head, ("mature", pa.bool_())]
        + [(name, words) for name in ATTRIBUTES]
        + [(f"{name}_score", pa.float64()) for name in database.score_attributes]
    )


def _table(
    database: Database, keys: np.ndarray, mids: np.ndarray, scores: np.ndarray, modules: Modules, labels: Labels
) -> pa.Table:
    import pyarrow as pa

    columns = [pa.array(keys), pa.array(mids), *modules.columns(mids), *labels.columns(mids)]
    for i in range(scores.shape[1]):
        column = np.ascontiguousarray(scores[:, i])
        columns.append(pa.array(column, mask=~np.isfinite(column)))
    return pa.Table.from_arrays(columns, schema=_schema(database))


def _places(sorted_mids: np.ndarray, mids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each mid lies among the sorted ones, int64 (n,), and which are not there, bool (n,)."""
    place = np.minimum(np.searchsorted(sorted_mids, mids), len(sorted_mids) - 1)
    return place, sorted_mids[place] != mids


def _nothing(parts: int) -> list[np.ndarray]:
    """One row that belongs to no image (no mid is negative), so that an empty table needs no special case."""
    return [np.array([-2]), *[np.zeros(1, np.int64)] * (parts - 1)]


def counts_as_dict(counts: Counts) -> dict[str, Any]:
    """Plain values; `counts_from` gives the counts back."""
    values = {**asdict(counts), "cooccurrence": counts.cooccurrence.tolist()}
    values["scores"] = {
        name: {**asdict(one), "histogram": one.histogram.tolist()} for name, one in counts.scores.items()
    }
    return values


def counts_from(values: dict[str, Any]) -> Counts:
    """The counts that `counts_as_dict` wrote, marked as coming from the index."""
    scores = {
        name: ScoreSummary(**{**one, "histogram": np.array(one["histogram"], np.int64)})
        for name, one in values["scores"].items()
    }
    # Licences were ordered by frequency; sorted JSON keys are not.
    licenses = dict(sorted(values["licenses"].items(), key=lambda item: (-item[1], item[0])))
    together = np.array(values["cooccurrence"], np.int64)
    return Counts(**{**values, "licenses": licenses, "scores": scores, "cooccurrence": together, "from_sidecar": True})
