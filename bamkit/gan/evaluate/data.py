"""What is evaluated: the two domains and the translations of a run, read a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bamkit.contract import ATTRIBUTES, attribute
from bamkit.errors import BamkitError
from bamkit.gan.pictures import BadPictureError, open_picture
from bamkit.provenance import read_about
from bamkit.workspace import Workspace

if TYPE_CHECKING:
    from bamkit.progress import Progress

TRANSLATIONS = "translations.parquet"


class Shards:
    """The rows of parquet shards: the columns in memory, the pictures read when asked for, one row group at a time."""

    def __init__(self, paths: Sequence[Path], columns: Sequence[str]) -> None:
        """Raises BamkitError if a file cannot be read or lacks `columns` or `image`."""
        self.paths = list(paths)
        self._files: list[pq.ParquetFile] = []
        self._groups: list[tuple[int, int, int]] = []  # first row, file, row group
        self._held: tuple[int, Any] = (-1, None)
        tables, first = [], 0
        for number, path in enumerate(self.paths):
            try:
                file = pq.ParquetFile(path)
                known = set(file.schema_arrow.names)
                absent = [name for name in ("image", *columns) if name not in known]
                if absent:
                    raise BamkitError(f"{path} lacks the columns {', '.join(absent)}: it is no file of bamkit")
                tables.append(file.read(columns=list(columns)).replace_schema_metadata(None))
            except (OSError, pa.ArrowInvalid) as error:
                text = str(error).splitlines()[0]
                raise BamkitError(f"{path} is not a readable parquet file: {text}") from error
            self._files.append(file)
            for group in range(file.num_row_groups):
                self._groups.append((first, number, group))
                first += file.metadata.row_group(group).num_rows
        self.rows = pa.concat_tables(tables) if tables else pa.table({name: [] for name in columns})
        self._starts = np.array([start for start, _, _ in self._groups])

    def __len__(self) -> int:
        return self.rows.num_rows

    def column(self, name: str) -> list[Any]:
        return self.rows[name].to_pylist()

    def encoded(self, index: int) -> bytes:
        """The encoded picture of row `index`. Rows asked for in order cost one read a row group."""
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        if self._held[0] != group:
            _, number, inner = self._groups[group]
            column = self._files[number].read_row_group(inner, columns=["image"])["image"].combine_chunks()
            self._held = (group, column)
        picture = self._held[1][index - int(self._starts[group])].as_py()
        return (picture or {}).get("bytes") or b""

    def picture(self, index: int) -> np.ndarray:
        """Row `index` decoded: (H, W, 3) uint8 sRGB. Raises BamkitError naming the row if that is impossible."""
        try:
            return open_picture(self.encoded(index)).rgb
        except BadPictureError as error:
            where = self.paths[self._groups[int(np.searchsorted(self._starts, index, side="right")) - 1][1]]
            mid = self.rows["mid"][index].as_py() if "mid" in self.rows.column_names else index
            raise BamkitError(f"{where}: the picture of mid {mid} cannot be read: {error}", "bamkit fetch") from error

    def batches(self, size: int, progress: Progress | None = None) -> Iterator[tuple[slice, list[np.ndarray]]]:
        """All pictures in order, `size` at a time, with the rows they are."""
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            yield slice(start, stop), [self.picture(index) for index in range(start, stop)]
            if progress is not None:
                progress.update(progress.done + stop - start)


# What identifies an image, for the judge's refusal, and what is known of its content.
IDENTITY = ("mid", "project_id", "original_sha256", "phash")


@dataclass
class Domain:
    """One side of a run: a fetched split of the workspace."""

    name: str
    workspace: Workspace

    def shards(self, split: str, columns: Sequence[str] = ("mid", *ATTRIBUTES)) -> Shards:
        """The pictures of `train`, `test` or `validation`; empty if there are none."""
        return Shards(self.workspace.shards(self.name, split), columns)

    @cached_property
    def identity(self) -> pa.Table:
        """The columns IDENTITY of every picture of the domain, whatever its split."""
        paths = [path for split in ("train", "test", "validation") for path in self.workspace.shards(self.name, split)]
        return Shards(paths, IDENTITY).rows

    @cached_property
    def split_id(self) -> str | None:
        """The content-addressed id of the split, from its provenance."""
        paths = self.workspace.shards(self.name, "train") or self.workspace.shards(self.name, "test")
        return read_about(paths[0]).get("split_id") if paths else None

    @cached_property
    def attribute(self) -> str | None:
        """The attribute the domain stands for: the one whose scores ranked it, else the one it is named after.

        None if neither is one of the 20.
        """
        paths = [*self.workspace.shards(self.name, "train"), *self.workspace.shards(self.name, "test")]
        if paths and "score" in pq.read_schema(paths[0]).names:
            head = pq.read_table(paths[0], columns=["score", *(f"{name}_score" for name in ATTRIBUTES)])
            score = head["score"].to_pylist()
            if score and None not in score:
                for name in ATTRIBUTES:
                    if head[f"{name}_score"].to_pylist() == score:
                        return name
        try:
            return attribute(self.name)
        except BamkitError:
            return None


@dataclass
class Direction:
    """The translations of one direction beside the pictures they were made from."""

    run: str
    name: str
    """`happy-to-scary`."""
    source: Domain
    target: Domain
    before: Shards
    """The source split's pictures."""
    after: Shards
    """All translations of the run."""
    pairs: list[tuple[int, int]]
    """Row of `before` and row of `after` that belong together, in order of rank."""
    left_out: int = 0
    """Translations of this direction without a source picture here: plain files, or another split."""
    checkpoint: str = ""
    """The checkpoint the translations were made with."""

    def __len__(self) -> int:
        return len(self.pairs)

    def mids(self) -> list[int]:
        found = self.before.column("mid")
        return [found[i] for i, _ in self.pairs]


