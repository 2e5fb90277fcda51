"""Names, defaults and writes that survive a kill."""

import os
import signal
import subprocess
import sys
import time

import pytest

from bamkit.common import contract, shards
from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace, atomic_path, checked_name, write_text


@pytest.mark.parametrize(
    "name",
    ["", "../up", "a/b", ".hidden", "-flag", "a\0b", "x" * 200, "冬" * 70, "a b", "e\u200b", "a\u202eb", "\ud800"],
)
def test_names_that_could_escape_are_refused(name):
    with pytest.raises(BamkitError):
        checked_name(name)


def test_names_of_any_script_are_names():
    for name in ("été", "冬", "день", "हिन्दी", "می\u200cخواهم", "a", "7", "happy_2.b-c"):
        assert checked_name(name) == name
    with pytest.raises(BamkitError) as error:
        checked_name("mein Urlaub, 2024")
    assert error.value.hint.endswith("such as mein-Urlaub--2024")
    with pytest.raises(BamkitError) as error:
        checked_name("\udcc3\udca9t\udcc3\udca9")  # what LC_ALL=C makes of été
    assert "'été'" in error.value.message
    assert "PYTHONUTF8=1" in error.value.hint


def test_an_interrupted_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("power cut")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    code = (
        "import sys, time; from pathlib import Path; from bamkit.common.workspace import atomic_path\n"
        f"with atomic_path(Path({str(path)!r})) as temporary:\n"
        "    temporary.write_text('half'); print('ready', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert path.read_text() == "old"
    (left,) = tmp_path.glob(".*.tmp")
    alive = tmp_path / f".file.txt.{os.getppid()}.tmp"
    alive.write_text("of a process that lives")
    lately = tmp_path / f".other.txt.{child.pid}.tmp"
    lately.write_text("perhaps of a process on another machine")
    for file in (left, alive):
        os.utime(file, (0, 0))
    code = (
        f"from pathlib import Path; from bamkit.common.workspace import write_text; write_text(Path({str(path)!r}), '')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert set(tmp_path.iterdir()) == {path, alive, lately}


def test_defaults_come_from_the_file_then_the_environment_then_the_line(tmp_path, monkeypatch):
    import click

    from bamkit.cli import root
    from bamkit.commands.options import pass_workspace

    (tmp_path / "bamkit.toml").write_text("[probe]\nsome-size = 7\n")

    @click.command("probe")
    @pass_workspace
    @click.option("--some-size", default=1)
    def probe(workspace, some_size):
        click.echo(f"{workspace.root} {some_size}")

    monkeypatch.setitem(sys.modules, "probe", type("M", (), {"command": probe}))
    monkeypatch.setattr("bamkit.cli.MODULES", {"probe": "probe"})
    from click.testing import CliRunner

    def run(*words, **env):
        return CliRunner(env=env).invoke(root, list(words), prog_name="bamkit").output.split()[-1]

    assert run("probe") == "1"
    assert run("-w", str(tmp_path), "probe") == "7"
    assert run("probe", "-w", str(tmp_path)) == "7"
    assert run("probe", BAMKIT_WORKSPACE=str(tmp_path)) == "7"
    assert run("probe", "-w", str(tmp_path), BAMKIT_PROBE_SOME_SIZE="8") == "8"
    assert run("probe", "-w", str(tmp_path), "--some-size", "9", BAMKIT_PROBE_SOME_SIZE="8") == "9"


def test_tables_are_byte_identical_and_carry_their_origin(tmp_path):
    import pyarrow as pa

    schema = contract.selection_schema()
    table = pa.Table.from_pylist([{"mid": 1, "src": "http://x/1.jpg", "rank": 1, "split": "train"}], schema=schema)
    for name in ("a", "b"):
        shards.write_table(table, tmp_path / name, {"kind": "selection", "b": 1, "a": [2]})
        time.sleep(0.01)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert shards.read_about(tmp_path / "a") == {"kind": "selection", "a": [2], "b": 1}
    assert shards.read_table(tmp_path / "a", ["mid"]).to_pylist() == [{"mid": 1}]


def test_a_foreign_file_is_named(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    for read in (shards.read_about, shards.read_table):
        with pytest.raises(BamkitError, match=r"x\.parquet") as error:
            read(tmp_path / "x.parquet")
        assert "make it again" in error.value.hint


def test_workspace_lists_what_is_there(tmp_path):
    workspace = Workspace.open(tmp_path)
    assert workspace.selection_names() == workspace.split_names() == workspace.run_names() == []
    write_text(workspace.split("happy") / "train-00000-of-00001.parquet", "")
    write_text(workspace.missing("empty"), "")
    write_text(workspace.run("r") / "run.json", "{}")
    assert workspace.split_names() == ["happy"]
    assert workspace.run_names() == ["r"]


@pytest.mark.parametrize(("name", "full"), [("happy", "emotion_happy"), ("Pen-Ink", "media_pen_ink")])
def test_short_forms(name, full):
    assert contract.attribute(name) == full


@pytest.mark.parametrize(("name", "near"), [("hapy", "happy"), ("emotion_gloom", "gloomy"), ("media_3d_graph", "3d")])
def test_misspelt_attributes_name_the_nearest(name, near):
    with pytest.raises(BamkitError) as error:
        contract.attribute(name)
    assert near in error.value.hint


@pytest.mark.parametrize(
    "line", ["check", "fetch", "select --emotion happy", "train", "translate", "evaluate", "report"]
)
def test_a_workspace_that_is_not_there_is_named(bamkit, tmp_path, line):
    shown = bamkit(f"-w {tmp_path / 'nope'} {line}", code=3).output
    assert f"bamkit: there is no folder {tmp_path / 'nope'}" in shown
    assert f"next: mkdir {tmp_path / 'nope'}" in shown
    assert not (tmp_path / "nope").exists()
