"""Two processes on gloo against one process with the joint batch."""

import csv
import os
import signal
import subprocess
import sys
import time

import gan_parts
import pytest
import torch
from conftest import free_port

from bamkit.gan.train import checkpoint, trainer
from bamkit.gan.train.data import domains
from bamkit.gan.train.methods.terms import METHODS


def torchrun(root, *words):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0",
        "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0",
        "-m", "bamkit", "-w", str(root), "train", *gan_parts.FLAGS.split(), *words,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def two_processes(root, *words):
    """What both say in the end: started as torchrun does, without torchrun itself, which imports torch once more."""
    meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bamkit", "-w", str(root), "train", *gan_parts.FLAGS.split(), *words]
    both = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **meet, "RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in "01"
    ]
    output = "".join(process.communicate(timeout=500)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0], output
    return output


def rows(run):
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("method", ["cyclegan", "cut", "santa"])
def test_two_processes_have_the_gradients_of_one_with_the_joint_batch(tmp_path, monkeypatch, method):
    monkeypatch.setattr("bamkit.gan.train.monitor.monitor.Monitor.pages", lambda self: None)
    workspace = gan_parts.make_workspace(tmp_path, counts=(8, 1, 1))
    words = ("--method", method, "--batch", "2", "--steps", "1", "--name", "two", "--keep", "0")
    output = two_processes(tmp_path, *words)
    assert output.count("next: bamkit translate two") == 1, "one process prints"
    pool = {"pool": 50} if method == "cyclegan" else {}
    config = gan_parts.tiny(method=method, batch=4, steps=1, crop=28, samples=0, validations=0, **pool)
    pair = domains.find_pair(workspace, None, None)
    one = trainer.train(workspace.run("one"), pair, config, "cpu", say=lambda _: None).run
    for ours, theirs in zip(rows(workspace.run("two")), rows(one), strict=True):
        for name in METHODS[method].losses:
            assert float(ours[name]) == pytest.approx(float(theirs[name]), rel=1e-4), (ours["step"], name)
    two, single = (checkpoint.newest(workspace.run(name))[1] for name in ("two", "one"))
    # After one step Adam's first moment is half the gradient.
    for kind in single["optimizers"]:
        for number, entry in single["optimizers"][kind].items():
            other = two["optimizers"][kind][number]["exp_avg"]
            scale = entry["exp_avg"].abs().max()
            torch.testing.assert_close(other, entry["exp_avg"], rtol=1e-4, atol=float(scale) * 1e-4)
    for pool in two["pools"].values():
        assert len(pool) == 2, "each process has a pool of its own"
        assert not torch.equal(*pool)
    assert bool(two["pools"]) == (method == "cyclegan")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_stop_together_and_resume(tmp_path, bamkit):
    workspace = gan_parts.make_workspace(tmp_path)
    run = workspace.run("two")
    process = torchrun(tmp_path, "--steps", "4000", "--name", "two", "--pool", "2")
    deadline = time.monotonic() + 500
    while time.monotonic() < deadline and not (run.is_dir() and (run / "metrics.csv").exists() and len(rows(run)) > 25):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=500)[0]
    assert "bamkit train --resume --name two" in output, output
    assert output.count("4,000 steps of") == 1, "one process tells"
    step = checkpoint.steps(run)[-1]
    two_processes(tmp_path, "--resume", "--name", "two", "--steps", str(step + 3))
    assert [int(row["step"]) for row in rows(run)] == list(range(1, step + 4))
    alone = bamkit(f"train --resume --name two {gan_parts.FLAGS}", cwd=tmp_path, code=None)
    assert "was trained by 2 processes" in alone.output


PEER = """
import os, sys, torch
import torch.distributed as dist
from bamkit.common.errors import BamkitError
from bamkit.gan.train.device.distributed import ProcessGroup
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
group = ProcessGroup(rank, 2)
group.barrier()
if rank:
    os._exit(9)
for call in (lambda: group.mean(torch.ones(2)), lambda: group.maximum(1, torch.device("cpu")), group.barrier,
             lambda: group.all_gather(torch.ones(2)), lambda: group.broadcast(torch.ones(2))):
    try:
        for _ in range(5):
            call()
    except BamkitError as error:
        print(error.message, "|", error.hint)
os._exit(0)
"""


@pytest.mark.slow
def test_a_process_that_dies_is_said_to_the_others(tmp_path):
    words = [sys.executable, "-c", PEER]
    both = [
        subprocess.Popen([*words, str(rank), str(tmp_path / "meet")], stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    output = both[0].communicate(timeout=300)[0]
    both[1].wait()
    lines = output.splitlines()
    assert len(lines) >= 3, output
    for line in lines:
        assert line.startswith("another process of this training has ended")
        assert "--resume" in line
