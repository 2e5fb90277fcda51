"""One line of progress on a terminal and in a notebook, silence in a pipe."""

from __future__ import annotations

import importlib
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO


class Progress:
    """`fetch  412/1200 images  34% · 38.2 images/s · 0:21 left · 14 missing`, redrawn at most 10 times a second.

    In a notebook the line is an output of its own, which is replaced, and which in the end says how long it took; it is
    shown from the second second on.

    Use it as a context manager; call `update(done, note)` with the number finished so far. The rate is that of the last
    half minute, so that a pause or a slow start does not spoil the estimate.
    """

    def __init__(self, label: str, total: int, unit: str = "images", stream: TextIO | None = None) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.stream = stream or sys.stderr
        self.notebook = None if stream else _notebook_display()
        self.live = self.stream.isatty() or self.notebook is not None
        self.done = 0
        self.started = time.monotonic()
        self._seen: deque[tuple[float, int]] = deque([(self.started, 0)])
        self._drawn = 0.0
        self._width = 0
        self._shown: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
        if self.notebook and self._shown:
            took = duration(time.monotonic() - self.started)
            self._show(f"{self.label}  {self.done:,}/{self.total:,} {self.unit} in {took}")

    def update(self, done: int, note: str = "") -> None:
        """Say that `done` of `total` are finished; `note` is appended to the line."""
        now = time.monotonic()
        if not self._seen or done == 0 or done < self.done:
            self._seen.clear()
        self.done = done
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[0][0] < now - 30:
            self._seen.popleft()
        if self.live and (now - self._drawn > (0.5 if self.notebook else 0.1) or done == self.total):
            self._draw(note, now)

    @property
    def rate(self) -> float:
        """Units a second over the last half minute; 0.0 while nothing is known."""
        (then, before), (now, after) = self._seen[0], self._seen[-1]
        return (after - before) / (now - then) if now > then else 0.0

    def write(self, line: str) -> None:
        """Print a whole line above the progress line (also in a pipe)."""
        self.clear()
        say(line) if self.notebook else print(line, file=self.stream, flush=True)

    def clear(self) -> None:
        if self._width:
            self.stream.write("\r" + " " * self._width + "\r")
            self.stream.flush()
            self._width = 0

    def _draw(self, note: str, now: float) -> None:
        share = f"{100 * self.done / self.total:.0f}%" if self.total else ""
        rate = self.rate
        parts = [f"{self.label}  {self.done:,}/{self.total:,} {self.unit}  {share}"]
        if rate:
            parts += [f"{rate:,.1f} {self.unit}/s" if rate >= 1 else f"{1 / rate:,.1f} s each"]
            parts += [f"{duration((self.total - self.done) / rate)} left"]
        if note:
            parts.append(note)
        if self.notebook:
            # What is done in a moment would only fill the page.
            if now - self.started >= 1:
                self._show(" · ".join(parts))
                self._drawn = now
            return
        # A line that wraps could not be taken back.
        line = " · ".join(parts)[: max(20, shutil.get_terminal_size().columns - 1)]
        self.stream.write("\r" + line.ljust(self._width))
        self.stream.flush()
        self._width, self._drawn = len(line), now

    def _show(self, line: str) -> None:
        """Show the line in the notebook, in place of the one before."""
        assert self.notebook is not None
        content = {"text/plain": line}
        if self._shown is None:
            self._shown = self.notebook(content, raw=True, display_id=True)
        else:
            self._shown.update(content, raw=True)


def say(line: str) -> None:
    """A line about what goes on: on standard error, in a notebook on standard output, as the other is set in red."""
    print(line, file=sys.stdout if _notebook_display() else sys.stderr, flush=True)


def _notebook_display() -> Callable[..., Any] | None:
    """IPython's `display` where this process is the kernel of a notebook, else None. Imports IPython only there."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    display: Callable[..., Any] = importlib.import_module("IPython.display").display
    return display


def duration(seconds: float) -> str:
    """`0:21`, `12:05`, `3:20:00`, `2 d 04:10`."""
    whole = max(0, round(seconds))
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour:02}:{minute:02}"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minutes}:{second:02}"


def size(count: float) -> str:
    """Bytes for people: `238 kB`, `1.2 GB` (powers of 1,000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
