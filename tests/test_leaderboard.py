"""`bamkit study --methods …`: the grid is resumable, nothing is mixed, the table says what is known and no more."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from evaluation_world import darken, mood_rows, write_split, write_translations

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace
from bamkit.experiment import recipe
from bamkit.experiment.leaderboard import cells as grid
from bamkit.experiment.leaderboard.cells import Cell, cells_of
from bamkit.experiment.leaderboard.measured import BY_NAME, read
from bamkit.experiment.leaderboard.page import write_page
from bamkit.experiment.leaderboard.probe import StepCost, measure
from bamkit.experiment.leaderboard.run import known_costs
from bamkit.experiment.leaderboard.table import Leaderboard
from bamkit.experiment.settings import METHODS, StudyConfig
from bamkit.experiment.study import begin
from bamkit.gan.evaluate.comparison.checkpoints import COLUMNS

PAIR, N = ("happy", "scary"), 24
DIRECTION = "happy-to-scary"
COST = StepCost(0.2, 0.4, 5e8, 2)


def written(workspace, cell, share, kid=0.2, seed=0, steps=(10, 20, 30), chosen=20, direction=DIRECTION):
    """An evaluation of a cell: at each step a share of pictures reached; the later the better on test."""
    random = np.random.default_rng([seed, cell.seed, len(cell.method)])
    folder = workspace.reports / f"evaluate-{cell.name}"
    folder.mkdir(parents=True)
    rows = []
    for method, step in [
        *(("translation", step) for step in steps),
        ("identity", 0),
        ("colour transfer", 0),
        ("real", 0),
    ]:
        own = {"translation": share + (step - chosen) / 100, "identity": 0.05, "colour transfer": 0.5, "real": 0.95}[
            method
        ]
        for side, first in (("output", 1024), ("target", 3024)):
            hits = np.arange(N) < round(own * N)
            probability = np.where(random.permutation(hits), 0.9, 0.1)
            judged = probability if side == "output" or method == "real" else np.full(N, np.nan)
            rows.append(pd.DataFrame({
                "direction": direction, "method": method, "step": step, "chosen": step in (0, chosen), "side": side,
                "mid": np.arange(N) + first, "project": np.arange(N) // 2,
                "reached": np.where(np.isnan(judged), np.nan, (judged > 0.5).astype(float)),
                "probability": judged, "ssim": random.normal(0.7, 0.01, N) if side == "output" else np.nan,
                "kid": random.normal(kid / 2, 0.001, N), "near": (random.random(N) < 0.6).astype(float),
            }))  # fmt: skip
    table = pd.concat(rows).reindex(columns=list(COLUMNS))
    table.to_csv(folder / "checkpoints.csv", index=False)
    about = {"kind": "evaluation", "n": {direction: N}, "figures": [], "warnings": [], "split_ids": {}}
    (folder / "metrics.json").write_text(json.dumps(about))


@pytest.fixture
def boards(tmp_path):
    """Two methods with three seeds: `good` reaches much more, both have the same KID."""
    workspace = Workspace.open(tmp_path)
    cells = [Cell(method, seed, PAIR) for method in ("good", "poor") for seed in range(3)]
    for cell in cells:
        written(workspace, cell, 0.9 if cell.method == "good" else 0.3, seed=cell.seed)
    return read(workspace, cells)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metrics.json", "[]"),
        ("metrics.json", '{"n": 3}'),
        ("checkpoints.csv", "direction\nx\n"),
        ("checkpoints.csv", ""),  # as it is, but for a word in place of one number
    ],
)
def test_an_evaluation_that_cannot_be_read_is_named(tmp_path, name, text):
    workspace, cell = Workspace.open(tmp_path), Cell("good", 0, PAIR)
    written(workspace, cell, 0.9, seed=0)
    path = workspace.reports / f"evaluate-{cell.name}" / name
    path.write_text(text or path.read_text().replace(",0.9,", ",much,", 1))
    with pytest.raises(BamkitError, match=f"the evaluation of {cell.name} cannot be read"):
        read(workspace, [cell])


def test_the_table_has_seeds_intervals_and_the_flattering_figure(boards):
    (board,) = boards
    reached = BY_NAME["reached"]
    estimate = board.estimate(reached, "good")
    assert estimate.value == pytest.approx(round(0.9 * N) / N)
    assert estimate.low < estimate.value < estimate.high <= 1
    assert (estimate.n, estimate.clusters, estimate.method) == (N, N // 2, "seeds and clusters")
    assert board.on_test(reached, "good") == pytest.approx(1.0), "step 30, which validation did not choose"
    table = (
        Leaderboard(boards, {"good": COST, "poor": "no room"}, {"good": [60.0, 62.0]}, {}, 3).table(board).set_index("")
    )
    assert list(table.index) == ["good", "poor", "colour transfer", "no translation", "real pictures"]
    assert table.loc["good", "reached on test"] == "1.00 (+0.08)"
    assert table.loc["colour transfer", "reached on test"] == "–"
    assert "[" in table.loc["real pictures", "reached"]
    assert table.loc["real pictures", "SSIM"] == "–"


def test_choosing_on_test_never_looks_worse(boards):
    (board,) = boards
    for name in ("reached", "kid", "precision", "recall", "ssim"):
        metric = BY_NAME[name]
        for method in board.methods:
            gain = metric.better * (board.on_test(metric, method) - board.estimate(metric, method).value)
            assert gain >= -1e-12


def test_only_what_the_intervals_show_is_ahead(boards):
    board = Leaderboard(boards, {}, {}, {}, 3)
    ahead = {(each.metric.key, each.second): each.ahead for each in board.differences if each.first == "good"}
    assert ahead["reached", "poor"] == "good"
    assert ahead["reached", "colour transfer"] == "good"
    assert ahead["kid", "poor"] == ""
    shown = board.verdicts(boards[0])
    assert "no difference shown" in set(shown["ahead"])
    assert {each.ahead for each in board.differences if each.metric.key == "reached" and each.first == "poor"} == {""}


def test_less_is_better_for_distances(tmp_path):
    workspace, cells = Workspace.open(tmp_path), [Cell(m, seed, PAIR) for m in ("near", "far") for seed in range(3)]
    for cell in cells:
        written(workspace, cell, 0.5, kid=0.1 if cell.method == "near" else 0.9)
    board = Leaderboard(read(workspace, cells), {}, {}, {}, 3)
    found = next(each for each in board.differences if each.metric.key == "kid" and each.second == "far")
    assert found.estimate.value < 0
    assert found.ahead == "near"


def test_matching_is_compared_where_the_sources_are_the_same(tmp_path):
    workspace = Workspace.open(tmp_path)
    pairs = {"happy-to-scary": PAIR, "happy-to-scary-matched": ("happy", "scary-matched")}
    cells = [Cell("good", seed, pair) for seed in range(3) for pair in pairs.values()]
    for cell in cells:
        direction = "-to-".join(cell.domains)
        written(workspace, cell, 0.2 if "matched" in cell.name else 0.9, direction=direction)
    differences = Leaderboard(read(workspace, cells), {}, {}, {}, 3).differences
    (reached,) = [each for each in differences if each.metric.key == "reached" and "matched" in each.first]
    assert reached.ahead == "good, not matched"
    assert not [each for each in differences if each.metric.key == "kid" and "matched" in each.first], "other real ones"


def test_a_training_that_failed_is_a_row_and_the_json_is_whole(boards):
    failed = {"happy-scary-good-2": "step 7: D_A is nan", "happy-scary-matched-good-2": "elsewhere"}
    board = Leaderboard(boards, {"good": COST}, {"good": [1.0]}, failed, 3)
    table = board.table(boards[0])
    row = table[table["seeds"] == "failed"].iloc[0]
    assert (row.iloc[0], row["reached"]) == ("happy-scary-good-2", "step 7: D_A is nan")
    assert "elsewhere" not in table.to_string()
    about = json.loads(json.dumps(board.about(), allow_nan=False))
    assert about["failed"] == failed
    by_seed = [each for each in about["by_seed"] if (each["method"], each["metric"]) == ("good", "reached")]
    assert [each["seed"] for each in by_seed] == [0, 1, 2]
    assert by_seed[0]["by_step"].keys() == {"10", "20", "30"}


@pytest.fixture
def drawn(tmp_path):
    """A page of a workspace with pictures: two methods, two seeds."""
    workspace = Workspace.open(tmp_path)
    rows = {"happy": mood_rows("happy", 1000, 6, N), "scary": mood_rows("scary", 3000, 6, N)}
    rows["happy"] = [{**row, "mid": row["mid"] + 18} for row in rows["happy"]]
    for name, part in rows.items():
        write_split(workspace, name, part)
    cells = [Cell(method, seed, PAIR) for method in ("good", "poor") for seed in range(2)]
    for cell in cells:
        written(workspace, cell, 0.8, seed=cell.seed)
        write_translations(workspace, cell.name, rows, lambda picture, _: darken(picture))
    board = Leaderboard(read(workspace, cells), {"good": COST, "poor": COST}, {}, {"happy-scary-poor-2": "no room"}, 2)
    config = StudyConfig(methods=METHODS[0], seeds=2, scale=0.1)
    page = tmp_path / "reports" / "leaderboard-happy-scary" / "index.html"
    write_page(workspace, config, board, cells, page)
    return page.read_text(encoding="utf-8")


def test_the_page_shows_figures_pictures_and_what_is_not_concluded(drawn):
    for words in ("happy to scary", "Which is ahead", "no difference shown", "choosing the checkpoint there",
                  "A rehearsal", "Cost", "happy-scary-poor-2 failed: no room", "The same test pictures",
                  "Rings"):  # fmt: skip
        assert words in drawn
    assert drawn.count("<img") == 5 * 4, "five sources, each with the colour transfer and two methods"
    assert drawn.count("<svg") == 3
    assert ">nan" not in drawn


def test_what_cannot_be_is_refused():
    for given, says in (
        ({"methods": "cyclegan,stargan"}, "stargan"),
        ({"methods": "cyclegan,cyclegan"}, "twice"),
        ({"seeds": 2}, "without --methods"),
        ({"matched": "both"}, "without --methods"),
    ):
        with pytest.raises(BamkitError, match=says):
            StudyConfig(**given)
    config = StudyConfig(methods="all", matched="both", seeds=2)
    assert config.compared == METHODS
    cells = cells_of(config)
    assert len(cells) == len({cell.name for cell in cells}) == 4 * len(METHODS)
    assert {cell.seed for cell in cells[: 2 * len(METHODS)]} == {0}, "all methods have their first seed first"


def test_a_leaderboard_has_enough_pictures_to_choose_a_checkpoint():
    from bamkit.gan.train.monitor.validation import FEWEST

    assert StudyConfig(methods="cyclegan", scale=0.01).counts["validation"] >= FEWEST


def test_the_preparation_keeps_projects_apart_and_the_judge_from_both(tmp_path):
    config = StudyConfig(methods="cyclegan", matched="both", scale=0.1)
    lines = [step.line for step in recipe.preparation(Workspace.open(tmp_path), config)]
    selects = [line for line in lines if line.startswith("bamkit select") and "judge" not in line]
    assert all("--group-by project" in line for line in selects)
    assert "--name scary-matched --match happy" in selects[2]
    assert all("--disjoint-from scary-matched" in line for line in lines if "--name judge-" in line)
    assert "bamkit fetch happy scary scary-matched judge-happy judge-scary --size 286" in lines


def test_a_leaderboard_may_grow_but_not_change(tmp_path):
    workspace = Workspace.open(tmp_path)
    begin(workspace, StudyConfig(methods="cyclegan", seeds=2, scale=0.1))
    begin(workspace, StudyConfig(methods="all", seeds=3, scale=0.1))
    for other in ({"scale": 0.2}, {"scale": 0.1, "steps": 7}, {"scale": 0.1, "matched": "both"}):
        with pytest.raises(BamkitError, match=r"other settings: bamkit study --scale 0\.1 --methods all --seeds 3"):
            begin(workspace, StudyConfig(methods="cyclegan", **other))
    begin(workspace, StudyConfig(scale=0.5))  # the published experiment has a mark of its own


def test_a_run_of_other_settings_is_not_taken_for_a_cell(tmp_path):
    from bamkit.gan.train.settings import build

    workspace, config = Workspace.open(tmp_path), StudyConfig(methods="cyclegan", seeds=1, preset="quick", size=112)
    (cell,) = cells_of(config)
    path = workspace.run(cell.name) / "run.json"
    path.parent.mkdir(parents=True)
    for changed, refused in (({}, False), ({"samples": 1}, False), ({"width": 32}, True), ({"steps": 9}, True)):
        settings = build("quick", None, {**grid.settings_given(config, "cyclegan"), **changed}).fitted(112)
        about = {"config": settings.as_dict(), "run_id": "r", "from": {"name": "happy"}, "to": {"name": "scary"}}
        path.write_text(json.dumps(about))
        if refused:
            with pytest.raises(BamkitError, match=f"was trained with {next(iter(changed))} .*move it away"):
                grid.refuse_foreign(workspace, config, [cell])
        else:
            grid.refuse_foreign(workspace, config, [cell])


class Commands:
    """Stands for `bamkit` commands: writes what they leave, fails or is killed where it is told to."""

    def __init__(self, workspace, fail=(), kill_after=99):
        self.workspace, self.fail, self.kill_after, self.lines = workspace, fail, kill_after, []

    def __call__(self, words, root, hear=None):
        if len(self.lines) == self.kill_after:
            raise KeyboardInterrupt
        self.lines.append(" ".join(words))
        name = words[words.index("--name") + 1] if words[0] == "train" else words[1]
        if name in self.fail and words[0] == "train":
            hear("step 12\n")
            hear("bamkit: step 13: G_A is nan; no checkpoint was written yet\n")
            return 3
        place = {"train": f"runs/{name}/run.json", "translate": f"translations/{name}/translations.parquet",
                 "evaluate": f"reports/evaluate-{name}/checkpoints.csv"}[words[0]]  # fmt: skip
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text("{}")
        if words[0] == "evaluate":
            (root / place).with_name("metrics.json").write_text("{}")
        return 0


@pytest.fixture
def commanded(tmp_path, monkeypatch):
    """A grid of three seeds whose commands are only written down."""
    workspace = Workspace.open(tmp_path)
    monkeypatch.setattr(recipe, "is_trained", lambda run: (run / "run.json").exists())
    config = StudyConfig(methods="cyclegan", seeds=3)

    def go(**how):
        commands = Commands(workspace, **how)
        monkeypatch.setattr(recipe, "call", commands)
        try:
            return commands.lines, grid.run(workspace, config, cells_of(config), {"cyclegan": 60.0})
        except KeyboardInterrupt:
            return commands.lines, None

    return go


def test_every_step_is_done_once_wherever_it_was_stopped(commanded, capsys):
    said = []
    for stop in (0, 1, 2, 1, 3, 99):
        lines, failed = commanded(kill_after=stop)
        said += lines
    assert failed == {}
    assert len(said) == len(set(said)) == 9
    assert [line.split()[0] for line in said] == ["train", "translate", "evaluate"] * 3
    assert commanded() == ([], {})
    out = capsys.readouterr().out
    assert "training 3 of 3: cyclegan, seed 2" in out
    assert "left)" in out
    assert out.count("(done already)") >= 3


def test_a_failing_training_does_not_stop_the_others_and_is_tried_again(commanded):
    lines, failed = commanded(fail={"happy-scary-cyclegan-1"})
    assert failed == {"happy-scary-cyclegan-1": "step 13: G_A is nan; no checkpoint was written yet"}
    assert len(lines) == 7
    lines, failed = commanded()
    assert failed == {}
    assert len(lines) == 3


def test_what_a_command_says_is_heard_and_shown(tmp_path, capfd):
    heard = []
    assert recipe.call(("info",), tmp_path, heard.append) == 3
    assert "no BAM database" in "".join(heard)
    assert "no BAM database" in capfd.readouterr().err
    step = recipe.Step(("info",), "look", lambda: False)
    assert "no BAM database" in grid.attempt([step], tmp_path)


def test_costs_are_read_back_and_measured_again_where_they_are_damaged(tmp_path):
    path = tmp_path / "costs.json"
    about = asdict(COST)
    path.write_text(json.dumps({"cyclegan": about}))
    assert known_costs(path) == {"cyclegan": COST}
    for damaged in ("{", "[]", '{"cyclegan": 3}', json.dumps({"cyclegan": {**about, "seconds": "x"}}),
                    json.dumps({"cyclegan": {"seconds": 1}})):  # fmt: skip
        path.write_text(damaged)
        assert known_costs(path) == {}


@pytest.mark.slow
def test_a_step_is_measured_in_a_process_of_its_own():
    small = {"width": 4, "generator": "resnet", "blocks": 1, "size": 40, "crop": 36}
    cost = measure("quick", small, 40, "cpu")
    assert cost.processor > 0
    assert cost.pictures == 2
    assert 5e7 < cost.memory < 4e9
    assert "generator" in measure("quick", {"generator": "none"}, 40, "cpu")


GRID = ("--methods", "cyclegan", "--seeds", "2", "--matched", "both", "--scale", "0.04", "--preset", "quick",
        "--size", "40", "--steps", "20")  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_grid_killed_anywhere_ends_with_every_training_once(sample_factory):
    """A real grid on the sample, killed with -9 between and within its trainings; a run that cannot be is a row."""
    from bamkit.sample import SampleServer

    root = sample_factory(rows=2000)
    command = [sys.executable, "-m", "bamkit", "study", *GRID]
    trainings = 4
    with SampleServer(root):
        for wanted, wait in (
            ("judge train", 1.0),
            ("training 1 of", 4.0),
            ("training 2 of", 0.1),
            ("bamkit evaluate", 3),
        ):
            process = subprocess.Popen(
                command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
            )
            for line in process.stdout:
                if wanted in line and "done already" not in line:
                    time.sleep(wait)
                    break
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        # A training that cannot be: its folder cannot be written.
        blocked = root / "runs" / "happy-scary-cyclegan-1"
        blocked.parent.mkdir(exist_ok=True)
        blocked.write_text("a file")
        first = subprocess.run(command, cwd=root, capture_output=True, text=True)
        assert first.returncode == 3, first.stdout[-3000:] + first.stderr[-3000:]
        assert "1 of its trainings failed" in first.stderr
        page = root / "reports" / "leaderboard-happy-scary" / "index.html"
        assert "happy-scary-cyclegan-1 failed" in page.read_text()
        blocked.unlink()
        finished = {path: path.stat().st_mtime_ns for path in root.glob("reports/evaluate-*/checkpoints.csv")}
        assert len(finished) == trainings - 1
        last = subprocess.run(command, cwd=root, capture_output=True, text=True)
        assert last.returncode == 0, last.stdout[-3000:] + last.stderr[-3000:]
    assert {path: path.stat().st_mtime_ns for path in finished} == finished, "nothing was done twice"
    text = page.read_text()
    for words in ("painted by bamkit", "What matching changed", "matched domains", "Cost"):
        assert words in text
    figures = pd.read_csv(page.parent / "leaderboard.csv")
    own = figures[(figures["row"] == "cyclegan") & (figures["metric"] == "reached")]
    assert len(own) == 4
    assert (own["seeds"] == 2).all()
    assert (own["low"] <= own["value"]).all()
    other = subprocess.run([*command, "--scale", "0.05"], cwd=root, capture_output=True, text=True)
    assert "was begun here with other settings" in other.stderr
