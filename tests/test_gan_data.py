"""Pictures of a domain: decoded, kept, cut."""

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import gan_parts
import numpy as np
import pytest
import torch
from PIL import Image

from bamkit.common.errors import BamkitError
from bamkit.common.pictures.folders import list_pictures
from bamkit.common.workspace import Workspace
from bamkit.gan.train.data import decoding, domains
from bamkit.gan.train.data.loader import UnpairedLoader, cut, gather, unit
from bamkit.gan.train.monitor.validation import Validator, describe, mmd2
from bamkit.gan.train.random_draws import Sampler
from bamkit.gan.translate.sources import Targets, from_paths


def test_split_pictures_come_back_as_they_were_written(tmp_path):
    workspace = gan_parts.make_workspace(tmp_path)
    domain = domains.find(workspace, "happy")
    assert [e.key for e in domain.train][:2] == ["mid:1000", "mid:1001"]
    assert domain.about["split_id"] == "id-happy"
    array = decoding.decode(domain.train, 32)
    np.testing.assert_array_equal(array[5], gan_parts.picture("happy", 1005))
    assert decoding.decode(domain.train[3:4], 20).shape == (1, 20, 20, 3)


def test_a_judges_split_is_not_taken_for_a_domain(tmp_path):
    workspace = gan_parts.make_workspace(tmp_path)
    gan_parts.make_split(tmp_path, "judge-happy", first_mid=9000)
    assert [domain.name for domain in domains.find_pair(workspace, None, None)] == ["happy", "scary"]


def test_large_arrays_are_mapped_and_found_again(tmp_path, monkeypatch):
    workspace = gan_parts.make_workspace(tmp_path)
    domain = domains.find(workspace, "scary")
    plain = decoding.decode(domain.train, 32)
    monkeypatch.setattr(decoding, "MAPPED_FROM", 1000)
    cache = tmp_path / "cache"
    mapped = decoding.decode(domain.train, 32, cache)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(plain, mapped)
    monkeypatch.setattr(decoding, "_fill", lambda *a: pytest.fail("decoded twice"))
    np.testing.assert_array_equal(plain, decoding.decode(domain.train, 32, cache))
    assert len(list(cache.iterdir())) == 1
    gan_parts.make_split(tmp_path, "scary", first_mid=7000)
    other = domains.find(workspace, "scary")
    with pytest.raises(pytest.fail.Exception):
        decoding.decode(other.train, 32, cache)


def test_folders_with_parts_and_every_kind_of_picture(tmp_path):
    root = tmp_path / "my photos!"
    for part in ("train", "val", "test"):
        gan_parts.make_folder(root / part, "happy" if part == "train" else "scary", 2, side=40)
    Image.new("RGBA", (50, 30), (0, 0, 0, 0)).save(root / "train" / "clear.png")
    Image.new("L", (30, 50), 7).save(root / "train" / "grey.JPG")
    Image.new("P", (30, 50)).save(root / "train" / "palette.gif")
    (root / "train" / "empty.jpg").write_bytes(b"")
    (root / "train" / "notes.txt").write_text("no picture")
    domain = domains.from_folder(root)
    assert domain.name == "my-photos"
    assert {split: len(entries) for split, entries in domain.entries.items()} == {
        "train": 5,
        "validation": 2,
        "test": 2,
    }
    assert domain.notes[0] == f"{root}: 9 pictures taken, 1 left out (1 unreadable)"
    assert "empty.jpg (the file is empty)" in domain.notes[1]
    array = decoding.decode(domain.train, 24)
    assert (array[[e.key for e in domain.train].index("train/clear.png")] == 255).all(), "transparent parts are white"


def test_corrupt_rows_and_shards_are_named(tmp_path):
    def spoil(split, i, row):
        bad = {"bytes": row["image"]["bytes"][:60], "path": "x.png"}
        return row | {"image": bad} if (split, i) == ("train", 4) else row

    workspace = gan_parts.make_workspace(tmp_path)
    gan_parts.make_split(tmp_path, "scary", change=spoil)
    with pytest.raises(BamkitError, match=r"cannot be decoded \(mid:5004\)"):
        decoding.decode(domains.find(workspace, "scary").train, 32)
    shard = workspace.shards("scary", "train")[0]
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(BamkitError, match="not a readable parquet file"):
        domains.find(workspace, "scary")


