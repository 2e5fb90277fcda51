"""Writes docs/rooms.svg and the list in docs/architecture.md from the imports: `make reference`; a test holds both."""

from __future__ import annotations

import ast
import functools
import itertools
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bamkit"
TARGET = Path(__file__).with_name("architecture.md")
DRAWING = Path(__file__).with_name("rooms.svg")
WIDE, STEP = 112, 168
"""Width of a room in the picture, and from column to column."""
Place = tuple[int, str]
"""A column, and the room that stands there; or, as `from>to`, an arrow that passes through."""
SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">
<style>
path {{ fill: none; stroke: #777; stroke-width: 1.2 }}
rect {{ rx: 4px; fill: #eee; stroke: #666 }}
.curate {{ fill: #d5ebe6 }}
.gan {{ fill: #e6dcf2 }}
text {{ fill: #222; text-anchor: middle }}
</style>
<marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0,0L8,4L0,8z" style="fill: #777; stroke: none"/>
</marker>
<rect width="{width}" height="{height}" style="fill: #fff; stroke: none"/>
{body}
</svg>
"""


def module_of(path: Path) -> str:
    """The dotted name of a file of the package; a package's `__init__` has the package's own name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def files() -> dict[str, Path]:
    """Every module of bamkit by its dotted name, sorted."""
    return {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@functools.cache
def imports(path: Path, top_level_only: bool = False) -> frozenset[str]:
    """Everything that a file imports, as dotted names: modules, and names taken from modules."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def graph() -> dict[str, set[str]]:
    """Which modules of bamkit each module imports, also inside functions and for type checking only."""
    known = files()
    edges = {}
    for module, path in known.items():
        names = imports(path)
        taken = {name for name in names if name in known and name != module}
        # `from package import module` names the package too; only a name that the package itself defines needs it.
        packages = {name for name in taken if known[name].name == "__init__.py"}
        submodules = {name.rpartition(".")[0] for name in taken}
        edges[module] = taken - {package for package in packages & submodules if not _defines(names, package, known)}
    return edges


def _defines(names: frozenset[str], package: str, known: dict[str, Path]) -> bool:
    inside = {name for name in names if name.rpartition(".")[0] == package}
    return any(name not in known for name in inside)


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or by way of others."""
    import numpy as np
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    names = sorted(edges)
    place = {name: i for i, name in enumerate(names)}
    pairs = np.array([(place[a], place[b]) for a in names for b in edges[a]])
    matrix = csr_array((np.ones(len(pairs)), pairs.T), shape=(len(names), len(names)))
    _, labels = connected_components(matrix, connection="strong")
    groups = [[name for name, label in zip(names, labels, strict=True) if label == k] for k in np.unique(labels)]
    return [group for group in groups if len(group) > 1]


def room_of(module: str) -> str:
    """The room a module lies in: `curate.fetch`, `gan.train`, `common` ... ; a part of a room belongs to the room."""
    parts = module.split(".")[1:]
    return ".".join(parts[:2] if parts[:1] in (["curate"], ["gan"]) else parts[:1]) or "bamkit"


def summary(path: Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def arrows() -> dict[str, set[str]]:
    """Which rooms each room imports, without arrows that follow from others, and without `common`: all import it."""
    found: dict[str, set[str]] = {}
    for module, targets in graph().items():
        for target in targets:
            a, b = room_of(module), room_of(target)
            if a != b and not {a, b} & {"bamkit", "common", "__main__"}:
                found.setdefault(a, set()).add(b)
    return {a: {b for b in found[a] if not _by_way(found, a, b)} for a in sorted(found)}


def columns(edges: dict[str, set[str]]) -> tuple[list[list[Place]], list[tuple[Place, Place]]]:
    """Rooms in columns, each right of all that import it, and the pieces of the arrows from column to column.

    An arrow over several columns passes through places without a name. In each column the places are ordered by the
    mean height of what they are joined to, from the left and from the right by turns (Sugiyama et al. 1981).
    """
    rooms = sorted({*edges, *(b for targets in edges.values() for b in targets)})
    depth = dict.fromkeys(rooms, 0)
    for _ in rooms:
        for a in edges:
            for b in edges[a]:
                depth[b] = max(depth[b], depth[a] + 1)
    for a in rooms:  # what nothing imports stands beside what it imports
        if not any(a in targets for targets in edges.values()):
            depth[a] = min(depth[b] for b in edges[a]) - 1
    pieces = []
    for a in edges:
        for b in sorted(edges[a]):
            way = [(depth[a], a), *((d, f"{a}>{b}") for d in range(depth[a] + 1, depth[b])), (depth[b], b)]
            pieces += itertools.pairwise(way)
    places = sorted({place for piece in pieces for place in piece})
    layers = [[place for place in places if place[0] == d] for d in range(max(depth.values()) + 1)]
    for sweep in range(24):
        height = {place: row - len(layer) / 2 for layer in layers for row, place in enumerate(layer)}
        for layer in layers[:: -1 if sweep % 2 else 1]:
            mean = {}
            for place in layer:
                joined = [height[piece[sweep % 2]] for piece in pieces if piece[1 - sweep % 2] == place]
                mean[place] = sum(joined) / len(joined) if joined else height[place]
            layer.sort(key=mean.__getitem__)
            height |= {place: row - len(layer) / 2 for row, place in enumerate(layer)}
    return layers, pieces


def drawing() -> str:
    """The rooms and the imports between them as SVG."""
    layers, pieces = columns(arrows())
    tallest = max(map(len, layers))
    middle = {p: 40 + 34 * (row + (tallest - len(layer)) / 2) for layer in layers for row, p in enumerate(layer)}
    body = []
    for number, text in enumerate(("curate", "gan", "beside them")):
        body.append(f'<rect x="{10 + 130 * number}" y="6" width="12" height="12" class="{text}"/>')
        body.append(f'<text x="{28 + 130 * number}" y="16" style="text-anchor: start">{text}</text>')
    for a, b in pieces:
        start, end, y, to = 10 + STEP * a[0] + WIDE, 10 + STEP * b[0], middle[a], middle[b]
        through = f"M{start - WIDE},{y:g}H{start}" if ">" in a[1] else f"M{start},{y:g}"
        bend, head = (start + end) // 2, "" if ">" in b[1] else ' marker-end="url(#head)"'
        body.append(f'<path d="{through}C{bend},{y:g} {bend},{to:g} {end},{to:g}"{head}/>')
    for column, name in (place for layer in layers for place in layer if ">" not in place[1]):
        half, _, room = name.rpartition(".")
        x, y = 10 + STEP * column, middle[column, name]
        body.append(f'<rect x="{x}" y="{y - 12:g}" width="{WIDE}" height="24" class="{half}"/>')
        body.append(f'<text x="{x + WIDE // 2}" y="{y + 4:g}">{room}</text>')
    return SVG.format(width=STEP * len(layers) - 36, height=34 * tallest + 46, body="\n".join(body))


def _by_way(arrows: dict[str, set[str]], a: str, b: str) -> bool:
    """Whether b is reached from a also through a third room."""
    seen, todo = set(), [room for room in arrows[a] if room != b]
    while todo:
        room = todo.pop()
        if room == b:
            return True
        if room not in seen:
            seen.add(room)
            todo += arrows.get(room, ())
    return False


def rooms() -> str:
    """Every module with the first line of its docstring, by folder."""
    parts = []
    for folder in sorted({path.parent for path in files().values()}):
        # The painter is one drawing, spread over a file a subject.
        if folder.name == "painter":
            continue
        title = module_of(folder / "__init__.py").replace(".", "/")
        parts.append(f"**`{title}/`** {summary(folder / '__init__.py')}\n")
        rows = [
            f"| `{path.name}` | {summary(path)} |" for path in sorted(folder.glob("*.py")) if path.stem != "__init__"
        ]
        parts.append("\n".join(["| | |", "|---|---|", *rows]) + "\n")
    return "\n".join(parts).strip()


def page(text: str) -> str:
    """The page with its generated part made anew."""
    block = f"<!-- rooms: made by make_architecture.py -->\n{rooms()}\n<!-- end of rooms -->"
    return re.sub(r"<!-- rooms: .*?<!-- end of rooms -->", lambda _: block, text, flags=re.DOTALL)


if __name__ == "__main__":
    TARGET.write_text(page(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
    DRAWING.write_text(drawing(), encoding="utf-8")
