"""One HTTP client for all threads: a `requests` session over checked connections, with a deadline for each image."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from http.client import IncompleteRead
from pathlib import Path
from typing import Any, TypeVar

import requests
import urllib3
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar, get_cookie_header
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies
from urllib3 import exceptions

from bamkit.curate.fetch.faults import Fault, of_status
from bamkit.curate.fetch.http.adapter import CheckedAdapter, Dialer, tls_context
from bamkit.curate.fetch.http.addresses import Resolver
from bamkit.curate.fetch.http.body import SpooledFile, announced, drained, iter_content
from bamkit.curate.fetch.http.deadlines import Deadlines
from bamkit.curate.fetch.http.head import REDIRECTS, opt_out, partial, reservation, retry_after
from bamkit.curate.fetch.http.urls import RequestUrl, follow, parse_url
from bamkit.curate.fetch.rules.asking import read_rules
from bamkit.curate.fetch.rules.book import RulesBook
from bamkit.curate.fetch.rules.host import HostRules
from bamkit.curate.fetch.settings import FetchSettings

T = TypeVar("T")
SMALL = 1 << 16
LATE = frozenset({"reset", "incomplete", "bad-answer", "unreachable", "tls", "timeout"})
"""Faults that may come from a socket that was shut down because the time was up."""


@dataclass(frozen=True)
class DownloadedFile:
    """A file that arrived whole."""

    path: Path
    """The temporary name it lies under, if it is large or the originals are kept."""
    data: bytes | None
    """Its bytes, if it is not large."""
    sha256: str
    md5: str | None
    """Of small files, and of all while the user lists MD5s of placeholders."""
    size: int
    """Bytes of the file."""
    content_type: str | None
    status: int
    final_url: str | None
    """Where redirects led to, if there were any."""
    rule: str
    """What its host said about fetching it, in words."""

    def read(self) -> bytes:
        """The file's bytes."""
        return self.path.read_bytes() if self.data is None else self.data


