"""Mutated files of a workspace, as users would meet them: what a command makes of each.

    python tests/fuzz_workspace.py FOLDER --seconds 600 --seed 0

Each case damages one file of a small workspace (parquet, SQLite, checkpoint, TOML, JSON: bytes, or content that another
program could have written) and runs a command that reads it. It prints a line a case before it runs, so that the last
line names a case that took the process with it, and a JSON summary at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import resource
import shutil
import sqlite3
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from click.testing import CliRunner
from test_export import write_domain
from test_translate import write_run

from bamkit.cli import root
from bamkit.common.contract import missing_schema
from bamkit.common.shards import write_table
from bamkit.sample import make_sample

LONGEST, GROWTH = 60, 400_000_000
"""Seconds that a case may take, and bytes that the process may grow by after the first cases."""
WARM_UP = 40
NASTY = [
    b"\0",
    b"\xff" * 4,
    b"PAR1",
    b"PK\3\4",
    b"SQLite format 3\0",
    b"{",
    b"[]",
    b"null",
    b'"',
    b"9" * 30,
    b"-1",
    b"\n",
]
SELECT = "select --emotion happy --top 4 --test 2 --validation 0 --reserve 0 --name other"
EXPORTS = ["export happy --to csv --output out", "export happy scary --to hf --output out --license-ok"]
TRANSLATE = "translate --limit 1 --output out --device cpu"
COMMANDS = {
    "bamkit.toml": ["info", SELECT, "check", TRANSLATE],
    "bam.sqlite": [
        "info",
        SELECT,
        "sql 'select count(*) from modules'",
        "export --to parquet --output out",
        "verify happy",
    ],
    "selections/happy.parquet": [
        "diff happy scary",
        "verify happy",
        "balance happy scary",
        "forget 101 --dry-run",
        *EXPORTS,
    ],
    "splits/happy/test-00000-of-00001.parquet": ["check", "balance happy scary", TRANSLATE, EXPORTS[1]],
    "splits/happy/train-00000-of-00001.parquet": ["check", "forget 101 --dry-run", EXPORTS[1]],
    "missing/happy.parquet": ["balance happy scary", *EXPORTS],
    "forgotten.csv": ["forget --export out.csv", "forget 102 --dry-run", SELECT, *EXPORTS],
    "translations/happy-scary/translations.parquet": ["translate --device cpu", "compare", "evaluate"],
    "runs/happy-scary/checkpoints/step-00000007.pt": [TRANSLATE, "export happy-scary --to safetensors --output out"],
    "runs/happy-scary/run.json": [TRANSLATE, "export happy-scary --to cyclegan --output out", "compare"],
    "reports/evaluate-happy-scary/metrics.json": ["export happy-scary --to cyclegan --output out", "compare"],
}
"""What reads which file."""


def build(folder):
    """The workspace that is damaged: a database, two fetched domains, a run, its translations and evaluation."""
    make_sample(folder, 60)
    write_domain(folder, "happy", 100)
    write_domain(folder, "scary", 200)
    run = write_run(folder) / "run.json"
    run.write_text(run.read_text().replace("id-happy", "s-happy").replace("id-scary", "s-scary"))
    missing = {"mid": 190, "src": "http://127.0.0.1/190.PNG", "rank": 11, "split": "train", "reason": "gone"}
    table = pa.Table.from_pylist([missing], schema=missing_schema())
    write_table(table, folder / "missing" / "happy.parquet", {"kind": "missing", "name": "happy"})
    for line in ("translate --device cpu", "evaluate", "forget 110"):
        result = CliRunner().invoke(root, ["-w", str(folder), *line.split()])
        assert result.exit_code == 0, result.output
    return folder


# ---------------------------------------------------------------- mutations


def damaged_bytes(data, draw):
    """Flipped, cut, doubled, overwritten or inserted bytes."""
    data = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data) or 1)
        # The ends hold the directories of parquet and zip files and the header of SQLite.
        at = draw.choice([at, min(at, 200), max(len(data) - 1 - at % 400, 0)])
        some = draw.randint(1, 64)
        match draw.randrange(6):
            case 0:
                data[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                del data[at : at + some]
            case 2:
                data[at:at] = data[at : at + some]
            case 3:
                data[at : at + some] = bytes(some)
            case 4:
                data[at:at] = draw.choice(NASTY)
            case 5:
                del data[at:]
    return bytes(data)


def odd_value(draw):
    return draw.choice([None, True, -1, 0, 10**30, 1e308, "", "x", "\ud800", "../..", [], {}, [[]], {"a": None}])


def damaged_json(value, draw):
    """A value dropped, or replaced by one of another type, somewhere in it."""
    if isinstance(value, dict) and value and draw.random() < 0.8:
        key = draw.choice(sorted(value))
        if draw.random() < 0.3:
            return {name: each for name, each in value.items() if name != key}
        return {**value, key: damaged_json(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.6:
        at = draw.randrange(len(value))
        return [*value[:at], damaged_json(value[at], draw), *value[at + 1 :]]
    return odd_value(draw)


def damaged_table(data, draw):
    """A parquet file in order with a column gone or of another type, no rows, nulls, odd values or metadata."""
    table = pq.read_table(io.BytesIO(data))
    name = draw.choice(table.schema.names)
    at = table.schema.names.index(name)
    match draw.randrange(6):
        case 0:
            table = table.drop_columns([name])
        case 1:
            table = table.set_column(at, name, pa.array([str(i) for i in range(table.num_rows)]))
        case 2:
            table = table.set_column(at, name, pa.nulls(table.num_rows, table.schema.field(name).type))
        case 3:
            table = table.slice(0, 0)
        case 4:
            about = json.loads((table.schema.metadata or {}).get(b"bamkit", b"{}"))
            text = json.dumps(damaged_json(about, draw)) if draw.random() < 0.8 else draw.choice(["", "{", "[]", "\0"])
            table = table.replace_schema_metadata({b"bamkit": text.encode()})
        case 5:
            values = table[name].to_pylist()
            values[draw.randrange(len(values))] = values[draw.randrange(len(values))]
            table = table.set_column(at, name, pa.array(values, table.schema.field(name).type))
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def damaged_database(data, draw, scratch):
    """An SQLite file in order whose tables are not BAM's."""
    scratch.write_bytes(data)
    with sqlite3.connect(scratch) as base:
        tables = [row[0] for row in base.execute("select name from sqlite_master where type = 'table'")]
        table = draw.choice(tables)
        column = draw.choice([row[1] for row in base.execute(f"pragma table_info({table})")] or ["mid"])
        value = draw.choice(["null", "'x'", "x'00ff'", "-1", "9e999", "9223372036854775807", "'' || char(0)"])
        statement = draw.choice(
            [
                f"drop table {table}",
                f"delete from {table}",
                f"alter table {table} rename column {column} to odd",
                f"update {table} set {column} = {value} where rowid % {draw.randint(1, 5)} = 0",
                f"update {table} set {column} = {value}",
                f"alter table {table} add column more text",
                f"create view v{draw.randrange(9)} as select * from {table} join {table}",
            ]
        )
        try:
            base.execute(statement)
        except sqlite3.Error:
            base.execute("create table odd_one (a)")
    base.close()
    return scratch.read_bytes()


