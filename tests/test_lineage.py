"""Artefacts whose origin has changed: named with the command that renews them, and used with --stale only."""

import json
import warnings

import pytest
from domains import two_domains

from bamkit.common import lineage
from bamkit.common.errors import BamkitError, StaleWarning
from bamkit.common.provenance import sha256_file
from bamkit.common.shards import read_about, read_table, write_table
from bamkit.common.workspace import Workspace, shard_paths, write_text

BUILD = {"size": 32, "fit": "squash", "format": "jpeg", "quality": 95, "oversample": 1.5}


def change(path, **about):
    """Write a parquet file again with other provenance."""
    write_table(read_table(path), path, {**read_about(path), **about})


def change_split(workspace, name, **about):
    for path in shard_paths(workspace.split(name)):
        change(path, **about)


def write_json(path, content):
    write_text(path, json.dumps(content))


def write_run(workspace, name="happy-scary", run_id="r1"):
    """A run as train leaves it, on the splits as they lie there."""
    sides = {}
    for side, domain in (("from", "happy"), ("to", "scary")):
        about = lineage.split_about(workspace, domain)
        where = str(workspace.split(domain).resolve())
        sides[side] = {"kind": "split", "name": domain, "where": where, "build": BUILD} | {
            key: about[key] for key in ("split_id", "selection_id")
        }
    write_json(workspace.run(name) / "run.json", {"run_id": run_id, "name": name, **sides})
    write_text(workspace.run(name) / "checkpoints" / "step-00000010.pt", "")


def write_translations(workspace, name="happy-scary", checkpoint="step-00000010"):
    split_ids = {domain: lineage.split_about(workspace, domain)["split_id"] for domain in ("happy", "scary")}
    about = {"kind": "translation", "run": "happy-scary", "run_id": "r1", "checkpoint": checkpoint, "split": "test"}
    table = read_table(shard_paths(workspace.split("happy"), "test")[0], ["image", "mid"])
    write_table(table, workspace.translations / name / lineage.TRANSLATIONS, {**about, "split_ids": split_ids})


def write_evaluation(workspace, name="happy-scary"):
    table = workspace.translations / name / lineage.TRANSLATIONS
    split_ids = {domain: lineage.split_about(workspace, domain)["split_id"] for domain in ("happy", "scary")}
    about = {"run": name, "run_id": "r1", "split": "test", "split_ids": split_ids}
    about |= {"translations_sha256": sha256_file(table), "judge": {"sha256": "j1"}}
    write_json(workspace.reports / f"evaluate-{name}" / "metrics.json", about)


@pytest.fixture
def workspace(tmp_path):
    """selections, splits, a run, translations, an evaluation and a judge, all of them of each other."""
    workspace = two_domains(tmp_path)
    for name in ("happy", "scary"):
        change_split(workspace, name, split_id=f"id-{name}", build=BUILD)
    write_run(workspace)
    write_translations(workspace)
    write_json(workspace.root / "judge" / "card.json", {"sha256": "j1"})
    write_evaluation(workspace)
    return workspace


def everything(workspace):
    return [
        *lineage.stale_domains(workspace, ["happy", "scary"]),
        *lineage.stale_run(workspace, "happy-scary"),
        *lineage.stale_translations(workspace, "happy-scary"),
        *lineage.stale_evaluation(workspace, "happy-scary"),
    ]


def test_what_belongs_together_is_not_stale(workspace):
    assert everything(workspace) == []
    assert lineage.dependent_runs(workspace, "happy") == ["happy-scary"]


def test_files_without_ids_are_taken_as_they_are(workspace):
    change(workspace.selection("happy"), selection_id=None)
    write_json(workspace.run("happy-scary") / "run.json", {"name": "happy-scary"})
    write_json(workspace.reports / "evaluate-happy-scary" / "metrics.json", {})
    write_text(workspace.root / "judge" / "card.json", "no JSON")
    assert everything(workspace) == []


COMMANDS = ["check happy scary", "balance happy scary --no-database", "report --no-database",
            "judge train happy --output j", "export happy scary --to csv --output out", "train"]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_changed_selection_stops_what_reads_its_split(workspace, bamkit, command):
    change(workspace.selection("happy"), selection_id="another")
    shown = bamkit(command, cwd=workspace.root, code=3).output
    assert "splits/happy was fetched for another selection than selections/happy.parquet is now" in shown
    assert "next: bamkit fetch happy --force   # or --stale" in shown, "a run depends on the split"


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("command", COMMANDS[:3] + COMMANDS[4:5])
def test_stale_goes_on_all_the_same_and_says_so(workspace, bamkit, command):
    change(workspace.selection("happy"), selection_id="another")
    shown = bamkit(f"{command} --stale", cwd=workspace.root, code=None)
    assert shown.exit_code in (0, 1)
    assert shown.output.count("note: splits/happy was fetched for another selection") == 1


def test_stale_training_goes_on_too(workspace, bamkit, monkeypatch):
    from bamkit.gan.train import trainer

    change(workspace.selection("happy"), selection_id="another")
    monkeypatch.setattr(trainer, "train", lambda run, pair, *more, **how: pytest.exit(pair[0].name))
    with pytest.raises(pytest.exit.Exception, match="happy"):
        bamkit("train --stale --force", cwd=workspace.root)


def test_shards_of_two_fetches(workspace):
    change(shard_paths(workspace.split("scary"), "test")[0], split_id="half")
    [stale] = lineage.stale_domains(workspace, ["scary"])
    assert ("two fetches" in stale.message, stale.renew) == (True, "bamkit fetch scary")