class Client:
    """`get` may be called from many threads at once. What the hosts say of being fetched is kept in `book`."""

    def __init__(self, config: FetchSettings, book: RulesBook | None = None) -> None:
        self.config, self.book = config, book or RulesBook(config.politeness)
        limits = config.limits
        self.deadlines = Deadlines()
        self.resolver = Resolver(config.allow_private)
        # A proxy is named by the user, not by the data: it may lie in a private network.
        dialer = Dialer(self.resolver, Resolver(allow_private=True), self.deadlines, limits.connect_timeout)
        self.adapter = CheckedAdapter(dialer, tls_context(config.ca_file), config.politeness.workers)
        self.session = requests.Session()
        self.session.mount("http://", self.adapter)
        self.session.mount("https://", self.adapter)
        self.session.headers = CaseInsensitiveDict(
            {
                "User-Agent": config.politeness.user_agent,
                "Accept": "image/*,*/*;q=0.5",
                "Accept-Encoding": "identity",
            }
        )
        self.timeout = urllib3.Timeout(connect=limits.connect_timeout, read=limits.silence)
        self.proxies = functools.lru_cache(maxsize=4096)(self._environment_proxies)

    def close(self) -> None:
        """End what is under way and close all connections."""
        self.deadlines.close()
        self.session.close()

    def get(self, url: str, path: Path) -> DownloadedFile:
        """Fetch `url`; a file that is large or to be kept is written to the new file `path`.

        Raises Fault for everything that goes wrong with it. An OSError is a fault of this machine's disk and not of
        the image.
        """
        try:
            # Before the time for the image begins: the host's rules have a time limit of their own.
            self.rules(parse_url(url))
            return self._timed(lambda: self._follow(url, path))
        except Fault as fault:
            fault.rule = fault.rule or self._said(url)
            raise

    def rules(self, address: RequestUrl) -> HostRules:
        """What the host of `address` says about being fetched; it is asked once. Raises Fault if it does not answer."""
        return self.book.rules(address, self._ask)

    def crawl_delay(self, url: str) -> float:
        """Seconds that the host of `url` wants between two requests, 0 if it does not say. Raises Fault as `rules`."""
        return self.rules(parse_url(url)).crawl_delay

    def _ask(self, origin: str, path: str) -> str | None:
        """A host's file of rules, within a time limit of its own; None where it has none."""
        return self._timed(lambda: read_rules(lambda address: self._send(address, None).raw, parse_url(origin + path)))

    def _said(self, url: str) -> str | None:
        """What the host of `url` said about it, as far as that is known without asking."""
        try:
            address = parse_url(url)
            rules = self.book.known(address.origin)
            return rules.permit(address) if rules else None
        except Fault as fault:
            return fault.detail if fault.name != "bad-url" else None

    def _timed(self, act: Callable[[], T]) -> T:
        """What `act` gives, ended when the time for one image is up. Raises Fault for everything that goes wrong."""
        limits = self.config.limits
        self.deadlines.begin(limits.seconds)
        try:
            return act()
        except Fault as error:
            fault = error
        except (requests.RequestException, exceptions.HTTPError) as error:
            fault = _fault_of(error, limits.silence)
        except ValueError as error:
            # What http.client and urllib3 raise for answers that are no HTTP at all (UnicodeError is one, too).
            fault = Fault("bad-answer", _text(error))
        finally:
            late = self.deadlines.end()
        if late and fault.name in LATE:
            fault = Fault("timeout", f"not finished after {limits.seconds:g} s", fault.status)
        raise fault

    def _follow(self, url: str, path: Path) -> DownloadedFile:
        """Ask for `url` and follow its redirects. Cookies are kept for as long as that takes."""
        start = address = parse_url(url)
        cookies = RequestsCookieJar()
        wants_cookies = ""
        for redirects in range(self.config.limits.max_redirects + 1):
            permitted = self.rules(address).permit(address)
            response = self._send(address, cookies if redirects else None)
            raw = response.raw
            whole = False
            try:
                if raw.status in REDIRECTS:
                    if "Set-Cookie" in raw.headers:
                        extract_cookies_to_jar(cookies, response.request, raw)  # type: ignore[no-untyped-call]
                        wants_cookies = "; the host sets cookies and may want one that it does not get back"
                    address = follow(address, next(iter(raw.headers.getlist("Location")), None))
                    whole = drained(raw)
                    continue
                rule = "; ".join([permitted, *_header_rules(raw)])
                if fault := self._refusal(raw):
                    whole = drained(raw)
                    fault = Fault(fault.name, fault.detail + wants_cookies, fault.status, fault.retry_after)
                    fault.rule = rule
                    raise fault
                downloaded = self._save(raw, path, str(address) if address != start else None, rule)
                whole = True
                return downloaded
            finally:
                # A connection with an unread rest cannot be used again.
                raw.release_conn() if whole else raw.close()
        most = self.config.limits.max_redirects
        raise Fault("redirects", f"more than {most} redirects, the last to {address}{wants_cookies}")

    def _send(self, address: RequestUrl, cookies: RequestsCookieJar | None) -> requests.Response:
        """Send one request through the adapter, without the session's own redirects, retries and hooks."""
        proxies = self.proxies(address.scheme, address.host, address.port)
        if proxies:
            self.resolver.refuse_private(address.host, address.port)
        request = requests.PreparedRequest()
        request.method, request.url = "GET", str(address)
        request.headers = CaseInsensitiveDict(self.session.headers)  # type: ignore[arg-type]
        if cookies and (header := get_cookie_header(cookies, request)):  # type: ignore[no-untyped-call]
            request.headers["Cookie"] = header
        response = self.adapter.send(request, stream=True, timeout=self.timeout, proxies=proxies)  # type: ignore[arg-type]
        if proxies and response.status_code == 407:
            response.raw.close()
            raise Fault("unreachable", "the proxy wants a user name and password")
        return response

    @staticmethod
    def _environment_proxies(scheme: str, host: str, port: int) -> dict[str, str]:
        """The proxies that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY name for a host."""
        return get_environ_proxies(str(RequestUrl(scheme, host, port, "/")))

    def _refusal(self, raw: urllib3.BaseHTTPResponse) -> Fault | None:
        """Why an answer is not the file that was asked for, by its status and headers; None if it is."""
        status, headers = raw.status, raw.headers
        if not 200 <= status < 300:
            return of_status(status, retry_after=retry_after(headers))
        if status == 206 and partial(headers):
            return Fault("incomplete", f"only a part: {headers['Content-Range'][:60]}", status)
        image = headers.get("Content-Type", "").lower().startswith("image/")
        if status not in (200, 203, 206) and not image:
            return of_status(status)
        refused = opt_out(headers.getlist("X-Robots-Tag")) if self.config.politeness.honour_noai else set()
        if refused:
            return Fault("opted-out", f"X-Robots-Tag: {', '.join(sorted(refused))}", status)
        if self.config.politeness.honour_tdm and reservation(headers) == "1":
            return Fault("tdm-reserved", "TDM-Reservation: 1", status)
        return None

    def _save(self, raw: urllib3.BaseHTTPResponse, path: Path, final_url: str | None, rule: str) -> DownloadedFile:
        limit = self.config.limits.max_bytes
        if announced(raw) > limit:
            raise Fault("too-many-bytes", f"{announced(raw):,} bytes announced", raw.status)
        sha256 = hashlib.sha256()
        md5 = hashlib.md5(usedforsecurity=False)
        with_md5 = True
        with SpooledFile(path) as file:
            for chunk in iter_content(raw):
                file.write(chunk)
                if file.size > limit:
                    raise Fault("too-many-bytes", f"more than {limit:,} bytes", raw.status)
                sha256.update(chunk)
                if with_md5 := self.config.lists_md5 or file.size <= SMALL:
                    md5.update(chunk)
            if file.size == 0:
                raise Fault("not-a-picture", "an empty file", raw.status)
            if raw.status == 206 and "Content-Encoding" not in raw.headers and partial(raw.headers, file.size):
                raise Fault("incomplete", f"{file.size:,} bytes of {raw.headers['Content-Range'][:60]}", raw.status)
            data = file.data()
        if data is not None and self.config.originals:
            path.write_bytes(data)
        content_type = raw.headers.get("Content-Type", "").partition(";")[0].strip().lower()[:80] or None
        hashes = sha256.hexdigest(), md5.hexdigest() if with_md5 else None
        return DownloadedFile(path, data, *hashes, file.size, content_type, raw.status, final_url, rule)


