"""`bamkit study --methods …`: from the database to the leaderboard, resumable at every training."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import get_type_hints

from bamkit.common.errors import DAMAGED, BamkitError
from bamkit.common.workspace import Workspace, write_text
from bamkit.experiment import recipe
from bamkit.experiment.cost import length
from bamkit.experiment.leaderboard import cells as grid
from bamkit.experiment.leaderboard.cells import Cell
from bamkit.experiment.leaderboard.probe import StepCost, measure
from bamkit.experiment.settings import StudyConfig
from bamkit.experiment.study import begin, options
from bamkit.gan.train.settings import build

COSTS, JSON, CSV = "costs.json", "leaderboard.json", "leaderboard.csv"


def leaderboard(workspace: Workspace, config: StudyConfig, say: Callable[[str], None]) -> tuple[Path, int]:
    """Do what is not done yet, and write the page, leaderboard.csv and leaderboard.json; the page, and how many failed.

    They lie in reports/leaderboard-A-B. Raises BamkitError where the preparation fails, where other settings were begun
    with here, or where no training came to an end; the same call then goes on from there.
    """
    workspace.database()
    begin(workspace, config)
    cells = grid.cells_of(config)
    grid.refuse_foreign(workspace, config, cells)
    again = f"bamkit study{options(config)}"
    say(f"the leaderboard {config.run}: {len(cells)} trainings")
    try:
        recipe.run(recipe.preparation(workspace, config), workspace.root, again)
        folder = workspace.reports / config.report
        costs = _costs(workspace, config, folder / COSTS, say)
        failed = grid.run(workspace, config, cells, _expected(config, costs))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(again) from None
    return write(workspace, config, cells, costs, failed), len(failed)


def write(
    workspace: Workspace,
    config: StudyConfig,
    cells: list[Cell],
    costs: dict[str, StepCost | str],
    failed: dict[str, str],
) -> Path:
    """Write the tables and the page from what the cells left. Raises BamkitError where none has come to an end."""
    from bamkit.experiment.leaderboard import measured, page, table  # numpy and more, once the trainings are done
    from bamkit.gan.evaluate.result import write_csv
    from bamkit.gan.train import checkpoint

    done = [cell for cell in cells if grid.is_measured(workspace, cell)]
    if not done:
        reasons = "; ".join(dict.fromkeys(failed.values()))
        raise BamkitError(f"no training came to an end: {reasons}", "mend it, then the same command")
    trained: dict[str, list[float]] = {}
    for cell in done:
        _, state, _ = checkpoint.newest(workspace.run(cell.name))
        trained.setdefault(cell.method, []).append(float(state["seconds"]))
    board = table.Leaderboard(measured.read(workspace, done), costs, trained, failed, len(config.trainings))
    folder = workspace.reports / config.report
    write_csv(folder / CSV, board.rows())
    write_text(folder / JSON, json.dumps(board.about(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    page.write_page(workspace, config, board, done, folder / "index.html")
    return folder / "index.html"


def _costs(
    workspace: Workspace, config: StudyConfig, path: Path, say: Callable[[str], None]
) -> dict[str, StepCost | str]:
    """By method, what a step costs, measured once; where that fails, why."""
    known = known_costs(path)
    costs: dict[str, StepCost | str] = {}
    for method in config.compared:
        if method in known:
            costs[method] = known[method]
            continue
        say(f"what a step of {method} costs on this machine")
        cost = measure(config.preset, grid.settings_given(config, method), config.size, config.device)
        costs[method] = cost
        if isinstance(cost, StepCost):
            known[method] = cost
            write_text(path, json.dumps({name: asdict(each) for name, each in known.items()}, indent=1) + "\n")
        else:
            say(f"it could not be measured: {cost}")
    return costs


def known_costs(path: Path) -> dict[str, StepCost]:
    """What was measured before, by method; {} where nothing was, or the file is damaged."""
    kinds = get_type_hints(StepCost)
    try:
        found = json.loads(path.read_text(encoding="utf-8")).items()
        return {method: StepCost(**{name: kind(of[name]) for name, kind in kinds.items()}) for method, of in found}
    except (OSError, *DAMAGED):
        return {}


def _expected(config: StudyConfig, costs: dict[str, StepCost | str]) -> dict[str, float]:
    """By method, the seconds that the steps of a training will take."""
    return {
        method: length(build(config.preset, None, grid.settings_given(config, method)), config) * cost.seconds
        for method, cost in costs.items()
        if isinstance(cost, StepCost)
    }