def test_cutting_is_the_same_by_slices_by_gather_and_ahead():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (n, 20, 20, 3), dtype=np.uint8) for n in (5, 3)]
    sampler = Sampler(5, 3, 2, 20, 12, 4, 0)
    draws = sampler.epoch(0)
    cpu = torch.device("cpu")
    resident, streamed = UnpairedLoader(*pictures, 12, cpu), UnpairedLoader(*pictures, 12, cpu, resident=False)
    resident.set_epoch(draws)
    streamed.set_epoch(draws)
    for step in range(sampler.steps_per_epoch):
        ours, theirs = (loader.pictures(loader.inputs(step)) for loader in (resident, streamed))
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])
        d = draws.at(step)
        y, x = d.corner_a[1].tolist()
        expected = pictures[0][d.index_a[1], y : y + 12, x : x + 12]
        expected = expected[:, ::-1] if d.flip_a[1] else expected
        np.testing.assert_allclose(ours[0][1], expected.transpose(2, 0, 1) / 127.5 - 1, atol=1e-6)
        assert ours[0].is_contiguous()
    data_ = torch.from_numpy(pictures[0])
    args = (draws.at(0).index_a, draws.at(0).corner_a, draws.at(0).flip_a, 12)
    assert torch.equal(cut(data_, *args), gather(data_, *args)), "what a GPU runs"
    assert unit(data_[:1], channels_last=True).is_contiguous(memory_format=torch.channels_last)


def test_domains_of_a_run_are_found_again(tmp_path):
    workspace = gan_parts.make_workspace(tmp_path)
    pair = domains.find_pair(workspace, None, None)
    run = {"from": pair[0].record(), "to": pair[1].record()}
    assert [d.name for d in domains.find_again(workspace, run)] == ["happy", "scary"]
    run["to"]["split_id"] = "another"
    with pytest.raises(BamkitError, match="pictures of scary have changed"):
        domains.find_again(workspace, run)
    with pytest.raises(BamkitError, match="the same pictures"):
        domains.find_pair(workspace, "happy", "happy")
    gan_parts.make_split(tmp_path, "gloomy")
    with pytest.raises(BamkitError, match="3 fetched splits: gloomy, happy, scary"):
        domains.find_pair(workspace, None, None)


