"""bamkit: from the Behance Artistic Media database to a picture whose mood has changed.

    import bamkit

    ws = bamkit.Workspace("moods")
    happy = ws.select(emotion="happy", top=1000)
    scary = ws.select(emotion="scary", top=1000)
    ws.fetch()
    run = ws.train()
    ws.translate()
    ws.evaluate().figures
    run.translate(picture)

Verbs and keywords are those of the command line. What `__all__` names is the public API; it is loaded when it is first
used. Its types stand in __init__.pyi.
"""

__version__ = "0.1.0"

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

_PLACES = {
    "BamkitError": "bamkit.common.errors",
    "Run": "bamkit.api.run",
    "SampleServer": "bamkit.sample.server",
    "Selection": "bamkit.api.selection",
    "StaleWarning": "bamkit.common.errors",
    "Workspace": "bamkit.api.workspace",
    "metrics": "",
    "networks": "",
    "select": "bamkit.api.database",
    "sql": "bamkit.api.database",
}
"""Where each name is defined; "" for a module of its own."""


def __getattr__(name: str) -> object:
    import importlib

    if name not in _PLACES:
        raise AttributeError(f"module 'bamkit' has no attribute {name!r}")
    place = _PLACES[name]
    value = getattr(importlib.import_module(place), name) if place else importlib.import_module(f"bamkit.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
