"""Runs bamkit commands in processes that tell what they do to the files of a workspace, and may be killed at it.

    python tests/killing.py

reads a job a line (JSON) and forks: the child has all of bamkit imported already, becomes the leader of a session of
its own and calls the command line's main, as `python -m bamkit` does. Processes that it starts are watched as well, by
way of `sitecustomize` (see `site_of`).
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import random
import signal
import sys
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink", "sqlite3.connect"}
"""Events of sys.audit with a path as their first argument, beside `open`. What pyarrow writes is opened by C++ code
and seen only by the making of its folder before and the renaming after."""
VARIABLE = "KILLS_WATCH"


def watch(root: str, log: str, at: int, group: bool) -> None:
    """Append a byte to the file `log` for every change below `root`, just before it is made; at the byte number `at`
    kill the session's leader, and with `group` all its processes."""
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def changes(event: str, args: tuple[Any, ...]) -> bool:
        if event == "open":
            if not args[2] or not args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return False
        elif event not in CHANGES:
            return False
        path = args[0]
        return isinstance(path, str | bytes | Path) and str(Path(os.fsdecode(path)).absolute()).startswith(root)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if changes(event, args):
            os.write(handle, b".")
            if at and os.fstat(handle).st_size >= at:
                # What is raised here is raised where the file is opened, in a step that goes on without its leader.
                with contextlib.suppress(ProcessLookupError):
                    (os.killpg if group else os.kill)(os.getpgrp(), signal.SIGKILL)

    sys.addaudithook(hook)


def from_environment() -> None:
    """Watch as the environment says."""
    if job := os.environ.get(VARIABLE):
        watch(**json.loads(job))


def site_of(folder: Path) -> str:
    """A PYTHONPATH under which every Python watches as the environment says."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text("import killing\n\nkilling.from_environment()\n")
    here = Path(__file__).parent
    return os.pathsep.join([str(folder), str(here), str(here.parent)])


def import_all() -> None:
    """Everything that a command may import, but what is a program of its own."""
    import bamkit

    for module in pkgutil.walk_packages(bamkit.__path__, "bamkit."):
        if module.name.rpartition(".")[2] not in ("__main__", "worker", "probe", "cluster"):
            importlib.import_module(module.name)


def serve() -> bool:
    """Answer each job with the child's process id and then with how it ended; True in a child that is to begin."""
    import_all()
    print("ready", flush=True)
    while line := sys.stdin.readline():
        job = json.loads(line)
        if not (child := os.fork()):
            os.setsid()
            output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for number, handle in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
                os.dup2(handle, number)
            random.seed()
            sys.argv = ["bamkit", *job["words"]]
            os.environ.update(job["environment"])
            from_environment()
            return True
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return False


def alive(group: int) -> bool:
    """Whether any process of the group is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False


if __name__ == "__main__" and serve():
    from bamkit.cli import main

    main()
