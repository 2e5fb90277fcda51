"""Small domains and a small BAM file, made in code, for the tests of balance, matching, check and report."""

import io
import sqlite3

import numpy as np
import pyarrow as pa
from PIL import Image
from templates import templated

from bamkit.common.contract import ATTRIBUTES, LABELS, missing_schema, selection_schema, split_schema
from bamkit.common.shards import write_table
from bamkit.common.workspace import Workspace

LICENSES = ["cc by", "cc by-nc", "cc by-nc-nd", "all rights reserved"]


def scores(n: int, seed: int, **means: float) -> dict[str, np.ndarray]:
    """`<attribute>_score` columns: log-probabilities around -6, or around the mean given for an attribute."""
    random = np.random.default_rng(seed)
    middles = {name: means.get(name.split("_", 1)[1], -6.0) for name in ATTRIBUTES}
    return {f"{name}_score": -np.abs(random.normal(-middle, 1.5, n)) - 0.01 for name, middle in middles.items()}


def labels_of(columns: dict[str, np.ndarray]) -> dict[str, list[str]]:
    """The labels of a BAM-like threshold: above -1 positive, below -4 negative."""
    return {
        name: [
            "positive" if value > -1 else "negative" if value < -4 else "unsure" for value in columns[f"{name}_score"]
        ]
        for name in ATTRIBUTES
    }


def manifest(
    n: int = 60, emotion: str = "happy", seed: int = 0, first_mid: int = 1000, test: int = 10, **means
) -> pa.Table:
    """`n` images ranked by `emotion`: the last ones are reserve, before them `test` test and 5 validation images."""
    columns = scores(n, seed, **{emotion: -0.5, **means})
    order = np.argsort(-columns[f"emotion_{emotion}_score"])
    columns = {name: values[order] for name, values in columns.items()}
    random = np.random.default_rng(seed + 1)
    mids = first_mid + np.arange(n) * 7
    splits = (["train"] * (n - test - 15) + ["test"] * test + ["validation"] * 5 + ["reserve"] * 10)[-n:]
    rows = {
        "mid": mids,
        "project_id": first_mid + np.arange(n) // 2 * 2,
        "src": [f"http://127.0.0.1:1/disp/{mid:06x}.jpg" for mid in mids],
        "license": [LICENSES[i] for i in random.integers(0, len(LICENSES), n)],
        "mature": random.random(n) < 0.1,
        "rank": np.arange(1, n + 1),
        "score": columns[f"emotion_{emotion}_score"],
        "split": splits,
        **labels_of(columns),
        **columns,
    }
    schema = selection_schema()
    return pa.table({name: pa.array(rows[name], schema.field(name).type) for name in schema.names}, schema=schema)


def write_selection(workspace: Workspace, name: str, table: pa.Table) -> None:
    about = {"kind": "selection", "name": name, "query": {"emotion": name}, "selection_id": "0123456789abcdef"}
    write_table(table, workspace.selection(name), about)


