"""A loopback HTTP server that answers every path as it was told to, as badly as that may be."""

from __future__ import annotations

import contextlib
import gzip
import socket
import socketserver
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

Answer = Callable[["Exchange"], None]
RULES = ("/robots.txt", "/.well-known/tdmrep.json", "/ai.txt")
"""What a host is asked for before its pictures: not in the log, so that tests count pictures."""


class Exchange:
    """One request and the means to answer it. `close` ends the connection after the answer."""

    def __init__(self, server: Server, sock: socket.socket, path: str, headers: dict[str, str], number: int) -> None:
        self.server, self.sock, self.path, self.headers, self.number = server, sock, path, headers, number
        self.close = False

    def raw(self, data: bytes) -> None:
        self.sock.sendall(data)

    def head(self, status: int, headers: dict[str, object]) -> None:
        lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.raw("\r\n".join(lines).encode("latin-1"))

    def send(self, status: int, body: bytes = b"", **headers: object) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.head(status, {"Content-Length": len(body), **named})
        self.raw(body)

    def pause(self, seconds: float) -> None:
        self.server.ended.wait(seconds)

    def reset(self) -> None:
        """End the connection with an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close = True


class Server:
    """A context manager: `server["/a.jpg"] = file(data)` sets an answer; unknown paths get 404.

    `log` holds (time, path) of every request for a picture in order of arrival, `most` the largest number under way at
    once. `rules` answers for robots.txt and its like, unless one has an answer of its own; `asked` counts those.
    """

    def __init__(
        self, tls: ssl.SSLContext | None = None, default: Answer | None = None, rules: Answer | None = None
    ) -> None:
        self.answers: dict[str, Answer] = {}
        self.rules = rules
        self.asked: Counter[str] = Counter()
        self.default = default
        self.tls = tls
        self.log: list[tuple[float, str]] = []
        self.seen: dict[str, dict[str, str]] = {}
        self.connections = 0
        self.active = self.most = 0
        self.ended = threading.Event()
        self.lock = threading.Lock()

    def __setitem__(self, path: str, answer: Answer) -> None:
        self.answers[path] = answer

    def url(self, path: str) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{path}"

    @property
    def counts(self) -> Counter[str]:
        """Requests by path."""
        with self.lock:
            return Counter(path for _, path in self.log)

    def __enter__(self) -> Server:
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, ssl.SSLError):
                    owner._serve(self.request)

        class Tcp(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True
            request_queue_size = 256

            def handle_error(self, request: object, client_address: object) -> None:
                if not owner.ended.is_set():
                    super().handle_error(request, client_address)

        self.tcp = Tcp(("127.0.0.1", 0), Handler)
        self.port = self.tcp.server_address[1]
        threading.Thread(target=self.tcp.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.tcp.shutdown()
        self.tcp.server_close()

    def _serve(self, sock: socket.socket) -> None:
        with self.lock:
            self.connections += 1
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            sock = self.tls.wrap_socket(sock, server_side=True)
        waiting = b""
        with sock:
            while not self.ended.is_set():
                while b"\r\n\r\n" not in waiting:
                    data = sock.recv(65536)
                    if not data:
                        return
                    waiting += data
                head, _, waiting = waiting.partition(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                path = first.split(" ")[1]
                headers = {name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
                with self.lock:
                    if path in RULES:
                        self.asked[path] += 1
                        number = self.asked[path]
                    else:
                        self.log.append((time.monotonic(), path))
                        number = sum(seen == path for _, seen in self.log) if len(self.log) < 2000 else 0
                    self.seen[path] = headers
                    self.active += 1
                    self.most = max(self.most, self.active)
                exchange = Exchange(self, sock, path, headers, number)
                try:
                    default = self.rules if path in RULES else self.default
                    self.answers.get(path, default or status(404))(exchange)
                finally:
                    with self.lock:
                        self.active -= 1
                if exchange.close:
                    return


def file(data: bytes, kind: str = "image/jpeg", **headers: object) -> Answer:
    return lambda exchange: exchange.send(200, data, Content_Type=kind, **headers)


def status(code: int, body: bytes = b"<html>sorry</html>", **headers: object) -> Answer:
    return lambda exchange: exchange.send(code, body, Content_Type="text/html", **headers)


def redirect(to: str, code: int = 302) -> Answer:
    return lambda exchange: exchange.send(code, b"", Location=to)


def first(times: int, bad: Answer, good: Answer) -> Answer:
    """`bad` for the first requests of a path, `good` from then on."""
    return lambda exchange: (bad if exchange.number <= times else good)(exchange)


def slow(seconds: float, answer: Answer) -> Answer:
    def act(exchange: Exchange) -> None:
        exchange.pause(seconds)
        answer(exchange)

    return act


def hang_up(exchange: Exchange) -> None:
    """Close the connection without a word, as a host does that has just ended an idle connection."""
    exchange.close = True


def reset(data: bytes = b"") -> Answer:
    """Send the first half of a file (or nothing) and break the connection."""

    def act(exchange: Exchange) -> None:
        if data:
            exchange.head(200, {"Content-Length": len(data), "Content-Type": "image/jpeg"})
            exchange.raw(data[: len(data) // 2])
        exchange.reset()

    return act


def hang(exchange: Exchange) -> None:
    exchange.pause(60)
    exchange.close = True


def drip(data: bytes, where: str = "body", pause: float = 0.15) -> Answer:
    """One byte at a time: of the body, or of the head."""

    def act(exchange: Exchange) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        if where == "body":
            exchange.raw(head)
            head = b""
        for byte in head + data:
            exchange.raw(bytes([byte]))
            exchange.pause(pause)
            if exchange.server.ended.is_set():
                break
        exchange.close = True

    return act


def announced(data: bytes, length: int) -> Answer:
    """A Content-Length that is not true; the connection ends after the data."""

    def act(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Length": length, "Content-Type": "image/jpeg"})
        exchange.raw(data)
        exchange.close = True

    return act


def unannounced(data: bytes) -> Answer:
    """No length: the end of the connection is the end of the file."""

    def act(exchange: Exchange) -> None:
        exchange.head(200, {"Connection": "close"})
        exchange.raw(data)
        exchange.close = True

    return act


def chunked(data: bytes, whole: bool = True) -> Answer:
    def act(exchange: Exchange) -> None:
        exchange.head(200, {"Transfer-Encoding": "chunked"})
        for start in range(0, len(data), 1000):
            part = data[start : start + 1000]
            exchange.raw(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        if whole:
            exchange.raw(b"0\r\n\r\n")
        exchange.close = not whole

    return act


def gzip_bomb(megabytes: int) -> Answer:
    """A small gzip body that unpacks to many megabytes."""
    data = gzip.compress(bytes(megabytes * 1_000_000), 9)
    return file(data, Content_Encoding="gzip")


def endless(exchange: Exchange) -> None:
    """A body without a length that never ends."""
    exchange.head(200, {"Content-Type": "image/jpeg"})
    exchange.close = True
    while not exchange.server.ended.is_set():
        exchange.raw(b"\xff" * 100_000)


def garbage(data: bytes) -> Answer:
    """Bytes that are no HTTP."""

    def act(exchange: Exchange) -> None:
        exchange.raw(data)
        exchange.close = True

    return act


def raw(data: bytes) -> Answer:
    """Just these bytes; the connection stays open."""
    return lambda exchange: exchange.raw(data)


def from_folder(folder: Path) -> Answer:
    """Files of a folder by their path."""
    return lambda exchange: exchange.send(200, (folder / exchange.path.lstrip("/")).read_bytes())
