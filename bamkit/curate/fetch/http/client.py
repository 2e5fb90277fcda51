"""One HTTP client for all threads: urllib3's pools, connected to checked addresses, with a deadline that holds."""

from __future__ import annotations

import email.utils
import hashlib
import socket
import ssl
import threading
import time
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InvalidChunkLength,
    LocationParseError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from bamkit.common.errors import BamkitError
from bamkit.curate.fetch.faults import Fault, of_status
from bamkit.curate.fetch.http.addresses import Resolver, checked_url, follow
from bamkit.curate.fetch.http.body import Answer, Body, plain
from bamkit.curate.fetch.settings import FetchSettings

DRAIN = 1 << 16
SMALL = 1 << 16
REDIRECTS = (301, 302, 303, 307, 308)
_here = threading.local()


class Guard:
    """Ends requests whose time is up by shutting their socket, whatever they are waiting for just then.

    Timeouts of a socket start anew with every byte, so that a server which drips one byte a second could hold a thread
    for ever; here a watching thread compares each request's start with its total time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, tuple[float, list[socket.socket]]] = {}
        self._expired: set[int] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="bamkit-deadlines", daemon=True)
        self._thread.start()

    def begin(self, seconds: float) -> None:
        """The calling thread starts a request that may take `seconds`."""
        with self._lock:
            self._expired.discard(threading.get_ident())
            self._open[threading.get_ident()] = (time.monotonic() + seconds, [])

    def attach(self, sock: socket.socket) -> None:
        """The calling thread's request now waits for `sock`."""
        with self._lock:
            if entry := self._open.get(threading.get_ident()):
                entry[1].append(sock)

    def end(self) -> bool:
        """The calling thread's request is over; True if its time had run out."""
        with self._lock:
            self._open.pop(threading.get_ident(), None)
            return threading.get_ident() in self._expired

    def left(self) -> float:
        """Seconds that the calling thread's request has left. Raises Fault(`timeout`) when there are none."""
        with self._lock:
            entry = self._open.get(threading.get_ident())
        if entry is None:
            return 3600.0
        left = entry[0] - time.monotonic()
        if left <= 0:
            raise Fault("timeout", "not finished in the total time for one image")
        return left

    def abort(self) -> None:
        """End all requests at once."""
        with self._lock:
            for thread, (_, socks) in self._open.items():
                self._shut(thread, socks)

    def close(self) -> None:
        self._ended.set()
        self.abort()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            now = time.monotonic()
            with self._lock:
                for thread, (deadline, socks) in self._open.items():
                    if now > deadline:
                        self._shut(thread, socks)

    def _shut(self, thread: int, socks: list[socket.socket]) -> None:
        self._expired.add(thread)
        for sock in socks:
            try:
                # The plain socket's method: an SSLSocket's own would take its TLS state away under the reading thread.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                continue


