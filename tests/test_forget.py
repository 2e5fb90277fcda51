"""Forget: a picture leaves everything in the workspace, also after a kill at any point, and never comes back."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fetching import encoded, jpeg, picture, write_selection
from misbehaving import Server, file
from PIL import Image
from test_fetch import depend_on, ledger, read, settings
from traces import found

from bamkit.common.contract import translation_schema
from bamkit.common.errors import BamkitError
from bamkit.common.lineage import stale_run
from bamkit.common.pages.page import Page, Picture
from bamkit.common.provenance import sha256_file
from bamkit.common.shards import read_about, read_table, write_shard, write_table
from bamkit.common.tombstones import Tombstone, Tombstones, read_tombstones
from bamkit.common.workspace import Workspace, write_bytes, write_text
from bamkit.curate.fetch.run import fetch
from bamkit.curate.forget.run import forget

MID, MIDS = 1002, range(1000, 1010)


@pytest.fixture(scope="module")
def server():
    with Server() as running:
        yield running


@pytest.fixture(scope="module")
def template(server, tmp_path_factory):
    return fill(tmp_path_factory.mktemp("forget") / "workspace", server)


def fill(root, server):
    """A workspace with something of every kind that holds pictures; 1002 is among the training pictures."""
    for index in range(10):
        server[f"/{index}.jpg"] = file(jpeg(index))
    server["/copy.jpg"] = file(encoded(picture(2, 240, 180), "PNG"))
    write_selection(root, "happy", [server.url(f"/{index}.jpg") for index in range(10)], 5, 2, 1)
    workspace = Workspace(root)
    fetch(workspace, config=settings())
    depend_on(root, "happy")
    images = {row["mid"]: row["image"]["bytes"] for row in read(root, "happy", "train")}
    for name in ("samples/happy-to-scary-00000002.png", "events.out.tfevents.1"):
        write_bytes(root / "runs" / "r" / name, encoded(Image.open(io.BytesIO(images[MID])), "PNG"))
    write_text(root / "runs" / "r" / "metrics.csv", "step\n1\n")
    for place in (
        "runs/r",
        "reports",
        "reports/evaluate-r",
        "reviews/happy",
    ):
        page = Page("A page")
        page.pictures([Picture(images[MID], "one"), Picture(images[1000], "another")])
        page.write(root / place / "index.html")
    other = Page("Of another run")
    other.pictures([Picture(images[1000], "another")])
    other.write(root / "reports" / "evaluate-other" / "index.html")
    write_bytes(root / "reports" / "figures" / "contact-happy-train.png", images[MID])
    arrays = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in images.values()])
    (root / "cache").mkdir()
    np.save(root / "cache" / "decoded-1.npy", arrays)
    _translate(root, images)
    rows = read_table(workspace.shards("happy", "train")[0], ["mid", "project_id", "original_sha256", "phash"])
    write_table(rows.replace_schema_metadata(None), root / "judge" / "known.parquet", {"kind": "judge"})
    known = sha256_file(root / "judge" / "known.parquet")
    write_text(root / "judge" / "card.json", json.dumps({"known_sha256": known, "trained_on": {"known_sha256": known}}))
    shutil.copy(workspace.shards("happy", "train")[0], root / "splits" / "happy" / ".train.parquet.999999999.tmp")
    from bamkit.curate.export.run import export
    from bamkit.curate.export.settings import FORMATS, ExportSettings

    for to in FORMATS:
        if to != "cyclegan":
            export(workspace, ["happy"], root / "out" / to, ExportSettings(to))
    with sqlite3.connect(root / "originals" / "built.sqlite") as db:
        db.execute("create table built(sha256 text, recipe text, data blob, width int, height int, phash text)")
        db.execute("insert into built values(?, 'r', ?, 1, 1, '')", (_original(root, MID), images[MID]))
    return root


def _original(root, mid):
    return next(row["original_sha256"] for row in read(root, "happy", "train") if row["mid"] == mid)


def _translate(root, images):
    """translations/r as bamkit translate leaves it; here each translation is the picture itself, only darker."""
    folder, rows = root / "translations" / "r", []
    for mid, data in images.items():
        dark = Image.open(io.BytesIO(data)).point(lambda value: value // 2)
        write_bytes(folder / "happy-to-scary" / f"{mid}.png", encoded(dark, "PNG"))
        image = {"bytes": encoded(dark, "PNG"), "path": f"happy-to-scary/{mid}.png"}
        rows.append({"image": image, "mid": mid, "source": f"{mid}.jpg", "direction": "happy-to-scary", "run": "r"})
    write_bytes(folder / "happy-to-scary.png", images[MID])
    write_text(folder / "attribution.csv", "mid,src\n" + "".join(f"{mid},x\n" for mid in images))
    table = pa.Table.from_pylist(rows, translation_schema())
    write_shard(folder / "translations.parquet", translation_schema(), {"kind": "translations", "run": "r"}, [table])


@pytest.fixture
def workspace(template, tmp_path):
    return shutil.copytree(template, tmp_path / "workspace")


FORBIDDEN = [jpeg(2)]
KEPT = {"runs/r/metrics.csv", "reports/evaluate-other/index.html", "selections/happy.parquet", "bam.sqlite"}


def test_a_damaged_part_of_the_judges_card_does_not_stop_a_removal(workspace, bamkit):
    path = workspace / "judge" / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"trained_on": "x"}))
    bamkit(f"forget {MID}", cwd=workspace)
    assert json.loads(path.read_text())["known_sha256"] == sha256_file(workspace / "judge" / "known.parquet")


def test_the_picture_is_nowhere_afterwards_and_all_others_are_where_they_were(workspace, bamkit):
    before = found(workspace, FORBIDDEN)
    assert len(before) >= 17, "the test looks into everything"
    others = found(workspace, [jpeg(0)])
    shown = bamkit(f"forget {MID}", cwd=workspace).output
    assert found(workspace, FORBIDDEN) == set()
    rewritten = {path for path in others if not path.endswith((".html", ".npy", "999999999.tmp"))}
    assert rewritten <= found(workspace, [jpeg(0)])
    assert [row["mid"] for row in read(workspace, "happy", "train")] == [1000, 1001, 1003, 1004]
    assert "runs/r was trained on it" in shown
    assert "judge was trained on it" in shown
    assert "next: bamkit report" in shown
    assert "next: bamkit evaluate r" in shown
    assert (workspace / "reports" / "evaluate-other" / "index.html").exists()
    assert (workspace / "runs" / "r" / "metrics.csv").exists()
    for name in ("imagefolder/train/metadata.csv", "imagefolder/attribution.csv", "csv/happy-train.csv"):
        text = (workspace / "out" / name).read_text()
        assert f"{MID}" not in text
        assert "1001" in text
    assert f"{MID}" not in (workspace / "translations" / "r" / "attribution.csv").read_text()
    row = ledger(workspace)["2.jpg"]
    assert (row["outcome"], row["sha256"], row["md5"]) == ("forgotten", None, None)
    card = json.loads((workspace / "judge" / "card.json").read_text())
    known = workspace / "judge" / "known.parquet"
    assert card["known_sha256"] == card["trained_on"]["known_sha256"] == sha256_file(known)
    assert MID not in read_table(known)["mid"].to_pylist()


def test_a_dry_run_changes_nothing_and_says_the_same(workspace, bamkit):
    def state():
        # A database that is only read leaves an index of its log behind.
        files = [path for path in workspace.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))]
        return {path: path.read_bytes() for path in files}

    before = state()
    told = json.loads(bamkit(f"forget {MID} --dry-run --json", cwd=workspace).output)
    assert state() == before
    done = json.loads(bamkit(f"forget {MID} --json", cwd=workspace).output)
    assert {key: value for key, value in told.items() if key != "dry_run"} == {
        key: value for key, value in done.items() if key != "dry_run"
    }
    assert bamkit("forget", cwd=workspace).output.startswith("nothing to remove; ")


@pytest.mark.slow
@pytest.mark.parametrize("target", ["address", "file", "copy", "project:501", "gallery"])
def test_every_way_to_name_it(workspace, bamkit, server, tmp_path, target):
    (tmp_path / "it.jpg").write_bytes(jpeg(2))
    (tmp_path / "copy.png").write_bytes(encoded(picture(2, 240, 180), "PNG"))
    given = {
        "address": server.url("/2.jpg").replace("http:", "https:"),
        "file": str(tmp_path / "it.jpg"),
        "copy": str(tmp_path / "copy.png"),
        "gallery": "https://www.behance.net/gallery/501/some-title",
    }.get(target, target)
    table = read_table(workspace / "selections" / "happy.parquet")
    about = read_about(workspace / "selections" / "happy.parquet")
    projects = pa.array([500 + (row == 2) for row in range(table.num_rows)], pa.int64())
    table = table.set_column(table.schema.get_field_index("project_id"), "project_id", projects)
    write_table(table, workspace / "selections" / "happy.parquet", about)
    bamkit(["forget", given], cwd=workspace)
    assert found(workspace, FORBIDDEN) == set()
    assert [row["mid"] for row in read(workspace, "happy", "train")] == [1000, 1001, 1003, 1004]


def test_near_duplicates_go_with_it_unless_it_is_exact(server, tmp_path, bamkit):
    urls = [server.url(f"/{index}.jpg") for index in range(5)] + [server.url("/copy.jpg")]
    for name, option in (("near", ""), ("exact", "--exact")):
        write_selection(tmp_path / name, "happy", urls, 6)
        fetch(Workspace(tmp_path / name), config=settings())
        shown = bamkit(f"forget {MID} {option}", cwd=tmp_path / name).output
        assert ("near-duplicates, too: 1005 (1; --exact keeps such)" in shown) is (name == "near")
    assert [row["mid"] for row in read(tmp_path / "near", "happy", "train")] == [1000, 1001, 1003, 1004]
    assert [row["mid"] for row in read(tmp_path / "exact", "happy", "train")] == [1000, 1001, 1003, 1004, 1005]
    fetch(Workspace(tmp_path / "exact"), config=settings())
    assert [row["mid"] for row in read(tmp_path / "exact", "happy", "train")] == [1000, 1001, 1003, 1004, 1005]


def test_what_is_none_of_them_is_refused(workspace, bamkit, tmp_path):
    (tmp_path / "text.txt").write_text("no picture")
    assert "is no mid, no address, no project and no file" in bamkit("forget nonsense", cwd=workspace, code=3).output
    assert "is no readable picture" in bamkit(["forget", tmp_path / "text.txt"], cwd=workspace, code=3).output
    assert not (workspace / "forgotten.csv").exists()


def test_it_does_not_come_back_under_any_name(workspace, server):
    """By its mid, its address, its file under another address, and a copy in another size and format."""
    forget(Workspace(workspace), [str(MID)])
    urls = [server.url(f"/{index}.jpg") for index in range(10)]
    server["/same.jpg"] = file(jpeg(2))
    urls[5], urls[6] = server.url("/same.jpg"), server.url("/copy.jpg")
    write_selection(workspace, "again", urls, 8)
    asked = server.counts["/2.jpg"]
    fetch(Workspace(workspace), ["again"], settings())
    assert [row["mid"] for row in read(workspace, "again", "train")] == [1000, 1001, 1003, 1004, 1007, 1008, 1009]
    assert found(workspace, FORBIDDEN) == set()
    assert server.counts["/2.jpg"] == asked, "it was not even asked for"
    missing = {row["mid"]: row["outcome"] for row in read_table(workspace / "missing" / "again.parquet").to_pylist()}
    assert missing == dict.fromkeys((1002, 1005, 1006), "forgotten")
    fetch(Workspace(workspace), ["again"], settings(retry=frozenset({"gone", "timeout"})))
    assert found(workspace, FORBIDDEN) == set()


@pytest.mark.slow
def test_a_split_that_a_run_depends_on_stays_usable(workspace, bamkit):
    before = read_about(workspace / "splits" / "happy" / "train-00000-of-00001.parquet")
    bamkit(f"forget {MID}", cwd=workspace)
    after = read_about(workspace / "splits" / "happy" / "train-00000-of-00001.parquet")
    assert after == {**before, "forgotten": 1}
    assert stale_run(Workspace(workspace), "r") == []
    shown = bamkit("fetch --allow-private", cwd=workspace).output
    assert "left as it is, since run r was trained on it" in shown
    assert [row["mid"] for row in read(workspace, "happy", "train")] == [1000, 1001, 1003, 1004]
    # Without a run its place is filled from the reserve, and that is the end of it.
    shutil.rmtree(workspace / "runs")
    bamkit("fetch --allow-private", cwd=workspace)
    assert [row["mid"] for row in read(workspace, "happy", "train")] == [1000, 1001, 1003, 1004, 1008]
    assert "nothing to download" in bamkit("fetch --allow-private", cwd=workspace).output
    assert found(workspace, FORBIDDEN) == set()


@pytest.mark.slow
def test_lists_of_removals_are_given_and_taken(workspace, template, bamkit, tmp_path):
    bamkit(f"forget {MID}", cwd=workspace)
    bamkit(["forget", "--export", tmp_path / "list.csv"], cwd=workspace)
    text = (tmp_path / "list.csv").read_text()
    assert text.splitlines()[0] == "mid,address,sha256,phash"
    assert hashlib.sha256(jpeg(2)).hexdigest() in text
    assert "127.0.0.1" not in text
    other = shutil.copytree(template, tmp_path / "other")
    bamkit(["forget", "--import", tmp_path / "list.csv"], cwd=other)
    assert found(other, FORBIDDEN) == set()
    bamkit(["forget", "--import", tmp_path / "list.csv"], cwd=other)
    assert len(Tombstones.of(Workspace(other))) == len(read_tombstones(tmp_path / "list.csv"))
    (tmp_path / "bad.csv").write_text("mid,address,sha256,phash\n7,,nothing,\n")
    with pytest.raises(BamkitError, match=r"line 2: sha256 'nothing' is no tombstone"):
        forget(Workspace(other), given=tmp_path / "bad.csv")


def test_select_verify_and_export_heed_it(sample_workspace, bamkit):
    line = "select --emotion happy --top 20 --test 4 --reserve 2"
    bamkit(line, cwd=sample_workspace)
    mids = pq.read_table(sample_workspace / "selections" / "happy.parquet")["mid"].to_pylist()
    before = (sample_workspace / "selections" / "happy.parquet").read_bytes()
    bamkit(f"forget {mids[3]}", cwd=sample_workspace)
    assert (sample_workspace / "selections" / "happy.parquet").read_bytes() == before
    verdict = json.loads(bamkit("verify --json", cwd=sample_workspace).output)[0]
    assert (verdict["state"], verdict["forgotten"]) == ("same", 1)
    assert "1 of its images was removed on request since" in verdict["reason"]
    bamkit("export --to csv --output out", cwd=sample_workspace)
    assert f"{mids[3]}," not in "".join(path.read_text() for path in (sample_workspace / "out").glob("*.csv"))
    shown = bamkit(f"{line} --name again", cwd=sample_workspace).output
    assert "1 image left out: removed on request (bamkit forget)" in shown
    again = pq.read_table(sample_workspace / "selections" / "again.parquet")["mid"].to_pylist()
    assert [mid for mid in mids if mid != mids[3]] == again[: len(mids) - 1]
    # One that was selected since then still is what its query gives, also after another removal.
    bamkit(f"forget {mids[7]}", cwd=sample_workspace)
    verdicts = json.loads(bamkit("verify --json", cwd=sample_workspace).output)
    assert [(each["name"], each["state"], each["forgotten"]) for each in verdicts] == [
        ("again", "same", 1),
        ("happy", "same", 2),
    ]


class _Killed(BaseException):
    """The process is gone."""


def _killed(template, folder, step, monkeypatch):
    """Whether forgetting ended by itself; if not, it was killed before the step, and is finished by a second call.

    From the n-th time that something is renamed or removed on nothing is, not even to clean up, as after a kill.
    """
    workspace, count = shutil.copytree(template, folder / str(step)), itertools.count(1)

    def dying(act):
        def die_or(*arguments, **more):
            if next(count) >= step:
                raise _Killed
            return act(*arguments, **more)

        return die_or

    ended = True
    with monkeypatch.context() as patch:
        for owner, name in ((os, "replace"), (os, "unlink"), (os, "remove"), (os, "rmdir"), (Path, "unlink")):
            patch.setattr(owner, name, dying(getattr(owner, name)))
        try:
            forget(Workspace(workspace), [str(MID)])
        except _Killed:
            ended = False
    # Step 1 is the tombstone itself, without which nothing has begun; the last one is in giving the lock back.
    if Tombstones.of(Workspace(workspace)).pending.stones:
        with pytest.raises(BamkitError, match="interrupted"):
            fetch(Workspace(workspace), config=settings())
    forget(Workspace(workspace), [str(MID)] if step == 1 else [])
    assert found(workspace, FORBIDDEN) == set(), step
    stones = Tombstones.of(Workspace(workspace))
    assert not stones.pending.stones
    assert {stone.models for stone in stones.stones} == {"runs/r was trained on it; judge was trained on it"}
    shutil.rmtree(workspace)
    return ended


def test_killed_in_the_middle_the_next_call_finishes(template, tmp_path, monkeypatch):
    assert not _killed(template, tmp_path, 24, monkeypatch)


def test_asked_for_again_it_is_one_tombstone(workspace, monkeypatch):
    """Also after a kill at the end, when the workspace knows less of the picture than the tombstone."""

    def die(*_, **__):
        raise _Killed

    with monkeypatch.context() as patch, pytest.raises(_Killed):
        patch.setattr("bamkit.curate.forget.run.refresh_index", die)
        forget(Workspace(workspace), [str(MID)])
    before = Tombstones.of(Workspace(workspace)).stones
    for _ in range(2):
        forget(Workspace(workspace), [str(MID)])
    assert [stone.identity for stone in Tombstones.of(Workspace(workspace)).stones] == [s.identity for s in before]
    more = Tombstones(before).with_new([Tombstone(mid=str(MID), sha256="0" * 64), Tombstone(mid=str(MID))])
    assert [stone.sha256 for stone in more.stones[len(before) :]] == ["0" * 64]


@pytest.mark.slow
def test_killed_at_any_step_the_next_call_finishes(template, tmp_path, monkeypatch):
    steps = next(step for step in range(1, 1000) if _killed(template, tmp_path, step, monkeypatch))
    assert steps > 25


def test_one_that_trains_or_writes_is_not_disturbed(workspace):
    fcntl = pytest.importorskip("fcntl")
    with open(workspace / "runs" / "r" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BamkitError, match="run r is being trained"):
            forget(Workspace(workspace), [str(MID)])
    busy = workspace / "splits" / "happy" / f".train.parquet.{os.getppid()}.tmp"
    busy.write_bytes(b"")
    with pytest.raises(BamkitError, match="is writing"):
        forget(Workspace(workspace), [str(MID)])
    assert not (workspace / "forgotten.csv").exists()
    assert pq.read_metadata(workspace / "splits" / "happy" / "train-00000-of-00001.parquet").num_rows == 5
