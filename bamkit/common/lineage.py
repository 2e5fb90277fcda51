"""What each artefact was made from, compared with what lies in the workspace now.

selection -> split -> run -> translations -> evaluation, and the judge beside them. Every artefact keeps the ids of what
it was made from. Files that hold no such id (other programs', earlier versions') are taken as they are.
"""

from __future__ import annotations

import csv
import json
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bamkit.common.errors import BamkitError, StaleWarning
from bamkit.common.provenance import is_provenance, sha256_file
from bamkit.common.shards import read_about
from bamkit.common.workspace import Workspace, is_name, shard_paths

TRANSLATIONS = "translations.parquet"


@dataclass(frozen=True)
class Stale:
    """An artefact whose origin is no longer what it was made from."""

    message: str
    renew: str
    """The command that renews it; a remark stands behind `   # `. "" where the message says what to do."""
    harmless: bool = False
    """Whether going on is right all the same: what follows is consistent in itself."""


def require_current(workspace: Workspace, artefacts: Iterable[Stale]) -> None:
    """Raises BamkitError for the first stale artefact that matters, unless the workspace was opened with `stale`.

    Whatever is gone on with is said in a StaleWarning.
    """
    for stale in dict.fromkeys(artefacts):
        if not (stale.harmless or workspace.stale):
            remark = "or --stale to go on all the same"
            hint = f"{stale.renew}; {remark}" if "   # " in stale.renew else f"{stale.renew}   # {remark}"
            raise BamkitError(stale.message, hint)
        renew = f" (renew it: {stale.renew})" if stale.renew else ""
        warnings.warn(f"{stale.message}{renew}", StaleWarning, stacklevel=2)


def split_about(workspace: Workspace, name: str) -> dict[str, Any]:
    """The provenance of a fetched split, {} where there is none."""
    paths = shard_paths(workspace.split(name)) if is_name(name) else []
    return read_about(paths[0]) if paths else {}


def dependent_runs(workspace: Workspace, name: str) -> list[str]:
    """The runs that were trained on the split of that name as it lies there."""
    split_id = split_about(workspace, name).get("split_id")
    sides = {run: _trained_on(workspace, run).get(name, {}) for run in workspace.run_names()}
    return [run for run, side in sides.items() if split_id and side.get("split_id") == split_id]


def stale_domains(workspace: Workspace, names: Iterable[str]) -> list[Stale]:
    """Selections among `names` made with the help of other ones than lie there now, and splits of other selections."""
    return [stale for name in names for stale in (*_stale_selection(workspace, name), *_stale_split(workspace, name))]


def stale_database(abouts: Mapping[str, Mapping[str, Any]], fingerprint: str, database: str) -> list[Stale]:
    """Selections that were made from another database than the one with this fingerprint, in one note.

    abouts: name of a selection -> its provenance, `database` the file's name. It may give the same rows all the same
    (a licence was corrected, an index was added): only the query can say.
    """
    others = [
        name
        for name, about in abouts.items()
        if _differ(about.get("database") or {}, {"fingerprint": fingerprint}, "fingerprint")
    ]
    if not others:
        return []
    was = "was" if len(others) == 1 else "were"
    said = f"{database} has changed since {' and '.join(others)} {was} selected from it, or is another file"
    return [Stale(f"{said}: `bamkit verify` says what would be selected otherwise now", "", harmless=True)]


def stale_run(workspace: Workspace, run: str) -> list[Stale]:
    """The splits that a run was trained on, where they are others now."""
    stale = []
    for name, trained in _trained_on(workspace, run).items():
        now = split_about(workspace, name)
        if _differ(trained, now, "split_id"):
            stale.append(
                Stale(
                    f"splits/{name} is not the one that run {run} was trained on"
                    f"{_difference(trained, now)}: its test pictures may be among those it saw",
                    _renew_run(workspace, run, restoration(trained, now)),
                    # The same selection at other settings has the same pictures in train and test.
                    harmless=not _differ(trained, now, "selection_id") and bool(trained.get("selection_id")),
                )
            )
        else:
            stale += [replace(split, harmless=True) for split in _stale_split(workspace, name)]
    return stale


def stale_translations(workspace: Workspace, name: str) -> list[Stale]:
    """translations/NAME, where its run was trained anew or its sources are others now."""
    about = _about(workspace.translations / name / TRANSLATIONS)
    run = str(about.get("run") or name)
    trained, again = _run(workspace, run), _translate(about, name, run)
    if _differ(about, trained, "run_id"):
        return [Stale(f"translations/{name} was made by another training of run {run}", again)]
    stale = []
    for source, split_id in (about.get("split_ids") or {}).items():
        now = split_about(workspace, source)
        if _differ({"split_id": split_id}, now, "split_id"):
            before = _trained_on(workspace, run).get(source, {})
            same = before.get("split_id") == split_id
            stale.append(
                Stale(
                    f"translations/{name} was made from another splits/{source} than lies there now"
                    f"{_difference(before, now) if same else ''}",
                    f"{again}   # or: {restoration(before, now)}" if same and restoration(before, now) else again,
                )
            )
    made_with, step = str(about.get("checkpoint") or ""), about.get("step")
    steps = sorted(path.stem for path in (workspace.runs / run / "checkpoints").glob("step-*.pt"))
    best = _best_step(workspace.runs / run / "validation.csv")
    difference = ""
    if made_with.startswith("step-") and steps and made_with < steps[-1]:
        difference = f"{made_with}, and run {run} has {steps[-1]} now"
    elif made_with == "best" and step and best and step != best:
        difference = f"the best checkpoint of run {run}, of step {step:,} then and of step {best:,} now"
    if difference:
        stale.append(Stale(f"translations/{name} was made with {difference}", again, harmless=True))
    return stale or stale_run(workspace, run)


