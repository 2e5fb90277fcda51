"""Fixtures shared by all tests. Everything is made in code; nothing is downloaded."""

import os

import pytest
from click.testing import CliRunner

# A bug must fail a test with its traceback, not look like a tidy error.
os.environ.setdefault("BAMKIT_DEBUG", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def bamkit(monkeypatch):
    """`bamkit("select --emotion happy", cwd=workspace)` runs the command in this process and gives click's result.

    `code` is the exit status that is expected; pass None to accept any.
    """
    import shlex

    from bamkit.cli import root

    def run(line, cwd=None, code=0):
        if cwd is not None:
            monkeypatch.chdir(cwd)
        words = shlex.split(line) if isinstance(line, str) else [str(word) for word in line]
        result = CliRunner().invoke(root, words, prog_name="bamkit", catch_exceptions=True)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert code is None or result.exit_code == code, result.output
        return result

    return run
