"""A real forward proxy on loopback: plain requests with an absolute target, and CONNECT tunnels."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from urllib.parse import urlsplit

from misbehaving import RULES


class Proxy:
    """A context manager. Names in `hosts` lead to loopback; `log` holds the first line of every request it got, `asked`
    those for robots.txt and its like.

    `password`: a `Proxy-Authorization` header that it wants. `refused`: hosts that it lets nobody reach.
    """

    def __init__(self, password: str = "", refused: tuple[str, ...] = (), hosts: tuple[str, ...] = ()) -> None:
        self.password, self.refused, self.hosts = password, refused, hosts
        self.log: list[str] = []
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Proxy:
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    owner._serve(self.request)

        class Tcp(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

        self.tcp = Tcp(("127.0.0.1", 0), Handler)
        self.port = self.tcp.server_address[1]
        threading.Thread(target=self.tcp.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.tcp.shutdown()
        self.tcp.server_close()

    def _serve(self, client: socket.socket) -> None:
        waiting = b""
        while True:
            while b"\r\n\r\n" not in waiting:
                data = client.recv(65536)
                if not data:
                    return
                waiting += data
            head, _, waiting = waiting.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            (self.asked if first.split()[1].endswith(RULES) else self.log).append(first)
            self.headers.append(headers)
            method, target, _ = first.split(" ")
            parts = urlsplit(target if "://" in target else f"//{target}")
            if self.password and headers.get("proxy-authorization") != self.password:
                client.sendall(b"HTTP/1.1 407 Password\r\nContent-Length: 0\r\n\r\n")
                continue
            if parts.hostname in self.refused:
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                continue
            host = "127.0.0.1" if parts.hostname in self.hosts else parts.hostname
            with socket.create_connection((host, parts.port or 80), timeout=10) as server:
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                    back = threading.Thread(target=pump, args=(server, client), daemon=True)
                    back.start()
                    pump(client, server)
                    back.join()
                    return
                path = target[target.index("/", target.index("//") + 2) :]
                kept = [line for line in lines if not line.lower().startswith(("proxy-", "connection"))]
                server.sendall("\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""]).encode())
                server.shutdown(socket.SHUT_WR)
                pump(server, client)
                return


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on all that comes, then the end of it."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
