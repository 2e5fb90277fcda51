"""A total time limit for each request."""

from __future__ import annotations

import socket
import threading
import time

from bamkit.curate.fetch.faults import Fault


class Deadlines:
    """Ends requests whose time is up by shutting their sockets down, whatever they are waiting for.

    The timeout of a socket starts anew with every byte, so a server that sends one byte a second could hold a thread
    for ever. A watching thread therefore compares the time of each request with its limit. Requests are told apart by
    the thread that makes them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, tuple[float, list[socket.socket]]] = {}
        self._expired: set[int] = set()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="bamkit-deadlines", daemon=True).start()

    def begin(self, seconds: float) -> None:
        """The calling thread starts a request that may take `seconds`."""
        with self._lock:
            self._expired.discard(threading.get_ident())
            self._open[threading.get_ident()] = (time.monotonic() + seconds, [])

    def attach(self, sock: socket.socket) -> None:
        """The calling thread's request now waits for `sock`."""
        with self._lock:
            if request := self._open.get(threading.get_ident()):
                request[1].append(sock)

    def end(self) -> bool:
        """The calling thread's request is over; True if its time had run out."""
        with self._lock:
            self._open.pop(threading.get_ident(), None)
            return threading.get_ident() in self._expired

    def left(self) -> float:
        """Seconds that the calling thread's request has left. Raises Fault(`timeout`) when there are none."""
        with self._lock:
            deadline, _ = self._open[threading.get_ident()]
        left = deadline - time.monotonic()
        if left <= 0:
            raise Fault("timeout", "not finished in the total time for one image")
        return left

    def close(self) -> None:
        """End all requests and the watching thread."""
        self._closed.set()
        with self._lock:
            for thread, (_, sockets) in self._open.items():
                self._shut_down(thread, sockets)

    def _watch(self) -> None:
        while not self._closed.wait(0.1):
            now = time.monotonic()
            with self._lock:
                for thread, (deadline, sockets) in self._open.items():
                    if now > deadline:
                        self._shut_down(thread, sockets)

    def _shut_down(self, thread: int, sockets: list[socket.socket]) -> None:
        self._expired.add(thread)
        for sock in sockets:
            try:
                # The plain socket's method: an SSLSocket's own would take its TLS state away under the reading thread.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                continue
