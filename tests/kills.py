"""Kills commands at random moments, again and again, and compares the end with an undisturbed run, bit for bit.

    python tests/kills.py --faults                     # a hundred kills of each command: an hour of processor time
    python tests/kills.py --kills 10 --only fetch train

Each command runs in a workspace of its own. After every SIGKILL it is started anew, as a user would do it, until the
kills meant for this workspace are spent and it ends; then it begins afresh in another one. The moments are spread over
what it does to files: in half of the starts it is killed exactly before a change (a file opened for writing, renamed,
removed, a folder made, a database opened) of a number drawn up to that of the undisturbed run, in the other half some
milliseconds after it. Every other kill is of the whole process group, the others leave alone what the command had
started. With --faults (root, on Linux) every fifth start meets a full or a read-only disk. A start is a fork of a
process that has imported everything (killing.py): the same code, without the seconds of importing; the undisturbed run
is `python -m bamkit`.

Printed is one row a command (see Row). Exit status 1 where an end differs or has a file more, or a command ends
badly. Nothing outside loopback is asked.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from killing_scenarios import NAMES, Scenario, contents, paths, run, scenarios
from misbehaving import Server
from zygote import Done, Plan, Zygote

SIZE = "64m"
"""Of the file system that a workspace lies on with --faults."""
LOCKS = (".lock", "lock.sqlite")


@dataclass
class Row:
    """What came of one command."""

    name: str
    kills: int = 0
    written: int = 0
    """Kills after something had been written to the workspace since this start (a lock does not count)."""
    amid: int = 0
    """Kills that left a file half-written: under a temporary name, or an SQLite journal."""
    faults: int = 0
    """Starts on a full or a read-only disk."""
    ends: int = 0
    """Undisturbed ends that were compared."""
    differ: int = 0
    left: int = 0
    """Ends with a file that the undisturbed run does not leave."""
    refused: int = 0
    """Starts that were refused in a line while what the killed one had started was still at work."""
    asked: int = 0
    """Requests for pictures."""
    twice: int = 0
    """Of them for what had been asked for already."""
    wrong: list[str] = field(default_factory=list)


@contextmanager
def place(faults: bool, parent: Path) -> Iterator[Path]:
    """A folder for a workspace: a small file system of its own, if faults are wanted."""
    folder = parent / "place"
    folder.mkdir()
    if faults:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "bamkit-kills", str(folder)], check=True)
    try:
        yield folder
    finally:
        if faults:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fault(kind: str, folder: Path) -> Iterator[None]:
    """The file system full to its last 40 kB, or read-only."""
    filler = folder / "filler"
    if kind == "full":
        free = shutil.disk_usage(folder).free
        filler.write_bytes(bytes(max(free - 40_000, 0)))
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        yield
    finally:
        if kind == "full":
            filler.unlink()
        else:
            subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What a write to any file of the workspace changes; locks are left out."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith(LOCKS):
            about = path.stat()
            found[str(path.relative_to(folder))] = about.st_ino, about.st_size, about.st_mtime_ns
    return found


def half_written(folder: Path) -> set[str]:
    """Files under temporary names, in folders of such names or beside an unfinished SQLite transaction."""
    endings = (".tmp", ".partial", ".old", "-journal")
    names = {path for path in paths(folder) if any(part.endswith(endings) for part in Path(path).parts)}
    return names | {path for path in paths(folder) if "/incoming/" in path}


class Disturbance:
    """One command in one workspace after another, killed until its kills are spent."""

    def __init__(
        self, scenario: Scenario, kills: int, faults: bool, rng: random.Random, scratch: Path, zygote: Zygote
    ) -> None:
        self.scenario, self.kills, self.faults, self.rng = scenario, kills, faults, rng
        self.scratch, self.zygote, self.row = scratch, zygote, Row(scenario.name)
        self.starts = 0
        self.template = scratch / "template"
        scenario.prepare(self.template)

    def run(self, minutes: float) -> Row:
        """Disturb and compare until the kills or the minutes are spent."""
        end = time.monotonic() + 60 * minutes
        calm: dict[str, tuple[dict[str, str], set[str], int, float, int]] = {}
        while self.row.kills < self.kills and time.monotonic() < end:
            words = self.scenario.words[self.row.ends % len(self.scenario.words)]
            if words not in calm:
                calm[words] = self.undisturbed(words)
            expected, there, changes, seconds, requests = calm[words]
            asked = self.scenario.asked()
            with place(self.faults, self.scratch) as folder:
                workspace = folder / "w"
                shutil.copytree(self.template, workspace)
                self.until_it_ends(words, folder, changes, seconds)
                self.row.ends += 1
                self.compare(words, workspace, expected, there)
            asked = self.scenario.asked() - asked
            self.row.asked += asked
            self.row.twice += asked - requests
        return self.row

    def undisturbed(self, words: str) -> tuple[dict[str, str], set[str], int, float, int]:
        """What a run by itself leaves: contents, paths, how many changes and seconds it takes, its requests."""
        workspace = self.scratch / "calm" / "w"  # the same name as that of the disturbed ones: index.html holds it
        shutil.copytree(self.template, workspace)
        asked = self.scenario.asked()
        run(words, workspace)
        asked = self.scenario.asked() - asked
        there = paths(workspace)
        expected = contents(workspace, self.scenario.kept)
        assert expected, f"{words}: nothing to compare"
        shutil.rmtree(workspace)
        shutil.copytree(self.template, workspace)
        done = self.zygote.attempt(words, workspace, Plan())
        assert done.status == 0, done.output
        again = contents(workspace, self.scenario.kept)
        assert again == expected, f"{words}: two undisturbed runs differ in {differing(again, expected)}"
        shutil.rmtree(workspace)
        return expected, there, done.changes, done.seconds, asked

    def until_it_ends(self, words: str, folder: Path, changes: int, seconds: float) -> None:
        """Start, kill and start again; an undisturbed start ends it when the kills are spent or nothing was to do."""
        workspace, row = folder / "w", self.row
        kills = min(row.kills + self.rng.randint(1, self.scenario.kills_an_end), self.kills)
        while True:
            self.starts += 1
            again = self.scenario.begun and (workspace / self.scenario.begun).exists()
            line = f"{words} {self.scenario.again}" if again else words
            if self.faults and self.starts % 5 == 0:
                row.faults += 1
                self.zygote.wait_for_the_rest()  # a disk that is written to cannot be made read-only
                with fault(self.rng.choice(("full", "read-only")), folder):
                    if self.ended(self.zygote.attempt(line, workspace, Plan())):
                        return
                continue
            plan = Plan()
            if row.kills < kills:
                at = self.rng.randint(1, max(1, round(changes * self.scenario.reach)))
                late = self.rng.uniform(0, 2 * seconds / changes) if self.rng.random() < 0.5 else None
                plan = Plan(at, late, self.rng.random() < 0.5)
            before = state(workspace)
            done = self.zygote.attempt(line, workspace, plan)
            if done.killed:
                row.kills += 1
                row.written += state(workspace) != before
                row.amid += bool(left := half_written(workspace))
                for name in left:  # as if an hour had passed before the next start
                    with suppress(FileNotFoundError):  # what the killed one had started goes on meanwhile
                        os.utime(workspace / name, (time.time() - 3600,) * 2)
                if self.rng.random() < 0.5:
                    self.zygote.wait_for_the_rest()
            elif self.ended(done, sound=True):
                return

    def ended(self, done: Done, sound: bool = False) -> bool:
        """Whether a start ended well by itself; raises SystemExit where it ended badly, or though all is `sound`."""
        busy = self.zygote.wait_for_the_rest()
        if "Traceback" in done.output or done.status not in (0, 3) or (sound and done.status and not busy):
            raise SystemExit(f"{self.row.name}: exit status {done.status}\n{done.output[-2000:]}")
        self.row.refused += sound and done.status == 3
        return done.status == 0

    def compare(self, words: str, workspace: Path, expected: dict[str, str], there: set[str]) -> None:
        """Note what differs from the undisturbed run's end, and what was left behind."""
        left = paths(workspace)
        more = {path for path in left - there if not path.endswith(("-wal", "-shm"))}
        more -= set(fnmatch.filter(more, self.scenario.of_a_start))
        timed, allowed = (fnmatch.filter(names, self.scenario.timed) for names in (left, there))
        if len(timed) <= len(allowed):
            more -= set(timed)
        actual = contents(workspace, self.scenario.kept)
        if actual != expected:
            self.row.differ += 1
            self.say(f"{words}: an end differs in {differing(actual, expected)}")
        if more:
            self.row.left += 1
            self.say(f"{words}: left behind {sorted(more)[:5]}")

    def say(self, wrong: str) -> None:
        self.row.wrong.append(wrong)
        print(wrong, file=sys.stderr, flush=True)


