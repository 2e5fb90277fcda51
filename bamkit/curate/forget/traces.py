"""Every trace of a picture in a workspace: who was trained on it, and what has to be changed or taken away."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bamkit.common.errors import BamkitError
from bamkit.common.lineage import split_about
from bamkit.common.provenance import sha256_file
from bamkit.common.shards import read_about, read_table, write_table
from bamkit.common.tombstones import Tombstones
from bamkit.common.workspace import TEMPORARY, Workspace, is_alive, shard_paths, write_text
from bamkit.curate.fetch.ledger import Ledger, rows_of
from bamkit.curate.fetch.originals import Originals, holds_built, purge_built
from bamkit.curate.forget.removal import (
    EXPORT_MARK,
    Removal,
    holds_pictures,
    in_export,
    in_translations,
    matching_rows,
    read_json,
    unlink,
    without_rows,
)

TRANSLATIONS = ("translations.parquet", "unfinished.json")


@dataclass
class _Files:
    """The files of a workspace that need a look, but for originals and splits."""

    exports: list[Path] = field(default_factory=list)
    translations: list[Path] = field(default_factory=list)
    pages: list[Path] = field(default_factory=list)
    temporaries: list[Path] = field(default_factory=list)


class Traces:
    """The traces of `forgotten` pictures in a workspace, looked for when they are asked for."""

    def __init__(self, workspace: Workspace, forgotten: Tombstones) -> None:
        self.workspace, self.forgotten = workspace, forgotten

    @cached_property
    def shards(self) -> dict[Path, int]:
        """The shards that hold pictures to be forgotten, each with how many."""
        names = self.workspace.split_names()
        paths = [path for name in names for path in shard_paths(self.workspace.split(name))]
        return {path: rows for path in paths if (rows := matching_rows(path, self.forgotten))}

    @cached_property
    def fetched(self) -> bool:
        """Whether any of the pictures was ever downloaded, as far as is known."""
        return bool(self.shards or self.forgotten.sha256)

    @cached_property
    def selected(self) -> set[str]:
        """The selections that name one of the pictures."""
        names = self.workspace.selection_names()
        return {name for name in names if matching_rows(self.workspace.selection(name), self.forgotten)}

    @cached_property
    def runs(self) -> dict[str, str]:
        """The runs that had one of the pictures among theirs, each with a sentence."""
        runs = {}
        for run in self.workspace.run_names():
            about = read_json(self.workspace.runs / run / "run.json")
            uses = [self._use(side) for side in (about.get("from") or {}, about.get("to") or {})]
            if use := next(filter(None, sorted(uses, reverse=True)), ""):
                runs[run] = f"runs/{run} {use}"
        return runs

    def _use(self, side: dict[str, object]) -> str:
        """What a run did with the pictures, by one side of its run.json; "" if it had none of them."""
        name = str(side.get("name") or "")
        if not side.get("split_id") or not self.fetched:
            return ""
        if split_about(self.workspace, name).get("split_id") == side["split_id"]:
            parts = {path.name.split("-")[0] for path in self.shards if path.parent.name == name}
            if "train" in parts:
                return "was trained on it"
            return "was tested or validated with it" if parts else ""
        return f"may have been trained on it: splits/{name} is another one now" if name in self.selected else ""

    @cached_property
    def judge(self) -> int:
        """How many of the pictures the judge was trained on."""
        known = self.workspace.root / "judge" / "known.parquet"
        return matching_rows(known, self.forgotten) if known.is_file() else 0

    @property
    def models(self) -> list[str]:
        """Whatever was trained on one of the pictures, a sentence each."""
        return [*self.runs.values(), *(["judge was trained on it"] if self.judge else [])]

    @cached_property
    def _files(self) -> _Files:
        files = _Files()
        for name, folders, names in os.walk(self.workspace.root):
            here = Path(name)
            if here == self.workspace.root:
                folders[:] = [folder for folder in folders if folder != "originals"]
            folders.sort()
            if EXPORT_MARK in names:
                files.exports.append(here)
            if any(each in names for each in TRANSLATIONS):
                files.translations.append(here)
            files.pages += [here / each for each in sorted(names) if each.endswith(".html")]
            files.temporaries += [here / each for each in sorted(names) if TEMPORARY.fullmatch(each)]
            files.temporaries += [here / each for each in folders if re.fullmatch(r"\..+\.(partial|old)", each)]
        return files

    def removals(self) -> Iterator[Removal]:
        """All that has to be done. What says which other things are affected, splits and originals, comes last."""
        yield from self._temporaries()
        if self.fetched:
            yield from self._of_runs()
            yield from self._pages()
        for folder in self._files.exports:
            yield from in_export(folder, self.forgotten)
        for folder in self._files.translations:
            yield from in_translations(folder, self.forgotten, f"bamkit translate {folder.name} --force")
        if self.judge:
            path = self.workspace.root / "judge" / "known.parquet"
            yield Removal(path, "judge's list", self.judge, self._rewrite_judge, "bamkit judge train --force")
        for path, rows in self.shards.items():
            yield Removal(path, "split", rows, without_rows(path, self.forgotten))
        if self.workspace.originals.is_dir():
            yield from self._originals()

    def _temporaries(self) -> Iterator[Removal]:
        """What killed commands left half-written. Raises BamkitError where a command is still writing."""
        for path in self._files.temporaries:
            match = TEMPORARY.fullmatch(path.name)
            if match and int(match[1]) != os.getpid() and is_alive(int(match[1])):
                raise BamkitError(
                    f"process {match[1]} is writing {path}", "wait until it has finished, then the same command"
                )
            remove = unlink(path) if match else functools.partial(shutil.rmtree, path, ignore_errors=True)
            yield Removal(path, "left half-written", None, remove)

    def _of_runs(self) -> Iterator[Removal]:
        """Samples and TensorBoard events, which are sheets of pictures. metrics.csv keeps the figures."""
        for run in self.runs:
            folder = self.workspace.runs / run
            for path in [*sorted(folder.glob("samples/*.png")), *sorted(folder.glob("events.out.tfevents.*"))]:
                yield Removal(path, "samples", None, unlink(path))
        for path in sorted((self.workspace.root / "cache").glob("decoded-*.npy")):
            yield Removal(path, "cache", None, unlink(path))

    def _pages(self) -> Iterator[Removal]:
        """Pages and contact sheets with pictures inside, but for those of runs that never had the pictures."""
        translated = [folder for folder in self._files.translations if any(in_translations(folder, self.forgotten, ""))]
        touched = {*self.runs, *(folder.name for folder in translated)}
        for page in self._files.pages:
            parts = page.relative_to(self.workspace.root).parts
            owner = _owner(parts)
            spared = owner and not any(owner == name or owner.startswith(f"{name}-") for name in touched)
            if not spared and holds_pictures(page, parts[0] in ("reports", "reviews")):
                yield Removal(page, "page", None, unlink(page), _renewal(parts, self.workspace.root))
        for sheet in sorted((self.workspace.reports / "figures").glob("contact-*.png")):
            yield Removal(sheet, "contact sheet", None, unlink(sheet), "bamkit report")

    def _rewrite_judge(self) -> None:
        """Write the judge's list without the pictures, and its new sum into the card, first: a kill repeats both."""
        folder = self.workspace.root / "judge"
        path, card = folder / "known.parquet", read_json(folder / "card.json")
        table = read_table(path)
        new = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            write_table(table.filter(~self.forgotten.rows(table)), new, read_about(path))
            if card:
                card["known_sha256"] = sha256_file(new)
                if isinstance(trained_on := card.setdefault("trained_on", {}), dict):
                    trained_on["known_sha256"] = card["known_sha256"]
                write_text(folder / "card.json", json.dumps(card, indent=1, ensure_ascii=False) + "\n")
            os.replace(new, path)
        finally:
            new.unlink(missing_ok=True)

    def _originals(self) -> Iterator[Removal]:
        """The downloaded files, the pictures built ahead, and the ledger's rows."""
        folder = self.workspace.originals
        originals, path = Originals(folder), folder / "ledger.sqlite"
        if not path.is_file():
            return
        rows = rows_of(path, self.forgotten)
        files = {sha256 for _, sha256 in rows if sha256} | self.forgotten.sha256
        for sha256 in sorted(files):
            if (original := originals.path(sha256)).is_file():
                yield Removal(original, "original", 1, unlink(original))
        for left in sorted((folder / "incoming").glob("*")):
            yield Removal(left, "left half-written", None, unlink(left))
        built = folder / "built.sqlite"
        if built.is_file() and holds_built(built, files):
            yield Removal(built, "pictures built ahead", None, lambda: purge_built(built, files))

        def mark() -> None:
            with Ledger(path) as ledger:
                ledger.mark_forgotten(url for url, _ in rows)

        if rows:
            yield Removal(path, "ledger", None, mark)


def _owner(parts: tuple[str, ...]) -> str:
    """The run (or the folder of translations) whose page a path of the workspace is; "" where it is of several."""
    if len(parts) > 2 and parts[0] == "runs":
        return parts[1]
    return parts[1].removeprefix("evaluate-") if parts[0] == "reports" and parts[1].startswith("evaluate-") else ""


def _renewal(parts: tuple[str, ...], root: Path) -> str:
    """The command that makes a page of the workspace anew."""
    if parts[0] == "reviews":
        return f"bamkit review {parts[1]} --static"
    if parts[0] != "reports":
        return ""
    if parts[1].startswith("evaluate-"):
        name = parts[1].removeprefix("evaluate-")
        return f"bamkit evaluate {name}" + (" --user-study --force" if "user-study" in parts else "")
    if parts[1].startswith("study-"):
        return "bamkit study"
    commands = {
        "index.html": "bamkit report",
        "check.html": "bamkit check --page",
        "compare": "bamkit compare",
        "demo": f"bamkit demo {shlex.quote(str(root))}",
    }
    return commands.get(parts[1], "")
