"""Translating with a real, tiny, untrained network: sizes, modes, tiles, bad input, resuming, provenance."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, PngImagePlugin
from templates import templated

from bamkit.common import contract
from bamkit.common.errors import BamkitError
from bamkit.common.pictures.reader import BadPictureError, open_picture
from bamkit.common.shards import write_table
from bamkit.common.workspace import Workspace
from bamkit.gan.evaluate.inputs import translations
from bamkit.gan.train import checkpoint
from bamkit.gan.train.data import domains
from bamkit.gan.train.networks import public_layout
from bamkit.gan.train.networks.cyclegan import generator, initialise
from bamkit.gan.train.settings import TrainConfig
from bamkit.gan.translate import tiled_networks, tiling
from bamkit.gan.translate.generator import Translator
from bamkit.gan.translate.grid import before_after, evenly
from bamkit.gan.translate.origin import in_format, names_a_picture, png_bytes, read_about, writable_suffixes
from bamkit.gan.translate.sources import Targets, from_list, from_paths

RNG = np.random.default_rng(7)


def network(config=None, seed=0, strength=4.0):
    """A generator whose weights are large enough for its output to depend on the picture."""
    made = generator(config or TrainConfig(width=4, blocks=2))
    initialise(made, seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(strength)
    return made.eval().requires_grad_(requires_grad=False)


def picture(height, width, seed=0):
    """A smooth random uint8 picture."""
    small = np.random.default_rng(seed).integers(0, 256, (max(height // 8, 2), max(width // 8, 2), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def encoded(array, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def write_split(root, name, split, mids, size=24):
    import pyarrow as pa

    schema = contract.split_schema()
    rows = []
    for rank, mid in enumerate(mids, 1):
        row = dict.fromkeys(schema.names)
        row |= {"image": {"bytes": encoded(picture(size, size, mid), "JPEG", quality=95), "path": f"{mid}.jpg"}}
        row |= {"mid": mid, "rank": rank, "split": split, "src": f"http://127.0.0.1/{mid}.jpg", "score": -0.1 * rank}
        rows.append(row)
    about = {"kind": "split", "name": name, "split": split, "split_id": f"id-{name}"}
    path = root / "splits" / name / f"{split}-00000-of-00001.parquet"
    write_table(pa.Table.from_pylist(rows, schema=schema), path, about, row_group_size=2)


def write_run(root, name="happy-scary", step=7, seed=0):
    config = TrainConfig(width=4, blocks=2)
    run = root / "runs" / name
    weights = {
        "a_to_b": network(config, seed).state_dict(),
        "b_to_a": network(config, seed + 1).state_dict(),
    }
    about = {"run_id": f"r{seed}", "name": name, "config": config.as_dict()}
    about |= {"from": {"name": "happy", "split_id": "id-happy"}, "to": {"name": "scary", "split_id": "id-scary"}}
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text(json.dumps(about))
    state = {"generators": weights, "config": config.as_dict(), "names": ["happy", "scary"], "run_id": f"r{seed}"}
    checkpoint.write(checkpoint.path_of(run, step), {**state, "step": step})
    return run


@templated
def make_workspace(root):
    write_split(root, "happy", "test", [11, 12, 13])
    write_split(root, "scary", "test", [21, 22])
    write_run(root)


@pytest.fixture
def workspace(tmp_path):
    make_workspace(tmp_path)
    return tmp_path


# ---------------------------------------------------------------- the command


def test_default_is_the_test_split_in_both_directions(workspace, bamkit):
    shown = bamkit("translate", cwd=workspace).output
    out = workspace / "translations" / "happy-scary"
    assert "happy-to-scary" in shown
    assert "5 pictures" in shown
    assert sorted(p.name for p in (out / "happy-to-scary").iterdir()) == ["11.png", "12.png", "13.png"]
    assert sorted(p.name for p in (out / "scary-to-happy").iterdir()) == ["21.png", "22.png"]
    table = pq.read_table(out / "translations.parquet")
    assert table.schema.remove_metadata() == contract.translation_schema().remove_metadata()
    assert table["mid"].to_pylist() == [11, 12, 13, 21, 22]
    assert table["direction"].to_pylist() == ["happy-to-scary"] * 3 + ["scary-to-happy"] * 2
    assert table["rank"].to_pylist() == [1, 2, 3, 1, 2]
    assert set(table["split"].to_pylist()) == {"test"}
    about = json.loads(table.schema.metadata[b"bamkit"])
    assert (about["kind"], about["run"], about["run_id"]) == ("translation", "happy-scary", "r0")
    assert about["split_ids"] == {"happy": "id-happy", "scary": "id-scary"}
    for direction in ("happy-to-scary", "scary-to-happy"):
        with Image.open(out / f"{direction}.png") as grid:
            assert grid.width > 300


def test_a_translation_is_the_networks_output_on_the_split_picture(workspace, bamkit):
    bamkit("translate", cwd=workspace)
    out = workspace / "translations" / "happy-scary"
    row = pq.read_table(out / "translations.parquet").to_pylist()[0]
    source = pq.read_table(workspace / "splits/happy/test-00000-of-00001.parquet")["image"][0].as_py()["bytes"]
    x = torch.from_numpy(np.asarray(Image.open(io.BytesIO(source))).copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    expected = (network(seed=0)(x)[0].permute(1, 2, 0).numpy() + 1) * 127.5
    made = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
    assert np.abs(made - expected).max() < 0.51  # rounding to the nearest, nothing else
    assert made.std() > 5  # the network does paint something
    assert (out / row["image"]["path"]).read_bytes() == row["image"]["bytes"]
    about = read_about(out / "happy-to-scary" / "11.png")
    assert (about["mid"], about["run"], about["direction"]) == (11, "happy-scary", "happy-to-scary")
    assert about["checkpoint"] == "step-00000007"


def test_nothing_is_left_where_nothing_was_made(workspace, bamkit):
    (workspace / "broken.jpg").write_text("no picture")
    bamkit("translate --input broken.jpg --output out", cwd=workspace, code=3)
    assert not (workspace / "out").exists()


def test_again_costs_nothing_and_goes_on_after_an_interruption(workspace, bamkit):
    said = bamkit("translate", cwd=workspace).output
    assert "5 pictures translated" in said
    assert said.endswith("next: bamkit evaluate happy-scary\n")
    assert re.search(r"\b0 pictures translated in .*, 5 were there already", bamkit("translate", cwd=workspace).output)
    out = workspace / "translations" / "happy-scary"
    first = (out / "translations.parquet").read_bytes()
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("*/*.png")}
    (out / "translations.parquet").unlink()
    (out / "happy-to-scary" / "12.png").unlink()
    shown = json.loads(bamkit("translate --json", cwd=workspace).output)
    assert [row["translated"] for row in shown["directions"]] == [1, 0]
    assert [row["there already"] for row in shown["directions"]] == [2, 2]
    assert (out / "translations.parquet").read_bytes() == first
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items() if path.name != "12.png")


def test_another_split_lies_beside_the_test_pictures(workspace, bamkit):
    for name, mid in (("happy", 31), ("scary", 41)):
        write_split(workspace, name, "validation", [mid])
    bamkit("translate", cwd=workspace)
    said = bamkit("translate --split validation", cwd=workspace).output
    assert "next: bamkit evaluate happy-scary-validation --split validation" in said
    tables = sorted(path.parent.name for path in workspace.glob("translations/*/translations.parquet"))
    assert tables == ["happy-scary", "happy-scary-validation"]


def test_another_checkpoint_does_not_replace_without_force(workspace, bamkit):
    bamkit("translate", cwd=workspace)
    write_run(workspace, step=9, seed=5)
    shown = bamkit("translate", cwd=workspace, code=3).output
    assert "holds other translations (checkpoint step-00000007, test)" in shown
    assert "--force" in shown
    bamkit("translate --force", cwd=workspace)
    table = pq.read_table(workspace / "translations/happy-scary/translations.parquet")
    assert set(table["checkpoint"].to_pylist()) == {"step-00000009"}
    assert read_about(workspace / "translations/happy-scary/happy-to-scary/11.png")["run_id"] == "r5"


def test_files_folders_and_a_list(workspace, bamkit, monkeypatch):
    pictures = workspace / "pictures"
    (pictures / "deep").mkdir(parents=True)
    Image.fromarray(picture(31, 45)).save(pictures / "a.jpg")
    Image.fromarray(picture(17, 9)).save(pictures / "deep" / "a.PNG")
    (pictures / "notes.txt").write_text("no picture")
    bamkit("translate --input pictures --direction happy-to-scary --output out", cwd=workspace)
    assert sorted(str(p.relative_to(workspace / "out")) for p in (workspace / "out").rglob("*.png")) == [
        "happy-to-scary.png",
        "happy-to-scary/a.png",
        "happy-to-scary/deep/a.png",
    ]
    rows = pq.read_table(workspace / "out" / "translations.parquet").to_pylist()
    assert [(row["source"], row["mid"], row["width"], row["height"]) for row in rows] == [
        ("pictures/a.jpg", None, 45, 31),
        ("pictures/deep/a.PNG", None, 9, 17),
    ]
    assert "is not empty" in bamkit("translate --input pictures --output out", cwd=workspace, code=3).output
    listed = "pictures/a.jpg\n\nhttp://127.0.0.1/x.jpg\nnowhere.png\n"
    done = subprocess.run(
        [sys.executable, "-m", "bamkit", "translate", "--input", "-", "--output", "out2", "--direction", "b-to-a"],
        cwd=workspace, input=listed, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with open(workspace / "out2" / "skipped.csv", newline="") as file:
        skipped = {row["source"]: row["reason"] for row in csv.DictReader(file)}
    assert skipped == {
        "http://127.0.0.1/x.jpg": "an address, not a file: translate reads files only",
        "nowhere.png": "there is no such file",
    }
    assert (workspace / "out2/scary-to-happy/a.png").is_file()


def test_public_weights_translate_like_the_run(workspace, bamkit):
    torch.save(public_layout.weights(network(seed=0), dropout=True, prefix="module."), workspace / "latest_net_G_A.pth")
    Image.fromarray(picture(30, 41)).save(workspace / "cat.png")
    bamkit("translate --weights latest_net_G_A.pth --input cat.png --output one", cwd=workspace)
    bamkit("translate --input cat.png --output two --direction happy-to-scary", cwd=workspace)
    one, two = (
        np.asarray(Image.open(workspace / name)) for name in ("one/a-to-b/cat.png", "two/happy-to-scary/cat.png")
    )
    assert np.array_equal(one, two)


def set_config(workspace, **changes):
    """Change the settings in the run's checkpoint and run.json."""
    run = workspace / "runs" / "happy-scary"
    path = checkpoint.path_of(run, 7)
    state = checkpoint.read(path)
    state["config"] |= changes
    checkpoint.write(path, {key: value for key, value in state.items() if key != "format"})


