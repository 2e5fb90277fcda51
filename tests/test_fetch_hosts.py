"""How hosts are treated: pace, pauses, the circuit breaker, and what a host that is down costs."""

from __future__ import annotations

import datetime
import socket
import time
from email.utils import format_datetime
from functools import partial

import pytest
from fetching import jpeg, write_selection
from misbehaving import Server, file, first, garbage, hang, hang_up, raw, reset, slow, status
from test_fetch import ledger, read, settings
from test_fetch_faults import certificate

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace
from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.http.client import Client
from bamkit.curate.fetch.http.head import retry_after
from bamkit.curate.fetch.http.politeness import HostLimiter, backoff
from bamkit.curate.fetch.http.scheduler import Scheduler
from bamkit.curate.fetch.run import fetch
from bamkit.curate.fetch.settings import FetchSettings, Limits, PictureSettings, Politeness

GOOD = jpeg(7)


@pytest.mark.parametrize("secure", [False, True])
def test_a_kept_connection_that_the_host_ends_costs_no_attempt(tmp_path, secure):
    """The second of two requests arrives when the host has just given the idle connection up."""
    context, pem = certificate(tmp_path, "localhost") if secure else (None, None)
    with Server(context) as server:
        server["/a"], server["/gone"] = file(GOOD), hang_up
        server["/b"] = first(1, hang_up, file(GOOD))
        client = Client(FetchSettings(allow_private=True, ca_file=str(pem) if pem else None))
        base = server.url("").replace("127.0.0.1", "localhost")
        try:
            assert client.get(f"{base}/a", tmp_path / "a").size == len(GOOD)
            assert client.get(f"{base}/b", tmp_path / "b").size == len(GOOD)
            assert server.counts["/b"] == 2
            assert server.connections == 2
            with pytest.raises(Fault, match="reset"):
                client.get(f"{base}/gone", tmp_path / "gone")
            assert server.counts["/gone"] == 2, "once more, not for ever"
            with pytest.raises(Fault, match="reset"):
                client.get(f"{base}/gone", tmp_path / "gone")
            assert server.counts["/gone"] == 3, "a new connection that is closed is the host's answer"
        finally:
            client.close()


def test_retry_after_is_kept_to_and_the_rate_is_halved(tmp_path):
    with Server() as server:
        for index in range(8):
            answer = file(jpeg(index))
            server[f"/{index}"] = first(1, status(429, Retry_After=0.4), answer) if index == 0 else answer
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(8)], 8)
        fetch(
            Workspace(tmp_path),
            config=settings(politeness=Politeness(connections=1)),
        )
        times = [when for when, _ in server.log]
        assert times[1] - times[0] > 0.38
        assert len(times) == 9
        assert ledger(tmp_path)["0"]["attempts"] == 2


def test_retry_after_forms(monkeypatch):
    def seconds(value, **headers):
        return retry_after({"Retry-After": value, **headers})

    assert [seconds(text) for text in ("12", " 1.5 ", "0", "9" * 40)] == [12, 1.5, 0, 999999999]
    assert [seconds(text) for text in ("5, 5", "5;", "7 seconds", "60s")] == [5, 5, 7, 60]
    assert [seconds(text) for text in ("soon", "", "-1", "1e3", "\u0661")] == [None] * 5
    assert retry_after({}) is None
    in_a_minute = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
    assert 55 < seconds(format_datetime(in_a_minute, usegmt=True)) <= 60
    assert seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    # The host's own clock counts, whatever this machine's says.
    assert seconds("Wed, 21 Oct 2015 07:28:00 GMT", Date="Wed, 21 Oct 2015 07:27:30 GMT") == 30
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    assert seconds("Wed Oct 21 07:28:00 2015", Date="Wednesday, 21-Oct-15 07:27:30 GMT") == 30
    monkeypatch.undo()
    time.tzset()
    assert seconds("Wed, 21 Oct 2099 07:28:00 GMT", Date="Wed, 21 Oct 2099 07:28:07 GMT") == 0
    assert 55 < seconds(format_datetime(in_a_minute, usegmt=True), Date="no date") <= 60


