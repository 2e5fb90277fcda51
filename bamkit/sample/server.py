"""A server on this machine that paints the sample's pictures on request and misbehaves as the real host does."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from bamkit.common.errors import BamkitError
from bamkit.sample.addresses import mid_of
from bamkit.sample.database import sample_of
from bamkit.sample.encode import content_type
from bamkit.sample.faults import Fault, fault_of, placeholder
from bamkit.sample.pool import Painters

HOST = "127.0.0.1"
CACHE_BYTES = 64_000_000


class SampleServer:
    """Serves the pictures of a sample workspace (or database file) on 127.0.0.1, in threads of this process.

    A context manager: the port is open when the block begins and closed when it ends. `port` is by default the one
    that the sample's addresses name; 0 takes any free one. `faults` is the share of addresses that never give their
    picture (404, a placeholder with status 200, a file cut short); transfers cut short, 500, 429 and slow answers come
    on top in proportion and heal at the second request. `processes` is the number of painting processes beside this
    one (0 paints in the threads). Raises BamkitError if the port is taken or the sample cannot be read.
    """

    def __init__(self, sample: Path | str, port: int | None = None, faults: float = 0.06, processes: int = 0) -> None:
        if not 0 <= faults <= 0.45:
            raise BamkitError(f"the share of faults must be from 0 to 0.45, not {faults}")
        details = sample_of(sample)
        self.seed, self.paths = details.seed, details.paths
        self.port = details.port if port is None else port
        self.faults = faults
        self.processes = processes
        self.requests: Counter[str] = Counter()
        """How often each path was asked for."""
        self.outcomes: Counter[str] = Counter()
        """How often each kind of answer was given: "ok" or the name of a fault."""
        self._lock = threading.Lock()
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._cached = 0
        self._painters: Painters | None = None
        self._http: _Http | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> SampleServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Open the port and begin to answer; returns at once."""
        try:
            self._http = _Http((HOST, self.port), _Handler)
        except OSError as error:
            raise BamkitError(
                f"port {self.port} on this machine cannot be opened: {error.strerror}",
                "stop the server that has it, or make the sample with another --port",
            ) from error
        self.port = self._http.server_address[1]
        self._http.sample = self
        try:
            self._painters = Painters(self.seed, self.processes)
        except OSError:
            self._http.server_close()
            raise
        threading.Thread(target=self._http.serve_forever, args=(0.05,), name="sample-server", daemon=True).start()

    def stop(self) -> None:
        """Close the port and every open connection. Does nothing if the server does not run."""
        http, self._http = self._http, None
        if http is None:
            return
        http.shutdown()
        http.server_close()
        http.drop_connections()
        if self._painters:
            self._painters.close()

    def picture(self, mid: int) -> bytes:
        """The file of a mid, painted now or taken from the cache of those painted last."""
        with self._lock:
            if mid in self._cache:
                self._cache.move_to_end(mid)
                return self._cache[mid]
        assert self._painters is not None, "the server is not running"
        data = self._painters.paint(mid)
        with self._lock:
            if mid not in self._cache:
                self._cache[mid] = data
                self._cached += len(data)
            while self._cached > CACHE_BYTES:
                self._cached -= len(self._cache.popitem(last=False)[1])
        return data

    def note(self, path: str, fault: Fault | None) -> Fault | None:
        """Count a request; gives the fault to commit now, or None if this answer is to be good."""
        with self._lock:
            self.requests[path] += 1
            if fault is not None and not fault.lasting and self.requests[path] > 1:
                fault = None
            self.outcomes[fault.name if fault else "ok"] += 1
        return fault


def serve_until_stopped(
    sample: Path | str,
    faults: float = 0.06,
    processes: int = 0,
    ready: Callable[[str, int], None] = lambda url, pictures: None,
) -> Counter[str]:
    """Serve in the foreground until Ctrl-C or SIGTERM; gives how often each kind of answer was given.

    `ready(url, pictures)` is called when the port is open. Call it from the main thread, which receives the signals.
    """
    stopped = threading.Event()
    former = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with SampleServer(sample, None, faults, processes) as server:
            ready(server.url, len(server.paths))
            # A wait without a limit cannot be interrupted on Windows.
            while not stopped.wait(0.5):
                pass
        return server.outcomes
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    sample: SampleServer

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        """End connections that clients keep alive, so that their threads end too."""
        for request in list(self._open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error; anything else is one and is printed."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError | ValueError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60
    server: _Http

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        sample = self.server.sample
        path = self.path.partition("?")[0]
        if path == "/":
            self._send(200, f"bamkit sample: {len(sample.paths):,} pictures\n".encode(), "text/plain", body)
            return
        mid = mid_of(path, sample.seed)
        if mid is None or path not in sample.paths:
            sample.note(path, None)
            self._send(404, b"not found\n", "text/plain", body)
            return
        fault = sample.note(path, fault_of(path, sample.seed, sample.faults))
        match fault.name if fault else "ok":
            case "missing":
                self._send(404, b"<html><title>404</title>The picture was removed.</html>\n", "text/html", body)
            case "placeholder":
                self._send(200, placeholder(), "image/png", body)
            case "server-error":
                self._send(500, b"try again\n", "text/plain", body)
            case "too-many-requests":
                self._send(429, b"slow down\n", "text/plain", body, {"Retry-After": "1"})
            case "cut-file":
                data = sample.picture(mid)
                self._send(200, data[: len(data) * 3 // 5], content_type(path), body)
            case "cut-transfer":
                self._send_part(sample.picture(mid), content_type(path), body)
            case outcome:
                if outcome == "slow":
                    time.sleep(0.2 + mid % 8 / 10)
                self._send(200, sample.picture(mid), content_type(path), body)

    def _send(self, status: int, data: bytes, kind: str, body: bool, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)
        self.wfile.flush()

    def _send_part(self, data: bytes, kind: str, body: bool) -> None:
        """Promise the whole file, send half of it, hang up."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data[: len(data) // 2])
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are counted in `SampleServer.outcomes`, not printed."""