def test_a_split_is_seen_at_the_size_the_run_was_trained_at(workspace, bamkit):
    set_config(workspace, size=48, crop=40)
    bamkit("translate --direction a-to-b", cwd=workspace)
    table = workspace / "translations/happy-scary/translations.parquet"
    assert set(pq.read_table(table)["width"].to_pylist()) == {48}
    assert "holds other translations" in bamkit("translate --size own --direction a-to-b", cwd=workspace, code=3).output
    bamkit("translate --size own --direction a-to-b --force", cwd=workspace)
    assert set(pq.read_table(table)["width"].to_pylist()) == {24}
    Image.fromarray(picture(20, 60)).save(workspace / "wide.png")
    for size, expected in (("auto", (60, 20)), ("trained", (60, 20)), ("30", (90, 30))):
        bamkit(f"translate --input wide.png --direction a-to-b --size {size} --output out-{size}", cwd=workspace)
        with Image.open(workspace / f"out-{size}/happy-to-scary/wide.png") as made:
            assert made.size == expected


def test_a_run_of_folders_translates_their_test_pictures(workspace, bamkit):
    run = workspace / "runs/happy-scary/run.json"
    about = json.loads(run.read_text())
    for side, name in (("from", "happy"), ("to", "scary")):
        about[side] = {"kind": "folder", "name": name, "where": str(workspace / "photos" / name)}
        (workspace / "photos" / name / "test").mkdir(parents=True)
        Image.fromarray(picture(24, 24)).save(workspace / "photos" / name / "test" / f"{name}1.jpg")
    run.write_text(json.dumps(about))
    bamkit("translate", cwd=workspace)
    rows = pq.read_table(workspace / "translations/happy-scary/translations.parquet").to_pylist()
    assert [(row["image"]["path"], row["split"], row["mid"]) for row in rows] == [
        ("happy-to-scary/happy1.png", "test", None),
        ("scary-to-happy/scary1.png", "test", None),
    ]


