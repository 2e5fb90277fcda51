"""Writes the generated parts of docs/architecture.md from the imports: `make reference`; a test keeps it true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bamkit"
TARGET = Path(__file__).with_name("architecture.md")


def module_of(path: Path) -> str:
    """The dotted name of a file of the package; a package's `__init__` has the package's own name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def files() -> dict[str, Path]:
    """Every module of bamkit by its dotted name, sorted."""
    return {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """Everything that a file imports, as dotted names: modules, and names taken from modules."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


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


def _defines(names: set[str], package: str, known: dict[str, Path]) -> bool:
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


def picture() -> str:
    """The rooms and the imports between them as a Mermaid flow chart, without arrows that follow from others.

    `common` is left out: every room imports it.
    """
    arrows: dict[str, set[str]] = {}
    for module, targets in graph().items():
        for target in targets:
            a, b = room_of(module), room_of(target)
            if a != b and not {a, b} & {"bamkit", "common", "__main__"}:
                arrows.setdefault(a, set()).add(b)
    lines = ["```mermaid", "flowchart LR"]
    for half in ("curate", "gan"):
        rooms = sorted({room for pair in arrows.items() for room in (pair[0], *pair[1]) if room.startswith(f"{half}.")})
        lines += [f"  subgraph {half}", *(f"    {room}[{room.partition('.')[2]}]" for room in rooms), "  end"]
    for a in sorted(arrows):
        lines += [f"  {a} --> {b}" for b in sorted(arrows[a]) if not _by_way(arrows, a, b)]
    return "\n".join([*lines, "```"])


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
    """The page with its generated parts made anew."""
    for name, made in (("picture", picture()), ("rooms", rooms())):
        block = f"<!-- {name}: made by make_architecture.py -->\n{made}\n<!-- end of {name} -->"
        text = re.sub(rf"<!-- {name}: .*?<!-- end of {name} -->", lambda _, block=block: block, text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    TARGET.write_text(page(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
