"""The experiment on the sample: the commands a user would type, served and shown, with a page at the end."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
from contextlib import closing
from pathlib import Path

from bamkit.common.errors import DAMAGED, BamkitError
from bamkit.common.workspace import Workspace, write_text
from bamkit.experiment import recipe
from bamkit.experiment.recipe import Step
from bamkit.experiment.settings import DemoConfig

MARK = ".bamkit-demo.json"
FOLDERS = (
    "selections", "originals", "splits", "missing", "runs", "translations", "reports", "index", "judge", "cache",
    "exports",
)  # fmt: skip


def run(root: Path, config: DemoConfig | None = None, force: bool = False) -> Path:
    """Run the demo in the folder `root` and return its page, `root/reports/demo/index.html`.

    A demo that was interrupted goes on where it stopped. Raises BamkitError if `root` holds something else, or if it
    holds a demo of other numbers and `force` is not given.
    """
    from bamkit.experiment.page import write_page  # numpy and more, once the steps are done
    from bamkit.sample import SampleServer

    root, config = root.resolve(), config or DemoConfig()
    port = _claim(root, config, force)
    workspace = Workspace(root)
    steps = [*_sample_steps(workspace, config, port), *recipe.steps_of(workspace, config)]
    again = "the same command again: it goes on from there"
    recipe.run(steps[:1], root.parent, again, of=len(steps))
    server = SampleServer(root, processes=2)
    try:
        server.start()
    except BamkitError as error:
        hint = f"if no other `bamkit demo` runs here: bamkit demo {shlex.quote(str(root))} --force, for another port"
        raise BamkitError(error.message, hint) from error
    try:
        recipe.run(steps[1:], root, again, after=1, of=len(steps))
    finally:
        server.stop()
    page = workspace.reports / "demo" / "index.html"
    write_page(workspace, config, page)
    return page


def _sample_steps(workspace: Workspace, config: DemoConfig, port: int) -> list[Step]:
    """What comes before the experiment. The first makes the workspace and is typed one folder above it."""
    words = ("sample", workspace.root.name, "--rows", str(config.rows), "--port", str(port))
    files = (workspace.root / "bam.sqlite", workspace.root / "bamkit.toml")
    return [
        Step(
            words,
            "make a stand-in for the database (BAM itself is given out on request only); the demo serves its pictures",
            lambda: all(path.exists() for path in files),
        ),
        Step(("info",), "see what is in the database", workspace.selection(config.domains[1]).exists),
    ]


def _claim(root: Path, config: DemoConfig, force: bool) -> int:
    """Make sure that `root` is ours to write in; the port of its image server, chosen when it is first made."""
    mark = root / MARK
    if root.exists() and any(root.iterdir()) and not mark.exists():
        raise BamkitError(f"{root} holds something that is not a demo", "bamkit demo ANOTHER-FOLDER")
    if mark.exists():
        try:
            marked = json.loads(mark.read_text(encoding="utf-8"))
            same, port = marked["config"] == vars(config), int(marked["port"])
        except DAMAGED:
            same, port = False, 0
        if same and not force:
            return port
        if not force:
            raise BamkitError(f"{root} holds a demo with other settings", "give --force to make it anew")
        _remove(root)
    port = _free_port()
    write_text(mark, json.dumps({"config": vars(config), "port": port}))
    return port


def _remove(root: Path) -> None:
    """Take away what a demo makes, and nothing else that lies in the folder."""
    for name in FOLDERS:
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ("bam.sqlite", "bamkit.toml", "index.html", MARK):
        (root / name).unlink(missing_ok=True)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
