"""Mutated files of a workspace, pictures and HTTP answers, as users would meet them: what a command makes of each.

    python tests/fuzz_workspace.py FOLDER --seconds 600 --seed 0
    python tests/fuzz_workspace.py FOLDER --only 123 124        # cases by their number, again

Most cases damage one file of a small workspace (fuzz_world.READERS) and run a command that reads it; the others decode
thirty damaged pictures as fetch does, or fetch three pictures from a server whose answers are damaged. A line a case is
printed before it runs, so that the last line names a case that took the process with it (as one does that computes for
more than a minute), and a JSON summary at the end: cases and failures by kind, the memory that the process held along
the way in MB.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import hashlib
import io
import json
import os
import random
import re
import resource
import shlex
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from click.testing import CliRunner
from fetching import write_selection
from fuzz_mutations import NASTY, damaged, damaged_bytes
from fuzz_world import FETCH, READERS, build
from misbehaving import Server, garbage
from PIL import Image
from test_fetch_fuzz import ANSWERS, LIMITS, SAMPLES
from test_fetch_fuzz import NASTY as NASTY_WEB

from bamkit.cli import root
from bamkit.common.pictures.reader import quiet_decoders
from bamkit.curate.fetch.faults import FAULTS, Fault
from bamkit.curate.fetch.settings import PictureSettings
from bamkit.curate.fetch.splits.picture import build as build_picture

LONGEST, WAITING, GROWTH = 60, 300, 400_000_000
"""Seconds that a case may compute and may take, and bytes that the process may grow by after the first cases."""
WARM_UP = 100
PICTURES = 30
"""A case of the kind `picture`."""
RULES = [
    b"User-agent: *\nDisallow: /private\nCrawl-delay: 0\n",
    b'[{"location": "/*.jpg$", "tdm-reservation": 0}, {"location": "/b", "tdm-reservation": 1}]',
    b"User-Agent: *\nDisallow: *.gif\n",
]
ANSWERS_SOON = [answer for answer in ANSWERS if b" 429 " not in answer]
"""A host that says 429 is waited for, which takes minutes."""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s"
UPDATED = re.compile(
    r"info|forget \d|train --resume|fetch |export .*--output exports|evaluate|translate happy-scary --device"
)
"""Commands that write files of the workspace anew; all others leave the damaged file as it is."""


def kind_of(name):
    """The kind of a file, as the summary counts it."""
    kinds = {".pt": "checkpoint", ".pth": "weights", ".safetensors": "weights", ".png": "picture", ".jpg": "picture"}
    return kinds.get(Path(name).suffix, Path(name).suffix[1:])


def hashes(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}


def linked(source, target):
    """A file of the workspace in a copy of it: the same file, but where commands write into it."""
    name = Path(source).name
    if name in ("ledger.sqlite", "lock.sqlite", ".lock", "metrics.csv"):
        shutil.copyfile(source, target)
    else:
        os.link(source, target)


def said_well(line, folder):
    """Run a command; what is wrong with how it ended, "" if nothing is."""
    os.chdir(folder)
    result = CliRunner().invoke(root, shlex.split(line), catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"{type(result.exception).__name__}: {result.exception}"
    if "internal error" in result.output or "Traceback" in result.output:
        return result.output[-400:]
    if result.exit_code not in (0, 1, 2, 3):
        return f"exit status {result.exit_code}"
    if result.exit_code == 3 and len(result.output.strip().splitlines()) > 12:
        return f"a long refusal: {result.output}"
    return ""


def check_file(pristine, scratch, draw, number):
    """A command on a workspace with one damaged file: its kind, and what is wrong."""
    name = draw.choice(sorted(READERS))
    line = draw.choice([*READERS[name], *READERS[name], "status"])
    print("case", number, name, "|", line, flush=True)
    workspace = scratch / "workspace"
    shutil.copytree(pristine, workspace, copy_function=linked)
    data = damaged(Path(name), (pristine / name).read_bytes(), draw, scratch / "scratch.sqlite")
    (workspace / name).unlink()
    (workspace / name).write_bytes(data)
    wrong = said_well(line, workspace)
    if not wrong and not UPDATED.match(line) and (workspace / name).read_bytes() != data:
        wrong = "the damaged file was changed"
    return kind_of(name), wrong


def check_pictures(draw, number):
    """Damaged pictures give a picture of the right size, or a named fault."""
    print("case", number, "pictures", flush=True)
    for _ in range(PICTURES):
        data = damaged_bytes(draw.choice(SAMPLES), draw, NASTY_WEB)
        try:
            made, header = build_picture(data, PictureSettings(size=32), LIMITS)
        except Fault as fault:
            if fault.name not in FAULTS:
                return "picture", f"a fault without a name: {fault}"
            continue
        except Exception as error:
            return "picture", f"{type(error).__name__}: {error}"
        with Image.open(io.BytesIO(made.data)) as image:
            image.load()
        if (made.width, made.height) != (32, 32) or header.width * header.height > LIMITS.max_pixels:
            return "picture", f"{made.width} x {made.height} from {header.width} x {header.height}"
    return "picture", ""


def check_answers(server, scratch, draw, number):
    """A fetch of three pictures from a host whose answers, and rules, are damaged; then what it wrote is read."""
    print("case", number, "answers", flush=True)
    workspace = scratch / "workspace"
    for index in range(3):
        server[f"/answer-{index}.jpg"] = garbage(damaged_bytes(draw.choice(ANSWERS_SOON), draw, NASTY_WEB))
    body = damaged_bytes(draw.choice(RULES), draw, NASTY)
    answer = ANSWER % (len(body), body)
    server.rules = garbage(damaged_bytes(answer, draw, NASTY_WEB) if draw.random() < 0.3 else answer)
    write_selection(workspace, "small", [server.url(f"/answer-{index}.jpg") for index in range(3)], 2, 1)
    wrong = said_well(f"{FETCH} --seconds 0.5", workspace) or said_well("status", workspace)
    server.rules = None
    return "HTTP answer", wrong


def check(pristine, scratch, server, number):
    """One case: its kind, and what is wrong with its end, "" if nothing is."""
    draw = random.Random(number)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    signal.setitimer(signal.ITIMER_PROF, LONGEST)
    signal.setitimer(signal.ITIMER_REAL, WAITING)
    try:
        match draw.randrange(8):
            case 0:
                with quiet_decoders(LIMITS.max_pixels):
                    return check_pictures(draw, number)
            case 1:
                return check_answers(server, scratch, draw, number)
            case _:
                return check_file(pristine, scratch, draw, number)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def held():
    """Megabytes that this process holds now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    return round(pages * resource.getpagesize() / 1e6)


