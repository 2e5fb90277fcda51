"""Leakage: shared images, addresses, files, projects and near-duplicate pictures."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from domains import manifest, two_domains, write_selection, write_split
from PIL import Image, ImageEnhance

from bamkit.common.errors import BamkitError
from bamkit.common.near_duplicates import alike
from bamkit.common.shards import read_about, write_table
from bamkit.common.workspace import Workspace
from bamkit.curate.audit.leaks import check
from bamkit.curate.audit.similarity import fingerprint
from bamkit.curate.fetch.splits.picture import phash


def edit(workspace: Workspace, name: str, split: str, position: int, **values) -> None:
    """Change one row of a shard."""
    path = workspace.shards(name, split)[0]
    table, about = pq.read_table(path), read_about(path)
    rows = table.to_pylist()
    rows[position] |= values
    write_table(pa.Table.from_pylist(rows, schema=table.schema), path, about)


def row(workspace: Workspace, name: str, split: str, position: int) -> dict:
    return pq.read_table(workspace.shards(name, split)[0]).to_pylist()[position]


def hashed(data: bytes) -> dict:
    with Image.open(io.BytesIO(data)) as opened:
        return {"image": {"bytes": data, "path": "x.jpg"}, "phash": phash(opened.convert("RGB"))}


def artwork(seed: int) -> bytes:
    """A picture with some detail: the smooth ones of domains.picture have no structure for the hash to see."""
    random = np.random.default_rng(seed)
    buffer = io.BytesIO()
    small = Image.fromarray(random.integers(0, 255, (14, 14, 3), dtype=np.uint8))
    small.resize((96, 96), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def recompressed(data: bytes, brightness: float = 1.0) -> bytes:
    """The picture smaller, a little brighter and saved again."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(data)) as opened:
        changed = ImageEnhance.Brightness(opened.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC))
        changed.enhance(brightness).resize((96, 96)).save(buffer, "JPEG", quality=60)
    return buffer.getvalue()


def test_clean_domains_are_clean(tmp_path):
    found = check(two_domains(tmp_path))
    assert found.clean
    assert found.clusters == ()
    assert found.hashed == sum(found.images.values()) == 100
    assert found.images == {
        "happy/train": 35, "happy/test": 10, "happy/validation": 5,
        "scary/train": 35, "scary/test": 10, "scary/validation": 5,
    }  # fmt: skip


def test_projects_count_on_request_only(tmp_path):
    workspace = two_domains(tmp_path)
    found = check(workspace, by_project=True)
    assert {cluster.kind for cluster in found.leaks} == {"project"}
    assert all(len({m.place for m in cluster.members}) > 1 for cluster in found.leaks)
    assert check(workspace).clean


def test_an_image_in_both_domains_and_one_in_two_splits(tmp_path):
    workspace = two_domains(tmp_path, fetched=False)
    happy, scary = manifest(seed=1), manifest(seed=2, emotion="scary", first_mid=50_000)
    both = pa.concat_tables([scary.slice(0, 59), happy.slice(4, 1)])
    twice = pa.concat_tables([happy.slice(0, 59), happy.slice(0, 1).set_column(0, "mid", pa.array([7]))])
    twice = twice.set_column(7, "split", pa.array([*twice["split"].to_pylist()[:59], "test"]))
    write_selection(workspace, "scary", both)
    write_selection(workspace, "happy", twice)
    found = check(workspace)
    assert [(cluster.kind, cluster.places) for cluster in found.leaks] == [
        ("mid", ("happy/train", "scary/train")),
        ("src", ("happy/train", "happy/test")),
    ]
    assert found.hashed == 0


def test_near_duplicates_are_found_and_look_alikes_are_not(tmp_path):
    workspace = two_domains(tmp_path)
    original = artwork(1234)
    edit(workspace, "happy", "train", 2, **hashed(original))
    edit(workspace, "scary", "test", 3, **hashed(recompressed(original, 1.05)))
    # The same grey structure in other colours: equal hashes, another picture.
    inverted = 255 - np.asarray(Image.open(io.BytesIO(original)).convert("RGB"))[..., ::-1]
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(inverted)).save(buffer, "PNG")
    edit(
        workspace,
        "scary",
        "train",
        5,
        image={"bytes": buffer.getvalue(), "path": "x.png"},
        phash=hashed(original)["phash"],
    )
    found = check(workspace)
    assert [cluster.kind for cluster in found.clusters] == ["picture"]
    members = found.clusters[0].members
    assert [(m.place, m.position) for m in members] == [("happy/train", 2), ("scary/test", 3)]
    assert members[0].mid == row(workspace, "happy", "train", 2)["mid"]


def test_a_repetition_inside_one_split_is_no_leak(tmp_path):
    workspace = two_domains(tmp_path)
    first = row(workspace, "happy", "train", 0)
    copied = {key: first[key] for key in ("image", "phash", "original_sha256")}
    edit(workspace, "happy", "train", 7, **copied)
    found = check(workspace)
    assert found.clean
    assert [(cluster.kind, cluster.leak) for cluster in found.clusters] == [("file", False)]
    assert found.table().to_dict("records")[0] == {
        "what": "the same file", "between": "happy/train", "and": "itself", "clusters": 1, "images": 2, "leak": False,
    }  # fmt: skip


