"""The log of a review: decisions.csv, to which rows are only ever added, each flushed to disk before it counts."""

from __future__ import annotations

import csv
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from bamkit.common.contract import SPLITS
from bamkit.common.errors import BamkitError
from bamkit.common.workspace import flush
from bamkit.curate.select.decisions import COLUMNS, DROP, KEEP, MOVE, UNDO, Decision, read_log

LONGEST = {"reviewer": 64, "reason": 500}
"""Characters of what people type."""


class DecisionLog:
    """One decisions.csv. Several threads and several processes may add to it at the same time."""

    def __init__(self, path: Path, selection: str, selection_id: str) -> None:
        """Raises BamkitError where there is such a file and it is no log."""
        self.path, self.selection, self.selection_id = path, selection, selection_id
        self._lock = threading.Lock()
        self._seen: tuple[int, int] = (-1, -1)
        self._rows: list[Decision] = []
        self.rows()

    def rows(self) -> list[Decision]:
        """Every row, also of those that other processes have added."""
        with self._lock:
            try:
                about = self.path.stat()
            except FileNotFoundError:
                return []
            if (about.st_size, about.st_mtime_ns) != self._seen:
                self._rows = read_log(self.path)[0] if about.st_size else []
                self._seen = (about.st_size, about.st_mtime_ns)
            return self._rows

    def add(self, reviewer: str, mid: int, decision: str, split: str = "", reason: str = "") -> None:
        """Add a row; when this returns, it is on the disk. Raises BamkitError for what is no decision."""
        reviewer, reason = " ".join(reviewer.split()), " ".join(reason.split())
        for name, text in (("reviewer", reviewer), ("reason", reason)):
            if len(text) > LONGEST[name] or not text.isprintable():
                raise BamkitError(f"a {name} is at most {LONGEST[name]} printable characters")
        if not reviewer:
            raise BamkitError("who decides? a reviewer has a name")
        if decision not in (KEEP, DROP, MOVE, UNDO) or (split not in SPLITS if decision == MOVE else split):
            raise BamkitError(f"{decision} {split} is no decision".replace("  ", " "))
        time = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self._append([time, reviewer, self.selection, self.selection_id, mid, decision, split, reason])

    def _append(self, values: list[object]) -> None:
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, open(self.path, "a+b") as file, _alone(file):
            end = _cut_torn_line(file)
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            if not end:
                writer.writerow(COLUMNS)
            writer.writerow(values)
            file.write(text.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())
        if new:
            flush(self.path.parent)


def _cut_torn_line(file: BinaryIO) -> int:
    """Remove a last line that a power cut left without its end (it was never acknowledged); the size that is left."""
    size = end = file.seek(0, os.SEEK_END)
    tail = b""
    while end and b"\n" not in tail:
        start = max(0, end - 4096)
        file.seek(start)
        tail = file.read(end - start)
        end = start
    kept = end + tail.rfind(b"\n") + 1
    if kept < size:
        file.truncate(kept)
    return kept


@contextmanager
def _alone(file: BinaryIO) -> Iterator[None]:
    """Holds the file's lock, which the system takes back however the process ends."""
    try:
        import fcntl
    except ImportError:  # Windows, where one process reviews at a time
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