# ---------------------------------------------------------------- bad input


def test_bad_pictures_are_recorded_and_skipped(workspace, bamkit):
    bad = workspace / "bad"
    bad.mkdir()
    good = encoded(picture(40, 40), "JPEG")
    (bad / "empty.jpg").write_bytes(b"")
    (bad / "page.jpg").write_bytes(b"<html><body>404</body></html>")
    (bad / "cut.jpg").write_bytes(good[: len(good) // 2])
    (bad / "cut.png").write_bytes(encoded(picture(40, 40))[:200])
    bomb = bytearray(encoded(picture(8, 8)))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    (bad / "bomb.png").write_bytes(bytes(bomb))
    (bad / "good.jpg").write_bytes(good)
    os.mkfifo(bad / "pipe.jpg")
    shown = bamkit("translate --input bad --direction happy-to-scary --output out", cwd=workspace).output
    assert "skipped bad/empty.jpg: the file is empty" in shown
    with open(workspace / "out" / "skipped.csv", newline="") as file:
        reasons = {row["source"]: row["reason"] for row in csv.DictReader(file)}
    assert sorted(reasons) == ["bad/bomb.png", "bad/cut.jpg", "bad/cut.png", "bad/empty.jpg", "bad/page.jpg"]
    assert reasons["bad/page.jpg"] == "not a picture of a kind that Pillow reads"
    assert "truncated" in reasons["bad/cut.jpg"].lower()
    assert pq.read_table(workspace / "out/translations.parquet")["source"].to_pylist() == ["bad/good.jpg"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("translate nowhere", "there is no run 'nowhere'"),
        ("translate happy-scray", "did you mean happy-scary?"),
        ("translate --direction happy-to-gloomy", "--direction happy-to-scary or scary-to-happy"),
        ("translate --size huge", "'huge' is no size"),
        ("translate --split tset", "there is no split 'tset'"),
        ("translate --split validation", "has no validation pictures of happy"),
        ("translate --input missing.jpg", "there is no picture or folder missing.jpg"),
        ("translate --input empty", "empty holds no pictures"),
        ("translate --input originals", ".webp): 0 left out, 2 files called otherwise"),
        ("translate --input originals", "hint: find originals -type f | bamkit translate --input - "),
        ("translate --input splits/happy", "hint: a fetched split is named by --split train, validation or test"),
        ("translate --input broken.jpg", "no picture could be read: broken.jpg: not a picture"),
        ("translate --checkpoint step-3", "no checkpoint 'step-3'"),
        ("translate --device cuda", "there is no CUDA device here"),
        ("translate --weights broken.jpg --input cat.png --output out", "broken.jpg is no readable file of weights"),
        ("translate --weights nothing.pth --input cat.png --output out", "there are no weights at nothing.pth"),
        ("translate --weights nothing.pth", "--input PATH --output DIR"),
        (
            "translate --input cat.png --output cat.png",
            "cat.png names one picture, and 2 would be made in two directions",
        ),
        ("translate --input cat.png --output cat.png --direction a-to-b --force", "cat.png is the picture itself"),
        ("translate --input cat.png --output broken.jpg --direction a-to-b", "broken.jpg is already there"),
        ("translate --input cat.png --output notes.txt", "notes.txt is a file"),
        ("translate --input cat.png --split test", "--input and --split both say which pictures to translate"),
    ],
)
def test_mistakes_get_one_line(workspace, bamkit, line, said):
    if "cuda" in line and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    (workspace / "empty").mkdir()
    (workspace / "originals" / "ab").mkdir(parents=True)
    for name in ("ab/ab34", "ledger.sqlite"):
        (workspace / "originals" / name).write_bytes(b"")
    (workspace / "broken.jpg").write_bytes(b"no picture")
    (workspace / "notes.txt").write_text("")
    Image.fromarray(picture(16, 16)).save(workspace / "cat.png")
    shown = bamkit(line, cwd=workspace, code=3).output
    assert said in shown
    assert len(shown.strip().splitlines()) <= 2


def test_no_run_names_the_next_command(tmp_path, bamkit):
    shown = bamkit("translate", cwd=tmp_path, code=3).output
    assert "there is no run" in shown
    assert "next: bamkit train" in shown


def test_a_damaged_split_is_named(workspace, bamkit):
    path = workspace / "splits/happy/test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:100])
    assert "is not a readable" in bamkit("translate", cwd=workspace, code=3).output


def test_a_users_picture_in_the_way_is_not_replaced(workspace, bamkit):
    mine = workspace / "translations/happy-scary/happy-to-scary/11.png"
    mine.parent.mkdir(parents=True)
    Image.fromarray(picture(9, 9)).save(mine)
    before = mine.read_bytes()
    assert "was not made by bamkit" in bamkit("translate", cwd=workspace, code=3).output
    assert mine.read_bytes() == before


def test_splits_fetched_again_after_training_are_refused_unless_told_otherwise(workspace, bamkit):
    run = workspace / "runs/happy-scary/run.json"
    about = json.loads(run.read_text())
    about["from"]["split_id"] = "older"
    run.write_text(json.dumps(about))
    refused = bamkit("translate", cwd=workspace, code=3).output
    assert "splits/happy is not the one that run happy-scary was trained on" in refused
    assert "next: bamkit train --from happy --to scary --name happy-scary --force   # or --stale" in refused
    assert "note: splits/happy is not the one" in bamkit("translate --stale", cwd=workspace).output


# ---------------------------------------------------------------- any size


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 7), (8, 8), (33, 46), (64, 20)])
def test_any_size_comes_back_as_it_was(size):
    for kind in ("resnet", "unet", "affine"):
        config = TrainConfig(generator=kind, width=4, blocks=1, halvings=4)
        made = Translator(network(config), torch.device("cpu"))([picture(*size)])
        assert made[0].shape == (*size, 3)


