"""`bamkit evaluate`: from the translations of a run to figures, tables and a page."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bamkit.common.contract import CONTENT, short
from bamkit.common.errors import BamkitError
from bamkit.common.progress import Progress
from bamkit.common.provenance import sha256_file, versions
from bamkit.common.workspace import Workspace, atomic_path, write_text
from bamkit.gan.evaluate import failures
from bamkit.gan.evaluate import figures as findings
from bamkit.gan.evaluate.features import Colours, Extractor, Inception, inception_weights
from bamkit.gan.evaluate.figures import REAL, SMALL, Figure
from bamkit.gan.evaluate.inputs import Direction, Run, choose_run, open_run
from bamkit.gan.evaluate.lpips import Lpips, alexnet_weights
from bamkit.gan.evaluate.measures import IDENTITY, METHODS, TRANSFER, TRANSLATION, Measured, Probe, Seen, measure, see
from bamkit.gan.train.device.devices import pick_device

if TYPE_CHECKING:
    import torch

    from bamkit.gan.judge.model import Judge

NAMES = {
    REAL: "real pictures",
    IDENTITY: "no translation",
    TRANSFER: "colour transfer",
    TRANSLATION: "the model",
}
"""The columns of a summary, under the names people read."""
COLUMNS = {
    "reached": "emotion reached",
    "probability change": "change of probability",
    "ssim": "SSIM",
    "edges": "edges kept",
    "lpips": "LPIPS",
    "kid": "KID",
    "fid": "FID",
    "diversity": "diversity",
}
"""The rows of a summary: metric and the name people read."""
FEATURES = ("auto", "inception", "judge", "colours")
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "torch-fidelity", "lpips")


@dataclass(frozen=True)
class EvaluateOptions:
    """Settings of an evaluation. The defaults are what a paper would report."""

    split: str = "test"
    """The split whose translations are evaluated. Choose checkpoints on `validation`, report `test`."""
    judge: Path | None = None
    """A judge's folder; None takes the workspace's own, if it has one."""
    features: str = "auto"
    """`inception`, `judge`, `colours`, or `auto`: the first of them that is at hand."""
    inception: Path | None = None
    """Inception's weights for torch-fidelity; None looks into torch's cache. Nothing is downloaded."""
    alexnet: Path | None = None
    """torchvision's AlexNet weights for LPIPS; None looks into torch's cache. Nothing is downloaded."""
    device: str = "auto"
    """Where networks run: `auto`, `cpu` or `cuda`."""
    seed: int = 0
    """Seed of KID's subsets and of the uncurated grid."""
    pictures: int = 12
    """Pairs in the uncurated grid; a third of it for each list of cases."""

    def __post_init__(self) -> None:
        if self.features not in FEATURES:
            raise BamkitError(f"features must be one of {', '.join(FEATURES)}, not {self.features!r}")
        if self.split not in ("train", "test", "validation"):
            raise BamkitError(f"split must be train, test or validation, not {self.split!r}")
        if self.pictures < 1:
            raise BamkitError(f"at least 1 picture, not {self.pictures}")


@dataclass
class Outcome:
    """One direction, evaluated: all that the page shows."""

    measured: Measured
    figures: list[Figure]
    failures: failures.Failures
    progress: np.ndarray
    """One number a picture: how well it went."""
    progress_name: str
    probabilities: dict[str, np.ndarray] = field(default_factory=dict)
    """The target's probability by method, with a judge that knows the target."""

    @property
    def direction(self) -> Direction:
        return self.measured.direction


@dataclass
class Evaluation:
    """A run, evaluated."""

    run: Run
    options: EvaluateOptions
    probe: Probe
    seen: dict[tuple[str, str], Seen]
    """What was seen of the real pictures: by domain and split."""
    outcomes: list[Outcome]
    warnings: list[str]
    missing: list[str]
    """What could not be measured, and what would make it possible."""

    @property
    def figures(self) -> list[Figure]:
        return [figure for outcome in self.outcomes for figure in outcome.figures]

    def find(self, metric: str, direction: str, method: str = TRANSLATION) -> Figure | None:
        """The figure of that metric, pooled over attributes; None if it was not measured."""
        named = [f for f in self.figures if (f.metric, f.direction, f.method) == (metric, direction, method)]
        pooled = [f for f in named if not f.attribute.startswith("content_")]
        return pooled[0] if pooled else None

    def summary(self, direction: str) -> list[dict[str, str]]:
        """One row a metric, one column a method, as text with intervals; what was not measured is left out."""
        rows = []
        for metric, label in COLUMNS.items():
            found = {told: self.find(metric, direction, method) for method, told in NAMES.items()}
            if any(found.values()):
                rows.append({"": label, **{told: str(figure or "") for told, figure in found.items()}})
        return rows

    def about(self) -> dict[str, Any]:
        """The content of metrics.json."""
        extractor, judge, lpips = self.probe.extractor, self.probe.judge, self.probe.lpips
        return {
            "kind": "evaluation",
            "run": self.run.name,
            "run_id": self.run.run_id,
            "split": self.run.split,
            "checkpoints": {o.direction.name: o.direction.checkpoint for o in self.outcomes},
            "n": {o.direction.name: len(o.direction) for o in self.outcomes},
            "left_out": {o.direction.name: o.direction.left_out for o in self.outcomes},
            "split_ids": {domain.name: domain.split_id for domain in self.run.domains},
            "translations_sha256": sha256_file(self.run.directions[0].after.paths[0]),
            "features": {
                "name": extractor.name,
                "description": extractor.description,
                "sha256": extractor.sha256,
                "dimensions": extractor.dimensions,
                "scaled_to_unit": not published(extractor),
            },
            "judge": judge.summary() if judge else None,
            "lpips": {"network": "alex", "version": "0.1", "sha256": lpips.sha256} if lpips else None,
            "seed": self.options.seed,
            "warnings": self.warnings,
            "missing": self.missing,
            "figures": [figure.as_dict() for figure in self.figures],
            "versions": versions(PACKAGES),
        }


