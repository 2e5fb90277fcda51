"""The commands that are killed: the workspace of each, its words, and the files of its end that count."""

from __future__ import annotations

import csv
import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import gan_parts
import test_forget
from bamfile import make_bam
from fetching import jpeg, write_selection
from identical import digest
from misbehaving import Server, file, slow, status
from zygote import Plan, Zygote

NAMES = ("select", "fetch", "train", "translate", "export", "forget", "study")
STEPS = 60
TRAIN = f"--crop 28 --size 32 --steps {STEPS} --checkpoint-minutes 0.002 --name r {gan_parts.FLAGS}"
EXPORTS = (
    "export happy --to hf --license-ok --force",
    "export happy scary --to cyclegan --license-ok --force",
    "export happy --to webdataset --license-ok --force",
    "export r --to safetensors --force",
)


@dataclass(frozen=True)
class Scenario:
    """A command that is killed."""

    name: str
    prepare: Callable[[Path], None]
    """Makes the workspace."""
    words: tuple[str, ...]
    """One or several ways to call it, taken in turn."""
    kept: tuple[str, ...]
    """Patterns of the files whose contents are compared at the end."""
    reach: float = 1.0
    """The last change at which it is killed, as a share of those of an undisturbed run: less than 1 where a start goes
    on from what the one before had done."""
    kills_an_end: int = 10
    """At most so many before an end is compared."""
    again: str = ""
    """More words once it has begun."""
    begun: str = ""
    """A file that says so."""
    asked: Callable[[], int] = lambda: 0
    """Requests for pictures so far."""
    timed: str = ""
    """A pattern of files whose names follow from the clock: there may be no more of them than undisturbed."""
    of_a_start: str = ""
    """A pattern of files of which every start writes one of its own."""


def scenarios(server: Server, zygote: Zygote, stack: ExitStack) -> dict[str, Callable[[], Scenario]]:
    """The commands, at sizes that take a second or two; what they need is made when one is called for."""
    return {
        "select": lambda: _select(zygote),
        "fetch": lambda: _fetch(server),
        "train": _train,
        "translate": lambda: _translate(zygote),
        "export": lambda: _export(zygote),
        "forget": lambda: _forget(server),
        "study": lambda: _study(stack),
    }


def _select(zygote: Zygote) -> Scenario:
    def prepare(folder: Path) -> None:
        folder.mkdir()
        make_bam(folder / "bam.sqlite", rows=1500)
        _make("info", folder, zygote)

    words = (
        "select --emotion happy --top 300 --test 60 --force",
        "select --emotion scary --top 90 --sample random --force",
    )
    return Scenario("select", prepare, words, ("selections/*", "index/*"))


def _fetch(server: Server) -> Scenario:
    for index in range(150):
        server[f"/{index}.jpg"] = slow(0.02, status(404) if index % 17 == 3 else file(jpeg(index, 160, 120)))
    urls = [server.url(f"/{index}.jpg") for index in range(150)]
    kept = ("splits/**/*", "missing/*", "originals/??/*", "originals/ledger.sqlite")
    return Scenario(
        "fetch",
        lambda folder: write_selection(folder, "happy", urls, 110, 15),
        ("fetch --allow-private --size 64 --connections 4",),
        kept,
        reach=0.3,
        asked=lambda: server.counts.total(),
    )


def _splits(folder: Path) -> None:
    gan_parts.make_workspace(folder, counts=(12, 20, 2))


def _trained(folder: Path, zygote: Zygote) -> None:
    _splits(folder)
    _make(f"train --crop 28 --size 32 --steps 2 --name r --from happy --to scary {gan_parts.FLAGS}", folder, zygote)


def _train() -> Scenario:
    kept = (f"runs/r/checkpoints/step-{STEPS:08}.pt", "runs/r/checkpoints/best.pt", "runs/r/samples/*")
    words = (f"train {TRAIN} --from happy --to scary",)
    timed = "runs/r/checkpoints/step-*.pt"
    return Scenario("train", _splits, words, kept, reach=0.3, again="--resume", begun="runs/r/run.json", timed=timed)


def _translate(zygote: Zygote) -> Scenario:
    def prepare(folder: Path) -> None:
        _trained(folder, zygote)

    return Scenario("translate", prepare, ("translate r --device cpu",), ("translations/**/*",), reach=0.5)


def _export(zygote: Zygote) -> Scenario:
    def prepare(folder: Path) -> None:
        _trained(folder, zygote)
        _make(EXPORTS[0], folder, zygote)

    return Scenario("export", prepare, EXPORTS, ("exports/**/*",))


def _forget(server: Server) -> Scenario:
    def prepare(folder: Path) -> None:
        test_forget.fill(folder, server)

    return Scenario("forget", prepare, (f"forget {test_forget.MID}",), ("**/*",), reach=0.5)


def _study(stack: ExitStack) -> Scenario:
    from bamkit.sample import SampleServer, make_sample

    served = []

    def prepare(folder: Path) -> None:
        make_sample(folder, 600)
        served.append(stack.enter_context(SampleServer(folder, faults=0)))
        with closing(sqlite3.connect(folder / "bam.sqlite")) as base:
            for mood in ("happy", "scary"):
                best = f"select mid from scores order by emotion_{mood} desc limit 60"
                for (mid,) in base.execute(best).fetchall():
                    served[-1].picture(mid)  # painted now, so that a busy machine answers in time

    words = ("study --scale 0.01 --preset quick --size 32 --steps 6 --device cpu --no-judge",)
    kept = ("selections/*", "splits/**/*", "missing/*", "runs/*/checkpoints/*",
            "translations/**/*", "reports/evaluate-*/*.csv")  # fmt: skip
    return Scenario(
        "study", prepare, words, kept, 0.15, 20, of_a_start="runs/*/events.out.tfevents.*",
        asked=lambda: sum(sum(each.requests.values()) for each in served),
    )  # fmt: skip


def _make(words: str, folder: Path, zygote: Zygote) -> None:
    done = zygote.attempt(words, folder, Plan())
    assert done.status == 0, done.output


def run(words: str, folder: Path) -> None:
    """A command in a process of its own, undisturbed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    line = [sys.executable, "-m", "bamkit", *words.split(), "-w", str(folder)]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"


def paths(folder: Path) -> set[str]:
    """Every file of a workspace."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def contents(folder: Path, kept: tuple[str, ...]) -> dict[str, str]:
    """The hash of every file that counts, by its path; without the times that some of them hold."""
    found = sorted({path for pattern in kept for path in folder.glob(pattern) if path.is_file()})
    found = [path for path in found if not path.name.endswith(("-wal", "-shm"))]  # SQLite's own, until it is closed
    return {str(path.relative_to(folder)): _hash(path) for path in found}


def _hash(path: Path) -> str:
    if path.name == "forgotten.csv":
        with open(path, newline="", encoding="utf-8") as opened:
            rows = [{**row, "time": ""} for row in csv.DictReader(opened)]
        return hashlib.sha256(repr(rows).encode()).hexdigest()
    if path.name == "ledger.sqlite":
        with closing(sqlite3.connect(path)) as base:
            rows = base.execute("select url, outcome, sha256, bytes, width from ledger order by url").fetchall()
        return hashlib.sha256(repr(rows).encode()).hexdigest()
    return digest(path)