def differing(actual: dict[str, str], expected: dict[str, str]) -> list[str]:
    return sorted(path for path in expected | actual if expected.get(path) != actual.get(path))[:5]


def disturb(
    names: Iterable[str], kills: int, faults: bool = False, seed: int = 0, minutes: float = 600
) -> Iterator[Row]:
    """Kill each command `kills` times, or for so many minutes, and compare every end that it reaches."""
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bamkit-kills-")))
        zygote = stack.enter_context(Zygote(scratch))
        made = scenarios(server, zygote, stack)
        for name in names:
            folder = scratch / name
            folder.mkdir()
            draws = random.Random(f"{seed} {name}")
            yield Disturbance(made[name](), kills, faults, draws, folder, zygote).run(minutes)


HEAD = """
| command | kills | after a write | amid a file | faulty disks | ends | differ | left | refused | requests | again |
|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of each command")
    parser.add_argument("--only", nargs="+", default=[], choices=list(NAMES))
    parser.add_argument("--faults", action="store_true", help="also full and read-only disks (root, on Linux)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=600, help="at most, for each command")
    args = parser.parse_args()
    print(HEAD.strip(), flush=True)
    wrong = []
    for row in disturb(args.only or NAMES, args.kills, args.faults, args.seed, args.minutes):
        cells = (row.kills, row.written, row.amid, row.faults, row.ends, row.differ, row.left, row.refused)
        asked = (f"{row.asked:,}", f"{row.twice:,}") if row.asked else ("", "")
        print("|", " | ".join([f"`{row.name}`", *map(str, cells), *asked]), "|", flush=True)
        wrong += row.wrong
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