def published(extractor: Extractor) -> bool:
    """Whether figures in papers are made with these features as they are."""
    return isinstance(extractor, Inception)


def evaluate(workspace: Workspace, name: str | None = None, options: EvaluateOptions | None = None) -> Evaluation:
    """Evaluate a run's translations; writes nothing (see `write`).

    Raises BamkitError where translations, sources or real pictures are missing, with the command that makes them, and
    where the judge has been trained on what it is to judge.
    """
    options = options or EvaluateOptions()
    run = open_run(workspace, choose_run(workspace, name), options.split)
    probe, missing = make_probe(workspace, options)
    if probe.judge is not None:
        for domain in run.domains:
            probe.judge.refuse_known(domain.identity, domain.name)
    parts = [(domain, split) for domain in run.domains for split in ("train", options.split)]
    total = sum(len(domain.shards(split)) for domain, split in parts) + sum(map(len, run.directions))
    with Progress(f"evaluate {run.name}", total, "pictures") as progress:
        seen = {(d.name, split): see(d.shards(split), probe, progress, run.size) for d, split in parts}
        outcomes = [_outcome(direction, seen, probe, options, progress) for direction in run.directions]
    found = Evaluation(run, options, probe, seen, outcomes, [], missing)
    found.warnings = _warnings(found)
    return found


def make_probe(workspace: Workspace, options: EvaluateOptions) -> tuple[Probe, list[str]]:
    """The judge, feature extractor and LPIPS that are at hand, and a sentence for each that is not."""
    from bamkit.gan.judge.model import JUDGE, load_judge

    missing = []
    device = pick_device(options.device)
    folder = options.judge or workspace.root / JUDGE
    judge: Judge | None = None
    if options.judge is not None or folder.is_dir():
        judge = load_judge(folder, device)
    else:
        missing.append("Emotion reached and content surviving need a judge: bamkit judge train.")
    extractor = _extractor(options, judge, device)
    if not isinstance(extractor, Inception):
        missing.append(
            f"KID, FID and distances rest on {extractor.name} features, so they cannot be compared with figures from "
            "papers. For those give Inception's weights: --inception PATH."
        )
    alexnet = options.alexnet or (alexnet_weights() if importlib.util.find_spec("lpips") else None)
    lpips = Lpips(alexnet, device) if alexnet else None
    if lpips is None:
        missing.append("LPIPS is left out: it needs the package lpips and AlexNet's weights, --alexnet PATH.")
    return Probe(extractor, judge, lpips), missing


def _extractor(options: EvaluateOptions, judge: Judge | None, device: torch.device) -> Extractor:
    cached = inception_weights() if importlib.util.find_spec("torch_fidelity") else None
    inception = options.inception or cached
    if options.features == "inception" and inception is None:
        raise BamkitError("Inception's weights are not at hand", "give --inception PATH")
    if inception is not None and options.features in ("auto", "inception"):
        return Inception(inception, device)
    if options.features == "judge" and judge is None:
        raise BamkitError("there is no judge in this workspace", "bamkit judge train")
    return judge if judge is not None and options.features in ("auto", "judge") else Colours()


def _outcome(
    direction: Direction, seen: dict[tuple[str, str], Seen], probe: Probe, options: EvaluateOptions, progress: Progress
) -> Outcome:
    source_train, target_train = (seen[d.name, "train"] for d in (direction.source, direction.target))
    target_test = seen[direction.target.name, options.split]
    colours = target_train.colours if target_train.colours.n else target_test.colours
    if not colours.n:
        raise BamkitError(f"split {direction.target.name} holds no pictures to compare with", "bamkit fetch")
    measured = measure(direction, colours, probe, progress)
    space = findings.space_of(measured, source_train, target_train, target_test, published(probe.extractor))
    figures, probabilities = [], {}
    if probe.judge is not None:
        attributes = probe.judge.attributes
        shows = {f"content_{name}": direction.shows(f"content_{name}") for name in CONTENT}
        figures += findings.emotion_reached(measured, target_test, attributes, shows)
        figures += findings.content_survives(measured, attributes, [a for a in attributes if probe.judge.tells(a)])
        if direction.target.attribute in attributes:
            column = attributes.index(direction.target.attribute)
            probabilities = {m: measured.seen[m].probabilities[:, column] for m in METHODS}
    change = probabilities[TRANSLATION] - probabilities[IDENTITY] if probabilities else None
    figures += findings.content_kept(measured)
    figures += findings.realism(space, direction.name, options.seed)
    figures += findings.diversity(space, direction.name)
    found = failures.find(measured, space, change)
    values, what = failures.progress_made(measured, space, change)
    return Outcome(measured, figures + found.figures, found, values, what, probabilities)


