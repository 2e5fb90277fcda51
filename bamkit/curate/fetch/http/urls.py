"""Web addresses as browsers read them (WHATWG URL standard, sections 3 and 4), for http and https."""

from __future__ import annotations

import functools
import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote, unquote

import idna

from bamkit.curate.fetch.faults import Fault

LONGEST = 8000
DEFAULT_PORTS = {"http": 80, "https": 443}
REMOVED = str.maketrans("", "", "\t\n\r")
INVISIBLE = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
PATH_SAFE = PRINTABLE.translate(str.maketrans("", "", '"#<>?^`{}'))
QUERY_SAFE = PRINTABLE.translate(str.maketrans("", "", "\"#<>'"))
SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
PATH = re.compile(r"[^?#]*")
WITH_HOST = re.compile(r"\s*(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?[/\\]{2,}[^/\\?#]*")
FORBIDDEN_IN_HOST = re.compile(r"[\x00-\x20\"#%/:<>?@\[\\\]^`{|}\x7f]")
PORT = re.compile(r"0*[0-9]{1,5}")
IPV4_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")


@dataclass(frozen=True)
class RequestUrl:
    """An address in the form in which it is asked for."""

    scheme: str
    """`http` or `https`."""
    host: str
    """ASCII, lower case: a name (IDNA), a dotted IPv4 address, or an IPv6 address without brackets."""
    port: int
    target: str
    """Path and query, percent-encoded."""

    @property
    def key(self) -> str:
        """`host:port`: what rate limits are counted under."""
        return f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    def __str__(self) -> str:
        return self.origin + self.target


@functools.lru_cache(maxsize=1024)
def parse_url(text: str) -> RequestUrl:
    """The address that a browser would ask for. Raises Fault(`bad-url`).

    Spaces, control characters and zero-width characters around it are dropped, tabs and line ends also within.
    Backslashes are slashes, what is not ASCII is percent-encoded as UTF-8, valid and stray `%` stay as they are. User
    names and passwords are refused.
    """
    if len(text) > LONGEST:
        raise Fault("bad-url", f"{len(text):,} characters long")
    text = _cleaned(text)
    scheme = _scheme(text)
    if scheme not in DEFAULT_PORTS:
        raise Fault("bad-url", f"scheme {scheme or '(none)'!r}, not http or https")
    rest, _, _ = text[len(scheme) + 1 :].partition("#")
    before, question, query = rest.partition("?")
    authority, slash, path = before.replace("\\", "/").lstrip("/").partition("/")
    if "@" in authority:
        raise Fault("bad-url", "a user name or password in the address")
    host, port = _host_and_port(authority, scheme)
    target = "/" + _without_dots(quote(path, safe=PATH_SAFE)) if slash else "/"
    return RequestUrl(scheme, host, port, target + question + quote(query, safe=QUERY_SAFE))


def host_key(url: str) -> str:
    """`host:port` that a URL is counted under, or "" if it cannot be asked at all."""
    try:
        return parse_url(url).key
    except Fault:
        return ""


def follow(base: RequestUrl, location: str | None) -> RequestUrl:
    """The address that a redirect from `base` leads to; `location` is the header's bytes decoded as Latin-1.

    Bytes that are not ASCII are read as UTF-8, or percent-encoded as they are where they are none. Raises Fault.
    """
    if not location:
        raise Fault("redirects", "a redirect without a Location")
    raw = location.encode("latin-1", "replace")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        start = WITH_HOST.match(location)
        end = start.end() if start else 0
        text = location[:end] + quote(raw[end:], safe=PRINTABLE + " ")
    text = PATH.sub(lambda path: path[0].replace("\\", "/"), _cleaned(text), count=1)
    scheme = _scheme(text)
    if scheme:
        if scheme != base.scheme or text.startswith("//", len(scheme) + 1):
            return parse_url(text)
        text = text[len(scheme) + 1 :]
    if text.startswith("//"):
        return parse_url(f"{base.scheme}:{text}")
    # Not urllib's urljoin: it drops empty segments and empty queries.
    path = base.target.partition("?")[0]
    kept = {"/": "", "?": path, "#": base.target, "": base.target}
    return parse_url(f"{base.origin}{kept.get(text[:1], path[: path.rindex('/') + 1])}{text}")


def _scheme(text: str) -> str:
    match = SCHEME.match(text)
    return match[1].lower() if match else ""


def _cleaned(text: str) -> str:
    """`text` without invisible characters at its ends, tabs and line ends; lone surrogates become U+FFFD."""
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    start, end = 0, len(text)
    while start < end and unicodedata.category(text[start]) in INVISIBLE:
        start += 1
    while start < end and unicodedata.category(text[end - 1]) in INVISIBLE:
        end -= 1
    return text[start:end].translate(REMOVED)


def _without_dots(path: str) -> str:
    """A path (without its first slash) with `.` and `..` segments resolved, also where they are percent-encoded."""
    if "." not in path and "%2" not in path:
        return path
    segments = path.split("/")
    kept: list[str] = []
    for index, segment in enumerate(segments):
        dots = segment.lower().replace("%2e", ".")
        if dots in (".", ".."):
            if dots == "..":
                del kept[-1:]
            if index == len(segments) - 1:
                kept.append("")
        else:
            kept.append(segment)
    return "/".join(kept)


def _host_and_port(authority: str, scheme: str) -> tuple[str, int]:
    name, colon, digits = authority.rpartition(":")
    if not colon or digits.endswith("]"):
        name, digits = authority, ""
    if not name:
        raise Fault("bad-url", "no host")
    if digits and not (PORT.fullmatch(digits) and int(digits) <= 65_535):
        raise Fault("bad-url", f"port {digits[:20]!r}")
    return _host(name), int(digits) if digits else DEFAULT_PORTS[scheme]


def _host(name: str) -> str:
    if name.startswith("["):
        try:
            return str(ipaddress.IPv6Address(name[1:].removesuffix("]") if name.endswith("]") else name))
        except ValueError as error:
            raise Fault("bad-url", str(error)) from error
    name = unquote(name)
    host = name.lower() if name.isascii() else _ascii_host(name)
    if not host.strip(".") or FORBIDDEN_IN_HOST.search(host):
        raise Fault("bad-url", f"the host {name[:80]!r}")
    last = host.removesuffix(".").rpartition(".")[2]
    return _ipv4(host) if IPV4_NUMBER.fullmatch(last) else host


def _ascii_host(name: str) -> str:
    """A host name in its ASCII form (UTS 46, non-transitional), also where IDNA 2008 would refuse a label."""
    try:
        mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
    except idna.IDNAError as error:
        raise Fault("bad-url", f"the host {name[:80]!r}: {error}") from error
    labels = []
    for label in mapped.split("."):
        if label.isascii():
            labels.append(label)
        elif label.startswith("xn--"):
            raise Fault("bad-url", f"the host {name[:80]!r}")
        else:
            labels.append("xn--" + label.encode("punycode").decode("ascii"))
    return ".".join(labels)


def _ipv4(host: str) -> str:
    """A host whose last label is a number, as an IPv4 address: up to four decimal, octal or hexadecimal numbers."""
    try:
        *first, last = [_number(part) for part in host.removesuffix(".").split(".")]
        valid = len(first) < 4 and max(first, default=0) < 256 and last < 256 ** (4 - len(first))
        total = last + sum(number * 256 ** (3 - place) for place, number in enumerate(first))
        return str(ipaddress.IPv4Address(total if valid else -1))
    except ValueError as error:
        raise Fault("bad-url", f"the host {host[:80]!r} is no IPv4 address") from error


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if len(text) > 1 and text[0] == "0" else 10)
