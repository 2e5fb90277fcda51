"""The command line as a whole: help, examples, the generated reference, how mistakes are shown."""

import importlib.util
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bamkit.cli import MODULES, root
from bamkit.common.workspace import Workspace

DOCS = Path(__file__).parents[1] / "docs"


def commands():
    context = click.Context(root, info_name="bamkit", **root.context_settings)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", command.commands[inner]) for inner in command.commands)


def test_every_promised_command_is_there():
    assert root.list_commands(click.Context(root)) == list(MODULES)


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_help_has_a_sentence_and_an_example(name, command, bamkit):
    text = bamkit(f"{name} --help").output
    assert command.get_short_help_str(), name
    assert f"bamkit {name}" in text.split("Example", 1)[-1], f"no example in: bamkit {name} --help"
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help, f"{name} {option.opts}"


def test_the_reference_is_what_the_commands_say():
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == module.reference(), "type: make reference"


@pytest.mark.slow
def test_help_answers_in_a_third_of_a_second():
    """Of processor time; on a slow machine in four times what it takes to import click alone."""

    def quickest(*words):
        times = []
        for _ in range(5):
            before = os.times()
            subprocess.run([sys.executable, *words], check=True, capture_output=True)
            after = os.times()
            times.append(after.children_user + after.children_system - before.children_user - before.children_system)
        return min(times)

    assert quickest("-m", "bamkit", "--help") < max(0.3, 4 * quickest("-c", "import click"))


@pytest.mark.parametrize(
    ("line", "says", "suggests"),
    [
        ("info", "no BAM database", "bamkit sample"),
        ("select --emotion happy", "no BAM database", "bamkit sample"),
        ("select --emotion hapy", "hapy", "did you mean happy"),
        ("select", "which images", "next: bamkit select --emotion happy"),
        ("balance", "there are 0", "next: bamkit select --emotion happy"),
        ("compare", "at least two", "next: bamkit train"),
        ("info", "no BAM database", "next: bamkit sample .   #"),
        ("train", "fetch", "hint: or give --from DIR --to DIR"),
        ("fetch", "no selection", "bamkit select"),
        ("train", "fetch", "bamkit"),
        ("translate", "run", "bamkit train"),
        ("evaluate", "run", "bamkit train"),
    ],
)
def test_an_empty_workspace_says_what_to_type(bamkit, tmp_path, line, says, suggests):
    output = bamkit(line, cwd=tmp_path, code=3).output
    assert says in output
    assert suggests in output
    assert all(line.startswith(("next: bamkit ", "hint: ")) for line in output.splitlines()[1:]), output
    assert list(tmp_path.iterdir()) == [], "a refused command must leave nothing behind"


def test_an_unknown_option_is_a_usage_error(bamkit, tmp_path):
    assert bamkit("select --emotoin happy", cwd=tmp_path, code=2)


@pytest.mark.parametrize(("typed", "meant"), [("selct", "select"), ("trian", "train"), ("translat", "translate")])
def test_a_misspelt_command_names_the_nearest(bamkit, typed, meant):
    assert f"Did you mean {meant}?" in bamkit(typed, code=2).output


def test_a_strange_command_is_a_usage_error(bamkit):
    assert "No such command 'xyzzy'" in bamkit("xyzzy", code=2).output


@pytest.mark.parametrize(
    ("text", "line", "says", "suggests"),
    [
        ("db = 3", "info", "db = 3 is no path", "db ="),
        ("[fetch]\nsize = 'big'", "fetch", "size = 'big': 'big' is not a valid integer", ""),
        ("[fetch]\nsize = [1, 2]", "fetch", "takes one value", ""),
        ("[fetch]\nsiez = 64", "fetch", "no option --siez", "did you mean size?"),
        ("[fecth]\nsize = 64", "info", "[fecth] belongs to no command", "did you mean fetch?"),
        ("siez = 64", "info", "no command has an option --siez", "did you mean size?"),
        ("[judge.train]\nepcohs = 3", "judge train", "no option --epcohs", "did you mean epochs?"),
    ],
)
def test_mistakes_in_bamkit_toml_are_named(bamkit, tmp_path, text, line, says, suggests):
    (tmp_path / "bamkit.toml").write_text(text)
    output = bamkit(line, cwd=tmp_path, code=3).output
    assert "bamkit.toml" in output
    assert says in output
    assert suggests in output
    assert len(output.strip().splitlines()) <= 2


def test_bamkit_toml_spells_options_as_the_command_line_does(bamkit, sample_workspace):
    (sample_workspace / "bamkit.toml").write_text(
        "no-mature = true\n[info]\njson = true\n[train]\nno-flip = true\n"
        "[select]\ntop = 8\ntest = 2\nvalidation = 2\nlicense = 'cc by*'\n"
    )
    assert bamkit("info", cwd=sample_workspace).output.startswith("{")
    bamkit("select --emotion happy", cwd=sample_workspace)
    import pyarrow.parquet as pq

    rows = pq.read_table(sample_workspace / "selections" / "happy.parquet").to_pylist()
    assert sum(row["split"] == "train" for row in rows) == 8
    assert {row["license"][:5] for row in rows} == {"cc by"}
    assert not any(row["mature"] for row in rows)


def test_negative_spellings_switch_off(tmp_path):
    from bamkit.commands.defaults import defaults
    from bamkit.commands.gan.train import command

    context = click.Context(command, info_name="train", **root.context_settings)
    assert defaults(context, Workspace(tmp_path, {"train": {"no-flip": True}}))["flip"] is False
    assert defaults(context, Workspace(tmp_path, {"train": {"flip": True}}))["flip"] is True


