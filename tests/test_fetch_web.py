"""Answers and addresses that every browser accepts, met over real connections; each kind with siblings."""

from __future__ import annotations

import errno
import gzip
import socket
import time
import zlib
from urllib.parse import quote

import pytest
from fetching import jpeg, write_selection
from misbehaving import Server, file, garbage, raw, redirect, status
from test_fetch import ledger, read, settings
from test_fetch_faults import one

from bamkit.common.workspace import Workspace
from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.http import addresses
from bamkit.curate.fetch.http.urls import follow, parse_url
from bamkit.curate.fetch.run import fetch
from bamkit.curate.fetch.settings import Limits

GOOD = jpeg(7)


def answered(*lines, body=GOOD, first="HTTP/1.1 200 OK", length=True):
    """An answer with these header lines, byte for byte."""
    lines = [first, *lines, *([f"Content-Length: {len(body)}"] if length else []), "", ""]
    return raw("\r\n".join(lines).encode("latin-1") + body)


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


ZIPPED = gzip.compress(GOOD)


def gzip_with_everything(data):
    """A gzip file whose header has an extra field, a name, a comment and a checksum of its own (RFC 1952)."""
    plain = gzip.compress(data)
    return plain[:3] + b"\x1e" + plain[4:10] + b"\5\0extra" + b"name\0" + b"\0" + b"\0\0" + plain[10:]


def chunks(data, *headers, end=b"\r\n", behind=None, last=None, size=700):
    """An answer in chunks; `end` stands behind their sizes, `behind` (the same by default) behind them."""
    behind = end if behind is None else behind
    head = "\r\n".join(["HTTP/1.1 200 OK", *(headers or ["Transfer-Encoding: chunked"]), "", ""]).encode()
    parts = (data[at : at + size] for at in range(0, len(data), size))
    body = b"".join(b"%x" % len(part) + end + part + behind for part in parts)
    return raw(head + body + (b"0" + end + behind if last is None else last))


