"""`bamkit.Workspace`: a workspace with the commands' verbs as methods."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from bamkit.api.curation import Curation
from bamkit.api.hints import in_python
from bamkit.api.options import as_options, options_of, verb
from bamkit.api.run import Run
from bamkit.common.settings import build
from bamkit.common.terminal.progress import say
from bamkit.gan.evaluate.settings import EvaluateOptions
from bamkit.gan.judge.settings import JudgeConfig
from bamkit.gan.train.settings import TrainConfig
from bamkit.gan.translate.settings import TranslateConfig
from bamkit.gan.user_study.settings import StudyOptions

if TYPE_CHECKING:
    from bamkit.api import keywords
    from bamkit.gan.evaluate.comparison.runs import Comparison
    from bamkit.gan.evaluate.result import Evaluation
    from bamkit.gan.judge.model import Judge
    from bamkit.gan.translate.results import Result as Translations
    from bamkit.gan.user_study.answers import Result
    from bamkit.gan.user_study.page import Study

Paths = str | Path | Sequence[str | Path]


class Workspace(Curation):
    """A folder of plain files, and what one does in it: the verbs and options of the command line.

    Every method takes the command's options as keywords: `--top 1000` is `top=1000`, `--no-mature` is
    `no_mature=True`, a repeatable option takes one value or a list, `--with` and `--from` are `with_` and `from_`.
    What is not given comes from the environment, the workspace's bamkit.toml, or the default. Nothing of yours is
    replaced without `force=True`. With `stale=True` it goes on with artefacts whose origin has changed since they
    were made. Mistakes that you can mend are `BamkitError`s. Nothing is created before something is written.

    Where things lie: `root`, `selection(name)`, `split(name)`, `run(name)`, `missing(name)` and the folders
    `selections`, `splits`, `originals`, `runs`, `translations`, `reports` are paths; `selection_names()`,
    `split_names()` and `run_names()` say what there is; `database()` is the BAM file's path or URL.

    >>> ws = bamkit.Workspace(folder)
    >>> ws.selection_names()
    ['happy', 'scary']
    >>> ws.selection("happy").name
    'happy.parquet'
    """

    @verb("train", TrainConfig)
    def train(
        self,
        from_: str | None = None,
        to: str | None = None,
        *,
        name: str | None = None,
        device: str | None = None,
        preset: Literal["study", "quick", "small"] | None = None,
        config: Path | str | None = None,
        resume: bool = False,
        allow_shared: bool = False,
        force: bool = False,
        **options: Unpack[keywords.TrainConfigKeywords],
    ) -> Run:
        """Train a translation between two domains (the two fetched splits by default), as `bamkit train` does.

        Interrupted, it writes a checkpoint and raises KeyboardInterrupt; `resume=True` goes on from there.

        >>> tiny = dict(steps=2, width=4, blocks=1, samples=1, validations=1, tensorboard=False)
        >>> ws.train("happy", "scary", name="second", **tiny).name
        'second'
        """
        from bamkit.gan.train.launch import launch

        given = {
            **as_options(options), "first": from_, "second": to, "name": name, "device": device, "preset": preset,
            "file": Path(config) if config else None, "resume": resume or None, "allow_shared": allow_shared or None,
            "force": force or None,
        }  # fmt: skip
        chosen = options_of("train", self, given)
        own = ("first", "second", "name", "device", "preset", "file", "resume", "allow_shared", "force")
        rest = {key: value for key, value in chosen.values.items() if key not in own}
        result = launch(
            self, chosen["first"], chosen["second"], **{key: chosen[key] for key in own[2:]}, given=rest,
            say=lambda line: say(in_python(line, "train")),
        )  # fmt: skip
        assert result is not None, "only torchrun has processes that write nothing"
        if result.stopped == signal.SIGINT:
            said = f"stopped after step {result.step:,} of {result.total:,}; a checkpoint is written"
            raise KeyboardInterrupt(f"{said}: ws.train(name={result.run.name!r}, resume=True) goes on")
        if result.stopped:
            raise SystemExit(128 + result.stopped)
        return Run(result.run)

    @verb("translate", TranslateConfig)
    def translate(
        self,
        run: str | None = None,
        *,
        input: Paths = (),
        direction: str | None = None,
        split: str | None = None,
        limit: int | None = None,
        output: Path | str | None = None,
        size: int | str | None = None,
        force: bool = False,
        **options: Unpack[keywords.TranslateConfigKeywords],
    ) -> Translations:
        """Translate the test pictures (or `split`, or `input`) with a run (the newest by default) to translations/RUN.

        As `bamkit translate` does. The result has `table` (the path of translations.parquet), `show(direction)` (the
        sheet of befores and afters), `directions`, `rows()`. For single pictures in memory there is `Run.translate`.

        >>> ws.translate("happy-scary").pictures
        8
        """
        from bamkit.gan.translate.run import translate_run

        inputs = _paths(input)
        given = {
            **as_options(options), "direction": direction, "split": split, "limit": limit,
            "size": None if size is None else str(size), "output": Path(output) if output else None,
            "force": force or None,
        }  # fmt: skip
        chosen = options_of("translate", self, given)
        return translate_run(
            self, run, inputs=inputs, direction=chosen["direction"], split=split if inputs else chosen["split"],
            limit=chosen["limit"], output=chosen["output"], config=build(TranslateConfig, chosen.values),
            force=chosen["force"],
        )  # fmt: skip

    @verb("judge train", JudgeConfig)
    def train_judge(
        self, *splits: str, output: Path | str | None = None, force: bool = False,
        **options: Unpack[keywords.JudgeConfigKeywords],
    ) -> Judge:  # fmt: skip
        """Train a judge on the splits called judge and judge-..., or on those named, as `bamkit judge train` does.

        The result has `card`, a dict: what it was trained on, and how good it is on held-out pictures.

        >>> judge = ws.train_judge("happy", "scary", size=32, epochs=1, output=folder / "example")
        >>> sorted(judge.card["images"])
        ['calibrate', 'fit', 'held out']
        """
        from bamkit.gan.judge.train import train_judge

        given = {**as_options(options), "output": Path(output) if output else None, "force": force or None}
        chosen = options_of("judge train", self, given)
        return train_judge(self, splits, build(JudgeConfig, chosen.values), chosen["output"], chosen["force"])

    @verb("evaluate", EvaluateOptions)
    def evaluate(self, run: str | None = None, **options: Unpack[keywords.EvaluateOptionsKeywords]) -> Evaluation:
        """Evaluate a run's translations and write reports/evaluate-RUN, as `bamkit evaluate` does.

        The result has `figures` (a DataFrame: one row a direction, metric and method, with value, low, high, n and the
        kind of interval), `summary(direction)`, `pictures` (a DataFrame, one row a picture), `warnings`, `missing`.

        >>> figures = ws.evaluate("happy-scary").figures
        >>> sorted(set(figures["direction"]))
        ['happy-to-scary', 'scary-to-happy']
        """
        from bamkit.gan.evaluate.run import evaluate_and_write

        chosen = options_of("evaluate", self, as_options(options))
        return evaluate_and_write(self, run, build(EvaluateOptions, chosen.values))[0]

    @verb("compare")
    def compare(self, *runs: str) -> Comparison:
        """Evaluated runs side by side (all by default), as `bamkit compare` does. Writes reports/compare.

        The result has `side_by_side(direction)`, `spread(direction)` over seeds and `paired(direction)`: DataFrames.

        >>> ws.compare("happy-scary")
        Traceback (most recent call last):
        bamkit.common.errors.BamkitError: ...
        """
        from bamkit.gan.evaluate.comparison.page import compare_and_write

        return compare_and_write(self, runs)[0]

    @verb("evaluate", StudyOptions)
    def user_study(
        self, run: str | None = None, *, force: bool = False, **options: Unpack[keywords.StudyOptionsKeywords]
    ) -> Study:
        """Write a page for a blind test with people, as `bamkit evaluate --user-study` does.

        The result has `page`, which goes to the raters, `key`, which does not, and `trials`. `answers` analyses what
        the page saves.

        >>> ws.user_study("happy-scary", trials=2, force=True).trials
        4
        """
        from bamkit.gan.user_study.page import make_study

        chosen = options_of("evaluate", self, {**as_options(options), "force": force or None})
        return make_study(self, run, build(StudyOptions, chosen.values), chosen["force"])

    @verb("evaluate")
    def answers(self, run: str | None = None, *, answers: Paths) -> list[Result]:
        """What people chose in the study of a run, as `bamkit evaluate --answers` says: one result a direction.

        `answers` are CSV files that the study's page saved, or folders of them. Each result has `by_picture`,
        `by_rater`, `majority`, `kappa`, `alpha` and `per_rater`, a DataFrame.

        >>> ws.answers("happy-scary", answers=folder / "nothing")
        Traceback (most recent call last):
        bamkit.common.errors.BamkitError: ...
        """
        from bamkit.gan.evaluate.inputs.translations import choose_run
        from bamkit.gan.user_study.answers import analyse_answers

        return analyse_answers(self, choose_run(self, run, asked="--answers FOLDER"), _paths(answers))[0]

    @verb("export")
    def import_run(
        self, *weights: str | Path, name: str, domains: tuple[str, str] = ("A", "B"), force: bool = False
    ) -> Run:
        """Make a run of the public implementation's weights, as `bamkit export --to run` does.

        `weights` are latest_net_G_A.pth and latest_net_G_B.pth, or the folder that holds them.

        >>> made = bamkit.Run(ws.run("happy-scary")).export("cyclegan", folder / "out")
        >>> ws.import_run(folder / "out", name="theirs", domains=("happy", "scary")).directions
        ('happy-to-scary', 'scary-to-happy')
        """
        from bamkit.gan.exchange.export import import_public

        return Run(import_public([Path(path) for path in weights], self.run(name), domains, force))


def _paths(given: Paths) -> list[Path]:
    return [Path(one) for one in ([given] if isinstance(given, str | Path) else given)]
