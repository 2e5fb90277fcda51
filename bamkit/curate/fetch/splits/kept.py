"""What a fetch leaves as it is: the settings that a split was made with, and splits that a run depends on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace

from bamkit.common.errors import BamkitError
from bamkit.common.lineage import dependent_runs, split_about
from bamkit.common.workspace import Workspace
from bamkit.curate.fetch.settings import PictureSettings
from bamkit.curate.fetch.splits.manifest import Manifest
from bamkit.curate.fetch.splits.shards import built_at

PICTURE_SETTINGS = tuple(field.name for field in fields(PictureSettings))


def kept_settings(workspace: Workspace, name: str, settings: PictureSettings, keep: Collection[str]) -> PictureSettings:
    """`settings`, but those in `keep` as the split of that name was made with, if it is there."""
    before = built_at(workspace.split(name)) or {}
    return replace(settings, **{key: before[key] for key in keep if key in before})


def refuse_replacing(workspace: Workspace, manifest: Manifest, settings: PictureSettings) -> None:
    """Raises BamkitError if a run depends on the split as it is, and it would be made in another way."""
    name, now = manifest.name, split_about(workspace, manifest.name)
    if not now or not (runs := dependent_runs(workspace, name)):
        return
    trained = f"run {runs[0]} was trained on splits/{name} as it is"
    if now.get("build") != settings.about():
        before = now.get("build") or {}
        flags = [f"--{key} {value}" for key, value in settings.about().items() if before.get(key) != value]
        raise BamkitError(
            f"{trained} ({described(before)}): made anew with {' '.join(flags)}, it could neither be resumed nor "
            "evaluated",
            f"bamkit fetch {name} {' '.join(flags)} --force   # all the same; "
            f"without {flags[0].split()[0]} it stays as it is",
        )
    if manifest.selection_id and now.get("selection_id") not in (None, manifest.selection_id):
        raise BamkitError(
            f"{trained}, and selections/{name}.parquet is another selection now",
            f"bamkit fetch {name} --force   # replaces it all the same; or select under another --name",
        )


def described(about: dict[str, object]) -> str:
    """`48 px squash jpeg`, of a split's `build`."""
    return f"{about.get('size')} px {about.get('fit')} {about.get('format')}"
