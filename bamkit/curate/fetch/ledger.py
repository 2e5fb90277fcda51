"""The ledger: one row for every URL ever tried, in one SQLite file that survives a kill and a power loss."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from bamkit.common.batches import batched
from bamkit.common.errors import BamkitError
from bamkit.curate.fetch.faults import FAULTS
from bamkit.curate.fetch.http.urls import host_key

if TYPE_CHECKING:
    import pandas as pd

    from bamkit.common.tombstones import Tombstones

VERSION = 1
SCHEMA = """
create table if not exists ledger(
    url text primary key, outcome text not null, reason text, http_status int, attempts int not null,
    sha256 text, md5 text, bytes int, content_type text, format text, width int, height int, final_url text,
    time text not null, rule text
) without rowid;
create index if not exists ledger_sha256 on ledger(sha256) where sha256 is not null;
create table if not exists host_rules(
    origin text, path text, body text, time text not null, primary key(origin, path)
) without rowid;
"""
ANEW = "move it away: bamkit fetch then begins a new one"
FRESH = timedelta(days=1)
"""How long a host's file of rules counts before it is asked for again (RFC 9309, section 2.4)."""


@dataclass(frozen=True)
class Row:
    """What became of one URL."""

    url: str
    outcome: str
    """`ok`, or a key of faults.FAULTS."""
    reason: str | None
    """What was seen, in the words of the moment; None for `ok`."""
    http_status: int | None
    attempts: int
    """Requests ever made for this URL."""
    sha256: str | None = None
    """Of the file as it came, also where it turned out to be no picture."""
    md5: str | None = None
    """Placeholders are often published as MD5. None for large files (it costs time), unless the user lists one."""
    bytes: int | None = None
    content_type: str | None = None
    """As the host said; never believed."""
    format: str | None = None
    """As the bytes say: JPEG, PNG, GIF, WEBP."""
    width: int | None = None
    height: int | None = None
    final_url: str | None = None
    """Where redirects led to, if there were any."""
    time: str = ""
    """When this was written, UTC."""
    rule: str | None = None
    """What the host said about fetching it (robots.txt and others), in words; None where it was not asked."""


COLUMNS = ", ".join(column.name for column in fields(Row))
TYPES = [get_args(kind) or (kind,) for kind in get_type_hints(Row).values()]
"""Of the columns, as isinstance takes them."""


def now(ago: timedelta = timedelta()) -> str:
    """The time (or that of some time `ago`) as the ledger writes it: `2026-11-23T06:00:00Z`."""
    return (datetime.now(UTC) - ago).strftime("%Y-%m-%dT%H:%M:%SZ")