def test_validation_tells_a_translation_from_none():
    bright, dark = (np.stack([gan_parts.picture(mood, i, 24) for i in range(12)]) for mood in ("happy", "scary"))
    validator = Validator(bright, dark)
    cpu = torch.device("cpu")
    nothing = validator(lambda x: x, lambda x: x, cpu)
    assert nothing.style == pytest.approx((1.0, 1.0))
    assert nothing.kept == (0.0, 0.0)
    offset = torch.from_numpy((dark.mean((0, 1, 2)) - bright.mean((0, 1, 2))) / 127.5).float()[:, None, None]
    shifted = validator(lambda x: x + offset, lambda x: x - offset, cpu)
    assert max(shifted.style) < 0.6
    assert shifted.score < nothing.score
    same = validator(lambda x: x * 0, lambda x: x * 0, cpu)
    assert max(same.variety) < 0.01, "a collapse"
    assert same.kept[0] > 0.1
    one_sided = Validator(bright, dark, comes_back=False)
    assert one_sided(lambda x: x, lambda x: x * 0, cpu).kept == pytest.approx((0.0, 1.0), abs=1e-3)
    assert max(one_sided(lambda x: x * 0.3 + 0.2, lambda x: -x, cpu).kept) < 1e-3, "edges lie where they lay"
    assert min(one_sided(lambda x: x.flip(2, 3), lambda x: x.flip(2, 3), cpu).kept) > 0.5, "and here they do not"
    noise = torch.rand(9, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    features = describe(noise * 2 - 1)
    assert features.shape == (9, 36)
    assert abs(mmd2(features[:5], features[4:])) < 2


@pytest.fixture
def photos(tmp_path):
    gan_parts.make_folder(tmp_path / "photos", "happy", 4, side=40)
    return tmp_path / "photos"


def test_linked_folders_are_followed_and_loops_are_not(photos, tmp_path):
    gan_parts.make_folder(tmp_path / "store" / "winter", "scary", 3, side=40)
    gan_parts.make_folder(tmp_path / "store" / "summer", "scary", 2, side=40)
    (photos / "winter").symlink_to(tmp_path / "store" / "winter")
    (photos / "summer").symlink_to(tmp_path / "store" / "summer")
    assert len(list_pictures(photos).pictures) == 9
    (photos / "here").symlink_to(photos)
    (photos / "up").symlink_to(tmp_path)
    (photos / "again").symlink_to(tmp_path / "store" / "winter")
    (tmp_path / "store" / "winter" / "back").symlink_to(tmp_path / "store" / "winter")
    (photos / "gone").symlink_to(tmp_path / "nowhere")
    (photos / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    next((tmp_path / "store" / "summer").iterdir()).rename(tmp_path / "moved.png")
    (photos / "one.png").symlink_to(tmp_path / "moved.png")
    listing = list_pictures(photos)
    assert len({path.resolve() for path in listing.pictures}) == len(listing.pictures) == 9
    assert str(listing) == f"{photos}: 9 pictures taken, 1 left out (1 links that lead nowhere)"
    assert [e.key for e in domains.from_folder(tmp_path / "photos").train] == sorted(
        str(path.relative_to(photos)) for path in listing.pictures
    )


def test_a_file_with_several_names_is_taken_once(photos, tmp_path):
    first, second, third, _ = sorted(photos.iterdir())
    (photos / "a-link.png").symlink_to(first.name)
    (photos / "sub").mkdir()
    (photos / "sub" / "up.png").symlink_to(second)
    (photos / "sub" / "hard.png").hardlink_to(third)
    (tmp_path / "outside.png").write_bytes(first.read_bytes()[:-1] + b"x")
    (photos / "one.png").symlink_to(tmp_path / "outside.png")
    (photos / "two.png").symlink_to(tmp_path / "outside.png")
    listing = list_pictures(photos)
    assert listing.left_out == {"linked to pictures taken already": 4}
    names = [str(path.relative_to(photos)) for path in listing.pictures]
    assert names == [first.name, second.name, third.name, "3.png", "one.png"]


@pytest.mark.parametrize("part", ["test", "validation"])
def test_a_picture_kept_for_testing_is_not_trained_on_under_another_name(photos, part):
    first, second, *_ = sorted(photos.iterdir())
    (photos / part).mkdir()
    (photos / part / "copy.png").write_bytes(first.read_bytes())
    (photos / part / "link.png").symlink_to(second)
    domain = domains.from_folder(photos)
    assert [entry.key for entry in domain.train] == ["2.png", "3.png"]
    assert [entry.key for entry in domain.entries[part]] == [f"{part}/copy.png", f"{part}/link.png"]
    assert domain.notes[0].endswith("4 pictures taken, 2 left out (2 in validation/ or test/ as well)")


@pytest.mark.parametrize("name", ["round", "round.jpg", "sub/round.PNG"])
def test_a_link_to_itself_is_a_link_that_leads_nowhere(photos, name):
    (photos / "sub").mkdir()
    (photos / name).symlink_to((photos / name).name)
    (photos / "sub" / "there").symlink_to("back")
    (photos / "sub" / "back").symlink_to("there")
    listing = list_pictures(photos)
    assert len(listing.pictures) == 4
    assert listing.left_out.total() == ("." in name)


@pytest.mark.parametrize(("closed", "counted"), [("private", 1), ("lost+found", 0), ("System Volume Information", 0)])
def test_a_folder_that_may_not_be_read_is_left_out(photos, monkeypatch, closed, counted):
    gan_parts.make_folder(photos / closed, "scary", 1, side=40)
    opened = os.scandir

    def scandir(path):  # the tests may run as root, who may read everything
        if Path(path).name == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path)

    monkeypatch.setattr("bamkit.common.pictures.folders.os.scandir", scandir)
    listing = list_pictures(photos)
    assert len(listing.pictures) == 4
    assert listing.left_out.total() == counted


def test_what_tools_leave_behind_is_no_data(photos):
    tools = (".ipynb_checkpoints", ".Trash-1000/files", ".thumbnails", "@eaDir", "__MACOSX", "#recycle", "sub/.git/x")
    tools += ("@Recycle", "@Recently-Snapshot/day", "$RECYCLE.BIN", "__pycache__", "node_modules/a", ".stversions")
    for folder in tools:
        gan_parts.make_folder(photos / folder, "scary", 1, side=40)
    (photos / "._1.jpg").write_bytes(b"\0\5\26\7")
    (photos / ".DS_Store").write_bytes(b"x")
    listing = list_pictures(photos)
    assert len(listing.pictures) == 4
    assert listing.left_out == {"in hidden or tool folders": len(tools) + 1}
    hidden = photos.rename(photos.with_name(".photos"))
    assert len(list_pictures(hidden).pictures) == 4, "the folder itself may be called anything"


def test_pictures_that_take_a_plugin_are_counted_with_the_package(photos, monkeypatch):
    for name in ("a.HEIC", "b.heif", "c.jxl", "d.CR2", "e.svg", "Thumbs.db", "notes.txt"):
        (photos / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    monkeypatch.setattr("bamkit.common.pictures.folders.has_plugin", lambda suffix: False)
    assert str(list_pictures(photos)).partition(": ")[2] == (
        "4 pictures taken, 5 left out (1 .cr2: export them as PNG, JPEG or TIFF, 1 .heic: pip install pillow-heif, "
        "1 .heif: pip install pillow-heif, 1 .jxl: pip install pillow-jxl-plugin, "
        "1 .svg: export them as PNG, JPEG or TIFF)"
    )
    (photos / "phone.jpg").write_bytes((photos / "a.HEIC").read_bytes())
    assert (
        "phone.jpg (a .heic picture, which takes a plugin: pip install pillow-heif)"
        in domains.from_folder(photos).notes[1]
    )


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("été", "été"), ("冬", "冬"), ("день", "день"), ("हिन्दी", "हिन्दी"),
        ("می‌خواهم", "می‌خواهم"), ("e\u0301te\u0301", "été"),
        ("[a] 100% #1 'x'", "a--100---1--x"), ("...", "folder"), ("x" * 150, "x" * 60), ("冬" * 80, "冬" * 30),
    ],
)  # fmt: skip
def test_folders_of_any_name_are_domains(tmp_path, folder, name):
    gan_parts.make_folder(tmp_path / folder, "happy", 2, side=40)
    domain = domains.from_folder(tmp_path / folder)
    assert domain.name == name
    assert Workspace(tmp_path).run(f"{domain.name}-{domain.name}").name == f"{name}-{name}"


