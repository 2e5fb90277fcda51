"""A stand-in for the BAM database: a SQLite file with its schema, a painter for its pictures, a server that rots.

BAM is given out on request only. `make_sample` writes a workspace whose labels are true by construction, since each
picture is painted from the attributes that its row is scored on; `SampleServer` serves the pictures on this machine.
"""

from bamkit.sample.database import APPLICATION_ID, DEFAULT_PORT, make_sample
from bamkit.sample.faults import placeholder
from bamkit.sample.painter import paint, paint_scene
from bamkit.sample.server import SampleServer
from bamkit.sample.truth import Scene, truth

__all__ = [
    "APPLICATION_ID",
    "DEFAULT_PORT",
    "SampleServer",
    "Scene",
    "make_sample",
    "paint",
    "paint_scene",
    "placeholder",
    "truth",
]
