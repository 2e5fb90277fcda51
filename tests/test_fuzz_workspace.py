"""Damaged files of a workspace: one line, never a traceback; nothing else is lost."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from evaluation_world import world
from fetching import write_selection
from test_translate import write_run, write_split

from bamkit.common.errors import BamkitError
from bamkit.common.provenance import is_provenance
from bamkit.common.shards import read_about, read_table, write_table
from bamkit.curate.fetch.ledger import Ledger, Row
from bamkit.curate.fetch.originals import Originals, Picture, PictureCache
from bamkit.curate.select.decisions import read_log
from bamkit.gan.evaluate.inputs.translations import open_run
from bamkit.gan.judge.model import load_judge
from bamkit.gan.train import checkpoint
from bamkit.gan.train.monitor import run_page
from bamkit.gan.user_study.page import _refuse_other


@pytest.fixture
def workspace(tmp_path):
    write_split(tmp_path, "happy", "test", [11])
    write_split(tmp_path, "scary", "test", [21])
    write_run(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"x"', '{"build": []}', '{"from": {"build": 3}}', '{"split_ids": "x"}']
)
def test_a_file_whose_origin_cannot_be_read_is_named(workspace, bamkit, text):
    path = workspace / "splits" / "happy" / "test-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata({b"bamkit": text.encode()}), path)
    with pytest.raises(BamkitError, match=r"test-00000-of-00001\.parquet is not a readable parquet file"):
        read_about(path)
    assert "is not a readable parquet file" in bamkit("translate", cwd=workspace, code=3).output


def test_a_column_whose_name_is_no_text_is_named(workspace):
    path = workspace / "splits" / "happy" / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes().replace(b"license", b"\x8bicense"))
    with pytest.raises(BamkitError, match=r"test-00000-of-00001\.parquet is not a readable parquet file"):
        read_table(path)


def test_what_bamkit_writes_about_an_artefact_is_provenance():
    assert is_provenance({})
    assert is_provenance({"judge": None, "from": {"name": "happy", "build": {"size": 32}}, "query": {"match": ""}})


def test_a_column_of_another_type_is_named_and_a_wider_one_is_not(workspace):
    path = workspace / "splits" / "happy" / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    at = table.schema.names.index("rank")
    pq.write_table(table.set_column(at, "rank", table["rank"].cast(pa.int64())), path)
    assert read_table(path, ["image", "rank", "src"]).num_rows == 1
    pq.write_table(table.set_column(at, "rank", pa.array(["first"])), path)
    with pytest.raises(BamkitError, match=r"'rank' of another type \(text, not a whole number\)"):
        read_table(path, ["rank"])
    pq.write_table(table.set_column(0, "image", pa.array(["a picture"])), path)
    with pytest.raises(BamkitError, match=r"'image' of another type \(text, not a picture\)"):
        read_table(path, ["image"])


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("generators", {"a_to_b": {"weight": None}}),
        ("generators", []),
        ("optimizers", {"G": [1]}),
        ("names", ["happy"]),
        ("names", [1, 2]),
        ("config", "x"),
        ("run_id", None),
        ("step", "7"),
        ("format", []),
    ],
)
def test_a_checkpoint_of_another_form_is_named(workspace, bamkit, part, value):
    path = checkpoint.path_of(workspace / "runs" / "happy-scary", 7)
    torch.save(torch.load(path, weights_only=True) | {part: value}, path)
    shown = bamkit("translate --checkpoint step-00000007", cwd=workspace, code=3).output
    assert f"step-00000007.pt is damaged: its {part} are not what bamkit train writes" in shown
    assert "are damaged" in bamkit("translate", cwd=workspace, code=3).output


def test_an_evaluation_that_was_changed_is_no_evaluation(workspace, bamkit):
    path = workspace / "reports" / "evaluate-happy-scary" / "metrics.json"
    path.parent.mkdir(parents=True)
    whole = {"run_id": "r0", "n": {}, "checkpoints": {}, "warnings": [], "figures": []}
    for part, value in (
        ("n", []),
        ("n", {"x": "y"}),
        ("figures", 3),
        ("figures", ["x"]),
        ("warnings", 1),
        ("judge", []),
    ):
        path.write_text(json.dumps(whole | {part: value}))
        bamkit("export happy-scary --to cyclegan --output out --force", cwd=workspace)
        assert "This training was not evaluated" in (workspace / "out" / "README.md").read_text(encoding="utf-8"), part


REST = '"n": {}, "warnings": []'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("reports/evaluate-happy-scary/metrics.json", "[]"),
        ("reports/evaluate-happy-scary/metrics.json", '{"figures": 3}'),
        ("reports/evaluate-happy-scary/metrics.json", '{"figures": [], "n": 3, "warnings": []}'),
        ("reports/evaluate-happy-scary/metrics.json", f'{{"figures": [{{"projects": 1{"0" * 30}}}], {REST}}}'),
        ("reports/evaluate-happy-scary/pictures.csv", "direction,mid,translation ssim\na-to-b,1,0.5\na-to-b,2,half\n"),
        ("reports/evaluate-happy-scary/pictures.csv", "direction,mid,project\na-to-b,one,2\n"),
        ("reports/evaluate-happy-scary/pictures.csv", "direction,mid,project\na-to-b,1.5,2\n"),
        ("runs/happy-scary/run.json", "[]"),
        ("runs/happy-scary/run.json", '{"config": 3}'),
    ],
)
def test_a_comparison_names_the_evaluation_that_cannot_be_read(workspace, bamkit, name, text):
    whole = {"run_id": "r0", "split": "test", "n": {}, "checkpoints": {}, "warnings": [], "figures": []}
    for run in ("happy-scary", "other"):
        folder = workspace / "reports" / f"evaluate-{run}"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({**whole, "judge": None, "features": {"sha256": "0"}}))
        (folder / "pictures.csv").write_text("direction,mid\n")
    (workspace / name).write_text(text)
    shown = bamkit("compare", cwd=workspace, code=3).output
    assert "the evaluation of happy-scary cannot be read" in shown or "run.json was changed" in shown


DAMAGED_TABLES = [b'mid,a\n1,"' + b"x" * 200_000 + b'"\n', b"mid,decision\n\xff,keep\n"]
"""A field longer than Python's csv reads, and bytes that are no UTF-8."""


