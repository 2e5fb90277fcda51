"""`bamkit study`: killed at every step it goes on; it never takes a rehearsal for the real thing; its page."""

import os
import re
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pytest

from bamkit.common.contract import missing_schema
from bamkit.common.errors import BamkitError
from bamkit.common.shards import write_table
from bamkit.common.workspace import Workspace
from bamkit.experiment.recipe import is_fetched
from bamkit.experiment.settings import StudyConfig
from bamkit.experiment.study import study

QUICK = ("--scale", "0.04", "--preset", "quick", "--size", "40", "--steps", "30")


def command(*flags):
    return [sys.executable, "-m", "bamkit", "study", *QUICK, *flags]


def killed_at(step, root):
    """Start the study and kill it, with its children, shortly after it has begun that step; what it had said."""
    process = subprocess.Popen(command(), cwd=root, stdout=subprocess.PIPE, text=True, start_new_session=True)
    said = []
    for line in process.stdout:
        said.append(line)
        if f"[{step}/10]" in "".join(said[-2:]) and line.lstrip().startswith("$"):
            time.sleep(0.5)
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return "".join(said)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_study_killed_at_every_kind_of_step_goes_on(sample_factory):
    from bamkit.sample import SampleServer

    workspace = sample_factory(rows=2000)
    with SampleServer(workspace):
        # The second, third and fourth are selections as the first is.
        before = 0
        for step in (1, 5, 6, 7, 8, 9, 10):
            said = killed_at(step, workspace)
            assert said.count("(done already)") >= max(before - 1, 0), said
            before = step
            begun = said[said.index(f"[{step}/10]") :].splitlines()[0]
            assert "(done already)" in said.splitlines()[-1] or re.search(r"\(.+\)$", begun), f"no cost: {begun}"
        done = subprocess.run(command(), cwd=workspace, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("(done already)") >= 9
        assert "the study's page" in done.stdout
        again = subprocess.run(command(), cwd=workspace, capture_output=True, text=True)
        assert again.stdout.count("(done already)") == 10
    page = (workspace / "reports" / "study-happy-scary" / "index.html").read_text()
    for words in ("Score distributions", "Examples by rank", "A rehearsal", "Successes", "Failures"):
        assert words in page
    other = subprocess.run([*command()[:4], "--scale", "0.1"], cwd=workspace, capture_output=True, text=True)
    assert other.returncode == 3
    assert "was begun here with other settings: bamkit study --scale 0.04 --preset quick" in other.stderr


def test_the_size_that_a_preset_trains_at_is_said():
    assert StudyConfig(preset="quick", size=64).pixels == "64 px, trained at 112"
    assert StudyConfig(preset="quick", size=112).pixels == "112 px"
    assert StudyConfig(size=286).pixels == "286 px"


def test_a_rehearsal_is_not_taken_for_the_study(sample_factory, bamkit):
    root = sample_factory(rows=600)
    bamkit("select --emotion happy --top 20 --test 4 --validation 4", cwd=root)
    with pytest.raises(BamkitError, match=r"a selection happy already, of other numbers \(20 train, 4 test, 4 valid"):
        study(Workspace.open(root), StudyConfig(), print)
    config = StudyConfig(scale=0.02, steps=5)
    with pytest.raises(BamkitError, match="--steps must be at least 0"):
        StudyConfig(steps=-1)
    mark = root / "reports" / "study-happy-scary" / "study.json"
    assert not mark.exists()
    mark.parent.mkdir(parents=True)
    mark.write_text('{"scale": 0.02}')
    with pytest.raises(BamkitError, match=r"other settings: bamkit study --scale 0\.02"):
        study(Workspace.open(root), config, print)


def test_a_fetch_that_met_a_dead_host_is_not_done(tmp_path):
    workspace = Workspace.open(tmp_path)
    path = workspace.missing("happy")
    assert not is_fetched(workspace, "happy")
    for outcome, done in (("host-down", False), ("gone", True)):
        row = {"mid": 1, "split": "train", "outcome": outcome}
        write_table(pa.Table.from_pylist([row], schema=missing_schema()), path, {})
        assert is_fetched(workspace, "happy") is done
