"""What an export is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bamkit.common.errors import BamkitError
from bamkit.common.settings import PYTHON_ONLY, Choice, Range, check

FORMATS = ("cyclegan", "imagefolder", "webdataset", "csv", "hf")


@dataclass(frozen=True)
class ExportSettings:
    """How a dataset is exported."""

    to: Annotated[str, Choice(*FORMATS), PYTHON_ONLY]
    """The format."""
    licensed_only: bool = False
    """Leave out images whose licence does not allow passing them on."""
    license_ok: bool = False
    """Export them too: you have the right to, or keep the result to yourself."""
    shard: Annotated[int, Range(1)] = 1000
    """Images a shard (webdataset)."""

    def __post_init__(self) -> None:
        check(self)
        if self.licensed_only and self.license_ok:
            raise BamkitError("--licensed-only and --license-ok contradict each other", "give one of them")
