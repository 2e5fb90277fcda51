"""`bamkit.Selection`: a frozen choice of images, as a table and as a contact sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bamkit.common.errors import BamkitError
from bamkit.common.pages.notebook import as_html, notes
from bamkit.common.shards import count_rows
from bamkit.common.workspace import Workspace
from bamkit.curate.select import manifest

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Selection(manifest.Selection):
    """Which images, in which split, with everything known about them.

    `name`, `query`, `notes` (what one should know of it), `counts` (images a split), `selection_id`, `frame` (one row
    an image, ordered by rank: a DataFrame with the columns mid, project_id, src, license, mature, rank, score, split,
    and for each of the 20 attributes its label and score), `write(path)`.

    >>> happy = bamkit.Selection.read(ws.selection("happy"))
    >>> happy.counts
    {'train': 20, 'test': 4, 'validation': 4, 'reserve': 20}
    >>> happy.frame[["rank", "split", "emotion_happy"]].head(2)
       rank  split emotion_happy
    0     1  train      positive
    1     2  train      positive
    """

    path: Path | None = None
    """Where the manifest lies; None for a choice that was not written."""

    @classmethod
    def read(cls, path: Path | str) -> Selection:
        """A manifest of any workspace. Raises BamkitError if it is none.

        >>> bamkit.Selection.read(ws.selection("happy")).name
        'happy'
        """
        return opened(manifest.Selection.read(Path(path)), Path(path))

    def show(self, split: str = "train", first: int = 1, count: int = 18, columns: int = 9) -> Image.Image:
        """A contact sheet of the fetched pictures of a split: `count` in the order of their ranks, from the `first`.

        An RGB image, 160 pixels a picture; notebooks show it. Raises BamkitError before the pictures were fetched.

        >>> ws.select(emotion="happy", top=5, test=1, validation=1, name="few").show()
        Traceback (most recent call last):
        bamkit.common.errors.BamkitError: no train pictures of few are here yet (ws.fetch('few'))
        """
        from bamkit.curate.audit.domain import read_pictures
        from bamkit.curate.audit.similarity import thumbnail
        from bamkit.curate.report.contact_sheets import SIDE, sheet

        workspace = Workspace(self.path.parent.parent if self.path else Path())
        rows = count_rows(workspace.shards(self.name, split)) if self.path else 0
        if not rows:
            raise BamkitError(f"no {split} pictures of {self.name} are here yet", f"ws.fetch({self.name!r})")
        positions = range(first - 1, min(first - 1 + count, rows))
        pictures = read_pictures(workspace, self.name, split, positions)
        return sheet([thumbnail(row["image"]["bytes"], SIDE) for row in pictures], columns)

    def _repr_html_(self) -> str:
        counts = ", ".join(f"{count:,} {split}" for split, count in self.counts.items())
        head = f"{self.name}: {counts} · selection {self.selection_id}"
        return as_html(head, manifest.summary(self), notes(self.notes))


def opened(found: manifest.Selection, path: Path | None = None) -> Selection:
    """The library's selection with what Python adds."""
    return Selection(found.name, found.query, found.table, found.about, found.notes, found.dropped, path)