class Ledger:
    """`originals/ledger.sqlite`. One writer at a time (see `locked`); anybody may read meanwhile."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            # Used by one thread at a time: the one that downloads hands it back before the caller goes on.
            self.db = sqlite3.connect(path, check_same_thread=False, timeout=30)
            if self.db.execute("pragma user_version").fetchone()[0] > VERSION:
                raise BamkitError(f"{path} was written by a later version of bamkit", "upgrade bamkit")
            self.db.execute("pragma journal_mode=wal")
            self.db.execute("pragma synchronous=full")
            self.db.executescript(SCHEMA)
            if "rule" not in _columns(self.db):
                self.db.execute("alter table ledger add column rule text")
            self.db.execute(f"pragma user_version={VERSION}")
        except sqlite3.DatabaseError as error:
            if _of_the_disk(error):
                raise  # whoever opened it says so: the ledger itself is sound
            raise BamkitError(f"{path} is not a readable ledger: {error}", ANEW) from error

    def close(self) -> None:
        # Leaves one file behind instead of three.
        with contextlib.suppress(sqlite3.OperationalError):
            self.db.execute("pragma wal_checkpoint(truncate)")
        self.db.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def record(self, rows: Iterable[Row]) -> None:
        """Write rows for good in one transaction; `attempts` are added to those of earlier runs."""
        marks = ", ".join("?" * len(fields(Row)))
        updates = ", ".join(
            f"{column.name} = excluded.{column.name}"
            for column in fields(Row)
            if column.name not in ("url", "attempts")
        )
        with self.db:
            self.db.executemany(
                f"insert into ledger({COLUMNS}) values({marks}) on conflict(url) do update set {updates}, "
                "attempts = ledger.attempts + excluded.attempts",
                (astuple(row) for row in rows),
            )

    def rows(self, urls: Iterable[str]) -> dict[str, Row]:
        """The rows of those of `urls` that were tried."""
        return {values[0]: self._row(*values) for values in self._select(COLUMNS, urls)}

    def _row(self, url: str, outcome: Any, *rest: Any) -> Row:
        values = (url, _known(outcome), *rest)
        if all(map(isinstance, values, TYPES)):
            return Row(*values)
        statement = f"""delete from ledger where url = '{url.replace("'", "''")}'"""
        raise BamkitError(
            f"{self.path} is damaged: its row of {url} holds values of other types",
            f"sqlite3 {shlex.quote(str(self.path))} {shlex.quote(statement)}   # bamkit fetch asks for it again",
        )

    def outcomes(self, urls: Iterable[str]) -> dict[str, str]:
        """The outcomes of those of `urls` that were tried: all that an assignment needs, also for millions of them."""
        return {url: _known(outcome) for url, outcome in self._select("url, outcome", urls)}

    def _select(self, columns: str, urls: Iterable[str]) -> Iterator[Any]:
        for batch in batched(urls, 900):
            marks = ", ".join("?" * len(batch))
            # At once: a generator that is given up would close its cursor later, when the ledger is closed.
            yield from self.db.execute(f"select {columns} from ledger where url in ({marks})", batch).fetchall()

    def host_rules(self) -> dict[str, dict[str, str | None]]:
        """By origin and path the hosts' files of rules that were asked for less than a day ago; None: it has none."""
        found: dict[str, dict[str, str | None]] = {}
        query = "select origin, path, body from host_rules where time > ?"
        for origin, path, body in self.db.execute(query, (now(ago=FRESH),)):
            found.setdefault(origin, {})[path] = body
        return found

    def keep_host_rules(self, files: Mapping[str, Mapping[str, str | None]]) -> None:
        """Keep files of rules that hosts were just asked for."""
        rows = [(origin, path, body, now()) for origin, each in files.items() for path, body in each.items()]
        if rows:
            with self.db:
                self.db.executemany("insert or replace into host_rules values(?, ?, ?, ?)", rows)

    def take_back(self, hashes: Iterable[str]) -> list[str]:
        """Take back the rows of files that were lost, so that they are asked for again; gives their URLs."""
        urls: list[str] = []
        with self.db:
            for sha256 in hashes:
                urls += [row[0] for row in self.db.execute("select url from ledger where sha256 = ?", (sha256,))]
            self.db.executemany("delete from ledger where url = ?", ((url,) for url in urls))
        return urls

    def mark_forgotten(self, urls: Iterable[str]) -> None:
        """Keep of these addresses that they are not to be asked for, and nothing of what they gave."""
        kept = ("url", "outcome", "attempts", "rule", "time")
        empty = ", ".join(f"{column.name} = null" for column in fields(Row) if column.name not in kept)
        with self.db:
            self.db.executemany(
                f"insert into ledger(url, outcome, attempts, time) values(?, 'forgotten', 0, ?) on conflict(url) do "
                f"update set outcome = 'forgotten', time = excluded.time, {empty}",
                ((url, now()) for url in urls),
            )

    def answered(self, urls: Iterable[str]) -> frozenset[str]:
        """The hosts of `urls`, as `host:port`, that have answered anything so far."""
        starts = {url[: url.find("/", url.find("//") + 2) + 1] for url in urls} - {""}
        query = "select 1 from ledger where url >= ? and url < ? and http_status is not null limit 1"
        known = (start for start in starts if self.db.execute(query, (start, start + "\U0010ffff")).fetchone())
        return frozenset(map(host_key, known))

    def placeholders(self) -> frozenset[str]:
        """The SHA-256 of all files recognised as placeholders so far."""
        rows = self.db.execute("select distinct sha256 from ledger where outcome = 'placeholder'")
        return frozenset(sha256 for (sha256,) in rows if sha256)

    def without_md5(self) -> list[str]:
        """The SHA-256 of pictures whose MD5 was not needed so far."""
        return [row[0] for row in self.db.execute("select sha256 from ledger where outcome = 'ok' and md5 is null")]

    def add_md5(self, hashes: Iterable[tuple[str, str]]) -> None:
        """Note MD5s, given as (MD5, SHA-256)."""
        with self.db:
            self.db.executemany("update ledger set md5 = ? where sha256 = ?", hashes)

    def mark_repeated(self, times: int) -> set[str]:
        """Declare every file that answered at least `times` different URLs a placeholder; the SHA-256 of new ones."""
        counted = self.db.execute(
            "select sha256, count(*) from ledger where outcome in ('ok', 'placeholder') group by sha256 "
            "having count(*) >= ? and sum(outcome = 'ok') > 0",
            (times,),
        ).fetchall()
        self._mark({sha256: f"the same file answered {count:,} different addresses" for sha256, count in counted})
        return {sha256 for sha256, _ in counted}

    def mark_known(self, hashes: Iterable[str]) -> set[str]:
        """Declare files placeholders by SHA-256 or MD5 (the user's list may have grown); the SHA-256 of new ones."""
        marked = {
            row[0]
            for text in hashes
            for row in self.db.execute(
                "select distinct sha256 from ledger where outcome = 'ok' and (sha256 = ? or md5 = ?)", (text, text)
            )
        }
        self._mark(dict.fromkeys(marked, "on the list"))
        return marked

    def _mark(self, why: dict[str, str]) -> None:
        with self.db:
            self.db.executemany(
                "update ledger set outcome = 'placeholder', reason = ?, time = ? where outcome = 'ok' and sha256 = ?",
                ((text, now(), sha256) for sha256, text in why.items()),
            )


