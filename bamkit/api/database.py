"""`bamkit.select` and `bamkit.sql`: a BAM database without a workspace."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from bamkit.api.options import as_options, verb
from bamkit.api.selection import Selection, opened
from bamkit.common.settings import build
from bamkit.curate.database import sql_window
from bamkit.curate.database.connection import Database
from bamkit.curate.select import manifest
from bamkit.curate.select.query import Query

if TYPE_CHECKING:
    import pandas as pd

    from bamkit.api.keywords import QueryKeywords


@verb("select", Query)
def select(database: Path | str, *, emotion: str | None = None, **options: Unpack[QueryKeywords]) -> Selection:
    """Choose images from a BAM file or an SQLAlchemy URL; nothing is written.

    The keywords are the options of `bamkit select`, `with` being `with_`; those that name other selections need a
    workspace. `write(path)` keeps the choice. Raises BamkitError.

    >>> chosen = bamkit.select(ws.database(), emotion="scary", top=10, test=2, validation=0, reserve=0)
    >>> chosen.counts
    {'train': 10, 'test': 2}
    """
    query = build(Query, as_options(options), emotion=emotion or "")
    with Database.open(database) as database_:
        return opened(manifest.select(database_, query))


@verb("sql")
def sql(database: Path | str, statement: str, limit: int | None = None) -> pd.DataFrame:
    """The rows of a SELECT as a DataFrame, at most `limit` of them; the engine refuses to write.

    `database` is any SQLite file or SQLAlchemy URL. Raises BamkitError.

    >>> bamkit.sql(ws.database(), "select count(*) as images from modules")
       images
    0     400
    """
    import pandas as pd

    with Database.open_any(database) as opened:
        result = sql_window.ask(opened, statement)
        return pd.DataFrame(islice(result.dicts(), limit), columns=result.names)
