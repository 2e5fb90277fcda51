"""Leakage: shared images, addresses, files, projects and near-duplicate pictures."""

import io
import json
import tracemalloc
from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from domains import manifest, two_domains, write_selection, write_split
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from bamkit.common.errors import BamkitError
from bamkit.common.pictures import altered_copies
from bamkit.common.pictures.altered_copies import are_copies, candidate_pairs
from bamkit.common.pictures.feature_store import FeatureStore
from bamkit.common.shards import read_about, write_table
from bamkit.common.workspace import Workspace
from bamkit.curate.audit import leaks
from bamkit.curate.audit.leaks import Cluster, Member, check
from bamkit.curate.audit.similarity import small_copy
from bamkit.curate.fetch.splits.picture import phash
from bamkit.curate.report.leakage import write_page


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
    # Another picture, whose hash is the same by chance.
    edit(workspace, "scary", "train", 5, **{**hashed(artwork(99)), "phash": hashed(original)["phash"]})
    found = check(workspace)
    assert [cluster.kind for cluster in found.clusters] == ["picture"]
    members = found.clusters[0].members
    assert [(m.place, m.position) for m in members] == [("happy/train", 2), ("scary/test", 3)]
    assert members[0].mid == row(workspace, "happy", "train", 2)["mid"]
    assert "--group-by project" in found.advice()[1]
    # Where no project is shared they are left to a person.
    assert replace(found, by_project=True).advice()[1].startswith("bamkit review scary ")


def drawing(seed: int) -> Image.Image:
    """Shapes in several colours on a ground."""
    random = np.random.default_rng(seed)
    levels = random.permutation(np.linspace(60, 195, 12))
    colours = [tuple((level + random.integers(-60, 60, 3)).astype(int).tolist()) for level in levels]
    picture = Image.new("RGB", (240, 200), colours[0])
    draw = ImageDraw.Draw(picture)
    for number, colour in enumerate(colours[1:]):
        x, y = random.integers(0, 180), random.integers(0, 150)
        box = (x, y, x + random.integers(20, 90), y + random.integers(15, 70))
        (draw.ellipse, draw.rectangle, draw.chord)[number % 3](
            box, *([20, 200] if number % 3 == 2 else []), fill=colour
        )
    return picture