@pytest.mark.parametrize("data", [*DAMAGED_TABLES, b"mid,decision\n" + b"9" * 5000 + b",keep\n"])
def test_decisions_that_cannot_be_read_are_named(tmp_path, data):
    path = tmp_path / "decisions.csv"
    path.write_bytes(data.replace(b"mid,a", b"mid,decision"))
    with pytest.raises(BamkitError, match=r"decisions\.csv") as error:
        read_log(path)
    assert len(error.value.message) < len(str(path)) + 120


def test_translations_without_pictures_do_not_stop_a_removal(workspace, bamkit):
    folder = workspace / "translations" / "happy-scary"
    bamkit("translate happy-scary --device cpu", cwd=workspace)
    table = pq.read_table(folder / "translations.parquet")
    pq.write_table(table.drop_columns("image"), folder / "translations.parquet")
    bamkit("forget 11", cwd=workspace)
    assert 11 not in pq.read_table(folder / "translations.parquet")["mid"].to_pylist()


@pytest.mark.parametrize("data", DAMAGED_TABLES)
def test_forgetting_stops_at_a_table_that_cannot_be_read(workspace, bamkit, data):
    (workspace / "out").mkdir()
    for mark in ("{", "[]", '{"domains": [3]}'):
        (workspace / "out" / "bamkit-export.json").write_text(mark)
        (workspace / "out" / "happy-train.csv").write_bytes(data)
        assert "a picture to be forgotten may be in it" in bamkit("forget 11", cwd=workspace, code=3).output
        assert not (workspace / "forgotten.csv").exists()
    (workspace / "out" / "happy-train.csv").write_text("a,mid\n1\n2,11\n")
    bamkit("forget 11", cwd=workspace)
    assert (workspace / "out" / "happy-train.csv").read_text() == "a,mid\n1\n"


