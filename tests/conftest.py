"""Fixtures shared by all tests. Everything is made in code; nothing is downloaded."""

import os
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

# A bug must fail a test with its traceback, not look like a tidy error.
os.environ.setdefault("BAMKIT_DEBUG", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The servers of the tests listen on loopback: no proxy of the environment leads there.
for _name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
    os.environ.pop(_name, None)
    os.environ.pop(_name.upper(), None)
# Temporary folders in memory, where there is some: databases flush to disk hundreds of times.
if Path("/dev/shm").is_dir() and shutil.disk_usage("/dev/shm").free > 4e9:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")
# Shells start background jobs with Ctrl-C ignored, and programs that the tests start and interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--record-passed", metavar="FILE", help="write the ids of the tests that passed into FILE")
    parser.addoption("--without-passed", metavar="FILE", help="leave out the tests that FILE says have passed")


PASSED = []


def pytest_runtest_logreport(report):
    if report.when == "call" and report.passed:
        PASSED.append(report.nodeid)


def pytest_sessionfinish(session):
    path = session.config.getoption("record_passed")
    if path and not hasattr(session.config, "workerinput"):
        Path(path).write_text("\n".join(PASSED), encoding="utf-8")


def pytest_collection_modifyitems(config, items):
    """Leave out what an earlier call has passed; with no such record everything runs.

    A file that says IN_ORDER, whose tests build on each other, is run whole or not at all. Files whose tests may take
    longest come first, so that no worker is left with one of them at the end.
    """
    path = Path(config.getoption("without_passed") or "no record")
    passed = set(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else set()
    left = [item for item in items if item.nodeid not in passed]
    whole = {item.path for item in left if getattr(item.module, "IN_ORDER", False)}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in passed and item.path not in whole])
    items[:] = [item for item in items if item.nodeid not in passed or item.path in whole]
    longest = Counter()
    for item in items:
        if (limit := item.get_closest_marker("timeout")) is not None:
            longest[item.path] = max(longest[item.path], limit.args[0])
    items.sort(key=lambda item: -longest[item.path])


@pytest.fixture(scope="session", autouse=True)
def unflushed():
    """Nobody cuts the power during the tests: to wait for the disk takes longer than most of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture
def svg_only(monkeypatch):
    """Reports without PDF and PNG, which take most of the drawing, for tests that do not look at those files."""
    from bamkit.common.pages import figures

    for kind in ("pdf", "png"):
        monkeypatch.setattr(figures, kind, lambda figure: b"")


@pytest.fixture
def six_trees(monkeypatch):
    """Domains are told apart and matched by fewer trees, for tests that do not look at how well."""
    from bamkit.curate.select.matching import confounders

    monkeypatch.setattr(confounders, "TREES", 6)


@pytest.fixture
def undrawn(svg_only, six_trees, monkeypatch):
    """Reports whose figures are made and not drawn, for tests of their words, tables and links."""
    from bamkit.common.pages import figures

    monkeypatch.setattr(figures, "svg", lambda figure: b'<svg xmlns="http://www.w3.org/2000/svg"></svg>')


@pytest.fixture(autouse=True)
def seeded():
    """A test that draws with torch draws the same each time, whatever ran before it."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def bamkit(monkeypatch):
    """`bamkit("select --emotion happy", cwd=workspace)` runs the command in this process and gives click's result.

    `code` is the exit status that is expected: 3 for a mistake (docs/workspace.md); pass None to accept any.
    """
    import shlex

    import json_schemas

    from bamkit.cli import root

    def run(line, cwd=None, code=0):
        if cwd is not None:
            monkeypatch.chdir(cwd)
        words = shlex.split(line) if isinstance(line, str) else [str(word) for word in line]
        result = CliRunner().invoke(root, words, prog_name="bamkit", catch_exceptions=True)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert code is None or result.exit_code == code, f"exit status {result.exit_code}\n{result.output}"
        if "--json" in words and "--help" not in words and result.exit_code in (0, 1):
            json_schemas.check(words, result.stdout)
        return result

    return run


@pytest.fixture
def small_files():
    """No file can grow beyond 20 kB from here on, as on a full disk; call it to take that back."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def free_port():
    """A port of this machine that nobody listens on just now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def sample_factory(tmp_path_factory):
    """`sample_factory(rows=400, seed=0)` makes a fresh sample workspace on a free port and gives its folder."""
    from bamkit.sample import make_sample

    def make(rows=400, **options):
        return make_sample(tmp_path_factory.mktemp("sample"), rows, **{"port": free_port(), **options})

    return make


@pytest.fixture(scope="session")
def sample_template(sample_factory):
    """One sample of 400 rows, made once; do not write into it (take `sample_workspace`)."""
    return sample_factory()


@pytest.fixture
def sample_workspace(sample_template, tmp_path):
    """A copy of the sample of your own: bam.sqlite and bamkit.toml; `sample_server` serves its pictures."""
    import shutil

    return shutil.copytree(sample_template, tmp_path / "workspace")


@pytest.fixture(scope="session")
def sample_server(sample_template):
    """The misbehaving server of `sample_template` and of every `sample_workspace`, running for the whole session."""
    from bamkit.sample import SampleServer

    with SampleServer(sample_template) as server:
        yield server
