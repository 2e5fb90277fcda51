"""`bamkit train` end to end, on tiny networks and real split files."""

import contextlib
import csv
import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import gan_parts
import numpy as np
import pytest
import torch
from PIL import Image

from bamkit.common.errors import BamkitError
from bamkit.gan.train import checkpoint, memory, state, trainer
from bamkit.gan.train.data import domains
from bamkit.gan.train.networks import cyclegan
from bamkit.gan.train.settings import TrainConfig

BASE = f"train {gan_parts.FLAGS}"


@pytest.fixture
def workspace(tmp_path):
    return gan_parts.make_workspace(tmp_path)


@pytest.fixture(autouse=True)
def no_page(request, monkeypatch):
    """The run's page has tests of its own, and takes longer than a tiny training."""
    if "with_page" not in request.keywords:
        monkeypatch.setattr("bamkit.gan.train.monitor.monitor.Monitor.pages", lambda self: None)


def rows(run):
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def losses(run):
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows(run)]


BARE = """
import sys
for name in "pandas sklearn scipy matplotlib jinja2 tensorboard sqlalchemy requests urllib3".split():
    sys.modules[name] = None
from bamkit.cli import main
main()
"""


def spawn(root, *words):
    """A training in a process of its own, where only torch, torchvision, numpy, pillow, pyarrow and click exist."""
    command = [sys.executable, "-c", BARE, "-w", str(root), "train", *gan_parts.FLAGS.split(), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def read_config(run):
    return TrainConfig.from_dict(json.loads((run / "run.json").read_text())["config"])


def wait_for_rows(run, count, process):
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and process.poll() is None:
        if (run / "metrics.csv").exists() and (run / "metrics.csv").read_text().count("\n") > count:
            return
        time.sleep(0.005)
    raise AssertionError(f"the training wrote no {count} rows: {process.communicate()[0]}")


def direct(workspace, name="run", resume=False, said=None, config=None, **settings):
    """A training in this process through the library."""
    run = workspace.run(name)
    config = config or gan_parts.tiny(**{"validations": 0, "samples": 0, **settings})
    pair = domains.find_pair(workspace, "happy", "scary")
    told = said if said is not None else []
    return trainer.train(run, pair, config, "cpu", resume=resume, say=told.append, force=not resume)


def test_two_splits_need_no_names(workspace, bamkit):
    result = bamkit(f"{BASE} --steps 8 --validations 2", cwd=workspace.root)
    run = workspace.run("happy-scary")
    assert "8 steps" in result.output
    assert "next: bamkit translate happy-scary" in result.output
    assert "8 steps of" in result.output, "a measured step, and what to change"
    about = json.loads((run / "run.json").read_text())
    assert about["config"]["size"] == 32
    assert about["config"]["crop"] == 28
    assert about["from"]["name"] == "happy"
    assert about["to"]["split_id"] == "id-scary"
    found = rows(run)
    assert [row["step"] for row in found] == [str(n) for n in range(1, 9)]
    assert list(found[0]) == [
        "step", "epoch", "seconds", "lr", "G_A", "G_B", "cycle_A", "cycle_B", "idt_A", "idt_B", "D_A", "D_B",
        "D_A_accuracy", "D_B_accuracy", "images_per_second",
    ]  # fmt: skip
    assert float(found[-1]["cycle_A"]) < float(found[0]["cycle_A"])
    grids = sorted(p.name for p in (run / "samples").iterdir())
    assert grids == [f"{d}-{s:08}.png" for d in ("happy-to-scary", "scary-to-happy") for s in (4, 8)]
    sheet = Image.open(run / "samples" / grids[0])
    assert sheet.size == (4 * 68 - 4, 18 + 68 - 4), "32 px, doubled"
    assert "compositeWithTrainedAlgorithmicMedia" in sheet.info["XML:com.adobe.xmp"], "it says what it is"
    assert json.loads((run / "run.json").read_text())["run_id"] in sheet.info["XML:com.adobe.xmp"]
    assert len((run / "validation.csv").read_text().splitlines()) == 3
    generators = checkpoint.load_generators(run)
    assert generators.names == ("happy", "scary")
    assert generators.a_to_b(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)
    assert set(generators.directions()) == {"happy-to-scary", "scary-to-happy"}
    loaded = torch.load(checkpoint.path_of(run, 8), weights_only=True)
    assert loaded["step"] == 8
    assert re.search(r"8 steps in 0:\d\d of training, .*; this call took 0:\d\d with samples", result.output)
    before = (run / "run.json").read_text()
    earlier = bamkit("train --resume --steps 3", cwd=workspace.root, code=3)
    assert "8 steps are done, and 3 in all were asked for" in earlier.output
    assert "next: bamkit train --resume --name happy-scary --steps 16   # goes on\n" in earlier.output
    assert "next: bamkit translate happy-scary   #" in earlier.output
    assert (run / "run.json").read_text() == before
    done = bamkit("train --resume --steps 8", cwd=workspace.root)
    assert "8 of 8 steps are done: nothing is left to do; --steps 16 would go on" in done.output
    again = bamkit(f"{BASE} --steps 8", cwd=workspace.root, code=3)
    assert "there is a run" in again.output
    assert "--resume" in again.output


def test_two_folders_of_pictures(tmp_path, bamkit):
    gan_parts.make_folder(tmp_path / "day", "happy", 3, side=40)
    gan_parts.make_folder(tmp_path / "night", "scary", 5, side=33)
    (tmp_path / "night" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    result = bamkit(f"{BASE} --from day --to night --steps 3 --batch 4 --crop 28", cwd=tmp_path)
    assert "broken.png" in result.output
    assert "left out" in result.output
    assert "only 3 training pictures" in result.output
    about = json.loads((tmp_path / "runs" / "day-night" / "run.json").read_text())
    assert about["to"]["pictures"] == 5
    assert about["steps_per_epoch"] == 2, "5 pictures, batches of 4, the last one filled up"


def test_what_bad_input_gets(tmp_path, bamkit, monkeypatch):
    def refused(line, *words):
        result = bamkit(line, cwd=tmp_path, code=3)
        assert len(result.output.strip().splitlines()) <= 5, result.output
        for word in words:
            assert word in result.output, result.output

    refused("train", "none", "bamkit select")
    gan_parts.make_split(tmp_path, "happy", counts=(1, 0, 0))
    refused("train", "only happy")
    refused("train --from nowhere --to happy", "nowhere", "happy")
    gan_parts.make_split(tmp_path, "scary", counts=(3, 1, 1))
    refused(BASE, "only 1 picture")
    gan_parts.make_split(tmp_path, "happy", counts=(3, 1, 1))
    refused(f"{BASE} --crop 64", "64 px does not fit into pictures of 32 px", "--crop 28")
    refused(f"{BASE} --crop 30 --size 32", "multiple of 4", "--crop 28")
    refused(f"{BASE} --size 20", "too small")
    assert "1.5 is not in the range" in bamkit(f"{BASE} --ema 1.5", cwd=tmp_path, code=2).output
    refused(f"{BASE} --resume", "no run to resume")
    if not torch.cuda.is_available():
        refused("train --device cuda", "no CUDA device", "--device cpu")
    refused("train --device abacus", "abacus")
    (tmp_path / "runs").write_text("a file where the folder should be")
    refused(f"{BASE} --steps 2", "cannot be written")
    (tmp_path / "runs").unlink()
    (tmp_path / "bad.toml").write_text("widht = 3")
    refused(f"{BASE} --config bad.toml", "widht", "width")
    assert "0<=x<1" in bamkit(f"{BASE} --ema 1.5", cwd=tmp_path, code=2).output
    assert bamkit("train --resume --force", cwd=tmp_path, code=2)


def test_domains_that_share_pictures_are_refused(tmp_path, bamkit):
    gan_parts.make_split(tmp_path, "happy", counts=(4, 1, 1), first_mid=100)
    gan_parts.make_split(tmp_path, "scary", counts=(4, 1, 1), first_mid=103)
    result = bamkit(f"{BASE} --steps 2", cwd=tmp_path, code=3)
    assert "share 3 pictures (mid:103" in result.output
    assert "--disjoint-from happy" in result.output
    bamkit(f"{BASE} --steps 1 --allow-shared", cwd=tmp_path)

    def same_file(split, i, row):
        return row | {"original_sha256": "ab" * 32 if (split, i) == ("test", 0) else row["original_sha256"]}

    gan_parts.make_split(tmp_path, "happy", counts=(4, 1, 1), first_mid=100, change=same_file)
    gan_parts.make_split(tmp_path, "scary", counts=(4, 1, 1), first_mid=900, change=same_file)
    assert "share 1 picture (mid:904)" in bamkit(BASE, cwd=tmp_path, code=3).output


def test_kill_and_resume_give_bit_identical_losses(workspace):
    common = ("--steps", "20", "--pool", "4", "--diffaug", "--ema", "0.9", "--checkpoint-minutes", "0.002")
    whole, cut = workspace.run("whole"), workspace.run("cut")
    direct(workspace, "whole", steps=20, crop=28, pool=4, diffaug=True, ema=0.9, samples=2)
    rng = np.random.default_rng(int(time.time()))
    at = int(rng.integers(3, 12))
    process = spawn(workspace.root, "--name", "cut", *common)
    wait_for_rows(cut, at, process)
    process.kill()
    process.wait()
    assert len(rows(cut)) < 20
    kept = checkpoint.steps(cut)
    direct(workspace, "cut", resume=True, config=read_config(cut))
    assert losses(cut) == losses(whole), f"killed after row {at}, resumed from {kept[-1:]}"
    first, second = (checkpoint.newest(run)[1] for run in (whole, cut))
    for kind in ("generators", "averages"):
        for direction, weights in first[kind].items():
            for key, value in weights.items():
                assert torch.equal(value, second[kind][direction][key]), (kind, direction, key)
    assert torch.equal(first["pools"]["D_A"][0], second["pools"]["D_A"][0])


@pytest.mark.parametrize(
    "settings",
    [
        {"generator": "affine", "halvings": 2},
        {"method": "cut", "ema": 0.9},
        {"method": "cut", "fastcut": True, "generator": "affine", "halvings": 2},
        {"method": "santa", "blocks": 2, "diffaug": True, "ema": 0.9},
    ],
    ids=["affine", "cut", "affine fastcut", "santa"],
)
def test_every_generator_and_method_resumes_bit_identically(workspace, settings):
    settings = {"steps": 4, **settings}
    whole = direct(workspace, "whole", **settings).run
    cut = direct(workspace, "cut", checkpoint_minutes=1e-9, **settings).run
    checkpoint.path_of(cut, 4).unlink()
    direct(workspace, "cut", resume=True, config=read_config(cut))
    assert losses(cut) == losses(whole)
    first, second = (checkpoint.newest(run)[1] for run in (whole, cut))
    for kind in ("generators", "averages", "discriminators", "others"):
        for name, weights in (first.get(kind) or {}).items():
            assert all(torch.equal(value, second[kind][name][key]) for key, value in weights.items()), (kind, name)
    assert ("others" in first) == (settings.get("method") == "cut")


def test_sigterm_writes_a_checkpoint_and_says_how_to_go_on(workspace):
    process = spawn(workspace.root, "--steps", "5000", "--name", "long")
    run = workspace.run("long")
    wait_for_rows(run, 5, process)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=100)[0]
    assert "internal error" not in output
    assert process.returncode == 128 + signal.SIGTERM
    assert "bamkit train --resume --name long" in output
    step = checkpoint.steps(run)[-1]
    assert rows(run)[-1]["step"] == str(step)


def test_damaged_checkpoint_is_recognised_and_the_one_before_taken(workspace):
    run = direct(workspace, steps=6, checkpoint_minutes=1e-9).run
    assert checkpoint.steps(run) == [5, 6]
    last = checkpoint.path_of(run, 6)
    whole = last.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:], b""):
        last.write_bytes(damaged)
        with pytest.raises(checkpoint.DamagedError):
            checkpoint.read(last)
        generators = checkpoint.load_generators(run)
        assert generators.checkpoint_name == "step-00000005"
        assert "damaged" in generators.notes[0]
    said = []
    assert direct(workspace, steps=6, resume=True, said=said).step == 6
    assert any("step-00000006.pt is damaged" in line for line in said)
    for step in checkpoint.steps(run):
        checkpoint.path_of(run, step).write_bytes(b"PK")
    with pytest.raises(BamkitError, match="all 2 checkpoints"):
        checkpoint.load_generators(run)
    torch.save({"other": 1}, last)
    with pytest.raises(BamkitError, match="not a checkpoint"):
        checkpoint.read(last)


