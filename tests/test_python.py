"""`import bamkit`: every public name has an example that runs; keywords are options; messages speak Python."""

import ast
import doctest
import importlib.util
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import bamkit as package
from bamkit.api.hints import METHODS, _word, in_python
from bamkit.cli import root
from bamkit.common.errors import BamkitError

ROOT = Path(__file__).parents[1]
CLASSES = ("Run", "Selection", "Workspace")
# Their examples fetch, draw, train or translate.
SLOW = {"Workspace.fetch", "Workspace.ledger", "Workspace.report", "Workspace.train", "Workspace.translate",
        "Workspace.evaluate", "Workspace.balance", "Workspace.train_judge", "Workspace.compare", "Workspace.user_study",
        "Workspace.answers", "Workspace.import_run"}  # fmt: skip


def public():
    """Every public function, class and method by its name; data and the library's own classes left out."""
    for name in package.__all__:
        if name in CLASSES:
            cls = getattr(package, name)
            yield name, cls
            own = [base for base in reversed(cls.__mro__) if base.__module__.startswith("bamkit.api")]
            members = {each: value for base in own for each, value in vars(base).items() if is_member(each, value)}
            yield from ((f"{name}.{each}", value) for each, value in members.items())
        elif name in ("select", "sql"):
            yield name, getattr(package, name)


def is_member(name, value):
    return not name.startswith("_") and (callable(value) or isinstance(value, property | classmethod))


def is_slow(name):
    return name in SLOW or name.startswith("Run")


NAMES = dict(public())


@pytest.fixture(scope="module")
def selected(sample_template, tmp_path_factory):
    root = shutil.copytree(sample_template, tmp_path_factory.mktemp("python") / "ws")
    ws = package.Workspace(root)
    for emotion in ("happy", "scary"):
        ws.select(emotion=emotion, top=20, test=4, validation=4, reserve=20)
    return ws


@pytest.fixture(scope="module")
def trained(selected, sample_server, tmp_path_factory):
    ws = package.Workspace(shutil.copytree(selected.root, tmp_path_factory.mktemp("trained") / "ws"))
    ws.fetch(size=40)
    ws.train(width=4, blocks=1, steps=2, samples=1, validations=1, log_every=1, tensorboard=False, device="cpu")
    ws.translate()
    return ws


def example(name, ws):
    """Run the example of a public name in a workspace of its own."""
    test = doctest.DocTestFinder(recurse=False).find(NAMES[name], name, module=False, globs={})
    run = package.Run(ws.run("happy-scary")) if is_slow(name) and name != "Workspace.fetch" else None
    (test[0]).globs = {"bamkit": package, "ws": ws, "folder": ws.root, "run": run}
    lines = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test[0], out=lines.append)
    assert result.attempted, f"{name} has no example"
    assert not result.failed, "".join(lines)


@pytest.mark.parametrize("name", [name for name in NAMES if not is_slow(name)])
def test_the_example_of(name, selected, tmp_path):
    example(name, package.Workspace(shutil.copytree(selected.root, tmp_path / "ws")))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if is_slow(name)])
def test_the_longer_example_of(name, trained, tmp_path):
    ws = package.Workspace(shutil.copytree(trained.root, tmp_path / "ws"))
    example(name, ws)


def test_nothing_else_is_public():
    assert dir(package) == sorted(package.__all__)
    assert set(package._PLACES) | {"__version__"} == set(package.__all__)
    for name in package.__all__:
        # These two import torch; their tests are with their subjects.
        known = (
            importlib.util.find_spec(f"bamkit.{name}") if name in ("metrics", "networks") else getattr(package, name)
        )
        assert known is not None
    with pytest.raises(AttributeError, match="no attribute 'Wokspace'"):
        package.Wokspace  # noqa: B018


def test_the_types_name_the_same():
    tree = ast.parse((ROOT / "bamkit" / "__init__.pyi").read_text(encoding="utf-8"))
    imported = {alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported | {"__version__"} == set(package.__all__)


def test_import_loads_nothing_and_takes_no_time():
    code = (
        "import sys, time; before = set(sys.modules); start = time.process_time(); import bamkit;"
        "took = time.process_time() - start;"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith('bamkit')), took)"
    )
    said = [subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(3)]
    assert all(line.startswith("['bamkit']") for line in said)
    assert min(float(line.split()[-1]) for line in said) < 0.02


