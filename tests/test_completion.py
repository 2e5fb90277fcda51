"""What a shell completes: commands, options, emotions, attributes, names in the workspace, and paths."""

import fcntl
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from bamkit.cli import root
from bamkit.common.workspace import Workspace, write_text

TABLE = Path(__file__).parents[1] / "docs/workspace.md"
SHELLS = {"bash": ["bash", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"], "fish": ["fish", "-i"]}


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
    return [item.value for item in completion.get_completions(list(before), incomplete) if item.type == "plain"]


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


class Shell:
    """An interactive shell on a terminal of its own, set up as the documentation says."""

    def __init__(self, name: str, home: Path) -> None:
        file, line = documented(name)
        environment = {**os.environ, "HOME": str(home), "TERM": "dumb", "PS1": "> "}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment["PYTHONPATH"] = str(TABLE.parents[1])
        for shadow in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "ZDOTDIR"):
            environment.pop(shadow, None)
        write_text(home / file.removeprefix("~/"), f"{line}\n")
        self.terminal, terminal = pty.openpty()
        self.process = subprocess.Popen(
            SHELLS[name],
            **dict.fromkeys(("stdin", "stdout", "stderr"), terminal),
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # a shell asks which process group is in front
        )
        os.close(terminal)
        if name != "fish":  # which reads the file by itself
            self.type(f". {file}\n")
        self.type("echo rea''dy\n", "ready")

    def type(self, keys: str, awaited: str = "") -> str:
        """Presses these keys; what the terminal showed until the awaited text, 60 seconds at most."""
        os.write(self.terminal, keys.encode())
        shown, end = "", time.monotonic() + 60
        while awaited and awaited not in shown and time.monotonic() < end:
            if select.select([self.terminal], [], [], 1)[0]:
                shown += os.read(self.terminal, 4096).decode(errors="replace")
        return shown

    def completed(self, line: str) -> str:
        """The line after the tabulator key, as `echo` prints it."""
        shown = self.type(f"{line}\t\x01echo '<<'\x05 '>>'\n", ">>\r\n")
        assert "Traceback" not in shown
        return " ".join(re.findall(r"<<(?!')(.*?)>>\r\n", shown)[-1:]).strip().rstrip("/")  # zsh takes the slash back

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


def documented(shell: str) -> tuple[str, str]:
    """The file and the line of a shell in the documentation's table."""
    row = re.search(rf"^\| {shell} \| `(.*?)` \| `(.*)` \|$", TABLE.read_text(), re.MULTILINE)
    assert row
    return row[1], row[2].replace("\\|", "|")


@pytest.mark.parametrize("name", SHELLS)
def test_a_real_shell_completes_after_the_documented_line(workspace, name):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    (workspace / "cat.jpg").touch()
    shell = Shell(name, workspace / "home")
    try:
        for line, wanted in (
            ("bamkit sel", "bamkit select"),
            ("bamkit select --sam", "bamkit select --sample"),
            ("bamkit select --sample r", "bamkit select --sample random"),
            ("bamkit translate ha", "bamkit translate happy-scary"),
            ("bamkit translate --input ca", "bamkit translate --input cat.jpg"),
            ("bamkit -w hom", "bamkit -w home"),
            ("bamkit exprot ha", "bamkit exprot ha"),
        ):
            assert shell.completed(line) == wanted
    finally:
        shell.close()


def test_completing_imports_neither_torch_nor_pandas(workspace):
    asked = {"_BAMKIT_COMPLETE": "bash_complete", "COMP_WORDS": "bamkit train --preset q", "COMP_CWORD": "3"}
    command = [sys.executable, "-X", "importtime", "-m", "bamkit"]
    done = subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "plain,quick"
    assert not re.findall(r"\| +(torch|pandas|numpy|pyarrow|PIL)$", done.stderr, re.MULTILINE)
