"""The user study: blind pairs, the page in a real browser, and the analysis of its answers."""

import csv
import json
import math
import re
import time
from dataclasses import replace

import evaluation_world as w
import numpy as np
import pytest

from bamkit.common.errors import BamkitError
from bamkit.common.pages.page import Page
from bamkit.gan.evaluate import page as evaluation_page
from bamkit.gan.user_study.agreement import fleiss_kappa, krippendorff_alpha
from bamkit.gan.user_study.answers import analyse, analyse_answers, read_answers, read_key
from bamkit.gan.user_study.page import make_study
from bamkit.gan.user_study.settings import StudyOptions

COLUMNS = ["study", "rater", "position", "trial", "repeat", "left", "right", "chosen", "seconds"]


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    workspace, rows = w.world(tmp_path_factory.mktemp("people"), train=6, test=12)
    return workspace, rows, make_study(workspace, options=StudyOptions(trials=8, repeats=3))


def page_data(study):
    text = study.page.read_text()
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)[1])


def simulate(study, rater, prefers, repeats=True, seed=0):
    """Answers as the page saves them; `prefers(method, rng)` says whether the picture of that method is chosen."""
    key = read_key(study.key)
    rng = np.random.default_rng(seed)
    rows = []
    for trial, methods in key.methods.items():
        one, other = methods
        left, right = (one, other) if rng.random() < 0.5 else (other, one)
        chosen = one if prefers(trial, rng) else other
        rows.append([key.study_id, rater, len(rows) + 1, trial, 0, left, right, chosen, "1.50"])
    for row in rows[:3] if repeats else []:
        rows.append([*row[:4], 1, row[6], row[5], row[7], "0.90"])
    return rows


def save(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return path


def test_page_is_blind_and_self_contained(studied):
    _, rows, study = studied
    data, text = page_data(study), study.page.read_text()
    assert study.trials == len(data["trials"]) == 16
    assert len(data["pictures"]) == 32
    assert all(uri.startswith("data:image/webp;base64,") for uri in data["pictures"].values())
    outside = text.replace(json.dumps(data), "")
    for word in ("translation", "happy-to-scary", "colour transfer", str(rows["happy"][8]["mid"])):
        assert word not in re.sub(r"base64,[^\"]*", "", outside), word
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]+"', outside)
    key = read_key(study.key)
    for trial in data["trials"]:
        assert trial["pictures"] == sorted(key.methods[trial["trial"]])
        assert set(key.methods[trial["trial"]].values()) == {"translation", "source"}
    assert {t["question"] for t in data["trials"]} == {"Which of the two is scarier?", "Which of the two is happier?"}


def test_same_input_same_study_and_another_is_not_overwritten(studied):
    workspace, _, study = studied
    before = study.page.read_bytes(), study.key.read_bytes()
    again = make_study(workspace, options=StudyOptions(trials=8, repeats=3))
    assert (again.page.read_bytes(), again.key.read_bytes()) == before
    with pytest.raises(BamkitError, match="another study"):
        make_study(workspace, options=StudyOptions(trials=4))
    assert study.key.read_bytes() == before[1]


def test_the_key_does_not_lie_in_the_folder_that_is_sent_out(studied):
    _, _, study = studied
    assert [path.name for path in study.page.parent.iterdir()] == ["index.html"]
    assert study.key.parent.name == "user-study-key"
    assert study.page.parent not in study.key.parents


def old_study(tmp_path):
    """A study as earlier versions wrote it: the key beside the page."""
    workspace, _ = w.world(tmp_path, train=6, test=6)
    study = make_study(workspace, options=StudyOptions(trials=4))
    old = study.page.parent / "key.csv"
    study.key.rename(old)
    return workspace, replace(study, key=old)


def test_the_answers_of_an_old_study_are_still_read(tmp_path):
    workspace, study = old_study(tmp_path)
    save(tmp_path / "a.csv", simulate(study, "a", lambda trial, rng: True))
    results, path = analyse_answers(workspace, "happy-scary", [tmp_path / "a.csv"])
    assert results[0].answers.value == 1
    assert path == study.page.parent.parent / "user-study-key" / "results.json"


