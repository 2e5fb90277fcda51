"""`bamkit evaluate --user-study`: the pairs, the page for the raters, and the key that only the researcher has."""

from __future__ import annotations

import csv
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from bamkit.common.contract import short
from bamkit.common.errors import BamkitError
from bamkit.common.pages.page import data_uri
from bamkit.common.provenance import digest
from bamkit.common.workspace import Workspace, write_text
from bamkit.gan.evaluate.inputs.translations import Direction, Run, choose_run, open_run, translated
from bamkit.gan.evaluate.measures import BATCH, IDENTITY, TRANSFER, TRANSLATION, fitted, pictures_of
from bamkit.gan.evaluate.metrics.colour import ColourStatistics
from bamkit.gan.evaluate.result import folder_of, write_csv
from bamkit.gan.user_study.settings import SOURCE, StudyOptions

FOLDER, PAGE = "user-study", "index.html"
"""What is sent to the raters."""
KEY_FOLDER, KEY = "user-study-key", "key.csv"
"""What stays with the researcher. Earlier versions wrote the key into FOLDER, where it is still read."""
COLUMNS = ("study", "trial", "direction", "question", "mid", "picture", "method")
QUESTIONS = {
    "happy": "Which of the two is happier?",
    "scary": "Which of the two is scarier?",
    "gloomy": "Which of the two is gloomier?",
    "peaceful": "Which of the two is more peaceful?",
}


@dataclass(frozen=True)
class Study:
    """A written study."""

    run: str
    study_id: str
    page: Path
    key: Path
    trials: int


def make_study(
    workspace: Workspace, name: str | None = None, options: StudyOptions | None = None, force: bool = False
) -> Study:
    """Write user-study/index.html (for the raters) and user-study-key/key.csv (not for them) to reports/evaluate-RUN/.

    Every pair is shown under opaque names, re-encoded alike, so that neither the page nor the files tell which picture
    is which. Raises BamkitError where there is nothing to compare, or where another study lies there and `force` is not
    given (its answers could no longer be read).
    """
    options = options or StudyOptions()
    against = "" if options.against == SOURCE else f" --against {shlex.quote(options.against)}"
    run = open_run(workspace, choose_run(workspace, name, options.split, "--user-study" + against), options.split)
    other = _other_run(workspace, run, options)
    key: list[tuple[Any, ...]] = []
    shown: dict[str, str] = {}
    trials: list[dict[str, Any]] = []
    for direction in run.directions:
        question = question_of(direction)
        for mid, pictures in _pairs(direction, other, options):
            trial = digest([options.seed, run.run_id, direction.name, mid])[:8]
            # Opaque and the same length for all: neither the page nor a saved answer tells which picture is which.
            names = {m: digest([options.seed, run.run_id, direction.name, mid, m, "picture"])[:10] for m in pictures}
            shown |= {names[method]: data_uri(Image.fromarray(picture)) for method, picture in pictures.items()}
            key += [(trial, direction.name, question, mid, names[method], method) for method in pictures]
            trials.append({"trial": trial, "question": question, "pictures": sorted(names.values())})
    if not trials:
        raise BamkitError(f"{run.name} and {options.against} have no test picture in common", "bamkit translate")
    study_id = digest([key, options.repeats])[:12]
    folder = folder_of(workspace, run.name)
    earlier = key_path(folder)
    _refuse_other(earlier, study_id, force)
    path = folder / KEY_FOLDER / KEY
    write_csv(path, pd.DataFrame([(study_id, *row) for row in key], columns=list(COLUMNS)))
    if earlier != path:
        earlier.unlink(missing_ok=True)
    data = {
        "study": study_id,
        "repeats": min(options.repeats, len(trials)),
        "trials": trials,
        "pictures": dict(sorted(shown.items())),
    }
    write_text(folder / FOLDER / PAGE, page_of(data))
    return Study(run.name, study_id, folder / FOLDER / PAGE, path, len(trials))


def key_path(folder: Path) -> Path:
    """Where the key of the study in reports/evaluate-RUN lies, or will."""
    old = folder / FOLDER / KEY
    return old if old.is_file() else folder / KEY_FOLDER / KEY


def page_of(data: dict[str, Any]) -> str:
    """The page with its data inside; nothing in the data can end the script element it lies in."""
    template = Path(__file__).with_name("study.html").read_text(encoding="utf-8")
    return template.replace("@DATA@", json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"))


def question_of(direction: Direction) -> str:
    """The question asked of a direction: about the target's mood, or how much of it there is."""
    target = direction.target.attribute or direction.target.name
    name = short(target) if target.startswith(("emotion_", "content_", "media_")) else target
    return QUESTIONS.get(name, f"Which of the two looks more like {name.replace('_', ' ')}?")


def _other_run(workspace: Workspace, run: Run, options: StudyOptions) -> Run | None:
    if options.against in (SOURCE, TRANSFER):
        return None
    if options.against not in translated(workspace):
        known = ", ".join([SOURCE, TRANSFER, *(n for n in translated(workspace) if n != run.name)])
        raise BamkitError(f"there is nothing called {options.against!r} to compare {run.name} with", f"one of: {known}")
    if options.against == run.name:
        raise BamkitError(f"{run.name} cannot be compared with itself", "--against source")
    return open_run(workspace, options.against, options.split)


def _pairs(direction: Direction, other: Run | None, options: StudyOptions) -> list[tuple[int, dict[str, np.ndarray]]]:
    """(mid, {method: picture}) of the drawn pairs: the translation and what it stands against, of one size."""
    mids = direction.mids().tolist()
    indices = list(range(len(direction)))
    rival: Direction | None = None
    if other is not None:
        rival = next((d for d in other.directions if d.name == direction.name), None)
        if rival is None:
            return []
        theirs = {mid: index for index, mid in enumerate(rival.mids().tolist())}
        indices = [index for index in indices if mids[index] in theirs]
    count = min(options.trials, len(indices))
    drawn = sorted(np.random.default_rng(options.seed).choice(len(indices), count, replace=False)) if count else []
    colours = _colours(direction) if options.against == TRANSFER else None
    pairs = []
    for index in (indices[int(i)] for i in drawn):
        pictures = pictures_of(direction, index, colours)
        if rival is not None:
            second = pictures_of(rival, theirs[mids[index]])[TRANSLATION]
            size = (pictures[TRANSLATION].shape[1], pictures[TRANSLATION].shape[0])
            pair = {direction.run: pictures[TRANSLATION], rival.run: fitted(second, size)}
        else:
            beside = IDENTITY if options.against == SOURCE else TRANSFER
            pair = {TRANSLATION: pictures[TRANSLATION], options.against: pictures[beside]}
        pairs.append((mids[index], pair))
    return pairs


def _colours(direction: Direction) -> ColourStatistics:
    """The colour statistics of the target's training pictures (its test pictures, where there are none)."""
    colours = ColourStatistics.empty()
    for split in ("train", "test"):
        for _, pictures in direction.target.shards(split, ["mid"]).batches(BATCH):
            for picture in pictures:
                colours.update(picture)
        if colours.n:
            break
    return colours


def _refuse_other(path: Path, study_id: str, force: bool) -> None:
    if path.is_file() and not force:
        try:
            with open(path, encoding="utf-8", newline="") as file:
                study = next(csv.DictReader(file), {}).get("study")
        except (UnicodeDecodeError, csv.Error):  # damaged: whose it was cannot be told
            study = None
        if study != study_id:
            raise BamkitError(
                f"the key of another study lies at {path.parent}: without its key its answers cannot be read",
                "give --force to replace it",
            )