@pytest.mark.parametrize(
    ("here", "typed"), [("\xe9te\u0301", "e\u0301t\xe9"), ("e\u0301t\xe9", "\xe9t\xe9"), ("が", "か\u3099")]
)
def test_accents_may_be_characters_of_their_own(tmp_path, bamkit, here, typed):
    """An archive from a Mac holds e and an accent where a keyboard types one character."""
    gan_parts.make_folder(tmp_path / "ws" / here, "happy", 2, side=40)
    workspace = Workspace(tmp_path / "ws")
    assert domains.find(workspace, str(tmp_path / "ws" / typed)).name == unicodedata.normalize("NFC", here)
    assert [source.target for source in from_paths([tmp_path / "ws" / typed])[0]] == ["0.png", "1.png"]
    (tmp_path / "ws" / "runs" / here).mkdir(parents=True)
    (tmp_path / "ws" / "runs" / here / "run.json").write_text("{}")
    assert workspace.run_names() == [unicodedata.normalize("NFC", here)]
    assert (workspace.run(typed) / "run.json").is_file()
    (tmp_path / "ws").rename(tmp_path / here)
    assert "there is no folder" not in bamkit(["train", "--resume", "-w", typed], cwd=tmp_path, code=3).output
    targets = Targets()
    assert [targets.name(f"{here}.jpg"), targets.name(f"{typed}.jpg")] == [f"{here}.png", f"{typed}-2.png"]


def test_names_follow_the_systems_encoding(tmp_path):
    """LC_ALL=C without UTF-8 mode: Python hands the bytes of a name over as surrogates, and cannot write others."""
    gan_parts.make_folder(tmp_path / "été", "happy", 2, side=40)
    (tmp_path / "été" / "0.png").rename(tmp_path / "été" / "été.png")
    script = """if True:
        import pathlib, sys
        from bamkit.common.workspace import write_text
        from bamkit.gan.train.data import decoding, domains
        from bamkit.gan.train.monitor.run_folder import RunFolder
        from bamkit.gan.translate.sources import from_paths
        domain = domains.from_folder(pathlib.Path(sys.argv[1]))
        RunFolder(pathlib.Path("run")).describe({"from": domain.record()})
        for source in from_paths([pathlib.Path(sys.argv[1])])[0]:
            write_text(pathlib.Path(source.target), domain.name)
    """
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", script, "été"], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["from"]["pictures"] == 2
    assert len(list(tmp_path.glob("*.png"))) == 2
