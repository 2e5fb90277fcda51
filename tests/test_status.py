"""`bamkit status`: what lies in a workspace, what is stale, what to type next."""

import json

import pytest
from domains import two_domains
from test_lineage import BUILD, change, change_split, write_evaluation, write_json, write_run, write_translations

from bamkit.common.status import status
from bamkit.common.workspace import Workspace, write_text


@pytest.fixture
def workspace(tmp_path):
    workspace = two_domains(tmp_path)
    for name in ("happy", "scary"):
        change_split(workspace, name, split_id=f"id-{name}", build=BUILD)
    return workspace


def named(found):
    return {(each.kind, each.name): each for each in found.artefacts}


def test_the_way_is_told_step_by_step(tmp_path, bamkit, sample_workspace):
    assert status(Workspace(tmp_path / "nothing")).next[0].startswith(f"bamkit sample {tmp_path / 'nothing'}")
    here = Workspace.open(sample_workspace)
    first, second = (f"bamkit select --emotion {name} --top 1000" for name in ("happy", "scary"))
    assert status(here).next == (first, second)
    bamkit("select --emotion happy --top 9 --test 2 --validation 2", cwd=sample_workspace)
    assert status(here).next == (second, "bamkit fetch")
    bamkit("select --emotion peaceful --top 9 --test 2 --validation 2", cwd=sample_workspace)
    assert status(here).next == ("bamkit fetch",)


def test_after_fetching(workspace):
    assert status(workspace).next == ("bamkit report", "bamkit train")
    write_text(workspace.reports / "index.html", "")
    write_run(workspace)
    about = json.loads((workspace.run("happy-scary") / "run.json").read_text())
    write_json(workspace.run("happy-scary") / "run.json", {**about, "steps": 20})
    assert status(workspace).next == ("bamkit train --resume --name happy-scary",)
    assert named(status(workspace))["run", "happy-scary"].contents == "10 of 20 steps"
    write_text(workspace.run("happy-scary") / "checkpoints" / "step-00000020.pt", "")
    assert status(workspace).next == ("bamkit translate happy-scary",)
    write_translations(workspace, checkpoint="step-00000020")
    assert status(workspace).next == ("bamkit evaluate happy-scary",)
    write_evaluation(workspace)
    assert status(workspace).next == ()


def test_a_judges_splits_are_no_domains(workspace):
    workspace.split("scary").rename(workspace.split("judge-scary"))
    workspace.selection("scary").unlink()
    assert status(workspace).next[0] == "bamkit select --emotion scary --top 1000"


def test_what_is_stale_comes_first(workspace, bamkit):
    write_run(workspace)
    write_translations(workspace)
    change(workspace.selection("happy"), selection_id="another")
    found = status(workspace)
    assert found.next[0] == "bamkit fetch happy --force"
    (stale,) = named(found)["split", "happy"].stale
    assert not stale.harmless
    shown = bamkit("status", cwd=workspace.root).output
    assert "splits/happy was fetched for another selection" in shown
    assert "next: bamkit fetch happy --force" in shown
    value = json.loads(bamkit("status --json", cwd=workspace.root).output)
    assert next(each["name"] for each in value["artefacts"] if each["stale"]) == "happy"
    assert value["next"] == list(found.next)


def test_damaged_files_are_said_and_stop_nothing(workspace):
    workspace.selection("happy").write_bytes(b"PAR1 and then nothing")
    write_text(workspace.run("broken") / "run.json", "{")
    write_text(workspace.run("odd") / "run.json", "[]")
    found = named(status(workspace))
    assert "is not a readable parquet file" in found["selection", "happy"].problem
    assert found["run", "broken"].problem.startswith("cannot be read")
    assert found["run", "odd"].problem.startswith("cannot be read")
    assert not found["selection", "scary"].problem


def test_nothing_is_written_and_no_password_is_shown(workspace):
    before = sorted(workspace.root.rglob("*"))
    status(workspace)
    assert sorted(workspace.root.rglob("*")) == before
    found = status(Workspace(workspace.root, {"db": "postgresql://ada:secret@host/bam"}))
    assert found.database == "postgresql://host/bam"
