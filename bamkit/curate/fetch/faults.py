"""Why a picture could not be had: a closed list of reasons, each permanent or passing."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from bamkit.common.errors import BamkitError


@dataclass(frozen=True)
class FaultKind:
    """One way to fail."""

    text: str
    """What happened, for people."""
    permanent: bool
    """Asking again would bring the same answer."""
    repeat: bool = False
    """Worth asking again within the same run."""


FAULTS: dict[str, FaultKind] = {
    "gone": FaultKind("404 or 410: the host has it no longer", True),
    "forbidden": FaultKind("401, 403 or 451: the host does not give it out", True),
    "refused": FaultKind("another 4xx answer", True),
    "placeholder": FaultKind("the host answered with its 'image unavailable' picture", True),
    "not-a-picture": FaultKind("the bytes are no picture of a wanted format", True),
    "truncated": FaultKind("the file itself ends too early", True),
    "damaged": FaultKind("the picture cannot be decoded", True),
    "too-many-bytes": FaultKind("larger than --max-bytes", True),
    "too-many-pixels": FaultKind("more pixels than --max-pixels, or a decompression bomb", True),
    "too-small": FaultKind("a side shorter than --min-side", True),
    "bad-url": FaultKind("no http or https address", True),
    "private-address": FaultKind("an address of this machine or a private network", True),
    "redirects": FaultKind("too many redirects, or one that leads nowhere", True),
    "opted-out": FaultKind("the owner asked not to be used for machine learning (noai, noimageai)", True),
    "robots-disallowed": FaultKind("not asked: the host's robots.txt disallows it", True),
    "tdm-reserved": FaultKind("text and data mining is reserved (TDM-Reservation, tdmrep.json)", True),
    "ai-disallowed": FaultKind("not asked: the host's ai.txt disallows it", True),
    "forgotten": FaultKind("removed on request (bamkit forget): it stays away", True),
    "robots-unavailable": FaultKind("not asked: the host fails to answer for its robots.txt", False, True),
    "timeout": FaultKind("not finished in time", False, True),
    "throttled": FaultKind("429: the host wants fewer requests", False, True),
    "server-error": FaultKind("5xx: the host failed", False, True),
    "reset": FaultKind("the connection broke", False, True),
    "incomplete": FaultKind("fewer bytes came than were announced", False, True),
    "unreachable": FaultKind("no such host, or no connection to it", False, True),
    "bad-answer": FaultKind("an answer that is not HTTP, or makes no sense", False, True),
    "tls": FaultKind("the certificate or the TLS connection is not valid", False),
    "unexpected": FaultKind("an error that bamkit does not know; please report it", False),
    "host-down": FaultKind("not asked: the host kept failing", False),
}

HOST_FAULTS = frozenset({"timeout", "server-error", "reset", "unreachable", "bad-answer", "tls", "robots-unavailable"})
"""Faults that speak against the host rather than against one file: they open its circuit breaker."""


class Fault(Exception):  # noqa: N818  (the word of the ledger and the documentation)
    """A picture that could not be had. `name` is a key of FAULTS; `detail` says what was seen."""

    rule: str | None = None
    """What its host said about being fetched, in words, where that is known."""

    def __init__(
        self, name: str, detail: str = "", status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{name}: {detail}" if detail else name)
        self.name, self.detail, self.status, self.retry_after = name, detail, status, retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is otherwise rebuilt from its message when it comes from another process.
        return Fault, (self.name, self.detail, self.status, self.retry_after), {"rule": self.rule}

    @property
    def of_host(self) -> bool:
        """Whether it speaks against the host. What is odd about an HTTP answer (`status` is known) is its own fault."""
        return self.name in HOST_FAULTS and not (self.name == "bad-answer" and self.status is not None)

    @property
    def kind(self) -> FaultKind:
        return FAULTS[self.name]


def of_status(status: int, detail: str = "", retry_after: float | None = None) -> Fault:
    """The fault that an HTTP status other than 200 stands for."""
    if status in (404, 410):
        reason = "gone"
    elif status in (401, 402, 403, 407, 451):
        reason = "forbidden"
    elif status == 429 or (status == 503 and retry_after is not None):
        reason = "throttled"
    elif status in (408, 425):
        reason = "timeout"
    elif 500 <= status < 600:
        reason = "server-error"
    elif 400 <= status < 500:
        reason = "refused"
    else:
        reason = "bad-answer"
    return Fault(reason, detail or f"HTTP {status}", status, retry_after)


def parse_reasons(text: str) -> frozenset[str]:
    """`passing`, `permanent`, `all`, or reasons between commas: the set of reasons meant. Raises BamkitError."""
    known = {name for name in FAULTS if name not in ("host-down", "forgotten")}
    groups = {
        "passing": {name for name in known if not FAULTS[name].permanent},
        "permanent": {name for name in known if FAULTS[name].permanent},
        "all": known,
    }
    chosen: set[str] = set()
    for word in (part.strip().lower() for part in text.split(",")):
        if not word:
            continue
        if word not in known and word not in groups:
            near = difflib.get_close_matches(word, [*known, *groups], n=1, cutoff=0.5)
            listed = ", ".join([*groups, *sorted(known)])
            hint = f"did you mean {near[0]}?" if near else f"one of: {listed}"
            raise BamkitError(f"there is no reason {word!r} for a failed fetch", hint)
        chosen |= groups.get(word, {word})
    return frozenset(chosen)
