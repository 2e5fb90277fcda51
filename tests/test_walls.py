"""Imports run one way: cli -> commands -> curate | gan -> the shared modules; heavy packages stay in their rooms."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import bamkit

PACKAGE = Path(bamkit.__file__).parent
SPEC = importlib.util.spec_from_file_location("make_architecture", PACKAGE.parent / "docs" / "make_architecture.py")
architecture = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(architecture)
imports = architecture.imports

FILES = sorted(PACKAGE.rglob("*.py"))
# What each part of the package may not import, besides the order of the stages below.
ABOVE = ["bamkit.api", "bamkit.commands", "bamkit.cli"]
FORBIDDEN = {
    "common": [*ABOVE, "bamkit.curate", "bamkit.gan", "bamkit.experiment", "bamkit.sample",
               "torch", "torchvision", "sqlalchemy", "requests"],
    "curate": [*ABOVE, "bamkit.gan", "bamkit.experiment", "bamkit.sample", "torch", "torchvision"],
    "gan": [*ABOVE, "bamkit.curate", "bamkit.experiment", "bamkit.sample", "sqlalchemy", "requests", "sqlite3"],
    "sample": [*ABOVE, "bamkit.curate", "bamkit.gan", "bamkit.experiment", "torch"],
    "experiment": ["bamkit.api", "bamkit.commands"],
    "commands": ["bamkit.api"],
    "api": ["torch", "sqlalchemy", "requests"],
}  # fmt: skip
# A stage imports earlier ones only.
STAGES = {
    "curate": ["database", "select", "fetch", "audit", "review", "report", "export", "forget"],
    "gan": ["vision", "domains", "train", "translate", "judge", "evaluate", "exchange", "user_study"],
}


def reaches(path: Path, *rooms: str) -> list[str]:
    return sorted(n for n in imports(path) if any(n == room or n.startswith(room + ".") for room in rooms))


def within(room: str) -> list[Path]:
    return [path for path in FILES if path.relative_to(PACKAGE).parts[0] == room]


@pytest.mark.parametrize("room", FORBIDDEN)
def test_rooms_do_not_reach_into_each_other(room):
    assert within(room)
    wrong = {str(path.relative_to(PACKAGE)): reaches(path, *FORBIDDEN[room]) for path in within(room)}
    assert not {path: names for path, names in wrong.items() if names}


@pytest.mark.parametrize("half", STAGES)
def test_stages_import_earlier_ones_only(half):
    order = STAGES[half]
    back = []
    for module, targets in architecture.graph().items():
        for target in targets:
            a, b = (architecture.room_of(name).split(".") for name in (module, target))
            if a[0] == b[0] == half and len(a) == len(b) == 2 and order.index(a[1]) < order.index(b[1]):
                back.append(f"{module} -> {target}")
    assert not sorted(back)


def test_no_imports_in_a_circle():
    """Also none that an import inside a function hides."""
    assert architecture.circles(architecture.graph()) == []


def test_a_circle_would_be_found():
    assert architecture.circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]


def test_every_file_is_readable_in_one_sitting():
    long = {str(path.relative_to(PACKAGE)): n for path in FILES if (n := len(path.read_text().splitlines())) > 400}
    assert not long


def test_no_folder_is_crowded():
    folders = {path.parent for path in FILES}
    crowded = {str(folder): n for folder in folders if (n := len(list(folder.glob("[!_]*.py")))) > 12}
    assert not crowded


def test_the_page_of_the_architecture_is_what_the_imports_say():
    text = architecture.TARGET.read_text(encoding="utf-8")
    assert architecture.page(text) == text, "make reference"
    assert architecture.drawing() == architecture.DRAWING.read_text(encoding="utf-8"), "make reference"


def test_the_keywords_of_the_python_api_are_what_the_settings_say():
    spec = importlib.util.spec_from_file_location("make_keywords", PACKAGE.parent / "docs" / "make_keywords.py")
    keywords = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(keywords)
    current = keywords.TARGET.read_text(encoding="utf-8") == keywords.module()
    assert current, "make reference (python docs/make_keywords.py)"


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
