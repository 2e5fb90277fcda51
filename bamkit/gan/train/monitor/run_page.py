"""The page of a training run: loss curves, samples along the training to scrub through, settings, environment.

`write(run)` makes runs/NAME/index.html from run.json, metrics.csv, validation.csv and samples/. It can be called at any
time while a run trains; whatever is not there yet is left out and said so.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from bamkit.common.pages.page import Page
from bamkit.common.settings import docstrings
from bamkit.common.terminal.progress import duration
from bamkit.gan.train import checkpoint
from bamkit.gan.train.methods.terms import Method, method_of
from bamkit.gan.train.monitor import curves
from bamkit.gan.train.monitor.health import Health
from bamkit.gan.train.monitor.run_folder import columns, validation_columns
from bamkit.gan.train.monitor.sample_strip import frames, strip
from bamkit.gan.train.monitor.validation import Validation
from bamkit.gan.train.settings import TrainConfig

ZERO = {
    "steps": "by epochs",
    "minutes": "by epochs",
    "log_every": "about 2,000 rows",
    "discriminator_width": "as width",
    "lambda_nce": "1, with fastcut 10",
}
"""What 0 means in settings that are then decided otherwise."""


def write(run: Path) -> Path:
    """Make `index.html` in the run's folder and return its path.

    Raises BamkitError where there is no run, or where jinja2 is not installed. Without matplotlib the page has no
    curves and says so.
    """
    about = checkpoint.read_run(run)
    names, method = _names(about), method_of(about.get("config") or {})
    metrics, validation = read_tables(run, method)
    page = Page(f"Training {about.get('name', run.name)}", _lead(about, method, names, metrics))
    page.facts(_facts(str(about.get("device") or ""), method, metrics))
    for sentence in _warnings(method, names, metrics, validation):
        page.note(sentence)
    a, b = names
    page.section(
        "Samples",
        f"The same pictures along the training; each row is one of them. {_columns(about.get('config') or {}, method)} "
        f"Drag the slider to go from the first sample to the last, {a} to {b} and {b} to {a} together.",
    )
    sheets = frames(run / "samples")
    if sheets:
        page.html(strip(sheets, lambda step: _moment(step, metrics)))
    else:
        page.text("No samples have been drawn yet.")
    curves.add_curves(page, method, metrics, validation, names)
    _settings(page, about)
    path = run / "index.html"
    page.write(path)
    return path


def _columns(config: dict[str, Any], method: Method) -> str:
    """What stands in a row of a sample sheet."""
    if method.strengths:
        *first, last = (f"{strength:g}" for strength in method.strengths)
        return f"From left to right: the picture, and its translation at strength {', '.join(first)} and {last}."
    back = "it should be the first again" if method.comes_back else f"which nothing in {method.title} asks for"
    asked = config.get("lambda_identity", 1) and not config.get("fastcut")
    alone = "which should leave it alone" if asked else "which this training does not ask to leave it alone"
    return (
        f"From left to right: the picture, translated, translated back ({back}), and given to the other direction's "
        f"generator, {alone}."
    )


def add_curves(page: Page, run: Path) -> None:
    """Add the section with the run's curves to another page, such as the demo's."""
    about = checkpoint.read_run(run)
    method = method_of(about.get("config") or {})
    curves.add_curves(page, method, *read_tables(run, method), _names(about))


def read_tables(run: Path, method: Method) -> tuple[pd.DataFrame, pd.DataFrame]:
    """metrics.csv and validation.csv, in floats. A line cut by a kill is left out; what is no number is NaN."""
    tables = []
    for name, head in (("metrics.csv", columns(method)), ("validation.csv", validation_columns(method))):
        path = run / name
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        whole = text[: text.rfind("\n") + 1] or ",".join(head) + "\n"
        table = pd.read_csv(io.StringIO(whole), on_bad_lines="skip", quoting=csv.QUOTE_NONE)
        tables.append(table.apply(pd.to_numeric, errors="coerce").astype(float))
    return tables[0], tables[1]


def _names(about: dict[str, Any]) -> tuple[str, str]:
    a, b = ((about.get(side) or {}).get("name") for side in ("from", "to"))
    return a or "A", b or "B"


def _lead(about: dict[str, Any], method: Method, names: tuple[str, str], metrics: pd.DataFrame) -> str:
    counts = [(about.get(side) or {}).get("pictures") for side in ("from", "to")]
    sides = [f"{count:,} {name}" if count else name for count, name in zip(counts, names, strict=True)]
    reached = f"after {metrics['step'].iloc[-1]:,.0f} steps" if len(metrics) else "not started yet"
    return f"{method.title} between {sides[0]} pictures and {sides[1]} pictures, {reached}."


def _facts(device: str, method: Method, metrics: pd.DataFrame) -> list[tuple[str, str, str]]:
    if not len(metrics):
        return [("Steps", "0", device)]
    last, tail = metrics.iloc[-1], metrics.tail(max(1, len(metrics) // 10)).mean()
    title = method.content.title.removesuffix(" loss")
    return [
        ("Steps", f"{last['step']:,.0f}", f"{last['epoch']:,.1f} epochs" if math.isfinite(last["epoch"]) else ""),
        ("Time", duration(last["seconds"]) if math.isfinite(last["seconds"]) else "?", device),
        ("Speed", f"{metrics['images_per_second'].median():,.3g} images/s", "median"),
        (f"{title} losses", " · ".join(f"{tail[name]:.2g}" for name in method.content.columns), "A · B, last tenth"),
        (
            "Discriminators right",
            f"{100 * tail['D_A_accuracy']:.0f} % · {100 * tail['D_B_accuracy']:.0f} %",
            "D_A · D_B, last tenth; 50 % is guessing",
        ),
    ]


def _warnings(method: Method, names: tuple[str, str], metrics: pd.DataFrame, validation: pd.DataFrame) -> list[str]:
    """What the trainer said while it watched the run and what has not passed since."""
    health = Health(names)
    rows: list[tuple[float, int, Mapping[str, float]]] = []
    for kind, table in enumerate((metrics, validation)):
        rows += [(row["step"], kind, cast("Mapping[str, float]", row)) for row in table.to_dict("records")]
    for step, kind, row in sorted(rows, key=lambda row: row[:2]):
        if not all(math.isfinite(value) for value in row.values()):
            continue
        if kind == 0:
            health.row(int(step), row)
        else:
            pairs = [(row[f"{name}_A"], row[f"{name}_B"]) for name in ("style", method.kept, "variety")]
            health.validation(int(step), Validation(*pairs))
    return list(health.standing.values())


def _moment(step: int, metrics: pd.DataFrame) -> str:
    """`step 1,200 · epoch 12.0 · after 0:41`."""
    text = f"step {step:,}"
    if not step or not len(metrics):
        return text
    near = metrics.iloc[int(np.abs(metrics["step"] - step).argmin())]
    if not np.isfinite([near["epoch"], near["seconds"]]).all():
        return text
    return f"{text} · epoch {near['epoch']:,.1f} · after {duration(near['seconds'])}"


def _settings(page: Page, about: dict[str, Any]) -> None:
    config, study = about.get("config") or {}, TrainConfig().fitted(286).as_dict()
    meaning = docstrings(TrainConfig)
    page.section("Settings", "Where the run differs from the published study; everything else is as in the study.")
    changed = [
        {"setting": name, "value": _value(name, value), "study": _value(name, study.get(name))}
        for name, value in config.items()
        if value != study.get(name)
    ]
    if changed:
        page.table(changed)
    else:
        page.text("All settings are those of the study.")
    rows = [{"setting": n, "value": _value(n, value), "meaning": meaning.get(n, "")} for n, value in config.items()]
    page.details("All settings", rows)
    page.section("Where it comes from")
    a, b = (about.get(side) or {} for side in ("from", "to"))
    # Where a split lies is a matter of this machine, and the page may be sent to others.
    keys = [key for key in dict.fromkeys([*a, *b]) if key != "where" or not (a.get("split_id") and b.get("split_id"))]
    page.table([{"domain": key.replace("_", " "), "A": _shown(a.get(key)), "B": _shown(b.get(key))} for key in keys])
    facts = {"run id": about.get("run_id"), "device": about.get("device"), **(about.get("versions") or {})}
    page.table([{"what": key, "value": _shown(value)} for key, value in facts.items() if value is not None])


def _value(name: str, value: Any) -> str:
    return ZERO.get(name, "0") if value == 0 and not isinstance(value, bool) else _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_shown(each)}" for key, each in value.items())
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)