@pytest.mark.parametrize("part", ["weights", "images", "trained_on", "held_out"])
def test_a_judges_card_that_lacks_a_part_is_named(tmp_path, part):
    card = {name: {} for name in ("weights", "images", "trained_on", "held_out") if name != part}
    (tmp_path / "card.json").write_text(json.dumps(card))
    for name in ("judge.pt", "known.parquet"):
        (tmp_path / name).touch()
    with pytest.raises(BamkitError, match=f"cannot be read: card.json holds no {part}"):
        load_judge(tmp_path)


@pytest.mark.parametrize("data", DAMAGED_TABLES)
def test_the_key_of_a_study_that_cannot_be_read_is_not_written_over(tmp_path, data):
    (tmp_path / "key.csv").write_bytes(data)
    with pytest.raises(BamkitError, match="the key of another study"):
        _refuse_other(tmp_path / "key.csv", "s", force=False)
    _refuse_other(tmp_path / "key.csv", "s", force=True)


def test_a_quote_in_a_runs_figures_is_no_number(tmp_path):
    (tmp_path / "metrics.csv").write_text('step,seconds\n1,"2\n2,3\n')
    metrics, _ = run_page.read_tables(tmp_path, run_page.method_of({}))
    assert metrics["step"].tolist() == [1, 2]


def test_a_selection_without_its_query_is_named(workspace, bamkit):
    (workspace / "selections").mkdir()
    table = pq.read_table(workspace / "splits" / "happy" / "test-00000-of-00001.parquet").replace_schema_metadata(None)
    write_table(table, workspace / "selections" / "happy.parquet", {"kind": "selection", "name": "happy"})
    assert "is not a selection manifest" in bamkit("diff happy happy", cwd=workspace, code=3).output


def test_translations_without_their_sizes_are_evaluated(tmp_path):
    workspace, _ = world(tmp_path)
    path = tmp_path / "translations" / "happy-scary" / "translations.parquet"
    table = pq.read_table(path)
    at = table.schema.names.index("width")
    write_table(table.set_column(at, "width", pa.nulls(table.num_rows, pa.int32())), path, read_about(path))
    assert open_run(workspace, "happy-scary").size is None


def test_a_damaged_hash_does_not_get_into_the_list_of_what_was_forgotten(workspace, bamkit):
    path = workspace / "splits" / "happy" / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    at = table.schema.names.index("phash")
    write_table(table.set_column(at, "phash", pa.array(["0"])), path, read_about(path))
    bamkit("forget 11", cwd=workspace)
    bamkit("forget --export list.csv", cwd=workspace)
    assert (workspace / "list.csv").read_text().splitlines()[1].startswith("11,")


@pytest.mark.parametrize("change", ["drop table ledger", "alter table ledger rename column sha256 to x"])
def test_a_ledger_of_another_program_is_named(workspace, bamkit, change):
    with Ledger(workspace / "originals" / "ledger.sqlite") as ledger:
        ledger.db.execute("drop index ledger_sha256")
        ledger.db.execute(change)
    for line in ("forget 11", "forget 11 --dry-run"):
        assert "ledger.sqlite is damaged: no such" in bamkit(line, cwd=workspace, code=3).output


def test_what_is_no_hash_leads_to_no_file(tmp_path):
    originals = Originals(tmp_path)
    assert originals.read_verified("../../x") is None
    for text in ("../../x", "0" * 63 + "\0", ""):
        with pytest.raises(BamkitError, match=r"ledger\.sqlite is damaged: .* is no SHA-256"):
            originals.remove(text)


