"""The workspace whose files are damaged, and which command reads which of them."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from contextlib import closing

import evaluation_world
import gan_parts
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from click.testing import CliRunner
from fetching import encoded, jpeg, picture, write_selection
from misbehaving import file
from test_export import write_domain
from test_judge import judge_rows
from test_translate import network, write_run

from bamkit.cli import root
from bamkit.common.contract import missing_schema
from bamkit.common.shards import write_table
from bamkit.common.workspace import Workspace
from bamkit.curate.select.decisions import COLUMNS as DECISIONS
from bamkit.gan.judge.settings import JudgeConfig
from bamkit.gan.judge.train import train_judge
from bamkit.gan.train.networks import public_layout
from bamkit.sample import make_sample

SELECT = "select --emotion happy --top 4 --test 2 --validation 0 --reserve 0 --name other"
EXPORTS = ["export happy --to csv --output out", "export happy scary --to hf --output out --license-ok"]
TRANSLATE = "translate happy-scary --limit 1 --output out --device cpu"
FETCH = "fetch small --allow-private --size 32 --seconds 2 --attempts 1"
TRAIN = f"train --from happy --to scary --name other --size 32 --crop 28 --steps 1 {gan_parts.FLAGS}"
RESUME = "train --resume --name t --steps 3 --device cpu"
EVALUATION = "reports/evaluate-happy-scary"
WEIGHTS = "translate --weights weights/latest_net_G_A{} --input pictures/0.png --output out --device cpu"
PICTURES = ["translate happy-scary --input pictures --output out --device cpu", "forget pictures/{} --dry-run"]
READERS = {
    "bamkit.toml": ["info", SELECT, "check", TRANSLATE],
    "train.toml": [f"{TRAIN} --config train.toml"],
    "bam.sqlite": [
        "info",
        SELECT,
        "sql 'select count(*) from modules'",
        "export --to parquet --output out",
        "verify happy",
    ],
    "index/counts.json": ["info"],
    "selections/happy.parquet": [
        "diff happy scary",
        "verify happy",
        "balance happy scary",
        "forget 101 --dry-run",
        *EXPORTS,
    ],
    "reviews/happy/decisions.csv": [f"{SELECT} --decisions reviews/happy/decisions.csv"],
    "exports/csv/happy-train.csv": ["forget 101", "forget 101 --dry-run"],
    "originals/ledger.sqlite": [FETCH, f"{FETCH} --retry-failed", "forget 1001 --dry-run", "forget 1001", "check"],
    "splits/small/train-00000-of-00001.parquet": [FETCH, f"{FETCH} --force", "check"],
    "splits/happy/test-00000-of-00001.parquet": ["check", "balance happy scary", TRANSLATE, EXPORTS[1]],
    "splits/happy/train-00000-of-00001.parquet": ["check", "forget 101", EXPORTS[1], TRAIN],
    "missing/happy.parquet": ["balance happy scary", *EXPORTS],
    "forgotten.csv": ["forget --export out.csv", "forget 102 --dry-run", SELECT, *EXPORTS],
    "exports/csv/bamkit-export.json": ["forget 101", "export happy --to csv --output exports/csv --force"],
    "translations/happy-scary/translations.parquet": [
        "translate happy-scary --device cpu",
        "evaluate happy-scary",
        "forget 101",
    ],
    "runs/happy-scary/checkpoints/step-00000007.pt": [
        TRANSLATE,
        "export happy-scary --to safetensors --output out",
    ],
    "runs/happy-scary/run.json": [TRANSLATE, "export happy-scary --to cyclegan --output out", "compare"],
    "runs/t/run.json": [RESUME],
    "runs/t/metrics.csv": [RESUME],
    "runs/t/checkpoints/step-00000002.pt": [RESUME],
    "judge/judge.pt": ["evaluate happy-scary"],
    "judge/card.json": ["evaluate happy-scary"],
    "judge/known.parquet": ["evaluate happy-scary", "forget 9001"],
    f"{EVALUATION}/metrics.json": ["export happy-scary --to cyclegan --output out", "compare"],
    f"{EVALUATION}/pictures.csv": ["export happy-scary --to cyclegan --output out", "compare"],
    f"{EVALUATION}/user-study-key/key.csv": [
        "evaluate happy-scary --answers answers.csv",
        "evaluate happy-scary --user-study --trials 2",
    ],
    "answers.csv": ["evaluate happy-scary --answers answers.csv"],
    "reports/study-happy-scary/study.json": ["study --scale 0.02"],
    "weights/latest_net_G_A.pth": [WEIGHTS.format(".pth")],
    "weights/latest_net_G_A.safetensors": [WEIGHTS.format(".safetensors")],
    **{name: [line.format(name.split("/")[1]) for line in PICTURES] for name in ("pictures/0.png", "pictures/1.jpg")},
}
"""The commands that read a file; `status` reads all of them."""


def build(folder, server):
    """The workspace: a database, three domains (one fetched from `server`), runs, a judge, what came of them."""
    make_sample(folder, 60)
    write_domain(folder, "happy", 100)
    write_domain(folder, "scary", 200)
    run = write_run(folder) / "run.json"
    run.write_text(run.read_text().replace("id-happy", "s-happy").replace("id-scary", "s-scary"))
    missing = {"mid": 190, "src": "http://127.0.0.1/190.PNG", "rank": 11, "split": "train", "reason": "gone"}
    table = pa.Table.from_pylist([missing], schema=missing_schema())
    write_table(table, folder / "missing" / "happy.parquet", {"kind": "missing", "name": "happy"})
    for index in range(4):
        server[f"/{index}.jpg"] = file(jpeg(index))
    write_selection(folder, "small", [server.url(f"/{index}.jpg") for index in range(6)], 3, 1)
    evaluation_world.write_split(Workspace.open(folder), "judge", judge_rows(each=20))
    train_judge(Workspace.open(folder), config=JudgeConfig(size=32, epochs=1, device="cpu"))
    lines = (
        "info", FETCH, "translate happy-scary --device cpu", "evaluate happy-scary", "forget 110",
        "evaluate happy-scary --user-study --trials 2", "export happy --to csv --output exports/csv",
        f"train --from happy --to scary --name t --size 32 --crop 28 --steps 2 {gan_parts.FLAGS}",
        "translate t --device cpu", "evaluate t",
    )  # fmt: skip
    for line in lines:
        result = CliRunner().invoke(root, ["-w", str(folder), *line.replace("exports", f"{folder}/exports").split()])
        assert result.exit_code == 0, f"{line}: {result.output}"
    shutil.rmtree(folder / "splits" / "judge")
    with closing(sqlite3.connect(folder / "originals" / "ledger.sqlite")) as ledger:
        ledger.execute("pragma wal_checkpoint(truncate)")
    _by_hand(folder)
    return folder


def _by_hand(folder):
    """What a person or another program writes."""
    (folder / "train.toml").write_text('[train]\nseed = 3\nlearning-rate = 0.0001\nobjective = "lsgan"\nflip = true\n')
    (folder / "pictures").mkdir()
    (folder / "pictures" / "0.png").write_bytes(encoded(picture(0, 40, 36), "PNG"))
    (folder / "pictures" / "1.jpg").write_bytes(jpeg(1, 48, 40))
    (folder / "weights").mkdir()
    weights = public_layout.weights(network())
    torch.save(weights, folder / "weights" / "latest_net_G_A.pth")
    public_layout.save_safetensors(weights, folder / "weights" / "latest_net_G_A.safetensors", {})
    (folder / "reports" / "study-happy-scary").mkdir()
    (folder / "reports" / "study-happy-scary" / "study.json").write_text(json.dumps({"scale": 0.03, "steps": 9}))
    mids = pq.read_table(folder / "selections" / "happy.parquet", columns=["mid"])["mid"].to_pylist()
    (folder / "reviews" / "happy").mkdir(parents=True)
    said = {"time": "2026-01-01T00:00:00Z", "reviewer": "ana", "selection": "happy", "selection_id": "x-happy"}
    rows = [{**said, "mid": mid, "decision": "keep" if mid % 2 else "drop"} for mid in mids[:6]]
    rows.append({**said, "mid": mids[7], "decision": "move", "split": "test", "reason": "dark"})
    _write_csv(folder / "reviews" / "happy" / "decisions.csv", DECISIONS, rows)
    with open(folder / EVALUATION / "user-study-key" / "key.csv", newline="", encoding="utf-8") as opened:
        keys = list(csv.DictReader(opened))
    trials = {}
    for key in keys:
        trials.setdefault((key["study"], key["trial"]), []).append(key["picture"])
    rows = [
        {
            "study": study,
            "rater": "ben",
            "trial": trial,
            "repeat": "",
            "left": two[0],
            "right": two[1],
            "chosen": two[0],
            "seconds": 2.5,
        }
        for (study, trial), two in trials.items()
    ]
    _write_csv(folder / "answers.csv", list(rows[0]), rows)


def _write_csv(path, columns, rows):
    with open(path, "w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
