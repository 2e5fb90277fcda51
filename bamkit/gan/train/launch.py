"""From what a user typed to a training: settings, domains, run folder, processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bamkit.common.errors import BamkitError
from bamkit.common.lineage import require_current, stale_domains, stale_run
from bamkit.common.workspace import Workspace
from bamkit.gan.train import checkpoint, settings, trainer
from bamkit.gan.train.data import domains
from bamkit.gan.train.device import distributed


def launch(
    workspace: Workspace,
    first: str | None = None,
    second: str | None = None,
    *,
    name: str | None = None,
    device: str | None = None,
    preset: str | None = None,
    file: Path | None = None,
    given: dict[str, Any] | None = None,
    resume: bool = False,
    allow_shared: bool = False,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> trainer.Result | None:
    """What `bamkit train` does: start a run in the workspace, or go on with one.

    Under torchrun every process calls it; the writing one gets the Result, the others None. Raises BamkitError.
    """
    given = given or {}
    with distributed.process_group(device) as group:
        if resume:
            run = workspace.run(name) if name else _run_to_resume(workspace, first, second)
            recorded = checkpoint.read_run_to_resume(run)
            if preset or file:
                raise BamkitError("a resumed run keeps its settings", "leave --preset and --config away")
            chosen = settings.resumed(recorded["config"], given)
            pair = domains.find_again(workspace, recorded)
            require_current(workspace, stale_run(workspace, run.name))
        else:
            chosen = settings.build(preset, file, given)
            pair = domains.find_pair(workspace, first, second, allow_shared)
            own = [domain.about["name"] for domain in pair if domain.where.parent == workspace.splits]
            require_current(workspace, stale_domains(workspace, own))
            run = workspace.run(name or f"{pair[0].name}-{pair[1].name}")
        result = trainer.train(
            run, pair, chosen, device, resume=resume, force=force, group=group, say=say, cache=workspace.root / "cache"
        )
        return result if group.writes else None


def _run_to_resume(workspace: Workspace, first: str | None, second: str | None) -> Path:
    if first and second:
        return workspace.run(f"{Path(first).name}-{Path(second).name}")
    runs = workspace.run_names()
    if len(runs) == 1:
        return workspace.run(runs[0])
    if not runs:
        raise BamkitError(f"there is no run to resume in {workspace.runs}", "bamkit train   # starts one")
    raise BamkitError(f"there are {len(runs)} runs: {', '.join(runs)}", f"bamkit train --resume --name {runs[-1]}")
