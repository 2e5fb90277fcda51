"""How select, info and the database report do on a file of BAM's size, beside bare SQLite and the pandas way.

    python benchmarks/selection.py [--rows N] [--repeats N] [--without-pandas] [--only WORD ...]

Every measurement is a fresh process whose wall time, CPU time and greatest memory are taken; rivals run in turn, and
the medians are compared. "in the process" leaves out the start of Python and its imports, which bare SQLite has not. On
a machine whose pace changes from one process to the next, the ratio by turns in one process says more; what select()
imports late has been imported there.
The bars: select at most 1.5 times the bare query for the ids, 1.2 s as a command and under 250 MB; info and the
database report at most 25 s cold, the report 4 s with the counts that info has kept, under 600 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PARTS = ("select", "cold", "report", "export", "pandas")
BARE = """
import sqlite3, sys, time
base = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
began = time.perf_counter()
ids = base.execute("select mid from scores order by emotion_happy desc limit 1000").fetchall()
print(time.perf_counter() - began, len(ids))
"""
JOIN_FIRST = BARE.replace(
    "select mid from scores order by", "select s.mid, m.src from scores s join modules m on m.mid = s.mid order by"
)
IMPORTS = """
import sqlite3, sys, time
import pandas, pyarrow.parquet, sqlalchemy.dialects.sqlite
from bamkit.curate.database.connection import Database
from bamkit.curate.select.query import Query
from bamkit.curate.select.manifest import select
"""
OURS = f"""{IMPORTS}
began = time.perf_counter()
with Database.open(sys.argv[1]) as database:
    chosen = select(database, Query(emotion="happy", top=1000))
print(time.perf_counter() - began, len(chosen.table))
"""
PAIRED = f"""{IMPORTS}
base = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True)
def bare():
    base.execute("select mid from scores order by emotion_happy desc limit 1000").fetchall()
def ours():
    with Database.open(sys.argv[1]) as database:
        select(database, Query(emotion="happy", top=1000))
def timed(function):
    began = time.perf_counter()
    function()
    return time.perf_counter() - began
ours()
print(*(timed(ours) / timed(bare) for _ in range(int(sys.argv[2]))))
"""
LABELS = """
import sys, time
from bamkit.curate.database.connection import Database
from bamkit.curate.select import labels
from bamkit.curate.select.query import Query
from bamkit.curate.select.manifest import select
if sys.argv[2] == "view":
    labels.row_wise = lambda *_: ""
with Database.open(sys.argv[1]) as database:
    began = time.perf_counter()
    chosen = select(database, Query(emotion="happy", top=1000))
