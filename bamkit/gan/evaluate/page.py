"""The evaluation as one HTML page."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bamkit.common.console import cell
from bamkit.common.contract import short
from bamkit.common.figures import COLOURS, inline, new, style
from bamkit.common.pages import Page, Picture
from bamkit.common.statistics import Estimate
from bamkit.gan.evaluate.failures import grid
from bamkit.gan.evaluate.figures import REAL
from bamkit.gan.evaluate.measures import IDENTITY, TRANSFER, TRANSLATION, pictures_of
from bamkit.gan.evaluate.run import COLUMNS, NAMES, Evaluation, Outcome

THUMB = 120


def write_page(found: Evaluation, path: Path) -> None:
    """Draw the page. Raises BamkitError where jinja2 or matplotlib is not installed."""
    build(found, path.parent).write(path)


def build(found: Evaluation, folder: Path) -> Page:
    """The page, not yet rendered; with what people said, if `folder` holds the results of a user study."""
    page = Page(f"Evaluation of {found.run.name}", lead(found))
    facts = [fact for outcome in found.outcomes for fact in _facts(found, outcome)]
    if facts:
        page.facts(facts)
    page.note(*found.warnings)
    if found.missing:
        page.text(" ".join(found.missing))
    for outcome in found.outcomes:
        _direction(page, found, outcome)
    _people(page, folder / "user-study" / "results.json")
    _basis(page, found)
    return page


def lead(found: Evaluation) -> str:
    """What was evaluated, in one sentence."""
    parts = ", ".join(f"{len(o.direction)} {o.direction.name}" for o in found.outcomes)
    checkpoints = ", ".join(sorted({o.direction.checkpoint for o in found.outcomes if o.direction.checkpoint}))
    chosen = f" Checkpoint: {checkpoints}." if checkpoints else ""
    return f"Translations of the {found.run.split} split: {parts}.{chosen} Intervals are 95 %."


def _facts(found: Evaluation, outcome: Outcome) -> list[tuple[str, str, str]]:
    name = outcome.direction.name
    after, before = found.find("reached", name), found.find("reached", name, IDENTITY)
    facts = []
    if after is not None and before is not None:
        remark = f"{before.value:.0%} before; [{after.low:.0%}, {after.high:.0%}], n = {after.n}"
        facts.append((f"{name}: judged {short(after.attribute)}", f"{after.value:.0%}", remark))
    kid, floor = found.find("kid", name), found.find("kid", name, REAL)
    if kid is not None:
        facts.append((f"{name}: KID", str(kid), f"real against real {floor}" if floor else ""))
    kept = found.find("ssim", name)
    if after is None and kept is not None:
        facts.append((f"{name}: SSIM with the source", f"{kept.value:.2f}", f"[{kept.low:.2f}, {kept.high:.2f}]"))
    return facts


def _direction(page: Page, found: Evaluation, outcome: Outcome) -> None:
    direction = outcome.direction
    page.section(direction.name, f"{len(direction)} pictures, each beside its own source.")
    page.table(
        found.summary(direction.name),
        caption="Real pictures show what a perfect model would reach; no translation and colour transfer are what a "
        "model has to beat. LPIPS, KID and FID: lower is better.",
    )
    chart = _chart(found, outcome)
    if chart:
        caption = (
            "Dots are estimates, bars their intervals (for KID one deviation of its subsets). The model is orange."
        )
        page.figure(*chart, caption, wide=True)
    _content(page, outcome)
    page.heading("Uncurated")
    chosen = grid(len(direction), found.options.pictures, found.options.seed)
    page.pictures(
        _triples(found, outcome, chosen),
        f"{len(chosen)} pictures drawn by seed {found.options.seed}, before, after colour transfer, after the model. "
        "Nobody chose them.",
        THUMB,
        together=3,
    )
    _cases(page, found, outcome)
    _failures(page, found, outcome)


def _chart(found: Evaluation, outcome: Outcome) -> tuple[bytes, str] | None:
    """Dot-and-bar panels of the main figures by method, and the same in words."""
    name = outcome.direction.name
    # Untranslated pictures lie so far from the target that KID's other differences would vanish beside them.
    shown = {"reached": list(NAMES), "edges": list(NAMES), "kid": [m for m in NAMES if m != IDENTITY]}
    figures = {metric: {m: found.find(metric, name, m) for m in methods} for metric, methods in shown.items()}
    figures = {metric: {m: f for m, f in row.items() if f is not None} for metric, row in figures.items()}
    metrics = [metric for metric, row in figures.items() if row]
    if not metrics:
        return None
    order = list(reversed(NAMES))
    figure = new(8.6, 1.9)
    with style():
        for axes, metric in zip(np.ravel(figure.subplots(1, len(metrics), sharey=True)), metrics, strict=True):
            for method, one in figures[metric].items():
                row, colour = order.index(method), COLOURS[1] if method == TRANSLATION else COLOURS[0]
                if not math.isnan(one.low):
                    axes.plot([one.low, one.high], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
                axes.plot([one.value], [row], "o", color=colour, markersize=5)
            axes.set_yticks(range(len(order)), [NAMES[method] for method in order])
            axes.set_ylim(-0.6, len(order) - 0.4)
            axes.set_title(COLUMNS[metric])
            axes.grid(axis="x")
            if metric != "kid":
                axes.set_xlim(-0.03, 1.03)
    told = [
        f"{COLUMNS[metric]}: " + ", ".join(f"{NAMES[m]} {cell(f.value)}" for m, f in figures[metric].items())
        for metric in metrics
    ]
    return inline(figure), "; ".join(told)


def _content(page: Page, outcome: Outcome) -> None:
    rows: dict[str, dict[str, Any]] = {}
    names = {
        "reached with content": "emotion reached",
        "probability change with content": "change of probability",
        "content survives": "still there",
        "painted in": "painted in",
    }
    for figure in outcome.figures:
        if figure.metric in names and figure.method == TRANSLATION and figure.attribute.startswith("content_"):
            row = rows.setdefault(figure.attribute, {"content": short(figure.attribute), "n": None})
            of = f", n = {figure.n}" if figure.metric in ("content survives", "painted in") else ""
            row[names[figure.metric]] = f"{figure}{of}"
            if figure.metric == "reached with content":
                row["n"] = figure.n
    if rows:
        page.heading("By content")
        page.table(
            [{"content": r["content"], "n": r["n"], **{v: r.get(v) for v in names.values()}} for r in rows.values()],
            caption="n counts the pictures whose label in BAM is positive. Still there: of the pictures in which the "
            "judge saw it before, those in which it still does. Painted in: of those in which it did not.",
        )


def _cases(page: Page, found: Evaluation, outcome: Outcome) -> None:
    count = max(1, found.options.pictures // 3)
    order = list(outcome.progress.argsort(kind="stable"))
    for title, chosen in (("Best cases", order[::-1][:count]), ("Worst cases", order[:count])):
        page.heading(title)
        caption = f"Ranked by {outcome.progress_name}."
        page.pictures(_triples(found, outcome, [int(i) for i in chosen], progress=True), caption, THUMB, together=3)


def _failures(page: Page, found: Evaluation, outcome: Outcome) -> None:
    count = max(1, found.options.pictures // 3)
    failures, name = outcome.failures, outcome.direction.name
    page.heading("Failure modes")
    rows = [
        {"": figure.metric, "method": NAMES[figure.method], "value": str(figure), "n": figure.n, "note": figure.note}
        for figure in failures.figures
    ]
    page.table(rows)
    if failures.inverted:
        page.pictures(
            _triples(found, outcome, failures.inverted[:count]), "Inverted: light became dark.", THUMB, together=3
        )
    if failures.far:
        text = "Far from both domains: sources unlike the training pictures of either, farthest first."
        page.pictures(_triples(found, outcome, failures.far[:count], progress=True), text, THUMB, together=3)
    if len(failures.memorised):
        train = outcome.direction.target.shards("train", ["mid"])
        shown: list[Picture] = []
        for index, row in failures.memorised[:count].tolist():
            pair, mid = _pictures(found, outcome, index), train.value(row, "mid")
            shown.append(Picture(_thumb(pair[TRANSLATION]), f"{name} translation", "translation"))
            shown.append(Picture(_thumb(train.picture(row)), "nearest training picture", f"training, mid {mid}"))
        page.pictures(
            shown, "The outputs nearest to a training picture of the target, nearest first.", THUMB, together=2
        )


def _pictures(found: Evaluation, outcome: Outcome, index: int) -> dict[str, Any]:
    target = outcome.direction.target.name
    train, test = found.seen[target, "train"].colours, found.seen[target, found.options.split].colours
    return pictures_of(outcome.direction, index, train if train.n else test)


def _triples(found: Evaluation, outcome: Outcome, chosen: list[int], progress: bool = False) -> list[Picture]:
    """Before, colour transfer, after; with the judge's probability of the target where there is one."""
    shown = []
    for index in chosen:
        pictures = _pictures(found, outcome, index)
        mid = outcome.measured.columns["mid"][index]
        for method in (IDENTITY, TRANSFER, TRANSLATION):
            caption = f"mid {mid}" if method == IDENTITY else NAMES[method]
            if method in outcome.probabilities:
                caption += f" · {outcome.probabilities[method][index]:.2f}"
            elif progress and method == TRANSLATION:
                caption += f" · {cell(float(outcome.progress[index]))}"
            shown.append(Picture(_thumb(pictures[method]), f"mid {mid}: {NAMES[method]}", caption))
    return shown