def test_an_old_key_is_neither_overwritten_nor_left_beside_the_page(tmp_path):
    workspace, study = old_study(tmp_path)
    with pytest.raises(BamkitError, match="another study"):
        make_study(workspace, options=StudyOptions(trials=2))
    text = study.key.read_text()
    again = make_study(workspace, options=StudyOptions(trials=4))
    assert again.key.read_text() == text
    assert not study.key.exists()


def test_two_models_and_the_baseline_can_be_compared(tmp_path):
    workspace, rows = w.world(tmp_path, train=6, test=6)
    w.write_translations(workspace, "second", rows, lambda picture, direction: picture)
    study = make_study(workspace, "happy-scary", StudyOptions(against="second"))
    assert {frozenset(m.values()) for m in read_key(study.key).methods.values()} == {
        frozenset(("happy-scary", "second"))
    }
    study = make_study(workspace, "second", StudyOptions(against="colour transfer"))
    assert {"translation", "colour transfer"} == set(next(iter(read_key(study.key).methods.values())).values())
    with pytest.raises(BamkitError, match="of 2 runs: happy-scary, second") as asked:
        make_study(workspace, None, StudyOptions(against="colour transfer"))
    assert asked.value.hint == "bamkit evaluate happy-scary --user-study --against 'colour transfer'"
    with pytest.raises(BamkitError, match="nothing called"):
        make_study(workspace, "second", StudyOptions(against="third"))
    with pytest.raises(BamkitError, match="with itself"):
        make_study(workspace, "second", StudyOptions(against="second"))


def test_raters_who_see_it_are_found_and_agree(studied, tmp_path):
    workspace, _, study = studied
    for number in range(3):
        save(tmp_path / f"{number}.csv", simulate(study, f"rater {number}", lambda trial, rng: True, seed=number))
    results, path = analyse_answers(workspace, "happy-scary", [tmp_path])
    first = results[0]
    assert (first.direction, first.raters, first.pictures) == ("happy-to-scary", 3, 8)
    assert first.answers.value == first.by_picture.value == first.majority.value == 1
    assert (first.answers.n, first.majority.n) == (24, 8)
    assert first.p_value == pytest.approx(2 * 0.5**24)
    assert first.steady.value == 1
    assert json.loads(path.read_text())["results"][0]["answers"]["n"] == 24


def test_guessing_raters_are_found_to_guess(studied, tmp_path):
    _, _, study = studied
    key = read_key(study.key)
    paths = [
        save(tmp_path / f"{n}.csv", simulate(study, f"r{n}", lambda trial, rng: rng.random() < 0.5, seed=n))
        for n in range(40)
    ]
    result = analyse(read_answers(paths, key), key)[0]
    assert result.answers.low < 0.5 < result.answers.high
    assert abs(result.kappa) < 0.1
    assert abs(result.alpha) < 0.1
    assert 0.4 < result.left.value < 0.6


def test_agreement_about_the_pictures_shows_in_alpha(studied, tmp_path):
    """Raters who split the pictures alike agree, although the share is one half."""
    _, _, study = studied
    key = read_key(study.key)
    happy = sorted(trial for trial, name in key.directions.items() if name == "happy-to-scary")
    paths = [
        save(tmp_path / f"{n}.csv", simulate(study, f"r{n}", lambda trial, rng: trial in happy[:4], seed=n))
        for n in range(3)
    ]
    result = analyse(read_answers(paths, key), key)[0]
    assert result.answers.value == 0.5
    assert result.kappa == pytest.approx(1)
    assert result.alpha == pytest.approx(1)


def test_missing_answers_are_allowed(studied, tmp_path):
    _, _, study = studied
    key = read_key(study.key)
    whole = save(tmp_path / "a.csv", simulate(study, "a", lambda trial, rng: True))
    part = save(tmp_path / "b.csv", simulate(study, "b", lambda trial, rng: True)[:5])
    result = analyse(read_answers([whole, part], key), key)[0]
    assert result.raters == 2
    assert result.answers.n == 8 + 5
    alone = analyse(read_answers([whole], key), key)[0]
    assert np.isnan(alone.kappa)
    assert np.isnan(alone.alpha)