ACCEPTED = {
    # Content-Encoding: names that are none, plain bytes under a wrong one, every form of deflate, layers.
    "utf-8": file(GOOD, Content_Encoding="UTF-8"),
    "none": file(GOOD, Content_Encoding="none"),
    "aws-chunked": file(GOOD, Content_Encoding="aws-chunked"),
    "identity twice": file(GOOD, Content_Encoding="identity, identity"),
    "empty": file(GOOD, Content_Encoding=""),
    "plain under gzip": file(GOOD, Content_Encoding="gzip"),
    "plain under brotli": file(GOOD, Content_Encoding="br"),
    "plain under compress": file(GOOD, Content_Encoding="compress"),
    "plain under deflate": file(GOOD, Content_Encoding="deflate"),
    "raw deflate": file(raw_deflate(GOOD), Content_Encoding="deflate"),
    "zlib deflate": file(zlib.compress(GOOD), Content_Encoding="deflate"),
    "gzip named deflate": file(gzip.compress(GOOD), Content_Encoding="deflate"),
    "gzip twice": file(gzip.compress(gzip.compress(GOOD)), Content_Encoding="gzip, gzip"),
    "gzip behind a word": file(gzip.compress(GOOD), Content_Encoding="aws-chunked,GZIP"),
    "a parameter": file(gzip.compress(GOOD), Content_Encoding="gzip;q=1"),
    "in quotes": file(gzip.compress(GOOD), Content_Encoding='"gzip"'),
    "gzip in two members": file(gzip.compress(GOOD[:99]) + gzip.compress(GOOD[99:]), Content_Encoding="x-gzip"),
    "gzip without its checksum": file(gzip.compress(GOOD)[:-8], Content_Encoding="gzip"),
    "gzip with half a checksum": file(gzip.compress(GOOD)[:-5], Content_Encoding="gzip"),
    "gzip with a wrong checksum": file(gzip.compress(GOOD)[:-8] + bytes(8), Content_Encoding="gzip"),
    "gzip with bytes behind": file(gzip.compress(GOOD) + b"<!-- -->", Content_Encoding="gzip"),
    "gzip with a name": file(gzip_with_everything(GOOD), Content_Encoding="gzip"),
    "zlib with a wrong checksum": file(zlib.compress(GOOD)[:-4] + bytes(4), Content_Encoding="deflate"),
    # Transfer-Encoding beside chunks, and the ends of lines in them.
    "gzip in chunks": chunks(gzip.compress(GOOD), "Transfer-Encoding: gzip, chunked"),
    "gzip and chunked apart": chunks(gzip.compress(GOOD), "Transfer-Encoding: gzip", "Transfer-Encoding: chunked"),
    "gzip as transfer": answered("Transfer-Encoding: gzip", body=ZIPPED),
    "gzip until the end": garbage(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n" + ZIPPED),
    "gzip in gzip": chunks(gzip.compress(ZIPPED), "Transfer-Encoding: x-gzip, chunked", "Content-Encoding: gzip"),
    "identity as transfer": answered("Transfer-Encoding: identity"),
    "chunks with bare line feeds": chunks(GOOD, end=b"\n"),
    "chunks with two carriage returns": chunks(GOOD, end=b"\r\r\n"),
    "chunks with extensions": chunks(GOOD, end=b' ; name="a;b"\r\n', behind=b"\r\n"),
    "chunks with a trailer": chunks(GOOD, last=b"000\r\nX-Checksum: 1\r\n\r\n"),
    "gzip said twice": answered(
        "Content-Encoding: gzip", "Content-Encoding: gzip", f"Content-Length: {len(gzip.compress(GOOD, mtime=0))}",
        body=gzip.compress(GOOD, mtime=0), length=False,
    ),
    # Interim answers, and those that are as good as 200.
    "100": raw(b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD),
    "102, 103 and 199": raw(
        b"HTTP/1.1 102 x\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\n"
        b"HTTP/1.1 199 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD
    ),
    "203": answered(first="HTTP/1.1 203 Transformed"),
    "201 image": answered("Content-Type: image/jpeg", first="HTTP/1.1 201 Made"),
    "206 whole": answered(f"Content-Range: bytes 0-{len(GOOD) - 1}/{len(GOOD)}", first="HTTP/1.1 206 Partial"),
    "206 open": answered(f"Content-Range: bytes 0-{len(GOOD) - 1}/*", first="HTTP/1.1 206 Partial"),
    "206 with spaces": answered(f"Content-Range: bytes 0 - {len(GOOD) - 1} / {len(GOOD)}", first="HTTP/1.1 206 x"),
    "206 of any range": answered(f"Content-Range: bytes */{len(GOOD)}", first="HTTP/1.1 206 x"),
    "206 bare": answered(first="HTTP/1.1 206 Partial"),
    # Heads: many lines, long lines, lines that are no headers, odd status lines and lengths.
    "300 lines": answered(*(f"X-Debug-{number}: x" for number in range(300))),
    "a line of 200 kB": answered("Content-Security-Policy: " + "img-src x; " * 18_000),
    "no colon": answered("this is no header"),
    "space in a name": answered("X Y: z", "Sp ace : z"),
    "empty name": answered(": z"),
    "space before a colon": answered(f"Content-Length : {len(GOOD)}", length=False),
    "continued line": answered("X-Long: a", "\tb", "  c"),
    "continued nothing": answered(" X: continues no line"),
    "binary": answered("X\xff\x00: \x01\xfe"),
    "bare line feeds": raw(b"HTTP/1.1 200 OK\nContent-Length: %d\n\n" % len(GOOD) + GOOD),
    "bare carriage returns": answered(f"X: y\rContent-Length: {len(GOOD)}", length=False),
    "empty line first": raw(b"\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD),
    "no reason": answered(first="HTTP/1.1 200"),
    "no status": answered(first="HTTP/1.1"),
    "no status but a reason": answered(first="HTTP/1.1 OK"),
    "four bytes before": answered(first="\xef\xbb\xbf HTTP/1.1 200 OK"),
    "length behind the status": answered(first=f"HTTP/1.1 200 OK\rContent-Length: {len(GOOD)}", length=False),
    "two carriage returns": raw(b"HTTP/1.1 200 OK\r\r\nContent-Length: %d\r\r\n\r\r\n" % len(GOOD) + GOOD),
    "lower case": answered(first="http/1.1 200 ok"),
    "HTTP/2 in words": answered(first="HTTP/2 200"),
    "ICY": answered(first="ICY 200 OK"),
    "length twice": answered(f"Content-Length: {len(GOOD)}"),
    "length in a list": answered(f"Content-Length: {len(GOOD)}, {len(GOOD)}", length=False),
    "length no number": garbage(b"HTTP/1.1 200 OK\r\nContent-Length: unknown\r\n\r\n" + GOOD),
    "length and chunks": raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: Chunked\r\n\r\n"
        b"%x\r\n" % len(GOOD) + GOOD + b"\r\n0\r\n\r\n"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def server():
    with Server() as running:
        yield running


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_browsers_accept(server, tmp_path, name):
    path = f"/{quote(name)}"
    server[path] = ACCEPTED[name]
    for _ in range(2):  # twice: the connection is left in order
        downloaded = one(server, path, tmp_path)
        assert downloaded.size == len(GOOD)
        assert (tmp_path / "file").read_bytes() == GOOD


@pytest.mark.parametrize(
    ("answer", "fault", "of_host"),
    [
        (answered("Content-Range: bytes 0-9/99", first="HTTP/1.1 206 Part"), "incomplete: only a part", False),
        (answered("Content-Range: bytes 5-9/10", first="HTTP/1.1 206 Part"), "incomplete: only a part", False),
        (answered("Content-Range: bytes=0-9/99", first="HTTP/1.1 206 Part"), "incomplete: only a part", False),
        (answered("Content-Range: 0-9/99", first="HTTP/1.1 206 Part"), "incomplete: only a part", False),
        (
            answered("Content-Range: bytes 0-9998/9999", first="HTTP/1.1 206 All"),
            "incomplete: .* of bytes 0-9998",
            False,
        ),
        (
            answered(f"Content-Range: bytes */{len(GOOD) + 9}", first="HTTP/1.1 206 Some"),
            r"incomplete: [\d,]+ bytes of bytes \*/",
            False,
        ),
        (answered("Content-Type: text/html", first="HTTP/1.1 202 Later"), "bad-answer: HTTP 202", False),
        (garbage(GOOD), "bad-answer: a file without status line", False),
        (garbage(b"\n <html>Not found</html>"), "bad-answer: a file without status line", False),
        (chunks(GOOD, behind=b"more\r\n"), "bad-answer: a chunk that is longer", False),
        (chunks(GOOD, last=b"-5\r\n"), "bad-answer: a chunk of the size b'-5", False),
        (garbage(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"), "incomplete", False),
        (garbage(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabcde"), "incomplete", False),
        (file(ZIPPED[:40], Content_Encoding="gzip"), "incomplete: the gzip encoding ends too", False),
        (file(ZIPPED[:7], Content_Encoding="gzip"), "incomplete: the gzip encoding ends too", False),
        (file(ZIPPED[:30] + bytes(90), Content_Encoding="gzip"), "bad-answer: the gzip encoding is broken", False),
        (answered("Content-Length: 3"), "bad-answer: several lengths", False),
        (raw(b"HTTP/1.1 204 Nothing\r\n\r\n"), "bad-answer: HTTP 204", False),
        (file(b"\x28\xb5\x2f\xfd" + bytes(40), Content_Encoding="zstd"), "bad-answer: encoding zstd", False),
        (file(gzip.compress(GOOD)[:-9], Content_Encoding="gzip"), "incomplete: the gzip encoding ends too", False),
        (raw(b"ICY 404 Resource Not Found\r\n\r\n"), "gone: HTTP 404", False),
        (garbage(b"+OK POP3 ready\r\n"), "bad-answer: .*POP3", True),
        (garbage(b"ICYBOX ready\r\n"), "bad-answer: .*ICYBOX", True),
    ],
)
def test_what_is_odd_about_an_answer_is_said_of_the_answer(server, tmp_path, answer, fault, of_host):
    server["/odd"] = answer
    with pytest.raises(Fault, match=fault) as raised:
        one(server, "/odd", tmp_path)
    assert raised.value.of_host is of_host


@pytest.mark.parametrize(
    "lines",
    [
        ["no header at all", "X-Robots-Tag: noai"],
        ["X-Robots-Tag : noai"],
        ["X-Robots-Tag: noindex,", " noai"],
        ["X Y: 1", "x-robots-tag: all", "X-ROBOTS-TAG: bot: noimageai"],
        ["X: y\rX-Robots-Tag: noai"],
        ["X-Robots-Tag: noindex noai"],
        ['X-Robots-Tag: "noimageai"; nofollow'],
        ["X-Robots-Tag: noai\0"],
        [*(f"X-{number}: 1" for number in range(200)), "X-Robots-Tag: noai"],
    ],
)
def test_an_owners_no_is_seen_behind_whatever_comes_before_it(server, tmp_path, lines):
    server["/no"] = answered(*lines)
    with pytest.raises(Fault, match="opted-out"):
        one(server, "/no", tmp_path)


ADDRESSES = {
    "\ufeffhttp://a.b/x\u200b\u00a0": "http://a.b/x",
    "\x00\t http://a.b/x \r\n": "http://a.b/x",
    "http://a.b/one\ttwo\r\nthree": "http://a.b/onetwothree",
    "HTTP://A.B:80/X": "http://a.b/X",
    "https:\\\\a.b\\c\\..\\d?e\\f": "https://a.b/d?e\\f",
    "http:/a.b/x#y": "http://a.b/x",
    "http://a.b/100%.jpg?x%20y%zz": "http://a.b/100%.jpg?x%20y%zz",
    "http://a.b/my art/é.jpg?q='ü'": "http://a.b/my%20art/%C3%A9.jpg?q=%27%C3%BC%27",
    "http://a.b/%2E/c/%2e%2e/d/.": "http://a.b/d/",
    "http://bücher.test:8080": "http://xn--bcher-kva.test:8080/",
    "http://FUẞ.test/": "http://xn--fu-hia.test/",
    "http://日本。jp/": "http://xn--wgv71a.jp/",
    "http://i❤.ws/": "http://xn--i-7iq.ws/",
    "http://my_art.test./x": "http://my_art.test./x",
    "http://0x7f.1/": "http://127.0.0.1/",
    "http://[2001:DB8::1]:443/": "http://[2001:db8::1]:443/",
    "http://%61.b/": "http://a.b/",
}


@pytest.mark.parametrize("given", ADDRESSES)
def test_addresses_are_read_as_browsers_read_them(given):
    assert str(parse_url(given)) == ADDRESSES[given]


@pytest.mark.parametrize(
    "given",
    ["", "//a.b/x", "a.b/x", "ftp://a.b/", "http://", "http://a b/", "http://a.b:99999/", "http://a.b:x/", "http://[::1",
     "http://u@a.b/", "http://1.2.3.256/", "http://1.2.3.4.5/", "http://a%zz.b/", "http://xn--ä.b/", "http://a<b/",
     "http://a.b:" + "9" * 5000, "http://" + "9" * 5000],
)  # fmt: skip
def test_addresses_that_browsers_refuse(given):
    with pytest.raises(Fault, match="bad-url"):
        parse_url(given)


LOCATIONS = {
    "/é".encode(): "/%C3%A9",
    "/été".encode("latin-1"): "/%E9t%E9",
    b"\\x\\y": "/x/y",
    b" /x y\t": "/x%20y",
    b"?z": "/d/e?z",
    b"../..": "/",
    b"f%zz%20#top": "/d/f%zz%20",
    b"http:g": "/d/g",
    b"?": "/d/e?",
    b"x//y?": "/d/x//y?",
    b"#top": "/d/e?f",
    b".": "/d/",
}


@pytest.mark.parametrize("location", LOCATIONS)
def test_redirects_are_read_as_browsers_read_them(location):
    base = parse_url("http://a.b/d/e?f")
    assert str(follow(base, location.decode("latin-1"))) == "http://a.b" + LOCATIONS[location]


def test_empty_segments_and_queries_are_kept_in_redirects():
    base = parse_url("http://a.b:81//c//d?e")
    for location, wanted in (("f", "//c//f"), ("../f?", "//c/f?"), ("?g", "//c//d?g"), ("http:f//g", "//c//f//g")):
        assert str(follow(base, location)) == "http://a.b:81" + wanted


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0177.0.0.1", "127.0.0.1.", "127\u30020.0.1", "\uff11\uff12\uff17.0.0.1", "%31%32%37.0.0.1",
     "0", "1\t27.1", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fec0::1]", "[3fff::1]", "192.0.0.8"],
)  # fmt: skip
def test_no_spelling_of_a_private_address_is_asked(tmp_path, host):
    with pytest.raises(Fault, match="private-address"):
        one(None, f"http://{host}:9/x", tmp_path, allow_private=False)


def test_the_first_of_several_locations_counts(server, tmp_path):
    server["/two"] = raw(b"HTTP/1.1 302 x\r\nLocation: /there\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")
    server["/there"] = file(GOOD)
    assert one(server, "/two", tmp_path).final_url == server.url("/there")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_redirects_to_hosts_in_any_script(encoding):
    location = "//bücher.test/ü".encode(encoding).decode("latin-1")
    path = "/%C3%BC" if encoding == "utf-8" else "/%FC"
    assert str(follow(parse_url("https://a.b/"), location)) == "https://xn--bcher-kva.test" + path


def test_addresses_are_asked_for_exactly_and_kept_as_given(tmp_path):
    with Server() as server:
        asked = ["/100%.jpg?x%20y", "/caf%C3%A9/a%20b.jpg", "/deep/c.jpg", "/z.jpg"]
        for index, target in enumerate(asked):
            server[target] = file(jpeg(index))
        server["/moved"] = redirect("/caf\u00e9.jpg".encode().decode("latin-1"))
        server["/caf%C3%A9.jpg"] = file(jpeg(5))
        base = server.url("")
        given = [
            f"{base}/100%.jpg?x%20y",
            f" {base}/café/a b.jpg\n",
            f"{base}\\deep\\x\\..\\c.jpg",
            f"{base}/z.jpg\u200b",
        ]
        write_selection(tmp_path, "happy", [*given, f"{base}/moved"], 5)
        fetch(Workspace(tmp_path), config=settings())
        assert set(server.counts) == {*asked, "/moved", "/caf%C3%A9.jpg"}
        assert [row["src"] for row in read(tmp_path, "happy", "train")] == [*given, f"{base}/moved"]
        assert {row["outcome"] for row in ledger(tmp_path).values()} == {"ok"}
        assert ledger(tmp_path)["moved"]["final_url"] == f"{base}/caf%C3%A9.jpg"
        assert ledger(tmp_path)["z.jpg\u200b"]["final_url"] is None


def without_family(monkeypatch, error):
    """A machine on which no socket of IPv6 can be made or used, and a name with both kinds of address."""
    real_lookup, real_socket = socket.getaddrinfo, socket.socket
    tried = []

    class Socket(real_socket):
        def __init__(self, family=-1, *rest, **more):
            if family == socket.AF_INET6 and error == errno.EAFNOSUPPORT:
                tried.append(family)
                raise OSError(error, "no such family")
            super().__init__(family, *rest, **more)

        def connect(self, address):
            if self.family == socket.AF_INET6:
                tried.append(self.family)
                raise OSError(error, "no way there")
            return super().connect(address)

    def lookup(host, port, *rest, **more):
        if host != "art.test":
            return real_lookup(host, port, *rest, **more)
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]  # fmt: skip

    monkeypatch.setattr(socket, "socket", Socket)
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return tried


@pytest.mark.parametrize("error", [errno.EAFNOSUPPORT, errno.ENETUNREACH, errno.EPERM, errno.ETIMEDOUT])
def test_a_host_is_reached_by_the_address_that_works(monkeypatch, tmp_path, error):
    with Server() as server:
        for index in range(6):
            server[f"/{index}"] = file(jpeg(index), Connection="close")
        tried = without_family(monkeypatch, error)
        write_selection(tmp_path, "happy", [f"http://art.test:{server.port}/{index}" for index in range(6)], 6)
        config = settings(limits=Limits(), threads=1)
        assert fetch(Workspace(tmp_path), config=config).arrived == 6
        assert len(tried) <= config.politeness.connections, "what worked is tried first from then on"


def test_an_address_that_is_silent_leaves_time_for_the_next(monkeypatch, tmp_path):
    """Where packets to IPv6 vanish, as behind many a firewall."""
    with Server() as server:
        for index in range(6):
            server[f"/{index}"] = file(jpeg(index), Connection="close")
        without_family(monkeypatch, None)
        real = socket.socket.connect

        def connect(sock, address):
            if sock.family == socket.AF_INET6:
                time.sleep(sock.gettimeout())
                raise TimeoutError("timed out")
            return real(sock, address)

        monkeypatch.setattr(socket.socket, "connect", connect)
        write_selection(tmp_path, "happy", [f"http://art.test:{server.port}/{index}" for index in range(6)], 6)
        summary = fetch(Workspace(tmp_path), config=settings(limits=Limits(seconds=3, connect_seconds=3)))
        assert (summary.arrived, summary.failed.total()) == (6, 0)


def cookie_wall(cookie, wanted):
    def act(exchange):
        if wanted in exchange.headers.get("cookie", ""):
            exchange.send(200, GOOD)
        else:
            exchange.send(302, b"", Location=exchange.path, Set_Cookie=cookie)

    return act


def test_cookies_live_as_long_as_one_chain_of_redirects(tmp_path):
    with Server() as server:
        server["/wall"] = cookie_wall("seen=1; Path=/", "seen=1")
        server["/other"] = cookie_wall("b=2; Max-Age=3600", "b=2")
        server["/hop"] = lambda exchange: exchange.send(302, b"", Location="/wall", Set_Cookie="hop=1")
        server["/plain"] = file(GOOD)
        write_selection(tmp_path, "happy", [server.url(path) for path in ("/wall", "/other", "/hop", "/plain")], 4)
        summary = fetch(Workspace(tmp_path), config=settings(placeholder_repeats=0))
        assert summary.arrived == 4
        assert server.counts == {"/wall": 4, "/other": 2, "/hop": 1, "/plain": 1}
        assert "cookie" not in server.seen["/plain"]


@pytest.mark.parametrize("cookie", ["seen=1; Domain=elsewhere.test", "seen=1; Secure", "seen=1; Path=/elsewhere"])
def test_a_cookie_that_is_wanted_in_vain_is_named_in_the_reason(server, tmp_path, cookie):
    server["/vain"] = cookie_wall(cookie, "seen=1")
    with pytest.raises(Fault, match=r"more than 5 redirects, .*cookie"):
        one(server, "/vain", tmp_path)
    server["/home"] = status(403)
    server["/in"] = lambda exchange: exchange.send(302, b"", Location="/home", Set_Cookie=cookie)
    with pytest.raises(Fault, match=r"forbidden: HTTP 403; .*cookie"):
        one(server, "/in", tmp_path)
    server["/loop"] = redirect("/loop")
    with pytest.raises(Fault) as loop:
        one(server, "/loop", tmp_path)
    assert "cookie" not in str(loop.value)


def test_private_rows_are_named_with_the_way_to_allow_them(bamkit, monkeypatch, tmp_path):
    """One public host among them: the fetch succeeds, and the hint appears all the same."""
    real = addresses.is_public
    monkeypatch.setattr(addresses, "is_public", lambda address: str(address) == "127.0.0.1" or real(address))
    with Server() as server:
        server["/a"] = file(GOOD)
        server["/gone"] = status(404)
        urls = [server.url("/a"), server.url("/gone"), "http://10.0.0.1/x", "http://[::1]/y", "http://0x7f000002/z"]
        write_selection(tmp_path, "happy", urls, 5)
        assert "--allow-private   # if the 3 pictures on" in bamkit("fetch", cwd=tmp_path).output
        write_selection(tmp_path, "happy", urls[:2], 2)
        assert "--allow-private" not in bamkit("fetch", cwd=tmp_path).output