def test_two_selections_for_one_emotion_are_alternatives_unless_they_are_named(tmp_path):
    workspace = two_domains(tmp_path, fetched=False)
    write_selection(workspace, "happy-again", manifest(n=50, seed=1))
    assert check(workspace).clean
    found = check(workspace, ["happy", "happy-again"])
    assert {cluster.kind for cluster in found.leaks} == {"mid"}


def test_the_command_exits_1_on_leakage_and_shows_the_members(tmp_path, bamkit):
    workspace = two_domains(tmp_path)
    assert "no leakage" in bamkit("check", cwd=tmp_path).output
    first = row(workspace, "happy", "train", 0)
    edit(workspace, "scary", "validation", 1, **{key: first[key] for key in ("image", "phash", "original_sha256")})
    result = bamkit("check --page", cwd=tmp_path, code=1)
    assert "the same file" in result.output
    assert f"happy/train {first['mid']} (rank {first['rank']})" in result.output
    said = json.loads(bamkit("check --json", cwd=tmp_path, code=1).output)
    assert said["clean"] is False
    assert said["clusters"][0]["members"][0]["mid"] == first["mid"]
    page = (tmp_path / "reports" / "check.html").read_text()
    assert page.count("<img") == 2
    assert "Leak: the same file" in page
    assert "no leakage" in bamkit("check happy", cwd=tmp_path).output


def test_what_cannot_be_checked_is_said_in_one_line(tmp_path, bamkit):
    assert "nothing to check" in bamkit("check", cwd=tmp_path, code=3).output
    assert "no selection or split 'hapy'" in bamkit("check hapy", cwd=tmp_path, code=3).output
    two_domains(tmp_path, fetched=False)
    assert "40 bits makes no sense" in bamkit("check --distance 40", cwd=tmp_path, code=3).output
    with pytest.raises(BamkitError, match="makes no sense"):
        check(Workspace.open(tmp_path), distance=-1)


def test_fingerprints_forgive_encoding_and_see_colour():
    data = artwork(77)
    assert alike(fingerprint(data), fingerprint(recompressed(data)))
    assert not alike(fingerprint(data), fingerprint(artwork(78)))


def test_a_picture_that_cannot_be_decoded_is_said_in_one_line(tmp_path, bamkit):
    workspace = two_domains(tmp_path)
    original = artwork(5)
    edit(workspace, "happy", "train", 0, **hashed(original))
    edit(workspace, "scary", "train", 0, **hashed(original) | {"image": {"bytes": original[:200], "path": "x.jpg"}})
    assert "cannot be decoded" in bamkit("check", cwd=tmp_path, code=3).output


def test_flat_pictures_are_one_if_their_colour_is():
    white, grey = np.full((16, 16, 3), 255, np.uint8), np.full((16, 16, 3), 128, np.uint8)
    assert alike(white, white - 1)
    assert not alike(white, grey)
    assert not alike(white, fingerprint(artwork(1)))


def test_the_report_has_a_section_on_leakage(tmp_path, bamkit):
    workspace = two_domains(tmp_path)
    first = row(workspace, "happy", "train", 0)
    edit(workspace, "scary", "train", 1, **{key: first[key] for key in ("image", "phash", "original_sha256")})
    bamkit("report --no-database", cwd=tmp_path)
    page = (tmp_path / "reports" / "index.html").read_text()
    assert "1 cluster reaches over a border" in page
    shared = pq.read_table(tmp_path / "reports" / "tables" / "leakage.parquet").to_pylist()
    assert [entry["what"] for entry in shared] == ["the same file"]


def test_the_split_of_a_second_fetch_is_checked_as_it_is(tmp_path):
    """What counts is what was obtained: a lost image that is in both selections is in neither split."""
    workspace = two_domains(tmp_path, fetched=False)
    happy = manifest(seed=1)
    scary = pa.concat_tables([manifest(seed=2, emotion="scary", first_mid=50_000).slice(0, 59), happy.slice(50, 1)])
    write_selection(workspace, "scary", scary)
    assert not check(workspace).clean
    write_split(workspace, "happy", happy)
    write_split(workspace, "scary", scary)
    assert check(workspace).clean


@pytest.mark.parametrize("wrong", ["not a hash", "", "ffff", "0x00000000000000", "f" * 40])
def test_a_hash_that_is_none_is_said_in_one_line(tmp_path, bamkit, wrong):
    workspace = two_domains(tmp_path)
    edit(workspace, "happy", "test", 1, phash=wrong)
    mid = row(workspace, "happy", "test", 1)["mid"]
    shown = bamkit("check", cwd=tmp_path, code=3).output
    assert f"happy/test, image {mid}: {wrong!r} is no perceptual hash" in shown
    assert "delete splits/happy, and bamkit fetch happy builds it anew" in shown
    assert len(shown.splitlines()) == 2


def test_what_to_do_about_leaks_is_said(tmp_path, bamkit):
    workspace = two_domains(tmp_path)
    both = row(workspace, "happy", "train", 0)
    edit(workspace, "scary", "test", 0, mid=both["mid"], src=both["src"])
    shown = bamkit("check", cwd=tmp_path, code=1).output
    assert "next: bamkit select ... --name scary --force --disjoint-from happy\nnext: bamkit fetch\n" in shown
    assert " yes\n" in shown
    assert "next:" not in bamkit("check happy", cwd=tmp_path).output