def test_last_best_and_every_kth_checkpoint_are_kept(workspace):
    result = direct(workspace, steps=40, keep=2, validations=10, checkpoint_minutes=0.001)
    assert result.best
    kept = checkpoint.steps(result.run)
    assert {16, 32, 40} <= set(kept), "8 pictures, so every second epoch is 16 steps"
    assert len(kept) <= 4
    lines = (result.run / "validation.csv").read_text().splitlines()
    scores = {int(row["step"]): float(row["score"]) for row in csv.DictReader(lines)}
    assert scores[result.best] == min(scores.values())
    assert checkpoint.load_generators(result.run, "best").step == result.best
    assert checkpoint.load_generators(result.run, "last").step == 40
    assert checkpoint.load_generators(result.run, "step-00000016").step == 16
    with pytest.raises(BamkitError, match="it has"):
        checkpoint.load_generators(result.run, "step-00000017")


def test_checkpoint_of_another_width_is_refused(workspace, bamkit):
    run = direct(workspace, steps=2).run
    refused = bamkit(f"-w {workspace.root} train --resume --name run --width 8", code=3)
    assert "width 4, not 8" in refused.output
    about = json.loads((run / "run.json").read_text())
    about["config"]["width"] = 8
    (run / "run.json").write_text(json.dumps(about))
    refused = bamkit(f"-w {workspace.root} train --resume --name run --steps 4 --device cpu", code=3)
    assert "run.json says width 8" in refused.output
    assert "was trained with 4" in refused.output
    with pytest.raises(BamkitError, match="another width"):
        checkpoint.load_weights(cyclegan.ResnetGenerator(8, 1), checkpoint.newest(run)[1]["generators"]["a_to_b"], "x")
    state = checkpoint.read(checkpoint.path_of(run, 2))
    state["config"]["blocks"] = 3
    with pytest.raises(BamkitError, match="number of blocks"):
        checkpoint.build(state, "x")