def damaged_checkpoint(data, draw):
    """A checkpoint in order whose content is another."""
    state = torch.load(io.BytesIO(data), weights_only=True)
    if draw.random() < 0.5:
        network = state["generators"][draw.choice(sorted(state["generators"]))]
        key = draw.choice(sorted(network))
        change = draw.choice(
            [torch.zeros(1), torch.full_like(network[key], float("nan")), network[key].half(), 3, None]
        )
        network[key] = change
        if draw.random() < 0.3:
            del network[key]
    else:
        state = damaged_json({key: value for key, value in state.items() if key != "generators"}, draw)
    sink = io.BytesIO()
    torch.save(state, sink)
    return sink.getvalue()


def damaged_toml(data, draw):
    lines = data.decode().splitlines()
    for _ in range(draw.randint(1, 3)):
        key = draw.choice(
            ["db", "size", "top", "force", "[select]", "[fetch]", "[[train]]", "emotion", "json", "limit", "é", ""]
        )
        value = draw.choice(
            ["1", '"x"', "[]", "{}", "true", "1e999", "nan", "1979-05-27", "'\\u0000'", '"', "-1", "[1, 'a']"]
        )
        lines.insert(draw.randint(0, len(lines)), key if key.startswith("[") else f"{key} = {value}")
    return "\n".join(lines).encode()