def _header_rules(raw: urllib3.BaseHTTPResponse) -> list[str]:
    """What the headers of an answer say about its use."""
    words, value = opt_out(raw.headers.getlist("X-Robots-Tag")), reservation(raw.headers)
    said = [f"X-Robots-Tag: {', '.join(sorted(words))}"] if words else []
    return said + ([f"TDM-Reservation: {value}"] if value else [])


def _fault_of(error: BaseException, silence: float) -> Fault:
    """The fault behind an exception of requests or urllib3; `silence` is the longest silence allowed, in seconds."""
    while isinstance(error, requests.RequestException) and error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    if isinstance(error, requests.exceptions.InvalidProxyURL):
        return Fault("unreachable", "the proxy that the environment names is no http or https address")
    inner: Any = error.args[-1] if error.args else error
    if isinstance(error, exceptions.ProxyError):
        return Fault("unreachable", f"through the proxy: {error.original_error}"[:200])
    if isinstance(error, exceptions.SSLError):
        return Fault("tls", _text(error))
    if isinstance(error, exceptions.ReadTimeoutError):
        return Fault("timeout", f"nothing came for {silence:g} s")
    if isinstance(error, exceptions.ConnectTimeoutError):
        return Fault("timeout", _text(error))
    for each in (error, inner):
        # urllib3's own IncompleteRead is one of http.client's, too; a chunk of no length is the end of the connection.
        cut = isinstance(each, exceptions.InvalidChunkLength) and not each.length
        if cut or isinstance(each, IncompleteRead):
            return Fault("incomplete", _text(each), 200)
    if isinstance(error, exceptions.LocationValueError | requests.exceptions.InvalidURL):
        return Fault("bad-url", _text(error))
    if isinstance(error, exceptions.ProtocolError) and isinstance(inner, OSError | EOFError):
        return Fault("reset", _text(inner))
    return Fault("bad-answer", _text(error))


def _text(error: object) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
