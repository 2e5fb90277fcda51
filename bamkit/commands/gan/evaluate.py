"""`bamkit evaluate`: did the mood change, did the picture survive, would a reviewer believe it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from bamkit.commands.options import (
    completed,
    example,
    force_option,
    json_option,
    pass_workspace,
    settings_options,
    stale_option,
)
from bamkit.common.settings import build
from bamkit.common.terminal.console import print_json, print_next, print_notes, print_table
from bamkit.common.workspace import Workspace
from bamkit.gan.evaluate.settings import EvaluateOptions
from bamkit.gan.user_study.settings import StudyOptions

FILE = click.Path(path_type=Path)


@click.command(
    epilog=example(
        "bamkit evaluate",
        "bamkit evaluate happy-scary --inception weights-inception-2015-12-05-6726825d.pth",
        "bamkit evaluate happy-scary-validation --split validation",
        "bamkit evaluate happy-scary --user-study",
        "bamkit evaluate happy-scary --user-study --against second-run",
        "bamkit evaluate happy-scary --answers answers/",
    )
)
@click.argument("run", required=False, shell_complete=completed("runs"))
@click.option("--user-study", is_flag=True, help="Write a page for a blind test with people instead.")
@click.option(
    "--answers", metavar="PATH", type=FILE, multiple=True, help="Analyse these answers (CSV files or folders of them)."
)
@settings_options(EvaluateOptions, StudyOptions)
@force_option
@json_option
@stale_option
@pass_workspace
def command(
    workspace: Workspace,
    run: str | None,
    user_study: bool,
    answers: tuple[Path, ...],
    force: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Evaluate a run's translations of the test split.

    Emotion reached (with a judge), content kept, realism and failure modes, each beside its floors: real pictures, no
    translation, and a plain colour transfer. Writes reports/evaluate-RUN/: index.html, metrics.json, metrics.csv,
    pictures.csv. Nothing is downloaded.

    --user-study writes a page on which people choose between two pictures, blind; --answers analyses what they saved.
    """
    if user_study and answers:
        raise click.UsageError("--user-study makes a study, --answers analyses one: give one of them")
    if user_study:
        _make_study(workspace, run, build(StudyOptions, given), force)
        return
    if answers:
        _analyse(workspace, run, answers, as_json)
        return
    from bamkit.gan.evaluate.estimates import cases
    from bamkit.gan.evaluate.run import evaluate_and_write

    evaluation, folder, notes = evaluate_and_write(workspace, run, build(EvaluateOptions, given))
    if as_json:
        print_json(evaluation.about())
        return
    for result in evaluation.results:
        click.echo(f"{result.direction.name}: n = {cases(evaluation.figures, result.direction.name)}")
        print_table(evaluation.summary(result.direction.name))
        click.echo()
    print_notes(evaluation.missing, evaluation.warnings, notes)
    click.echo(f"-> {folder / 'index.html' if (folder / 'index.html').is_file() else folder / 'metrics.json'}")


def _make_study(workspace: Workspace, run: str | None, options: StudyOptions, force: bool) -> None:
    from bamkit.gan.user_study.page import make_study

    study = make_study(workspace, run, options, force)
    click.echo(f"{study.trials} pairs in study {study.study_id}")
    click.echo(f"send this page to the raters:  {study.page}")
    click.echo(f"keep this to yourself:         {study.key}")
    print_next(f"bamkit evaluate {study.run} --answers FOLDER-OF-CSV-FILES")


def _analyse(workspace: Workspace, run: str | None, answers: tuple[Path, ...], as_json: bool) -> None:
    from bamkit.gan.evaluate.inputs.translations import choose_run
    from bamkit.gan.user_study.answers import analyse_answers, summary

    asked = shlex.join(word for path in answers for word in ("--answers", str(path)))
    results, written = analyse_answers(workspace, choose_run(workspace, run, asked=asked), answers)
    if as_json:
        print_json([result.as_dict() for result in results])
        return
    for result in results:
        click.echo(f"{result.direction}: {result.question}")
        print_table(summary(result))
        print_table(result.per_rater)
        click.echo()
    click.echo(f"-> {written}")