def damaged(path, data, draw, scratch):
    """The content of a file, damaged: its bytes, or what stands in it."""
    if draw.random() < 0.4:
        return damaged_bytes(data, draw)
    match path.suffix:
        case ".parquet":
            return damaged_table(data, draw)
        case ".sqlite":
            return damaged_database(data, draw, scratch)
        case ".pt":
            return damaged_checkpoint(data, draw)
        case ".toml":
            return damaged_toml(data, draw)
        case ".csv":
            cells = [line.split(",") for line in data.decode().splitlines()]
            row = draw.choice(cells)
            row[draw.randrange(len(row))] = draw.choice(["", "x", "-1", "9" * 30, '"', "\0", "mid,mid"])
            return "\n".join(map(",".join, cells)).encode()
        case _:
            return json.dumps(damaged_json(json.loads(data), draw)).encode()


# ---------------------------------------------------------------- cases


def hashes(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}


def check(pristine, scratch, number):
    """One case; what is wrong with its end, "" if nothing is."""
    import shlex

    draw = random.Random(number)
    name = draw.choice(sorted(COMMANDS))
    line = draw.choice([*COMMANDS[name], "status"])
    shutil.rmtree(scratch, ignore_errors=True)
    workspace = scratch / "workspace"
    shutil.copytree(pristine, workspace, copy_function=os.link)
    data = damaged(Path(name), (pristine / name).read_bytes(), draw, scratch / "scratch.sqlite")
    (workspace / name).unlink()
    (workspace / name).write_bytes(data)
    print("case", number, name, "|", line, flush=True)
    os.chdir(workspace)
    began = time.monotonic()
    result = CliRunner().invoke(root, shlex.split(line), catch_exceptions=True)
    seconds = time.monotonic() - began
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"{type(result.exception).__name__}: {result.exception}"
    if "internal error" in result.output or "Traceback" in result.output:
        return result.output[-400:]
    if result.exit_code not in (0, 1, 2, 3):
        return f"exit status {result.exit_code}"
    if result.exit_code == 3 and len(result.output.strip().splitlines()) > 12:
        return f"a long refusal: {result.output}"
    if seconds > LONGEST:
        return f"{seconds:.0f} s"
    if (workspace / name).read_bytes() != data and not name.startswith(("translations", "reports")):
        return "the damaged file was changed"
    return ""


def fuzz(folder, seconds, seed):
    """Cases until the time is over; a summary."""
    pristine = build(folder / "pristine")
    before, failures, count, base = hashes(pristine), [], 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        wrong = check(pristine, folder / "scratch", seed + count)
        if wrong:
            failures.append([seed + count, wrong])
            print("WRONG", seed + count, wrong, flush=True)
        count += 1
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        base = grown if count == WARM_UP else base
        if base and grown > base + GROWTH:
            failures.append([seed + count - 1, f"grew to {grown / 1e6:.0f} MB"])
            break
    if hashes(pristine) != before:
        failures.append([seed, "a file that was not damaged was changed in place"])
    return {"cases": count, "failures": failures}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.environ.pop("BAMKIT_DEBUG", None)
    summary = fuzz(given.folder.absolute(), given.seconds, given.seed)
    print(json.dumps(summary), flush=True)
    sys.exit(bool(summary["failures"]))
