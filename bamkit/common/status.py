"""What a workspace holds, what of it is stale against what, and what to type next: the library behind `bamkit status`.

Only names, provenance and row counts are read, no pictures: it takes a moment, whatever the workspace holds.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bamkit.common import lineage
from bamkit.common.contract import SPLITS
from bamkit.common.errors import DAMAGED, BamkitError
from bamkit.common.lineage import Stale
from bamkit.common.pages.notebook import as_html
from bamkit.common.shards import count_rows, read_about, read_table
from bamkit.common.workspace import Workspace, is_judges

DOMAINS = ("happy", "scary")
"""The study's, where the user has not chosen yet."""
Look = Callable[[Workspace, str], tuple[dict[str, int], list[Stale]]]
"""What an artefact of some kind holds, and what is stale about it."""


@dataclass(frozen=True)
class Artefact:
    """One thing that lies in a workspace."""

    kind: str
    """selection, split, run, judge, translations or evaluation."""
    name: str
    holds: dict[str, int] = field(default_factory=dict)
    """What is in it, by what: images by split, steps done and wanted, pictures."""
    stale: tuple[Stale, ...] = ()
    problem: str = ""
    """Why it cannot be read, else ""."""

    @property
    def contents(self) -> str:
        """`holds` in words."""
        if self.kind == "run":
            done, wanted = self.holds.get("steps done", 0), self.holds.get("steps", 0)
            return f"{done:,} of {wanted:,} steps" if wanted else f"{done:,} steps"
        return ", ".join(f"{count:,} {what}" for what, count in self.holds.items())

    def row(self) -> dict[str, Any]:
        """For a table."""
        state = self.problem or "; ".join(stale.message for stale in self.stale)
        return {"what": self.kind, "name": self.name, "holds": self.contents, "stale": state or None}


@dataclass(frozen=True)
class Status:
    """A workspace at a glance."""

    workspace: str
    database: str | None
    """The path or URL of the BAM file (without a password); None where there is none."""
    artefacts: tuple[Artefact, ...]
    """In the order of the work."""
    next: tuple[str, ...]
    """What to type next, a command an entry; a remark stands behind `   # `. Empty where nothing is left to do."""

    def rows(self) -> list[dict[str, Any]]:
        """One row an artefact."""
        return [artefact.row() for artefact in self.artefacts]

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "workspace": self.workspace,
            "database": self.database,
            "artefacts": [
                {
                    "kind": each.kind,
                    "name": each.name,
                    "holds": each.holds,
                    "stale": [asdict(stale) for stale in each.stale],
                    "problem": each.problem or None,
                }
                for each in self.artefacts
            ],
            "next": list(self.next),
        }

    def _repr_html_(self) -> str:
        return as_html(f"database: {self.database or 'none'}", self.rows(), "\n".join(self.next))


def status(workspace: Workspace) -> Status:
    """Look at everything in the workspace. Nothing raises: what cannot be read is said of the artefact."""
    translated = (path.parent.name for path in workspace.translations.glob(f"*/{lineage.TRANSLATIONS}"))
    evaluated = (path.parent.name for path in workspace.reports.glob("evaluate-*/metrics.json"))
    kinds: list[tuple[str, Look, Iterable[str]]] = [
        ("selection", _selection, workspace.selection_names()),
        ("split", _split, workspace.split_names()),
        ("judge", _judge, ["judge"] if _card(workspace).is_file() else []),
        ("run", _run, workspace.run_names()),
        ("translations", _translations, sorted(translated)),
        ("evaluation", _evaluation, sorted(name.removeprefix("evaluate-") for name in evaluated)),
    ]
    found = [_looked_at(workspace, kind, name, look) for kind, look, names in kinds for name in names]
    try:
        database = _without_password(workspace.database())
    except BamkitError:
        database = None
    return Status(str(workspace.root), database, tuple(found), tuple(dict.fromkeys(_next(workspace, database, found))))


def _looked_at(workspace: Workspace, kind: str, name: str, look: Look) -> Artefact:
    try:
        holds, stale = look(workspace, name)
        return Artefact(kind, name, holds, tuple(dict.fromkeys(stale)))
    except BamkitError as error:
        return Artefact(kind, name, problem=error.message)
    except (OSError, *DAMAGED) as error:
        # A file of another program's, or one that was edited by hand.
        return Artefact(kind, name, problem=f"cannot be read: {type(error).__name__}: {error}")


def _selection(workspace: Workspace, name: str) -> tuple[dict[str, int], list[Stale]]:
    counts = Counter(read_table(workspace.selection(name), ["split"]).column("split").to_pylist())
    stale = [one for one in lineage.stale_domains(workspace, [name]) if one.message.startswith("selections/")]
    return {split: counts[split] for split in SPLITS if counts[split]}, stale