def test_nan_stops_with_step_loss_and_checkpoint_named(workspace, monkeypatch):
    original = state.TrainState.train_step
    bad = {7}

    def poisoned(self, step):
        original(self, step)
        if step in bad:
            self.losses[-1] = self.losses[-1].clone()
            self.losses[-1][2] = float("nan")

    monkeypatch.setattr(state.TrainState, "train_step", poisoned)
    with pytest.raises(BamkitError, match=r"step 8: cycle_A is nan.*step-00000007\.pt") as caught:
        direct(workspace, steps=10, checkpoint_minutes=1e-9)
    assert "--on-nan rollback" in caught.value.hint
    with pytest.raises(BamkitError, match="no checkpoint was written yet"):
        direct(workspace, steps=10, name="early")

    said = []

    def once(self, step):
        poisoned(self, step)
        bad.discard(step)

    bad.add(7)
    monkeypatch.setattr(state.TrainState, "train_step", once)
    result = direct(
        workspace, "second", said=said, steps=10, on_nan="rollback", checkpoint_minutes=1e-9, decay_epochs=0
    )
    assert result.step == 10
    assert "back to step 7, learning rate times 0.5" in said[-1]
    assert [row["step"] for row in rows(result.run)] == [str(n) for n in range(1, 11)]
    assert [float(row["lr"]) for row in rows(result.run)] == [2e-4] * 7 + [1e-4] * 3