def test_bad_answer_files_are_named(studied, tmp_path):
    workspace, _, study = studied
    key = read_key(study.key)
    rows = simulate(study, "a", lambda trial, rng: True)
    twice = [save(tmp_path / "one.csv", rows), save(tmp_path / "two.csv", rows)]
    assert len(read_answers(twice, key)) == len(rows)

    def refused(changed, match):
        with pytest.raises(BamkitError, match=match):
            read_answers([save(tmp_path / "one.csv", rows), save(tmp_path / "bad.csv", changed)], key)

    first = rows[0]
    other = first[5] if first[7] == first[6] else first[6]
    refused([[*first[:7], other, first[8]]], "line 2: a has answered this pair differently")
    refused([["x", *first[1:]]], "this answers study x")
    refused([[*first[:3], "nothing", *first[4:]]], "no such pair")
    refused([[*first[:7], "nothing", first[8]]], "no such pair or picture")
    refused([[*first[:8], "soon"]], "no number of seconds")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BamkitError, match="lacks the columns study"):
        read_answers([tmp_path / "bad.csv"], key)
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BamkitError, match="not a CSV file"):
        read_answers([tmp_path / "bad.csv"], key)
    with pytest.raises(BamkitError, match="no file"):
        read_answers([tmp_path / "none.csv"], key)
    with pytest.raises(BamkitError, match="--user-study"):
        analyse_answers(workspace, "nobody", [tmp_path / "one.csv"])


def test_commands(studied, tmp_path, bamkit):
    workspace, _, study = studied
    output = bamkit("evaluate --user-study --trials 8 --repeats 3", cwd=workspace.root).output
    assert "user-study/index.html" in output
    assert "16 pairs" in output
    save(tmp_path / "a.csv", simulate(study, "a", lambda trial, rng: True))
    output = bamkit(f"evaluate --answers {tmp_path / 'a.csv'}", cwd=workspace.root).output
    bamkit(f"evaluate --answers {tmp_path / 'a.csv'} --json", cwd=workspace.root)
    assert "chose translation over source" in output
    assert "1.00 [0.68, 1.00]" in output
    bamkit("evaluate", cwd=workspace.root)
    html = (study.page.parent.parent / "index.html").read_text()
    assert "What people chose" in html
    assert "translation over source: 1.00 [0.68, 1.00], n = 8" in html
    bamkit("evaluate --user-study --answers x.csv", cwd=workspace.root, code=2)


HUGE = {"question": "?", "raters": 1, "pictures": 1, "method": "a", "against": "b", "p_value": 10**400, "alpha": None,
        "steady": None, "answers": {"value": 1.0, "low": 1.0, "high": 1.0, "n": 1, "method": "wilson"}}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"study": "s", "answers": 2, "results": [3]}',
        json.dumps({"study": "s", "answers": 2, "results": [HUGE]}),
    ],
)
def test_damaged_results_are_named_on_the_page(tmp_path, text):
    (tmp_path / "user-study-key").mkdir()
    (tmp_path / "user-study-key" / "results.json").write_text(text)
    page = Page("Evaluation")
    evaluation_page._people(page, tmp_path)
    page.write(tmp_path / "index.html")
    assert "results.json cannot be read; bamkit evaluate --answers" in (tmp_path / "index.html").read_text()


@pytest.mark.slow
def test_pictures_are_as_wide_as_a_phone(studied, tmp_path):
    from browser import Browser

    _, _, study = studied
    browser = Browser(tmp_path / "profile")
    try:
        browser.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2, mobile=True)
        browser.open(study.page.as_uri())
        browser.js("document.getElementById('rater').value = 'p'; document.querySelector('#begin button').click()")
        browser.wait("document.getElementById('trial').classList.contains('shown')")
        sides = ("left-picture", "right-picture")
        browser.wait("document.getElementById('right-picture').complete")
        boxes = [browser.js(f"document.getElementById('{name}').getBoundingClientRect().toJSON()") for name in sides]
        assert [box["width"] for box in boxes] == [390, 390]
        assert boxes[1]["top"] >= boxes[0]["bottom"]
        assert browser.js("document.documentElement.scrollWidth") == 390
    finally:
        browser.close()


