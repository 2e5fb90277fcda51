"""What a reader has to know before believing a figure of an evaluation."""

from __future__ import annotations

from bamkit.common.contract import short
from bamkit.common.pictures.folders import count_of
from bamkit.common.terminal.console import percent
from bamkit.gan.evaluate.estimates import REAL
from bamkit.gan.evaluate.measures import FORM, IDENTITY, TRANSLATION
from bamkit.gan.evaluate.result import DirectionResult, Evaluation

SMALL = 50
"""Below this many pictures a figure gets a warning."""


def warnings_of(evaluation: Evaluation) -> list[str]:
    """One sentence or two each; what holds of several directions is said once."""
    doubted = [f"{result.direction.name}: {doubt.sentence}" for result in evaluation.results for doubt in result.doubts]
    directions: dict[str, list[str]] = {}
    for result in evaluation.results:
        for text in _direction_warnings(evaluation, result):
            directions.setdefault(text, []).append(result.direction.name)
    texts = doubted + [f"{' and '.join(names)}: {text}" for text, names in directions.items()]
    judge = evaluation.networks.judge
    if judge is not None:
        blind = [a for a in judge.attributes if a.startswith("content_") and not judge.is_reliable(a)]
        if blind:
            names = ", ".join(short(attribute) for attribute in blind)
            texts.append(f"Whether content survived is not reported for what the judge hardly tells: {names}.")
    if evaluation.run.split != "test":
        texts.append(f"These figures are from the {evaluation.run.split} split: report those of test.")
    return texts


def _direction_warnings(evaluation: Evaluation, result: DirectionResult) -> list[str]:
    direction, texts = result.direction, []
    real = len(evaluation.real[direction.target.name, evaluation.options.split].features)
    if min(len(direction), real) < SMALL:
        texts.append(
            f"{count_of(len(direction), 'translation')} against {count_of(real, 'real picture')} is few; read the "
            "intervals, not the figures."
        )
    for row in result.rows:
        if (row["metric"], row["method"]) == ("fid", TRANSLATION) and row["note"]:
            texts.append(f"FID is {row['note']}; KID is the figure to read.")
    if result.measured.projects is None:
        texts.append(
            "projects unknown: pictures are taken as independent; where some are alike, intervals are too narrow."
        )
    if direction.left_out:
        texts.append(
            f"{count_of(direction.left_out, 'translation')} left out, as the sources are not among the "
            f"{evaluation.run.split} pictures here."
        )
    if direction.checkpoint and "best" not in direction.checkpoint:
        texts.append(f"checkpoint {direction.checkpoint} was not chosen on the validation split.")
    target, judge = direction.target.attribute, evaluation.networks.judge
    if judge is not None and target not in judge.attributes:
        texts.append(f"the judge does not know {target or direction.target.name}: emotion is not judged.")
    elif judge is not None and not judge.is_reliable(str(target)):
        texts.append(f"the judge hardly tells {target}: do not believe what it says of the emotion.")
    form = evaluation.networks.further.get(FORM)
    if form is not None and target in form.attributes:
        if not form.is_reliable(target):
            texts.append(f"the judge of form hardly tells {target}: what is reached by form alone says little.")
        else:
            texts += _only_light(evaluation, direction.name)
    reached = evaluation.find("reached", direction.name, REAL)
    if reached is not None and reached.value < 0.5:
        texts.append(
            f"the judge finds the target in {reached.value:.0%} of its real pictures; compare with that, not with "
            "100 %."
        )
    return texts + result.failures.warnings


def _only_light(evaluation: Evaluation, direction: str) -> list[str]:
    """Whether the emotion was reached by colour and light, while form shows no more of it than before."""
    after, before = (evaluation.find("reached", direction, method) for method in (TRANSLATION, IDENTITY))
    form, source, real = (
        evaluation.find("reached by form", direction, method) for method in (TRANSLATION, IDENTITY, REAL)
    )
    if after is None or before is None or form is None or source is None or after.value - before.value < 0.2:
        return []
    # The judge of form misses some real pictures, too: what it could gain at most ends there.
    most = (1.0 if real is None else real.value) - source.value
    if most <= 0 or (form.value - source.value) / most >= (after.value - before.value) / 2:
        return []
    ceiling = "" if real is None else f", of real pictures {percent(real.value, 0)}"
    return [
        f"{percent(after.value, 0)} reach the target, by form alone {percent(form.value, 0)} (before "
        f"{percent(source.value, 0)}{ceiling}): most were re-lit or recoloured, not repainted."
    ]
