"""What a fetch survives: kill -9 at any moment, Ctrl-C, a rival in the same workspace, a full disk."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fetching import jpeg, write_selection
from misbehaving import Server, file, first, slow, status
from test_fetch import contents, settings

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace
from bamkit.curate.fetch import download
from bamkit.curate.fetch import originals as originals_module
from bamkit.curate.fetch.ledger import Ledger, disk_error, locked
from bamkit.curate.fetch.run import fetch
from bamkit.curate.fetch.settings import FetchSettings, PictureSettings, Politeness

COMMAND = [sys.executable, "-m", "bamkit", "fetch", "--allow-private", "--size", "64", "--connections", "4"]


@pytest.fixture
def hundred(tmp_path):
    """A slow server with 100 pictures, 6 of them gone and 4 that fail at first; 80 train, 10 test, 10 reserve."""
    with Server() as server:
        for index in range(100):
            answer = slow(0.004 + index % 5 * 0.004, file(jpeg(index, 160, 120)))
            if index % 17 == 3:
                answer = status(404)
            elif index % 23 == 5:
                answer = first(1, status(503), answer)
            server[f"/{index}.jpg"] = answer
        urls = [server.url(f"/{index}.jpg") for index in range(100)]
        for name in ("disturbed", "calm"):
            write_selection(tmp_path / name, "happy", urls, 80, 10)
        yield server, tmp_path / "disturbed", tmp_path / "calm"


def recorded(workspace):
    """The URLs in the ledger."""
    path = workspace / "originals" / "ledger.sqlite"
    if not path.exists():
        return set()
    with closing(sqlite3.connect(path, timeout=10)) as db:
        if not db.execute("select 1 from sqlite_master where name = 'ledger'").fetchone():
            return set()
        return {row[0] for row in db.execute("select url from ledger")}


def begin(workspace, *more):
    return subprocess.Popen(
        [*COMMAND, "-w", str(workspace), *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def asked_since(server, position):
    return Counter(server.url(path) for _, path in server.log[position:])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("times", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_killed_again_and_again_nothing_is_lost_and_nothing_asked_twice(hundred, times):
    server, disturbed, calm = hundred
    draw = random.Random(times)
    kills = 0
    known: set[str] = set()
    for _ in range(times):
        position = len(server.log)
        process = begin(disturbed)
        # From the first request on, after some more of them: at any moment of the download or of the build.
        target = position + draw.randint(1, 160 // times)
        while process.poll() is None and len(server.log) < target and len(recorded(disturbed)) < 95:
            time.sleep(0.005)
        time.sleep(draw.random() * 0.05)
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        again = set(asked_since(server, position)) & known
        assert not again, f"asked again although recorded: {again}"
        known = recorded(disturbed)
        for folder in (disturbed / "splits").glob("*"):
            for path in folder.glob("*.parquet"):
                pq.read_table(path)  # whatever has its final name is whole
        if process.returncode == 0:
            break
    assert kills >= 2, kills
    position = len(server.log)
    process = begin(disturbed)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert not set(asked_since(server, position)) & known
    fetch(
        Workspace(calm),
        config=settings(picture=PictureSettings(size=64), politeness=Politeness(connections=4)),
    )
    assert contents(disturbed / "splits" / "happy") == contents(calm / "splits" / "happy")
    files = {path.name for path in (disturbed / "originals").rglob("*") if path.is_file()}
    assert files == {path.name for path in (calm / "originals").rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_kill_without_originals_costs_little(hundred):
    server, disturbed, calm = hundred
    for index in range(50, 100):
        answer = server.answers[f"/{index}.jpg"]
        server[f"/{index}.jpg"] = slow(0.2, answer)
    process = begin(disturbed, "--no-originals")
    while len(recorded(disturbed)) <= 20 and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    known = recorded(disturbed)
    assert 20 < len(known) < 100
    position = len(server.log)
    said, _ = (process := begin(disturbed, "--no-originals")).communicate()
    assert process.returncode == 0, said
    assert not set(asked_since(server, position)) & known
    begin(calm).communicate()
    assert contents(disturbed / "splits" / "happy") == contents(calm / "splits" / "happy")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_soon_and_keeps_what_arrived(hundred, sign):
    server, disturbed, _ = hundred
    for index in range(50, 60):
        server[f"/{index}.jpg"] = slow(30, status(500))
    process = begin(disturbed, "--connections", "16")
    while len(server.log) < 62:
        time.sleep(0.005)
    answered = len(server.log) - 16
    started = time.monotonic()
    process.send_signal(sign)
    said, _ = process.communicate(timeout=60)
    assert time.monotonic() - started < 20, said  # the answers take 30
    assert process.returncode == 128 + sign
    assert "Traceback" not in said
    assert sign == signal.SIGTERM or "what has arrived is kept" in said
    assert len(recorded(disturbed)) >= answered - 4
    assert list((disturbed / "originals" / "incoming").iterdir()) == []
    # What was broken off is no failure of the host's.
    assert not {server.url(f"/{index}.jpg") for index in range(50, 60)} & recorded(disturbed)


def test_two_at_once(hundred, bamkit):
    server, disturbed, _ = hundred
    write_selection(disturbed, "happy", [server.url(f"/{index}.jpg") for index in range(20)], 15)
    process = begin(disturbed)
    while not server.log:
        time.sleep(0.005)
    result = bamkit(f"fetch -w {disturbed} --allow-private", code=3)
    assert f"another bamkit fetch (process {process.pid}) is at work" in result.output
    said, _ = process.communicate()
    assert process.returncode == 0, said


def test_the_lock_goes_with_its_process(tmp_path):
    code = f"from pathlib import Path\nfrom bamkit.curate.fetch.ledger import locked\nimport time\n" \
           f"with locked(Path({str(tmp_path)!r})):\n    print('held', flush=True)\n    time.sleep(60)"  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(BamkitError, match="another bamkit fetch"), locked(tmp_path):
        pass
    process.kill()
    process.wait()
    with locked(tmp_path):
        pass


def test_files_are_flushed_before_they_are_recorded(tmp_path, monkeypatch):
    """For a loss of power: data on disk, then the name, then the folder, and only then the ledger's row."""
    events = []
    flush, replace, record = originals_module.flush, os.replace, Ledger.record

    def note(kind, act, key):
        def noted(*args):
            rows = list(args[-1]) if kind == "record" else None
            result = act(*args[:-1], rows) if rows is not None else act(*args)
            events.append((kind, [row.sha256 for row in rows] if rows is not None else key(*args)))
            return result

        return noted

    monkeypatch.setattr(originals_module, "flush", note("flush", flush, lambda path: Path(path).name))
    monkeypatch.setattr(os, "replace", note("replace", replace, lambda old, new: (Path(old).name, Path(new).name)))
    monkeypatch.setattr(Ledger, "record", note("record", record, None))
    with Server() as server:
        for index in range(12):
            server[f"/{index}"] = file(jpeg(index))
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(12)], 12)
        fetch(Workspace(tmp_path), config=FetchSettings(PictureSettings(size=48), allow_private=True))
    placed = {new: (old, at) for at, (kind, what) in enumerate(events) if kind == "replace" for old, new in [what]}
    saved = [(sha256, at) for at, (kind, what) in enumerate(events) if kind == "record" for sha256 in what]
    assert len(saved) == 12
    for sha256, at in saved:
        old, moved = placed[sha256]
        assert ("flush", old) in events[:moved]
        assert ("flush", sha256[:2]) in events[moved:at]
    with sqlite3.connect(tmp_path / "originals" / "ledger.sqlite") as db:
        assert db.execute("pragma journal_mode").fetchone() == ("wal",)


