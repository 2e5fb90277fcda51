"""Which request may start when: the queues of all hosts, retries, and what was given up."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.http.politeness import HostLimiter, backoff
from bamkit.curate.fetch.http.urls import host_key
from bamkit.curate.fetch.settings import Politeness

NOTHING_KNOWN = frozenset({"unreachable", "robots-unavailable"})
"""Faults of a host that say nothing of the file that was wanted."""


@dataclass
class Job:
    """One URL to fetch in this run."""

    url: str
    queue: _Queue = field(repr=False)
    attempts: int = 0
    """Requests made so far in this run."""
    throttled: int = 0
    """How many of them were answered by 429."""
    started: float = 0.0
    fault: Fault | None = None
    """Of its last request."""


@dataclass
class _Queue:
    """The jobs that wait for one host."""

    host: HostLimiter
    waiting: deque[Job] = field(default_factory=deque)
    later: list[tuple[float, int, Job]] = field(default_factory=list)
    """Jobs to try again, each with the time before which it must not start."""
    ticket: int = 0

    def due(self) -> float | None:
        """When the next job may start; None if nothing waits or all connections are busy."""
        available = self.host.available_at()
        if available is None or self.waiting:
            return available
        return max(available, self.later[0][0]) if self.later else None

    def take(self, now: float) -> Job:
        # Those that failed before go first, or the last ones would wait for a whole queue; but a host that may be down
        # is tried with another one, since the fault could be the file's.
        first = self.later and self.later[0][0] <= now and not (self.host.failed_probes and self.waiting)
        job = heapq.heappop(self.later)[2] if first else self.waiting.popleft()
        self.host.start(now)
        job.started = now
        return job


class Scheduler:
    """Hands jobs to worker threads: `take` blocks until a host may be asked, `finish` says how it went.

    Every job ends in exactly one call of `finish` that returns False or, when its host is given up, in one of two
    lists: `given_up` of (url, why) for those that nothing is known of, and `failed` for those that were asked for in
    vain at a host that does answer others, in this run or before it (`known`, names as `host_key` makes them).
    """

    def __init__(
        self, politeness: Politeness, known: frozenset[str] = frozenset(), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.politeness, self.known, self.clock = politeness, known, clock
        self.given_up: list[tuple[str, str]] = []
        self.failed: list[Job] = []
        self.notes: list[str] = []
        """What people should know of hosts in trouble."""
        self._queues: dict[str, _Queue] = {}
        self._heap: list[tuple[float, int, int, _Queue]] = []
        self._count = itertools.count()
        self.left = 0
        """Jobs that are queued, waiting for another attempt, or under way."""
        self.stopped = False
        """Whether `stop` was called."""
        self._closed = False
        self._change = threading.Condition()

    def add(self, url: str) -> None:
        """Queue a URL."""
        with self._change:
            queue = self._queue(url)
            if queue.host.given_up:
                self.given_up.append((url, queue.host.given_up))
                return
            queue.waiting.append(Job(url, queue))
            self.left += 1
            self._push(queue)
            self._change.notify()

    def close(self) -> None:
        """Nothing more will be added: `take` returns None once all is done."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def stop(self) -> None:
        """Start nothing more."""
        with self._change:
            self.stopped = True
            self._change.notify_all()

    def take(self) -> Job | None:
        """The next job that may start, as soon as one may; None when all is done or stopped."""
        with self._change:
            while not self.stopped and not (self._closed and not self.left):
                now = self.clock()
                queue = self._first()
                if queue and self._heap[0][0] <= now:
                    heapq.heappop(self._heap)
                    job = queue.take(now)
                    self._push(queue)
                    return job
                self._change.wait(min(1.0, self._heap[0][0] - now) if queue else 1.0)
            return None

    def finish(self, job: Job, fault: Fault | None) -> bool:
        """Report how a job went; True if it will be tried again or its host is given up, False if it is over."""
        with self._change:
            now, queue = self.clock(), job.queue
            queue.host.finish(now, job.started, fault)
            self._tell(queue.host)
            job.attempts += 1
            job.fault = fault
            again = self._again(queue, job, fault, now)
            self.left -= not again
            if queue.host.given_up:
                self._give_up(queue)
            self._push(queue)
            # One connection is free now, so one thread is enough; all, when there is nothing left to wait for.
            self._change.notify_all() if not self.left else self._change.notify()
            return again

    def postpone(self, job: Job, seconds: float) -> None:
        """A job that was taken but must not start yet (another machine is busy with its host)."""
        with self._change:
            now, queue = self.clock(), job.queue
            queue.host.cancel(job.started)
            heapq.heappush(queue.later, (now + seconds, next(self._count), job))
            self._push(queue)
            self._change.notify()

    def slow_down(self, job: Job, seconds: float) -> bool:
        """The host of a job that was taken wants `seconds` between two requests.

        True if the job must not start now: the first one does that tells of it; those that were taken with it wait.
        """
        with self._change:
            host, now = job.queue.host, self.clock()
            news = host.slow_down(now, seconds)
            self._tell(host)
            if host.given_up:
                self.abandon(job, host.given_up)
            elif news or job.started >= host.slowed_at:
                return False
            else:
                self.postpone(job, 0.0)
            return True

    def abandon(self, job: Job, why: str) -> None:
        """A job that was taken, but its host was given up meanwhile, here or by another machine."""
        with self._change:
            queue = job.queue
            queue.host.cancel(job.started)
            queue.host.given_up = why
            queue.waiting.append(job)
            self._give_up(queue)
            self._change.notify_all()

    def _tell(self, host: HostLimiter) -> None:
        if host.notice:
            self.notes.append(host.notice)
            host.notice = ""

    def _again(self, queue: _Queue, job: Job, fault: Fault | None, now: float) -> bool:
        if fault is None or not fault.kind.repeat or self.stopped:
            return False
        job.throttled += fault.name == "throttled"
        tries = job.attempts - job.throttled
        if job.throttled >= self.politeness.throttled_attempts or tries >= self.politeness.attempts:
            return False
        if queue.host.given_up:
            queue.waiting.append(job)
            return True
        # After a 429 the whole host waits; the job itself need not.
        wait = 0.0 if fault.name == "throttled" else backoff(self.politeness, tries)
        heapq.heappush(queue.later, (now + wait, next(self._count), job))
        return True

    def _give_up(self, queue: _Queue) -> None:
        answers = queue.host.answered or queue.host.name in self.known
        for job in [*queue.waiting, *(waiting[2] for waiting in queue.later)]:
            if answers and job.fault is not None and job.fault.name not in NOTHING_KNOWN:
                self.failed.append(job)
            else:
                self.given_up.append((job.url, queue.host.given_up))
            self.left -= 1
        queue.waiting.clear()
        queue.later.clear()

    def _queue(self, url: str) -> _Queue:
        name = host_key(url)
        if name not in self._queues:
            self._queues[name] = _Queue(HostLimiter(name, self.politeness))
        return self._queues[name]

    def _push(self, queue: _Queue) -> None:
        """Enter a host under the time it is due; its older entries become void."""
        queue.ticket += 1
        due = queue.due()
        if due is not None:
            heapq.heappush(self._heap, (due, next(self._count), queue.ticket, queue))

    def _first(self) -> _Queue | None:
        while self._heap and self._heap[0][2] != self._heap[0][3].ticket:
            heapq.heappop(self._heap)
        return self._heap[0][3] if self._heap else None