class _Pinned:
    """Connects to the addresses the resolver allowed, and tells the guard which socket is waited for."""

    host: str
    port: int
    sock: Any
    timeout: Any
    client: Client

    def _new_conn(self) -> socket.socket:
        client = _here.client
        limit = client.config.limits.connect_seconds
        last: OSError | None = None
        for family, address in client.resolver(self.host.strip("[]"), self.port):
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(min(limit, client.guard.left()))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.guard.attach(sock)
                sock.connect(address)
            except OSError as error:
                sock.close()
                last = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        if isinstance(last, TimeoutError):
            raise Fault("unreachable", f"no connection within {limit:g} s") from last
        raise Fault("unreachable", getattr(last, "strerror", None) or str(last)) from last

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        # TLS has replaced the socket by another one.
        _here.client.guard.attach(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            _here.client.guard.attach(self.sock)
        super().request(*args, **kwargs)  # type: ignore[misc]


class _Plain(_Pinned, HTTPConnection):
    pass


class _Secure(_Pinned, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class Client:
    """`get` may be called from many threads at once. Connections are kept alive; TLS is verified, with one context."""

    def __init__(self, config: FetchSettings) -> None:
        self.config = config
        self.guard = Guard()
        self.resolver = Resolver(config.allow_private)
        self.headers = {
            "User-Agent": config.politeness.user_agent,
            "Accept": "image/*,*/*;q=0.5",
            "Accept-Encoding": "identity",
        }
        self.pools = urllib3.PoolManager(
            num_pools=256,
            maxsize=config.politeness.connections,
            ssl_context=trust(config.ca_file),
            timeout=urllib3.Timeout(connect=config.limits.connect_seconds, read=config.limits.silence),
        )
        self.pools.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}

    def close(self) -> None:
        """End what is under way and close all connections."""
        self.guard.close()
        self.pools.clear()

    def get(self, url: str, path: Path) -> Answer:
        """Fetch `url`; a file that is large or to be kept is written to the new file `path`.

        Raises Fault for everything that goes wrong with it. An OSError is a fault of this machine's disk and not of
        the image.
        """
        _here.client = self
        limits = self.config.limits
        self.guard.begin(limits.seconds)
        fault: Fault | None = None
        try:
            return self._follow(url, path)
        except Fault as found:
            fault = found
        except (HTTPError, LocationParseError) as error:
            fault = _translate(error, limits.silence)
        except ValueError as error:
            # What http.client and urllib3 raise for answers that are no HTTP at all (UnicodeError is one, too).
            fault = Fault("bad-answer", _said(error))
        finally:
            late = self.guard.end()
        if late and fault.name in ("reset", "incomplete", "bad-answer", "unreachable", "tls", "timeout"):
            fault = Fault("timeout", f"not finished after {limits.seconds:g} s", fault.status)
        raise fault

    def _follow(self, url: str, path: Path) -> Answer:
        here = url
        for _ in range(self.config.limits.max_redirects + 1):
            checked_url(here)
            response = self.pools.urlopen(
                "GET", here, headers=self.headers, preload_content=False, redirect=False, retries=False
            )
            whole = False
            try:
                if response.status in REDIRECTS:
                    here = follow(here, response.headers.get("Location"))
                    whole = _drained(response)
                    continue
                if response.status != 200:
                    after = retry_after(response.headers.get("Retry-After"))
                    whole = _drained(response)
                    raise of_status(response.status, retry_after=after)
                self._consent(response)
                answer = self._save(response, path, here)
                whole = True
                return answer
            finally:
                # A connection with an unread rest cannot be used again.
                response.release_conn() if whole else response.close()
        raise Fault("redirects", f"more than {self.config.limits.max_redirects} redirects, the last to {here}")

    def _consent(self, response: urllib3.BaseHTTPResponse) -> None:
        if not self.config.politeness.honour_noai:
            return
        for value in response.headers.getlist("X-Robots-Tag"):
            # `unavailable_after: 25 Jun 2030` and `botname: noai` carry a colon; what follows the last one counts.
            words = {word.rpartition(":")[2].strip().lower() for word in value.split(",")}
            if refused := words & {"noai", "noimageai"}:
                raise Fault("opted-out", f"X-Robots-Tag: {', '.join(sorted(refused))}", 200)

    def _save(self, response: urllib3.BaseHTTPResponse, path: Path, final_url: str) -> Answer:
        limit = self.config.limits.max_bytes
        announced = response.headers.get("Content-Length", "")
        if announced.isascii() and announced.isdigit() and int(announced) > limit:
            raise Fault("too-many-bytes", f"{int(announced):,} bytes announced", 200)
        sha256 = hashlib.sha256()
        md5 = hashlib.md5(usedforsecurity=False)
        with Body(path) as body:
            for chunk in plain(response):
                body.write(chunk)
                if body.size > limit:
                    raise Fault("too-many-bytes", f"more than {limit:,} bytes", 200)
                sha256.update(chunk)
                if wanted := self.config.lists_md5 or body.size <= SMALL:
                    md5.update(chunk)
            if body.size == 0:
                raise Fault("not-a-picture", "an empty file", 200)
            data = body.data()
        if data is not None and self.config.originals:
            path.write_bytes(data)
        kind = (response.headers.get("Content-Type") or "").partition(";")[0].strip().lower()[:80] or None
        hashes = sha256.hexdigest(), md5.hexdigest() if wanted else None
        return Answer(path, data, *hashes, body.size, kind, 200, final_url)


def trust(ca_file: str | None) -> ssl.SSLContext:
    """The one TLS context of a client, verifying: the system's certificates and certifi's, or `ca_file` alone."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BamkitError(f"--ca-file {ca_file} is not a readable PEM file: {error}") from error
    if ca_file is None:
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for (a number or a date), or None if there is none that makes sense."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = email.utils.parsedate_to_datetime(text)
        return max(0.0, when.timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _drained(response: urllib3.BaseHTTPResponse) -> bool:
    """Read the rest of an unwanted answer if it is short, so that the connection can be kept."""
    announced = response.headers.get("Content-Length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > DRAIN:
        return False
    try:
        return len(response.read(DRAIN, decode_content=False)) < DRAIN
    except HTTPError:
        return False


def _translate(error: Exception, silent: float) -> Fault:
    """The fault behind an exception of urllib3; `silent` is the longest silence in seconds."""
    inner = error.args[-1] if error.args else error
    if isinstance(error, SSLError):
        return Fault("tls", _said(error))
    if isinstance(error, ReadTimeoutError):
        return Fault("timeout", f"nothing came for {silent:g} s")
    if isinstance(error, ConnectTimeoutError):
        return Fault("timeout", _said(error))
    for found in (error, inner):
        # urllib3's own IncompleteRead is one of http.client's, too; a chunk of no length is the end of the connection.
        if isinstance(found, IncompleteRead) or (isinstance(found, InvalidChunkLength) and not found.length):
            return Fault("incomplete", _said(found), 200)
    if isinstance(error, NewConnectionError):
        return Fault("unreachable", _said(error))
    if isinstance(error, LocationParseError):
        return Fault("bad-url", _said(error))
    if isinstance(error, ProtocolError) and isinstance(inner, OSError | EOFError):
        return Fault("reset", _said(inner))
    return Fault("bad-answer", _said(error))


def _said(error: object) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
