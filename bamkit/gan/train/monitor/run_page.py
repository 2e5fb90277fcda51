"""The page of a training run: loss curves, samples along the training to scrub through, settings, environment.

`write(run)` makes runs/NAME/index.html from run.json, metrics.csv, validation.csv and samples/. It can be called at any
time while a run trains; whatever is not there yet is left out and said so.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bamkit.common.pages import Page
from bamkit.common.progress import duration
from bamkit.common.settings import docstrings
from bamkit.gan.train import checkpoint
from bamkit.gan.train.monitor.health import Health
from bamkit.gan.train.monitor.sample_strip import frames, strip
from bamkit.gan.train.monitor.validation import Validation
from bamkit.gan.train.settings import TrainConfig

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

Rows = list[dict[str, float]]
WARNINGS = 4
"""So many of the trainer's warnings are repeated on the page."""
POINTS = 600
"""A curve is drawn with at most so many points."""
SMOOTH = 0.03
"""The strong line is the mean over this share of the run."""


def write(run: Path) -> Path:
    """Make `index.html` in the run's folder and return its path.

    Raises BamkitError where there is no run, or where jinja2 is not installed. Without matplotlib the page has no
    curves and says so.
    """
    about = checkpoint.read_run(run)
    a, b = _names(about)
    metrics, validation = _table(run / "metrics.csv"), _table(run / "validation.csv")
    page = Page(f"Training {about.get('name', run.name)}", _lead(about, a, b, metrics))
    page.facts(_facts(about, metrics))
    for sentence in _warnings((a, b), metrics, validation):
        page.note(sentence)
    page.section("Samples", _samples_text(a, b))
    found = frames(run / "samples")
    if found:
        page.html(strip(found, lambda step: _moment(step, metrics)))
    else:
        page.text("No samples have been drawn yet.")
    _curves(page, metrics, validation, a, b)
    _settings(page, about)
    path = run / "index.html"
    page.write(path)
    return path


def add_curves(page: Page, run: Path) -> None:
    """Add the section with the run's curves to another page, such as the demo's."""
    a, b = _names(checkpoint.read_run(run))
    _curves(page, _table(run / "metrics.csv"), _table(run / "validation.csv"), a, b)


def _names(about: dict[str, Any]) -> tuple[str, str]:
    return tuple((about.get(side) or {}).get("name") or letter for side, letter in (("from", "A"), ("to", "B")))


