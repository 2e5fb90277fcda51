"""`bamkit evaluate`: from the translations of a run to figures, tables and a page."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

from bamkit.common.contract import CONTENT
from bamkit.common.errors import BamkitError
from bamkit.common.lineage import require_current, stale_judge
from bamkit.common.terminal.progress import Progress
from bamkit.common.workspace import Workspace
from bamkit.gan.evaluate import estimates
from bamkit.gan.evaluate.caveats import warnings_of
from bamkit.gan.evaluate.comparison.checkpoints import CHECKPOINTS, measure_checkpoints
from bamkit.gan.evaluate.features import Colours, Extractor, Inception, inception_weights
from bamkit.gan.evaluate.inputs.translations import Direction, choose_run, open_run
from bamkit.gan.evaluate.lpips import Lpips, alexnet_weights
from bamkit.gan.evaluate.measures import (
    FORM,
    IDENTITY,
    JUDGE,
    SECOND,
    TRANSLATION,
    ImageSet,
    Networks,
    extract,
    measure,
)
from bamkit.gan.evaluate.outputs.copies import TrainingCopies
from bamkit.gan.evaluate.outputs.doubts import doubts_of
from bamkit.gan.evaluate.outputs.failures import failure_modes, improvement
from bamkit.gan.evaluate.page import write_page
from bamkit.gan.evaluate.result import PAGE, DirectionResult, Evaluation, folder_of, published, write_csv, write_tables
from bamkit.gan.evaluate.settings import EvaluateOptions
from bamkit.gan.evaluate.verdicts import content_survives, emotion_reached, verdicts
from bamkit.gan.judge.identity import shared
from bamkit.gan.judge.model import CARD, Judge, load_judge
from bamkit.gan.judge.model import JUDGE as FOLDER
from bamkit.gan.train.device.devices import pick_device


def evaluate(workspace: Workspace, name: str | None = None, options: EvaluateOptions | None = None) -> Evaluation:
    """Evaluate a run's translations; writes nothing (see `evaluate_and_write`).

    Raises BamkitError where translations, sources or real pictures are missing, with the command that makes them, and
    where the judge has been trained on what it is to judge.
    """
    options = options or EvaluateOptions()
    asked = "" if options.split == "test" else f"--split {options.split}"
    run = open_run(workspace, choose_run(workspace, name, options.split, asked), options.split)
    networks, missing = load_networks(workspace, options)
    for judge in networks.judges.values():
        for domain in run.domains:
            judge.refuse_known(domain.identity, domain.name)
    parts = [(domain, split) for domain in run.domains for split in dict.fromkeys(("train", options.split))]
    total = sum(len(domain.shards(split)) for domain, split in parts) + sum(map(len, run.directions))
    with Progress(f"evaluate {run.name}", total, "pictures") as progress:
        real = {(d.name, split): extract(d.shards(split), networks, progress, run.size) for d, split in parts}
        training = TrainingCopies([real[domain.name, "train"].small for domain in run.domains])
        results = [
            evaluate_direction(direction, real, training, networks, options, progress) for direction in run.directions
        ]
    evaluation = Evaluation(run, options, networks, real, results, missing)
    evaluation.warnings = warnings_of(evaluation)
    return evaluation


def load_networks(workspace: Workspace, options: EvaluateOptions) -> tuple[Networks, list[str]]:
    """The judge, feature extractor and LPIPS that are at hand, and a sentence for each that is not."""
    missing = []
    device = pick_device(options.device)
    folder = options.judge or workspace.root / FOLDER
    judge: Judge | None = None
    if options.judge is not None or folder.is_dir():
        judge = load_judge(folder, device)
        require_current(workspace, stale_judge(workspace, judge.card))
    else:
        missing.append("Emotion reached and content surviving need a judge: bamkit judge train.")
    further = _further(judge, folder, options, device) if judge is not None else {}
    if judge is not None and FORM not in further:
        missing.append("Reached by form alone needs a judge of form, which a new one has: bamkit judge train --force.")
    extractor = _extractor(options, judge, device)
    if not published(extractor):
        missing.append(
            f"KID, FID and distances rest on {extractor.name} features, so they cannot be compared with figures from "
            "papers. For those give Inception's weights: --inception PATH."
        )
    alexnet = options.alexnet or (alexnet_weights() if importlib.util.find_spec("lpips") else None)
    lpips = Lpips(alexnet, device) if alexnet else None
    if lpips is None:
        missing.append("LPIPS is left out: it needs the package lpips and AlexNet's weights, --alexnet PATH.")
    return Networks(extractor, judge, lpips, further), missing


def _further(judge: Judge, folder: Path, options: EvaluateOptions, device: torch.device) -> dict[str, Judge]:
    """The judge of form beside `judge`, and a second one. Raises BamkitError where that shares projects with it."""
    further = {}
    if (folder / FORM / CARD).is_file():
        further[FORM] = load_judge(folder / FORM, device)
    if options.second is not None:
        further[SECOND] = load_judge(options.second, device)
        shares = sum(int(mask.sum()) for mask in shared(further[SECOND].known, judge.known).values())
        if shares:
            raise BamkitError(
                f"the second judge has learned from {shares} pictures or projects of the first: it would repeat it",
                "bamkit select ... --name second-happy --group-by project   # then: bamkit fetch second-happy\n"
                "bamkit judge train second-happy second-scary --output judge-second",
            )
    return further


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


def evaluate_direction(
    direction: Direction,
    real: dict[tuple[str, str], ImageSet],
    training: TrainingCopies,
    networks: Networks,
    options: EvaluateOptions,
    progress: Progress | None = None,
) -> DirectionResult:
    """Measure one direction against what is `real`, by domain and split; `training`: all training pictures' copies."""
    source_train, target_train = (real[domain.name, "train"] for domain in (direction.source, direction.target))
    target_test = real[direction.target.name, options.split]
    colours = target_train.colours if target_train.colours.n else target_test.colours
    if not colours.n:
        where = getattr(direction.target, "folder", f"split {direction.target.name}")
        raise BamkitError(f"{where} holds no pictures to compare with", "bamkit fetch   # or fill the folder")
    measured = measure(direction, colours, networks, progress)
    sets = (source_train, target_train, target_test)
    space = estimates.feature_space(measured, *sets, published(networks.extractor))
    plain = estimates.plain_space(measured, *sets)
    rows, judge, found = [], networks.judge, verdicts(measured, target_test, networks.judges)
    if judge is not None:
        labelled = {f"content_{name}": direction.labelled(f"content_{name}") for name in CONTENT}
        reliable = [name for name in judge.attributes if judge.is_reliable(name)]
        rows += emotion_reached(measured, found, judge.attributes, labelled)
        rows += content_survives(measured, judge.attributes, reliable)
    change = found[TRANSLATION].by[JUDGE] - found[IDENTITY].by[JUDGE] if found else None
    rows += estimates.content_kept(measured)
    rows += estimates.realism(space, direction.name, options.seed)
    rows += estimates.neighbourhoods(space, direction.name)
    rows += estimates.diversity(space, direction.name)
    failures = failure_modes(measured, space, plain, training, target_test.small, change)
    values, what = improvement(measured, space, change)
    rows += failures.rows
    doubts = doubts_of(estimates.table(rows), direction.name)
    return DirectionResult(measured, rows, failures, doubts, values, what, found)


def evaluate_and_write(
    workspace: Workspace, name: str | None = None, options: EvaluateOptions | None = None
) -> tuple[Evaluation, Path, list[str]]:
    """`evaluate`, then write reports/evaluate-RUN: the evaluation, the folder, and what could not be drawn.

    The folder gets metrics.json, metrics.csv, pictures.csv, where jinja2 and matplotlib are installed index.html, and
    where the options ask for it checkpoints.csv.
    """
    evaluation = evaluate(workspace, name, options)
    folder = folder_of(workspace, evaluation.run.name)
    drawn = all(importlib.util.find_spec(package) for package in ("jinja2", "matplotlib"))
    if drawn:
        write_page(evaluation, folder / PAGE)
    (folder / CHECKPOINTS).unlink(missing_ok=True)
    if evaluation.options.checkpoints:
        write_csv(folder / CHECKPOINTS, measure_checkpoints(workspace, evaluation))
    write_tables(evaluation, folder)
    return evaluation, folder, [] if drawn else ["the page is left out: it needs jinja2 and matplotlib"]
