"""Rate limiting of one host: pace, pauses, a circuit breaker. Used by the scheduler, and once for a whole cluster."""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass

from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.settings import Politeness

DEFAULT_RATE = 40.0
SLOWEST = 0.5
SILENT = frozenset({"timeout", "unreachable", "reset", "tls", "bad-answer"})
"""Faults in which the host itself may have had no part."""


@dataclass
class HostLimiter:
    """What is known of a host. `now` is always seconds of one steady clock."""

    name: str
    """`host:port`."""
    politeness: Politeness
    rate: float = -1.0
    """Requests that may start per second just now; 0 means no limit."""
    active: int = 0
    """Requests under way."""
    probes: int = 0
    """How many of them an open breaker let through."""
    next_start: float = 0.0
    """No request starts before this time."""
    faults: int = 0
    """Host faults in a row."""
    throttles: int = 0
    """Answers of 429 in a row."""
    answered: bool = False
    """Whether any answer came in this run, be it an error."""
    failed_probes: int = 0
    """Tries of the open breaker that failed; 0 while it is closed."""
    changed_at: float = 0.0
    """When the host last asked for less or the breaker opened: requests begun before say nothing new."""
    notice: str = ""
    """What to tell people when the breaker has opened; whoever tells it empties it."""
    crawl_delay: float = 0.0
    """Seconds between two requests that its robots.txt wants, where that is slower than the settings."""
    slowed_at: float = 0.0
    """When that became known."""
    given_up: str = ""
    """Why the host is left alone for the rest of the run."""

    def __post_init__(self) -> None:
        if self.rate < 0:
            self.rate = self.full_rate

    @property
    def full_rate(self) -> float:
        """The rate while the host does not complain."""
        if self.crawl_delay:
            return 1 / self.crawl_delay
        if self.politeness.rate is not None:
            return self.politeness.rate
        return 0.0 if is_this_machine(self.name) else DEFAULT_RATE

    def slow_down(self, now: float, seconds: float) -> bool:
        """The host wants `seconds` between two requests; False if that is known or no slower than its rate."""
        if seconds <= self.crawl_delay or (self.full_rate and seconds <= 1 / self.full_rate):
            return False
        self.crawl_delay, self.slowed_at = seconds, now
        self.rate = min(self.rate or self.full_rate, self.full_rate)
        self.next_start = max(self.next_start, now + seconds)
        wants = f"{self.name} wants {seconds:g} s between two requests (Crawl-delay of its robots.txt)"
        if seconds > self.politeness.patience:
            self.given_up = wants
        self.notice = f"{wants}; --ignore-robots goes by --rate"
        return True

    def available_at(self) -> float | None:
        """When the next request may start; None while all connections are busy."""
        busy = self.probes > 0 if self.failed_probes else self.active >= self.politeness.connections
        return None if busy else self.next_start

    def start(self, now: float) -> None:
        """A request starts. After a pause up to `connections` requests may start at once, then the rate holds."""
        self.active += 1
        self.probes += self.failed_probes > 0
        if self.rate:
            burst = 0.0 if self.crawl_delay else self.politeness.connections / self.rate
            self.next_start = max(self.next_start, now - burst) + 1 / self.rate

    def cancel(self, started: float) -> None:
        """A request that was `started` then is not made after all."""
        self.active -= 1
        self.probes -= self.probes > 0 and started >= self.changed_at

    def finish(self, now: float, started: float, fault: Fault | None) -> None:
        """A request that was `started` then is over."""
        self.cancel(started)
        self.answered |= fault is None or fault.name not in SILENT or fault.status is not None
        if fault is None or not (fault.of_host or fault.name == "throttled"):
            self.faults = self.throttles = self.failed_probes = 0
            if self.rate:
                self.rate = min(self.full_rate, self.rate * 1.02)
        elif started < self.changed_at:
            # Requests that were under way together fail together: that counts once.
            return
        elif fault.name == "throttled":
            self._throttle(fault, now)
        else:
            self._count_failure(fault, now)

    def _throttle(self, fault: Fault, now: float) -> None:
        """The host wants fewer requests: wait as long as it says and go at half the rate from then on."""
        self.throttles += 1
        # A Retry-After of 0, or a date that has passed, is no leave to ask again at once.
        wait = fault.retry_after or backoff(self.politeness, self.throttles)
        if wait > self.politeness.patience:
            self.given_up = f"{self.name} asks to wait {wait:,.0f} s"
            return
        self.changed_at, self.probes = now, 0
        self.next_start = max(self.next_start, now + wait)
        if self.rate:
            self.rate = min(self.rate, max(SLOWEST, self.rate / 2))

    def _count_failure(self, fault: Fault, now: float) -> None:
        """A fault of the host: after too many in a row only one request at a time goes through, after a pause."""
        self.faults += 1
        if not self.failed_probes and self.faults < self.politeness.breaker_after:
            return
        self.failed_probes += 1
        self.changed_at, self.probes = now, 0
        settings = self.politeness
        # A host that has not answered at all is given up after one more try.
        tries, pause = (settings.breaker_tries, settings.breaker_pause) if self.answered else (1, settings.first_pause)
        if self.failed_probes > tries:
            history = f"failed {self.faults} times in a row" if self.answered else "has not answered once"
            self.given_up = f"{self.name} {history}, the last time: {fault}"
            return
        self.next_start = now + pause * 2 ** (self.failed_probes - 1)
        if self.failed_probes == 1:
            waits = ", ".join(f"{pause * 2**number:g}" for number in range(tries))
            self.notice = f"{self.name} failed {self.faults} times in a row ({fault}): asked again after {waits} s"


def backoff(politeness: Politeness, attempt: int) -> float:
    """Seconds to wait after the given attempt: exponential, capped, with jitter of +-50 %."""
    longest = min(politeness.backoff_cap, politeness.backoff * 2 ** (attempt - 1))
    return float(longest * random.uniform(0.5, 1.5))


def is_this_machine(host: str) -> bool:
    """Whether `host:port` names this machine by its own name or a loopback address."""
    name = host.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name in ("localhost", "")
