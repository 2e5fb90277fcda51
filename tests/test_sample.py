"""The sample: BAM's schema and quirks, labels true by construction, pictures, the command."""

import hashlib
import io
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from conftest import free_port
from PIL import Image

from bamkit.common.contract import ATTRIBUTES, CONTENT, EMOTION, LABELS, MEDIA
from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace
from bamkit.sample import make_sample, paint, paint_scene, placeholder, truth
from bamkit.sample.addresses import mid_of, path_of
from bamkit.sample.database import LABEL_COLUMNS, SCORE_COLUMNS, draw_mids, sample_of
from bamkit.sample.encode import content_type, form_of, picture_bytes

TABLES = {
    "modules": ["mid", "project_id", "src", "mature_content", "license"],
    "scores": ["mid", *SCORE_COLUMNS],
    "crowd_labels": ["mid", "attribute", "label"],
    "crowd_raw_hits": ["assignment_id", "attribute", "worker_id", "n_clicks", "n_seconds", "last_modified"],
    "crowd_raw_choices": ["assignment_id", "mid", "attribute", "label"],
    "crowd_raw_captions": ["assignment_id", "mid", "attribute", "caption", "label"],
}


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A sample of the default size."""
    return make_sample(tmp_path_factory.mktemp("large"))


@pytest.fixture(scope="module")
def database(large):
    with closing(sqlite3.connect(large / "bam.sqlite")) as connection:
        yield connection


def rows(connection, query):
    return connection.execute(query).fetchall()


# The database


def test_the_schema_is_bams(database):
    assert {
        name: kind for kind, name in rows(database, "SELECT type, name FROM sqlite_master WHERE type != 'index'")
    } == {
        **dict.fromkeys(TABLES, "table"),
        "automatic_labels": "view",
    }
    for table, columns in TABLES.items():
        assert [row[1] for row in rows(database, f"PRAGMA table_info({table})")] == columns
    types = {row[1]: row[2] for row in rows(database, "PRAGMA table_info(modules)")}
    assert types == {"mid": "INT", "project_id": "INT", "src": "TEXT", "mature_content": "boolean", "license": "TEXT"}
    indexes = rows(database, "SELECT tbl_name FROM sqlite_master WHERE type = 'index'")
    assert sorted(indexes) == [("crowd_labels",), ("modules",)], "only the two primary keys have an index"


def test_labels_are_a_view_in_another_column_order(database):
    view = [row[1] for row in rows(database, "PRAGMA table_info(automatic_labels)")]
    assert view == ["mid", *LABEL_COLUMNS]
    assert sorted(LABEL_COLUMNS) == sorted(SCORE_COLUMNS) == sorted(ATTRIBUTES)
    assert LABEL_COLUMNS != SCORE_COLUMNS


def test_scores_are_negative_and_in_the_range_of_the_real_file(database):
    for name in ATTRIBUTES:
        low, high, missing = rows(database, f"SELECT min({name}), max({name}), sum({name} IS NULL) FROM scores")[0]
        assert -23.007 <= low < -15
        assert -0.1 < high <= -0.0527
        assert missing == 0


def test_four_percent_of_the_modules_have_no_scores(database):
    (without,) = rows(database, "SELECT count(*) FROM modules WHERE mid NOT IN (SELECT mid FROM scores)")[0]
    assert without == round(6000 * 16263 / 389040)


def test_mids_projects_sources_and_licences_look_like_bams(database):
    mids = [mid for (mid,) in rows(database, "SELECT mid FROM modules ORDER BY mid")]
    assert len(mids) == 6000
    assert mids[0] == 489
    assert mids[-1] > 250_000_000
    pattern = (
        r"http://127\.0\.0\.1:8765/project_modules/disp/[0-9a-f]{6}\d+\.[0-9a-f]{13}\.(jpe?g|png|gif|JPG|PNG|GIF|Jpg)"
    )
    sources = [src for (src,) in rows(database, "SELECT src FROM modules")]
    assert all(re.fullmatch(pattern, src) for src in sources)
    assert {src.rpartition(".")[2] for src in sources} >= {"jpg", "png", "gif", "JPG", "PNG"}
    doubled = [n for n in Counter(sources).values() if n > 1]
    assert len(doubled) == 24
    sizes = Counter(Counter(project for (project,) in rows(database, "SELECT project_id FROM modules")).values())
    assert sizes[1] > sizes[2] > sizes[4] > 0
    licenses = dict(rows(database, "SELECT license, count(*) FROM modules GROUP BY 1"))
    assert licenses["cc by-nc"] > 300
    assert rows(database, "SELECT DISTINCT mature_content FROM modules ORDER BY 1") == [(0,), (1,)]


def test_crowd_labels_are_one_an_image_and_grouped_with_positives_first(database):
    labels = rows(database, "SELECT mid, attribute, label FROM crowd_labels ORDER BY rowid")
    asked = Counter(mid for mid, _, _ in labels)
    assert len(asked) == 6000
    assert 0.98 < sum(n == 1 for n in asked.values()) / 6000 < 1
    order = [(attribute, label) for _, attribute, label in labels]
    groups = list(dict.fromkeys(order))
    assert len(groups) == sum(a != b for a, b in pairwise(order)) + 1, "each group is one run"
    for name in ATTRIBUTES:
        found = [label for attribute, label in groups if attribute == name]
        assert found == [label for label in LABELS if label in found]


def test_raw_crowd_tables_agree_with_the_labels(database):
    votes = {}
    for mid, attribute, label in rows(database, "SELECT mid, attribute, label FROM crowd_raw_choices"):
        votes.setdefault((mid, attribute), []).append(label)
    for mid, attribute, label in rows(database, "SELECT mid, attribute, label FROM crowd_labels"):
        answers = votes[mid, attribute]
        assert label == ("positive" if all(answers) else "unsure" if any(answers) else "negative")
    query = (
        "SELECT count(*) FROM crowd_raw_choices WHERE assignment_id NOT IN (SELECT assignment_id FROM crowd_raw_hits)"
    )
    assert rows(database, query) == [(0,)]
    (captions,) = rows(database, "SELECT count(*) FROM crowd_raw_captions")[0]
    assert 900 < captions < 1500


def test_positive_labels_are_ninety_percent_true(database):
    sources = [src for (src,) in rows(database, "SELECT src FROM modules JOIN scores USING (mid)")]
    attributes = {src: truth(mid_of(urlsplit(src).path, 0)).attributes for src in sources}
    for name in ATTRIBUTES:
        found = rows(database, f"SELECT src, {name} FROM automatic_labels JOIN modules USING (mid)")
        shown = {src: name in attributes[src] for src, _ in found}
        positive = [shown[src] for src, label in found if label == "positive"]
        negative = [shown[src] for src, label in found if label == "negative"]
        assert 0.88 < sum(positive) / len(positive) < 0.92
        assert sum(negative) / len(negative) < 0.02
        assert sum(label == "unsure" for _, label in found) > 100


@pytest.mark.parametrize("emotion", ["happy", "scary"])
def test_the_study_can_be_done_with_true_pictures(database, emotion):
    """1,000 train, 200 test, 50 validation and a reserve, label-positive and painted so."""
    found = rows(
        database,
        f"SELECT src, l.emotion_{emotion} FROM scores s JOIN modules USING (mid) JOIN automatic_labels l USING (mid)"
        f" ORDER BY s.emotion_{emotion} DESC LIMIT 1438",
    )
    assert {label for _, label in found} == {"positive"}
    true = sum(emotion in truth(mid_of(urlsplit(src).path, 0)).moods for src, _ in found)
    assert true / len(found) > 0.98


def test_confounders_are_there_and_every_content_is_in_both_moods():
    scenes = [truth(mid) for mid in draw_mids(6000, 0)]

    def share(mood, content):
        of_mood = [scene for scene in scenes if mood in scene.moods]
        return sum(content in scene.contents for scene in of_mood) / len(of_mood)

    assert share("happy", "flower") > 2 * share("scary", "flower")
    assert share("happy", "cat") > 1.4 * share("scary", "cat")
    assert share("scary", "people") > 1.8 * share("happy", "people")
    for content in CONTENT:
        assert share("happy", content) > 0.05
        assert share("scary", content) > 0.05
    assert {scene.medium for scene in scenes if scene.mood == "happy"} == set(MEDIA)
    assert {scene.medium for scene in scenes if scene.mood == "scary"} == set(MEDIA)


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    first = make_sample(tmp_path / "a", 300, seed=3, port=9000)
    again = make_sample(tmp_path / "b", 300, seed=3, port=9000)
    other = make_sample(tmp_path / "c", 300, seed=4, port=9000)
    read = [(folder / "bam.sqlite").read_bytes() for folder in (first, again, other)]
    assert read[0] == read[1] != read[2]
    assert (first / "bamkit.toml").read_text() == (again / "bamkit.toml").read_text()


def test_the_settings_allow_this_machine_and_know_the_placeholder(large):
    known = [hashlib.sha256(placeholder()).hexdigest()]
    assert Workspace.open(large).config == {"fetch": {"allow-private": True, "placeholder": known}}


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path, monkeypatch):
    folder = make_sample(tmp_path, 100)
    before = (folder / "bam.sqlite").read_bytes()
    with pytest.raises(BamkitError, match="already there"):
        make_sample(tmp_path, 100, seed=1)
    with monkeypatch.context() as patch:
        patch.setattr("bamkit.sample.database.ask_crowd", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            make_sample(tmp_path, 100, seed=1, force=True)
    assert (folder / "bam.sqlite").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bam.sqlite", "bamkit.toml"]
    make_sample(tmp_path, 100, seed=1, force=True)
    assert (folder / "bam.sqlite").read_bytes() != before


def test_force_replaces_a_sample_but_never_a_users_file(tmp_path):
    with closing(sqlite3.connect(tmp_path / "bam.sqlite")) as connection:
        connection.execute("CREATE TABLE modules(mid int)")
    before = (tmp_path / "bam.sqlite").read_bytes()
    with pytest.raises(BamkitError, match="not made by bamkit sample"):
        make_sample(tmp_path, 100, force=True)
    assert (tmp_path / "bam.sqlite").read_bytes() == before
    (tmp_path / "bam.sqlite").unlink()
    (tmp_path / "bamkit.toml").write_text("db = 'elsewhere.sqlite'")
    with pytest.raises(BamkitError, match="not written by bamkit sample"):
        make_sample(tmp_path, 100, force=True)
    assert (tmp_path / "bamkit.toml").read_text() == "db = 'elsewhere.sqlite'"


@pytest.mark.parametrize("options", [{"rows": 3}, {"seed": -1}, {"port": 0}, {"port": 70000}, {"mature": 0.9}])
def test_arguments_out_of_range_are_named(tmp_path, options):
    with pytest.raises(BamkitError, match=next(iter(options))):
        make_sample(tmp_path, **options)
    assert not (tmp_path / "bam.sqlite").exists()


# The pictures


def test_pictures_are_the_same_every_time_and_differ_between_mids():
    mids = draw_mids(6000, 0)[100:104]
    again = [hashlib.sha256(paint(mid).tobytes()).hexdigest() for mid in mids]
    assert again == [hashlib.sha256(paint(mid).tobytes()).hexdigest() for mid in mids]
    assert len(set(again)) == 4


@pytest.mark.parametrize("medium", MEDIA)
def test_moods_differ_in_light_and_share_their_layout(medium):
    """A scary scene is darker than the happy one with the same layout, and its horizon is in the same place."""
    scene = replace(truth(489), contents=("building",), medium=medium, width=300, height=240, layout="a", intensity=0.7)
    happy, scary, gloomy = (
        np.asarray(paint_scene(replace(scene, moods=(mood,))).convert("L"), float)
        for mood in ("happy", "scary", "gloomy")
    )
    assert scary.mean() < 0.6 * happy.mean()
    assert scary.mean() < gloomy.mean() < happy.mean()
    if medium == "vectorart":
        profiles = [np.abs(np.diff(image[:, 5:60].mean(axis=1))) for image in (happy, scary)]
        places = [int(profile[80:200].argmax()) for profile in profiles]
        assert abs(places[0] - places[1]) < 40


@pytest.mark.parametrize("mood", [*EMOTION, ""])
@pytest.mark.parametrize("content", CONTENT)
def test_every_content_is_painted_under_every_mood(mood, content):
    """The picture with the content differs from the picture of the same scene without it (or with another one)."""
    scene = replace(
        truth(489), moods=(mood,) if mood else (), contents=(content,), medium="vectorart", width=200, height=160
    )
    image = paint_scene(scene)
    other = paint_scene(replace(scene, contents=("cars" if content != "cars" else "bicycle",)))
    assert image.mode == "RGB"
    assert image.size == (200, 160)
    assert np.abs(np.asarray(image, int) - np.asarray(other, int)).mean() > 2


def test_everything_that_is_labelled_can_be_seen():
    """Taking away a secondary content changes at least half a percent of the picture."""
    scenes = [truth(mid) for mid in draw_mids(6000, 0)]
    scenes = [scene for scene in scenes if len(scene.contents) > 1 and not scene.series][::60]
    for scene in scenes:
        small = replace(scene, medium="vectorart", width=scene.width // 3, height=scene.height // 3)
        whole = np.asarray(paint_scene(small), int)
        without = np.asarray(paint_scene(replace(small, contents=scene.contents[:-1])), int)
        assert (np.abs(whole - without).sum(axis=2) > 24).mean() > 0.005, scene


def test_a_series_is_nearly_one_picture_and_other_projects_are_not():
    mids = draw_mids(6000, 0)
    series = [(a, b) for a, b in pairwise(mids) if a >> 4 == b >> 4 and truth(a).series][:4]
    apart = [(a, b) for a, b in pairwise(mids) if a >> 4 != b >> 4][:4]

    def distance(a, b):
        small = [np.asarray(paint(mid).resize((64, 64)), float) for mid in (a, b)]
        return np.abs(small[0] - small[1]).mean()

    near = [distance(a, b) for a, b in series]
    assert all(0 < value < 14 for value in near)
    assert max(near) < min(distance(a, b) for a, b in apart)
    scenes = [truth(mid) for mid in mids]
    share = sum(scene.series for scene in scenes) / len(scenes)
    assert 0.17 < share < 0.27


def test_files_lie_about_their_format_now_and_then():
    mids = draw_mids(6000, 0)
    forms = {mid: form_of(mid, 0) for mid in mids}
    names = Counter((content_type(path_of(mid, 0)), form.format) for mid, form in forms.items())
    assert 0.05 < names["image/png", "JPEG"] / names["image/png", "PNG"] < 0.13
    assert 0.02 < names["image/jpeg", "PNG"] / names["image/jpeg", "JPEG"] < 0.07
    assert names["image/gif", "GIF"] > 200
    assert 0.5 < sum(form.profile for form in forms.values()) / len(mids) < 0.65
    for kind, alpha in (("JPEG", False), ("PNG", False), ("PNG", True), ("GIF", False)):
        mid = next(mid for mid, form in forms.items() if (form.format, form.alpha) == (kind, alpha))
        image = Image.open(io.BytesIO(picture_bytes(mid, 0)))
        assert image.format == kind
        assert (image.mode == "RGBA") == alpha
        assert ("icc_profile" in image.info) == forms[mid].profile


def test_addresses_lead_back_to_their_mid():
    for mid in (489, 1004, 250_400_000):
        assert mid_of(path_of(mid, 5), 5) == mid
        assert mid_of(path_of(mid, 5), 6) is None
    for path in ("/", "/project_modules/disp/../../etc/passwd", "/project_modules/disp/abcdef489.0123456789abc.jpg"):
        assert mid_of(path, 0) is None


# The command


def test_the_command_makes_a_workspace_and_says_what_comes_next(bamkit, tmp_path):
    result = bamkit("sample try --rows 300 --port 9123", cwd=tmp_path)
    assert "300 images" in result.output
    assert "bamkit sample try --serve" in result.output
    assert "bamkit select --emotion happy --top 37" in result.output
    assert sample_of(tmp_path / "try")[:3] == (0, 300, 9123)
    again = bamkit("sample try", cwd=tmp_path, code=3)
    assert "already there" in again.output
    assert "--force" in again.output


@pytest.mark.parametrize("options", ["--rows 400", "--seed 3", "--port 9124"])
def test_the_command_does_not_serve_another_sample_than_asked_for(bamkit, tmp_path, options):
    make_sample(tmp_path / "try", 300, port=9123)
    result = bamkit(f"sample try --serve {options}", cwd=tmp_path, code=3)
    assert "was made with" in result.output
    assert "--force" in result.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_stopped(tmp_path, number):
    port = free_port()
    words = [
        sys.executable,
        "-m",
        "bamkit",
        "sample",
        str(tmp_path / "w"),
        "--rows",
        "60",
        "--port",
        str(port),
        "--serve",
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert "60 images" in process.stdout.readline()
        assert f"http://127.0.0.1:{port}" in process.stdout.readline()
        assert requests.get(f"http://127.0.0.1:{port}/", timeout=60).status_code == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert out.startswith("answers:")
    assert err == ""


def test_commands_shown_can_be_pasted_whatever_the_folder_is_called(bamkit, tmp_path):
    output = bamkit(["sample", "mein Gemälde", "--rows", "40"], cwd=tmp_path).output
    assert "bamkit sample 'mein Gemälde' --serve" in output
    assert "cd 'mein Gemälde'" in output
    assert "'mein Gemälde' --serve" in bamkit(["sample", "mein Gemälde", "--rows", "40"], cwd=tmp_path, code=3).output


def test_a_wrong_share_of_faults_makes_no_sample(bamkit, tmp_path):
    bamkit("sample new --serve --faults 3", cwd=tmp_path, code=2)
    assert list(tmp_path.iterdir()) == []
