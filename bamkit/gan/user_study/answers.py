"""`bamkit evaluate --answers`: what the raters' CSV files say."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from bamkit.common.errors import BamkitError
from bamkit.common.statistics import Estimate, bootstrap_mean, wilson
from bamkit.common.workspace import Workspace, write_text
from bamkit.gan.evaluate.estimates import records
from bamkit.gan.evaluate.result import folder_of
from bamkit.gan.user_study.agreement import fleiss_kappa, krippendorff_alpha
from bamkit.gan.user_study.page import KEY_FOLDER, key_path

NEEDED = ("study", "rater", "trial", "repeat", "left", "right", "chosen", "seconds")
RESULTS = "results.json"


@dataclass(frozen=True)
class Answer:
    """One answer of one rater."""

    rater: str
    trial: str
    repeat: bool
    chosen: str
    """The method chosen, by the key."""
    left: bool
    """Whether it stood on the left."""
    seconds: float


@dataclass
class Key:
    """What the key says of each trial."""

    study_id: str
    directions: dict[str, str] = field(default_factory=dict)
    """Direction by trial."""
    questions: dict[str, str] = field(default_factory=dict)
    """Question by direction."""
    mids: dict[str, str] = field(default_factory=dict)
    """Source picture by trial."""
    methods: dict[str, dict[str, str]] = field(default_factory=dict)
    """Method by picture, by trial."""


def read_key(path: Path, run: str = "") -> Key:
    """The key of the study of `run`. Raises BamkitError if there is none or it cannot be read."""
    again = f"bamkit evaluate {run} --user-study" if run else "bamkit evaluate --user-study"
    if not path.is_file():
        raise BamkitError(f"there is no study of {run or 'this run'}: no key at {path}", again)
    rows = _rows(path, ("study", "trial", "direction", "question", "mid", "picture", "method"))
    if not rows:
        raise BamkitError(f"{path} is empty", f"{again} --force")
    key = Key(rows[0][1]["study"])
    for _, row in rows:
        key.directions[row["trial"]] = row["direction"]
        key.questions[row["direction"]] = row["question"]
        key.mids[row["trial"]] = row["mid"]
        key.methods.setdefault(row["trial"], {})[row["picture"]] = row["method"]
    return key


def read_answers(paths: Iterable[Path], key: Key) -> list[Answer]:
    """The answers of all files, or of all .csv files in the folders among them.

    The same answer twice (a file given twice, or saved twice) counts once. Raises BamkitError naming the file and the
    line for answers to another study, of unknown pictures, or that contradict each other.
    """
    files: list[Path] = []
    for path in paths:
        files += sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files:
        raise BamkitError("there are no answers in what was given", "give CSV files saved by the study's page")
    answers: dict[tuple[str, str, bool], Answer] = {}
    for path in files:
        for line, row in _rows(path, NEEDED):
            answer = _answer(path, line, row, key)
            before = answers.setdefault((answer.rater, answer.trial, answer.repeat), answer)
            if before != answer:
                raise BamkitError(
                    f"{path}, line {line}: {answer.rater} has answered this pair differently in another place",
                    "are there two raters of that name? Rename one in the column rater",
                )
    if not answers:
        raise BamkitError(f"there is no answer in {', '.join(str(path) for path in files)}")
    return list(answers.values())


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            absent = [name for name in columns if name not in (reader.fieldnames or ())]
            if absent:
                raise BamkitError(f"{path} lacks the columns {', '.join(absent)}: it was not saved by a study's page")
            return [(reader.line_num, {name: row[name] or "" for name in columns}) for row in reader]
    except FileNotFoundError as error:
        raise BamkitError(
            f"there is no file or folder {path}",
            "bamkit evaluate --user-study   # makes the page they come from",
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BamkitError(f"{path} is not a CSV file: {error}") from error


def _answer(path: Path, line: int, row: dict[str, str], key: Key) -> Answer:
    where = f"{path}, line {line}"
    if row["study"] != key.study_id:
        raise BamkitError(f"{where}: this answers study {row['study'] or '(none)'}, not {key.study_id}")
    methods = key.methods.get(row["trial"])
    if methods is None or {row["left"], row["right"]} != set(methods) or row["chosen"] not in methods:
        raise BamkitError(f"{where}: the key has no such pair or picture")
    try:
        seconds = float(row["seconds"])
    except ValueError as error:
        raise BamkitError(f"{where}: {row['seconds']!r} is no number of seconds") from error
    rater = row["rater"].strip() or path.stem
    chosen = methods[row["chosen"]]
    return Answer(rater, row["trial"], row["repeat"] == "1", chosen, row["chosen"] == row["left"], seconds)


@dataclass
class Result:
    """What people said of one direction."""

    direction: str
    question: str
    method: str
    """The method whose share is counted: `translation`, or the first of two runs."""
    against: str
    raters: int
    pictures: int
    answers: Estimate
    """Share of all answers that chose `method` (Wilson; answers of one rater or on one picture are not independent)."""
    p_value: float
    """Exact two-sided binomial test of those answers against a coin."""
    by_picture: Estimate
    """Mean over pictures of the share that chose `method`, bootstrapped over pictures."""
    by_rater: Estimate
    """Mean over raters of their share, bootstrapped over raters."""
    majority: Estimate
    """Share of pictures for which most raters chose `method` (ties count half, rounded down); Wilson."""
    kappa: float
    """Fleiss' kappa over the pictures that every rater answered; nan with one rater."""
    alpha: float
    """Krippendorff's alpha over all answers; nan with one rater."""
    left: Estimate
    """Share of answers that chose the left picture: 1/2 for a rater without a side."""
    steady: Estimate | None
    """Share of repeated pairs answered as before; None without repeats."""
    per_rater: pd.DataFrame
    """One row a rater: answers, chose it, left, steady, median seconds."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values; nan becomes None."""
        plain: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, Estimate):
                plain[name] = value.as_dict()
            elif isinstance(value, pd.DataFrame):
                plain[name] = records(value)
            else:
                plain[name] = None if isinstance(value, float) and not math.isfinite(value) else value
        return plain