def picture(mid: int, size: int = 32, bright: bool = True) -> bytes:
    """A small JPEG of a smooth random pattern that only `mid` decides."""
    random = np.random.default_rng(mid)
    small = random.integers(*((120, 255) if bright else (0, 110)), size=(4, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write_split(
    workspace: Workspace, name: str, table: pa.Table, lost: tuple[int, ...] = (), bright: bool = True
) -> None:
    """Shards of `table` as fetch writes them; the mids in `lost` are missing and replaced from the reserve in order."""
    reserve = [row for row in table.to_pylist() if row["split"] == "reserve"]
    missing, shards = [], {"train": [], "test": [], "validation": []}
    for row in table.to_pylist():
        if row["split"] == "reserve":
            continue
        replaces = None
        if row["mid"] in lost:
            new = reserve.pop(0)
            gone = {name: row[name] for name in ("mid", "src", "rank", "split")}
            missing.append(
                {
                    **gone,
                    "outcome": "gone",
                    "reason": "404",
                    "http_status": 404,
                    "attempts": 1,
                    "replaced_by": new["mid"],
                }
            )
            replaces, row = row["mid"], {**new, "split": row["split"]}
        shards[row["split"]].append({**row, "replaces": replaces})
    for split, rows in shards.items():
        for row in rows:
            random = np.random.default_rng(row["mid"])
            row |= {
                "image": {"bytes": picture(row["mid"], bright=bright), "path": f"{row['mid']}.jpg"},
                "width": 32, "height": 32, "original_width": 600, "original_height": int(random.integers(318, 1555)),
                "original_format": "JPEG", "original_bytes": 238_000, "original_sha256": f"{row['mid']:064x}",
                "phash": f"{random.integers(0, 2**64, dtype=np.uint64):016x}",
            }  # fmt: skip
        shard = pa.Table.from_pylist(rows, schema=split_schema())
        about = {
            "kind": "split",
            "name": name,
            "split": split,
            "selection_id": "0123456789abcdef",
            "split_id": "fedcba9876543210",
        }
        write_table(shard, workspace.split(name) / f"{split}-00000-of-00001.parquet", about)
    write_table(pa.Table.from_pylist(missing, schema=missing_schema()), workspace.missing(name), {})


def two_domains(root, fetched: bool = True) -> Workspace:
    """A workspace with the domains happy (flowers) and scary (people, comics); two images of happy are lost."""
    _two_domains(root, fetched)
    return Workspace.open(root)


@templated
def _two_domains(root, fetched):
    root.mkdir(exist_ok=True)
    workspace = Workspace.open(root)
    happy = manifest(seed=1, emotion="happy", flower=-1.2, vectorart=-2)
    scary = manifest(seed=2, emotion="scary", first_mid=50_000, people=-1.2, comic=-1.5)
    for name, table in (("happy", happy), ("scary", scary)):
        write_selection(workspace, name, table)
        if fetched:
            lost = tuple(table["mid"].to_pylist()[3:5]) if name == "happy" else ()
            write_split(workspace, name, table, lost, bright=name == "happy")


@templated
def bam(path, n: int = 400, seed: int = 3) -> None:
    """A BAM file with the real schema: labels as a view, 5 modules without scores, one crowd label an image."""
    order = sorted(ATTRIBUTES, key=lambda name: hash_of(name))
    columns = scores(n, seed, happy=-3, scary=-4, flower=-3, people=-2, comic=-3)
    random = np.random.default_rng(seed)
    database = sqlite3.connect(path)
    cases = ", ".join(
        f"case when {a} > -1 then 'positive' when {a} < -4 then 'negative' else 'unsure' end as {a}" for a in ATTRIBUTES
    )
    database.executescript(
        "create table modules(mid int primary key, project_id int, src text, mature_content boolean, license text);"
        f"create table scores(mid int, {', '.join(f'{a} real' for a in order)});"
        "create table crowd_labels(mid int, attribute text, label text, primary key(mid, attribute));"
        f"create view automatic_labels as select mid, {cases} from scores;"
    )
    for i in range(n + 5):
        row = (1000 + i * 7, 1000 + i // 2, f"http://127.0.0.1:1/{i}.jpg", i % 11 == 0, LICENSES[i % 4])
        database.execute("insert into modules values (?, ?, ?, ?, ?)", row)
    for i in range(n):
        values = [float(columns[f"{a}_score"][i]) for a in order]
        database.execute(f"insert into scores values ({', '.join('?' * 21)})", [1000 + i * 7, *values])
        attribute = ATTRIBUTES[i % 20]
        sure = columns[f"{attribute}_score"][i] + random.normal(0, 1.0)
        label = LABELS[0] if sure > -2.5 else LABELS[2] if sure < -5 else LABELS[1]
        database.execute("insert into crowd_labels values (?, ?, ?)", (1000 + i * 7, attribute, label))
    database.commit()
    database.close()


def hash_of(name: str) -> int:
    """An order of the columns that is not the contract's."""
    return sum(ord(letter) * 7**i for i, letter in enumerate(name)) % 1009