def _thumb(picture: Any) -> Image.Image:
    image = Image.fromarray(picture)
    image.thumbnail((2 * THUMB, 2 * THUMB), Image.Resampling.LANCZOS)
    return image


def _people(page: Page, results: Path) -> None:
    """What raters chose, from the last `bamkit evaluate --answers`."""
    if not results.is_file():
        return
    about = json.loads(results.read_text(encoding="utf-8"))
    page.section("What people chose", f"Study {about['study']}, {about['answers']} answers, blind, sides at random.")
    rows = []
    for one in about["results"]:
        share = Estimate(**{k: math.nan if v is None else v for k, v in one["answers"].items()})
        rows.append(
            {
                "question": one["question"],
                "raters": one["raters"],
                "pictures": one["pictures"],
                "chose": f"{one['method']} over {one['against']}: {share}",
                "p": float(f"{one['p_value']:.3g}"),
                "Krippendorff's alpha": one["alpha"],
                "steady": one["steady"]["value"] if one["steady"] else None,
            }
        )
    page.table(rows, caption="p: exact binomial test against a coin. Answers of one rater are not independent.")


def _basis(page: Page, found: Evaluation) -> None:
    about = found.about()
    page.section("What this rests on", f"Distances and KID: {about['features']['description']}")
    judge = about["judge"]
    if judge:
        page.text(judge["sentence"])
    rows = [
        {"": "run", "value": f"{about['run']} ({about['run_id'] or 'no id'})"},
        *({"": f"split {name}", "value": value or "no id"} for name, value in about["split_ids"].items()),
        {"": "translations.parquet", "value": about["translations_sha256"]},
        {"": f"features: {about['features']['name']}", "value": about["features"]["sha256"]},
    ]
    if judge:
        rows.append({"": "judge", "value": judge["sha256"]})
    if about["lpips"]:
        rows.append({"": "LPIPS (alex)", "value": about["lpips"]["sha256"]})
    rows += [{"": name, "value": version} for name, version in about["versions"].items()]
    page.table(rows)
    page.details("Every figure", [figure.as_dict() for figure in found.figures])