def test_a_database_may_lie_in_the_home_folder(bamkit, sample_workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(sample_workspace))
    (tmp_path / "bamkit.toml").write_text("db = '~/bam.sqlite'\n")
    assert "400 images" in bamkit("info", cwd=tmp_path).output
    (tmp_path / "bamkit.toml").write_text("[info]\ndb = '~/bam.sqlite'\n")
    assert "400 images" in bamkit("info", cwd=tmp_path).output


def test_a_workspace_that_is_a_file(bamkit, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "a workspace is a folder" in bamkit(f"info -w {tmp_path / 'file'}", code=3).output


@pytest.mark.parametrize("line", ["-w nowhere info", "fetch -w nowhere", "-w 'no where/at all' judge card"])
def test_a_workspace_that_is_not_there_is_named(bamkit, tmp_path, line):
    output = bamkit(line, cwd=tmp_path, code=3).output
    assert "there is no folder no" in output
    assert "next: mkdir " in output


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), KeyboardInterrupt("bamkit demo goes on from there")])
def test_ctrl_c_is_said_in_a_line_or_two(monkeypatch, tmp_path, stop):
    def stopped(*_):
        raise stop

    monkeypatch.setattr("bamkit.common.workspace.Workspace.database", stopped)
    result = CliRunner().invoke(root, ["-w", str(tmp_path), "info"])
    assert result.exit_code == 130
    assert result.output.strip().splitlines()[0] == "bamkit: interrupted"
    assert all(words in result.output for words in stop.args)


def test_a_file_where_a_folder_belongs_is_named(monkeypatch, sample_workspace):
    monkeypatch.delenv("BAMKIT_DEBUG", raising=False)
    (sample_workspace / "selections").write_text("x")
    words = ["-w", str(sample_workspace), "select", "--emotion", "happy", "--top", "8", "--test", "2"]
    result = CliRunner().invoke(root, words)
    assert result.exit_code == 3
    assert "selections: there is a file where bamkit needs a folder" in result.output


def test_no_color_is_honoured(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    click_command = click.Command("probe", callback=lambda: click.echo(click.style("plain", fg="red")))
    monkeypatch.setattr("bamkit.cli.Root.get_command", lambda *_: click_command)
    assert CliRunner().invoke(root, ["info"], color=True).output == "plain\n"


def test_bugs_are_one_line_too(monkeypatch, tmp_path):
    monkeypatch.delenv("BAMKIT_DEBUG", raising=False)
    monkeypatch.setattr("bamkit.common.workspace.Workspace.database", lambda *_: 1 / 0)
    result = CliRunner().invoke(root, ["-w", str(tmp_path), "info"])
    assert result.exit_code == 3
    assert "internal error" in result.output
    assert "BAMKIT_DEBUG" in result.output
    assert "Traceback" not in result.output


def test_broken_configuration_is_named(bamkit, tmp_path):
    (tmp_path / "bamkit.toml").write_text("size = = 3")
    output = bamkit("info", cwd=tmp_path, code=3).output
    assert "bamkit.toml is not valid TOML" in output


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("bamkit --help", 0),
        ("bamkit info", 3),
        ("bamkit info --nonsense", 2),
        ("bamkit verify --json", 1),
        ("bamkit sql 'select a.mid from modules a, modules b' --csv", 0),
    ],
)
def test_a_reader_that_leaves_does_not_change_the_exit_status(line, status, bamkit, sample_workspace):
    """Also where much more is printed than a pipe holds, and where errors go the same way."""
    bamkit("select --emotion happy --top 8 --test 2 --validation 2", cwd=sample_workspace)
    with sqlite3.connect(sample_workspace / "bam.sqlite") as database:
        database.execute("update scores set emotion_happy = emotion_happy - 1")
    where = sample_workspace if status != 3 else sample_workspace / "selections"
    typed = line.replace("bamkit", f"{sys.executable} -m bamkit")
    done = subprocess.run(
        ["bash", "-c", f"{{ {typed} 2>&1; echo $? >&3; }} 3>status | head -c 1"],
        cwd=where, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert (where / "status").read_text() == f"{status}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("line", ["--help", "info", "sql 'select * from scores' --csv"])
def test_a_full_disk_behind_standard_output_is_said(line, sample_workspace):
    typed = f"{sys.executable} -m bamkit {line}"
    done = subprocess.run(
        ["bash", "-c", f"{typed} > /dev/full"], cwd=sample_workspace, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == "bamkit: standard output cannot be written: No space left on device"
    assert len(done.stderr.splitlines()) == 2


def test_columns_of_wide_letters_and_accents_stay_in_line(capsys):
    from bamkit.common.terminal.console import print_table

    print_table([{"direction": "昼-to-夜", "n": 3}, {"direction": "e\u0301te\u0301", "n": 12}])
    assert capsys.readouterr().out.splitlines() == ["direction   n", "昼-to-夜    3", "e\u0301te\u0301        12"]


def test_one_next_step_a_line(capsys):
    from bamkit.common.terminal.console import print_next

    print_next("bamkit report", "bamkit train   # look first")
    assert capsys.readouterr().out == "next: bamkit report\nnext: bamkit train   # look first\n"


def test_progress_fits_the_terminal(monkeypatch):
    import io

    from bamkit.common.terminal.progress import Progress

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "40")
    screen = Terminal()
    with Progress("fetch", 1200, stream=screen) as progress:
        progress.update(1200, "14 missing, 3 waiting for a host that asked for a pause")
    assert "1,200/1,200" in screen.getvalue()
    assert max(len(line) for line in screen.getvalue().split("\r")) < 40