def fuzz(folder, seconds, seed, only=()):
    """Cases until the time is over, or `only` those; a summary."""
    for sign in (signal.SIGPROF, signal.SIGALRM):
        faulthandler.register(sign, chain=True)
    with Server() as server:
        pristine = build(folder / "pristine", server)
        before, failures, cases, wrongs, memory, base = hashes(pristine), [], Counter(), Counter(), [], 0
        begun = time.monotonic()
        numbers = iter(only) if only else iter(range(seed, seed + 10**9))
        while time.monotonic() < begun + seconds and (number := next(numbers, None)) is not None:
            kind, wrong = check(pristine, folder / "scratch", server, number)
            cases[kind] += PICTURES if kind == "picture" and not wrong else 1
            if wrong:
                wrongs[kind] += 1
                failures.append([number, wrong])
                print("WRONG", number, wrong, flush=True)
            if (number - seed) % WARM_UP == WARM_UP - 1:
                memory.append(held())
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            base = peak if number == seed + WARM_UP else base
            if base and peak > base + GROWTH:
                failures.append([number, f"grew to {peak / 1e6:.0f} MB"])
                break
        if hashes(pristine) != before:
            failures.append([seed, "a file that was not damaged was changed in place"])
    minutes = {"seconds": round(time.monotonic() - begun), "processor": round(time.process_time())}
    return {**minutes, "cases": dict(sorted(cases.items())), "wrong": dict(wrongs), "MB": memory, "failures": failures}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="+", default=())
    given = parser.parse_args()
    os.environ.pop("BAMKIT_DEBUG", None)
    summary = fuzz(given.folder.absolute(), given.seconds, given.seed, given.only)
    print(json.dumps(summary), flush=True)
    sys.exit(bool(summary["failures"]))
