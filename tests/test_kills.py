"""A few of the kills that `python tests/kills.py` makes by the hundred."""

import kills
import pytest
from killing_scenarios import NAMES

KILLED = [name for name in NAMES if name != "study"]


@pytest.fixture(scope="module")
def rows():
    """All commands from one process that has imported everything: to import it takes as long as to kill one."""
    return {row.name: row for row in kills.disturb(KILLED, 3)}


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", KILLED)
def test_after_kills_the_end_is_that_of_an_undisturbed_run(name, rows):
    row = rows[name]
    assert (row.kills, row.differ, row.left, row.wrong) == (3, 0, 0, [])
    assert row.ends >= 1
    assert row.written >= 1
