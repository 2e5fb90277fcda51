"""A total time limit for each request."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field

from bamkit.curate.fetch.faults import Fault


@dataclass
class _Request:
    """A request that is under way."""

    deadline: float
    sockets: list[socket.socket] = field(default_factory=list)
    expired: bool = False


class Deadlines:
    """Ends requests whose time is up by shutting their sockets down, whatever they are waiting for.

    The timeout of a socket starts anew with every byte, so a server that sends one byte a second could hold a thread
    for ever. A watching thread therefore compares the time of each request with its limit. Requests are told apart by
    the thread that makes them; one may begin within another.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, list[_Request]] = {}
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="bamkit-deadlines", daemon=True).start()

    def begin(self, seconds: float) -> None:
        """The calling thread starts a request that may take `seconds`."""
        with self._lock:
            self._open.setdefault(threading.get_ident(), []).append(_Request(time.monotonic() + seconds))

    def attach(self, sock: socket.socket) -> None:
        """The calling thread's request now waits for `sock`."""
        with self._lock:
            if requests := self._open.get(threading.get_ident()):
                requests[-1].sockets.append(sock)

    def end(self) -> bool:
        """The calling thread's request is over; True if its time had run out."""
        with self._lock:
            requests = self._open[threading.get_ident()]
            ended = requests.pop()
            if not requests:
                del self._open[threading.get_ident()]
            return ended.expired

    def left(self) -> float:
        """Seconds that the calling thread's request has left. Raises Fault(`timeout`) when there are none."""
        with self._lock:
            deadline = self._open[threading.get_ident()][-1].deadline
        left = deadline - time.monotonic()
        if left <= 0:
            raise Fault("timeout", "not finished in the total time for one image")
        return left

    def close(self) -> None:
        """End all requests and the watching thread."""
        self._closed.set()
        with self._lock:
            for request in self._requests():
                self._shut_down(request)

    def _watch(self) -> None:
        while not self._closed.wait(0.1):
            now = time.monotonic()
            with self._lock:
                for request in self._requests():
                    if now > request.deadline:
                        self._shut_down(request)

    def _requests(self) -> list[_Request]:
        return [request for requests in self._open.values() for request in requests]

    @staticmethod
    def _shut_down(request: _Request) -> None:
        request.expired = True
        for sock in request.sockets:
            try:
                # The plain socket's method: an SSLSocket's own would take its TLS state away under the reading thread.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                continue