@dataclass
class Run:
    """A run's translations, ready to be evaluated."""

    name: str
    run_id: str
    split: str
    directions: list[Direction]
    about: dict[str, Any]

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) of the translations; None where they differ."""
        used = [index for direction in self.directions for _, index in direction.pairs]
        after = self.directions[0].after
        width, height = after.column("width"), after.column("height")
        sizes = {(width[index], height[index]) for index in used}
        return sizes.pop() if len(sizes) == 1 else None

    @property
    def domains(self) -> list[Domain]:
        """The domains of all directions, each once, by name."""
        found = {d.name: d for direction in self.directions for d in (direction.source, direction.target)}
        return [found[name] for name in sorted(found)]


def translated(workspace: Workspace) -> list[str]:
    """Names under translations/ that hold a translations.parquet."""
    return sorted(path.parent.name for path in workspace.translations.glob(f"*/{TRANSLATIONS}"))


def choose_run(workspace: Workspace, name: str | None) -> str:
    """`name`, or the only run with translations. Raises BamkitError with the next command where there is none."""
    known = translated(workspace)
    if name is None:
        if len(known) == 1:
            return known[0]
        if known:
            raise BamkitError(
                f"there are translations of {len(known)} runs: {', '.join(known)}", f"bamkit evaluate {known[0]}"
            )
        runs = workspace.run_names()
        if runs:
            raise BamkitError(f"no run has been translated yet: {', '.join(runs)}", "bamkit translate")
        raise BamkitError("there is no trained run to evaluate", "bamkit train, then bamkit translate")
    if name in known:
        return name
    if name in workspace.run_names():
        raise BamkitError(f"run {name} has no translations", f"bamkit translate {name}")
    raise BamkitError(
        f"there is no run {name}", f"there are: {', '.join(sorted({*known, *workspace.run_names()})) or 'none'}"
    )


def open_run(workspace: Workspace, name: str, split: str = "test") -> Run:
    """The translations of `name` made from `split`, paired with their sources.

    Raises BamkitError where translations or sources are missing, with the command that makes them.
    """
    path = workspace.translations / name / TRANSLATIONS
    after = Shards(
        [path],
        [
            "mid",
            "source",
            "direction",
            "run",
            "run_id",
            "checkpoint",
            "split",
            "rank",
            "source_sha256",
            "width",
            "height",
        ],
    )
    table = after.rows.to_pylist()
    wanted = sorted({row["direction"] for row in table})
    directions = [_direction(workspace, name, text, split, after, table) for text in wanted]
    if not any(len(direction) for direction in directions):
        have = sorted({row["split"] for row in table if row["split"]}) or ["none"]
        raise BamkitError(
            f"{path} holds no translation of a {split} picture of this workspace (splits in it: {', '.join(have)})",
            f"bamkit translate {name}" if split == "test" else f"bamkit evaluate {name}",
        )
    run_ids = sorted({row["run_id"] for row in table if row["run_id"]})
    kept = [direction for direction in directions if len(direction)]
    return Run(name, run_ids[0] if run_ids else "", split, kept, read_about(path))


def _direction(
    workspace: Workspace, run: str, text: str, split: str, after: Shards, table: list[dict[str, Any]]
) -> Direction:
    names = workspace.split_names()
    found = [(s, t) for s in names for t in names if f"{s}-to-{t}" == text]
    if not found:
        raise BamkitError(
            f"the translations read {text}, but there is no such pair of splits here ({', '.join(names) or 'none'})",
            "evaluation needs the two fetched splits that the run was trained between",
        )
    source, target = (Domain(part, workspace) for part in found[0])
    before = source.shards(split)
    index = {mid: i for i, mid in enumerate(before.column("mid"))}
    rows = [(i, row) for i, row in enumerate(table) if row["direction"] == text]
    pairs = sorted((index[row["mid"]], i) for i, row in rows if row["split"] == split and row["mid"] in index)
    checkpoints = sorted({row["checkpoint"] for _, row in rows if row["checkpoint"]})
    return Direction(run, text, source, target, before, after, pairs, len(rows) - len(pairs), ", ".join(checkpoints))
