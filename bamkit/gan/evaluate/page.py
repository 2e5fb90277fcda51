"""The evaluation as one HTML page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from bamkit.common.contract import short
from bamkit.common.errors import DAMAGED
from bamkit.common.pages.page import Page, Picture
from bamkit.common.pictures.folders import count_of
from bamkit.common.statistics import Estimate, cases_text
from bamkit.common.terminal.console import percent
from bamkit.gan.evaluate.charts import Panel, panels
from bamkit.gan.evaluate.estimates import (
    METHOD_NAMES,
    METRIC_NAMES,
    NOT_MEASURED,
    REAL,
    cases,
    estimate_of,
    find,
    records,
    table,
)
from bamkit.gan.evaluate.measures import IDENTITY, TRANSFER, TRANSLATION, pictures_of
from bamkit.gan.evaluate.result import DirectionResult, Evaluation

THUMB = 120
"""Side of a picture on the page, in CSS pixels."""
STUDY_RESULTS = ("user-study-key/results.json", "user-study/results.json")
"""Where the results of a user study lie beside the page: now, and in studies made by earlier versions."""
CONTENT_NAMES = {
    "reached with content": "emotion reached",
    "probability change with content": "change of probability",
    "content survives": "still there",
    "painted in": "painted in",
}


def write_page(evaluation: Evaluation, path: Path) -> None:
    """Draw the page, with what people said where a user study has results.

    Raises BamkitError where jinja2 or matplotlib is not installed.
    """
    page = Page(f"Evaluation of {evaluation.run.name}", lead(evaluation))
    facts = [fact for result in evaluation.results for fact in _facts(evaluation, result)]
    if facts:
        page.facts(facts)
    page.note(*evaluation.warnings)
    for text in evaluation.missing:
        page.text(text)
    for result in evaluation.results:
        _direction(page, evaluation, result)
    _people(page, path.parent)
    _basis(page, evaluation)
    page.write(path)


def lead(evaluation: Evaluation) -> str:
    """What was evaluated, in one sentence."""
    directions = [result.direction for result in evaluation.results]
    parts = ", ".join(f"{len(direction)} {direction.name}" for direction in directions)
    checkpoints = ", ".join(sorted({direction.checkpoint for direction in directions if direction.checkpoint}))
    chosen = f" Checkpoint: {checkpoints}." if checkpoints else ""
    if "strength" in evaluation.run.about:
        chosen += f" Strength: {evaluation.run.about['strength']:g}."
    return f"Translations of the {evaluation.run.split} split: {parts}.{chosen} Intervals are 95 %."


def _facts(evaluation: Evaluation, result: DirectionResult) -> list[tuple[str, str, str]]:
    name, target = result.direction.name, result.direction.target.attribute
    after, before = evaluation.find("reached", name), evaluation.find("reached", name, IDENTITY)
    facts = []
    if after is not None and before is not None and target is not None:
        bounds = f"95 % interval {100 * after.low:.0f} to {100 * after.high:.0f} %"
        remark = f"{bounds}, n = {cases_text(after.n, after.clusters, 'pictures')}; {percent(before.value, 0)} before"
        by_form = evaluation.find("reached by form", name)
        remark += f"; {percent(by_form.value, 0)} by form alone" if by_form is not None else ""
        remark += f"; but {', '.join(doubt.short for doubt in result.doubts)}" if result.doubts else ""
        facts.append((f"{name}: judged {short(target)}", percent(after.value, 0) or NOT_MEASURED, remark))
    kid, floor = evaluation.find("kid", name), evaluation.find("kid", name, REAL)
    if kid is not None:
        facts.append((f"{name}: KID", str(kid), f"real against real {floor}" if floor else ""))
    kept = evaluation.find("ssim", name)
    if after is None and kept is not None:
        facts.append((f"{name}: SSIM with the source", f"{kept.value:.2f}", f"[{kept.low:.2f}, {kept.high:.2f}]"))
    return facts


def _direction(page: Page, evaluation: Evaluation, result: DirectionResult) -> None:
    direction = result.direction
    page.section(direction.name, f"n = {cases(evaluation.figures, direction.name)}. Each beside its own source.")
    page.table(
        evaluation.summary(direction.name),
        caption="Real pictures show what a perfect model would reach; no translation and colour transfer are what a "
        "model has to beat. Intervals are clustered by project. LPIPS, KID and FID: lower is better. "
        f"{NOT_MEASURED}: has no meaning or was not measured.",
    )
    page.figures(
        panels(_chart(evaluation.figures, direction.name)),
        "Dots are estimates, bars their intervals (for KID one deviation of its subsets). The model is orange.",
    )
    _content(page, evaluation.figures, direction.name)
    chosen = draw(len(direction), evaluation.options.pictures, evaluation.options.seed)
    page.heading("Uncurated")
    page.pictures(
        _triples(evaluation, result, chosen),
        f"{count_of(len(chosen), 'picture')} drawn by seed {evaluation.options.seed}, before, after colour transfer, "
        "after the model. Nobody chose them.",
        THUMB,
        together=3,
    )
    _cases(page, evaluation, result)
    _failures(page, evaluation, result)


def draw(n: int, count: int, seed: int = 0) -> list[int]:
    """`count` of `n` pairs, uncurated: drawn by `seed` alone, in order."""
    return sorted(int(i) for i in np.random.default_rng(seed).choice(n, min(count, n), replace=False))


def _chart(figures: pd.DataFrame, direction: str) -> list[Panel]:
    """The main figures by method, a panel a metric."""
    # Untranslated pictures lie so far from the target that KID's other differences would vanish beside them.
    shown = {"reached": list(METHOD_NAMES), "edges": list(METHOD_NAMES), "kid": [TRANSLATION, TRANSFER, REAL]}
    charts = []
    for metric, methods in shown.items():
        estimates = {METHOD_NAMES[method]: find(figures, metric, direction, method) for method in methods}
        rows = {name: estimate for name, estimate in estimates.items() if estimate is not None}
        if rows:
            limits = None if metric == "kid" else (0.0, 1.0)
            charts.append(Panel(METRIC_NAMES[metric], rows, {METHOD_NAMES[TRANSLATION]}, limits))
    return charts


def _content(page: Page, figures: pd.DataFrame, direction: str) -> None:
    """The figures by content attribute, one row an attribute."""
    own = figures[
        (figures["direction"] == direction)
        & (figures["method"] == TRANSLATION)
        & figures["metric"].isin(list(CONTENT_NAMES))
        & figures["attribute"].str.startswith("content_")
    ]
    rows: list[dict[str, Any]] = []
    for attribute, part in own.groupby("attribute", sort=False):
        by_metric = {row["metric"]: row for row in records(part)}
        row: dict[str, Any] = {"content": short(str(attribute)), "n": NOT_MEASURED}
        if "reached with content" in by_metric:
            counted = by_metric["reached with content"]
            row["n"] = cases_text(counted["n"], counted["projects"], "pictures")
        for metric, name in CONTENT_NAMES.items():
            estimate = estimate_of(by_metric[metric]) if metric in by_metric else None
            of = f", n = {estimate.n}" if estimate and metric in ("content survives", "painted in") else ""
            row[name] = f"{estimate}{of}" if estimate else NOT_MEASURED
        rows.append(row)
    if rows:
        page.heading("By content")
        page.table(
            rows,
            caption="n counts the pictures whose label in BAM is positive. Still there: of the pictures in which the "
            "judge saw it before, those in which it still does. Painted in: of those in which it did not. "
            f"{NOT_MEASURED}: no such picture, or the judge hardly tells it.",
        )


def _cases(page: Page, evaluation: Evaluation, result: DirectionResult) -> None:
    count = max(1, evaluation.options.pictures // 3)
    order = result.improvement.argsort(kind="stable").tolist()
    for title, chosen in (("Best cases", order[::-1][:count]), ("Worst cases", order[:count])):
        page.heading(title)
        caption = f"Ranked by {result.improvement_name}."
        page.pictures(_triples(evaluation, result, chosen, ranked=True), caption, THUMB, together=3)


def _failures(page: Page, evaluation: Evaluation, result: DirectionResult) -> None:
    count = max(1, evaluation.options.pictures // 3)
    failures, name = result.failures, result.direction.name
    page.heading("Failure modes")
    rows = [
        {
            "metric": METRIC_NAMES.get(row["metric"], row["metric"]),
            "method": METHOD_NAMES[row["method"]],
            "value": str(estimate_of(row)) or NOT_MEASURED,
            "n": cases_text(row["n"], row["projects"], "pictures"),
            "note": row["note"],
        }
        for row in records(table(failures.rows))
    ]
    if not any(row["note"] for row in rows):
        rows = [{key: value for key, value in row.items() if key != "note"} for row in rows]
    page.table(rows)
    if failures.inverted:
        chosen = _triples(evaluation, result, failures.inverted[:count])
        page.pictures(chosen, "Inverted: light became dark.", THUMB, together=3)
    if failures.copied:
        chosen = _triples(evaluation, result, failures.copied[:count])
        page.pictures(chosen, "Outputs that are copies of training pictures.", THUMB, together=3)
    if failures.far:
        text = "Far from both domains: outputs unlike the training pictures of either, farthest first."
        page.pictures(_triples(evaluation, result, failures.far[:count], ranked=True), text, THUMB, together=3)
    if len(failures.memorised):
        train = result.direction.target.shards("train", ["mid"])
        shown: list[Picture] = []
        for index, nearest in failures.memorised[:count].tolist():
            pair, mid = _pictures(evaluation, result, index), train.value(nearest, "mid")
            shown.append(Picture(_thumb(pair[TRANSLATION]), f"{name} translation", "translation"))
            shown.append(Picture(_thumb(train.picture(nearest)), "nearest training picture", f"training, mid {mid}"))
        page.pictures(
            shown, "The outputs nearest to a training picture of the target, nearest first.", THUMB, together=2
        )


def _pictures(evaluation: Evaluation, result: DirectionResult, index: int) -> dict[str, np.ndarray]:
    target = result.direction.target.name
    train, test = (evaluation.real[target, split].colours for split in ("train", evaluation.options.split))
    return pictures_of(result.direction, index, train if train.n else test)


def _triples(evaluation: Evaluation, result: DirectionResult, chosen: list[int], ranked: bool = False) -> list[Picture]:
    """Before, colour transfer, after; with the judge's probability of the target where there is one."""
    shown = []
    mids = result.measured.column("mid")
    for index in chosen:
        pictures = _pictures(evaluation, result, index)
        for method in (IDENTITY, TRANSFER, TRANSLATION):
            caption = f"mid {mids[index]}" if method == IDENTITY else METHOD_NAMES[method]
            if method in result.probabilities:
                caption += f" · {result.probabilities[method][index]:.2f}"
            elif ranked and method == TRANSLATION:
                caption += f" · {result.improvement[index]:.3g}".replace("-", "\N{MINUS SIGN}")
            shown.append(Picture(_thumb(pictures[method]), f"mid {mids[index]}: {METHOD_NAMES[method]}", caption))
    return shown


