"""The page of a run: complete, self-contained, and made from whatever is there."""

import json
import math
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import ImageFont

from bamkit.common.errors import BamkitError
from bamkit.gan.train.methods.terms import METHODS
from bamkit.gan.train.monitor import run_page, sample_strip, samples
from bamkit.gan.train.monitor.run_folder import _append, columns, validation_columns
from bamkit.gan.train.settings import TrainConfig

CYCLEGAN = METHODS["cyclegan"]
COLUMNS, VALIDATION_COLUMNS = columns(CYCLEGAN), validation_columns(CYCLEGAN)


def make_run(root, rows=40, frames=3, name="happy-scary", method="cyclegan"):
    run = root / "runs" / name
    (run / "samples").mkdir(parents=True)
    about = {
        "run_id": "abc",
        "name": name,
        "config": TrainConfig(method=method, width=16, steps=400, size=72).as_dict(),
    }
    about |= {"from": {"name": "happy", "split_id": "s1"}, "to": {"name": "<scary>", "split_id": "s2"}}
    about |= {"device": "cpu", "versions": {"torch": "2.x"}}
    (run / "run.json").write_text(json.dumps(about))
    for i in range(1, rows + 1):
        row = dict.fromkeys(columns(METHODS[method]), 1 / i) | {"step": 10 * i, "epoch": i / 10, "seconds": 2.0 * i}
        _append(run / "metrics.csv", columns(METHODS[method]), row)
    for i in range(1, 4):
        head = validation_columns(METHODS[method])
        _append(run / "validation.csv", head, dict.fromkeys(head, 1 / i) | {"step": i})
    pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    for i in range(frames):
        sheet = samples.draw(lambda x: -x, lambda x: x, pictures, torch.device("cpu"))
        for direction in ("happy-to-scary", "scary-to-happy"):
            samples.write(run / "samples", direction, 100 * i, sheet)
    return run


@pytest.mark.parametrize(("config", "asked"), [({}, True), ({"lambda_identity": 0}, False), ({"fastcut": True}, False)])
def test_an_identity_that_is_not_asked_for_is_not_expected(config, asked):
    assert ("which should leave it alone" in run_page._columns(config, METHODS["cut"])) == asked


@pytest.mark.parametrize("method", METHODS)
def test_the_page_is_complete_and_needs_no_network(tmp_path, method):
    run = make_run(tmp_path, method=method)
    page = run_page.write(run)
    assert page == run / "index.html"
    html = page.read_text()
    assert "Training happy-scary" in html
    assert "happy to &lt;scary&gt;" in html or "happy and &lt;scary&gt;" in html
    assert "<scary>" not in html
    assert html.count("<svg") == 7 + len(METHODS[method].terms)  # panels of losses, three of validation
    for shown in (METHODS[method].title, *(term.title for term in METHODS[method].terms)):
        assert shown in html
    assert ("it should be the first again" in html) == METHODS[method].comes_back
    assert ("at strength 0, 0.25, 0.5, 0.75 and 1." in html) == bool(METHODS[method].strengths)
    assert ("which should leave it alone" in html) == (not METHODS[method].strengths)
    assert "https://" not in re.sub(r'xmlns[:a-z]*="[^"]*"|<metadata>.*?</metadata>', "", html, flags=re.DOTALL)
    assert set(re.findall(r'(?:src|href)="(?!data:|#)([^"]+)', html)) == {"../../index.html"}
    frames = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])
    assert [frame["label"] for frame in frames] == [
        "step 0",
        "step 100 · epoch 1.0 · after 0:20",
        "step 200 · epoch 2.0 · after 0:40",
    ]
    assert all(uri.startswith("data:image/webp;base64,") for frame in frames for uri in frame["pictures"])
    assert "steps</td>" in html  # the settings that differ from the study
    assert "<td>16</td>" in html or ">16<" in html


def test_it_can_be_made_before_anything_was_logged(tmp_path):
    run = make_run(tmp_path, rows=0, frames=0)
    (run / "metrics.csv").unlink(missing_ok=True)
    (run / "validation.csv").unlink()
    html = run_page.write(run).read_text()
    assert "not started yet" in html
    assert "No samples have been drawn yet" in html
    assert "not enough rows" in html


