"""Which network addresses may be connected to."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from typing import Any

from bamkit.curate.fetch.faults import Fault

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
SocketAddress = tuple[int, tuple[Any, ...]]
"""Family (`socket.AF_INET` or `AF_INET6`) and what `socket.connect` takes."""
NAT64 = ipaddress.ip_network("64:ff9b::/96")
NOT_PUBLIC = [ipaddress.ip_network(text) for text in ("192.0.0.0/24", "3fff::/20", "fec0::/10")]
"""What some versions of `ipaddress` take for global: protocol assignments, documentation, site-local addresses."""


def is_public(address: IpAddress) -> bool:
    """Whether an address lies on the public internet, also when it is an IPv4 address wrapped in an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in NAT64:
            wrapped.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if any(inner is not None and not is_public(inner) for inner in wrapped):
            return False
        if address.ipv4_mapped is not None:
            return True
    if address.is_multicast or address.is_reserved or any(address in network for network in NOT_PUBLIC):
        return False
    return address.is_global


class Resolver:
    """Names to addresses, each name asked once in `keep` seconds; private addresses are refused unless allowed.

    The caller must connect to the returned addresses and not to the name, or a second look-up could give another one.
    """

    def __init__(self, allow_private: bool, keep: float = 300.0) -> None:
        self.allow_private, self.keep = allow_private, keep
        self._known: dict[tuple[str, int], tuple[float, list[SocketAddress]]] = {}
        self._unknown: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, host: str, port: int) -> list[SocketAddress]:
        """The addresses of a host in the order to try them. Raises Fault."""
        now = time.monotonic()
        with self._lock:
            expires, addresses = self._known.get((host, port), (0.0, []))
        if expires > now:
            return addresses
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Fault("unreachable", f"{host}: {getattr(error, 'strerror', None) or error}") from error
        addresses = list(dict.fromkeys((int(family), address) for family, _, _, _, address in answers))
        allowed = [pair for pair in addresses if self.allow_private or is_public(_ip(pair))]
        if not allowed:
            raise Fault("private-address", f"{host} is {_ip(addresses[0])}" if addresses else host)
        with self._lock:
            self._known[host, port] = (now + self.keep, allowed)
        return allowed

    def prefer(self, host: str, port: int, address: SocketAddress) -> None:
        """Put an address that could be connected to before those that could not."""
        with self._lock:
            expires, addresses = self._known.get((host, port), (0.0, []))
            if address in addresses[1:]:
                others = [other for other in addresses if other != address]
                self._known[host, port] = (expires, [address, *others])

    def refuse_private(self, host: str, port: int) -> None:
        """Raises Fault(`private-address`) for a host that is a private address as far as this machine knows.

        For requests through a proxy, which alone may know the name: one that is unknown here is let through.
        """
        if self.allow_private or self._unknown.get(host, 0.0) > time.monotonic():
            return
        try:
            self(host, port)
        except Fault as fault:
            if fault.name == "private-address":
                raise
            self._unknown[host] = time.monotonic() + self.keep


def _ip(address: SocketAddress) -> IpAddress:
    return ipaddress.ip_address(str(address[1][0]).partition("%")[0])
