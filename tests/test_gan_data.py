"""Pictures of a domain: decoded, kept, cut."""

import gan_parts
import numpy as np
import pytest
import torch
from PIL import Image

from bamkit.common.errors import BamkitError
from bamkit.gan.train.data import domains
from bamkit.gan.train.data.loader import UnpairedLoader, cut, gather, unit
from bamkit.gan.train.monitor.validation import Validator, describe, mmd2
from bamkit.gan.train.random_draws import Sampler


def test_split_pictures_come_back_as_they_were_written(tmp_path):
    workspace = gan_parts.make_workspace(tmp_path)
    domain = domains.find(workspace, "happy")
    assert [e.key for e in domain.train][:2] == ["mid:1000", "mid:1001"]
    assert domain.about["split_id"] == "id-happy"
    array = domains.decode(domain.train, 32)
    np.testing.assert_array_equal(array[5], gan_parts.picture("happy", 1005))
    assert domains.decode(domain.train[3:4], 20).shape == (1, 20, 20, 3)


def test_a_judges_split_is_not_taken_for_a_domain(tmp_path):
    workspace = gan_parts.make_workspace(tmp_path)
    gan_parts.make_split(tmp_path, "judge-happy", first_mid=9000)
    assert [domain.name for domain in domains.find_pair(workspace, None, None)] == ["happy", "scary"]


def test_large_arrays_are_mapped_and_found_again(tmp_path, monkeypatch):
    workspace = gan_parts.make_workspace(tmp_path)
    domain = domains.find(workspace, "scary")
    plain = domains.decode(domain.train, 32)
    monkeypatch.setattr(domains, "MAPPED_FROM", 1000)
    cache = tmp_path / "cache"
    mapped = domains.decode(domain.train, 32, cache)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(plain, mapped)
    monkeypatch.setattr(domains, "_fill", lambda *a: pytest.fail("decoded twice"))
    np.testing.assert_array_equal(plain, domains.decode(domain.train, 32, cache))
    assert len(list(cache.iterdir())) == 1
    gan_parts.make_split(tmp_path, "scary", first_mid=7000)
    other = domains.find(workspace, "scary")
    with pytest.raises(pytest.fail.Exception):
        domains.decode(other.train, 32, cache)


def test_folders_with_parts_and_every_kind_of_picture(tmp_path):
    root = tmp_path / "my photos!"
    for part in ("train", "val", "test"):
        gan_parts.make_folder(root / part, "happy", 2, side=40)
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
    assert "empty.jpg (the file is empty)" in domain.notes[0]
    array = domains.decode(domain.train, 24)
    assert (array[[e.key for e in domain.train].index("train/clear.png")] == 255).all(), "transparent parts are white"


def test_corrupt_rows_and_shards_are_named(tmp_path):
    def spoil(split, i, row):
        bad = {"bytes": row["image"]["bytes"][:60], "path": "x.png"}
        return row | {"image": bad} if (split, i) == ("train", 4) else row

    workspace = gan_parts.make_workspace(tmp_path)
    gan_parts.make_split(tmp_path, "scary", change=spoil)
    with pytest.raises(BamkitError, match=r"cannot be decoded \(mid:5004\)"):
        domains.decode(domains.find(workspace, "scary").train, 32)
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
    assert nothing.cycle == (0.0, 0.0)
    offset = torch.from_numpy((dark.mean((0, 1, 2)) - bright.mean((0, 1, 2))) / 127.5).float()[:, None, None]
    shifted = validator(lambda x: x + offset, lambda x: x - offset, cpu)
    assert max(shifted.style) < 0.6
    assert shifted.score < nothing.score
    same = validator(lambda x: x * 0, lambda x: x * 0, cpu)
    assert max(same.variety) < 0.01, "a collapse"
    assert same.cycle[0] > 0.1
    noise = torch.rand(9, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    features = describe(noise * 2 - 1)
    assert features.shape == (9, 36)
    assert abs(mmd2(features[:5], features[4:])) < 2
