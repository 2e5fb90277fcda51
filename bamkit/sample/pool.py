"""Painting in processes of their own, so that a download in the server's process does not wait for the painter."""

from __future__ import annotations

import contextlib
import queue
import struct
import subprocess
import sys
import threading

from bamkit.sample.encode import picture_bytes

Worker = subprocess.Popen[bytes]
HEADER = struct.Struct("<q")


class Painters:
    """`processes` painting processes (0: paint in the calling thread). Thread-safe."""

    def __init__(self, seed: int, processes: int = 0) -> None:
        self.seed = seed
        self._idle: queue.Queue[Worker] = queue.Queue()
        self._all: list[Worker] = []
        self._closed = False
        # Only one thread paints at a time: more would contend for the interpreter and help nobody.
        self._turn = threading.Lock()
        for _ in range(processes):
            self._idle.put(self._start())

    def _start(self) -> Worker:
        # Not multiprocessing: its children import the caller's main module again, which may be anything.
        words = [sys.executable, "-m", "bamkit.sample.worker", str(self.seed)]
        # In a session of its own, since Ctrl-C in the terminal is for the server, which then closes the pipe.
        worker = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self._all.append(worker)
        return worker

    def paint(self, mid: int) -> bytes:
        """The file of a mid. A process that died is replaced.

        Raises RuntimeError if the new one dies over this mid too, ConnectionAbortedError if `close` came in between.
        """
        if not self._all:
            with self._turn:
                return picture_bytes(mid, self.seed)
        worker = self._idle.get()
        try:
            for last in (False, True):
                try:
                    return _ask(worker, mid)
                except (OSError, EOFError, ValueError) as error:
                    if self._closed:
                        raise ConnectionAbortedError("the painters were closed") from error
                    if last:
                        raise RuntimeError(f"painting {mid} ended its process (exit code {worker.wait()})") from error
                    worker = self._start()
            raise AssertionError("unreachable")
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """End the processes: each ends when its input does."""
        self._closed = True
        for worker in list(self._all):
            assert worker.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                worker.stdin.close()
        for worker in self._all:
            try:
                worker.wait(2)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            assert worker.stdout is not None
            worker.stdout.close()


def _ask(worker: Worker, mid: int) -> bytes:
    assert worker.stdin is not None
    worker.stdin.write(HEADER.pack(mid))
    worker.stdin.flush()
    (length,) = HEADER.unpack(_exactly(worker, HEADER.size))
    return _exactly(worker, length)


def _exactly(worker: Worker, count: int) -> bytes:
    assert worker.stdout is not None
    data = worker.stdout.read(count)
    if len(data) != count:
        raise EOFError
    return data
