"""Which request may start when: limits per host, pauses, retries and a circuit breaker."""

from __future__ import annotations

import heapq
import ipaddress
import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bamkit.curate.fetch.addresses import host_key
from bamkit.curate.fetch.config import Manners
from bamkit.curate.fetch.faults import HOST_FAULTS, Fault

DEFAULT_RATE = 40.0
SLOWEST = 0.5


@dataclass
class Job:
    """One URL to fetch in this run."""

    url: str
    attempts: int = 0
    """Requests made so far in this run."""
    throttled: int = 0
    """How many of them were answered by 429."""
    started: float = 0.0


@dataclass
class Host:
    """What is known of a host, and the jobs that wait for it."""

    name: str
    rate: float
    """Requests that may start per second; 0 means no limit."""
    waiting: deque[Job] = field(default_factory=deque)
    later: list[tuple[float, int, Job]] = field(default_factory=list)
    """Jobs to try again, each with the time before which it must not start."""
    active: int = 0
    ready_at: float = 0.0
    """No request starts before this time."""
    faults: int = 0
    """Host faults in a row."""
    throttles: int = 0
    """Answers of 429 in a row."""
    opened: int = 0
    """Tries of the open breaker that failed; 0 while it is closed."""
    opened_at: float = 0.0
    given_up: str = ""
    """Why the host is left alone for the rest of the run."""
    ticket: int = 0

    def due(self, now: float, limit: int) -> float | None:
        """When the next job may start; None if nothing waits or all connections are busy."""
        if self.active >= (1 if self.opened else limit):
            return None
        if self.waiting:
            return self.ready_at
        return max(self.ready_at, self.later[0][0]) if self.later else None

    def take(self, now: float, burst: int) -> Job:
        # Those that failed before go first, or the last ones would wait for a whole queue.
        job = heapq.heappop(self.later)[2] if self.later and self.later[0][0] <= now else self.waiting.popleft()
        if self.rate:
            self.ready_at = max(self.ready_at, now - burst / self.rate) + 1 / self.rate
        self.active += 1
        job.started = now
        return job