@pytest.mark.parametrize("rate", [None, 40.0, 0.0])
@pytest.mark.parametrize("value", [0.0, None])
def test_a_wait_of_nothing_is_a_wait_all_the_same(rate, value):
    host = HostLimiter("127.0.0.1:80", Politeness(rate=rate, backoff=2.0))
    for attempt, least in ((1, 1.0), (2, 2.0), (3, 4.0)):
        now = 100.0 * attempt
        host.start(now)
        host.finish(now, now, Fault("throttled", status=429, retry_after=value))
        assert host.available_at() >= now + least


def test_a_date_in_retry_after_is_measured_by_the_hosts_clock(tmp_path):
    def slow_down(skew, exchange):
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(seconds=skew)
        later = now + datetime.timedelta(seconds=1)
        exchange.send(429, Date=format_datetime(now, usegmt=True), Retry_After=format_datetime(later, usegmt=True))

    with Server() as an_hour_behind, Server() as behind, Server() as an_hour_ahead:
        hosts = {an_hour_behind: -3600, behind: -10, an_hour_ahead: 3600}
        for host, skew in hosts.items():
            host["/0"] = first(1, partial(slow_down, skew), file(jpeg(skew % 7)))
        write_selection(tmp_path, "happy", [host.url("/0") for host in hosts], 3)
        fetch(Workspace(tmp_path), config=settings())
        for host, skew in hosts.items():
            (before, _), (after, _) = host.log
            assert 0.95 < after - before < 60, skew


@pytest.mark.parametrize(
    "answer",
    [
        file(b"\x0b\x02brotli", Content_Encoding="br"),
        raw(b"HTTP/1.1 204 Nothing\r\n\r\n"),
        status(304, b"", ETag="x"),
        garbage(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        file(b"\x1f\x8b\x08garbage", Content_Encoding="gzip"),
    ],
    ids=["brotli", "204", "304", "two lengths", "broken gzip"],
)
def test_odd_answers_are_not_held_against_their_host(tmp_path, answer):
    """Forty of them in a row, then pictures: the host is never left alone for a while, let alone given up."""
    with Server() as server:
        for index in range(44):
            server[f"/{index}"] = file(jpeg(index)) if index >= 40 else answer
        server["/0"] = file(b"\x0b\x02brotli", Content_Encoding="br")
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(44)], 44)
        config = settings(politeness=Politeness(attempts=1, breaker_after=3, breaker_pause=30, first_pause=30))
        started = time.monotonic()
        summary = fetch(Workspace(tmp_path), config=config)
        assert time.monotonic() - started < 20
        assert not summary.given_up
        assert ledger(tmp_path)["0"]["outcome"] == "bad-answer"
        assert {"40", "41", "42", "43"} <= {name for name, row in ledger(tmp_path).items() if row["outcome"] == "ok"}


def test_a_port_that_speaks_no_http_is_still_given_up(tmp_path):
    with Server(default=garbage(b"SSH-2.0-OpenSSH_9.6\r\n")) as server:
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(40)], 40)
        config = settings(politeness=Politeness(first_pause=0.05))
        with pytest.raises(BamkitError, match="has not answered once, the last time: bad-answer"):
            fetch(Workspace(tmp_path), config=config)


def test_a_host_that_asks_for_an_hour_is_left_alone(tmp_path, bamkit):
    with Server(default=status(429, Retry_After=3600)) as server:
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(50)], 50)
        result = bamkit("fetch --allow-private --connections 2", cwd=tmp_path, code=3)
        assert "not one picture" in result.output
        assert len(server.log) <= 2
        server.default = file(GOOD)
        bamkit("fetch --allow-private --placeholder-repeats 0 --retry-failed", cwd=tmp_path)
        assert len(read(tmp_path, "happy", "train")) == 50


def test_the_circuit_breaker_spares_a_host_that_is_down(tmp_path):
    with Server(default=status(500)) as bad, Server() as good:
        for index in range(5):
            good[f"/{index}"] = file(jpeg(index))
        urls = [bad.url(f"/{index}") for index in range(100)] + [good.url(f"/{index}") for index in range(5)]
        write_selection(tmp_path, "happy", urls, 105)
        politeness = Politeness(connections=4, backoff=0.01, breaker_after=8, breaker_pause=0.02, breaker_tries=3)
        summary = fetch(
            Workspace(tmp_path),
            config=settings(politeness=politeness),
        )
        assert len(bad.log) < 25
        assert len(read(tmp_path, "happy", "train")) == 5
        assert summary.given_up.total() > 75
        assert summary.selections[0].missing["host-down"] == summary.given_up.total()
        # Nothing was recorded of what was not asked: the next run asks for it, without --retry-failed.
        for index in range(100):
            bad[f"/{index}"] = file(jpeg(100 + index))
        fetch(
            Workspace(tmp_path),
            config=settings(politeness=politeness),
        )
        recorded = summary.selections[0].missing["server-error"]
        assert len(read(tmp_path, "happy", "train")) == 105 - recorded


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return unused.getsockname()[1]


