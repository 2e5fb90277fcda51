"""Exports, each read back in the library that is to read it; licences, cards, attribution."""

import csv
import io
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from templates import templated

from bamkit.common import contract
from bamkit.common.errors import BamkitError
from bamkit.common.licences import licence
from bamkit.common.shards import write_table
from bamkit.common.workspace import Workspace
from bamkit.curate.export.run import export
from bamkit.curate.export.settings import ExportSettings

FREE = ("cc by", "cc by-nc", "cc0", "cc by-sa")


def jpeg(mid, size=32):
    colour = np.random.default_rng(mid).integers(0, 256, 3)
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), tuple(int(c) for c in colour)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def row(mid, rank, split, emotion, license_):
    found = dict.fromkeys(contract.split_schema().names)
    found |= {"image": {"bytes": jpeg(mid), "path": f"{mid}.jpg"}, "mid": mid, "project_id": mid // 2, "rank": rank}
    found |= {"src": f"http://127.0.0.1/{mid}.PNG", "license": license_, "mature": False, "split": split, "score": -0.5}
    found |= {f"emotion_{emotion}": "positive", f"emotion_{emotion}_score": -0.5, "width": 32, "height": 32}
    found |= {"content_flower": "positive" if mid % 2 else "negative"}
    return found


@templated
def write_domain(root, name, start, licences=FREE, counts=(5, 3, 2)):
    """A fetched split and its manifest."""
    rank, mid, rows = 0, start, []
    about = {"kind": "split", "name": name, "split_id": f"s-{name}", "selection_id": f"x-{name}"}
    about |= {"build": {"size": 32, "fit": "squash", "format": "jpeg", "quality": 95}, "query": {"emotion": name}}
    for split, count in zip(("train", "test", "validation"), counts, strict=True):
        part = []
        for _ in range(count):
            rank, mid = rank + 1, mid + 1
            part.append(row(mid, rank, split, name, licences[mid % len(licences)]))
        rows += part
        table = pa.Table.from_pylist(part, schema=contract.split_schema())
        path = root / "splits" / name / f"{split}-00000-of-00001.parquet"
        write_table(table, path, {**about, "split": split}, row_group_size=2)
    names = set(contract.selection_schema().names)
    manifest = [{k: v for k, v in r.items() if k in names} for r in rows]
    manifest.append({**manifest[-1], "mid": start + 99, "rank": rank + 1, "split": "reserve"})
    table = pa.Table.from_pylist(manifest, schema=contract.selection_schema())
    chosen = {key: value for key, value in about.items() if key not in ("split_id", "build")}
    write_table(table, root / "selections" / f"{name}.parquet", {**chosen, "kind": "selection"})
    return [r["mid"] for r in rows]


@pytest.fixture
def workspace(tmp_path):
    write_domain(tmp_path, "happy", 100)
    write_domain(tmp_path, "scary", 200)
    return tmp_path


def mids(folder):
    return sorted(int(path.stem) for path in folder.glob("*.jpg"))


# ---------------------------------------------------------------- formats, read back


def test_cyclegan_folders(workspace, bamkit):
    shown = bamkit("export happy scary --to cyclegan", cwd=workspace).output
    out = workspace / "exports" / "happy+scary-cyclegan"
    assert "20 images" in shown
    assert mids(out / "trainA") == [101, 102, 103, 104, 105]
    assert mids(out / "testB") == [206, 207, 208]
    assert mids(out / "valA") == [109, 110]
    assert (out / "trainA" / "101.jpg").read_bytes() == jpeg(101)


def test_cyclegan_folders_are_what_train_reads(workspace, bamkit):
    """torchvision's own folder reader takes trainA ... as classes."""
    from bamkit.gan.vision import torchvision

    torchvision()
    from torchvision.datasets import ImageFolder

    bamkit("export --to cyclegan --output out", cwd=workspace)
    found = ImageFolder(str(workspace / "out"))
    assert found.classes == ["testA", "testB", "trainA", "trainB", "valA", "valB"]
    assert len(found) == 20


def test_imagefolder_in_torchvision(workspace, bamkit):
    from bamkit.gan.vision import torchvision

    torchvision()
    from torchvision.datasets import ImageFolder

    bamkit("export happy scary --to imagefolder --output out", cwd=workspace)
    train = ImageFolder(str(workspace / "out" / "train"))
    assert train.classes == ["happy", "scary"]
    assert len(train) == 10
    picture, label = train[0]
    assert label == 0
    assert picture.size == (32, 32)
    with open(workspace / "out" / "train" / "metadata.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["file_name"] for r in rows[:2]] == ["happy/101.jpg", "happy/102.jpg"]
    assert rows[0]["emotion_happy"] == "positive"
    assert all((workspace / "out" / "train" / r["file_name"]).is_file() for r in rows)


def test_imagefolder_in_datasets(workspace, bamkit, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    bamkit("export happy scary --to imagefolder --output out", cwd=workspace)
    found = datasets.load_dataset("imagefolder", data_dir=str(workspace / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: part.num_rows for name, part in found.items()} == {"train": 10, "test": 6, "validation": 4}
    first = found["train"][0]
    assert first["image"].size == (32, 32)
    assert (first["mid"], first["domain"]) == (101, "happy")


def test_webdataset_tars(workspace, bamkit):
    webdataset = pytest.importorskip("webdataset")
    bamkit("export happy --to webdataset --output out --shard 2", cwd=workspace)
    urls = [str(workspace / "out" / f"happy-train-{i:06}.tar") for i in range(3)]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("pil"))
    assert [sample["__key__"] for sample in samples] == ["101", "102", "103", "104", "105"]
    assert samples[0]["jpg"].size == (32, 32)
    assert samples[0]["json"]["mid"] == 101
    assert samples[0]["json"]["domain"] == "happy"


def test_tars_hold_their_samples(workspace, bamkit):
    """The same without the library: shard sizes, order, bytes."""
    import tarfile

    bamkit("export happy --to webdataset --output out --shard 2", cwd=workspace)
    sizes = {}
    for path in sorted((workspace / "out").glob("happy-train-*.tar")):
        with tarfile.open(path) as tar:
            sizes[path.name] = tar.getnames()
    assert sizes == {
        "happy-train-000000.tar": ["101.jpg", "101.json", "102.jpg", "102.json"],
        "happy-train-000001.tar": ["103.jpg", "103.json", "104.jpg", "104.json"],
        "happy-train-000002.tar": ["105.jpg", "105.json"],
    }


def test_hugging_face_parquet(workspace, bamkit, tmp_path):
    datasets = pytest.importorskip("datasets")
    bamkit("export happy scary --to hf --output out", cwd=workspace)
    found = datasets.load_dataset(str(workspace / "out"), "scary", cache_dir=str(tmp_path / "cache"))
    assert {name: part.num_rows for name, part in found.items()} == {"train": 5, "test": 3, "validation": 2}
    first = found["train"][0]
    assert first["image"].size == (32, 32)
    assert first["mid"] == 201
    assert first["emotion_scary"] == "positive"
    names = datasets.get_dataset_config_names(str(workspace / "out"))
    assert sorted(names) == ["happy", "scary"]


def test_parquet_keeps_rows_and_provenance(workspace, bamkit):
    bamkit("export happy --to hf --output out", cwd=workspace)
    table = pq.read_table(workspace / "out" / "happy" / "train-00000-of-00001.parquet")
    assert table["mid"].to_pylist() == [101, 102, 103, 104, 105]
    assert table["image"][0].as_py() == {"bytes": jpeg(101), "path": "101.jpg"}
    assert json.loads(table.schema.metadata[b"bamkit"])["split_id"] == "s-happy"
    assert b"huggingface" in table.schema.metadata


def test_csv_of_a_split_and_of_a_selection(workspace, bamkit):
    bamkit("export happy --to csv --output out --json", cwd=workspace)
    with open(workspace / "out" / "happy-test.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["mid"] for r in rows] == ["106", "107", "108"]
    assert "image" not in rows[0]
    for path in (workspace / "splits" / "scary").iterdir():
        path.unlink()
    bamkit("export scary --to csv --output out2", cwd=workspace)
    assert len((workspace / "out2" / "scary-train.csv").read_text().splitlines()) == 6
    assert len((workspace / "out2" / "scary-reserve.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("to", ["cyclegan", "imagefolder", "webdataset", "csv", "hf"])
def test_same_input_same_bytes(workspace, to):
    for name in ("one", "two"):
        export(Workspace.open(workspace), ["happy", "scary"], workspace / name, ExportSettings(to))
    files = [path for path in (workspace / "one").rglob("*") if path.is_file()]
    assert len(files) > 4
    for path in files:
        assert path.read_bytes() == (workspace / "two" / path.relative_to(workspace / "one")).read_bytes(), path
    assert not list(workspace.glob(".*.partial"))


# ---------------------------------------------------------------- card, attribution, licences


def test_the_card_is_filled_from_the_data(workspace, bamkit):
    bamkit("export happy scary --to hf --output out", cwd=workspace)
    text = (workspace / "out" / "README.md").read_text()
    head, body = text.split("---\n", 2)[1:]
    assert "license: other" in head
    assert "n<1K" in head
    assert "path: scary/validation-*.parquet" in head
    assert "| happy | train | 5 | 1 to 5 |" in body
    assert '`{"emotion": "happy"}`' in body
    assert "`split_id` s-scary" in body
    assert re.search(r"\| emotion\\_happy:positive \| 5 of 5 \| 100\.0 % \| 20\.\d to 100\.0 % \|", body)
    assert re.search(r"\| content\\_flower:positive \| 3 of 5 \|", body)
    assert "| cc by-nc | CC-BY-NC-4.0 | 6 | attribution, non-commercial | yes |" in body
    assert "quality 95" in body
    assert "{{" not in text
    assert "\n\n\n\n" not in body


def test_the_head_is_yaml(workspace, bamkit):
    yaml = pytest.importorskip("yaml")
    for to in ("hf", "imagefolder", "csv"):
        bamkit(f"export happy scary --to {to} --output {to}", cwd=workspace)
        head = yaml.safe_load((workspace / to / "README.md").read_text().split("---\n")[1])
        assert head["tags"][0] == "art"
        assert head["license_name"] == "per-image"
        assert ("configs" in head) == (to == "hf")


def test_one_licence_is_named_for_the_hub(tmp_path, bamkit):
    write_domain(tmp_path, "happy", 0, ("cc by",))
    bamkit("export happy --to csv --output out", cwd=tmp_path)
    assert "license: cc-by-4.0\n" in (tmp_path / "out" / "README.md").read_text()


def test_attribution_names_every_image(workspace, bamkit):
    bamkit("export happy scary --to cyclegan --output out", cwd=workspace)
    with open(workspace / "out" / "attribution.csv", newline="") as file:
        rows = {int(r["mid"]): r for r in csv.DictReader(file)}
    assert len(rows) == 20
    assert rows[101]["project_url"] == "https://www.behance.net/gallery/50"
    assert rows[101]["license"] == "cc by-nc"
    assert rows[101]["license_url"] == "https://creativecommons.org/licenses/by-nc/4.0/"
    assert rows[101]["conditions"] == "attribution, non-commercial"
    assert (rows[206]["domain"], rows[206]["split"]) == ("scary", "test")


def test_licences_that_forbid_it_stop_the_export(tmp_path, bamkit):
    write_domain(tmp_path, "happy", 0, ("cc by", "cc by-nc-nd", "", "all rights reserved", "weird"))
    shown = bamkit("export happy --to hf --output out", cwd=tmp_path, code=3).output
    assert "8 of 10 images may not be passed on" in shown
    assert "no derivatives" in shown
    assert "--licensed-only" in shown
    assert not (tmp_path / "out").exists()
    shown = bamkit("export happy --to hf --output out --licensed-only", cwd=tmp_path).output
    assert "2 images" in shown
    assert "left out for their licence" in shown
    shown = bamkit("export happy --to hf --output all --license-ok", cwd=tmp_path).output
    assert "10 images" in shown
    assert "keep the result to yourself" in shown
    assert "Keep this copy to yourself" in (tmp_path / "all" / "README.md").read_text()
    table = pq.read_table(tmp_path / "out" / "happy")
    assert set(table["license"].to_pylist()) == {"cc by"}
    assert "a table" not in shown
    bamkit("export happy --to csv --output table", cwd=tmp_path)  # holds no pictures


@pytest.mark.parametrize(
    ("text", "allowed", "conditions", "url"),
    [
        ("cc by", True, ("attribution",), "https://creativecommons.org/licenses/by/4.0/"),
        ("CC-BY-SA 3.0", True, ("attribution", "share alike"), "https://creativecommons.org/licenses/by-sa/3.0/"),
        ("cc by-nc-sa", True, ("attribution", "non-commercial", "share alike"), None),
        ("cc_by_nc_nd", False, ("attribution", "non-commercial"), None),
        ("cc by-nd", False, ("attribution",), None),
        ("cc0", True, (), "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("Public Domain", True, (), None),
        ("gpl-2+", True, ("attribution", "share alike"), ""),
        ("", False, (), ""),
        (None, False, (), ""),
        ("All Rights Reserved", False, (), ""),
        ("no use", False, (), ""),
        ("standby", False, (), ""),
        ("Creative Commons BY-NoDerivs", False, ("attribution",), "https://creativecommons.org/licenses/by-nd/4.0/"),
        ("cc by noderivatives", False, ("attribution",), None),
        ("cc by (no derivatives)", False, ("attribution",), None),
        ("cc by nc–nd", False, ("attribution", "non-commercial"), None),
        ("CC BY‑ND", False, ("attribution",), None),
        ("cc by without derivatives", False, ("attribution",), None),
        ("Attribution-NonCommercial-NoDerivatives 4.0 International", False, ("attribution", "non-commercial"), None),
        ("mit-nd", False, (), ""),
        ("byncnd", False, (), ""),
        ("cc by, no adaptations", False, (), ""),
        ("cc by 3.0 and cc by-nd", False, (), ""),
        ("Creative Commons Zero", True, (), "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("bye bye", False, (), ""),
    ],
)
def test_licences(text, allowed, conditions, url):
    found = licence(text)
    assert (found.allowed, found.conditions) == (allowed, conditions)
    assert bool(found.reason) == (not allowed)
    if url is not None:
        assert found.url == url


@pytest.mark.parametrize(
    ("text", "spdx"),
    [
        ("cc by", "CC-BY-4.0"),
        ("CC-BY-SA 3.0", "CC-BY-SA-3.0"),
        ("cc_by_nc_nd", "CC-BY-NC-ND-4.0"),
        ("cc0", "CC0-1.0"),
        ("mit", "MIT"),
        ("gpl v3 or later", "GPL-3.0-or-later"),
        ("lgpl-3", "LGPL-3.0-only"),
        ("gpl", ""),
        ("bsd", ""),
        ("all rights reserved", ""),
    ],
)
def test_spdx_identifiers(text, spdx):
    assert licence(text).spdx == spdx


def test_text_of_the_database_cannot_break_the_card(tmp_path, bamkit):
    write_domain(tmp_path, "happy", 0, ("cc by | <b>x</b>\n# y",))
    bamkit("export happy --to csv --output out", cwd=tmp_path)
    text = (tmp_path / "out" / "README.md").read_text()
    assert "<b>" not in text
    assert "\n# y" not in text


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("export happy --to cyclegan", "cyclegan needs two domains, not 1 (happy)"),
        ("export happy happy --to cyclegan", "happy is named twice"),
        ("export hapy --to hf", "there is no run, split or selection 'hapy'"),
        ("export happy --to onnx", "happy is a dataset"),
        ("export --to onnx", "--to onnx needs the name of a run"),
        ("export gloomy --to hf", "pictures were not fetched"),
        ("export happy --to hf --licensed-only --license-ok", "contradict each other"),
        ("export happy --to hf --output mine", "was not made by bamkit export"),
        ("export happy --to hf --output mine --force", "was not made by bamkit export"),
        ("export happy --to hf --output mine/file", "is a file"),
        ("export nothing --to run", "--to run needs the weights and a name"),
        ("export x --to run --name y --domains a", "does not name two domains"),
    ],
)
def test_mistakes_get_one_line(workspace, bamkit, line, said):
    (workspace / "mine").mkdir()
    (workspace / "mine" / "file").write_text("precious")
    manifest = workspace / "selections" / "happy.parquet"
    (workspace / "selections" / "gloomy.parquet").write_bytes(manifest.read_bytes())
    shown = bamkit(line, cwd=workspace, code=3).output
    assert said in shown
    assert len(shown.strip().splitlines()) <= 2
    assert (workspace / "mine" / "file").read_text() == "precious"


def test_nothing_to_export(tmp_path, bamkit):
    shown = bamkit("export --to hf", cwd=tmp_path, code=3).output
    assert "bamkit fetch" in shown


def test_force_replaces_an_export_and_a_failure_leaves_the_old_one(workspace, bamkit, monkeypatch):
    from bamkit.curate.export import formats

    bamkit("export happy --to hf --output out", cwd=workspace)
    assert "is already there" in bamkit("export happy --to hf --output out", cwd=workspace, code=3).output
    before = (workspace / "out" / "README.md").read_text()

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(formats.WRITERS, "csv", broken)
    with pytest.raises(OSError, match="No space"):
        export(Workspace.open(workspace), ["happy"], workspace / "out", ExportSettings("csv"), force=True)
    assert (workspace / "out" / "README.md").read_text() == before
    assert not list(workspace.glob(".*.partial"))
    bamkit("export scary --to imagefolder --output out --force", cwd=workspace)
    assert not (workspace / "out" / "happy").exists()
    assert (workspace / "out" / "train" / "scary").is_dir()


def test_a_row_without_a_picture_is_named(workspace):
    path = workspace / "splits" / "happy" / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[1]["image"] = None
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    with pytest.raises(BamkitError, match="holds no picture for 107"):
        export(Workspace.open(workspace), ["happy"], workspace / "out", ExportSettings("imagefolder"))


def test_without_names_a_judges_splits_stay_here(workspace, bamkit, undrawn):
    write_domain(workspace, "judge-happy", 300)
    write_domain(workspace, "judge-scary", 400)
    bamkit("export --to cyclegan --output out", cwd=workspace)
    marked = json.loads((workspace / "out" / "bamkit-export.json").read_text())
    assert [one["name"] for one in marked["domains"]] == ["happy", "scary"]
    bamkit("export judge-happy --to csv --output named", cwd=workspace)
    shown = json.loads(bamkit("report --no-database --json", cwd=workspace).output)
    assert shown["domains"] == ["happy", "scary"]
    shown = json.loads(bamkit("report judge-happy happy --no-database --json", cwd=workspace).output)
    assert shown["domains"] == ["judge-happy", "happy"]


def test_a_workspace_of_a_judge_only(tmp_path, bamkit):
    write_domain(tmp_path, "judge-happy", 300)
    assert "10 images" in bamkit("export --to csv --output out", cwd=tmp_path).output