def test_every_option_of_a_command_is_a_keyword_of_its_method():
    """But those that only print; where another method does what a flag asks for, its options are that method's."""
    other = {
        "select": {"explain"}, "report": {"show"}, "review": {"show"}, "balance": {"every"},
        "translate": {"weights", "inputs"}, "evaluate": {"user_study"},
        # Run.export and Workspace.import_run have these.
        "export": {"direction", "checkpoint", "old", "dropout", "runtime", "name", "domains"},
    }  # fmt: skip
    more = {"export": ("export_tables",), "evaluate": ("user_study", "answers")}
    checked = 0
    for name, method in METHODS.items():
        command = root
        for part in name.split():
            command = command.get_command(click.Context(root), part)
        methods = (method, *more.get(name, ()))
        known = {word for each in methods for word in inspect.signature(getattr(package.Workspace, each)).parameters}
        for option in command.params:
            shown = {"as_json", "as_csv", "workspace", "stale"} | other.get(name, set())
            if isinstance(option, click.Option) and option.name not in shown:
                assert _word(option) in known, f"{name} {option.opts}"
                checked += 1
    assert checked > 100


def test_a_keyword_that_is_not_there_names_the_nearest(selected):
    with pytest.raises(TypeError, match=r"select\(\) got an unexpected keyword argument 'tpo': did you mean top"):
        selected.select(emotion="happy", tpo=3)


def test_keyword_beats_environment_beats_bamkit_toml(selected, tmp_path, monkeypatch):
    ws = package.Workspace(shutil.copytree(selected.root, tmp_path / "ws"))
    (ws.root / "bamkit.toml").write_text("[select]\ntop = 9\ntest = 3\nvalidation = 2\n")
    ws = package.Workspace(ws.root)
    monkeypatch.setenv("BAMKIT_SELECT_TEST", "4")
    counts = ws.select(emotion="happy", name="a", validation=1).counts
    assert {name: counts[name] for name in ("train", "test", "validation")} == {"train": 9, "test": 4, "validation": 1}
    monkeypatch.setenv("BAMKIT_SELECT_TEST", "four")
    with pytest.raises(BamkitError, match="'four' is not a valid integer"):
        ws.select(emotion="happy", name="b")


def test_a_selection_from_python_is_the_command_lines(selected, bamkit, tmp_path):
    ws = package.Workspace(shutil.copytree(selected.root, tmp_path / "ws"))
    line = "select --emotion happy --top 20 --test 4 --validation 4 --reserve 20 --force"
    before = ws.selection("happy").read_bytes()
    bamkit(line, cwd=ws.root)
    assert ws.selection("happy").read_bytes() == before


@pytest.mark.parametrize(
    ("said", "command", "meant"),
    [
        ("bamkit select --emotion happy --top 1000", "fetch", "ws.select(emotion='happy', top=1000)"),
        ("bamkit fetch happy --size 64   # again", "train", "ws.fetch('happy', size=64)   # again"),
        ("bamkit fetch", "train", "ws.fetch()"),
        ("bamkit train --from a --to b --name c --force", "train", "ws.train(from_='a', to='b', name='c', force=True)"),
        ("bamkit judge train --force", "evaluate", "ws.train_judge(force=True)"),
        ("bamkit sample moods   # makes one", "info", "bamkit.Workspace.sample('moods')   # makes one"),
        ("give --force to replace it, or another --name", "select", "give force=True to replace it, or another name"),
        ("--pool 3 is smaller than 10", "select", "pool=3 is smaller than 10"),
        ("bamkit select --with people:positive", "select", "ws.select(with_='people:positive')"),
        ("bamkit select ... --group-by project", "check", "bamkit select ... --group-by project"),
        ("export PYTHONUTF8=1", "select", "export PYTHONUTF8=1"),
        ("bamkit select --emotion happy --explain", "fetch", "ws.explain(emotion='happy')"),
        ("bamkit review happy", "check", "ws.review('happy')"),
        ("bamkit evaluate a --user-study --against b", "evaluate", "ws.user_study('a', against='b')"),
        ("bamkit evaluate a --answers made/", "evaluate", "ws.answers('a', answers='made/')"),
        ("bamkit export --to parquet", "info", "ws.export_tables()"),
        ("bamkit export out --to run --name b", "translate", "ws.import_run('out', name='b')"),
        ("bamkit export happy --to hf", "fetch", "ws.export('happy', to='hf')"),
        ("bamkit evaluate happy-scary; or bamkit report", "check", "ws.evaluate('happy-scary'); or ws.report()"),
    ],
)
def test_hints_are_calls(said, command, meant):
    assert in_python(said, command) == meant


