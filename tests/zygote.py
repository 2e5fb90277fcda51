"""Starts bamkit commands in forks of a process that has imported everything, and kills them (see killing.py)."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import killing

LONGEST = 600
"""Seconds that a start may take."""


@dataclass(frozen=True)
class Plan:
    """When and how a start is killed; never where `at` is 0."""

    at: int = 0
    """At this change to the workspace: before it, or where `late` is given so many seconds after it."""
    late: float | None = None
    group: bool = False
    """Whether all processes of the command are killed, or only the one that was called."""


@dataclass(frozen=True)
class Done:
    """How a start ended."""

    status: int
    output: str
    changes: int
    """To files of the workspace that were begun."""
    seconds: float
    """From the first of them to the end."""

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL


class Zygote:
    """A context manager: the process that forks the commands."""

    def __init__(self, scratch: Path) -> None:
        self.output, self.log, self.site = scratch / "output", scratch / "changes", killing.site_of(scratch / "site")
        self.groups: list[int] = []

    def __enter__(self) -> Zygote:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": self.site}
        words = [sys.executable, killing.__file__]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0, start_new_session=True
        )
        assert self._line() == "ready"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for group in [*filter(killing.alive, self.groups), self.process.pid]:
            os.killpg(group, signal.SIGKILL)
        self.process.wait()

    def attempt(self, words: str, workspace: Path, plan: Plan) -> Done:
        """Run a command in a workspace to its end, or to the moment when the plan kills it."""
        self.log.write_bytes(b"")
        watched = {"root": str(workspace), "log": str(self.log), "at": 0, "group": plan.group}
        if plan.late is None:
            watched["at"] = plan.at
        environment = {killing.VARIABLE: json.dumps(watched), "PYTHONPATH": self.site, "OMP_NUM_THREADS": "1"}
        words_there = [*words.format(workspace=workspace).split(), "-w", str(workspace)]
        job = {"words": words_there, "output": str(self.output), "environment": environment}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        child = int(self._line())
        self.groups = [group for group in self.groups if killing.alive(group)] + [child]
        began = self._wait(1)
        if plan.late is not None:
            self._wait(plan.at)
            if not self._answered(plan.late):
                (os.killpg if plan.group else os.kill)(child, signal.SIGKILL)
        status = int(self._line())
        seconds = time.monotonic() - began
        if plan.group and status == -signal.SIGKILL:
            self._wait_for([child])  # what was killed with it may die later, and write until then
        return Done(status, self.output.read_text(errors="replace"), self._changes(), seconds)

    def wait_for_the_rest(self) -> bool:
        """Wait until what killed commands had started has ended by itself; whether any of it was alive."""
        busy = self._wait_for(self.groups)
        self.groups = []
        return busy

    def _wait_for(self, groups: list[int]) -> bool:
        busy = False
        end = time.monotonic() + LONGEST
        while any(killing.alive(group) for group in groups):
            busy = True
            assert time.monotonic() < end, "what a killed command had started does not end"
            time.sleep(0.05)
        return busy

    def _changes(self) -> int:
        return self.log.stat().st_size

    def _wait(self, changes: int) -> float:
        """Wait for so many changes or the end; the time."""
        while self._changes() < changes and not self._answered(0.001):
            pass
        return time.monotonic()

    def _answered(self, seconds: float) -> bool:
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def _line(self) -> str:
        assert self.process.stdout is not None
        assert self._answered(LONGEST), "no answer"
        line = b""
        while not line.endswith(b"\n"):
            got = self.process.stdout.read(1)
            assert got, "the process that forks commands has ended"
            line += got
        return line.decode().strip()