def _best_step(path: Path) -> int:
    """The step with the least score in a run's validation.csv, 0 where there is none."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = [(float(row["score"]), int(row["step"])) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return 0  # none, or written by another program
    return min(((score, step) for score, step in rows if math.isfinite(score)), default=(0.0, 0))[1]


def stale_evaluation(workspace: Workspace, name: str) -> list[Stale]:
    """reports/evaluate-NAME, where its translations, their run or the splits behind its figures are others now."""
    about = _about(workspace.reports / f"evaluate-{name}" / "metrics.json")
    table, again = workspace.translations / name / TRANSLATIONS, f"bamkit evaluate {name}"
    if split := {"test": "", None: ""}.get(about.get("split"), about.get("split")):
        again += f" --split {split}"
    if table.is_file() and _differ(about, {"translations_sha256": sha256_file(table)}, "translations_sha256"):
        return [Stale(f"the evaluation of {name} is of other translations than lie there now", again)]
    for domain, split_id in (about.get("split_ids") or {}).items():
        if _differ({"split_id": split_id}, split_about(workspace, domain), "split_id"):
            return [Stale(f"the evaluation of {name} is on another splits/{domain} than lies there now", again)]
    judge = _about(workspace.root / "judge" / "card.json")
    if _differ(about.get("judge") or {}, judge, "sha256"):
        return [Stale(f"the evaluation of {name} is by another judge than lies there now", again, harmless=True)]
    return stale_translations(workspace, name)


def stale_judge(workspace: Workspace, card: Mapping[str, Any]) -> list[Stale]:
    """A judge, where the splits that it was trained on are others now. It still knows which pictures it has seen."""
    splits = (card.get("trained_on") or {}).get("splits") or {}
    return [
        Stale(f"the judge was trained on another splits/{name} than lies there now", "bamkit judge train --force", True)
        for name, split_id in splits.items()
        if _differ({"split_id": split_id}, split_about(workspace, name), "split_id")
    ]


def restoration(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The command that brings back a split that was fetched with other settings; "" where none does."""
    name, then = before.get("name"), before.get("build") or {}
    if not then or not now or before.get("selection_id") != now.get("selection_id") or then == now.get("build"):
        return ""
    flags = [f"--{key} {value}" for key, value in then.items() if value != (now.get("build") or {}).get(key)]
    return " ".join(["bamkit fetch", str(name), *flags])


def _renew_run(workspace: Workspace, run: str, back: str) -> str:
    """What to type where a run's split is another one now; `back` is the command that brings that back, if any does."""
    sides = {side: _run(workspace, run).get(side) or {} for side in ("from", "to")}
    names = [
        f"--{side} {about.get('name') if about.get('split_id') else about.get('where')}"
        for side, about in sides.items()
    ]
    again = f"bamkit train {' '.join(names)} --name {run} --force"
    return f"{back}   # brings it back; or: {again}" if back else again


def _stale_selection(workspace: Workspace, name: str) -> list[Stale]:
    """Disjointness and matching hold against the selections of then: whether they do now, check and balance say."""
    about = _about(workspace.selection(name)) if is_name(name) else {}
    return [
        Stale(
            f"selections/{name}.parquet was made with another selection {other} than lies there now",
            f"bamkit select ... --name {name} --force   # as it was selected",
            harmless=True,
        )
        for other, selection_id in (about.get("inputs") or {}).items()
        if _differ({"selection_id": selection_id}, _about(workspace.selection(other)), "selection_id")
    ]


def _stale_split(workspace: Workspace, name: str) -> list[Stale]:
    if not is_name(name):
        return []
    paths = shard_paths(workspace.split(name))
    abouts = [read_about(path) for path in paths]
    if len({about.get("split_id") for about in abouts}) > 1:
        return [Stale(f"splits/{name} holds shards of two fetches", f"bamkit fetch {name}")]
    if abouts and _differ(abouts[0], _about(workspace.selection(name)), "selection_id"):
        force = " --force" if dependent_runs(workspace, name) else ""
        message = f"splits/{name} was fetched for another selection than selections/{name}.parquet is now"
        return [Stale(message, f"bamkit fetch {name}{force}")]
    return []


def _differ(before: Mapping[str, Any], now: Mapping[str, Any], key: str) -> bool:
    """Whether both name an id and the ids differ."""
    return bool(before.get(key) and now.get(key) and before[key] != now[key])


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """` (48 px then, 286 px now)`, or nothing where that is not what differs."""
    then, today = ((about.get("build") or {}).get("size") for about in (before, now))
    if _differ(before, now, "selection_id"):
        return " (of another selection)"
    return f" ({then} px then, {today} px now)" if then and today and then != today else ""


def _translate(about: Mapping[str, Any], name: str, run: str) -> str:
    split, strength = about.get("split") or "test", about.get("strength", 1)
    options = f" --split {split}" if split not in ("test", "files") else ""
    return f"bamkit translate {run}{options}{f' --strength {strength:g}' if strength != 1 else ''} --force"


def _trained_on(workspace: Workspace, run: str) -> dict[str, dict[str, Any]]:
    """By name, the splits that run.json names."""
    sides = [_run(workspace, run).get(side) or {} for side in ("from", "to")]
    return {str(side["name"]): side for side in sides if side.get("split_id") and "name" in side}


def _run(workspace: Workspace, run: str) -> dict[str, Any]:
    return _about(workspace.runs / run / "run.json")


def _about(path: Path) -> dict[str, Any]:
    """The content of a JSON file, or the provenance of a parquet file; {} where there is no such file."""
    if not path.is_file():
        return {}
    if path.suffix == ".parquet":
        return read_about(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}  # whoever uses the file says what is wrong with it
    return content if is_provenance(content) else {}