@pytest.mark.parametrize("way", ["refused", "no-name", "silent", "silent-tls"])
def test_a_host_that_never_answers_is_known_soon_and_nothing_is_recorded(tmp_path, way):
    with Server(default=hang) as silent:
        url = {"refused": f"http://127.0.0.1:{closed_port()}", "no-name": "http://no-such-host.invalid",
               "silent": silent.url(""), "silent-tls": silent.url("").replace("http", "https")}[way]  # fmt: skip
        write_selection(tmp_path, "happy", [f"{url}/{index}" for index in range(100)], 60, 20)
        limits = Limits(silent_seconds=0.2, connect_seconds=0.2)
        config = FetchSettings(PictureSettings(size=48), limits, Politeness(first_pause=0.05), allow_private=True)
        started = time.monotonic()
        with pytest.raises(BamkitError, match=r"100 host-down \(.* has not answered once, the last time: ") as error:
            fetch(Workspace(tmp_path), config=config)
        assert time.monotonic() - started < 30  # 1.5 where nothing else runs; it was 155 and more
        assert ("once the host answers" if way == "no-name" else "start the server") in error.value.hint
        # Those under way at first, what took their place until the breaker opened, one try; none more for the reserve.
        assert len(silent.log) <= config.politeness.connections + config.politeness.breaker_after + 1
    assert ledger(tmp_path) == {}


def test_the_sample_server_that_was_not_started(tmp_path, bamkit):
    port = closed_port()
    write_selection(tmp_path, "happy", [f"http://127.0.0.1:{port}/{index}" for index in range(30)], 20)
    started = time.monotonic()
    said = bamkit("fetch --allow-private", cwd=tmp_path, code=3).output
    assert time.monotonic() - started < 30  # 2.5 where nothing else runs
    assert "12 times in a row (unreachable: Connection refused): asked again after 2 s" in said
    assert "not one picture of 'happy' could be had: 30 host-down" in said
    assert "bamkit sample DIR --serve" in said


def test_a_host_that_was_down_is_asked_for_everything_by_the_next_run(tmp_path):
    with Server(default=reset()) as server, Server() as other:
        urls = [server.url(f"/{index}") for index in range(60)]
        for index in range(60, 64):
            other[f"/{index}"] = file(jpeg(index))
        write_selection(tmp_path, "happy", urls + [other.url(f"/{index}") for index in range(60, 64)], 64)
        config = settings(politeness=Politeness(first_pause=0.1))
        summary = fetch(Workspace(tmp_path), config=config)
        assert summary.given_up.total() == 60
        assert len(read(tmp_path, "happy", "train")) == 4
        for index in range(60):
            server[f"/{index}"] = file(jpeg(index))
        assert fetch(Workspace(tmp_path), config=config).given_up == {}
        assert len(read(tmp_path, "happy", "train")) == 64


def test_a_host_with_bad_files_first_is_not_given_up(tmp_path):
    """Its breaker opens, but another file is tried, not one that has failed and is due, and that one comes."""
    with Server() as server:
        for index in range(40):
            server[f"/{index}"] = reset() if index < 3 else file(jpeg(index))
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(40)], 40)
        # One request at a time, and no wait before the next attempt: their order does not hang on the machine's pace.
        politeness = Politeness(connections=1, attempts=5, backoff=0, breaker_after=12, first_pause=0.1)
        summary = fetch(Workspace(tmp_path), config=settings(politeness=politeness))
        assert not summary.given_up
        assert len(read(tmp_path, "happy", "train")) == 37
        asked = [path for _, path in server.log]
        # Once more for the connection kept from robots.txt, whose end is no answer to the first picture.
        assert asked[:14] == ["/0"] * (5 + 1) + ["/1"] * 5 + ["/2"] * 2 + ["/3"]
        assert server.log[13][0] - server.log[12][0] > 0.09


