"""The transport under the `requests` session: checked addresses, deadlines, lenient heads, proxies, exact targets."""

from __future__ import annotations

import functools
import os
import socket
import ssl
from typing import Any

import certifi
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from bamkit.common.errors import BamkitError
from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.http.addresses import Resolver
from bamkit.curate.fetch.http.deadlines import Deadlines
from bamkit.curate.fetch.http.head import LenientResponse

POOLS = 256


class Dialer:
    """Opens sockets to the addresses that the resolver allows, within what is left of the request's time."""

    def __init__(self, resolver: Resolver, proxy_resolver: Resolver, deadlines: Deadlines, seconds: float) -> None:
        self.resolver, self.proxy_resolver, self.deadlines, self.seconds = resolver, proxy_resolver, deadlines, seconds

    def __call__(self, host: str, port: int, is_proxy: bool) -> socket.socket:
        """A connected socket. The addresses of the host are tried one after another. Raises Fault(`unreachable`)."""
        resolver = self.proxy_resolver if is_proxy else self.resolver
        prefix = f"the proxy {host}:{port}: " if is_proxy else ""
        last: OSError | None = None
        addresses = resolver(host, port)
        for number, address in enumerate(addresses):
            try:
                sock = self._connect(*address, share=1 / (len(addresses) - number))
            except OSError as error:
                last = error
            else:
                resolver.prefer(host, port, address)
                return sock
        if isinstance(last, TimeoutError):
            raise Fault("unreachable", f"{prefix}no connection within {self.seconds:g} s") from last
        raise Fault("unreachable", prefix + (getattr(last, "strerror", None) or str(last))) from last

    def _connect(self, family: int, address: tuple[Any, ...], share: float) -> socket.socket:
        # Also to make the socket may fail: a machine without IPv6 has no such family.
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            # An address that does not answer must leave time for the next one.
            sock.settimeout(min(self.seconds, self.deadlines.left()) * share)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.deadlines.attach(sock)
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock


class _Connection:
    """What the plain and the TLS connection share; `dialer` comes through the pool's `conn_kw`."""

    response_class: Any = LenientResponse
    _dns_host: str
    port: int
    proxy: Any
    sock: Any

    def __init__(self, *args: Any, dialer: Dialer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dialer = dialer
        self.answered = False

    def _new_conn(self) -> socket.socket:
        return self.dialer(self._dns_host.strip("[]"), self.port, self.proxy is not None)

    def connect(self) -> None:
        self.answered = False
        super().connect()  # type: ignore[misc]
        # TLS has replaced the socket by another one.
        self.dialer.deadlines.attach(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            self.dialer.deadlines.attach(self.sock)
        super().request(*args, **kwargs)  # type: ignore[misc]


class _PlainConnection(_Connection, HTTPConnection):
    pass


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool:
    """Sends request targets as they are given: urllib3 would escape every `%` again where one of them is stray.

    A kept-alive connection may be closed by the host at the moment it is used again. A request that such a connection
    ends without a byte of an answer is sent once more, over a new connection (RFC 9112, section 9.3.1).
    """

    proxy: Any

    def urlopen(self, method: str, url: str, *args: Any, **kwargs: Any) -> urllib3.BaseHTTPResponse:
        return super().urlopen(method, url, *args, exact_target=url, **kwargs)  # type: ignore[misc, no-any-return]

    def _make_request(self, conn: Any, method: str, _: str, *args: Any, exact_target: str, **kwargs: Any) -> Any:
        send = functools.partial(super()._make_request, conn, method, exact_target, *args, **kwargs)  # type: ignore[misc]
        kept, tunnel = conn.answered, conn._tunnel_host is not None
        try:
            response = send()
        except ConnectionResetError:
            if not kept:
                raise
            conn.close()
            if tunnel:
                self._prepare_proxy(conn)  # type: ignore[attr-defined]
            response = send()
        conn.answered = True
        return response


class _PlainPool(_Pool, HTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _PlainConnection


class _TlsPool(_Pool, HTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _TlsConnection


class CheckedAdapter(HTTPAdapter):
    """Sends prepared requests over kept-alive connections that `dialer` opens; TLS is verified with one context.

    Up to `connections` are kept for each host or proxy. Nothing is repeated here: whether and when to ask again is
    decided by the scheduler.
    """

    def __init__(self, dialer: Dialer, context: ssl.SSLContext, connections: int) -> None:
        self.context = context
        self.pool_classes = {
            "http": functools.partial(_PlainPool, dialer=dialer),
            "https": functools.partial(_TlsPool, dialer=dialer),
        }
        super().__init__(pool_connections=POOLS, pool_maxsize=connections, max_retries=urllib3.Retry(False))

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=self.context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self.pool_classes

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """The pools of one proxy. Raises Fault(`unreachable`) for a SOCKS proxy."""
        if not proxy.lower().startswith(("http:", "https:")):
            raise Fault("unreachable", f"a {proxy.partition(':')[0]} proxy: only http and https proxies are supported")
        manager = super().proxy_manager_for(proxy, ssl_context=self.context, proxy_ssl_context=self.context, **kwargs)
        manager.pool_classes_by_scheme = self.pool_classes
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing to do: the context of all connections verifies. (requests would load all authorities for each.)"""


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """A verifying context: the system's certificates and certifi's, or `ca_file` alone. Raises BamkitError."""
    if ca_file is None:
        return _default_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BamkitError(f"--ca-file {ca_file} is not a readable PEM file: {error}") from error


@functools.cache
def _default_context(*places: str | None) -> ssl.SSLContext:
    """One for all fetches of a process, as authorities take long to load; `places` is where OpenSSL looks for them."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
