"""Kills commands at random moments, again and again, and compares the end with an undisturbed run, bit for bit.

    python tests/kills.py                              # a hundred kills of each command: about an hour on 2 cores
    python tests/kills.py --kills 10 --only fetch train
    python tests/kills.py --faults                     # every fifth time a full or a read-only disk (root, on Linux)

Each command runs in a workspace of its own and is started anew after every SIGKILL (which comes in the last three
quarters of the time that the undisturbed run takes), as a user would do it, until it ends; then it begins afresh, until
all kills are spent. Printed is one row a command: kills, how many of them came
before it had written anything, ends that were compared, ends that differed, and what a server was asked for twice.
Exit status 1 where an end differs or a command ends with a traceback. Nothing outside loopback is asked.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gan_parts
from bamfile import make_bam
from fetching import jpeg, write_selection
from identical import digest
from misbehaving import Server, file, slow, status

SIZE = "24m"
"""Of the file system that a workspace lies on with --faults."""


@dataclass(frozen=True)
class Scenario:
    """A command that is killed: how its workspace is made, its words, and the files whose contents count."""

    prepare: Callable[[Path], None]
    words: str
    kept: tuple[str, ...]
    again: str = ""
    """More words once it has begun."""
    begun: str = ""
    """A file that says so."""


@dataclass
class Row:
    """What came of one command."""

    name: str
    starts: int = 0
    kills: int = 0
    early: int = 0
    faults: int = 0
    ends: int = 0
    differ: int = 0
    broken: int = 0
    twice: str = ""


def scenarios(server: Server) -> dict[str, Scenario]:
    """The commands, at sizes that take a second or two beyond their start."""
    for index in range(150):
        server[f"/{index}.jpg"] = slow(0.02, status(404) if index % 17 == 3 else file(jpeg(index, 160, 120)))
    urls = [server.url(f"/{index}.jpg") for index in range(150)]

    def database(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        make_bam(folder / "bam.sqlite", rows=3000)

    def splits(folder: Path) -> None:
        gan_parts.make_workspace(folder, counts=(12, 30, 2))

    def trained(folder: Path) -> None:
        splits(folder)
        bamkit("train --from happy --to scary --name r --crop 28 --size 32 --steps 2 " + gan_parts.FLAGS, folder)

    train = "train --crop 28 --size 32 --steps 150 --checkpoint-minutes 0.005 --name r " + gan_parts.FLAGS
    checkpoints = ("runs/r/checkpoints/step-00000150.pt", "runs/r/checkpoints/best.pt")
    tables = ("translations/**/*.parquet", "translations/**/*.png", "translations/**/*.csv")
    return {
        "select": Scenario(database, "select --emotion happy --top 300 --test 60 --force", ("selections/*.parquet",)),
        "fetch": Scenario(
            lambda folder: write_selection(folder, "happy", urls, 110, 15),
            "fetch --allow-private --size 64 --connections 4",
            ("splits/**/*.parquet", "missing/*.parquet", "originals/??/*"),
        ),
        "train": Scenario(
            splits, train + " --from happy --to scary", checkpoints, "--resume", "runs/r/run.json",
        ),
        "translate": Scenario(trained, "translate r --device cpu", tables),
        "export": Scenario(splits, "export happy --to hf --license-ok", ("exports/**/*",)),
    }  # fmt: skip


def command(words: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "bamkit", *words.split(), "-w", str(folder)]


def bamkit(words: str, folder: Path) -> None:
    subprocess.run(command(words, folder), check=True, capture_output=True, env=environment())


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def contents(folder: Path, kept: tuple[str, ...]) -> dict[str, str]:
    """The hash of every file that counts, by its path."""
    paths = sorted({path for pattern in kept for path in folder.glob(pattern) if path.is_file()})
    return {str(path.relative_to(folder)): digest(path) for path in paths}


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


def disturb(name: str, scenario: Scenario, kills: int, faults: bool, rng: random.Random, server: Server) -> Row:
    """Kill a command `kills` times and compare every end that it reaches."""
    row = Row(name)
    with tempfile.TemporaryDirectory() as scratch:
        calm = Path(scratch) / "calm"
        scenario.prepare(calm)
        began = time.monotonic()
        bamkit(scenario.words, calm)
        whole = time.monotonic() - began
        expected = contents(calm, scenario.kept)
        assert expected, f"{name}: nothing to compare"
        requests = server.counts.total()
        while row.kills < kills:
            with place(faults, Path(scratch)) as folder:
                scenario.prepare(folder / "w")
                until_it_ends(row, scenario, folder, kills, faults, whole, rng)
                row.ends += 1
                if (actual := contents(folder / "w", scenario.kept)) != expected:
                    row.differ += 1
                    wrong = {path for path in expected | actual if expected.get(path) != actual.get(path)}
                    print(f"{name}: an end differs in {sorted(wrong)[:5]}", file=sys.stderr)
        if name == "fetch":
            asked = server.counts.total() - requests
            row.twice = f"{asked - requests * row.ends:,} of {asked:,} requests"
    return row


def until_it_ends(
    row: Row, scenario: Scenario, folder: Path, kills: int, faults: bool, whole: float, rng: random.Random
) -> None:
    """Start, kill and start again; an undisturbed start ends it when all kills are spent or nothing was left to do."""
    workspace = folder / "w"
    while True:
        row.starts += 1
        began = scenario.begun and (workspace / scenario.begun).exists()
        words = command(f"{scenario.words} {scenario.again if began else ''}", workspace)
        if faults and row.starts % 5 == 0:
            row.faults += 1
            with fault(rng.choice(("full", "read-only")), folder):
                ended = attempt(row, words, None)
            if ended:
                return
            continue
        before = contents(workspace, ("**/*",))
        if attempt(row, words, rng.uniform(whole / 4, whole) if row.kills < kills else None):
            return
        row.kills += 1
        row.early += contents(workspace, ("**/*",)) == before


def attempt(row: Row, words: list[str], seconds: float | None) -> bool:
    """Run to the end, or for some seconds; True if it ended well by itself. A traceback counts as broken."""
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(), start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return False
    if "Traceback" in output or process.returncode not in (0, 3):
        row.broken += 1
        print(f"{' '.join(words[2:])}: exit status {process.returncode}\n{output[-2000:]}", file=sys.stderr)
        sys.exit(1)
    return process.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of each command")
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--faults", action="store_true", help="also full and read-only disks (root, on Linux)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows = []
    with Server() as server:
        for name, scenario in scenarios(server).items():
            if args.only and name not in args.only:
                continue
            row = disturb(name, scenario, args.kills, args.faults, random.Random(f"{args.seed} {name}"), server)
            rows.append(row)
            print(
                f"{name:10} {row.kills} kills ({row.early} before anything was written), {row.faults} faulty disks, "
                f"{row.ends} ends, {row.differ} differ{'; asked twice: ' + row.twice if row.twice else ''}",
                flush=True,
            )
    sys.exit(any(row.differ or row.broken for row in rows))


if __name__ == "__main__":
    main()