def _warnings(found: Evaluation) -> list[str]:
    """What a reader has to know before believing a figure; what holds of several directions is said once."""
    said: dict[str, list[str]] = {}
    for outcome in found.outcomes:
        for text in _warnings_of(found, outcome):
            said.setdefault(text, []).append(outcome.direction.name)
    texts = [f"{' and '.join(names)}: {text}" for text, names in said.items()]
    if found.probe.judge is not None:
        blind = [a for a in found.probe.judge.attributes if a.startswith("content_") and not found.probe.judge.tells(a)]
        if blind:
            names = ", ".join(short(attribute) for attribute in blind)
            texts.append(f"Whether content survived is not reported for what the judge hardly tells: {names}.")
    if found.run.split != "test":
        texts.append(f"These figures are from the {found.run.split} split: report those of test.")
    return texts


def _warnings_of(found: Evaluation, outcome: Outcome) -> list[str]:
    direction, texts = outcome.direction, []
    real = len(found.seen[direction.target.name, found.options.split].store)
    if min(len(direction), real) < SMALL:
        texts.append(
            f"{len(direction)} translations against {real} real pictures is few; read the intervals, not the figures."
        )
    fid = found.find("fid", direction.name)
    if fid is not None and fid.note:
        texts.append(f"FID is {fid.note}; KID is the figure to read.")
    if direction.left_out:
        texts.append(
            f"{direction.left_out} translations were left out, as their sources are not among the {found.run.split} "
            "pictures here."
        )
    if direction.checkpoint and "best" not in direction.checkpoint:
        texts.append(f"checkpoint {direction.checkpoint} was not chosen on the validation split.")
    target, judge = direction.target.attribute, found.probe.judge
    if judge is not None and target not in judge.attributes:
        texts.append(f"the judge does not know {target or direction.target.name}: emotion is not judged.")
    elif judge is not None and not judge.tells(target):
        texts.append(f"the judge hardly tells {target}: do not believe what it says of the emotion.")
    shown = found.find("reached", direction.name, REAL)
    if shown is not None and shown.value < 0.5:
        texts.append(
            f"the judge finds the target in {shown.value:.0%} of its real pictures; compare with that, not with 100 %."
        )
    return texts + outcome.failures.warnings


def evaluate_and_write(
    workspace: Workspace, name: str | None = None, options: EvaluateOptions | None = None
) -> tuple[Evaluation, Path, list[str]]:
    """`evaluate`, then `write` to reports/evaluate-RUN: the evaluation, the folder, and what could not be drawn."""
    found = evaluate(workspace, name, options)
    folder = workspace.reports / f"evaluate-{found.run.name}"
    return found, folder, write(found, folder)


def write(found: Evaluation, folder: Path) -> list[str]:
    """Write metrics.json, metrics.csv, pictures.csv and, where jinja2 and matplotlib are installed, index.html.

    What an earlier evaluation of the run wrote there is replaced. Returns a sentence if the page was left out.
    """
    write_text(folder / "metrics.json", json.dumps(found.about(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    columns = ["direction", "metric", "method", "attribute", "value", "low", "high", "n", "interval", "note"]
    write_csv(folder / "metrics.csv", columns, [figure.as_dict() for figure in found.figures])
    heads = (key for outcome in found.outcomes for row in islice(picture_rows(outcome), 1) for key in row)
    rows = (row for outcome in found.outcomes for row in picture_rows(outcome))
    write_csv(folder / "pictures.csv", list(dict.fromkeys(heads)), rows)
    if not all(importlib.util.find_spec(package) for package in ("jinja2", "matplotlib")):
        return ["the page is left out: it needs jinja2 and matplotlib"]
    from bamkit.gan.evaluate.page import write_page

    write_page(found, folder / "index.html")
    return []


def picture_rows(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """One row a picture: what was measured of it."""
    for index in range(len(outcome.measured)):
        judged = {f"{method} probability": float(p[index]) for method, p in outcome.probabilities.items()}
        yield {"direction": outcome.direction.name, **outcome.measured.record(index), **judged}


def write_csv(path: Path, columns: list[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as CSV, atomically, as they come; nan and None become empty cells."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            known = {k: v for k, v in row.items() if v is not None and not (isinstance(v, float) and np.isnan(v))}
            writer.writerow(known)
