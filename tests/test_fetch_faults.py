"""Every fault of a host, met over real connections: what is recorded, how often it is asked, how long it may take."""

from __future__ import annotations

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
    status,
    unannounced,
)
from test_fetch import read, settings

from bamkit.common.workspace import Workspace
from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.http import addresses
from bamkit.curate.fetch.http.addresses import is_public
from bamkit.curate.fetch.http.client import Client
from bamkit.curate.fetch.run import fetch
from bamkit.curate.fetch.settings import FetchSettings, Limits, PictureSettings, Politeness

QUICK = Politeness(backoff=0.02, backoff_cap=0.1, breaker_after=1000, attempts=2)


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
    # Each of the two is sent once more where the connection had been kept from another answer.
    "reset": (reset(), "reset", range(2, 5)),
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
    "gzip-broken": (file(b"\x1f\x8b\x08\0" + b"garbage" * 9, Content_Encoding="gzip"), "bad-answer", 2),
    "gzip-cut": (file(b"\x1f\x8b\x08garbage", Content_Encoding="gzip"), "incomplete", 2),
    "unknown-encoding": (file(GOOD, Content_Encoding="zzz"), "ok", 1),
    "brotli": (file(b"\x0b\x02\x80brotli\x03", Content_Encoding="br"), "bad-answer", 2),
    "no-http": (garbage(b"\x00\x01\x02 hello\r\n\r\n"), "bad-answer", 2),
    "bad-length": (garbage(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc"), None, None),
    "many-headers": (garbage(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 5000 + b"\r\n" + GOOD), "ok", 1),
    "long-header": (garbage(b"HTTP/1.1 200 OK\r\na: " + b"b" * 200_000 + b"\r\n\r\n" + GOOD), "ok", 1),
    "headers-for-ever": (garbage(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 60_000), "bad-answer", 2),
    "line-for-ever": (garbage(b"HTTP/1.1 200 OK\r\na: " + b"b" * 400_000), "bad-answer", 2),
    "continue-for-ever": (garbage(b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000), "bad-answer", 2),
    "cut-headers": (garbage(b"HTTP/1.1 200 OK\r\nContent-Length: 5"), "incomplete", 2),
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
        config = FetchSettings(PictureSettings(size=48), limits, QUICK, allow_private=True, placeholder_repeats=0)
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
        allowed = requests if isinstance(requests, range) else [requests]
        assert outcome["server"].counts["/" + name] in allowed, row


def test_nothing_hangs_and_nothing_grows(outcome):
    # Two attempts of 1.2 s at the hanging ones, side by side with all others.
    assert outcome["seconds"] < 40  # a hanging one alone would take 60
    assert outcome["grown"] < 150, "megabytes"


def test_every_url_has_a_row_and_only_pictures_are_kept(outcome):
    rows = outcome["rows"]
    assert len(rows) == len(CASES) + len(outcome["bad"])
    # Line ends are dropped and the rest is escaped, as browsers do: no second header line came of it.
    assert rows.pop(next(url for url in rows if "\r\n" in url))["outcome"] == "gone"
    assert "x" not in outcome["server"].seen["/aX:%20y"]
    assert {rows[url]["outcome"] for url in outcome["bad"] if url in rows} == {"bad-url", "unreachable"}
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

    return pq.read_table(workspace / "missing" / f"{name}.parquet").to_pylist()


def test_the_request_is_honest(outcome):
    headers = outcome["server"].seen["/good"]
    assert headers["user-agent"].startswith("bamkit/")
    assert headers["accept-encoding"] == "identity"


def one(server, path, tmp_path, **more):
    """What `Client.get` makes of one path."""
    client = Client(FetchSettings(**{"allow_private": True, "limits": Limits(seconds=5), **more}))
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
        assert one(server, "/direct", tmp_path, allow_private=False).size == len(GOOD)
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
        assert answer.size == len(GOOD)


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
        config = settings(politeness=QUICK)
        fetch(Workspace(tmp_path), config=config)
        assert len(read(tmp_path, "happy", "train")) == 1
        fetch(
            Workspace(tmp_path),
            config=FetchSettings(
                PictureSettings(size=48), politeness=Politeness(honour_noai=False), allow_private=True
            ),
        )
        assert len(read(tmp_path, "happy", "train")) == 2


def certificate(folder, name=""):
    if not shutil.which("openssl"):
        pytest.skip("openssl is needed to make a certificate")
    named = f"DNS:{name}" if name else "IP:127.0.0.1"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", f"subjectAltName={named}", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
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
        assert one(server, "/a", tmp_path, ca_file=str(pem)).size == len(GOOD)
        with pytest.raises(Fault, match="tls"):
            one(server, f"https://localhost:{server.port}/a", tmp_path, ca_file=str(pem))
        started = time.monotonic()
        with pytest.raises(Fault, match="timeout"):
            one(server, "/drip", tmp_path, ca_file=str(pem), limits=Limits(seconds=0.5))
        assert time.monotonic() - started < 30  # drip by drip it would be minutes


def test_a_tls_handshake_that_never_ends_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        taken = []
        threading.Thread(target=lambda: taken.append(silent.accept()), daemon=True).start()
        started = time.monotonic()
        with pytest.raises(Fault, match="timeout"):
            one(None, f"https://127.0.0.1:{silent.getsockname()[1]}/", tmp_path,
                limits=Limits(seconds=0.5, connect_seconds=0.5))  # fmt: skip
        assert time.monotonic() - started < 9  # ten by default
