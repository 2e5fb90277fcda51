"""Which URLs and which network addresses may be asked."""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from urllib.parse import urljoin, urlsplit

from bamkit.curate.fetch.faults import Fault

LONGEST = 8000
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.ip_network("64:ff9b::/96")


def checked_url(url: str) -> tuple[str, str, int]:
    """`(scheme, host, port)` of an address that may be asked. Raises Fault(`bad-url`).

    Control characters (which could smuggle a second request), user names and passwords are refused.
    """
    if len(url) > LONGEST:
        raise Fault("bad-url", f"{len(url):,} characters long")
    if CONTROL.search(url):
        raise Fault("bad-url", "control characters")
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError as error:
        raise Fault("bad-url", str(error)) from error
    if scheme not in ("http", "https"):
        raise Fault("bad-url", f"scheme {scheme or '(none)'!r}, not http or https")
    if not host:
        raise Fault("bad-url", "no host")
    if parts.username is not None or parts.password is not None:
        raise Fault("bad-url", "a user name or password in the address")
    return scheme, host, port or (443 if scheme == "https" else 80)


def host_key(url: str) -> str:
    """`host:port` that a URL is counted under, or "" if it cannot be asked at all."""
    try:
        _, host, port = checked_url(url)
    except Fault:
        return ""
    return f"{host}:{port}"


def follow(url: str, location: str | None) -> str:
    """The address a redirect from `url` leads to. Raises Fault."""
    if not location:
        raise Fault("redirects", "a redirect without a Location")
    try:
        return urljoin(url, location.strip())
    except ValueError as error:
        raise Fault("redirects", f"a redirect to an invalid address: {error}") from error


def is_public(address: Address) -> bool:
    """Whether an address lies on the public internet, also when it is an IPv4 address wrapped in an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in NAT64:
            wrapped.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if any(inner is not None and not is_public(inner) for inner in wrapped):
            return False
        if address.ipv4_mapped is not None:
            return True
    return address.is_global and not address.is_multicast and not address.is_reserved


class Resolver:
    """Names to addresses, each name asked once in `keep` seconds; private addresses are refused unless allowed.

    The caller must connect to the returned addresses and not to the name, or a second look-up could give another one.
    """

    def __init__(self, allow_private: bool, keep: float = 300.0) -> None:
        self.allow_private, self.keep = allow_private, keep
        self._known: dict[tuple[str, int], tuple[float, list[tuple[int, tuple]]]] = {}
        self._lock = threading.Lock()

    def __call__(self, host: str, port: int) -> list[tuple[int, tuple]]:
        """`(family, socket address)` pairs in the order to try them. Raises Fault."""
        now = time.monotonic()
        with self._lock:
            known = self._known.get((host, port))
        if known and known[0] > now:
            return known[1]
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Fault("unreachable", f"{host}: {getattr(error, 'strerror', None) or error}") from error
        pairs = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
        allowed = [pair for pair in pairs if self.allow_private or is_public(_address(pair[1]))]
        if not allowed:
            raise Fault("private-address", f"{host} is {_address(pairs[0][1])}" if pairs else host)
        with self._lock:
            self._known[host, port] = (now + self.keep, allowed)
        return allowed


def _address(pair: tuple) -> Address:
    return ipaddress.ip_address(str(pair[0]).partition("%")[0])