def test_a_page_that_fails_does_not_cost_the_training(workspace, monkeypatch):
    from bamkit.gan.train.monitor import run_page

    def broken(folder):
        raise RuntimeError("the page is broken")

    monkeypatch.undo()
    monkeypatch.setattr(run_page, "write", broken)
    said = []
    assert direct(workspace, said=said, steps=2).step == 2
    assert "no page of the run is written: RuntimeError: the page is broken" in said


def test_a_full_disk_is_said_and_fatal_only_at_the_end(workspace, small_files):
    """torch reports a failed write as a RuntimeError about positions."""
    said = []
    with pytest.raises(BamkitError, match=r"step-00000004\.pt cannot be written: File too large") as caught:
        direct(workspace, said=said, steps=4, checkpoint_minutes=1e-9)
    assert "make room, then bamkit train --resume --name run" in caught.value.hint
    assert any("step 1: " in line and "step-00000001.pt cannot be written (File too large)" in line for line in said)
    assert not list(workspace.run("run").glob("checkpoints/*")), "nothing half-written is left"
    small_files()
    assert direct(workspace, steps=4, resume=True).step == 4


def test_a_full_disk_behind_tensorboard_does_not_end_a_training(workspace, small_files, capfd, monkeypatch):
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    monkeypatch.setattr(tensorboard.SummaryWriter, "__init__", functools.partialmethod(
        tensorboard.SummaryWriter.__init__, max_queue=1, flush_secs=0
    ))  # fmt: skip
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    said = []
    with pytest.raises(BamkitError, match=r"step-00000008\.pt cannot be written"):
        direct(workspace, said=said, steps=8, samples=8, tensorboard=True)
    assert "Traceback" not in capfd.readouterr().err
    assert sum("tfevents... cannot be written (File too large); training goes on" in line for line in said) == 1


