"""The tutorial, typed from top to bottom in one workspace: what it shows is what is printed."""

import re
import shlex
from pathlib import Path

import pytest
from conftest import free_port

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"


def steps():
    """Every command of the tutorial, with the lines that it shows below."""
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        for part in block.split("$ ")[1:]:
            command, *shown = part.strip().splitlines()
            yield command, [line for line in shown if line != "..."]


def test_the_tutorial_goes_the_whole_way():
    words = [command.split()[1] for command, _ in steps() if command.startswith("bamkit")]
    assert set(words) >= {"sample", "status", "select", "fetch", "balance", "report", "train", "translate", "evaluate"}
    assert sum(len(shown) for _, shown in steps()) > 8


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tutorial_can_be_typed(bamkit, tmp_path):
    from bamkit.sample import SampleServer

    folder, server = tmp_path, None
    try:
        for command, shown in steps():
            words = shlex.split(command)
            if words[0] == "cd":
                folder = folder / words[1]
                server = SampleServer(folder, processes=1)
                server.start()
                continue
            extra = ["--port", free_port()] if words[1] == "sample" else []
            output = bamkit([*words[1:], *extra], cwd=folder).output
            missing = [line for line in shown if line not in output.splitlines()]
            assert not missing, f"{command}\n{output}"
    finally:
        if server:
            server.stop()
    pages = ("reports/index.html", "runs/happy-scary/index.html", "reports/evaluate-happy-scary/index.html",
             "translations/happy-scary/happy-to-scary.png")  # fmt: skip
    assert all((folder / page).is_file() for page in pages)