def _known(outcome: Any) -> str:
    """An outcome as this version knows it: a word of a later version, or a damaged one, is an unexpected error."""
    return sys.intern(outcome) if outcome == "ok" or outcome in FAULTS else "unexpected"


def _columns(db: sqlite3.Connection) -> set[str]:
    return {row[1] for row in db.execute("pragma table_info(ledger)")}


def _of_the_disk(error: sqlite3.Error) -> str:
    """Why SQLite could not write, where the disk is to blame and not the file; "" where it is not."""
    return {
        sqlite3.SQLITE_FULL: "the disk is full",
        sqlite3.SQLITE_IOERR: "the disk is full, or fails",
        sqlite3.SQLITE_READONLY: "it is read-only",
        sqlite3.SQLITE_CANTOPEN: "it is read-only, or not there any more",
    }.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")


def disk_error(error: BaseException, where: Path) -> BaseException:
    """What the disk is to blame for as a message, such as a full one; anything else as it is."""
    reason = _of_the_disk(error) if isinstance(error, sqlite3.Error) else ""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        reason = "the disk is full"
    elif isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        reason = "it is read-only"
    if not reason:
        return error
    mend = "free some space" if "full" in reason else "make it writable, or give -w another folder"
    said = f"{where} cannot be written: {reason}; everything recorded so far is kept"
    return BamkitError(said, f"{mend}, then: bamkit fetch")


def read_only(path: Path) -> contextlib.closing[sqlite3.Connection]:
    """A connection that cannot write, closed at the end of the block."""
    return contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30))


def read_ledger(path: Path) -> pd.DataFrame:
    """The ledger as a table, one row for every URL ever tried, in the order of URLs. Raises BamkitError."""
    import pandas as pd

    try:
        with read_only(path) as db:
            # The ledger of an earlier version has fewer columns.
            columns = ", ".join(name for name in COLUMNS.split(", ") if name in _columns(db))
            return pd.read_sql_query(f"select {columns} from ledger order by url", db, dtype_backend="numpy_nullable")
    except (sqlite3.Error, pd.errors.DatabaseError) as error:
        raise BamkitError(f"{path} is not a readable ledger: {error}", "bamkit fetch   # writes it") from error


def rows_of(path: Path, forgotten: Tombstones) -> list[tuple[str, str | None]]:
    """URL and SHA-256 of every address of a ledger that is, or gave, a picture that was forgotten. Nothing is written.

    The SHA-256 is None where no picture was kept.
    """
    matching = []
    with read_only(path) as db:
        for url, sha256, outcome in db.execute("select url, sha256, outcome from ledger"):
            file = sha256 if outcome == "ok" else None
            if outcome != "forgotten" and (forgotten.covers(None, url) or file in forgotten.sha256):
                matching.append((url, file))
    return matching


@contextmanager
def naming_damage(folder: Path) -> Iterator[None]:
    """Turn what SQLite says of a damaged file in the block into a BamkitError that names the file of `folder`."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        path = next(filter(_is_damaged, sorted(folder.glob("*.sqlite"))), None)
        if path is None and (said := str(error)).startswith("no such"):  # table or column: another program's file
            path = folder / ("built.sqlite" if "built" in said else "ledger.sqlite")
        if path is None or _of_the_disk(error):
            raise
        raise BamkitError(f"{path} is damaged: {error}", ANEW) from error


def _is_damaged(path: Path) -> bool:
    try:
        with read_only(path) as db:
            return bool(db.execute("pragma quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.DatabaseError:
        return True


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the workspace's fetch lock; it ends with the process, however that ends. Raises BamkitError if it is taken.

    An SQLite write lock is the one lock that the standard library has on every system.
    """
    folder.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(folder / "lock.sqlite", timeout=0, isolation_level=None)
    owner = folder / "lock.pid"
    try:
        db.execute("begin exclusive")
    except sqlite3.OperationalError as error:
        db.close()
        if _of_the_disk(error):
            raise
        if "locked" not in str(error):
            raise BamkitError(f"{folder} cannot be written: {error}", "bamkit fetch -w DIR elsewhere") from error
        who = owner.read_text(encoding="ascii", errors="replace").strip() if owner.exists() else "?"
        raise BamkitError(
            f"another bamkit fetch (process {who}) is at work in this workspace", "wait until it has finished"
        ) from error
    try:
        owner.write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        # In this order the name of the owner is never that of somebody else, and the lock ends whatever happens.
        with contextlib.closing(db):
            owner.unlink(missing_ok=True)