@pytest.mark.slow
def test_the_page_in_a_real_browser(studied, tmp_path):
    """A rater begins with the keyboard, goes one back, reloads, goes on, finishes and saves; the analysis reads it."""
    from browser import Browser

    _, _, study = studied
    key, data = read_key(study.key), page_data(study)
    browser = Browser(tmp_path / "profile")
    try:
        browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        browser.open(study.page.as_uri())
        assert browser.js("document.getElementById('count').textContent") == "19"

        def begin():
            browser.js("document.getElementById('rater').focus()")
            browser.type('Ada, "the first"')
            browser.key("Enter", "\r")
            browser.wait("document.getElementById('trial').classList.contains('shown')")

        def answer(side="ArrowLeft"):
            before = browser.js("answers.length")
            time.sleep(0.3)
            browser.key(side)
            browser.wait(f"answers.length > {before} && !locked")

        begin()
        browser.wait("document.getElementById('left-picture').complete")
        assert browser.js("document.getElementById('left-picture').naturalWidth") == w.SIZE
        plan = browser.js("JSON.stringify(plan)")
        browser.key("ArrowLeft")  # within the first quarter of a second: a held key must not answer
        assert browser.js("answers.length") == 0
        for side in ("ArrowLeft", "ArrowRight", "ArrowRight"):
            answer(side)
        browser.key("Backspace")
        assert browser.js("answers.length") == 2
        browser.open(study.page.as_uri())  # the page is closed and opened again
        begin()
        assert browser.js("answers.length") == 2
        assert browser.js("JSON.stringify(plan)") == plan
        browser.screenshot(tmp_path / "trial.png")
        while browser.js("answers.length") < 19:
            # This rater always finds the translation.
            chosen = browser.js("JSON.stringify(plan[answers.length])")
            trial = json.loads(chosen)
            wanted = next(p for p, m in key.methods[trial["trial"]].items() if m == "translation")
            answer("ArrowLeft" if trial["left"] == wanted else "ArrowRight")
        browser.wait("document.getElementById('end').classList.contains('shown')")
        assert browser.js("document.activeElement.id") == "save-all"
        browser.key("Enter", "\r")
        deadline = time.monotonic() + 60
        while not (saved := list(tmp_path.glob("answers-*.csv"))) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert saved, "nothing was saved"
        assert saved[0].read_text() == browser.js("document.getElementById('csv').value")
        answers = read_answers(saved, key)
        assert {a.rater for a in answers} == {'Ada, "the first"'}
        assert len(answers) == 19
        assert sum(a.repeat for a in answers) == 3
        plan = json.loads(plan)
        assert sorted(p["trial"] for p in plan[:16]) == sorted(t["trial"] for t in data["trials"])
        firsts = {p["trial"]: p for p in plan[:16]}
        assert all(p["left"] == firsts[p["trial"]]["right"] for p in plan[16:])
        sides = [p["left"] == t["pictures"][0] for p in plan[:16] for t in data["trials"] if t["trial"] == p["trial"]]
        assert sum(sides) == 8
        assert browser.js("makePlan('someone else').map(p => p.trial).join()") != ",".join(p["trial"] for p in plan)
    finally:
        browser.close()


def test_fleiss_kappa_of_the_textbook_example():
    """Fleiss' table as it is commonly reprinted: 14 raters, 10 subjects, 5 categories, kappa 0.210."""
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    assert fleiss_kappa(np.array(counts)) == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa([[2, 0], [0, 2]]) == pytest.approx(1)
    assert math.isnan(fleiss_kappa([[2, 0], [2, 0]]))
    with pytest.raises(ValueError):
        fleiss_kappa([[2, 0], [1, 0]])


def test_krippendorff_alpha_of_the_textbook_example():
    """Krippendorff 2011, section C: four observers, twelve units, missing data, nominal alpha 0.743."""
    nan = math.nan
    answers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
        [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
    ]
    assert krippendorff_alpha(answers) == pytest.approx(0.743, abs=5e-4)
    assert math.isnan(krippendorff_alpha([[1, 1], [1, 1]]))
    assert math.isnan(krippendorff_alpha([[nan, nan]]))


def test_krippendorff_alpha_agrees_with_the_package():
    package = pytest.importorskip("krippendorff")
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 2, (5, 40)).astype(float)
    answers[rng.random((5, 40)) < 0.2] = np.nan
    expected = package.alpha(reliability_data=answers, level_of_measurement="nominal")
    assert krippendorff_alpha(answers) == pytest.approx(expected)
