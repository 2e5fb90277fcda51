"""croissant.json: what it says of an export, read back with the format's own library."""

import hashlib
import io
import json
import logging
import sqlite3

import numpy as np
import pyarrow.parquet as pq
import pytest
from domains import manifest
from PIL import Image
from test_export import jpeg, write_domain

from bamkit.common.shards import read_about, read_table, write_table
from bamkit.common.workspace import Workspace
from bamkit.curate.database.connection import Database
from bamkit.curate.database.crowd import crowd_of
from bamkit.curate.export.run import export
from bamkit.curate.export.settings import FORMATS, ExportSettings


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Both domains in every format; one mid is in both."""
    root = tmp_path_factory.mktemp("croissant")
    write_domain(root, "happy", 100)
    write_domain(root, "scary", 105)
    for to in FORMATS:
        export(Workspace.open(root), ["happy", "scary"], root / to, ExportSettings(to, shard=2))
    return root


def described(folder):
    return json.loads((folder / "croissant.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("to", FORMATS)
def test_files_are_there_with_their_hashes_and_columns_are_those_of_the_tables(exports, to):
    folder, about = exports / to, described(exports / to)
    files = {file["@id"]: file for file in about["distribution"]}
    objects = [file for file in files.values() if file["@type"] == "cr:FileObject"]
    for file in objects:
        assert hashlib.sha256((folder / file["contentUrl"]).read_bytes()).hexdigest() == file["sha256"]
    named = {path for file in files.values() for path in file.get("includes", [])} | {f["contentUrl"] for f in objects}
    for path in folder.rglob("*"):
        if path.suffix in (".csv", ".parquet", ".tar"):
            assert str(path.relative_to(folder)) in named
    ids = [field["@id"] for records in about["recordSet"] for field in records["field"]]
    assert len(set(ids)) == len(ids)
    rows = next(records for records in about["recordSet"] if records["@id"] in ("rows", "happy", "pictures"))
    columns = [field["name"] for field in rows["field"]]
    if to == "hf":
        assert columns == pq.read_schema(folder / "happy" / "train-00000-of-00001.parquet").names
    elif to != "cyclegan":
        table = {"imagefolder": "train/metadata.csv"}.get(to, "happy-train.csv")
        assert columns == (folder / table).read_text(encoding="utf-8").splitlines()[0].split(",")
    assert "datePublished" not in about


def test_the_version_changes_with_the_content_and_with_nothing_else(exports, tmp_path):
    first = described(exports / "csv")["version"]
    for name, start in (("happy", 100), ("scary", 105)):
        write_domain(tmp_path, name, start)
    workspace = Workspace.open(tmp_path)
    export(workspace, ["happy", "scary"], tmp_path / "again", ExportSettings("csv"))
    export(workspace, ["scary", "happy"], tmp_path / "turned", ExportSettings("csv"))
    assert described(tmp_path / "again")["version"] == first
    assert described(tmp_path / "turned")["version"] != first


def test_what_is_to_know_is_filled_from_the_data(tmp_path):
    for name, seed in (("happy", 1), ("scary", 2)):
        table = manifest(emotion=name, seed=seed, first_mid=1000 * seed, flower=-0.3 if name == "happy" else -6.0)
        about = {"kind": "selection", "name": name, "query": {"attribute": f"emotion_{name}"}}
        about |= {"selection_id": f"x-{name}", "database": {"fingerprint": "f1"}, "labels": {"source": "automatic"}}
        write_table(table, tmp_path / "selections" / f"{name}.parquet", about)
    config = ExportSettings("csv")
    export(Workspace.open(tmp_path), ["happy", "scary"], tmp_path / "out", config)
    said = described(tmp_path / "out")
    mature = sum(read_table(tmp_path / "selections" / "happy.parquet")["mature"].to_pylist())
    assert f"happy: {mature} of 60 (" in said["rai:personalSensitiveInformation"][0]
    confounders = said["rai:dataBiases"][-1]
    assert confounders.startswith("What tells happy from scary besides: flower ")
    assert "emotion" not in confounders
    assert "n 35 and 35" in confounders
    assert '{"attribute": "emotion_happy"}' in said["rai:dataCollection"]
    assert "labels as the database gives them (source automatic)" in said["rai:dataAnnotationProtocol"][0]
    assert "top of a classifier's ranking" in " ".join(said["rai:dataLimitations"])
    assert "no licence" not in said["license"]
    assert "https://creativecommons.org/licenses/by-nc-nd/4.0/" in said["license"]
    assert "not known here" in said["rai:dataAnnotationAnalysis"][1]


def test_agreement_with_the_crowd_is_told_where_the_workspace_keeps_it(sample_workspace, bamkit):
    bamkit("select --emotion happy --top 30 --test 10 --validation 0 --reserve 0", cwd=sample_workspace)
    bamkit("export happy --to csv --output before", cwd=sample_workspace)
    bamkit("info", cwd=sample_workspace)
    with Database.open(sample_workspace / "bam.sqlite") as database:
        crowd_of(database, Workspace(sample_workspace))  # as report does
    bamkit("export happy --to csv --output after", cwd=sample_workspace)
    before, after = (described(sample_workspace / name)["rai:dataAnnotationAnalysis"] for name in ("before", "after"))
    assert "not known here" in before[1]
    kept = read_table(sample_workspace / "index" / "crowd-agreement.parquet").to_pandas().set_index("attribute")
    row = kept.loc["emotion_happy"]
    assert after[1].startswith(f"happy: of {int(row.predicted)} crowd-labelled images with a score above -1, ")
    assert f"{100 * row.precision:.1f} % [{100 * row.precision_low:.1f} %" in after[1]
    assert f"(n {int(row.n)}, chance 0.5)" in after[1]


# ---------------------------------------------------------------- the format's own library


@pytest.fixture(scope="module")
def croissant(tmp_path_factory):
    """mlcroissant, with a cache of its own."""
    library = pytest.importorskip("mlcroissant")
    from etils import epath
    from mlcroissant._src.operation_graph.operations import extract

    before, extract.EXTRACT_PATH = extract.EXTRACT_PATH, epath.Path(tmp_path_factory.mktemp("extracted"))
    yield library
    extract.EXTRACT_PATH = before


def load(croissant, folder, caplog):
    """The data set; it must give no warning but that there is no date."""
    with caplog.at_level(logging.WARNING):
        found = croissant.Dataset(folder / "croissant.json")
    assert not [record for record in caplog.records if "not standard" in record.getMessage()]
    issues = found.metadata.ctx.issues
    assert not issues.errors
    assert len(issues.warnings) == 1
    assert "datePublished" in str(issues.warnings)
    return found


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)) if isinstance(data, bytes) else data.convert("RGB"))


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.slow
def test_mlcroissant_loads_every_record_and_the_very_pictures(croissant, exports, to, caplog):
    found = load(croissant, exports / to, caplog)
    counts = {one.uuid: len(list(found.records(one.uuid))) for one in found.metadata.record_sets}
    expected = {
        "cyclegan": {"pictures": 20},
        "imagefolder": {"rows": 20, "pictures": 20},
        "webdataset": {"happy": 10, "scary": 10, "happy-pictures": 10, "scary-pictures": 10},
        "csv": {"happy": 10, "scary": 10},
        "hf": {"happy": 10, "scary": 10},
    }[to]
    assert counts == {**expected, "attribution": 20}
    name = next((name for name in ("pictures", "happy-pictures", "happy") if name in counts), "")
    rows = list(found.records(name))
    if to != "csv":
        for row in rows:
            assert (pixels(row[f"{name}/image"]) == pixels(jpeg(row[f"{name}/mid"]))).all()
    if to == "imagefolder":
        places = {(row["pictures/domain"], row["pictures/split"], row["pictures/mid"]) for row in rows}
        assert (b"happy", b"train", 101) in places
        assert {(domain, mid) for domain, _, mid in places} >= {(b"happy", 106), (b"scary", 106)}, "in both domains"
    assert found.metadata.data_biases
    assert found.metadata.personal_sensitive_information[0].startswith("happy: ")


@pytest.mark.slow
def test_mlcroissant_notices_a_file_that_was_changed(croissant, exports, tmp_path):
    import shutil

    folder = shutil.copytree(exports / "csv", tmp_path / "changed")
    with open(folder / "attribution.csv", "a") as file:
        file.write("1,,,,,,,,\n")
    with pytest.raises(Exception, match=r"attribution\.csv"):
        list(croissant.Dataset(folder / "croissant.json").records("attribution"))


@pytest.mark.slow
def test_mlcroissant_loads_the_tables_of_the_database(croissant, sample_workspace, bamkit, caplog):
    bamkit("export --to parquet --output tables", cwd=sample_workspace)
    folder = sample_workspace / "tables"
    found = load(croissant, folder, caplog)
    with sqlite3.connect(sample_workspace / "bam.sqlite") as database:
        for name in ("modules", "scores", "crowd_labels"):
            assert len(list(found.records(name))) == database.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
    assert any(text.startswith("happy: ") for text in found.metadata.data_annotation_analysis)
    assert read_about(folder / "modules.parquet")["database"]["fingerprint"] in found.metadata.description