def test_a_size_the_network_takes_is_not_padded():
    translator = Translator(network(), torch.device("cpu"))
    assert translator.padded_size(32, 48) == (32, 48)
    assert translator.padded_size(33, 45) == (36, 48)
    assert translator.padded_size(1, 5) == (8, 8)


@pytest.mark.parametrize("kind", ["resnet", "unet", "affine"])
@pytest.mark.parametrize("side", [32, 64])
def test_tiles_give_the_untiled_result(kind, side, monkeypatch):
    """In float64, so that nothing but the order of sums may differ; before rounding to uint8."""
    config = TrainConfig(generator=kind, width=4, blocks=2, halvings=4)
    made = network(config)
    pixels = picture(112, 144)
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].double() / 127.5 - 1
    whole = network(config).double()(x)[0]
    tiles = []
    rounded = tiled_networks.to_uint8
    monkeypatch.setattr(tiled_networks, "to_uint8", lambda values: (tiles.append(values.clone()), rounded(values))[1])
    run = getattr(tiled_networks, f"run_{kind}")
    result = run(pixels, public_layout.weights(made), tiling.Store(dtype=torch.float64), side)
    found, parts = torch.zeros_like(whole), iter(tiles)
    for top in range(0, 112, side):
        for left in range(0, 144, side):
            part = next(parts)
            found[:, top : top + part.shape[1], left : left + part.shape[2]] = part
    assert (found - whole).abs().max() < 1e-10
    assert np.array_equal(result, rounded(whole.clone()).permute(1, 2, 0).numpy())
    assert whole.std() > 0.02