print(time.perf_counter() - began, len(chosen.table))
"""
PANDAS = """
import sqlite3, sys, time
import pandas as pd
began = time.perf_counter()
base = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
whole = pd.read_sql("select * from modules", base).merge(pd.read_sql("select * from scores", base), on="mid")
labels = pd.read_sql("select * from automatic_labels", base)
whole = whole.merge(labels, on="mid", suffixes=("_score", ""))
best = whole.sort_values("emotion_happy_score", ascending=False).head(1000)
counts = {name: whole[name].value_counts() for name in labels.columns[1:]}
positive = (whole[labels.columns[1:]] == "positive").astype("float32").to_numpy()
together = positive.T @ positive
print(time.perf_counter() - began, len(best))
"""


def measure(command: list[str], folder: Path) -> dict[str, float]:
    """Wall and CPU seconds and peak MB of one process; `inside` is what it printed of its own time, if it did."""
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        out, error = child.stdout.read(), child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} failed:\n{error}")
    wall = time.perf_counter() - began
    first = out.split()[:1]
    inside = float(first[0]) if first and first[0].replace(".", "").replace("e-", "").isdigit() else wall
    megabytes = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return {"wall": wall, "inside": inside, "cpu": usage.ru_utime + usage.ru_stime, "megabytes": megabytes}


def in_turn(rivals: dict[str, list[str]], folder: Path, repeats: int) -> dict[str, dict[str, float]]:
    """The medians, the best time and the greatest memory of rivals that run one after the other, `repeats` times."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, command in rivals.items():
            found[name].append(one := measure(command, folder))
            # As it goes, so that a run that is cut off has still said something.
            said = f"{one['inside']:.2f} s, {one['cpu']:.2f} s of processor time, {one['megabytes']:,.0f} MB"
            print(f"{name}: {said}", file=sys.stderr, flush=True)
    return {
        name: {
            **{key: statistics.median([one[key] for one in runs]) for key in runs[0]},
            "best": min(one["inside"] for one in runs),
            "megabytes": max(one["megabytes"] for one in runs),
        }
        for name, runs in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="Default: as many as the 2.2m release.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--without-pandas", action="store_true", help="It needs some 6 GB.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="Leave the rest out.")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    # In another process: a child is charged with the memory that its parent had when it was started.
    maker = [sys.executable, str(Path(__file__).with_name("bigfile.py")), "--keep"]
    maker += ["--rows", str(given.rows)] if given.rows else []
    path = Path(subprocess.run(maker, check=True, capture_output=True, text=True).stdout.split(": ")[0])
    with tempfile.TemporaryDirectory() as name:
        parts = [part for part in given.only if part != "pandas" or not given.without_pandas]
        results = run(path, Path(name), given.repeats, parts)
    if given.json:
        print(json.dumps(results, indent=2))
    else:
        show(path, results)


def run(path: Path, folder: Path, repeats: int, parts: Sequence[str]) -> dict[str, dict[str, float]]:
    python, file = sys.executable, str(path)
    bamkit = [python, "-m", "bamkit"]
    select = [*bamkit, "select", "--emotion", "happy", "--top", "1000", "--db", file, "--force"]
    filters = ["--with", "people", "--without", "comic", "--no-mature", "--license", "cc by*", "--name", "filtered"]
    chosen = {
        "bare SQLite, ids": [python, "-c", BARE, file],
        "bare SQLite, join first": [python, "-c", JOIN_FIRST, file],
        "select(), in the process": [python, "-c", OURS, file],
        "select(), labels by the view's text": [python, "-c", LABELS, file, "text"],
        "select(), labels through the view": [python, "-c", LABELS, file, "view"],
        "bamkit select": select,
        "bamkit select, four filters": [*select, *filters],
    }
    results = {}
    if "select" in parts:
        results = in_turn(chosen, folder, repeats)
        words = [python, "-c", PAIRED, file, str(2 * repeats)]
        printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        ratios = [float(word) for word in printed.split()]
        results["by turns"] = {"least": min(ratios), "median": statistics.median(ratios), "most": max(ratios)}
    shutil.rmtree(folder / "selections", ignore_errors=True)
    info, report = [*bamkit, "info", "--db", file], [*bamkit, "report", "--db", file]
    # The folder is no workspace now, so nothing is remembered between these.
    if "cold" in parts:
        results |= in_turn({"bamkit info, cold": info, "bamkit report, cold": report}, folder, 1)
    (folder / "bamkit.toml").touch()
    if "report" in parts:
        results |= in_turn({"bamkit info, then": info}, folder, 1)
        results |= in_turn({"bamkit report, after info": report}, folder, min(repeats, 3))
    if "export" in parts:
        export = {"bamkit export --to parquet": [*bamkit, "export", "--to", "parquet", "--db", file]}
        results |= in_turn(export, folder, 1)
    if "pandas" in parts:
        results |= in_turn({"the pandas way": [python, "-c", PANDAS, file]}, folder, 1)
    return results


def show(path: Path, results: dict[str, dict[str, float]]) -> None:
    print(f"{path.name}: {path.stat().st_size / 1e6:,.0f} MB, load average {os.getloadavg()[0]:.1f}\n")
    print(f"{'':36} {'seconds':>8} {'CPU s':>8} {'MB':>8}")
    for name, row in results.items():
        if "inside" in row:
            print(f"{name:36} {row['inside']:8.2f} {row['cpu']:8.2f} {row['megabytes']:8,.0f}")
    if "bamkit select" in results:
        bare, ours = results["bare SQLite, ids"], results["select(), in the process"]
        ratios = ours["inside"] / bare["inside"], ours["best"] / bare["best"]
        print(f"\nselect() / bare ids: {ratios[0]:.2f} of the medians, {ratios[1]:.2f} of the best runs (bar 1.5)")
        turns = results["by turns"]
        print(f"by turns in one process: {turns['median']:.2f} ({turns['least']:.2f} to {turns['most']:.2f})")
        print(f"bamkit select / python with the bare query: {results['bamkit select']['wall'] / bare['wall']:.2f}")
        print(f"bamkit select: {results['bamkit select']['wall']:.2f} s (bar 1.2)")
    if "bamkit report, after info" in results:
        print(f"bamkit report, after info: {results['bamkit report, after info']['wall']:.1f} s (bar 4)")


if __name__ == "__main__":
    main()
