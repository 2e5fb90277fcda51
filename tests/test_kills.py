"""A few of the kills that `python tests/kills.py` makes by the hundred."""

import random

import kills
import pytest
from misbehaving import Server


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["select", "fetch", "train", "translate", "export"])
def test_after_kills_the_end_is_that_of_an_undisturbed_run(name):
    with Server() as server:
        row = kills.disturb(name, kills.scenarios(server)[name], 2, False, random.Random(name), server)
    assert (row.kills, row.differ, row.broken) == (2, 0, 0)
    assert row.ends >= 1
