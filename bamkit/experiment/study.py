"""The published experiment, resumable at every step."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bamkit.common.errors import BamkitError
from bamkit.common.settings import settings_of
from bamkit.common.shards import read_about, read_table
from bamkit.common.workspace import Workspace, write_text
from bamkit.experiment import recipe
from bamkit.experiment.settings import StudyConfig

SETTINGS = "study.json"


def study(workspace: Workspace, config: StudyConfig, say: Callable[[str], None]) -> Path:
    """Do what is not done yet of the experiment, and write its page: reports/study-A-B/index.html (returned).

    Each step is a bamkit command that can be typed by hand; each says before it starts what it will cost. Raises
    BamkitError when a step fails; the same call then goes on from there.
    """
    from bamkit.experiment.page import write_page  # numpy and more, once the steps are done

    workspace.database()
    begin(workspace, config)
    steps = recipe.steps_of(workspace, config)
    say(f"the study {config.run}, {len(steps)} steps; pictures of each domain: {_numbers(config.counts)}")
    recipe.run(steps, workspace.root, f"bamkit study{options(config)}")
    path = workspace.reports / config.report / "index.html"
    write_page(workspace, config, path)
    return path


def begin(workspace: Workspace, config: StudyConfig) -> None:
    """Note the settings, so that what a rehearsal left is never taken for the published numbers.

    A leaderboard may be gone on with for other methods or seeds. Raises BamkitError where a study of the same name was
    begun with other settings, where one of its selections is there with other numbers, or where the judge's pictures
    were not kept apart from a matched domain.
    """
    mark = workspace.reports / config.report / SETTINGS
    grown = ("methods", "seeds", "matched")
    settings = {name: value for name, value in vars(config).items() if name != "device"}
    if not config.methods:
        settings = {name: value for name, value in settings.items() if name not in grown}
    if mark.exists():
        try:
            before = StudyConfig(**json.loads(mark.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise BamkitError(f"{mark} is damaged: {error}", "remove it, if the study here is yours") from error
        if replace(before, device=config.device, methods=config.methods, seeds=config.seeds) != config:
            raise BamkitError(
                f"the study {config.run} was begun here with other settings: bamkit study{options(before)}",
                "go on with those, or begin another in a folder of its own: bamkit -w FOLDER study",
            )
    for name in dict.fromkeys(name for pair in config.pairs for name in pair):
        path = workspace.selection(name)
        splits = read_table(path, ["split"])["split"].to_pylist() if path.exists() else []
        have = {"top": splits.count("train"), "test": splits.count("test"), "validation": splits.count("validation")}
        if splits and have != config.counts:
            raise BamkitError(
                f"there is a selection {name} already, of other numbers ({_numbers(have)}) than the study's "
                f"({_numbers(config.counts)})",
                f"move {path} away, or study in a folder of its own: bamkit -w FOLDER study",
            )
        if splits and config.apart and (read_about(path).get("query") or {}).get("group_by") != "project":
            raise BamkitError(
                f"{path} has images of one project in several splits: a leaderboard keeps them apart",
                "study in a folder of its own: bamkit -w FOLDER study",
            )
        _refuse_judge(workspace, config, name)
    write_text(mark, json.dumps(settings, indent=1) + "\n")


def _refuse_judge(workspace: Workspace, config: StudyConfig, name: str) -> None:
    """Raises BamkitError if the pictures for the judge were selected with no regard to the domain `name`."""
    paths = [workspace.selection(f"judge-{domain}") for domain in config.domains]
    for path in filter(Path.exists, paths if config.judge_count else ()):
        if name not in (read_about(path).get("query") or {}).get("disjoint_from", ()):
            raise BamkitError(
                f"{path} was selected with no regard to {name}: the judge would judge what it has learned from",
                "study in a folder of its own: bamkit -w FOLDER study",
            )


def _numbers(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {'train' if name == 'top' else name}" for name, count in counts.items())


def options(config: StudyConfig) -> str:
    """The options that differ from the defaults, to be typed again."""
    words = ""
    for setting in settings_of(StudyConfig):
        value = getattr(config, setting.name)
        if value != setting.default:
            words += " --no-judge" if setting.name == "judge" else f" {setting.declaration} {value}"
    return words