def test_tiles_normalised_one_by_one_would_differ():
    """The trap that the exact tiles avoid: the same tiles through the network on their own are visibly off."""
    made = Translator(network(), torch.device("cpu"), tile=64)
    pixels = picture(128, 128)
    pixels = np.clip(pixels * np.linspace(0.2, 1, 128)[None, :, None], 0, 255).astype(np.uint8)  # darker to the left
    whole = made.whole([pixels])[0].astype(int)
    tiled = made.tiled(pixels).astype(int)
    alone = made.whole([pixels[:, :64]])[0].astype(int)
    assert np.abs(tiled - whole).max() <= 1
    assert np.abs(alone - whole[:, :64])[:, :32].mean() > 5


def test_what_does_not_fit_into_memory_is_tiled_and_kept_on_disk():
    pixels = picture(96, 120)
    large = Translator(network(), torch.device("cpu"))
    small = Translator(network(), torch.device("cpu"), tile=32, memory=1000)
    assert large.fits(96, 120) > 100
    assert small.fits(96, 120) == 0
    assert np.abs(large([pixels])[0].astype(int) - small([pixels])[0].astype(int)).max() <= 1
    assert (large.in_tiles, small.in_tiles) == (0, 1)


def test_a_gpu_that_is_full_gets_tiles(monkeypatch):
    translator = Translator(network(), torch.device("cpu"))
    expected = translator.whole([picture(48, 48)])[0]

    def full(_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(translator, "whole", full)
    made = translator([picture(48, 48), picture(48, 48)])
    assert np.abs(made[1].astype(int) - expected).max() <= 1
    assert translator.in_tiles == 2


def test_tiles_and_one_large_pass_are_near_float64_on_flat_artwork():
    pixels = np.full((400, 400, 3), 255, np.uint8)
    pixels[150:250, 150:250] = picture(100, 100)
    translator = Translator(network(), torch.device("cpu"), tile=128)
    weights = public_layout.weights(translator.network)
    exact = tiled_networks.run_resnet(pixels, weights, tiling.Store(dtype=torch.float64), 128).astype(int)
    for made in (translator.tiled(pixels), translator.whole([pixels])[0]):
        assert np.abs(made.astype(int) - exact).mean() < 0.001


def test_store_counts_what_it_holds():
    store = tiling.Store(memory=4 * 100)
    first = store.empty(1, 10, 10)
    assert store.used == 400
    spilled = store.empty(1, 10, 10)  # goes to a file
    spilled.fill_(2.0)
    assert store.used == 400
    assert float(spilled.sum()) == 200
    store.release(spilled)
    store.release(first)
    assert store.used == 0
    assert float(store.empty(1, 10, 10).fill_(1).sum()) == 100


def test_moments_merge_to_the_whole():
    values = torch.randn(3, 40, 50, dtype=torch.float64) * 3 + 100
    moments = tiling.Moments()
    for top in range(0, 40, 7):
        for left in range(0, 50, 11):
            moments.add(values[:, top : top + 7, left : left + 11])
    variance, mean = torch.var_mean(values, dim=(1, 2), correction=0)
    assert torch.allclose(moments.mean, mean, atol=1e-12)
    assert torch.allclose(moments.squares / moments.count, variance, atol=1e-12)


def test_mirrored_is_torchs_reflection():
    row = torch.arange(5.0)[None, None]
    padded = torch.nn.functional.pad(row, (3, 4), mode="reflect")[0, 0]
    assert padded.tolist() == row[0, 0][tiling.mirrored(torch.arange(-3, 9), 5)].tolist()


# ---------------------------------------------------------------- pictures


def test_alpha_is_kept(workspace, bamkit):
    rgba = np.dstack([picture(20, 24), np.tile(np.arange(24, dtype=np.uint8) * 10, (20, 1))])
    Image.fromarray(rgba).save(workspace / "stamp.png")
    bamkit("translate --input stamp.png --output out --direction a-to-b", cwd=workspace)
    with Image.open(workspace / "out/happy-to-scary/stamp.png") as made:
        assert made.mode == "RGBA"
        assert np.array_equal(np.asarray(made)[..., 3], rgba[..., 3])


def test_every_mode_becomes_rgb():
    grey = np.tile(np.arange(64, dtype=np.uint8) * 4, (32, 1))
    for image in (
        Image.fromarray(grey),
        Image.fromarray(grey.astype(np.uint16) * 257),
        Image.fromarray(grey).convert("RGB"),
        Image.fromarray(grey).convert("P"),
    ):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        opened = open_picture(buffer.getvalue())
        assert opened.alpha is None
        assert np.abs(opened.rgb.astype(int) - grey[..., None]).max() <= 1, image.mode
    for mode in ("CMYK", "1", "YCbCr"):
        buffer = io.BytesIO()
        Image.fromarray(grey).convert(mode).save(buffer, "TIFF")
        assert open_picture(buffer.getvalue()).rgb.shape == (32, 64, 3)


def test_transparency_of_every_kind():
    buffer = io.BytesIO()
    Image.new("P", (8, 8), 0).save(buffer, "PNG", transparency=0)
    assert open_picture(buffer.getvalue()).alpha is not None
    buffer = io.BytesIO()
    grey = Image.merge("LA", [Image.new("L", (8, 8), 50), Image.new("L", (8, 8), 0)])
    grey.save(buffer, "PNG")
    opened = open_picture(buffer.getvalue())
    assert opened.alpha.max() == 0
    assert opened.rgb.min() == 255  # nothing is seen of it: laid on white
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (10, 20, 30, 255)).save(buffer, "PNG")
    assert open_picture(buffer.getvalue()).alpha is None


