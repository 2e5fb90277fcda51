"""Damaged files: what a broken disk, a cut transfer or another program could have made of them."""

from __future__ import annotations

import io
import json
import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

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


def damaged_bytes(data, draw, nasty=NASTY):
    """Flipped, cut, doubled, overwritten or inserted bytes, some of them `nasty`."""
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
                data[at:at] = draw.choice(nasty)
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


def damaged_tensors(named, draw):
    """Named tensors of which one has another shape, type or value, or is gone; changed in place."""
    key = draw.choice(sorted(named))
    if draw.random() < 0.3:
        del named[key]
        return
    tensor = named[key]
    other = [torch.zeros(1), tensor.half(), tensor[None], tensor.to(torch.complex64)]
    if tensor.is_floating_point():
        other += [torch.full_like(tensor, value) for value in (float("nan"), float("inf"), 1e38)]
    named[key] = draw.choice(other)


def damaged_checkpoint(data, draw):
    """A checkpoint, or a file of weights, in order whose content is another."""
    state = torch.load(io.BytesIO(data), weights_only=True)
    networks = [each for each in (state, *state.values()) if isinstance(each, dict)]
    networks += [each for part in networks for each in part.values() if isinstance(each, dict)]
    networks = [each for each in networks if each and all(isinstance(v, torch.Tensor) for v in each.values())]
    if draw.random() < 0.5 and networks:
        damaged_tensors(draw.choice(networks), draw)
    elif networks and networks[0] is state:
        state[draw.choice(sorted(state))] = odd_value(draw)
    else:
        state = damaged_json({key: value for key, value in state.items() if key != "generators"}, draw)
    sink = io.BytesIO()
    torch.save(state, sink)
    return sink.getvalue()


def damaged_safetensors(data, draw):
    """A file of weights in order whose content is another."""
    named = load_safetensors(data)
    damaged_tensors(named, draw)
    return save_safetensors(named)


def damaged_csv(data, draw):
    """A table with an odd cell, a line more, a line cut or a column gone."""
    cells = [line.split(",") for line in data.decode().splitlines()] or [[""]]
    at = draw.randrange(len(cells))
    place = draw.randrange(len(cells[at]))
    match draw.randrange(6):
        case 0 | 1:
            odd = ["", "x", "-1", "9" * 30, "9" * 5000, '"', '"a', "\0", "mid,mid", "nan", "1e999", "\r", "é", "\ud800"]
            cells[at][place] = draw.choice(odd)
        case 2:
            del cells[at]
        case 3:
            cells.insert(at, cells[at])
        case 4:
            del cells[at][place]
        case 5:
            cells[at][place] += "x" * 200_000 if draw.random() < 0.3 else draw.choice("\t;,|")
    end = "\r\n" if draw.random() < 0.1 else "\n"
    return end.join(map(",".join, cells)).encode("utf-8", "surrogatepass")


def damaged_toml(data, draw):
    lines = data.decode().splitlines()
    for _ in range(draw.randint(1, 3)):
        key = draw.choice(
            [
                "db",
                "size",
                "top",
                "force",
                "[select]",
                "[fetch]",
                "[[train]]",
                "emotion",
                "json",
                "limit",
                "é",
                "",
                "width",
                "blocks",
                "crop",
                "batch",
                "pool",
                "seed",
                "amp",
                "samples",
                "learning-rate",
                "[train]",
            ]
        )
        value = draw.choice(
            ["1", '"x"', "[]", "{}", "true", "1e999", "nan", "1979-05-27", "'\\u0000'", '"', "-1", "[1, 'a']"]
        )
        lines.insert(draw.randint(0, len(lines)), key if key.startswith("[") else f"{key} = {value}")
    return "\n".join(lines).encode()


STRUCTURED = {
    ".parquet": damaged_table,
    ".pt": damaged_checkpoint,
    ".pth": damaged_checkpoint,
    ".safetensors": damaged_safetensors,
    ".toml": damaged_toml,
    ".csv": damaged_csv,
    ".json": lambda data, draw: json.dumps(damaged_json(json.loads(data), draw)).encode(),
}
"""What another program could have written, by a file's kind. Of pictures only the bytes are damaged."""


def damaged(path, data, draw, scratch):
    """The content of a file, damaged: its bytes, or what stands in it. `scratch` is a file to work in."""
    if path.suffix == ".sqlite":
        return damaged_bytes(data, draw) if draw.random() < 0.4 else damaged_database(data, draw, scratch)
    if path.suffix not in STRUCTURED or draw.random() < 0.4:
        return damaged_bytes(data, draw)
    return STRUCTURED[path.suffix](data, draw)
