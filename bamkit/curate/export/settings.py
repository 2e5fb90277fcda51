"""What an export is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from bamkit.common.errors import BamkitError

FORMATS = ("cyclegan", "imagefolder", "webdataset", "csv", "hf")


@dataclass(frozen=True)
class ExportSettings:
    """How a dataset is exported."""

    to: str
    """The format: cyclegan, imagefolder, webdataset, csv or hf."""
    licensed_only: bool = False
    """Leave out images whose licence does not allow passing an adapted picture on."""
    license_ok: bool = False
    """Export those too: the user has the right to, or keeps the result to themselves."""
    shard: int = 1000
    """Images in a WebDataset tar."""

    def __post_init__(self) -> None:
        if self.to not in FORMATS:
            raise BamkitError(f"there is no format {self.to!r}", f"--to {', '.join(FORMATS)}")
        if self.shard < 1:
            raise BamkitError("a shard holds at least one image", "--shard 1000")
        if self.licensed_only and self.license_ok:
            raise BamkitError("--licensed-only and --license-ok contradict each other", "give one of them")
