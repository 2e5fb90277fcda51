"""The whole way on the sample: exactly the verbs a user would type, then one page that shows what came of them."""

from __future__ import annotations

import json
import math
import shlex
import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace, write_text
from bamkit.experiment import recipe
from bamkit.experiment.recipe import Step
from bamkit.experiment.study import finished

MARK = ".bamkit-demo.json"
FOLDERS = ("selections", "originals", "splits", "runs", "translations", "reports", "index", "judge", "cache", "exports")
DOMAINS = ("happy", "scary")
RUN = "happy-scary"


@dataclass(frozen=True)
class DemoConfig:
    """How large the demo is. The defaults take a few minutes on two CPU cores."""

    rows: int = 3000
    """Rows of the sample database."""
    top: int = 240
    """Training pictures of each domain."""
    test: int = 40
    """Test pictures of each domain."""
    size: int = 72
    """Edge of the fetched pictures in pixels."""
    steps: int = 0
    """Training steps; 0 keeps those of the preset."""

    def __post_init__(self) -> None:
        if min(self.rows, self.top, self.test, self.size) < 1 or self.steps < 0:
            raise BamkitError("the demo's numbers must be positive")
        # Both domains with their validation split and a reserve for dead links, and 5 % of the rows have no scores.
        least = math.ceil(2 * 1.15 * (self.top + self.test + 50) / 0.95)
        if self.rows < least:
            raise BamkitError(
                f"{self.rows:,} rows are too few for {self.top:,} + {self.test:,} + 50 pictures of each domain",
                f"--rows {least} or more",
            )


def run(root: Path, config: DemoConfig = DemoConfig(), force: bool = False) -> Path:
    """Run the demo in the folder `root` and return its page, `root/index.html`.

    A demo that was interrupted goes on where it stopped. Raises BamkitError if `root` holds something else, or if it
    holds a demo of other numbers and `force` is not given.
    """
    root = root.resolve()
    port = _claim(root, config, force)
    workspace = Workspace(root)
    todo = steps(workspace, config, port)
    again = "the same command again: it goes on from there"
    recipe.run(todo[:1], root.parent, again, of=len(todo))
    from bamkit.sample import SampleServer

    server = SampleServer(root, processes=2)
    try:
        server.start()
    except BamkitError as error:
        hint = f"if no other `bamkit demo` runs here: bamkit demo {shlex.quote(str(root))} --force, for another port"
        raise BamkitError(error.message, hint) from error
    try:
        recipe.run(todo[1:], root, again, after=1, of=len(todo))
    finally:
        server.stop()
    from bamkit.experiment.demo_page import write

    return write(workspace, DOMAINS, RUN)


def _claim(root: Path, config: DemoConfig, force: bool) -> int:
    """Make sure that `root` is ours to write in; the port of its image server, chosen when it is first made."""
    mark = root / MARK
    if root.exists() and any(root.iterdir()) and not mark.exists():
        raise BamkitError(f"{root} holds something that is not a demo", "bamkit demo ANOTHER-FOLDER")
    if mark.exists():
        try:
            made = json.loads(mark.read_text(encoding="utf-8"))
            same, port = made["config"] == vars(config), int(made["port"])
        except (ValueError, KeyError, TypeError):
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
    import shutil

    for name in FOLDERS:
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ("bam.sqlite", "bamkit.toml", "index.html", MARK):
        (root / name).unlink(missing_ok=True)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def steps(workspace: Workspace, config: DemoConfig, port: int) -> list[Step]:
    """The verbs in the order of the work, each with a test of whether its result is there.

    The first makes the workspace and is typed one folder above it; the others are typed in it.
    """
    sample = ("sample", workspace.root.name, "--rows", str(config.rows), "--port", str(port))
    select = ("--top", str(config.top), "--test", str(config.test))
    length = ("--steps", str(config.steps)) if config.steps else ()
    begun = (workspace.run(RUN) / "run.json").exists()
    train = ("train", "--resume") if begun else ("train", "--preset", "quick", *length)

    def there(*parts: str) -> recipe.Callable[[], bool]:
        return lambda: workspace.root.joinpath(*parts).exists()

    happy, scary = DOMAINS
    return [
        Step(
            sample,
            "make a stand-in for the database (BAM itself is given out on request only); the demo serves its pictures",
            lambda: there("bam.sqlite")() and there("bamkit.toml")(),
        ),
        Step(("info",), "see what is in the database", there("selections", f"{scary}.parquet")),
        Step(
            ("select", "--emotion", happy, *select),
            "freeze the images that are surest to be happy",
            there("selections", f"{happy}.parquet"),
        ),
        Step(
            ("select", "--emotion", scary, *select, "--disjoint-from", happy),
            "and those that are surest to be scary",
            there("selections", f"{scary}.parquet"),
        ),
        Step(
            ("fetch", "--size", str(config.size)),
            "download and resize them; some links are dead, as in life",
            lambda: all(workspace.shards(name, "test") for name in DOMAINS),
        ),
        Step(("report",), "look at what was chosen", there("reports", "index.html")),
        Step(
            train,
            "learn to change the mood",
            lambda: finished(workspace.run(RUN)),
        ),
        Step(
            ("translate",), "change the mood of the test pictures", there("translations", RUN, "translations.parquet")
        ),
    ]