def test_what_no_encoding_has_is_printed_all_the_same(workspace, bamkit):
    mark = {"kind": "export", "format": "csv", "domains": [{"name": "\ud800", "images": {}}]}
    (workspace / "out").mkdir()
    (workspace / "out" / "bamkit-export.json").write_text(json.dumps(mark))
    (workspace / "out" / "happy-train.csv").write_text("a,mid\n1\n2,11\n")
    assert "\\ud800" in bamkit("forget 11", cwd=workspace).output


def test_rows_that_are_given_up_say_nothing_when_the_ledger_is_closed(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.record(Row(f"http://a/{index}.jpg", "ok", None, 200, 1) for index in range(3))
        rows = ledger._select("url", [f"http://a/{index}.jpg" for index in range(3)])
        next(rows)
    rows.close()


def test_a_row_of_the_ledger_with_values_of_other_types_is_named(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.record([Row("http://a/1.jpg", "ok", None, 200, 1, sha256="0" * 64)])
        assert ledger.rows(["http://a/1.jpg"])["http://a/1.jpg"].sha256 == "0" * 64
        ledger.db.execute("update ledger set sha256 = x'00ff'")
        with pytest.raises(BamkitError, match=r"ledger\.sqlite is damaged: its row of http://a/1\.jpg") as error:
            ledger.rows(["http://a/1.jpg"])
        statement = shlex.split(error.value.hint.partition("   #")[0])[2]
        ledger.db.execute(statement)
        assert ledger.rows(["http://a/1.jpg"]) == {}


@pytest.mark.parametrize("name", ["ledger.sqlite", "built.sqlite"])
def test_a_damaged_page_of_the_ledger_or_of_pictures_built_ahead_is_named(workspace, bamkit, name):
    write_selection(workspace, "small", ["http://127.0.0.1:9/1.jpg"], 1, 0)
    originals = workspace / "originals"
    with Ledger(originals / "ledger.sqlite") as ledger:
        ledger.record(
            Row(f"http://127.0.0.1:9/{index}.jpg", "ok", "", 200, 1, sha256=f"{index:064}") for index in range(500)
        )
    cache = PictureCache(originals / "built.sqlite", {})
    cache.add((f"{index:064}", Picture(bytes(3000), 1, 1, "0" * 16)) for index in range(200))
    cache.close(remove=False)
    path = originals / name
    data = path.read_bytes()
    path.write_bytes(data[:16384] + b"\xff" * (len(data) - 16384))
    for line in (
        "forget http://127.0.0.1:9/1.jpg",
        "forget http://127.0.0.1:9/1.jpg --dry-run",
        "fetch small --allow-private --retry-failed",
    ):
        assert f"{name} is damaged" in bamkit(line, cwd=workspace, code=3).output, line


def test_a_date_in_the_settings_is_named(workspace, bamkit):
    (workspace / "bamkit.toml").write_text("[translate]\nforce = 1e999\n")
    assert "force = inf: this option takes true or false" in bamkit("translate", cwd=workspace, code=3).output
    (workspace / "bamkit.toml").write_text("[translate]\nlimit = 1979-05-27\n")
    assert "1979-05-27: this option takes text or a number" in bamkit("translate", cwd=workspace, code=3).output


@pytest.mark.slow
def test_damaged_files_of_every_kind_end_in_a_line(tmp_path):
    """Some hundred cases of tests/fuzz_workspace.py, in a process of its own: one that dies would be seen, too."""
    script = Path(__file__).with_name("fuzz_workspace.py")
    environment = {key: value for key, value in os.environ.items() if key != "BAMKIT_DEBUG"}
    environment["PYTHONPATH"] = os.pathsep.join([str(script.parents[1]), str(script.parent)])
    words = [sys.executable, script, tmp_path, "--seconds", "25"]
    done = subprocess.run(words, env=environment, cwd=script.parent, capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-3:]
    assert done.returncode == 0, f"{last}\n{done.stderr[-2000:]}"
    assert sum(json.loads(last[-1])["cases"].values()) > 10