class Scheduler:
    """Hands jobs to worker threads: `take` blocks until a host may be asked, `finish` says how it went.

    Every job ends in exactly one call of `finish` that returns False, or in `given_up`, a list of (url, why).
    """

    def __init__(self, manners: Manners, clock: Callable[[], float] = time.monotonic) -> None:
        self.manners, self.clock = manners, clock
        self.hosts: dict[str, Host] = {}
        self.given_up: list[tuple[str, str]] = []
        self._heap: list[tuple[float, int, int, Host]] = []
        self._count = itertools.count()
        self._left = 0
        self._stopped = False
        self._closed = False
        self._change = threading.Condition()

    def add(self, url: str) -> None:
        """Queue a URL."""
        with self._change:
            host = self._host(host_key(url))
            if host.given_up:
                self.given_up.append((url, host.given_up))
                return
            host.waiting.append(Job(url))
            self._left += 1
            self._push(host)
            self._change.notify()

    def close(self) -> None:
        """Nothing more will be added: `take` returns None once all is done."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def stop(self) -> None:
        """Start nothing more."""
        with self._change:
            self._stopped = True
            self._change.notify_all()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    @property
    def left(self) -> int:
        """Jobs that are queued, waiting for another attempt, or under way."""
        return self._left

    def take(self) -> Job | None:
        """The next job that may start, as soon as one may; None when all is done or stopped."""
        with self._change:
            while not self._stopped and not (self._closed and not self._left):
                now = self.clock()
                host = self._first()
                if host and self._heap[0][0] <= now:
                    heapq.heappop(self._heap)
                    job = host.take(now, self.manners.connections)
                    self._push(host)
                    return job
                self._change.wait(min(1.0, self._heap[0][0] - now) if host else 1.0)
            return None

    def finish(self, job: Job, fault: Fault | None) -> bool:
        """Report how a job went; True if it will be tried again, False if it is over."""
        with self._change:
            now = self.clock()
            host = self._host(host_key(job.url))
            host.active -= 1
            job.attempts += 1
            if fault is None or fault.name not in HOST_FAULTS | {"throttled"}:
                host.faults = host.throttles = host.opened = 0
                if host.rate:
                    host.rate = min(self._rate(host.name), host.rate * 1.02)
            elif fault.name == "throttled":
                self._throttle(host, job, fault, now)
            else:
                self._blame(host, job, fault, now)
            again = self._again(host, job, fault, now)
            if not again:
                self._left -= 1
            self._push(host)
            self._change.notify_all()
            return again

    def _again(self, host: Host, job: Job, fault: Fault | None, now: float) -> bool:
        if fault is None or not fault.kind.repeat or self._stopped or host.given_up:
            return False
        if fault.name == "throttled":
            job.throttled += 1
            if job.throttled >= self.manners.throttled_attempts:
                return False
        elif job.attempts - job.throttled >= self.manners.attempts:
            return False
        wait = 0.0 if fault.name == "throttled" else self._backoff(job.attempts - job.throttled)
        heapq.heappush(host.later, (now + wait, next(self._count), job))
        return True

    def _throttle(self, host: Host, job: Job, fault: Fault, now: float) -> None:
        """The host wants fewer requests: wait as long as it says and go at half the rate from then on."""
        if job.started < host.opened_at:
            return
        host.throttles += 1
        wait = self._backoff(host.throttles) if fault.retry_after is None else fault.retry_after
        if wait > self.manners.patience:
            self._give_up(host, f"it asks to wait {wait:,.0f} s")
            return
        # Requests that were under way together are answered by 429 together: that counts once.
        host.opened_at = now
        host.ready_at = max(host.ready_at, now + wait)
        if host.rate:
            host.rate = max(SLOWEST, host.rate / 2)

    def _blame(self, host: Host, job: Job, fault: Fault, now: float) -> None:
        """A fault of the host: after too many in a row only one request at a time goes through, after a pause."""
        if job.started < host.opened_at:
            return
        host.faults += 1
        if not host.opened and host.faults < self.manners.breaker_after:
            return
        host.opened += 1
        host.opened_at = now
        if host.opened > self.manners.breaker_tries:
            self._give_up(host, f"{host.faults} faults in a row, the last: {fault}")
            return
        host.ready_at = now + self.manners.breaker_pause * 2 ** (host.opened - 1)

    def _give_up(self, host: Host, why: str) -> None:
        host.given_up = why
        for job in [*host.waiting, *(entry[2] for entry in host.later)]:
            self.given_up.append((job.url, why))
            self._left -= 1
        host.waiting.clear()
        host.later.clear()

    def _backoff(self, attempt: int) -> float:
        longest = min(self.manners.backoff_cap, self.manners.backoff * 2 ** (attempt - 1))
        return longest * random.uniform(0.5, 1.5)

    def _host(self, name: str) -> Host:
        if name not in self.hosts:
            self.hosts[name] = Host(name, self._rate(name))
        return self.hosts[name]

    def _rate(self, name: str) -> float:
        if self.manners.rate is not None:
            return self.manners.rate
        return 0.0 if is_this_machine(name) else DEFAULT_RATE

    def _push(self, host: Host) -> None:
        """Enter a host under the time it is due; its older entries become void."""
        host.ticket += 1
        due = host.due(self.clock(), self.manners.connections)
        if due is not None:
            heapq.heappush(self._heap, (due, next(self._count), host.ticket, host))

    def _first(self) -> Host | None:
        while self._heap and self._heap[0][2] != self._heap[0][3].ticket:
            heapq.heappop(self._heap)
        return self._heap[0][3] if self._heap else None


def is_this_machine(host: str) -> bool:
    """Whether `host:port` names this machine by its own name or a loopback address."""
    name = host.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name in ("localhost", "")
