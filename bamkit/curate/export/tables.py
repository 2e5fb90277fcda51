"""The BAM file's tables as parquet, described by croissant.json."""

from __future__ import annotations

from pathlib import Path

import bamkit
from bamkit.common.shards import read_schema
from bamkit.common.workspace import Workspace, refuse_overwrite, write_text
from bamkit.curate.database.connection import Database
from bamkit.curate.database.crowd import crowd_of
from bamkit.curate.database.parquet import export_tables
from bamkit.curate.export import croissant
from bamkit.curate.export.card import CITATION
from bamkit.curate.export.responsible import AUTHORS_PRECISION, SCORES_NOTE, SOCIAL, agreement_with_crowd


def export_database(workspace: Workspace, database: Database, folder: Path, force: bool = False) -> dict[Path, int]:
    """Write each table as `<table>.parquet`, and croissant.json, to `folder`; path of each table -> rows.

    Raises BamkitError if a file is there and `force` is not given.
    """
    refuse_overwrite(folder / croissant.FILE, force)
    written = export_tables(database, folder, force)
    files, records = [], []
    for path in written:
        files.append(croissant.file_object(folder, path.name))
        fields = croissant.columns(path.stem, {"fileObject": {"@id": path.name}}, read_schema(path))
        records.append(croissant.record_set(path.stem, f"The table {path.stem} of the database.", fields))
    crowd = crowd_of(database, workspace)
    about = {
        "name": "Behance Artistic Media: tables",
        "description": f"The tables of a Behance Artistic Media database (fingerprint {database.fingerprint}), "
        f"written with bamkit {bamkit.__version__}. They hold addresses of pictures, and no pictures.",
        "url": croissant.DATABASE_PAGE,
        "license": "The database is given out by its authors on request; each picture keeps the licence in `modules`.",
        "citeAs": CITATION,
        "keywords": ["art", "Behance Artistic Media"],
        "rai:dataAnnotationProtocol": [SCORES_NOTE],
        "rai:dataAnnotationAnalysis": [AUTHORS_PRECISION, *agreement_with_crowd(crowd.agreement if crowd else None)],
        "rai:dataLimitations": ["Addresses rot: which still lead to a picture is known when they are asked."],
        "rai:dataSocialImpact": SOCIAL,
    }
    write_text(folder / croissant.FILE, croissant.document(about, files, records))
    return written


def export_to_workspace(
    workspace: Workspace, database: Database, folder: Path | None = None, force: bool = False
) -> tuple[Path, dict[Path, int]]:
    """`export_database` to `folder`, by default exports/DATABASE-parquet: the folder, and the rows of each file."""
    target = folder or workspace.root / "exports" / f"{Path(database.name).stem}-parquet"
    return target, export_database(workspace, database, target, force)