def test_nan_and_a_line_cut_by_a_kill(tmp_path):
    run = make_run(tmp_path)
    with open(run / "metrics.csv", "a") as file:
        file.write("410,4.1,82.0," + "nan," * 11 + "nan\n420,4.2,8")
    table, _ = run_page.read_tables(run, CYCLEGAN)
    assert len(table) == 41
    assert math.isnan(table["G_A"].iloc[-1])
    assert table["step"].iloc[-1] == 410
    html = run_page.write(run).read_text()
    assert "410" in html
    assert "after 410 steps" in html


def test_the_trainers_warnings_are_repeated(tmp_path):
    run = make_run(tmp_path, rows=0)
    (run / "validation.csv").unlink()
    for i in range(1, 80):
        row = dict.fromkeys(COLUMNS, 0.5) | {"step": 10 * i, "D_A_accuracy": 0.99}
        _append(run / "metrics.csv", COLUMNS, row)
    _append(run / "validation.csv", VALIDATION_COLUMNS, dict.fromkeys(VALIDATION_COLUMNS, 0.1) | {"step": 800})
    html = run_page.write(run).read_text()
    assert "D_A tells real &lt;scary&gt; pictures from translated ones 99 times in 100" in html
    assert "a collapse" in html
    assert html.count('class="note"') == 3


def test_a_damaged_sample_is_left_out(tmp_path):
    run = make_run(tmp_path)
    (run / "samples" / "happy-to-scary-00000100.png").write_bytes(b"\x89PNG cut")
    html = run_page.write(run).read_text()
    frames = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])
    assert frames[1]["pictures"][0] == ""
    assert frames[1]["pictures"][1]


def test_frames_are_grouped_by_step(tmp_path):
    for name in ("a-to-b-00000002.png", "a-to-b-00000010.png", "b-to-a-00000002.png", "notes.png"):
        (tmp_path / name).touch()
    found = sample_strip.frames(tmp_path)
    assert {step: sorted(one) for step, one in found.items()} == {2: ["a-to-b", "b-to-a"], 10: ["a-to-b"]}


def test_settings_say_what_the_study_has(tmp_path):
    """Not the 0 that stands for a value decided later."""
    html = run_page.write(make_run(tmp_path)).read_text()
    settings = re.sub(r"<[^>]+>|\s+", " ", html[html.index("differs from the published study") :])
    for name, value, study in (("width", "16", "64"), ("steps", "400", "by epochs"), ("size", "72", "286")):
        assert re.search(rf"\b{name}\s+{value}\s+{study}\b", settings), name


def test_a_warning_that_has_passed_is_not_repeated(tmp_path):
    run = make_run(tmp_path, rows=0)
    (run / "validation.csv").unlink()
    for step, value in ((1, 0.1), (600, 0.1), (700, 0.9)):
        row = dict.fromkeys(VALIDATION_COLUMNS, value) | {"step": step}
        _append(run / "validation.csv", VALIDATION_COLUMNS, row)
        assert ("a collapse" in run_page.write(run).read_text()) is (step == 600), step


@pytest.mark.parametrize(("side", "shown"), [(28, 84), (32, 64), (63, 126), (64, 64), (100, 100)])
def test_titles_fit_above_small_pictures(side, shown):
    pictures = np.zeros((2, side, side, 3), np.uint8)
    sheet = samples.draw(lambda x: x, lambda x: x, pictures, torch.device("cpu"))
    assert sheet.size == (4 * (shown + 4) - 4, 18 + 2 * (shown + 4) - 4)
    font = ImageFont.load_default(12)
    assert all(font.getlength(title) + 2 <= shown for title in samples.COLUMNS)


def test_no_run(tmp_path):
    with pytest.raises(BamkitError, match="no training run"):
        run_page.write(tmp_path / "nothing")


def test_without_matplotlib_it_says_so(tmp_path, monkeypatch):
    run = make_run(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    html = run_page.write(run).read_text()
    assert "The curves need matplotlib" in html
    assert "<svg" not in html


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
def test_the_slider_turns_the_picture(tmp_path):
    """Move the slider in a real browser and read the page back."""
    run = make_run(tmp_path)
    html = run_page.write(run).read_text()
    move = """<script>const s = document.querySelector("#strip input"); s.value = 0;
      s.dispatchEvent(new Event("input"));</script></body>"""
    (tmp_path / "moved.html").write_text(html.replace("</body>", move))
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000", "--dump-dom",
         f"file://{tmp_path / 'moved.html'}"],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    assert '<output aria-live="off">step 0</output>' in done.stdout
    assert 'alt="Samples happy-to-scary, step 0"' in done.stdout