def test_a_disk_that_is_full_at_the_very_last_group_ends_the_fetch_too(tmp_path, monkeypatch):
    """The thread that writes down has taken the mark of the end by then: none comes again."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Ledger, "record", full)
    monkeypatch.setattr(download, "GATHER", 20)
    with Server() as server:
        server["/0"] = file(jpeg(0))
        write_selection(tmp_path, "happy", [server.url("/0")], 1)
        with pytest.raises(BamkitError, match="the disk is full"):
            fetch(Workspace(tmp_path), config=settings())


def test_a_full_disk_is_never_said_of_the_ledger(tmp_path, small_files):
    """Whoever moved the ledger away as damaged would lose what is known of every address."""
    with pytest.raises(sqlite3.OperationalError) as raised:
        Ledger(tmp_path / "ledger.sqlite")
    assert str(disk_error(raised.value, tmp_path)).startswith(f"{tmp_path} cannot be written: the disk is full")
    small_files()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert list(ledger.rows(["http://a.b/"])) == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "x"), "the disk is full; everything recorded so far is kept (free some space, then"),
        (OSError(errno.EROFS, "x"), "it is read-only"),
        (PermissionError(errno.EACCES, "x"), "it is read-only"),
    ],
)
def test_what_the_disk_is_to_blame_for_has_its_next_step(tmp_path, error, words):
    said = str(disk_error(error, tmp_path))
    assert words in said
    assert "then: bamkit fetch" in said
    assert disk_error(ValueError("x"), tmp_path).args == ("x",)


FULL = """
import json, subprocess, sys
from pathlib import Path
workspace = Path(sys.argv[1])
command = json.loads(sys.argv[2])
first = subprocess.run([*command, "-w", str(workspace)], capture_output=True, text=True)
print(json.dumps([first.returncode, first.stdout, first.stderr]), flush=True)
subprocess.run(["mount", "-o", "remount,size=64m", "none", str(workspace / sys.argv[3])], check=True)
import sqlite3
db = sqlite3.connect(workspace / "originals" / "ledger.sqlite")
known = [row[0] for row in db.execute("select url from ledger")]
print(json.dumps([db.execute("pragma integrity_check").fetchone()[0], known]), flush=True)
db.close()
second = subprocess.run([*command, "-w", str(workspace)], capture_output=True, text=True)
print(json.dumps([second.returncode, second.stdout, second.stderr]), flush=True)
"""


@pytest.mark.parametrize("folder", ["originals", "splits"])
def test_a_full_disk_stops_clearly_and_is_gone_on_from(tmp_path, folder):
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("no namespaces to mount a small disk in")
    with Server() as server:
        for index in range(40):
            server[f"/{index}.jpg"] = slow(0.02 * (index % 7), file(jpeg(index, 1200, 900)))
        urls = [server.url(f"/{index}.jpg") for index in range(40)]
        write_selection(tmp_path, "happy", urls, 40)
        (tmp_path / folder).mkdir()
        # Room for the ledger and about half of the files, or for a part of a shard.
        room = 600 + 20 * len(jpeg(0, 1200, 900)) // 1000 if folder == "originals" else 40
        script = f'mount -t tmpfs -o size={room}k none {tmp_path}/{folder} && exec "$@"'
        inside = [sys.executable, "-c", FULL, str(tmp_path), json.dumps(COMMAND), folder]
        run = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", *inside], capture_output=True, text=True)
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        assert len(lines) == 3, run.stderr
        code, _, said = lines[0]
        assert code == 3
        assert "the disk is full" in said
        assert "Traceback" not in said
        intact, known = lines[1]
        assert intact == "ok"
        assert 0 < len(known) < 40 or folder == "splits"
        assert lines[2][0] == 0, lines[2]
        assert "40" in lines[2][1].split("happy")[1].split()
        assert all(server.counts[url.removeprefix(server.url(""))] == 1 for url in known)