def test_a_selection_made_apart_from_one_that_changed_is_noted(workspace):
    change(workspace.selection("scary"), inputs={"happy": "0123456789abcdef"})
    assert lineage.stale_domains(workspace, ["scary"]) == []
    change(workspace.selection("happy"), selection_id="another")
    [stale] = lineage.stale_domains(workspace, ["scary"])
    assert stale.harmless
    assert "made with another selection happy" in stale.message


def test_a_run_on_a_split_of_another_selection(workspace, bamkit):
    change(workspace.selection("happy"), selection_id="another")
    change_split(workspace, "happy", selection_id="another", split_id="new")
    [stale] = lineage.stale_run(workspace, "happy-scary")
    assert not stale.harmless
    assert "may be among those it saw" in stale.message
    assert stale.renew == "bamkit train --from happy --to scary --name happy-scary --force"


def test_a_run_on_a_split_fetched_at_another_size_names_what_brings_it_back(workspace):
    change_split(workspace, "happy", split_id="new", build={**BUILD, "size": 286, "fit": "crop"})
    [stale] = lineage.stale_run(workspace, "happy-scary")
    assert stale.harmless
    assert "(32 px then, 286 px now)" in stale.message
    assert stale.renew.startswith("bamkit fetch happy --size 32 --fit squash   # brings it back")


def test_resuming_on_other_pictures_names_what_brings_them_back(workspace):
    from bamkit.gan.train.data import domains

    run = json.loads((workspace.run("happy-scary") / "run.json").read_text())
    change_split(workspace, "scary", split_id="new", build={**BUILD, "size": 286})
    with pytest.raises(BamkitError, match="pictures of scary have changed") as error:
        domains.find_again(workspace, run)
    assert error.value.hint == "bamkit fetch scary --size 32   # brings them back"


def test_translations_of_another_training(workspace, bamkit):
    write_run(workspace, run_id="r2")
    for command in ("evaluate", "evaluate --user-study"):
        shown = bamkit(command, cwd=workspace.root, code=3).output
        assert "made by another training of run happy-scary" in shown
        assert "next: bamkit translate happy-scary --force   # or --stale" in shown


def test_translations_of_another_split(workspace):
    change_split(workspace, "scary", split_id="new", build={**BUILD, "size": 286})
    [stale] = lineage.stale_translations(workspace, "happy-scary")
    assert "another splits/scary than lies there now (32 px then, 286 px now)" in stale.message
    assert stale.renew == "bamkit translate happy-scary --force   # or: bamkit fetch scary --size 32"


def test_translations_of_an_earlier_checkpoint_are_noted(workspace):
    write_text(workspace.run("happy-scary") / "checkpoints" / "step-00000020.pt", "")
    [stale] = lineage.stale_translations(workspace, "happy-scary")
    assert stale.harmless
    assert "step-00000010, and run happy-scary has step-00000020 now" in stale.message
    write_translations(workspace, checkpoint="best")
    assert lineage.stale_translations(workspace, "happy-scary") == []


def test_translations_of_a_checkpoint_that_is_no_longer_the_best_are_noted(workspace):
    write_translations(workspace, checkpoint="best")
    change(workspace.translations / "happy-scary" / lineage.TRANSLATIONS, step=10)
    scores = workspace.run("happy-scary") / "validation.csv"
    write_text(scores, "step,score\n5,3.5\n10,2.5\n15,nan\n20,2.5\n")
    assert lineage.stale_translations(workspace, "happy-scary") == []
    write_text(scores, "step,score\n5,3.5\n10,2.5\n20,2.25\n")
    [stale] = lineage.stale_translations(workspace, "happy-scary")
    assert stale.harmless
    assert "the best checkpoint of run happy-scary, of step 10 then and of step 20 now" in stale.message
    write_text(scores, "by another program")
    assert lineage.stale_translations(workspace, "happy-scary") == []


def test_an_evaluation_of_other_translations_split_or_judge(workspace, bamkit):
    write_json(workspace.root / "judge" / "card.json", {"sha256": "j2"})
    [stale] = lineage.stale_evaluation(workspace, "happy-scary")
    assert (stale.harmless, "another judge" in stale.message) == (True, True)
    change_split(workspace, "happy", split_id="new")
    [stale] = lineage.stale_evaluation(workspace, "happy-scary")
    assert (stale.harmless, "on another splits/happy" in stale.message) == (False, True)
    write_translations(workspace, checkpoint="best")
    shown = bamkit("compare happy-scary other", cwd=workspace.root, code=3).output
    assert "the evaluation of happy-scary is of other translations than lie there now" in shown
    assert "next: bamkit evaluate happy-scary   # or --stale" in shown


def test_a_judge_of_other_splits_is_noted(workspace):
    card = {"trained_on": {"splits": {"happy": "id-happy"}}}
    assert lineage.stale_judge(workspace, card) == []
    change_split(workspace, "happy", split_id="new")
    [stale] = lineage.stale_judge(workspace, card)
    assert (stale.harmless, stale.renew) == (True, "bamkit judge train --force")


def test_the_library_warns_where_the_workspace_takes_what_is_stale(workspace):
    stale = lineage.Stale("this is old", "make it again")
    with pytest.raises(BamkitError, match="this is old"):
        lineage.require_current(workspace, [stale])
    with pytest.warns(StaleWarning, match=r"this is old \(renew it: make it again\)"):
        lineage.require_current(Workspace.open(workspace.root, stale=True), [stale])
    with warnings.catch_warnings(), pytest.raises(StaleWarning):
        warnings.simplefilter("error")
        lineage.require_current(workspace, [lineage.Stale("harmless", "", harmless=True)])
