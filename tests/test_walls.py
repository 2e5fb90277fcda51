"""Imports run one way: cli -> commands -> curate | gan -> the shared modules; heavy packages stay in their rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bamkit

PACKAGE = Path(bamkit.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def reaches(path: Path, *rooms: str) -> list[str]:
    return sorted(n for n in imports(path) if any(n == room or n.startswith(room + ".") for room in rooms))


def within(room: str) -> list[Path]:
    return [path for path in FILES if path.relative_to(PACKAGE).parts[0] == room]


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("curate", ["bamkit.gan", "bamkit.commands", "bamkit.cli", "torch", "torchvision"]),
        ("gan", ["bamkit.curate", "bamkit.commands", "bamkit.cli", "sqlalchemy", "requests", "sqlite3"]),
    ],
)
def test_rooms_do_not_reach_into_each_other(room, forbidden):
    wrong = {str(path.relative_to(PACKAGE)): reaches(path, *forbidden) for path in within(room)}
    assert not {path: names for path, names in wrong.items() if names}


def test_shared_modules_know_neither_room():
    for path in within("common"):
        assert not reaches(path, "bamkit.curate", "bamkit.gan", "bamkit.commands", "bamkit.cli", "torch"), path


def test_every_file_is_readable_in_one_sitting():
    long = {str(path.relative_to(PACKAGE)): n for path in FILES if (n := len(path.read_text().splitlines())) > 430}
    assert not long


def test_commands_are_light_at_the_top():
    heavy = {"pandas", "numpy", "pyarrow", "torch", "PIL", "sqlalchemy", "requests", "matplotlib", "jinja2", "sklearn"}
    for path in within("commands"):
        assert not {name.split(".")[0] for name in imports(path, top_level_only=True)} & heavy, path.name


def test_help_loads_nothing_heavy():
    code = (
        "import sys, bamkit.cli as c\n"
        "try: c.root(['--help'], prog_name='bamkit')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'numpy', 'pyarrow', 'PIL', 'sqlalchemy', 'requests', 'matplotlib', 'sklearn'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout


def test_training_needs_only_its_own_packages():
    """GPU images often have neither sqlalchemy nor requests: the trainer must import without them."""
    code = (
        "import sys\n"
        "absent = ['pandas', 'sqlalchemy', 'requests', 'urllib3', 'matplotlib', 'jinja2', 'sklearn', 'scipy',"
        " 'tensorboard']\n"
        "sys.modules.update(dict.fromkeys(absent))\n"
        "import bamkit.gan.train.trainer, bamkit.gan.translate.run, bamkit.gan.train.data.domains\n"
        "print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "fine", done.stderr
