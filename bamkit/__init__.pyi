"""The types of the public API. The package itself loads each name when it is first used."""

from bamkit import metrics as metrics
from bamkit import networks as networks
from bamkit.api.database import select as select
from bamkit.api.database import sql as sql
from bamkit.api.run import Run as Run
from bamkit.api.selection import Selection as Selection
from bamkit.api.workspace import Workspace as Workspace
from bamkit.common.errors import BamkitError as BamkitError
from bamkit.common.errors import StaleWarning as StaleWarning
from bamkit.sample.server import SampleServer as SampleServer

__version__: str
__all__ = [
    "BamkitError",
    "Run",
    "SampleServer",
    "Selection",
    "StaleWarning",
    "Workspace",
    "__version__",
    "metrics",
    "networks",
    "select",
    "sql",
]
