"""`export`: check the licences, write everything into a new folder beside the target, then put it in place."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bamkit
from bamkit.common.errors import BamkitError
from bamkit.common.licences import ATTRIBUTION, attribution_csv
from bamkit.common.pages.notebook import as_html
from bamkit.common.pages.notebook import notes as notes_of
from bamkit.common.provenance import canonical
from bamkit.common.terminal.progress import Progress
from bamkit.common.workspace import Workspace, flush, naming
from bamkit.curate.database.crowd import kept_crowd
from bamkit.curate.export import croissant, formats
from bamkit.curate.export.card import CITATION, card
from bamkit.curate.export.layouts import LAYOUTS
from bamkit.curate.export.responsible import responsible
from bamkit.curate.export.settings import ExportSettings
from bamkit.curate.export.source import Source, read_sources

MARK = "bamkit-export.json"
"""Written into every export; only a folder that holds it is ever replaced."""


@dataclass
class Exported:
    """What was written."""

    output: Path
    rows: list[dict[str, Any]]
    """One {"domain", "split", "images"} each."""
    notes: list[str] = field(default_factory=list)

    @property
    def images(self) -> int:
        return sum(row["images"] for row in self.rows)

    def _repr_html_(self) -> str:
        return as_html(self.rows, notes_of(self.notes), f"{self.images:,} images -> {self.output}")

    def as_dict(self) -> dict[str, Any]:
        return {"output": str(self.output), "images": self.images, "splits": self.rows, "notes": self.notes}


def folder_for(workspace: Workspace, names: Sequence[str], to: str) -> Path:
    """Where an export goes by default: exports/NAME-FORMAT."""
    return workspace.root / "exports" / f"{'+'.join(Path(name).stem for name in names) or 'all'}-{to}"


def export(
    workspace: Workspace, names: list[str], output: Path, config: ExportSettings, *, force: bool = False
) -> Exported:
    """Export the named splits (all by default; for csv also selections) to the folder `output`.

    Two domains at once are needed for cyclegan; the first becomes A. Same splits, same bytes. Raises BamkitError if
    images have licences that do not allow it (see ExportSettings), if `output` is there already (with `force` a folder
    that an export made is replaced, no other), and for whatever read_sources() refuses.
    """
    sources = read_sources(workspace, names, config.licensed_only, pictures=config.to != "csv")
    if config.to == "cyclegan" and len(sources) != 2:
        names = [source.name for source in sources]
        raise BamkitError(
            f"cyclegan needs two domains, not {len(sources)} ({', '.join(names)})", "bamkit export happy scary"
        )
    _check_licences(sources, config)
    _may_write(output, force)
    partial = output.with_name(f".{output.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    total = sum(sum(source.counts.values()) for source in sources)
    try:
        with naming(output), Progress("export", total) as progress:
            formats.WRITERS[config.to](sources, partial, config, lambda more: progress.update(progress.done + more))
        (partial / ATTRIBUTION).write_text(attribution(sources), encoding="utf-8")
        (partial / "README.md").write_text(card(sources, config.to), encoding="utf-8")
        (partial / croissant.FILE).write_text(_croissant(workspace, sources, config, partial), encoding="utf-8")
        (partial / MARK).write_text(canonical(_mark(sources, config)) + "\n", encoding="utf-8")
        _flush_all(partial)
        _put(partial, output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    rows = [
        {"domain": source.name, "split": split, "images": count}
        for source in sources
        for split, count in source.counts.items()
        if count
    ]
    return Exported(output, rows, _notes(sources, config))


def _check_licences(sources: Sequence[Source], config: ExportSettings) -> None:
    """Raises BamkitError where pictures would go out against their licence and nobody has said that this is fine."""
    n, shown = _may_not(sources)
    if config.to == "csv" or config.licensed_only or config.license_ok or not n:
        return
    total = sum(sum(source.counts.values()) for source in sources)
    raise BamkitError(
        f"{n:,} of {total:,} images may not be passed on, resized as they are ({shown})",
        "--licensed-only leaves them out; --license-ok exports them all the same, for your own use",
    )


def _may_not(sources: Sequence[Source]) -> tuple[int, str]:
    """How many images may not be passed on, and why, in words."""
    reasons: Counter[str] = sum((source.left_out for source in sources), Counter())
    return reasons.total(), ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())


def _may_write(output: Path, force: bool) -> None:
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not output.is_dir():
        raise BamkitError(f"{output} is a file: an export goes into a folder", "--output DIR")
    if not (output / MARK).is_file():
        raise BamkitError(f"{output} is not empty and was not made by bamkit export", "choose another --output")
    if not force:
        raise BamkitError(f"{output} is already there", "give --force to replace it, or another --output")


def _put(partial: Path, output: Path) -> None:
    """Rename `partial` to `output`; an old export is moved aside first and removed when the new one stands."""
    old = output.with_name(f".{output.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        os.replace(output, old)
    os.replace(partial, output)
    flush(output.parent)
    shutil.rmtree(old, ignore_errors=True)


def _flush_all(folder: Path) -> None:
    """Have everything on the disk before the rename says that it is there."""
    with ThreadPoolExecutor(8, "flush") as pool:
        for _ in pool.map(flush, [folder, *folder.rglob("*")]):
            pass


def attribution(sources: Sequence[Source]) -> str:
    """attribution.csv: where each image is from, its licence and its conditions."""
    return attribution_csv(
        {**row, "domain": source.name, "split": split}
        for source in sources
        for split, rows in source.table_rows.items()
        for row in rows
    )


def _croissant(workspace: Workspace, sources: Sequence[Source], config: ExportSettings, folder: Path) -> str:
    """croissant.json of the files that lie in `folder`."""
    fingerprint = (sources[0].domain.about.get("database") or {}).get("fingerprint")
    crowd = kept_crowd(workspace, fingerprint) if fingerprint else None
    title = " and ".join(source.name for source in sources)
    licences = {
        source.licence_of(row["license"]) for source in sources for rows in source.table_rows.values() for row in rows
    }
    about = {
        "name": f"Behance Artistic Media: {title}",
        "description": f"Images of {title}, chosen from the Behance Artistic Media database with bamkit "
        f"{bamkit.__version__}, with the database's labels and scores and the licence of every image. Intervals are of "
        "95 %; those of shares of images are clustered by project.",
        "url": croissant.DATABASE_PAGE,
        "license": sorted({licence.url or licence.text or "no licence" for licence in licences}),
        "citeAs": CITATION,
        "keywords": ["art", "Behance Artistic Media", "image-to-image translation"],
        **responsible(sources, crowd.agreement if crowd else None),
    }
    files, records = LAYOUTS[config.to](sources, folder)
    file, rows = croissant.attribution_records(folder)
    return croissant.document(about, [*files, file], [*records, rows])


def _mark(sources: Sequence[Source], config: ExportSettings) -> dict[str, Any]:
    return {
        "kind": "export",
        "format": config.to,
        "bamkit": bamkit.__version__,
        "domains": [
            {
                "name": source.name,
                "images": source.counts,
                **{
                    key: source.domain.about.get(key)
                    for key in ("selection_id", "split_id")
                    if key in source.domain.about
                },
            }
            for source in sources
        ],
    }


def _notes(sources: Sequence[Source], config: ExportSettings) -> list[str]:
    n, shown = _may_not(sources)
    notes = []
    if n and config.licensed_only:
        notes.append(f"{n:,} images left out for their licence ({shown})")
    elif n and config.to == "csv":
        notes.append(f"the table holds addresses, no pictures; {n:,} of the pictures may not be passed on ({shown})")
    elif n:
        notes.append(f"exported though {n:,} of them may not be passed on ({shown}): keep the result to yourself")
    conditions = {
        c for source in sources for licence in source.allowed.values() if licence.allowed for c in licence.conditions
    }
    if "non-commercial" in conditions:
        notes.append("some licences allow non-commercial use only: see attribution.csv")
    return notes
