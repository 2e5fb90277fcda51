"""Every fault of a host, met over real connections: what is recorded, how often it is asked, how long it may take."""

from __future__ import annotations

import datetime
import ipaddress
import resource
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import zlib
from email.utils import format_datetime

import pytest
from fetching import encoded, jpeg, picture, write_selection
from misbehaving import (
    Server,
    announced,
    chunked,
    drip,
    endless,
    file,
    first,
    garbage,
    gzip_bomb,
    hang,
    redirect,
    reset,
    slow,
    status,
    unannounced,
)
from test_fetch import ledger, read

from bamkit.curate.fetch import Build, Fetch, Limits, Manners, addresses, fetch
from bamkit.curate.fetch.addresses import is_public
from bamkit.curate.fetch.client import Client, retry_after
from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.polite import Host, backoff
from bamkit.curate.fetch.scheduler import Scheduler
from bamkit.errors import BamkitError
from bamkit.workspace import Workspace

QUICK = Manners(backoff=0.02, breaker_after=1000, attempts=2)


def png_header(width, height):
    """A PNG that announces a size and holds next to nothing."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


GOOD = jpeg(7)
CASES = {
    "404": (status(404), "gone", 1),
    "410": (status(410), "gone", 1),
    "403": (status(403), "forbidden", 1),
    "418": (status(418), "refused", 1),
    "500": (status(500), "server-error", 2),
    "429-always": (status(429, Retry_After=0), "throttled", 10),
    "429-once": (first(1, status(429, Retry_After=0), file(GOOD)), "ok", 2),
    "503-once": (first(1, status(503), file(GOOD)), "ok", 2),
    "reset": (reset(), "reset", 2),
    "reset-in-the-middle": (reset(GOOD), "reset", 2),
    "reset-once": (first(1, reset(GOOD), file(GOOD)), "ok", 2),
    "hang": (hang, "timeout", 2),
    "drip-body": (drip(GOOD), "timeout", 2),
    "drip-head": (drip(GOOD, "head"), "timeout", 2),
    "cut-file": (file(GOOD[: len(GOOD) // 2]), "truncated", 1),
    "too-short": (announced(GOOD, len(GOOD) + 100), "incomplete", 2),
    "too-long": (announced(GOOD + b"tail", len(GOOD)), "ok", 1),
    "no-length": (unannounced(GOOD), "ok", 1),
    "chunked": (chunked(GOOD), "ok", 1),
    "chunked-cut": (chunked(GOOD, whole=False), "incomplete", 2),
    "huge-announced": (announced(GOOD, 10**12), "too-many-bytes", 1),
    "endless": (endless, "too-many-bytes", 1),
    "gzip": (file(__import__("gzip").compress(GOOD), Content_Encoding="gzip"), "ok", 1),
    "gzip-bomb": (gzip_bomb(200), "too-many-bytes", 1),
    "gzip-broken": (file(b"\x1f\x8b\x08garbage", Content_Encoding="gzip"), "bad-answer", 2),
    "unknown-encoding": (file(GOOD, Content_Encoding="zzz"), "bad-answer", 2),
    "no-http": (garbage(b"\x00\x01\x02 hello\r\n\r\n"), "bad-answer", 2),
    "bad-length": (garbage(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc"), None, None),
    "many-headers": (garbage(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 5000 + b"\r\n"), "bad-answer", 2),
    "long-header": (garbage(b"HTTP/1.1 200 OK\r\na: " + b"b" * 200_000 + b"\r\n\r\n"), "bad-answer", 2),
    "continue-for-ever": (garbage(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000), None, None),
    "loop": (redirect("/loop"), "redirects", 4),
    "nowhere": (redirect(""), "redirects", 1),
    "redirected": (redirect("/good"), "ok", 1),
    "to-file": (redirect("file:///etc/passwd"), "bad-url", 1),
    "to-ftp": (redirect("ftp://127.0.0.1/x.jpg"), "bad-url", 1),
    "empty": (file(b""), "not-a-picture", 1),
    "html": (file(b"<html>no picture here</html>" * 50), "not-a-picture", 1),
    "svg": (file(b'<svg xmlns="http://www.w3.org/2000/svg"/>' * 10), "not-a-picture", 1),
    "noai": (file(GOOD, X_Robots_Tag="otherbot: noindex, noai"), "opted-out", 1),
    "noimageai": (file(GOOD, X_Robots_Tag="noimageai"), "opted-out", 1),
    "noindex": (file(GOOD, X_Robots_Tag="noindex"), "ok", 1),
    "bomb": (file(png_header(50_000, 50_000)), "too-many-pixels", 1),
    "large": (file(png_header(20_032, 20_032)), "too-many-pixels", 1),
    "thin": (file(png_header(1, 50_000)), "too-small", 1),
    "dot.gif": (file(encoded(picture(1, 1, 1), "GIF")), "too-small", 1),
    "good": (file(GOOD), "ok", None),
    "comma,and space": (file(GOOD), None, None),
}  # fmt: skip


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """All cases fetched at once, by one run."""
    workspace = tmp_path_factory.mktemp("faults")
    with Server() as server:
        for name, (answer, _, _) in CASES.items():
            server["/" + name.replace(" ", "%20")] = answer
        bad = ["ftp://127.0.0.1/a.jpg", "file:///etc/passwd", "nonsense", "http://", "http://user:pw@127.0.0.1/x.jpg",
               "http://127.0.0.1:99999/x.jpg", "http://[::1/x.jpg", f"http://127.0.0.1:{server.port}/a\r\nX: y",
               "http://127.0.0.1:1/refused.jpg", "http://no-such-host.invalid/x.jpg", "http://" + "a" * 70 + ".de/x",
               "data:image/png;base64,AAAA", "http://xn--\u00e4.invalid/x", ""]  # fmt: skip
        urls = [server.url("/" + name) for name in CASES] + bad
        write_selection(workspace, "all", [*urls, None], len(urls) + 1)
        limits = Limits(seconds=1.2, connect_seconds=1, max_bytes=20_000_000, max_redirects=3)
        config = Fetch(Build(size=48), limits, QUICK, allow_private=True, placeholder_repeats=0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.monotonic()
        fetch(Workspace(workspace), config=config)
        seconds = time.monotonic() - started
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
        import sqlite3

        with sqlite3.connect(workspace / "originals" / "ledger.sqlite") as db:
            db.row_factory = sqlite3.Row
            rows = {row["url"]: dict(row) for row in db.execute("select * from ledger")}
        yield {"workspace": workspace, "server": server, "rows": rows, "seconds": seconds, "grown": grown, "bad": bad}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[1]])
def test_outcome(outcome, name):
    _, expected, requests = CASES[name]
    row = outcome["rows"][outcome["server"].url("/" + name)]
    assert row["outcome"] == expected, row
    if requests is not None:
        assert outcome["server"].counts["/" + name] == requests, row


def test_nothing_hangs_and_nothing_grows(outcome):
    # Two attempts of 1.2 s at the hanging ones, side by side with all others.
    assert outcome["seconds"] < 15
    assert outcome["grown"] < 150, "megabytes"


def test_every_url_has_a_row_and_only_pictures_are_kept(outcome):
    rows = outcome["rows"]
    assert len(rows) == len(CASES) + len(outcome["bad"])
    assert {rows[url]["outcome"] for url in outcome["bad"]} == {"bad-url", "unreachable"}
    assert rows["http://127.0.0.1:1/refused.jpg"]["outcome"] == "unreachable"
    assert rows[outcome["server"].url("/comma,and space")]["outcome"] == "ok"
    assert not any(row["outcome"] == "unexpected" for row in rows.values()), rows
    files = [path for path in (outcome["workspace"] / "originals").rglob("*") if len(path.name) == 64]
    assert {path.read_bytes() for path in files} == {GOOD}
    missing = {row["src"]: row for row in read_missing(outcome["workspace"], "all")}
    assert missing[None]["outcome"] == "bad-url"
    assert list((outcome["workspace"] / "originals" / "incoming").iterdir()) == []


def read_missing(workspace, name):
    import pyarrow.parquet as pq

    return pq.read_table(workspace / "splits" / name / "missing.parquet").to_pylist()


def test_the_request_is_honest(outcome):
    headers = outcome["server"].seen["/good"]
    assert headers["user-agent"].startswith("bamkit/")
    assert headers["accept-encoding"] == "identity"


def one(server, path, tmp_path, **more):
    """What `Client.get` makes of one path."""
    client = Client(Fetch(**{"allow_private": True, "limits": Limits(seconds=5), **more}))
    try:
        return client.get(server.url(path) if path.startswith("/") else path, tmp_path / "file")
    finally:
        client.close()


@pytest.mark.parametrize(
    "target", ["http://127.0.0.2:{port}/", "http://localhost:{port}/", "http://[::1]:{port}/", "http://2130706434:{port}/",
               "http://0x7f000002:{port}/", "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/", "http://0/"]
)  # fmt: skip
def test_a_redirect_to_a_private_address_is_not_followed(monkeypatch, tmp_path, target):
    # 127.0.0.1 plays the public host; all other addresses of this machine stay private.
    real = addresses.is_public
    monkeypatch.setattr(addresses, "is_public", lambda address: str(address) == "127.0.0.1" or real(address))
    monkeypatch.setattr(socket, "getaddrinfo", without_name("localhost", "127.0.0.3"))
    with Server() as server:
        server["/start"] = redirect(target.format(port=server.port))
        server["/direct"] = file(GOOD)
        assert one(server, "/direct", tmp_path, allow_private=False).bytes == len(GOOD)
        with pytest.raises(Fault, match="private-address"):
            one(server, "/start", tmp_path, allow_private=False)
        assert [path for _, path in server.log] == ["/direct", "/start"]


def without_name(name, address):
    """getaddrinfo with one name answered as a hostile DNS server would."""
    real = socket.getaddrinfo
    return lambda host, *rest, **more: real(address if host == name else host, *rest, **more)


def test_a_name_that_changes_its_address_is_not_asked_twice(monkeypatch, tmp_path):
    """DNS rebinding: public at the check, private at the connection. The checked address itself is connected to."""
    answers = iter(["127.0.0.1", "127.0.0.9", "127.0.0.9"])
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: real(next(answers) if host == "rebind.test" else host, *a, **k)
    )
    monkeypatch.setattr(addresses, "is_public", lambda address: str(address) == "127.0.0.1")
    with Server() as server:
        server["/x"] = file(GOOD)
        answer = one(server, f"http://rebind.test:{server.port}/x", tmp_path, allow_private=False)
        assert answer.bytes == len(GOOD)


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("93.184.216.34", True), ("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False),
        ("192.168.1.1", False), ("169.254.1.1", False), ("100.64.0.1", False), ("0.0.0.0", False),
        ("224.0.0.1", False), ("255.255.255.255", False), ("::1", False), ("fe80::1", False), ("fc00::1", False),
        ("::ffff:127.0.0.1", False), ("::ffff:8.8.8.8", True), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
        ("2606:4700::1111", True), ("ff02::1", False),
    ],
)  # fmt: skip
def test_public_addresses(text, public):
    assert is_public(ipaddress.ip_address(text)) is public


def test_ignore_noai_fetches_what_was_left_alone(tmp_path):
    with Server() as server:
        server["/a"] = file(GOOD, X_Robots_Tag="noai")
        write_selection(tmp_path, "happy", [server.url("/a"), server.url("/b")], 2)
        server["/b"] = file(jpeg(1))
        config = Fetch(Build(size=48), manners=QUICK, allow_private=True)
        fetch(Workspace(tmp_path), config=config)
        assert len(read(tmp_path, "happy", "train")) == 1
        fetch(Workspace(tmp_path), config=Fetch(Build(size=48), manners=Manners(honour_noai=False), allow_private=True))
        assert len(read(tmp_path, "happy", "train")) == 2


def test_retry_after_is_kept_to_and_the_rate_is_halved(tmp_path):
    with Server() as server:
        for index in range(8):
            answer = file(jpeg(index))
            server[f"/{index}"] = first(1, status(429, Retry_After=1), answer) if index == 0 else answer
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(8)], 8)
        fetch(Workspace(tmp_path), config=Fetch(Build(size=48), manners=Manners(connections=1), allow_private=True))
        times = [when for when, _ in server.log]
        assert times[1] - times[0] > 0.95
        assert len(times) == 9
        assert ledger(tmp_path)["0"]["attempts"] == 2


def test_retry_after_forms():
    assert retry_after("12") == 12
    in_a_minute = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
    assert 55 < retry_after(format_datetime(in_a_minute, usegmt=True)) <= 60
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert [retry_after(text) for text in (None, "soon", "", "-1", "9" * 40)] == [None, None, None, None, 999999999]


def test_a_host_that_asks_for_an_hour_is_left_alone(tmp_path, bamkit):
    with Server(default=status(429, Retry_After=3600)) as server:
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(50)], 50)
        result = bamkit("fetch --allow-private --connections 2", cwd=tmp_path, code=1)
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
        manners = Manners(connections=4, backoff=0.01, breaker_after=8, breaker_pause=0.02, breaker_tries=3)
        summary = fetch(Workspace(tmp_path), config=Fetch(Build(size=48), manners=manners, allow_private=True))
        assert len(bad.log) < 25
        assert len(read(tmp_path, "happy", "train")) == 5
        assert len(summary.given_up) > 75
        assert summary.selections[0].missing["host-down"] == len(summary.given_up)
        # Nothing was recorded of what was not asked: the next run asks for it, without --retry-failed.
        for index in range(100):
            bad[f"/{index}"] = file(jpeg(100 + index))
        fetch(Workspace(tmp_path), config=Fetch(Build(size=48), manners=manners, allow_private=True))
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
        limits = Limits(silent_seconds=0.5, connect_seconds=0.5)
        config = Fetch(Build(size=48), limits, Manners(first_pause=0.1), allow_private=True)
        started = time.monotonic()
        with pytest.raises(BamkitError, match=r"100 host-down \(.* has not answered once, the last time: ") as error:
            fetch(Workspace(tmp_path), config=config)
        assert time.monotonic() - started < 5
        assert ("once the host answers" if way == "no-name" else "start the server") in error.value.hint
        # Those under way at first, what took their place until the breaker opened, one try; none more for the reserve.
        assert len(silent.log) <= config.manners.connections + config.manners.breaker_after + 1
    assert ledger(tmp_path) == {}


def test_the_sample_server_that_was_not_started(tmp_path, bamkit):
    port = closed_port()
    write_selection(tmp_path, "happy", [f"http://127.0.0.1:{port}/{index}" for index in range(30)], 20)
    started = time.monotonic()
    said = bamkit("fetch --allow-private", cwd=tmp_path, code=1).output
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
        config = Fetch(Build(size=48), manners=Manners(first_pause=0.1), allow_private=True)
        summary = fetch(Workspace(tmp_path), config=config)
        assert len(summary.given_up) == 60
        assert len(read(tmp_path, "happy", "train")) == 4
        for index in range(60):
            server[f"/{index}"] = file(jpeg(index))
        assert fetch(Workspace(tmp_path), config=config).given_up == {}
        assert len(read(tmp_path, "happy", "train")) == 64


def test_a_host_with_bad_files_first_is_not_given_up(tmp_path):
    """Its breaker opens, but another file is tried, and that one comes."""
    with Server() as server:
        for index in range(40):
            server[f"/{index}"] = reset() if index < 14 else file(jpeg(index))
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(40)], 40)
        manners = Manners(first_pause=0.1, breaker_pause=0.05, connections=4, backoff=0.05)
        summary = fetch(Workspace(tmp_path), config=Fetch(Build(size=48), manners=manners, allow_private=True))
        assert summary.given_up == {}
        assert len(read(tmp_path, "happy", "train")) == 26


@pytest.mark.parametrize("answer", [reset(), status(500)])
def test_what_fails_at_a_host_that_answers_others_comes_to_an_end(tmp_path, answer):
    """Fifty files fail for ever. Each run records those that it asked for, so that some run is the last."""
    with Server(default=answer) as server:
        server["/0"] = file(jpeg(0))
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(51)], 51)
        manners = Manners(first_pause=0.02, breaker_pause=0.01, backoff=0.01)
        config = Fetch(Build(size=48), manners=manners, allow_private=True)
        left = [len(fetch(Workspace(tmp_path), config=config).given_up) for _ in range(4)]
        assert left == sorted(left, reverse=True)
        assert left[-1] == 0, left
        assert len(ledger(tmp_path)) == 51


def test_an_open_breaker_lets_one_through_whatever_else_is_under_way():
    host = Host("127.0.0.1:80", Manners(connections=8, breaker_after=3))
    for _ in range(8):
        host.enter(0.0)
    for _ in range(3):
        host.leave(10.0, 0.0, Fault("timeout"))
    assert host.open_at() == 12.0, "five old requests still hang: the try need not wait for them"
    host.enter(12.0)
    assert host.open_at() is None, "one at a time"
    host.leave(20.0, 0.0, Fault("timeout"))
    assert (host.open_at(), host.given_up) == (None, "")
    host.leave(22.0, 12.0, Fault("timeout"))
    assert "has not answered once" in host.given_up


def test_backoff_doubles_with_jitter_up_to_a_cap():
    manners = Manners(backoff=0.5, backoff_cap=4)
    for attempt, middle in ((1, 0.5), (2, 1), (3, 2), (4, 4), (9, 4)):
        waits = [backoff(manners, attempt) for _ in range(200)]
        assert middle * 0.5 <= min(waits) < middle * 0.7 < middle * 1.3 < max(waits) <= middle * 1.5


def test_a_host_that_complains_is_asked_half_as_often_and_slowly_more_again():
    host = Host("host.example:80", Manners(rate=8))
    host.enter(0.0)
    host.leave(1.0, 0.0, Fault("throttled", retry_after=30.0))
    assert (host.rate, host.open_at()) == (4.0, 31.0)
    rates = []
    for second in range(31, 91):
        host.enter(second)
        host.leave(second + 0.5, second, None)
        rates.append(host.rate)
    assert rates == sorted(rates)
    assert rates[10] < 6 < rates[-1] == 8


def test_connections_per_host_and_keep_alive(tmp_path):
    with Server() as server:
        for index in range(40):
            server[f"/{index}"] = slow(0.02, file(jpeg(index)))
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(40)], 40)
        fetch(Workspace(tmp_path), config=Fetch(Build(size=48), manners=Manners(connections=3), allow_private=True))
        assert server.most == 3
        assert server.connections == 3


def test_the_rate_limit(tmp_path):
    with Server() as server:
        for index in range(30):
            server[f"/{index}"] = file(jpeg(index))
        write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(30)], 30)
        manners = Manners(connections=2, rate=25)
        fetch(Workspace(tmp_path), config=Fetch(Build(size=48), manners=manners, allow_private=True))
        times = [when for when, _ in server.log]
        assert times[-1] - times[0] > (30 - 3) / 25 * 0.95


def test_many_slow_hosts_do_not_hold_up_one_another():
    """The scheduler alone, with a clock of its own: work is found wherever it may start."""
    now = [0.0]
    scheduler = Scheduler(Manners(connections=1, rate=1), clock=lambda: now[0])
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


def certificate(folder):
    if not shutil.which("openssl"):
        pytest.skip("openssl is needed to make a certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, folder / "cert.pem"


def test_tls_is_verified(tmp_path):
    context, pem = certificate(tmp_path)
    with Server(context) as server:
        server["/a"] = file(GOOD)
        server["/drip"] = drip(GOOD)
        with pytest.raises(Fault, match=r"tls.*self.signed"):
            one(server, "/a", tmp_path)
        assert one(server, "/a", tmp_path, ca_file=str(pem)).bytes == len(GOOD)
        with pytest.raises(Fault, match="tls"):
            one(server, f"https://localhost:{server.port}/a", tmp_path, ca_file=str(pem))
        started = time.monotonic()
        with pytest.raises(Fault, match="timeout"):
            one(server, "/drip", tmp_path, ca_file=str(pem), limits=Limits(seconds=1))
        assert time.monotonic() - started < 3


def test_a_tls_handshake_that_never_ends_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        taken = []
        threading.Thread(target=lambda: taken.append(silent.accept()), daemon=True).start()
        started = time.monotonic()
        with pytest.raises(Fault, match="timeout"):
            one(None, f"https://127.0.0.1:{silent.getsockname()[1]}/", tmp_path,
                limits=Limits(seconds=1, connect_seconds=1))  # fmt: skip
        assert time.monotonic() - started < 3