def test_pictures_come_upright():
    image = Image.fromarray(picture(10, 30))
    exif = image.getexif()
    exif[0x0112] = 6  # rotate by 90 degrees to see it upright
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif, quality=95)
    opened = open_picture(buffer.getvalue())
    assert opened.size == (30, 10)


def test_a_broken_colour_profile_does_no_harm():
    assert open_picture(encoded(picture(8, 8), icc_profile=b"nonsense")).size == (8, 8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_damaged_bytes_are_a_picture_or_a_reason(kind):
    """Bytes flipped, cut out and cut off at random: never another exception."""
    good, rng = bytearray(encoded(picture(24, 24), kind)), np.random.default_rng(3)
    refused = 0
    for _ in range(60):
        data = bytearray(good)
        for place in rng.integers(0, len(data), rng.integers(1, 12)):
            data[place] = rng.integers(0, 256)
        start = rng.integers(0, len(data))
        del data[start : start + rng.integers(0, 40)]
        try:
            opened = open_picture(bytes(data[: rng.integers(1, len(data) + 1)]))
            assert opened.rgb.dtype == np.uint8
            assert opened.rgb.shape[2] == 3
        except BadPictureError:
            refused += 1
    assert refused > 10


def test_a_bmp_without_the_filling_of_its_last_row_is_whole_and_one_without_a_pixel_is_not():
    colours = picture(9, 13)
    for array, filling in ((colours, 1), (colours[:, :, 0], 3), (picture(9, 12), 0)):
        whole = encoded(array, "BMP")
        pixels = whole[: len(whole) - filling]
        assert (open_picture(pixels).rgb == open_picture(whole).rgb).all()
        with pytest.raises(BadPictureError) as cut:
            open_picture(pixels[:-1])
        assert cut.value.reason == "truncated"


def test_png_text_is_no_way_in(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("bamkit", '["not", "a", "dict"]')
    Image.fromarray(picture(8, 8)).save(tmp_path / "x.png", pnginfo=info)
    assert read_about(tmp_path / "x.png") == {}
    (tmp_path / "y.png").write_bytes(png_bytes(picture(8, 8), None, {"source": "ä\n🙂"}))
    assert read_about(tmp_path / "y.png") == {"source": "ä\n🙂"}


def test_names_of_results_are_safe_and_unique():
    targets = Targets()
    assert targets.name("a.jpg") == "a.png"
    assert targets.name("A.png") == "A-2.png"
    assert targets.name("../../etc/passwd") == "etc/passwd.png"
    assert targets.name("x/a.jpg") == "x/a.png"
    assert targets.name('we"ird\nname?.jpg') == "we_ird_name_.png"
    assert len(targets.name("ü" * 400 + ".jpg").encode()) < 255


def test_undecodable_file_names_are_taken(tmp_path):
    odd = os.fsencode(str(tmp_path)) + b"/caf\xe9.png"
    with open(odd, "wb") as file:
        file.write(encoded(picture(8, 8)))
    ((source,), _) = from_paths([tmp_path])
    assert source.name.endswith("caf\ufffd.png")
    assert source.read()


def test_an_empty_list_is_an_error():
    with pytest.raises(BamkitError, match="empty"):
        from_list(["\n", "  \n"])


def test_evenly_takes_first_and_last():
    assert evenly(3, 24) == [0, 1, 2]
    assert evenly(100, 4) == [0, 33, 66, 99]
    assert evenly(5, 1) == [0]


def test_the_grid_holds_every_pair():
    pairs = [(Image.new("RGB", (50, 30), "red"), Image.new("RGB", (30, 50), "blue")) for _ in range(5)]
    sheet = np.asarray(before_after(pairs, ("x", "y"), cell=40, columns=2))
    assert (sheet == (255, 0, 0)).all(axis=2).sum() == 5 * 40 * 24
    assert (sheet == (0, 0, 255)).all(axis=2).sum() == 5 * 40 * 24


def test_open_picture_says_what_is_wrong():
    for data, said in ((b"", "empty"), (b"GIF89a", "broken|not a picture"), (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, ".")):
        with pytest.raises(BadPictureError, match=said):
            open_picture(data)


def test_from_python(workspace):
    from bamkit.gan.translate.run import translate_run

    result = translate_run(Workspace.open(workspace), limit=1)
    assert [one.translated for one in result.directions] == [1, 1]


# ---------------------------------------------------------------- runs of folders


@pytest.fixture
def folders(workspace):
    """A run that was trained on two plain folders, which hold training pictures only."""
    run = workspace / "runs/happy-scary/run.json"
    about = json.loads(run.read_text())
    for side, name in (("from", "happy"), ("to", "scary")):
        folder = workspace / "photos" / name
        about[side] = {"kind": "folder", "name": name, "where": str(folder), "files_id": f"id-{name}"}
        folder.mkdir(parents=True)
        for number in range(6):
            Image.fromarray(picture(24, 24, 10 * len(name) + number)).save(folder / f"{number}.jpg")
    run.write_text(json.dumps(about))
    shutil.rmtree(workspace / "splits")
    return workspace


def fill_tests(root, count=4):
    for name in ("happy", "scary"):
        (root / "photos" / name / "test").mkdir()
        for number in range(count):
            made = Image.fromarray(picture(24, 24, 100 * len(name) + number))
            made.save(root / "photos" / name / "test" / f"{number}.png")


def test_hints_of_a_run_of_folders_lead_to_an_evaluation(folders, bamkit):
    shown = bamkit("evaluate", cwd=folders, code=3).output
    assert "bamkit translate" in shown
    shown = bamkit("translate", cwd=folders, code=3).output
    assert f"put some that it was not trained on into {folders / 'photos/happy/test'}, then: bamkit translate" in shown
    bamkit("translate --input photos/happy/0.jpg --direction happy-to-scary", cwd=folders)
    shown = bamkit("evaluate", cwd=folders, code=3).output
    assert "put pictures that the run was not trained on into" in shown
    assert str(folders / "photos/scary/test") in shown
    fill_tests(folders)
    bamkit("translate", cwd=folders)
    shown = json.loads(bamkit("evaluate --json --device cpu", cwd=folders).output)
    assert shown["n"] == {"happy-to-scary": 4, "scary-to-happy": 4}
    assert shown["split_ids"] == {"happy": "id-happy", "scary": "id-scary"}
    real = [f for f in shown["figures"] if (f["metric"], f["method"]) == ("kid", "real")]
    assert len(real) == 2, "the test pictures of each target are the floor"


def test_test_pictures_of_a_folder_are_not_trained_on(folders):
    fill_tests(folders)
    domain = domains.from_folder(folders / "photos" / "happy")
    assert {split: len(entries) for split, entries in domain.entries.items()} == {
        "train": 6,
        "validation": 0,
        "test": 4,
    }


def test_own_pictures_beside_test_pictures_leave_evaluate_clear(workspace, bamkit):
    bamkit("translate", cwd=workspace)
    Image.fromarray(picture(30, 41)).save(workspace / "cat.png")
    bamkit("translate --input cat.png", cwd=workspace)
    for name, mid in (("happy", 31), ("scary", 41)):
        write_split(workspace, name, "validation", [mid])
    bamkit("translate --split validation", cwd=workspace)
    assert translations.choose_run(Workspace(workspace), None) == "happy-scary"
    assert translations.choose_run(Workspace(workspace), None, "validation") == "happy-scary-validation"


# ---------------------------------------------------------------- one file, interruptions, sizes


@pytest.mark.parametrize("name", ["dark.jpg", "dark.PNG", "dark.webp", "new/dark.tif"])
def test_one_picture_goes_to_the_file_that_output_names(workspace, bamkit, name):
    Image.fromarray(picture(30, 41)).save(workspace / "cat.png")
    line = f"translate --input cat.png --direction happy-to-scary --output {name}"
    bamkit(line, cwd=workspace)
    bamkit("translate --input cat.png --direction happy-to-scary --output folder", cwd=workspace)
    with Image.open(workspace / name) as made, Image.open(workspace / "folder/happy-to-scary/cat.png") as wanted:
        assert made.size == (41, 30)
        difference = np.abs(np.asarray(made.convert("RGB")).astype(int) - np.asarray(wanted))
    assert difference.max() <= (40 if name.endswith("jpg") else 0)
    assert not [path for path in (workspace / name).parent.iterdir() if path.suffix == ".tmp"]
    assert "is already there" in bamkit(line, cwd=workspace, code=3).output
    bamkit(f"{line} --force", cwd=workspace)


@pytest.mark.parametrize("suffix", [".heic", ".gif", ".svg", ".PSD", ".pdf", ".jxl", ".ico", ".pgm"])
def test_a_format_that_cannot_be_written_is_said_with_those_that_can(workspace, bamkit, suffix):
    Image.fromarray(picture(16, 16)).save(workspace / "cat.png")
    line = f"translate --input cat.png --direction a-to-b --output new/dark{suffix}"
    shown = bamkit(line, cwd=workspace, code=3).output
    assert f"dark{suffix}: a translation cannot be written as {suffix}" in shown
    assert "hint: --output with .png, .jpg, " in shown
    assert not (workspace / "new").exists()


@pytest.mark.parametrize("suffix", writable_suffixes())
def test_every_format_that_can_be_written_holds_the_colours(suffix):
    rgb = np.repeat(np.repeat(picture(4, 4), 16, axis=0), 16, axis=1)
    written = Image.open(io.BytesIO(in_format(png_bytes(rgb, None, {}), suffix)))
    assert np.abs(np.asarray(written.convert("RGB")).astype(int) - rgb).mean() < 12
    assert names_a_picture(suffix.upper())
    assert not names_a_picture(".v2")


def test_a_file_cannot_hold_several_pictures(workspace, bamkit):
    for name in ("a", "b"):
        Image.fromarray(picture(30, 41)).save(workspace / f"{name}.png")
    shown = bamkit("translate --input a.png --input b.png --direction a-to-b --output c.jpg", cwd=workspace, code=3)
    assert "c.jpg names one picture, and 2 would be made" in shown.output
    assert "--output DIR" in shown.output
    assert not (workspace / "c.jpg").exists()
    bamkit("translate --output c.jpg", cwd=workspace, code=3)
    (workspace / "d.jpg").mkdir()
    bamkit("translate --input a.png --direction a-to-b --output d.jpg", cwd=workspace)
    assert (workspace / "d.jpg/happy-to-scary/a.png").is_file(), "a folder may be called like that"


def test_an_interrupted_translation_of_files_goes_on(workspace, bamkit, monkeypatch):
    from bamkit.gan.translate import batch
    from bamkit.gan.translate.run import translate_run

    monkeypatch.chdir(workspace)
    for number in range(4):
        Image.fromarray(picture(24, 24, number)).save(workspace / f"{number}.png")
    line = "translate --input 0.png --input 1.png --input 2.png --input 3.png --direction a-to-b --output out"
    written = []

    def interrupted(*given):
        written.append(given)
        if len(written) > 2:
            raise KeyboardInterrupt
        return png_bytes(*given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(batch, "png_bytes", interrupted)
        paths = [Path(f"{number}.png") for number in range(4)]
        translate_run(Workspace(Path()), inputs=paths, direction="a-to-b", output=Path("out"))
    assert len(list((workspace / "out").glob("*/*.png"))) == 2
    shown = bamkit(f"{line} --input 3.png", cwd=workspace, code=3).output
    assert "out is not empty" in shown, "other inputs"
    write_run(workspace, step=9, seed=5)
    assert "out is not empty" in bamkit(line, cwd=workspace, code=3).output, "other weights"
    (checkpoint.path_of(workspace / "runs" / "happy-scary", 9)).unlink()
    write_run(workspace)
    bamkit(line, cwd=workspace)
    assert not (workspace / "out" / "unfinished.json").exists()
    stamps = {path: path.stat().st_mtime_ns for path in (workspace / "out").glob("*/*.png")}
    assert len(stamps) == 4
    assert re.search(r"\b0 pictures translated in .*, 4 were there already", bamkit(line, cwd=workspace).output)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_one_unreadable_picture_is_one(workspace, bamkit):
    (workspace / "broken.jpg").write_text("no picture")
    (workspace / "cut.jpg").write_bytes(encoded(picture(40, 40), "JPEG")[:300])
    assert "more" not in bamkit("translate --input broken.jpg --output out", cwd=workspace, code=3).output
    shown = bamkit("translate --input broken.jpg --input cut.jpg --output out", cwd=workspace, code=3).output
    assert "(and 1 more)" in shown


def test_size_trained_gives_the_pictures_own_size_back(workspace, bamkit):
    set_config(workspace, size=24, crop=24)
    rgba = np.dstack([picture(64, 96), np.tile(np.arange(96, dtype=np.uint8) * 2, (64, 1))])
    Image.fromarray(rgba).save(workspace / "stamp.png")
    bamkit("translate --input stamp.png --direction a-to-b --size trained --output out", cwd=workspace)
    with Image.open(workspace / "out/happy-to-scary/stamp.png") as made:
        assert made.size == (96, 64)
        assert np.array_equal(np.asarray(made)[..., 3], rgba[..., 3])
        given = Image.fromarray(open_picture(workspace / "stamp.png").rgb).resize((36, 24), Image.Resampling.BICUBIC)
        seen = network(seed=0)(unit(np.asarray(given)))
        small = ((seen[0].permute(1, 2, 0).numpy() + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
        wanted = np.asarray(Image.fromarray(small).resize((96, 64), Image.Resampling.BICUBIC))
        assert np.abs(np.asarray(made)[..., :3].astype(int) - wanted).max() <= 2


def unit(pixels):
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def test_a_picture_out_of_the_networks_range_is_said(workspace, bamkit):
    set_config(workspace, size=24, crop=24)
    Image.fromarray(picture(97, 200)).save(workspace / "large.png")
    Image.fromarray(picture(96, 200)).save(workspace / "fits.png")
    line = "translate --direction a-to-b --output"
    shown = bamkit(f"{line} one --input large.png", cwd=workspace).output
    assert "the picture is out of the network's range: up to 97 px at the shorter side, and it was trained" in shown
    shown = bamkit(f"{line} two --input large.png --input fits.png", cwd=workspace).output
    assert "1 of 2 pictures are out of the network's range" in shown
    for more in ("three --input fits.png", "four --input large.png --size trained"):
        assert "out of the network's range" not in bamkit(f"{line} {more}", cwd=workspace).output
