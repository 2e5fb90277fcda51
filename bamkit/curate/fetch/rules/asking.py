"""Asking a host for one of its files of rules, as RFC 9309 (section 2.3.1) wants robots.txt to be asked for."""

from __future__ import annotations

from collections.abc import Callable

import urllib3

from bamkit.curate.fetch.faults import Fault, of_status
from bamkit.curate.fetch.http.body import drained, iter_content
from bamkit.curate.fetch.http.head import REDIRECTS, retry_after
from bamkit.curate.fetch.http.urls import RequestUrl, follow

MOST_REDIRECTS = 5
MOST_BYTES = 500 * 1024
"""What lies behind is not read (RFC 9309, section 2.5)."""
NOWHERE = frozenset({"redirects", "bad-url", "private-address"})
"""Faults of a redirect that leads to nothing: the file is not there, then."""


def read_rules(send: Callable[[RequestUrl], urllib3.BaseHTTPResponse], address: RequestUrl) -> str | None:
    """The text of the file at `address`; None where the host has none: 4xx, or redirects that lead nowhere.

    Raises Fault where that cannot be known: 5xx (`robots-unavailable`, or `throttled` with a Retry-After), and
    whatever `send` raises for the host itself.
    """
    for redirects in range(MOST_REDIRECTS + 1):
        try:
            raw = send(address)
        except Fault as fault:
            if redirects and fault.name in NOWHERE:
                return None
            raise
        whole = False
        try:
            if 200 <= raw.status < 300:
                text = b""
                for chunk in iter_content(raw):
                    text += chunk
                    if len(text) > MOST_BYTES:
                        break
                whole = len(text) <= MOST_BYTES
                return text[:MOST_BYTES].decode("utf-8-sig", "replace")
            whole = drained(raw)
            if raw.status >= 500:
                said = of_status(raw.status, f"robots.txt: HTTP {raw.status}", retry_after(raw.headers))
                name = "robots-unavailable" if said.name == "server-error" else said.name
                raise Fault(name, said.detail, said.status, said.retry_after)
            if raw.status not in REDIRECTS:
                return None
            try:
                address = follow(address, next(iter(raw.headers.getlist("Location")), None))
            except Fault:
                return None
        finally:
            # A connection with an unread rest cannot be used again.
            raw.release_conn() if whole else raw.close()
    return None
