"""The rules of all hosts that a fetch meets: each host is asked once, by the first thread that needs its rules."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping

from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.http.urls import RequestUrl
from bamkit.curate.fetch.rules.host import ROBOTS, HostFiles, HostRules, asked_for
from bamkit.curate.fetch.settings import Politeness

Ask = Callable[[str, str], str | None]
"""Origin and path to the text there, None if the host has none. Raises Fault if that cannot be known."""


class _Entry:
    """What is known of one host, and the lock that lets one thread at a time ask it."""

    def __init__(self, files: HostFiles) -> None:
        self.lock = threading.Lock()
        self.files: dict[str, str | None] = dict(files)
        self.rules: HostRules | None = None
        self.fault: Fault | None = None
        self.failures = 0


class RulesBook:
    """Rules by origin (scheme, host and port). `known` are files that were asked for not long ago."""

    def __init__(self, politeness: Politeness, known: Mapping[str, HostFiles] | None = None) -> None:
        self._paths = asked_for(politeness)
        self._entries = {origin: _Entry(files) for origin, files in (known or {}).items()}
        self._news: dict[str, HostFiles] = {}
        self._lock = threading.Lock()

    def rules(self, address: RequestUrl, ask: Ask) -> HostRules:
        """The rules of the host of `address`.

        While one thread asks, those that need the same host's rules wait and share what came of it, also the fault: a
        host that does not answer is not asked by each of them. Raises Fault; whoever comes later asks again.
        """
        entry = self._entry(address.origin)
        if entry.rules is not None:
            return entry.rules
        failures = entry.failures
        with entry.lock:
            if entry.rules is None:
                if entry.fault is not None and entry.failures != failures:
                    raise copy.copy(entry.fault)
                try:
                    entry.rules = self._learn(address.origin, entry, ask)
                except Fault as fault:
                    entry.fault, entry.failures = fault, entry.failures + 1
                    raise
        return entry.rules

    def known(self, origin: str) -> HostRules | None:
        """The rules of a host, if it was asked already."""
        return self._entry(origin).rules

    @property
    def files(self) -> dict[str, HostFiles]:
        """All files that are known, by origin."""
        with self._lock:
            return {origin: dict(entry.files) for origin, entry in self._entries.items() if entry.files}

    def take_news(self) -> dict[str, HostFiles]:
        """The files that were asked for since the last call, by origin."""
        with self._lock:
            news, self._news = self._news, {}
        return news

    def _entry(self, origin: str) -> _Entry:
        entry = self._entries.get(origin)
        if entry is None:
            with self._lock:
                entry = self._entries.setdefault(origin, _Entry({}))
        return entry

    def _learn(self, origin: str, entry: _Entry, ask: Ask) -> HostRules:
        for path in self._paths:
            if path not in entry.files:
                try:
                    text = ask(origin, path)
                except Fault:
                    # A host must answer for its robots.txt; where another file cannot be had, there is none for now.
                    if path == ROBOTS:
                        raise
                    continue
                entry.files[path] = text
                with self._lock:
                    self._news[origin] = {**self._news.get(origin, {}), path: text}
        return HostRules({path: entry.files[path] for path in self._paths if path in entry.files})
