"""2,500 translations need no more memory than 500: two evaluations, each in a process of its own."""

import hashlib
import subprocess
import sys

import evaluation_world as w
import pytest

from bamkit.common.workspace import Workspace

CODE = """
import resource, sys
from bamkit.gan.evaluate.comparison.runs import read
from bamkit.gan.evaluate.run import evaluate_and_write
from bamkit.common.workspace import Workspace
workspace = Workspace.open(sys.argv[1])
evaluate_and_write(workspace)
read(workspace, "happy-scary")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def large_world(root, test, train=200, painted=25):
    """`test` pictures a mood to judge by, `painted` of them different; row groups as fetch and translate make them."""
    workspace, rows = Workspace.open(root), {}
    for mood, first in (("happy", 10**6), ("scary", 2 * 10**6)):
        few = w.mood_rows(mood, first, painted, 0)
        rows[mood] = [
            {
                **few[i % painted],
                "mid": first + i,
                "project_id": first + i,
                "rank": i + 1,
                "split": "train" if i < train else "test",
                "original_sha256": hashlib.sha256(b"%d" % (first + i)).hexdigest(),
            }
            for i in range(train + test)
        ]
        w.write_split(workspace, mood, rows[mood], group=100)
    w.write_translations(workspace, "happy-scary", rows, lambda picture, direction: w.darken(picture), group=100)


def peak(root):
    command = [sys.executable, "-c", CODE, str(root)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


MANY = 2_500


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_thousands_of_pictures_need_no_more_memory_than_five_hundred(tmp_path):
    pytest.importorskip("resource")
    for n in (500, MANY):
        large_world(tmp_path / str(n), n)
    few, many = peak(tmp_path / "500"), peak(tmp_path / str(MANY))
    print(f"peak memory: {few / 1024:.0f} MB for 500, {many / 1024:.0f} MB for {MANY:,}: {many / few:.3f}")
    # Names, hashes and figures are 2 kB a translation, 4 MB; pictures of a domain in memory would be 14 MB more.
    assert many - few < 12 * 1024