def analyse(answers: Sequence[Answer], key: Key) -> list[Result]:
    """The results of every direction that has answers, in order of name."""
    results = []
    for direction in sorted(set(key.directions.values())):
        own = [answer for answer in answers if key.directions[answer.trial] == direction]
        if any(not answer.repeat for answer in own):
            results.append(_direction(direction, own, key))
    return results


def _direction(direction: str, answers: list[Answer], key: Key) -> Result:
    method, against = key.methods[answers[0].trial].values()
    first = [answer for answer in answers if not answer.repeat]
    raters, trials = sorted({a.rater for a in first}), sorted({a.trial for a in first})
    table = np.full((len(raters), len(trials)), np.nan)
    for answer in first:
        table[raters.index(answer.rater), trials.index(answer.trial)] = answer.chosen == method
    given = ~np.isnan(table)
    hits = int(np.nansum(table))
    share = np.nansum(table, axis=0) / given.sum(axis=0)
    complete = table[:, given.all(axis=0)]
    kappa = math.nan
    if len(raters) >= 2 and complete.shape[1]:
        kappa = fleiss_kappa(np.stack([complete.sum(axis=0), (1 - complete).sum(axis=0)], axis=1))
    majority = int((share > 0.5).sum() + (share == 0.5).sum() // 2)
    return Result(
        direction,
        key.questions[direction],
        method,
        against,
        len(raters),
        len(trials),
        wilson(hits, len(first)),
        float(binomtest(hits, len(first)).pvalue),
        bootstrap_mean(share),
        bootstrap_mean(np.nansum(table, axis=1) / given.sum(axis=1)),
        wilson(majority, len(trials)),
        kappa,
        krippendorff_alpha(table) if len(raters) >= 2 else math.nan,
        wilson(sum(answer.left for answer in first), len(first)),
        _steady(answers),
        pd.DataFrame([_rater(rater, answers, method) for rater in raters]),
    )


def _steady(answers: list[Answer]) -> Estimate | None:
    before = {(a.rater, a.trial): a.chosen for a in answers if not a.repeat}
    again = [a for a in answers if a.repeat and (a.rater, a.trial) in before]
    same = sum(a.chosen == before[a.rater, a.trial] for a in again)
    return wilson(same, len(again)) if again else None


def _rater(rater: str, answers: list[Answer], method: str) -> dict[str, Any]:
    own = [answer for answer in answers if answer.rater == rater]
    first = [answer for answer in own if not answer.repeat]
    steady = _steady(own)
    return {
        "rater": rater,
        "answers": len(first),
        "chose it": str(wilson(sum(a.chosen == method for a in first), len(first))),
        "left": sum(a.left for a in first) / len(first),
        "steady": steady.value if steady else None,
        "median seconds": float(np.median([a.seconds for a in first])),
    }


def analyse_answers(workspace: Workspace, run: str, paths: Iterable[Path]) -> tuple[list[Result], Path]:
    """Read the answers to the study of `run`, analyse them, and write results.json to the key's folder."""
    folder = folder_of(workspace, run)
    key = read_key(key_path(folder), run)
    answers = read_answers(paths, key)
    results = analyse(answers, key)
    about = {
        "kind": "user study",
        "run": run,
        "study": key.study_id,
        "answers": len(answers),
        "results": [result.as_dict() for result in results],
    }
    path = folder / KEY_FOLDER / RESULTS
    write_text(path, json.dumps(about, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return results, path


def summary(result: Result) -> pd.DataFrame:
    """A result as a table of two columns: what, and its value as text; what there is not is left out."""
    values = {
        "raters": f"{result.raters:,}",
        "pictures": f"{result.pictures:,}",
        f"chose {result.method} over {result.against}": f"{result.answers}, n = {result.answers.n:,}",
        "p": f"{result.p_value:.3g}",
        "over pictures": str(result.by_picture),
        "over raters": str(result.by_rater),
        "majority of raters": str(result.majority),
        "kappa": "" if math.isnan(result.kappa) else f"{result.kappa:.3g}",
        "alpha": "" if math.isnan(result.alpha) else f"{result.alpha:.3g}",
        "left": str(result.left),
        "steady": str(result.steady or ""),
    }
    return pd.DataFrame([(name, text) for name, text in values.items() if text], columns=["", "value"])