def painted(picture: Image.Image, share: float) -> Image.Image:
    """`picture` with a square over `share` of its area."""
    picture = picture.copy()
    side = round((share * picture.width * picture.height) ** 0.5)
    picture.paste(
        "red", (picture.width // 2, picture.height // 3, picture.width // 2 + side, picture.height // 3 + side)
    )
    return picture


def cropped(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = picture.size
    return picture.crop(
        (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
    )


ALTERED = {
    "1 % painted over": lambda picture: painted(picture, 0.01),
    "2 % painted over": lambda picture: painted(picture, 0.02),
    "cropped by 3 %": lambda picture: cropped(picture, 0.03, 0.03, 0.03, 0.03),
    "cropped by 5 %": lambda picture: cropped(picture, 0.05, 0.05, 0.05, 0.05),
    "cropped at one side": lambda picture: cropped(picture, 0.05, 0, 0, 0),
    "mirrored": ImageOps.mirror,
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "other colours": lambda picture: Image.merge("RGB", picture.split()[::-1]),
    "sepia": lambda picture: ImageOps.colorize(picture.convert("L"), "#301800", "#ffe8c0"),
    "mirrored and grey": lambda picture: ImageOps.mirror(picture).convert("L").convert("RGB"),
}


def copies_of(*pictures: Image.Image) -> np.ndarray:
    return np.stack([small_copy(encoded(picture)) for picture in pictures])


def encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


@pytest.mark.parametrize("change", ALTERED)
def test_altered_copies_are_found(change):
    originals = [drawing(seed) for seed in range(18)]
    copies = copies_of(*originals, *map(ALTERED[change], originals))
    left, right = candidate_pairs(copies)
    same = are_copies(copies, left, right)
    found = list(zip(left[same].tolist(), right[same].tolist(), strict=True))
    assert len(found) >= 16
    assert all(j == i + 18 for i, j in found)  # and no two of the originals


def test_a_copy_with_another_hash_is_a_leak(tmp_path):
    workspace = two_domains(tmp_path)
    original = drawing(4)
    edit(workspace, "happy", "train", 2, **hashed(encoded(original)))
    edit(workspace, "happy", "test", 1, **hashed(encoded(ImageOps.mirror(original))))
    assert [cluster.places for cluster in check(workspace).leaks] == [("happy/train", "happy/test")]
    assert check(workspace, distance=0).clean


def test_pictures_with_one_hash_are_compared_with_each_other_not_only_with_the_first(tmp_path):
    """The hash of every flat picture is the same; the second and third are one, the first is another."""
    workspace = two_domains(tmp_path)
    for place, colour in enumerate(("#ffffff", "#405060", "#405060", "#a03020")):
        edit(workspace, "happy", "train", place, **hashed(encoded(Image.new("RGB", (60, 60), colour))))
    clusters = check(workspace).clusters
    assert [[member.position for member in cluster.members] for cluster in clusters] == [[1, 2]]


def test_small_drawings_on_an_empty_ground_are_not_one_for_their_ground():
    def dot(x: int) -> Image.Image:
        picture = Image.new("RGB", (200, 200), "white")
        picture.paste("black", (x, 90, x + 9, 99))
        return picture

    copies = copies_of(dot(20), dot(20), dot(150))
    assert are_copies(copies, np.array([0, 0]), np.array([1, 2])).tolist() == [True, False]


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
    alone = check(workspace)
    assert alone.clean
    assert not alone.clusters  # what alternatives share is not worth a line
    found = check(workspace, ["happy", "happy-again"])
    assert {cluster.kind for cluster in found.leaks} == {"mid"}


def test_what_a_judge_learns_from_is_kept_from_the_domains_and_not_from_itself(tmp_path):
    """A judge learns all attributes at once: that its selections share images is no leak, unless they are named."""
    workspace = two_domains(tmp_path, fetched=False)
    apart = manifest(n=50, seed=7, first_mid=900_000)
    write_selection(workspace, "judge-happy", apart)
    write_selection(workspace, "judge-scary", apart)
    alone = check(workspace)
    assert alone.clean
    assert not alone.clusters
    assert not check(workspace, ["judge-happy", "judge-scary"]).clean
    write_selection(workspace, "judge-happy", manifest(n=50, seed=1))  # ranked by the attribute of happy, as happy is
    assert {cluster.borders[0] for cluster in check(workspace).leaks} >= {("happy/train", "judge-happy/train")}


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


def test_a_picture_that_cannot_be_decoded_is_said_in_one_line(tmp_path, bamkit):
    workspace = two_domains(tmp_path)
    original = artwork(5)
    edit(workspace, "happy", "train", 0, **hashed(original))
    edit(workspace, "scary", "train", 0, **hashed(original) | {"image": {"bytes": original[:200], "path": "x.jpg"}})
    assert "cannot be decoded" in bamkit("check", cwd=tmp_path, code=3).output


def test_flat_pictures_are_one_if_their_colour_is():
    copies = copies_of(*(Image.new("RGB", (60, 60), colour) for colour in ("#ffffff", "#fefefe", "#808080")))
    copies = np.concatenate([copies, small_copy(artwork(1))[None]])
    assert are_copies(copies, np.array([0, 0, 0]), np.array([1, 2, 3])).tolist() == [True, False, False]


@pytest.mark.usefixtures("undrawn")
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


def test_altered_copies_are_found_in_blocks_and_on_disk_as_in_memory(monkeypatch):
    originals = [drawing(seed) for seed in range(9)]
    copies = copies_of(*originals, *map(ImageOps.mirror, originals), *map(ALTERED["cropped by 3 %"], originals))
    store = FeatureStore(64 * 64 * 3, np.uint8)
    store.append(copies.reshape(len(copies), -1))
    whole, parts = candidate_pairs(copies), candidate_pairs(store, block=4)
    assert np.array_equal(whole, parts)
    same = are_copies(copies, *whole)
    assert same.sum() >= 16
    monkeypatch.setattr(altered_copies, "PAIRS", 3)
    assert np.array_equal(are_copies(store, *parts), same)


def test_looking_for_altered_copies_holds_no_pictures_and_no_maps(monkeypatch):
    monkeypatch.setattr(altered_copies, "coarse_views", lambda copies: np.zeros((6, len(copies), 256), np.float32))
    peaks = []
    for n in (1100, 1100, 3100):
        store = FeatureStore(64 * 64 * 3, np.uint8)
        for _ in range(n // 100):
            store.append(np.zeros((100, store.shape[1]), np.uint8))
        tracemalloc.start()
        assert candidate_pairs(store, block=200)[0].size == 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[2] - peaks[1]) / 2000 < 1000  # bytes a picture; its small copy takes 12,288, its maps 6,144


@pytest.mark.parametrize("seed", range(20))
def test_the_borders_of_a_cluster_are_those_of_all_pairs_of_its_members(seed):
    random = np.random.default_rng(seed)
    sides = {"a": "happy", "b": "scary", "c": "happy"}
    names, splits = random.choice(list("abc"), 12), random.choice(["train", "test", "reserve"], 12)
    members = [
        Member(n, sides[n], s, i, i, i) for i, (n, s) in enumerate(zip(names.tolist(), splits.tolist(), strict=True))
    ]
    every = [(a.place, b.place) for a, b in combinations(members, 2) if leaks._apart(a, b)]
    assert Cluster("src", tuple(members), "x").borders == tuple(dict.fromkeys(every))


def test_a_large_cluster_is_not_compared_pair_by_pair(monkeypatch):
    calls = []
    compare = leaks._apart
    monkeypatch.setattr(leaks, "_apart", lambda a, b: calls.append(1) or compare(a, b))
    members = [Member(f"d{i % 2}", "happy", ("train", "test")[i % 3 == 0], i, i, i) for i in range(3000)]
    assert Cluster("file", tuple(members), "x").leak
    assert len(calls) < 4 * len(members)


def test_the_page_opens_each_split_once(tmp_path, monkeypatch):
    workspace = two_domains(tmp_path)
    for place in range(6):
        data = hashed(artwork(place))
        edit(workspace, "happy", "train", place, **data)
        edit(workspace, "scary", "train", place, **data)
    found = check(workspace)
    assert len(found.leaks) >= 6
    looked = []
    shards = Workspace.shards
    monkeypatch.setattr(Workspace, "shards", lambda self, *place: looked.append(place) or shards(self, *place))
    write_page(workspace, found)
    assert sorted(looked) == sorted(set(looked))