def test_other_writers_errors_are_a_full_disk_too(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598\nframe #0")

    monkeypatch.setattr(torch, "save", fails)
    with pytest.raises(OSError, match="unexpected pos 704 vs 598"):
        checkpoint.write(tmp_path / "step-00000001.pt", {})


def test_what_killed_saves_have_left_is_swept(workspace):
    run = direct(workspace, steps=2).run
    left = [run / "checkpoints" / ".step-00000003.pt.123.tmp", run / ".run.json.123.tmp", run / "samples" / ".a.1.tmp"]
    (run / "samples").mkdir(exist_ok=True)
    for path in left:
        path.write_bytes(b"half")
    direct(workspace, resume=True, config=read_config(run))
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize(("name", "value"), [("learning_rate", 1e-3), ("seed", 7), ("lambda_identity", 0.0)])
def test_a_run_json_that_was_edited_is_noticed(workspace, name, value):
    run = direct(workspace, steps=2).run
    before = read_config(run).as_dict()[name]
    about = json.loads((run / "run.json").read_text())
    about["config"][name] = value
    (run / "run.json").write_text(json.dumps(about))
    with pytest.raises(BamkitError, match=f"run.json says {name} {value}.*was trained with {before}"):
        direct(workspace, resume=True, config=read_config(run))
    del about["config"][name]
    (run / "run.json").write_text(json.dumps(about))
    with pytest.raises(BamkitError, match=f"run.json holds no {name}, and .* was trained with {name} {before}"):
        direct(workspace, resume=True, config=read_config(run))
    about["config"] |= {name: before, "steps": 3, "samples": 1}
    (run / "run.json").write_text(json.dumps(about))
    assert direct(workspace, resume=True, config=read_config(run)).step == 3, "how long and how watched may change"


def test_domains_that_changed_places_are_noticed(workspace):
    run = direct(workspace, steps=1).run
    path, content, _ = checkpoint.newest(run)
    config, run_id = read_config(run), content["run_id"]
    checkpoint.refuse_mismatch(path, content, config, run_id, ("happy", "scary"), 1)
    with pytest.raises(BamkitError, match=r"from scary to happy, and .*was trained from happy to scary"):
        checkpoint.refuse_mismatch(path, content, config, run_id, ("scary", "happy"), 1)


@pytest.mark.parametrize("name", ["config", "run_id", "from", "to"])
@pytest.mark.parametrize("value", [None, [], 5])
def test_a_run_json_without_its_parts_is_said(tmp_path, name, value):
    about = {"config": {}, "run_id": "x", "from": {}, "to": {}}
    (tmp_path / "run.json").write_text(json.dumps(about))
    assert checkpoint.read_run_to_resume(tmp_path) == about
    (tmp_path / "run.json").write_text(json.dumps(about | {name: value}))
    with pytest.raises(BamkitError, match=rf"was changed: it (holds no {name}|is not what bamkit train writes)"):
        checkpoint.read_run_to_resume(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(BamkitError, match=r"run\.json was changed: it is not what bamkit train writes"):
        checkpoint.read_run_to_resume(tmp_path)


def test_a_run_json_that_does_not_name_its_pictures_is_said(workspace):
    about = json.loads((direct(workspace, steps=1).run / "run.json").read_text())
    assert [domain.name for domain in domains.find_again(workspace, about)] == ["happy", "scary"]
    for side in ("from", "to"):
        for key in ("kind", "name", "where"):
            part = {name: value for name, value in about[side].items() if name != key}
            for wrong in (part, part | {key: None}, part | {key: 3}):
                with pytest.raises(BamkitError, match=f"which pictures `{side}` names"):
                    domains.find_again(workspace, about | {side: wrong})


def test_a_run_json_that_names_its_pictures_otherwise_is_noted(workspace, tmp_path):
    about = json.loads((direct(workspace, steps=1).run / "run.json").read_text())
    assert not [note for domain in domains.find_again(workspace, about) for note in domain.notes if "run.json" in note]
    for other in ({"kind": "folder"}, {"where": str(tmp_path / "elsewhere")}):
        notes = [domain.notes[-1] for domain in domains.find_again(workspace, about | {"to": about["to"] | other})]
        assert notes[1].startswith(f"run.json says that scary is the {other.get('kind', 'split')} ")
        assert notes[1].endswith(f"the same pictures, by their ids, are in the split {workspace.split('scary')}")


@pytest.mark.parametrize("done", range(3))
def test_killed_while_the_best_checkpoint_is_written_no_older_one_is_called_best(workspace, monkeypatch, done):
    """Before the first, the second and no renaming: `translate` takes best.pt, a resumed run what has a number."""
    run = direct(workspace, steps=2, validations=1).run
    state = checkpoint.read(checkpoint.path_of(run, 2))
    renamed, replace = [], os.replace

    def die_or_replace(*arguments):
        if len(renamed) == done:
            raise KeyboardInterrupt
        renamed.append(arguments)
        replace(*arguments)

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(os, "replace", die_or_replace)
        checkpoint.write_best(run, 3, {**state, "step": 3})
    best = checkpoint.read(run / "checkpoints" / "best.pt")["step"]
    assert (best, checkpoint.steps(run)[-1]) == [(2, 2), (3, 2), (3, 3)][done]


def test_best_is_taken_where_all_numbered_checkpoints_are_damaged(workspace):
    result = direct(workspace, steps=6, validations=6, checkpoint_minutes=1e-9)
    run = result.run
    whole = (run / "checkpoints" / "best.pt").read_bytes()
    for step in checkpoint.steps(run):
        path = checkpoint.path_of(run, step)
        path.unlink()  # best.pt may be the same file
        path.write_bytes(b"PK")
    (run / "checkpoints" / "best.pt").write_bytes(whole)
    assert checkpoint.load_generators(run, "last").step == result.best
    said = []
    assert direct(workspace, resume=True, said=said, config=read_config(run)).step == 6
    assert any("is damaged" in line for line in said)
    for path in (run / "checkpoints").glob("*.pt"):
        path.write_bytes(b"PK")
    with pytest.raises(BamkitError, match="all 3 checkpoints"):
        checkpoint.newest(run)


def test_a_checkpoint_with_nan_weights_is_neither_written_nor_read(workspace, monkeypatch):
    original = state.TrainState.train_step
    bad = {4}

    def poisoned(self, step):
        original(self, step)
        if step in bad:
            with torch.no_grad():
                self.nets.G_B.head.bias.fill_(float("nan"))

    monkeypatch.setattr(state.TrainState, "train_step", poisoned)
    with pytest.raises(BamkitError, match=r"step 5: a weight of b_to_a is not finite.*step-00000004\.pt"):
        direct(workspace, steps=8, checkpoint_minutes=1e-9)
    run = workspace.run("run")
    assert checkpoint.steps(run) == [3, 4]
    bad.clear()
    content = checkpoint.read(checkpoint.path_of(run, 4))
    content["optimizers"]["generators"][0]["exp_avg"].fill_(float("inf"))
    checkpoint.write(checkpoint.path_of(run, 4), content)
    said = []
    assert direct(workspace, resume=True, said=said, config=read_config(run)).step == 8
    assert any("step-00000004.pt is damaged: a moment of the generators is not finite" in line for line in said)


def test_rollback_goes_one_further_back_where_the_last_checkpoint_led_to_nan_again(workspace, monkeypatch):
    original = state.TrainState.train_step
    times = [2]

    def poisoned(self, step):
        original(self, step)
        if step == 4 and times[0]:
            times[0] -= 1
            self.losses[-1] = torch.full_like(self.losses[-1], float("nan"))

    monkeypatch.setattr(state.TrainState, "train_step", poisoned)
    said = []
    result = direct(workspace, said=said, steps=6, on_nan="rollback", checkpoint_minutes=1e-9)
    assert result.step == 6
    back = [line for line in said if "back to step" in line]
    assert "back to step 4, learning rate times 0.5" in back[0]
    assert "back to step 3, learning rate times 0.25" in back[1]
    assert [row["step"] for row in rows(result.run)] == [str(n) for n in range(1, 7)]


def test_run_folder_in_use_is_refused(workspace):
    from bamkit.gan.train.monitor.run_folder import RunFolder

    held = RunFolder(workspace.run("run"))
    with pytest.raises(BamkitError, match="in use"):
        direct(workspace)
    held.close()
    assert direct(workspace, steps=1).step == 1


def test_length_in_minutes_follows_from_a_measured_step(workspace):
    said = []
    began = time.monotonic()
    result = direct(workspace, said=said, steps=0, minutes=0.05)
    assert 0.5 < time.monotonic() - began < 90, "three seconds, as measured at the start; other work may slow the rest"
    assert result.total > 5
    assert json.loads((result.run / "run.json").read_text())["steps"] == result.total == result.step
    factors = {float(row["lr"]) for row in rows(result.run)}
    assert min(factors) < 1e-4, "the rate has decayed over the run"


def test_out_of_memory_names_what_would_fit(workspace, monkeypatch):
    def exhausted(self, step):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(state.TrainState, "train_step", exhausted)
    config = gan_parts.tiny(batch=64)
    half = memory.needed(gan_parts.tiny(batch=20))
    monkeypatch.setattr(memory, "available", lambda device: half)
    with pytest.raises(BamkitError, match="out of memory") as caught:
        direct(workspace, batch=64, steps=2)
    assert "--batch 20 would fit" in caught.value.hint
    assert memory.needed(config) > half
    assert memory.activation_bytes(gan_parts.tiny(low_memory=True)) < 0.4 * memory.activation_bytes(gan_parts.tiny())


def test_settings_come_from_preset_file_and_flags_in_that_order(workspace, bamkit):
    (workspace.root / "mine.toml").write_text("[train]\nwidth = 6\nblocks = 2\nlambda-identity = 0.0\n")
    (workspace.root / "bamkit.toml").write_text("[train]\nseed = 5\n")
    bamkit(
        "train --preset quick --config mine.toml --blocks 1 --steps 2 --no-tensorboard --device cpu --samples 0",
        cwd=workspace.root,
    )
    config = json.loads((workspace.run("happy-scary") / "run.json").read_text())["config"]
    assert (config["width"], config["blocks"], config["lambda_identity"], config["seed"]) == (6, 1, 0.0, 5)
    assert config["steps"] == 2
    assert TrainConfig.from_dict(config) == TrainConfig(**config)


def test_tensorboard_events(workspace):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = direct(workspace, steps=4, samples=2, validations=2, tensorboard=True)
    events = EventAccumulator(str(result.run)).Reload()
    assert [e.step for e in events.Scalars("train/cycle_A")] == [1, 2, 3, 4]
    assert len(events.Images("samples/happy-to-scary")) == 2
    assert events.Scalars("validation/score")
