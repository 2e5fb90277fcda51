"""Fetch on a Ray cluster of two nodes, one of which is killed. Needs `bamkit[ray]`."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
from fetching import jpeg, write_selection
from misbehaving import Server, file, first, slow, status
from test_fetch import contents, ledger

from bamkit.common.workspace import Workspace
from bamkit.curate.fetch.cluster import ClusterRateLimiter
from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.run import fetch
from bamkit.curate.fetch.settings import FetchSettings, Limits, PictureSettings, Politeness

POLITENESS = Politeness(connections=4, backoff=0.05)
LOCAL = FetchSettings(PictureSettings(size=48), politeness=POLITENESS, allow_private=True)
RAY = FetchSettings(PictureSettings(size=48), politeness=POLITENESS, allow_private=True, engine="ray", partition=10)


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = made.add_node(num_cpus=1)
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made, other
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def eighty(tmp_path):
    with Server() as server:
        for index in range(90):
            answer = slow(0.03, file(jpeg(index)))
            server[f"/{index}"] = status(404) if index % 13 == 2 else answer
        server["/30"] = first(1, status(503), file(jpeg(30)))
        urls = [server.url(f"/{index}") for index in range(90)]
        for name in ("ray", "local"):
            write_selection(tmp_path / name, "happy", urls, 70, 10)
        yield server, tmp_path / "ray", tmp_path / "local"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_node_dies_and_the_splits_are_the_same(cluster, eighty):
    made, other = cluster
    server, on_ray, on_local = eighty

    killed_at = []

    def kill():
        while len(server.log) < 30:
            time.sleep(0.01)
        made.remove_node(other, allow_graceful=False)
        killed_at.append(len(server.log))

    killer = threading.Thread(target=kill)
    killer.start()
    fetch(Workspace(on_ray), config=RAY)
    killer.join()
    assert killed_at[0] < len(server.log), "it was over before the node died"
    asked = server.counts
    assert server.most <= 4, "the limit of connections holds for the whole cluster"
    again = sum(asked.values()) - len(asked) - 1  # one URL answered 503 at first
    assert again <= 2 * RAY.partition, "a dead node costs its unfinished partitions only"
    fetch(Workspace(on_local), config=LOCAL)
    assert contents(on_ray / "splits" / "happy") == contents(on_local / "splits" / "happy")
    assert {k: v["outcome"] for k, v in ledger(on_ray).items()} == {
        k: v["outcome"] for k, v in ledger(on_local).items()
    }
    before = len(server.log)
    fetch(Workspace(on_ray), config=RAY)
    assert len(server.log) == before
    # The other half: another size, built by tasks from the originals.
    for workspace, config in ((on_ray, RAY), (on_local, LOCAL)):
        fetch(
            Workspace(workspace),
            config=FetchSettings(**{**vars(config), "picture": PictureSettings(size=32, fit="pad")}),
        )
    assert contents(on_ray / "splits" / "happy") == contents(on_local / "splits" / "happy")
    assert len(server.log) == before


def test_the_gate_counts_requests_of_all_machines(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("bamkit.curate.fetch.cluster.time", SimpleNamespace(monotonic=lambda: now[0]))
    limiter = ClusterRateLimiter(Politeness(connections=2, rate=0), Limits(seconds=0.1, connect_seconds=0.05))
    assert [limiter.acquire("host:80", token) for token in "ab"] == [0.0, 0.0]
    assert limiter.acquire("host:80", "c") > 0
    assert limiter.acquire("other:80", "c") == 0.0
    limiter.release("host:80", "a", None)
    assert limiter.acquire("host:80", "c") == 0.0
    assert limiter.acquire("host:80", "d") > 0
    now[0] += 0.25  # the leases of workers that died run out
    assert limiter.acquire("host:80", "d") == 0.0


def test_the_gate_keeps_to_retry_after_and_gives_up():
    limiter = ClusterRateLimiter(Politeness(connections=2, patience=100), Limits())
    limiter.acquire("host:80", "a")
    limiter.release("host:80", "a", Fault("throttled", retry_after=30.0))
    assert limiter.acquire("host:80", "a") == 1.0
    assert limiter.acquire("other:80", "a") == 0.0
    limiter.release("other:80", "a", Fault("throttled", retry_after=3600.0))
    assert "3,600 s" in limiter.acquire("other:80", "b")


def test_without_ray_the_extra_is_named(monkeypatch, eighty):
    import sys

    from bamkit.common.errors import BamkitError

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BamkitError, match="not installed") as error:
        fetch(Workspace(eighty[1]), config=RAY)
    assert "bamkit[ray]" in error.value.hint
