"""The rules of one host, read from its files: may an address be fetched, and how often may it be asked?"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from protego import Protego

from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.http.urls import RequestUrl
from bamkit.curate.fetch.settings import Politeness

AGENT = "bamkit"
"""The product token that groups of robots.txt and ai.txt are matched against (RFC 9309, section 2.2.1)."""
ROBOTS, TDMREP, AI = "/robots.txt", "/.well-known/tdmrep.json", "/ai.txt"
HostFiles = Mapping[str, str | None]
"""By path the text of a host's file of rules, None where it has none; what is not in it was not asked for."""


def asked_for(politeness: Politeness) -> list[str]:
    """The paths of the files that are obeyed, in the order in which they are asked for."""
    obeyed = {ROBOTS: politeness.honour_robots, TDMREP: politeness.honour_tdm, AI: politeness.honour_ai_txt}
    return [path for path, honoured in obeyed.items() if honoured]


class HostRules:
    """What the files of one host say."""

    def __init__(self, files: HostFiles) -> None:
        robots, ai = files.get(ROBOTS), files.get(AI)
        self._robots = Protego.parse(robots) if robots is not None else None
        self._ai = Protego.parse(ai) if ai is not None else None
        self._reservations = reservations(files.get(TDMREP) or "")
        self._said = "no robots.txt" if ROBOTS in files else "robots.txt was not asked for"

    @functools.cached_property
    def crawl_delay(self) -> float:
        """Seconds that robots.txt wants between two requests; 0 where it says nothing of it."""
        return (self._robots.crawl_delay(AGENT) or 0.0) if self._robots else 0.0

    def permit(self, address: RequestUrl) -> str:
        """What was said of an address that may be asked for, in words. Raises Fault for one that may not."""
        url = str(address)
        if self._robots and not self._robots.can_fetch(url, AGENT):
            raise Fault("robots-disallowed", "robots.txt disallows it")
        said = "robots.txt allows it" if self._robots else self._said
        reserved = self._reserved(address) if self._reservations else None
        if reserved:
            raise Fault("tdm-reserved", "tdmrep.json: tdm-reservation 1")
        if self._ai and not self._ai.can_fetch(url, AGENT):
            raise Fault("ai-disallowed", "ai.txt disallows it")
        said += "; tdmrep.json: tdm-reservation 0" if reserved is False else ""
        return said + ("; ai.txt allows it" if self._ai else "")

    def _reserved(self, address: RequestUrl) -> bool | None:
        """Whether the rights in an address are reserved; None where tdmrep.json does not say."""
        path = unquote(address.target)
        return next((value for pattern, value in self._reservations if pattern.matches(path)), None)


def reservations(text: str) -> list[tuple[Pattern, bool]]:
    """The rules of a tdmrep.json: a pattern of paths, and whether the rights are reserved; the first match counts.

    TDM Reservation Protocol, final report of the W3C community group, section "TDM File on the Origin Server".
    What is no such file gives no rules, and a rule with another value than 0 or 1 counts as unset.
    """
    try:
        rules: Any = json.loads(text)
    except (ValueError, RecursionError):
        return []
    read = []
    for rule in rules if isinstance(rules, list) else []:
        rule = rule if isinstance(rule, dict) else {}
        location, value = rule.get("location"), str(rule.get("tdm-reservation"))
        if isinstance(location, str) and value in ("0", "1"):
            read.append((Pattern.parse(location), value == "1"))
    return read


@dataclass(frozen=True)
class Pattern:
    """A pattern of paths as in robots.txt: `*` is anything, a final `$` the end."""

    parts: tuple[str, ...]
    """What lies between the `*`, without percent-encoding."""
    ends: bool

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Any text is a pattern."""
        return cls(tuple(unquote(part) for part in text.removesuffix("$").split("*")), text.endswith("$"))

    def matches(self, path: str) -> bool:
        """Whether it matches a path with its query, without percent-encoding.

        In time proportional to their lengths, whatever the host put into the pattern.
        """
        first, *rest = self.parts
        if not path.startswith(first):
            return False
        at = len(first)
        if not rest:
            return not self.ends or at == len(path)
        *middle, last = rest
        for part in middle:
            place = path.find(part, at)
            if place < 0:
                return False
            at = place + len(part)
        if self.ends:
            return path.endswith(last) and len(path) - len(last) >= at
        return path.find(last, at) >= 0