def _table(path: Path) -> Rows:
    """A CSV file of numbers. A line cut by a kill is left out; a value that is no number becomes nan."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    if not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
    return [{name: _real(value) for name, value in row.items() if name} for row in csv.DictReader(io.StringIO(text))]


def _real(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _lead(about: dict[str, Any], a: str, b: str, metrics: Rows) -> str:
    def domain(side: str, name: str) -> str:
        count = (about.get(side) or {}).get("pictures") or (about.get(side) or {}).get("count")
        return f"{count:,} {name} pictures" if isinstance(count, int) else f"{name} pictures"

    reached = f", after {metrics[-1]['step']:,.0f} steps" if metrics else ", not started yet"
    return f"CycleGAN between {domain('from', a)} and {domain('to', b)}{reached}."


def _facts(about: dict[str, Any], metrics: Rows) -> list[tuple[str, str, str]]:
    device = str(about.get("device") or "")
    if not metrics:
        return [("Steps", "0", device)]
    last = metrics[-1]
    tail = metrics[-max(1, len(metrics) // 10) :]
    speeds = sorted(row.get("images_per_second", math.nan) for row in metrics)
    speed = speeds[len(speeds) // 2]
    return [
        ("Steps", f"{last['step']:,.0f}", f"{last['epoch']:,.1f} epochs" if _whole(last.get("epoch")) else ""),
        ("Time", duration(last["seconds"]) if _whole(last.get("seconds")) else "?", device),
        ("Speed", f"{speed:,.3g}", "images/s, median"),
        ("Cycle losses", f"{_mean(tail, 'cycle_A'):.2g} · {_mean(tail, 'cycle_B'):.2g}", "A · B, last tenth"),
        (
            "Discriminators right",
            f"{100 * _mean(tail, 'D_A_accuracy'):.0f} % · {100 * _mean(tail, 'D_B_accuracy'):.0f} %",
            "D_A · D_B, last tenth; 50 % is guessing",
        ),
    ]


def _warnings(names: tuple[str, str], metrics: Rows, validation: Rows) -> list[str]:
    """What the trainer said while it watched the run: the last few of its sentences, in the order of the steps."""
    health, said = Health(names), []
    events = [(row["step"], "row", row) for row in metrics] + [(row["step"], "test", row) for row in validation]
    for step, kind, row in sorted(events, key=lambda event: event[:2]):
        if not all(_whole(value) for value in row.values()):
            continue
        if kind == "row":
            said += health.row(int(step), row)
        else:
            pairs = [(row[f"{name}_A"], row[f"{name}_B"]) for name in ("style", "cycle", "variety")]
            said += health.validation(int(step), Validation(*pairs))
    return said[-WARNINGS:]


def _whole(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _mean(rows: Rows, name: str) -> float:
    values = [row[name] for row in rows if _whole(row.get(name))]
    return sum(values) / len(values) if values else math.nan


def _samples_text(a: str, b: str) -> str:
    return (
        "The same pictures along the training; each row is one of them. From left to right: the picture, translated, "
        "translated back (it should be the first again), and given to the other direction's generator, which should "
        f"leave it alone. Drag the slider to go from the first sample to the last, {a} to {b} and {b} to {a} together."
    )


def _moment(step: int, metrics: Rows) -> str:
    """`step 1,200 · epoch 12.0 · after 0:41`."""
    near = min(metrics, key=lambda row: abs(row.get("step", math.inf) - step), default=None)
    text = f"step {step:,}"
    if near is None or step == 0 or not _whole(near.get("epoch")) or not _whole(near.get("seconds")):
        return text
    return f"{text} · epoch {near['epoch']:,.1f} · after {duration(near['seconds'])}"


def _curves(page: Page, metrics: Rows, validation: Rows, a: str, b: str) -> None:
    page.section(
        "Curves",
        "Faint lines are the rows of metrics.csv, strong ones their mean over 3 % of the run. Adversarial losses do "
        "not fall as other losses do: the two networks improve against each other. Cycle and identity should fall.",
    )
    if len(metrics) < 2:
        page.text("There are not enough rows in metrics.csv yet.")
        return
    try:
        import matplotlib  # noqa: F401  (whether it is there)
    except ImportError:
        page.note("The curves need matplotlib (pip install matplotlib); metrics.csv holds the figures.")
        return
    there, back = f"{a} to {b}", f"{b} to {a}"
    panels = [
        ("Adversarial loss of the generators", [("G_A", f"G_A, {there}"), ("G_B", f"G_B, {back}")], None),
        ("Loss of the discriminators", [("D_A", f"D_A, judges {b}"), ("D_B", f"D_B, judges {a}")], None),
        ("Cycle loss", [("cycle_A", f"{a} to {b} and back"), ("cycle_B", f"{b} to {a} and back")], None),
        ("Identity loss", [("idt_A", f"{b} through G_A"), ("idt_B", f"{a} through G_B")], None),
        ("Discriminators right", [("D_A_accuracy", "D_A"), ("D_B_accuracy", "D_B")], 0.5),
        ("Learning rate", [("lr", "")], None),
    ]
    drawn = [_panel(title, metrics, lines, level) for title, lines, level in panels if _any(metrics, lines)]
    page.figures(drawn, "Losses as they enter the objective, weights included; horizontally the step.")
    if len(validation) > 1:
        lines = (
            [("score", "score")],
            [("style_A", there), ("style_B", back)],
            [("variety_A", there), ("variety_B", back)],
        )
        titles = ("Validation score (lower is better)", "Distance to the target's style", "Variety of the translations")
        levels = (None, 1.0, 1.0)
        page.figures(
            [_panel(t, validation, one, level, False) for t, one, level in zip(titles, lines, levels, strict=True)],
            "On the validation split; the lowest score is the best checkpoint. Style 1 is as far from the target as "
            "the untouched pictures; variety 1 is as varied as real pictures.",
        )


def _any(rows: Rows, lines: Sequence[tuple[str, str]]) -> bool:
    return any(_whole(row.get(name)) for row in rows for name, _ in lines)


def _panel(
    title: str, rows: Rows, lines: Sequence[tuple[str, str]], level: float | None, smooth: bool = True
) -> tuple[bytes, str]:
    """One small figure and its alt text."""
    import numpy as np

    from bamkit.common import figures

    with figures.style():
        figure = figures.new(4.6, 2.5)
        axes = figure.subplots()
        steps = np.array([row["step"] for row in rows])
        ends = []
        for (name, label), colour in zip(lines, figures.COLOURS, strict=False):
            values = np.array([row.get(name, math.nan) for row in rows])
            ends.append(f"{label or name} ends at {_last(values):.3g}")
            _line(axes, steps, values, label, colour, smooth)
        if level is not None:
            axes.axhline(level, color=figures.FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_title(title)
        axes.grid(axis="y", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.margins(x=0.01)
        axes.xaxis.set_major_locator(_few_ticks())
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        if any(label for _, label in lines):
            axes.legend(fontsize=8, loc="best", handlelength=1.2)
        return figures.inline(figure), f"{title} along the steps: {', '.join(ends)}"


def _few_ticks():  # noqa: ANN202  (matplotlib's locator)
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, integer=True)


def _last(values: np.ndarray) -> float:
    import numpy as np

    good = values[np.isfinite(values)]
    return float(good[-max(1, len(good) // 20) :].mean()) if len(good) else math.nan


def _line(axes: Axes, steps: np.ndarray, values: np.ndarray, label: str, colour: str, smooth: bool) -> None:
    import numpy as np

    window = max(1, round(len(values) * SMOOTH)) if smooth else 1
    if window > 2:
        x, y = _thinned(steps, values)
        axes.plot(x, y, color=colour, linewidth=0.5, alpha=0.3)
    filled = np.where(np.isfinite(values), values, np.nan)
    strong = _running_mean(filled, window)
    x, y = _thinned(steps, strong)
    axes.plot(x, y, color=colour, linewidth=1.5, label=label or None, marker="" if smooth else "o", markersize=2.5)


def _running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Centred mean over `window` values that are there, nan where none is."""
    import numpy as np

    there = np.isfinite(values)
    kernel = np.ones(window)
    total = np.convolve(np.where(there, values, 0.0), kernel, "same")
    count = np.convolve(there.astype(float), kernel, "same")
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0.5)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    every = -(-len(x) // POINTS)
    return x[::every], y[::every]


# ---------------------------------------------------------------- settings


def _settings(page: Page, about: dict[str, Any]) -> None:
    config = about.get("config") or {}
    default = TrainConfig().as_dict()
    known = docstrings(TrainConfig)
    page.section("Settings", "Where the run differs from the published study; everything else is as in the study.")
    changed = [{"setting": n, "value": _shown(v), "study": _shown(default.get(n))} for n, v in config.items()
               if v != default.get(n)]  # fmt: skip
    if changed:
        page.table(changed)
    else:
        page.text("All settings are those of the study.")
    page.details(
        "All settings", [{"setting": n, "value": _shown(v), "meaning": known.get(n, "")} for n, v in config.items()]
    )
    page.section("Where it comes from")
    rows = []
    for side, letter in (("from", "A"), ("to", "B")):
        domain = about.get(side) or {}
        rows.append({"domain": letter, **{key: _shown(value) for key, value in domain.items()}})
    page.table(rows)
    facts = {"run id": about.get("run_id"), "device": about.get("device"), **(about.get("versions") or {})}
    page.table([{"what": key, "value": _shown(value)} for key, value in facts.items() if value is not None])


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)
