"""What a shell completes: commands, options, emotions, attributes, and the names that lie in the workspace."""

import pytest
from click.shell_completion import ShellComplete

from bamkit.cli import root
from bamkit.common.workspace import Workspace, write_text


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path)
    for name in ("happy", "scary-matched", "scary"):
        write_text(workspace.selection(name), "")
    for name in ("happy", "judge-happy"):
        write_text(workspace.split(name) / "train-00000-of-00001.parquet", "")
    write_text(workspace.run("happy-scary") / "run.json", "{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def completed(*words):
    *before, incomplete = words
    completion = ShellComplete(root, {}, "bamkit", "_BAMKIT_COMPLETE")
    return [item.value for item in completion.get_completions(list(before), incomplete)]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("tra", ["train", "translate"]),
        ("judge c", ["card"]),
        ("select --emotion ", ["gloomy", "happy", "peaceful", "scary"]),
        ("select --emotion sc", ["scary"]),
        ("study --to p", ["peaceful"]),
        ("select --attribute wat", ["watercolor"]),
        ("select --with media_v", ["media_vectorart"]),
        ("select --disjoint-from sc", ["scary", "scary-matched"]),
        ("select --match ", ["happy", "scary", "scary-matched"]),
        ("select --sample r", ["random"]),
        ("fetch ", ["happy", "scary", "scary-matched"]),
        ("verify happy scary-", ["scary-matched"]),
        ("diff happy s", ["scary", "scary-matched"]),
        ("check j", ["judge-happy"]),
        ("train --from j", ["judge-happy"]),
        ("train --resume --name h", ["happy-scary"]),
        ("judge train j", ["judge-happy"]),
        ("translate ", ["happy-scary"]),
        ("evaluate h", ["happy-scary"]),
        ("compare h", ["happy-scary"]),
        ("export happy --to hf h", ["happy", "happy-scary"]),
        ("select --no-", ["--no-mature"]),
    ],
)
def test_names_are_completed(workspace, line, values):
    assert completed(*line.split(" ")) == values


def test_names_are_those_of_the_workspace_that_is_named(workspace, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert completed("translate", "") == []
    assert completed("translate", "-w", str(workspace), "") == ["happy-scary"]
    assert completed("-w", str(workspace), "translate", "") == ["happy-scary"]


@pytest.mark.parametrize("broken", ["size = = 3", "[fecth]\nsize = 3"])
def test_a_broken_bamkit_toml_completes_nothing(workspace, broken):
    (workspace / "bamkit.toml").write_text(broken)
    assert completed("translate", "") in ([], ["happy-scary"])
