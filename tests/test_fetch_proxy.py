"""Proxies named by HTTP_PROXY, HTTPS_PROXY and NO_PROXY: a real one on loopback, for http and for CONNECT."""

from __future__ import annotations

import socket
import time

import pytest
from fetching import jpeg, write_selection
from loopback_proxy import Proxy
from misbehaving import Server, drip, file, first, hang_up, redirect, status
from test_fetch import ledger, settings
from test_fetch_faults import certificate, one

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace
from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.http.client import Client
from bamkit.curate.fetch.run import fetch
from bamkit.curate.fetch.settings import FetchSettings, Limits, Politeness

GOOD = jpeg(7)


@pytest.fixture
def unknown_names(monkeypatch):
    """No name server: as on a cluster's nodes, only the proxy knows names. Gives the names that were looked up."""
    real, asked = socket.getaddrinfo, []

    def lookup(host, port, *rest, **more):
        if host == "localhost" or host.replace(".", "").isdigit() or ":" in host:
            return real(host, port, *rest, **more)
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


def test_http_goes_through_the_proxy(monkeypatch, tmp_path, unknown_names):
    with Server() as server, Proxy(hosts=("art.test",)) as proxy:
        server["/a%20b%zz.jpg"] = file(GOOD)
        server["/moved"] = redirect("/a%20b%zz.jpg")
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        base = f"http://art.test:{server.port}"
        assert one(None, f"{base}/moved", tmp_path, allow_private=False).size == len(GOOD)
        assert proxy.log == [f"GET {base}/moved HTTP/1.1", f"GET {base}/a%20b%zz.jpg HTTP/1.1"]
        assert proxy.asked[0] == f"GET {base}/robots.txt HTTP/1.1"
        assert server.seen["/moved"]["host"] == f"art.test:{server.port}"
        assert unknown_names == ["art.test"], "a name unknown here is not looked up again for every request"


def test_https_goes_through_a_tunnel_and_is_verified(monkeypatch, tmp_path, unknown_names):
    context, pem = certificate(tmp_path, "art.test")
    with Server(context) as server, Proxy(hosts=("art.test", "other.test")) as proxy:
        server["/a"] = file(GOOD)
        server["/drip"] = drip(GOOD)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        base = f"https://art.test:{server.port}"
        assert one(None, f"{base}/a", tmp_path, ca_file=str(pem)).size == len(GOOD)
        assert [line.rpartition(" ")[0] for line in proxy.log] == [f"CONNECT art.test:{server.port}"]
        with pytest.raises(Fault, match="tls"):
            one(None, f"https://other.test:{server.port}/a", tmp_path, ca_file=str(pem))
        with pytest.raises(Fault, match="tls"):
            one(None, f"{base}/a", tmp_path)
        started = time.monotonic()
        with pytest.raises(Fault, match="timeout"):
            one(None, f"{base}/drip", tmp_path, ca_file=str(pem), limits=Limits(seconds=0.5))
        assert time.monotonic() - started < 30  # drip by drip it would be minutes


def test_a_tunnel_that_was_kept_and_ends_is_opened_again(monkeypatch, tmp_path, unknown_names):
    context, pem = certificate(tmp_path, "art.test")
    with Server(context) as server, Proxy(hosts=("art.test",)) as proxy:
        server["/a"], server["/b"] = file(GOOD), first(1, hang_up, file(GOOD))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        client = Client(FetchSettings(allow_private=True, ca_file=str(pem)))
        try:
            for path in ("/a", "/b"):
                assert client.get(f"https://art.test:{server.port}{path}", tmp_path / "file").size == len(GOOD)
        finally:
            client.close()
        assert [line.rpartition(" ")[0] for line in proxy.log] == [f"CONNECT art.test:{server.port}"] * 2


@pytest.mark.parametrize("no_proxy", ["art.test", ".test", "*", "127.0.0.1,art.test"])
def test_no_proxy_names_hosts_that_are_asked_directly(monkeypatch, tmp_path, no_proxy):
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: real("127.0.0.1" if host == "art.test" else host, *a, **k)
    )
    with Server() as server, Proxy() as proxy:
        server["/a"] = file(GOOD)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", no_proxy)
        assert one(None, f"http://art.test:{server.port}/a", tmp_path).size == len(GOOD)
        assert proxy.log == []


@pytest.mark.parametrize("target", ["http://10.0.0.1/x", "http://[::1]/x", "http://2130706433/x", "http://localhost/x"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_private_addresses_stay_refused(monkeypatch, tmp_path, unknown_names, target, scheme):
    target = target.replace("http:", scheme + ":")
    with Server() as server, Proxy(hosts=("art.test",)) as proxy:
        server["/to"] = redirect(target)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(Fault, match="private-address"):
            one(None, target, tmp_path, allow_private=False)
        assert proxy.log == []
        with pytest.raises(Fault, match="private-address"):
            one(None, f"http://art.test:{server.port}/to", tmp_path, allow_private=False)
        assert len(proxy.log) == 1


def test_a_proxy_with_a_password(monkeypatch, tmp_path, unknown_names):
    with Server() as server, Proxy("Basic bWU6c2VjcmV0", hosts=("art.test",)) as proxy:
        server["/a"] = file(GOOD)
        url = f"http://art.test:{server.port}/a"
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//me:secret@"))
        assert one(None, url, tmp_path).size == len(GOOD)
        assert "proxy-authorization" not in server.seen["/a"]
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:wrong@"))
        for address in (url, url.replace("http:", "https:")):
            with pytest.raises(Fault, match=r"unreachable: .*proxy.*(password|407)") as raised:
                one(None, address, tmp_path)
            assert "wrong" not in str(raised.value)


@pytest.mark.parametrize("way", ["down", "refuses", "socks", "nonsense"])
def test_a_proxy_that_does_not_work_is_named_and_nothing_is_recorded(monkeypatch, tmp_path, unknown_names, way):
    with socket.create_server(("127.0.0.1", 0)) as unused, Proxy(refused=("art.test",)) as proxy:
        down = f"http://127.0.0.1:{unused.getsockname()[1]}"
        unused.close()
        value = {"down": down, "refuses": proxy.url, "socks": "socks5://127.0.0.1:1", "nonsense": "http://:80"}[way]
        monkeypatch.setenv("HTTPS_PROXY", value)
        write_selection(tmp_path, "happy", [f"https://art.test/{index}" for index in range(30)], 30)
        config = settings(politeness=Politeness(first_pause=0.02, backoff=0.01), allow_private=False)
        with pytest.raises(BamkitError, match=r"30 host-down .*unreachable: .*proxy"):
            fetch(Workspace(tmp_path), config=config)
        assert ledger(tmp_path) == {}


def test_a_whole_fetch_through_a_proxy(monkeypatch, tmp_path, bamkit, unknown_names):
    with Server() as server, Proxy(hosts=("art.test",)) as proxy:
        for index in range(8):
            server[f"/{index}"] = file(jpeg(index)) if index != 3 else status(404)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        write_selection(tmp_path, "happy", [f"http://art.test:{server.port}/{index}" for index in range(8)], 6)
        assert "6 of 7 pictures arrived" in bamkit("fetch --size 48", cwd=tmp_path).output
        assert len(proxy.log) == len(server.log) == 7
