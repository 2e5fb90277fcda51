"""A few of the kills that `python tests/kills.py` makes by the hundred."""

import kills
import pytest
from killing_scenarios import NAMES


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "study"])
def test_after_kills_the_end_is_that_of_an_undisturbed_run(name):
    (row,) = kills.disturb([name], 3)
    assert (row.kills, row.differ, row.left, row.wrong) == (3, 0, 0, [])
    assert row.ends >= 1
    assert row.written >= 1