@pytest.mark.parametrize("answer", [reset(), status(500)])
def test_what_fails_at_a_host_that_answers_others_comes_to_an_end(tmp_path, answer):
    """Fifty files fail for ever. Each run records those that it asked for, so that some run is the last."""
    with Server(default=answer) as server:
        server["/0"] = file(jpeg(0))
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(51)], 51)
        politeness = Politeness(first_pause=0.02, breaker_pause=0.01, backoff=0.01)
        config = settings(politeness=politeness)
        left = [fetch(Workspace(tmp_path), config=config).given_up.total() for _ in range(4)]
        assert left == sorted(left, reverse=True)
        assert left[-1] == 0, left
        assert len(ledger(tmp_path)) == 51


def test_an_open_breaker_lets_one_through_whatever_else_is_under_way():
    host = HostLimiter("127.0.0.1:80", Politeness(connections=8, breaker_after=3))
    for _ in range(8):
        host.start(0.0)
    for _ in range(3):
        host.finish(10.0, 0.0, Fault("timeout"))
    assert host.available_at() == 12.0, "five old requests still hang: the try need not wait for them"
    host.start(12.0)
    assert host.available_at() is None, "one at a time"
    host.finish(20.0, 0.0, Fault("timeout"))
    assert (host.available_at(), host.given_up) == (None, "")
    host.finish(22.0, 12.0, Fault("timeout"))
    assert "has not answered once" in host.given_up


def test_backoff_doubles_with_jitter_up_to_a_cap():
    politeness = Politeness(backoff=0.5, backoff_cap=4)
    for attempt, middle in ((1, 0.5), (2, 1), (3, 2), (4, 4), (9, 4)):
        waits = [backoff(politeness, attempt) for _ in range(200)]
        assert middle * 0.5 <= min(waits) < middle * 0.7 < middle * 1.3 < max(waits) <= middle * 1.5


def test_a_host_that_complains_is_asked_half_as_often_and_slowly_more_again():
    host = HostLimiter("host.example:80", Politeness(rate=8))
    host.start(0.0)
    host.finish(1.0, 0.0, Fault("throttled", retry_after=30.0))
    assert (host.rate, host.available_at()) == (4.0, 31.0)
    rates = []
    for second in range(31, 91):
        host.start(second)
        host.finish(second + 0.5, second, None)
        rates.append(host.rate)
    assert rates == sorted(rates)
    assert rates[10] < 6 < rates[-1] == 8


def test_connections_per_host_and_keep_alive(tmp_path):
    with Server() as server:
        for index in range(40):
            server[f"/{index}"] = slow(0.02, file(jpeg(index)))
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(40)], 40)
        fetch(
            Workspace(tmp_path),
            config=settings(politeness=Politeness(connections=3)),
        )
        assert server.most == 3
        assert server.connections == 3


def test_the_rate_limit(tmp_path, monkeypatch):
    started, start = [], HostLimiter.start
    monkeypatch.setattr(HostLimiter, "start", lambda host, now: (started.append(now), start(host, now)))
    with Server() as server:
        for index in range(30):
            server[f"/{index}"] = file(jpeg(index))
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(30)], 30)
        politeness = Politeness(connections=2, rate=40)
        fetch(
            Workspace(tmp_path),
            config=settings(politeness=politeness),
        )
        assert len(server.log) == len(started) == 30
        # As they were sent: on a busy machine the first may arrive late.
        assert max(started) - min(started) > (30 - 3) / 40 - 0.001


def test_many_slow_hosts_do_not_hold_up_one_another():
    """The scheduler alone, with a clock of its own: work is found wherever it may start."""
    now = [0.0]
    scheduler = Scheduler(Politeness(connections=1, rate=1), clock=lambda: now[0])
    for host in range(50):
        for index in range(3):
            scheduler.add(f"http://host{host}.example/{index}")
    scheduler.close()
    taken = []
    for _ in range(50):
        job = scheduler.take()
        taken.append(job.url)
        scheduler.finish(job, None)
    assert len({url.split("/")[2] for url in taken}) == 50
    now[0] = 1.0
    assert scheduler.take().url.endswith("/1")
