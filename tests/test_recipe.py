"""Recipes: steps are shown, done ones are skipped, failures say how to go on; the demo and the study use them."""

import json
import shlex
from pathlib import Path

import pytest

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace
from bamkit.experiment.cost import measured_step
from bamkit.experiment.demo import MARK
from bamkit.experiment.demo import run as run_demo
from bamkit.experiment.recipe import Step, run, steps_of
from bamkit.experiment.settings import DemoConfig, StudyConfig


def test_done_steps_are_skipped_and_costs_are_not_counted(tmp_path, capfd):
    def expensive():
        raise AssertionError("the cost of a step that is done must not be measured")

    run([Step(("no-such-command",), "nothing to do", lambda: True, expensive)], tmp_path, "again")
    assert "$ bamkit no-such-command   (done already)" in capfd.readouterr().out


def test_a_step_is_shown_with_its_cost_before_it_runs(tmp_path, capfd):
    run([Step(("--version",), "see the version", lambda: False, lambda: "no time")], tmp_path, "again")
    out = capfd.readouterr().out
    assert out.index("(no time)") < out.index("$ bamkit --version") < out.index("bamkit, version")


def test_a_failing_step_says_how_to_go_on(tmp_path, capfd):
    with pytest.raises(BamkitError) as error:
        run([Step(("info",), "look", lambda: False)], tmp_path, "bamkit demo")
    assert "`bamkit info`" in error.value.message
    assert "bamkit demo" in error.value.hint
    assert "no BAM database" in capfd.readouterr().err


def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("bamkit.experiment.recipe.call", stopped)
    with pytest.raises(KeyboardInterrupt, match="bamkit demo"):
        run([Step(("info",), "look", lambda: False)], tmp_path, "bamkit demo")


def test_numbers_that_cannot_work_are_refused_before_anything_is_made():
    with pytest.raises(BamkitError, match="100 rows are too few") as error:
        DemoConfig(rows=100, top=500)
    rows = int(error.value.hint.split()[1])
    assert DemoConfig(rows=rows, top=500).rows == rows


def test_settings_of_the_users_own_workspace_do_not_reach_a_recipe(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("BAMKIT_WORKSPACE", str(tmp_path / "mine"))
    with pytest.raises(BamkitError):
        run([Step(("info",), "look", lambda: False)], tmp_path, "again")
    assert "mine" not in capfd.readouterr().err


def test_the_demo_keeps_away_from_other_peoples_folders(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(BamkitError, match="not a demo"):
        run_demo(tmp_path, force=True)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_a_demo_of_other_numbers_is_not_replaced_unasked(tmp_path):
    (tmp_path / MARK).write_text(json.dumps({"config": vars(DemoConfig(top=7)), "port": 1}))
    with pytest.raises(BamkitError, match="other settings"):
        run_demo(tmp_path)


@pytest.mark.parametrize("mark", ["", "[]", '{"config": 3}', '{"config": 3, "port": 1e999}'])
def test_a_damaged_mark_is_a_demo_to_make_anew(tmp_path, mark):
    (tmp_path / MARK).write_text(mark)
    with pytest.raises(BamkitError, match="other settings"):
        run_demo(tmp_path)


def test_the_demo_runs_in_the_folder_it_is_called_in(tmp_path, monkeypatch):
    """`bamkit demo .`: the sample is named by the folder's own name, one folder above it."""
    seen = []
    monkeypatch.setattr(
        "bamkit.experiment.recipe.run", lambda steps, root, *_, **__: seen.append((root, steps[0].words[:2]))
    )
    monkeypatch.setattr("bamkit.experiment.page.write_page", lambda *_: None)
    monkeypatch.setattr("bamkit.sample.SampleServer.start", lambda self: None)
    monkeypatch.setattr("bamkit.sample.SampleServer.__init__", lambda self, *_, **__: None)
    monkeypatch.setattr("bamkit.sample.SampleServer.stop", lambda self: None)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run_demo(Path()) == tmp_path / "here" / "reports" / "demo" / "index.html"
    assert seen[0] == (tmp_path, ("sample", "here"))
    assert seen[1] == (tmp_path / "here", ("info",))


def test_a_second_demo_in_the_folder_is_told_from_a_foreign_server(sample_template, monkeypatch):
    from bamkit.sample import SampleServer
    from bamkit.sample.database import sample_of

    monkeypatch.setattr("bamkit.experiment.demo._claim", lambda *_: sample_of(sample_template).port)
    monkeypatch.setattr("bamkit.experiment.recipe.run", lambda *_, **__: None)
    with SampleServer(sample_template), pytest.raises(BamkitError, match="cannot be opened") as error:
        run_demo(sample_template)
    assert "--force" in error.value.hint


def test_making_a_demo_anew_leaves_what_is_not_its_own(tmp_path):
    from bamkit.experiment.demo import FOLDERS, _remove

    for folder in (*FOLDERS, "mine"):
        (tmp_path / folder).mkdir()
    (tmp_path / MARK).write_text("{}")
    _remove(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_lines_can_be_pasted_into_a_shell():
    words = ("sample", "mein Gemälde (1)", "--contact", "it's me", "")
    assert shlex.split(Step(words, "why", lambda: False).line) == ["bamkit", *words]


def test_the_study_is_the_published_one():
    config = StudyConfig()
    assert config.counts == {"top": 1000, "test": 200, "validation": 50}
    lines = [step.line for step in steps_of(Workspace.open("nowhere"), config)]
    assert lines[0] == "bamkit select --emotion happy --top 1000 --test 200 --validation 50"
    assert "--from happy --to scary --name happy-scary --preset study" in next(x for x in lines if " train" in x[:14])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"source": "hapy"}, "hapy"),
        ({"target": "happy"}, "must differ"),
        ({"scale": 0}, "--scale"),
        ({"size": 8}, "--size"),
    ],
)
def test_a_study_that_cannot_be_is_refused(values, says):
    with pytest.raises(BamkitError, match=says):
        StudyConfig(**values)


def test_a_step_is_measured_on_this_machine():
    from bamkit.gan.train.settings import build

    assert 0 < measured_step(build("quick", None, {"width": 4}), 40, steps=1) < 60


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_small_demo_ends_with_a_page_and_goes_on_where_it_stopped(tmp_path, capfd):
    config = DemoConfig(rows=600, top=20, test=6, size=40, steps=20)
    page = run_demo(tmp_path / "demo", config)
    text = page.read_text()
    assert "happy to scary" in text
    assert text.count("<img") > 40
    capfd.readouterr()
    (tmp_path / "demo" / "translations" / "happy-scary" / "translations.parquet").unlink()
    run_demo(tmp_path / "demo", config)
    out = capfd.readouterr().out
    assert out.count("(done already)") == 8, "only the translation was missing"
