"""The whole verb: from a manifest to splits, against a server that misbehaves."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import time

import pyarrow.parquet as pq
import pytest
from fetching import encoded, jpeg, picture, write_selection
from misbehaving import Server, announced, file, first, status
from PIL import Image

from bamkit.common.contract import missing_schema, split_schema
from bamkit.common.errors import BamkitError
from bamkit.common.shards import read_about
from bamkit.common.workspace import Workspace, write_text
from bamkit.curate.fetch.download import GATHER
from bamkit.curate.fetch.http.body import IN_MEMORY
from bamkit.curate.fetch.ledger import read_ledger
from bamkit.curate.fetch.run import fetch
from bamkit.curate.fetch.settings import FetchSettings, PictureSettings, Politeness
from bamkit.curate.fetch.store import Store

QUICK = Politeness(backoff=0.02, breaker_pause=0.1)


def settings(**more):
    return FetchSettings(**{"picture": PictureSettings(size=48), "politeness": QUICK, "allow_private": True, **more})


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def ten(server, tmp_path):
    """Ten pictures: 5 train, 2 test, 1 validation, 2 reserve."""
    for index in range(10):
        server[f"/{index}.jpg"] = file(jpeg(index))
    urls = [server.url(f"/{index}.jpg") for index in range(10)]
    write_selection(tmp_path, "happy", urls, 5, 2, 1)
    return tmp_path


def read(workspace, name, split):
    return [row for path in Workspace(workspace).shards(name, split) for row in pq.read_table(path).to_pylist()]


def ledger(workspace):
    with sqlite3.connect(workspace / "originals" / "ledger.sqlite") as db:
        db.row_factory = sqlite3.Row
        return {row["url"].rpartition("/")[2]: dict(row) for row in db.execute("select * from ledger")}


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_plain_fetch_writes_the_contract(server, ten):
    summary = fetch(Workspace(ten), config=settings())
    assert (summary.arrived, summary.asked) == (8, 8)
    rows = read(ten, "happy", "train")
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
    assert {row["split"] for row in rows} == {"train"}
    first_row = rows[0]
    with Image.open(io.BytesIO(first_row["image"]["bytes"])) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (48, 48), "RGB")
    assert first_row["image"]["path"] == "1000.jpg"
    original = jpeg(0)
    assert (first_row["original_width"], first_row["original_height"]) == (120, 90)
    assert (first_row["original_format"], first_row["original_bytes"]) == ("JPEG", len(original))
    assert (first_row["width"], first_row["height"], len(first_row["phash"])) == (48, 48, 16)
    kept = ten / "originals" / first_row["original_sha256"][:2] / first_row["original_sha256"]
    assert kept.read_bytes() == original
    path = ten / "splits" / "happy" / "train-00000-of-00001.parquet"
    schema = pq.read_schema(path)
    assert schema.names == split_schema().names
    assert json.loads(schema.metadata[b"huggingface"])["info"]["features"]["image"] == {"_type": "Image"}
    about = read_about(path)
    assert about["kind"] == "split"
    assert about["split"] == "train"
    assert about["build"] == {"size": 48, "fit": "squash", "format": "jpeg", "quality": 95, "oversample": 1.5}
    assert pq.read_schema(ten / "missing" / "happy.parquet").names == missing_schema().names
    assert read(ten, "happy", "validation")[0]["rank"] == 8
    # The reserve was not needed, so it was not asked for.
    assert set(server.counts) == {f"/{index}.jpg" for index in range(8)}
    assert sorted(path.name for path in (ten / "originals").iterdir() if path.is_file()) == [
        "ledger.sqlite", "lock.sqlite",
    ]  # fmt: skip


def test_results_are_written_down_in_groups(server, tmp_path, monkeypatch):
    # Each group is flushed to the disk and committed, which costs the same for one picture as for many.
    for index in range(150):
        server[f"/{index}.jpg"] = file(jpeg(index))
    write_selection(tmp_path, "many", [server.url(f"/{index}.jpg") for index in range(150)], 150)
    sizes = []
    keep = Store.keep
    monkeypatch.setattr(Store, "keep", lambda store, results: (sizes.append(len(results)), keep(store, results)))
    started = time.monotonic()
    fetch(Workspace(tmp_path), config=settings())
    assert sum(sizes) == 150
    assert len(sizes) <= 2 + (time.monotonic() - started) / GATHER


def test_a_second_fetch_asks_nothing_and_changes_nothing(server, ten):
    fetch(Workspace(ten), config=settings())
    before, times = contents(ten / "splits" / "happy"), [path.stat().st_mtime_ns for path in ten.glob("splits/*/*")]
    asked = len(server.log)
    summary = fetch(Workspace(ten), config=settings())
    assert (summary.asked, len(server.log)) == (0, asked)
    assert not summary.selections[0].written
    assert contents(ten / "splits" / "happy") == before
    assert [path.stat().st_mtime_ns for path in ten.glob("splits/*/*")] == times


def test_gaps_are_filled_in_rank_order_and_recorded(server, ten):
    server["/6.jpg"] = status(404)
    server["/1.jpg"] = status(410)
    server["/8.jpg"] = status(404)  # the first of the reserve
    summary = fetch(Workspace(ten), config=settings())
    train, test = read(ten, "happy", "train"), read(ten, "happy", "test")
    assert [(row["rank"], row["replaces"]) for row in train] == [(1, None), (3, None), (4, None), (5, None), (10, 1001)]
    assert {row["split"] for row in train} == {"train"}
    assert [row["rank"] for row in test] == [6]
    missing = pq.read_table(ten / "missing" / "happy.parquet").to_pylist()
    assert [(row["mid"], row["rank"], row["split"], row["outcome"], row["http_status"], row["replaced_by"])
            for row in missing] == [
        (1001, 2, "train", "gone", 410, 1009),
        (1006, 7, "test", "gone", 404, None),
        (1008, 9, "reserve", "gone", 404, None),
    ]  # fmt: skip
    assert summary.selections[0].replaced == 1
    assert summary.selections[0].splits == {"train": (5, 5), "test": (1, 2), "validation": (1, 1)}


def test_no_replace_keeps_the_strict_ranks(server, ten):
    server["/1.jpg"] = status(404)
    fetch(Workspace(ten), config=settings(replace=False))
    assert [row["rank"] for row in read(ten, "happy", "train")] == [1, 3, 4, 5]
    assert "/8.jpg" not in server.counts


def test_another_size_needs_no_network(server, ten):
    server["/1.jpg"] = status(404)
    fetch(Workspace(ten), config=settings())
    asked = len(server.log)
    server.answers.clear()
    summary = fetch(Workspace(ten), config=settings(picture=PictureSettings(size=32, fit="pad", format="png")))
    assert len(server.log) == asked
    row = read(ten, "happy", "train")[0]
    with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
        assert (image.format, image.size) == ("PNG", (32, 32))
    assert row["image"]["path"] == "1000.png"
    assert summary.selections[0].before["size"] == 48
    # And back: the same bytes as the first time.
    before = contents(ten / "splits" / "happy")
    fetch(Workspace(ten), config=settings())
    fetch(Workspace(ten), config=settings(picture=PictureSettings(size=32, fit="pad", format="png")))
    assert contents(ten / "splits" / "happy") == before


def depend_on(workspace, name):
    """A run that was trained on the split as it lies there."""
    about = read_about(workspace / "splits" / name / "train-00000-of-00001.parquet")
    side = {"kind": "split", "name": name} | {key: about[key] for key in ("split_id", "selection_id", "build")}
    write_text(workspace / "runs" / "r" / "run.json", json.dumps({"run_id": "1", "from": side, "to": {}}))


def sizes(workspace):
    return {name: read(workspace, name, "train")[0]["width"] for name in Workspace(workspace).split_names()}


def test_a_plain_fetch_keeps_the_settings_of_each_split(server, ten, bamkit):
    urls = [server.url(f"/{index}.jpg") for index in range(10)]
    bamkit("fetch --allow-private --size 48 --fit pad --format png", cwd=ten)
    write_selection(ten, "scary", urls, 4, 1)
    bamkit("fetch scary --allow-private --size 40", cwd=ten)
    before = contents(ten / "splits" / "happy")
    write_selection(ten, "gloomy", urls, 3, 1)
    shown = bamkit("fetch --allow-private", cwd=ten).output
    assert sizes(ten) == {"gloomy": 286, "happy": 48, "scary": 40}
    assert contents(ten / "splits" / "happy") == before
    assert "was 48 px" not in shown
    # What is given anew counts, and nothing else changes.
    bamkit("fetch happy --allow-private --size 32", cwd=ten)
    about = read_about(ten / "splits" / "happy" / "train-00000-of-00001.parquet")
    assert about["build"] == {"size": 32, "fit": "pad", "format": "png", "oversample": 1.5}
    fetch(Workspace(ten))
    assert sizes(ten) == {"gloomy": 286, "happy": 32, "scary": 40}


def test_the_workspaces_settings_are_for_new_splits(server, ten, bamkit):
    bamkit("fetch --allow-private --size 48", cwd=ten)
    write_text(ten / "bamkit.toml", "[fetch]\nsize = 40\nallow-private = true\n")
    write_selection(ten, "scary", [server.url("/1.jpg"), server.url("/2.jpg")], 2)
    bamkit("fetch", cwd=ten)
    assert sizes(ten) == {"happy": 48, "scary": 40}
    bamkit("fetch happy --size 40", cwd=ten)
    assert sizes(ten) == {"happy": 40, "scary": 40}


@pytest.mark.parametrize("option", ["--size 32", "--fit crop", "--format png"])
def test_a_split_that_a_run_depends_on_is_made_anew_with_force_only(server, ten, bamkit, option):
    bamkit("fetch --allow-private --size 48", cwd=ten)
    depend_on(ten, "happy")
    before = contents(ten / "splits" / "happy")
    shown = bamkit(f"fetch --allow-private {option}", cwd=ten, code=3).output
    assert "run r was trained on splits/happy as it is (48 px squash jpeg)" in shown
    assert f"bamkit fetch happy {option} --force" in shown
    assert contents(ten / "splits" / "happy") == before
    bamkit("fetch --allow-private", cwd=ten)
    assert contents(ten / "splits" / "happy") == before
    bamkit(f"fetch --allow-private {option} --force", cwd=ten)
    assert contents(ten / "splits" / "happy") != before
    # No run depends on the new one, and the old one comes back byte for byte.
    bamkit("fetch --allow-private --size 48 --fit squash --format jpeg", cwd=ten)
    assert contents(ten / "splits" / "happy") == before


def test_another_selection_does_not_replace_a_split_that_a_run_depends_on(server, ten, bamkit):
    bamkit("fetch --allow-private --size 48", cwd=ten)
    depend_on(ten, "happy")
    write_selection(ten, "happy", [server.url(f"/{index}.jpg") for index in range(10)], 4, 2)
    shown = bamkit("fetch --allow-private", cwd=ten, code=3).output
    assert "selections/happy.parquet is another selection now" in shown
    assert "next: bamkit fetch happy --force" in shown
    bamkit("fetch --allow-private --force", cwd=ten)
    assert len(read(ten, "happy", "train")) == 4


def test_pictures_that_come_late_do_not_replace_a_split_that_a_run_depends_on(server, ten, bamkit):
    server["/1.jpg"] = status(500)
    fetch(Workspace(ten), config=settings())
    depend_on(ten, "happy")
    before = contents(ten / "splits" / "happy")
    server["/1.jpg"] = file(jpeg(1))
    shown = bamkit("fetch --allow-private --retry-failed", cwd=ten).output
    assert "happy: left as it is, since run r was trained on it" in shown
    assert "next: bamkit fetch happy --force" in shown
    assert contents(ten / "splits" / "happy") == before
    bamkit("fetch happy --allow-private --force", cwd=ten)
    assert [row["rank"] for row in read(ten, "happy", "train")] == [1, 2, 3, 4, 5]


def test_retry_asks_for_the_named_failures_and_nothing_else(server, ten):
    server["/0.jpg"] = status(500)
    server["/1.jpg"] = status(404)
    server["/2.jpg"] = first(1, status(503), file(jpeg(2)))
    fetch(Workspace(ten), config=settings())
    assert server.counts["/0.jpg"] == 4  # a passing fault: asked again, several times
    assert server.counts["/1.jpg"] == 1  # a permanent one: never
    assert server.counts["/2.jpg"] == 2
    assert ledger(ten)["0.jpg"]["outcome"] == "server-error"
    assert [row["replaces"] for row in read(ten, "happy", "train")][-2:] == [1000, 1001]
    before = server.counts
    server["/0.jpg"] = file(jpeg(0))
    fetch(Workspace(ten), config=settings())
    assert server.counts == before
    fetch(Workspace(ten), config=settings(retry=frozenset({"timeout"})))
    assert server.counts == before
    fetch(Workspace(ten), config=settings(retry=frozenset({"server-error"})))
    assert server.counts - before == {"/0.jpg": 1}
    assert ledger(ten)["0.jpg"]["attempts"] == 5
    # The image is back in its place; the reserve stands in for the other one only.
    assert read(ten, "happy", "train")[0]["replaces"] is None
    assert [row["replaces"] for row in read(ten, "happy", "train")][-1] == 1001


def test_placeholders_are_recognised_by_list_and_by_repetition(server, tmp_path):
    sorry = encoded(picture(99, 200, 100), "PNG")
    listed = encoded(picture(98, 200, 100), "PNG")
    for index in range(16):
        server[f"/{index}.jpg"] = file(sorry if index in (0, 3, 4, 9, 12) else jpeg(index))
    server["/5.jpg"] = file(listed)
    write_selection(tmp_path, "happy", [server.url(f"/{index}.jpg") for index in range(16)], 8)
    import hashlib

    config = settings(placeholders=(hashlib.md5(listed).hexdigest(),), placeholder_repeats=3)
    fetch(Workspace(tmp_path), config=config)
    outcomes = {name: row["outcome"] for name, row in ledger(tmp_path).items()}
    assert {name for name, its in outcomes.items() if its == "placeholder"} == {
        "0.jpg", "3.jpg", "4.jpg", "5.jpg", "9.jpg", "12.jpg",
    }  # fmt: skip
    assert [row["rank"] for row in read(tmp_path, "happy", "train")] == [2, 3, 7, 8, 9, 11, 12, 14]
    assert hashlib.sha256(sorry).hexdigest() not in {path.name for path in (tmp_path / "originals").rglob("*")}


def test_the_ledger_as_a_table(server, ten):
    server["/1.jpg"] = status(404)
    fetch(Workspace(ten), config=settings())
    table = read_ledger(ten / "originals" / "ledger.sqlite")
    assert list(table["url"]) == sorted(table["url"])
    assert dict(table["outcome"].value_counts()) == {"ok": 8, "gone": 1}
    assert table.set_index("url").loc[server.url("/1.jpg"), ["http_status", "attempts"]].tolist() == [404, 1]
    assert table["width"].isna().sum() == 1
    with pytest.raises(BamkitError, match="not a readable ledger"):
        read_ledger(ten / "nowhere.sqlite")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_large_placeholder_is_recognised_by_its_md5_before_and_after_it_came(server, ten, when):
    import hashlib

    import numpy as np

    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    sorry = encoded(Image.fromarray(noise), "PNG")
    assert len(sorry) > 100_000
    server["/1.jpg"] = file(sorry)
    listed = (hashlib.md5(sorry).hexdigest(),)
    if when == "after":
        fetch(Workspace(ten), config=settings())
        assert (ledger(ten)["1.jpg"]["outcome"], ledger(ten)["1.jpg"]["md5"]) == ("ok", None)
        assert ledger(ten)["0.jpg"]["md5"] == hashlib.md5(jpeg(0)).hexdigest()
    fetch(Workspace(ten), config=settings(placeholders=listed))
    assert ledger(ten)["1.jpg"]["outcome"] == "placeholder"
    assert server.counts["/1.jpg"] == 1
    assert read(ten, "happy", "train")[-1]["replaces"] == 1001


def test_incomplete_transfers_are_asked_again_and_cut_files_are_not(server, ten):
    cut = jpeg(3)[:-300]
    server["/2.jpg"] = first(2, announced(jpeg(2)[:500], len(jpeg(2))), file(jpeg(2)))
    server["/3.jpg"] = file(cut)
    server["/4.jpg"] = file(b"<!doctype html><title>gone</title>" * 20)
    fetch(Workspace(ten), config=settings())
    rows = ledger(ten)
    assert (rows["2.jpg"]["outcome"], rows["2.jpg"]["attempts"]) == ("ok", 3)
    assert (rows["3.jpg"]["outcome"], server.counts["/3.jpg"]) == ("truncated", 1)
    assert (rows["4.jpg"]["outcome"], server.counts["/4.jpg"]) == ("not-a-picture", 1)


def test_private_addresses_are_refused_and_the_way_out_is_named(server, ten):
    with pytest.raises(BamkitError, match=r"not one picture of 'happy' could be had: .*private-address") as error:
        fetch(Workspace(ten), config=settings(allow_private=False))
    assert "--allow-private" in error.value.hint
    assert not server.log
    assert not (ten / "splits").exists()
    fetch(Workspace(ten), config=settings())
    assert len(read(ten, "happy", "train")) == 5


def test_without_originals_everything_but_another_size_still_works(server, ten):
    fetch(Workspace(ten), config=settings(originals=False))
    assert [path for path in (ten / "originals").rglob("*") if len(path.name) == 64] == []
    before = len(server.log)
    with pytest.raises(BamkitError, match="originals are not in") as error:
        fetch(Workspace(ten), config=settings(originals=False, picture=PictureSettings(size=32)))
    assert "--download-again" in error.value.hint
    assert len(server.log) == before
    # A change of the manifest is built from the pictures that the old split holds.
    urls = [server.url(f"/{index}.jpg") for index in range(10)]
    write_selection(ten, "happy", urls, 6, 2, 1)
    fetch(Workspace(ten), config=settings(originals=False))
    assert [row["rank"] for row in read(ten, "happy", "train")] == [1, 2, 3, 4, 5, 6]
    assert len(server.log) == before + 1
    fetch(Workspace(ten), config=settings(originals=False, picture=PictureSettings(size=32), again=True))
    assert len(server.log) == before + 10
    assert read(ten, "happy", "train")[0]["width"] == 32


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "not kept"])
def test_files_on_both_sides_of_what_stays_in_memory(server, tmp_path, keep):
    files = [jpeg(seed).ljust(IN_MEMORY - 1 + seed, b"x") for seed in range(3)]
    for index, data in enumerate(files):
        server[f"/{index}.jpg"] = file(data)
    write_selection(tmp_path, "large", [server.url(f"/{index}.jpg") for index in range(3)], 3)
    fetch(Workspace(tmp_path), config=settings(originals=keep))
    rows = read(tmp_path, "large", "train")
    assert [row["original_sha256"] for row in rows] == [hashlib.sha256(data).hexdigest() for data in files]
    assert [ledger(tmp_path)[f"{index}.jpg"]["bytes"] for index in range(3)] == [len(data) for data in files]
    kept = {path.name: path.read_bytes() for path in (tmp_path / "originals").rglob("*") if len(path.name) == 64}
    assert kept == ({row["original_sha256"]: data for row, data in zip(rows, files, strict=True)} if keep else {})
    assert list((tmp_path / "originals" / "incoming").iterdir()) == []


def test_a_damaged_original_is_noticed(server, ten):
    fetch(Workspace(ten), config=settings())
    sha256 = read(ten, "happy", "train")[0]["original_sha256"]
    (ten / "originals" / sha256[:2] / sha256).write_bytes(b"bit rot")
    with pytest.raises(BamkitError, match="1 pictures must be built anew"):
        fetch(Workspace(ten), config=settings(picture=PictureSettings(size=32)))
    before = server.counts
    fetch(Workspace(ten), config=settings(picture=PictureSettings(size=32), again=True))
    assert server.counts - before == {"/0.jpg": 1}


def test_shards_of_a_larger_split(server, ten):
    fetch(Workspace(ten), config=settings(shard_rows=2))
    names = sorted(path.name for path in (ten / "splits" / "happy").glob("train-*"))
    assert names == [f"train-{number:05}-of-00003.parquet" for number in range(3)]
    assert [row["rank"] for row in read(ten, "happy", "train")] == [1, 2, 3, 4, 5]
    fetch(Workspace(ten), config=settings())
    assert [path.name for path in (ten / "splits" / "happy").glob("train-*")] == ["train-00000-of-00001.parquet"]


def test_selections_share_what_they_have_in_common(server, ten):
    urls = [server.url(f"/{index}.jpg") for index in range(9, -1, -1)]
    write_selection(ten, "scary", urls, 5, 2, 1)
    fetch(Workspace(ten), config=settings())
    assert max(server.counts.values()) == 1
    assert Workspace(ten).split_names() == ["happy", "scary"]


def test_command_line(bamkit, server, ten):
    server["/1.jpg"] = status(404)
    server["/2.jpg"] = status(500)
    (ten / "bamkit.toml").write_text("[fetch]\nallow-private = true\nsize = 40\nformat = 'png'\nattempts = 1\n")
    result = bamkit("fetch", cwd=ten)
    assert "8 of 10 pictures arrived" in result.output
    assert "--retry-failed server-error" in result.output
    assert read(ten, "happy", "train")[0]["width"] == 40
    assert read(ten, "happy", "train")[0]["image"]["path"] == "1000.png"
    said = json.loads(bamkit("fetch happy --json", cwd=ten).output)
    assert said["asked"] == 0
    assert said["selections"][0]["missing"] == {"gone": 1, "server-error": 1}
    server["/2.jpg"] = file(jpeg(2))
    said = json.loads(bamkit("fetch --retry-failed happy --json", cwd=ten).output)
    assert (said["asked"], said["selections"][0]["replaced"]) == (1, 1)


@pytest.mark.parametrize("word", ["of-a-later-version", "\0", 7])
def test_an_outcome_that_this_version_does_not_know_is_an_unexpected_one(bamkit, server, ten, word):
    bamkit("fetch --allow-private --size 48", cwd=ten)
    with sqlite3.connect(ten / "originals" / "ledger.sqlite") as db:
        db.execute("update ledger set outcome = ? where url like '%/1.jpg'", (word,))
    said = json.loads(bamkit("fetch --allow-private --json", cwd=ten).output)
    assert said["selections"][0]["missing"] == {"unexpected": 1}
    assert "unexpected  yes" in bamkit("fetch --allow-private", cwd=ten).output
    said = json.loads(bamkit("fetch --allow-private --retry-failed --json", cwd=ten).output)
    assert (said["asked"], said["selections"][0]["missing"]) == (1, {})


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("fetch hapy", "did you mean happy"),
        ("fetch --retry-failed tmeout", "did you mean timeout"),
        ("fetch --ca-file nowhere.pem", "not a readable PEM file"),
        ("fetch --placeholder xyz", "MD5 or SHA-256"),
    ],
)
def test_mistakes_are_named(bamkit, ten, line, text):
    from bamkit.cli import root  # noqa: F401

    result = bamkit(line, cwd=ten, code=3)
    assert text in result.output


def test_the_next_step_of_a_judges_pictures(bamkit, server, ten):
    write_selection(ten, "judge-happy", [server.url(f"/{index}.jpg") for index in range(10)], 8)
    assert "next: bamkit judge train" in bamkit("fetch judge-happy --allow-private --size 48", cwd=ten).output
    assert "next: bamkit report\nnext: bamkit train\n" in bamkit("fetch --allow-private --size 48", cwd=ten).output


def test_choices_are_those_of_the_settings(bamkit, ten):
    assert "8<=x<=8192" in bamkit("fetch --size 0", cwd=ten, code=2).output
    assert "'squeeze' is not one of 'squash'" in bamkit("fetch --fit squeeze", cwd=ten, code=2).output
    with pytest.raises(BamkitError, match="must be one of squash"):
        PictureSettings(fit="squeeze")


@pytest.mark.parametrize("name", ["splits/happy/train-00000-of-00001.parquet", "missing/happy.parquet"])
def test_a_damaged_file_is_written_anew(server, ten, capsys, name):
    fetch(Workspace(ten), config=settings())
    before, missing = contents(ten / "splits" / "happy"), contents(ten / "missing")
    asked = len(server.log)
    path = ten / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    fetch(Workspace(ten), config=settings())
    assert f"{path} is damaged: it is written anew" in capsys.readouterr().err
    assert (contents(ten / "splits" / "happy"), contents(ten / "missing")) == (before, missing)
    assert len(server.log) == asked


def test_a_fetch_moves_the_missing_table_of_an_earlier_version(server, ten):
    del server.answers["/2.jpg"]
    fetch(Workspace(ten), config=settings())
    splits, missing = contents(ten / "splits" / "happy"), contents(ten / "missing")
    (ten / "missing" / "happy.parquet").rename(ten / "splits" / "happy" / "missing.parquet")
    summary = fetch(Workspace(ten), config=settings())
    assert not summary.selections[0].written
    assert (contents(ten / "splits" / "happy"), contents(ten / "missing")) == (splits, missing)


def test_no_selection_yet(bamkit, tmp_path):
    assert "bamkit select" in bamkit("fetch", cwd=tmp_path, code=3).output
