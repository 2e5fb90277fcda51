"""The columnar copy that `bamkit index` builds in the workspace, used where it matches the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bamkit.curate.counts import Counts
    from bamkit.curate.database import Database
    from bamkit.workspace import Workspace


class Index:
    def counts(self) -> Counts:
        raise NotImplementedError


def find(database: Database, workspace: Workspace) -> Index | None:
    """The workspace's index of this database, None if there is none or it was made from other content."""
    return None