def _split(workspace: Workspace, name: str) -> tuple[dict[str, int], list[Stale]]:
    counts = {split: count_rows(workspace.shards(name, split)) for split in SPLITS}
    stale = [one for one in lineage.stale_domains(workspace, [name]) if one.message.startswith("splits/")]
    return {split: count for split, count in counts.items() if count}, stale


def _run(workspace: Workspace, name: str) -> tuple[dict[str, int], list[Stale]]:
    about = _read(workspace.run(name) / "run.json")
    return {"steps done": _steps_done(workspace, name), "steps": int(about.get("steps") or 0)}, lineage.stale_run(
        workspace, name
    )


def _steps_done(workspace: Workspace, name: str) -> int:
    numbers = (path.stem.removeprefix("step-") for path in workspace.run(name).glob("checkpoints/step-*.pt"))
    return max((int(number) for number in numbers if number.isdigit()), default=0)


def _translations(workspace: Workspace, name: str) -> tuple[dict[str, int], list[Stale]]:
    table = workspace.translations / name / lineage.TRANSLATIONS
    return {"pictures": count_rows([table])}, lineage.stale_translations(workspace, name)


def _evaluation(workspace: Workspace, name: str) -> tuple[dict[str, int], list[Stale]]:
    about = _read(workspace.reports / f"evaluate-{name}" / "metrics.json")
    return {"pictures": sum((about.get("n") or {}).values())}, lineage.stale_evaluation(workspace, name)


def _judge(workspace: Workspace, _: str) -> tuple[dict[str, int], list[Stale]]:
    card = _read(_card(workspace))
    return {"images": int((card.get("images") or {}).get("fit", 0))}, lineage.stale_judge(workspace, card)


def _card(workspace: Workspace) -> Path:
    return workspace.root / "judge" / "card.json"


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _without_password(location: str) -> str:
    """A path as it is; of a URL the part behind user and password."""
    scheme, mark, rest = location.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else location


def _next(workspace: Workspace, database: str | None, found: list[Artefact]) -> list[str]:
    """What is stale first, then the next step of the way for every artefact that has not gone it yet."""
    by_kind: dict[str, dict[str, Artefact]] = {}
    for artefact in found:
        by_kind.setdefault(artefact.kind, {})[artefact.name] = artefact
    selections, splits = by_kind.get("selection", {}), by_kind.get("split", {})
    if not database and not selections and not splits:
        here = shlex.quote(str(workspace.root))
        sample = f"bamkit sample {here}   # makes a stand-in for the BAM database; or put bam.sqlite here"
        return [sample, *_selecting([])]
    renewed = [stale.renew for artefact in found for stale in artefact.stale if not stale.harmless]
    domains = [name for name in {**selections, **splits} if not is_judges(name)]
    steps = _selecting(domains) if len(domains) < 2 and not by_kind.get("run") else []
    unfetched = [name for name in selections if name not in splits]
    if unfetched:
        steps.append(f"bamkit fetch {' '.join(unfetched)}" if splits else "bamkit fetch")
    fetched = [name for name in splits if not is_judges(name)]
    if fetched and not (workspace.reports / "index.html").is_file():
        steps.append("bamkit report")
    runs, translations = by_kind.get("run", {}), by_kind.get("translations", {})
    if len(fetched) >= 2 and not runs:
        pair = "" if len(fetched) == 2 else f" --from {fetched[0]} --to {fetched[1]}"
        steps.append(f"bamkit train{pair}")
    steps += [step for run in runs.values() for step in _after_training(run, translations)]
    evaluated = by_kind.get("evaluation", {})
    for name in (name for name, each in translations.items() if name not in evaluated and not each.problem):
        split = read_about(workspace.translations / name / lineage.TRANSLATIONS).get("split")
        if split in SPLITS:
            steps.append(f"bamkit evaluate {name}" + ("" if split == "test" else f" --split {split}"))
    return [*renewed, *steps]


def _selecting(domains: list[str]) -> list[str]:
    return [f"bamkit select --emotion {name} --top 1000" for name in DOMAINS if name not in domains][: 2 - len(domains)]


def _after_training(run: Artefact, translations: dict[str, Artefact]) -> list[str]:
    """What comes after the checkpoints of a run: the rest of the training, then its translations."""
    done, wanted = run.holds.get("steps done", 0), run.holds.get("steps", 0)
    if run.problem:
        return []
    if not done or done < wanted:
        return [f"bamkit train --resume --name {run.name}"]
    return [] if run.name in translations else [f"bamkit translate {run.name}"]
