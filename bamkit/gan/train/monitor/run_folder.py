"""A run's folder: run.json, metrics.csv, TensorBoard events, samples and the lock that keeps a second trainer out."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import naming, readable, write_text
from bamkit.gan.train.checkpoint import FOLDER
from bamkit.gan.train.methods.terms import METHODS, Method


def columns(method: Method) -> tuple[str, ...]:
    """metrics.csv: losses are means since the row before; seconds are of training, over all resumptions."""
    return ("step", "epoch", "seconds", "lr", *method.losses, "images_per_second")


def validation_columns(method: Method) -> tuple[str, ...]:
    """validation.csv."""
    kept = method.kept
    return ("step", "score", "style_A", "style_B", f"{kept}_A", f"{kept}_B", "variety_A", "variety_B")


class RunFolder:
    """A run's files. Opening takes the lock; a second trainer on the same folder is refused.

    Of several processes one `writes`; the others only read checkpoints there.
    """

    def __init__(self, path: Path, writes: bool = True, method: Method = METHODS["cyclegan"]) -> None:
        self.path = path
        self.columns, self.validation_columns = columns(method), validation_columns(method)
        self._events: Any = None
        self._lock = -1
        if not writes:
            return
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise BamkitError(
                f"the run folder {path} cannot be written: {error.strerror}", "another --name, or -w DIR elsewhere"
            ) from error
        if not _locked(self._lock):
            os.close(self._lock)
            raise BamkitError(f"{path} is in use: another bamkit train is writing there", "another --name")
        # What a killed training was writing; the lock says that it is gone.
        for folder in (path, path / FOLDER, path / "samples"):
            for temporary in folder.glob(".*.tmp"):
                temporary.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the lock back."""
        if self._events is not None:
            with contextlib.suppress(OSError):  # of a full disk, which everything else that was written there has said
                self._events.close()
            self._events = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def clear(self) -> None:
        """Remove what a run wrote (and nothing else that lies in the folder)."""
        patterns = (f"{FOLDER}/*.pt", "samples/*.png", "events.out.tfevents.*")
        files = [file for pattern in patterns for file in self.path.glob(pattern)]
        files += [self.path / name for name in ("metrics.csv", "validation.csv", "index.html", "run.json")]
        for file in files:
            file.unlink(missing_ok=True)

    def describe(self, about: Mapping[str, Any]) -> None:
        """Write run.json."""
        text = json.dumps(about, indent=2, ensure_ascii=False)
        if readable(text) != text:  # a folder whose name is not UTF-8
            text = json.dumps(about, indent=2)
        write_text(self.path / "run.json", text + "\n")

    def add_row(self, values: Mapping[str, float]) -> None:
        """Append a row to metrics.csv and to TensorBoard."""
        _append(self.path / "metrics.csv", self.columns, values)
        for name in self.columns[3:]:
            self._show("scalar", f"train/{name}", values[name], int(values["step"]))

    def add_validation(self, values: Mapping[str, float]) -> None:
        """Append a row to validation.csv and to TensorBoard."""
        _append(self.path / "validation.csv", self.validation_columns, values)
        for name in self.validation_columns[1:]:
            self._show("scalar", f"validation/{name}", values[name], int(values["step"]))

    def add_picture(self, tag: str, picture: Any, step: int) -> None:
        """Show a PIL image in TensorBoard."""
        if self._events is not None:
            import numpy as np

            self._show("image", tag, np.asarray(picture), step, dataformats="HWC")

    def _show(self, kind: str, *values: Any, **options: Any) -> None:
        """Show something in TensorBoard. An OSError of its writer, which has ended with it, is raised once."""
        if self._events is None:
            return
        try:
            getattr(self._events, f"add_{kind}")(*values, **options)
        except OSError as error:
            self._events = None
            error.filename = error.filename or str(self.path / "events.out.tfevents...")
            raise

    def forget_after(self, step: int) -> None:
        """Drop what was recorded after `step`: a resumed run writes it again."""
        for name in ("metrics.csv", "validation.csv"):
            path = self.path / name
            if path.is_file():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
                kept = lines[:1] + [line for line in lines[1:] if line.endswith("\n") and _step(line) <= step]
                write_text(path, "".join(kept))
        for sample in (self.path / "samples").glob("*-????????.png"):
            if int(sample.stem[-8:]) > step:
                sample.unlink()

    def open_events(self, step: int) -> str:
        """Begin TensorBoard events after `step`. Returns a sentence if tensorboard is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return "tensorboard is not installed: no events are written (pip install tensorboard)"
        threading.excepthook = functools.partial(_unless_tensorboards, usual=threading.excepthook)
        self._events = SummaryWriter(str(self.path), purge_step=step + 1 if step else None)
        return ""


def _unless_tensorboards(failure: threading.ExceptHookArgs, usual: Callable[[Any], Any]) -> None:
    """No traceback of an OSError in TensorBoard's writing thread: the next call of its writer raises that again."""
    if not (type(failure.thread).__name__ == "_AsyncWriterThread" and issubclass(failure.exc_type, OSError)):
        usual(failure)


def _append(path: Path, columns: tuple[str, ...], values: Mapping[str, float]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    new = not path.is_file() or not path.stat().st_size
    if new:
        writer.writerow(columns)
    writer.writerow([values[name] for name in columns])
    # One write of whole lines: after a kill the file ends with at most one cut line, which forget_after drops.
    with naming(path), open(path, "a", encoding="utf-8") as file:
        file.write(buffer.getvalue())


def _step(line: str) -> float:
    first = line.split(",", 1)[0]
    return int(first) if first.isdigit() else float("inf")


def _locked(handle: int) -> bool:
    """Take an exclusive lock that ends with the process. Whether it could be had."""
    try:
        import fcntl
    except ImportError:
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