def test_errors_speak_python_and_show_no_traceback_in_a_notebook(tmp_path):
    with pytest.raises(BamkitError) as caught:
        package.Workspace(tmp_path).fetch()
    assert caught.value.hint == "ws.select(emotion='happy', top=1000)"
    shown = caught.value._render_traceback_()
    assert shown == [
        f"BamkitError: no selections in {tmp_path / 'selections'}",
        "  ws.select(emotion='happy', top=1000)",
    ]
    assert list(tmp_path.iterdir()) == []


def test_results_show_themselves_as_html(selected):
    happy = package.Selection.read(selected.selection("happy"))
    shown = [happy, selected.info(), selected.check("happy")]
    for result in shown:
        html = result._repr_html_()
        assert html.startswith(("<p>", "<table>"))
        assert html.count("<tr>") == html.count("</tr>")
        assert html.count("<td") == html.count("</td>")
    assert "<script" not in "".join(result._repr_html_() for result in shown)


def test_what_is_shown_is_escaped():
    from bamkit.common.pages.notebook import as_html

    assert as_html("a < b", [{"<b>": "<i>"}]).count("&lt;") == 3
    assert as_html("", []) == ""
    assert "60 more rows" in as_html([{"n": n} for n in range(100)])


def test_calls_in_the_pages_have_their_keywords():
    called = 0
    for page in (ROOT / "docs" / "python.md", ROOT / "README.md"):
        for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    owner, name = ast.unparse(node.func.value), node.func.attr
                    found = {"ws": package.Workspace, "run": package.Run, "bamkit": package}.get(owner)
                    if found and name != "Workspace":
                        known = inspect.signature(getattr(found, name)).parameters
                        assert {keyword.arg for keyword in node.keywords} <= set(known), ast.unparse(node)
                        called += 1
    assert called > 10


@pytest.mark.slow
def test_type_checkers_see_keywords_and_results(tmp_path):
    """Also of what is loaded late; mypy's cache of the repository makes this short."""
    pytest.importorskip("mypy")
    script = tmp_path / "script.py"
    script.write_text(
        "import bamkit\nfrom PIL import Image\nws = bamkit.Workspace()\n"
        "reveal_type(ws.select(emotion='happy', top=3, with_=['people']).frame)\n"
        "reveal_type(ws.train(width=32, steps=5000).translate(Image.new('RGB', (1, 1))))\n"
        "ws.select(emotion='happy', tpo=3)\nws.select(sample='bottom')\nbamkit.Wokspace\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", script],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = re.findall(r":(\d+): (?:note|error): (.*)", done.stdout)
    said = dict(reversed(lines))
    assert 'Revealed type is "pandas.core.frame.DataFrame"' in said["4"]
    assert 'Revealed type is "PIL.Image.Image"' in said["5"]
    assert 'Unexpected keyword argument "tpo"' in said["6"]
    assert "incompatible type \"Literal['bottom']\"" in said["7"]
    assert 'no attribute "Wokspace"' in said["8"]


class Kernel:
    """As much of IPython as a notebook's progress line sees."""

    def __init__(self, kernel=True):
        self.shell = type("Shell", (), {"kernel": object()} if kernel else {})()
        self.outputs = []

    def get_ipython(self):
        return self.shell

    def display(self, content, raw, display_id):
        place = len(self.outputs)
        self.outputs.append(content["text/plain"])
        handle = type("Handle", (), {})()
        handle.update = lambda content, raw: self.outputs.__setitem__(place, content["text/plain"])
        return handle


@pytest.mark.parametrize("kernel", [True, False])
def test_progress_in_a_notebook_is_one_line_that_is_replaced(kernel, monkeypatch, capsys):
    from bamkit.common.terminal.progress import Progress

    fake = Kernel(kernel)
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    with Progress("decode", 20) as progress:
        progress.update(20)
    with Progress("fetch", 20) as progress:
        progress.started -= 5
        progress.update(10, "1 missing")
        progress.write("a host is down")
        progress.update(20)
    if kernel:
        assert fake.outputs == ["fetch  20/20 images in 0:05"], "what took a moment left nothing"
        assert capsys.readouterr() == ("a host is down\n", "")
    else:
        assert fake.outputs == []
        assert capsys.readouterr().err == "a host is down\n"
