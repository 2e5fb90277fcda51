"""All that only a GPU can show, in at most nine minutes: tests, ladder, kernels, batches, translation, curves.

    make gpu                                     # or: python benchmarks/gpu.py --out build/gpu
    python benchmarks/gpu.py --only ladder batches # these sections alone
    python benchmarks/gpu.py --device cpu        # a rehearsal of every line on a CPU, at toy sizes

Each section is a process of its own with a time limit of its own, since a failed capture leaves a CUDA context
unusable; where one fails or runs out of time the next begins. Everything is written as it comes: `SECTION.jsonl` (a
JSON line a row), `SECTION.txt` (what the section printed), and after every section `results.md` (the tables of all),
so that a cut-off loses nothing. Sections go from what must hold (gradients) to what is nice to know.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TESTS = ["-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", str(HERE.parent / "tests" / "test_gan_cuda.py")]
TABLES = {
    "ladder": ("rung", "batch", "ms", "ratio", "lowest", "highest", "failed"),
    "warm-up": ("rung", "seconds", "steps"),
    "batch": ("batch", "ms", "images_s", "tflops", "of_peak", "reserved"),
    "sustained": ("batch", "steps", "ms", "minutes_200_epochs"),
    "translate": ("way", "side", "seconds", "peak_mb", "largest", "mean"),
    "rate": ("what", "value", "unit"),
    "kernel": ("what", "layout", "dtype", "ms", "tflops"),
    "profile": ("kernel", "calls", "ms", "share"),
    "section": ("seconds", "status"),
}
"""Columns of each kind of row."""


@dataclass(frozen=True)
class Section:
    """A process, its time limit in seconds on a GPU, and variables of its environment."""

    name: str
    limit: int
    words: list[str]
    variables: dict[str, str]


def sections(cpu: bool, out: Path) -> list[Section]:
    """What is run, in this order."""
    device = ["--device", "cpu" if cpu else "cuda"]
    small = ["--crop", "32", "--width", "4", "--blocks", "1", "--pictures", "8", "--rounds", "1", "--count", "1"]
    train = [str(HERE / "train.py"), *device, *(small if cpu else [])]
    kernels = [str(HERE / "gpu_kernels.py"), *device, *(["--small"] if cpu else [])]
    eager = ["plain", "merged"] if cpu else ["plain", "+ merged", "+ channels_last", "+ bf16", "+ graph", "tf32, graph"]
    compiled = ["compile"] if cpu else ["+ compile", "baseline under Inductor"]
    side = ["--width", "4", "--blocks", "1"] if cpu else ["--width", "64"]
    sides = ("64", "96") if cpu else ("256", "2048")

    def section(name: str, limit: int, *words: str, **variables: str) -> Section:
        rows = [] if words[: len(TESTS)] == tuple(TESTS) else ["--json", str(out / f"{name}.jsonl")]
        return Section(name, limit, [words[0], *rows, *words[1:]], variables)

    everything = ["--everything"] if cpu else []
    return [
        section("rates", 20, *kernels, "rates"),
        section("gradients", 40, *TESTS, "-k", "not compile and not resuming"),
        section("ladder", 60, *train, "--only", *eager),
        section("compiled", 120, *train, *everything, "--only", *compiled),
        section("batches", 60, *train, "--batches", *(["1", "2"] if cpu else ["1", "2", "4", "8", "16", "32"])),
        section("sustained", 30, *train, "--sustained", "1" if cpu else "15"),
        section("kernels", 30, *kernels, "kernels"),
        section("profile", 40, *kernels, "profile"),
        section("layout", 60, *train, *everything, "--only", compiled[0], TORCHINDUCTOR_FORCE_LAYOUT_OPT="1"),
        *(
            section(f"translate-{s}", 30, str(HERE / "translate.py"), *device, *side, "--side", s)
            for s in sides
        ),
        section("curves", 60, *train, "--curves", "4" if cpu else "150", "--out", str(out)),
        section("resuming", 60, *TESTS, "-k", "compile or resuming", "--timeout", "55"),
    ]  # fmt: skip


def run(section: Section, limit: float, out: Path) -> str:
    """Run a section; returns `ok`, `out of time` or its exit status. Its output stands in a file, line by line."""
    with open(out / f"{section.name}.txt", "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, *section.words], stdout=file, stderr=subprocess.STDOUT, cwd=HERE.parent,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **section.variables}, start_new_session=True,
        )  # fmt: skip
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            # Compilation workers are processes of the section, too.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return "out of time"
    return "ok" if status == 0 else f"exit status {status}"


def about(device: str) -> dict[str, object]:
    """Device, clocks, versions and commit."""
    query = "name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit,temperature.gpu"
    facts: dict[str, object] = {"device": device, "argv": sys.argv[1:]}
    for name, words in (
        ("gpu", ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]),
        ("commit", ["git", "-C", str(HERE.parent), "rev-parse", "HEAD"]),
        ("changed", ["git", "-C", str(HERE.parent), "status", "--porcelain"]),
    ):
        try:
            facts[name] = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
        except (OSError, subprocess.TimeoutExpired) as error:
            facts[name] = f"unknown ({error})"
    return facts


def markdown(out: Path, facts: dict[str, object], done: list[dict[str, object]]) -> str:
    """The tables of all sections that were begun."""
    rows = [{"section": row["name"], "kind": "section", **row} for row in done]
    for row in done:
        path = out / f"{row['name']}.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        rows += [{"section": row["name"], **json.loads(line)} for line in lines]
    parts = [f"`{json.dumps(facts, sort_keys=True)}`"]
    for kind, columns in TABLES.items():
        of_kind = [row for row in rows if row["kind"] == kind]
        used = [c for c in ("section", *columns) if any(row.get(c) is not None for row in of_kind)]
        if not used:
            continue
        lines = [f"## {kind}", "", "| " + " | ".join(used) + " |", "|" + "---|" * len(used)]
        for row in of_kind:
            cells = [f"{v:,.4g}" if isinstance(v := row.get(c), float) else str("" if v is None else v) for c in used]
            lines.append("| " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/gpu"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--minutes", type=float, default=9, help="for all sections together")
    parser.add_argument("--only", nargs="+", default=[], help="names of sections")
    args = parser.parse_args()
    out: Path = args.out.resolve() / time.strftime("%Y%m%d-%H%M%S")
    out.mkdir(parents=True)
    end = time.monotonic() + 60 * args.minutes
    facts, done = about(args.device), []
    cpu = args.device == "cpu"
    for section in sections(cpu, out):
        if args.only and section.name not in args.only:
            continue
        began = time.monotonic()
        # On a CPU nothing is measured: a rehearsal has the time it needs.
        limit = 300 if cpu else min(section.limit, end - began)
        status = run(section, limit, out) if limit > 5 else "no time left"
        done.append({"name": section.name, "seconds": round(time.monotonic() - began, 1), "status": status})
        (out / "results.md").write_text(markdown(out, facts, done), encoding="utf-8")
        print(f"{section.name:14} {done[-1]['seconds']:6.1f} s  {status}", flush=True)
    print(out / "results.md")


if __name__ == "__main__":
    main()