def _thumb(picture: np.ndarray) -> Image.Image:
    image = Image.fromarray(picture)
    image.thumbnail((2 * THUMB, 2 * THUMB), Image.Resampling.LANCZOS)
    return image


def _people(page: Page, folder: Path) -> None:
    """What raters chose, from the last `bamkit evaluate --answers`."""
    results = next((folder / name for name in STUDY_RESULTS if (folder / name).is_file()), None)
    if results is None:
        return
    try:
        about = json.loads(results.read_text(encoding="utf-8"))
        lead = f"Study {about['study']}, {about['answers']} answers, blind, sides at random."
        rows = [_what_people_chose(result) for result in about["results"]]
    except DAMAGED:
        page.section("What people chose", f"{results.name} cannot be read; bamkit evaluate --answers writes it anew.")
        return
    page.section("What people chose", lead)
    page.table(
        rows,
        caption="p: exact binomial test against a coin. Answers of one rater are not independent. Steady: share of "
        f"repeated pairs answered as before. {NOT_MEASURED}: it takes two raters, or repeated pairs.",
    )


def _what_people_chose(result: dict[str, Any]) -> dict[str, Any]:
    share = Estimate.from_dict(result["answers"])
    return {
        "question": result["question"],
        "raters": result["raters"],
        "pictures": result["pictures"],
        "chose": f"{result['method']} over {result['against']}: {share}, n = {share.n}",
        "p": float(f"{result['p_value']:.3g}"),
        "Krippendorff's alpha": NOT_MEASURED if result["alpha"] is None else result["alpha"],
        "steady": result["steady"]["value"] if result["steady"] else NOT_MEASURED,
    }


def _basis(page: Page, evaluation: Evaluation) -> None:
    about = evaluation.about()
    page.section("What this rests on", f"Distances and KID: {about['features']['description']}")
    judge = about["judge"]
    if judge:
        page.text(judge["sentence"])
    rows = [
        {"what": "run", "value": f"{about['run']} ({about['run_id'] or 'no id'})"},
        *({"what": f"split {name}", "value": value or "no id"} for name, value in about["split_ids"].items()),
        {"what": "translations.parquet", "value": about["translations_sha256"]},
        {"what": f"features: {about['features']['name']}", "value": about["features"]["sha256"]},
    ]
    if judge:
        rows.append({"what": "judge", "value": judge["sha256"]})
    if about["lpips"]:
        rows.append({"what": "LPIPS (alex)", "value": about["lpips"]["sha256"]})
    rows += [{"what": name, "value": version} for name, version in about["versions"].items()]
    page.table(rows)
    page.details("Every figure", about["figures"])
