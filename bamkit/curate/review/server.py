"""The server of a review. It listens on this machine alone and answers only those who know its token.

Every address begins with the token, which is compared in constant time. The Host header must name this machine (a page
of the web whose name points here, DNS rebinding, is refused), what is written must come from the page itself (Origin,
Sec-Fetch-Site) and as JSON, and no answer allows another origin anything. No address names a file.
"""

from __future__ import annotations

import hmac
import json
import secrets
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from bamkit.common.errors import BamkitError
from bamkit.curate.review.items import Items
from bamkit.curate.review.log import DecisionLog
from bamkit.curate.review.page import page_of
from bamkit.curate.review.pictures import Pictures, content_type

LONGEST_BODY = 16_384
HOSTS = ("127.0.0.1", "localhost")
POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class ReviewServer(ThreadingHTTPServer):
    """Serves one review on 127.0.0.1 until it is closed."""

    daemon_threads = True

    def __init__(self, items: Items, pictures: Pictures, log: DecisionLog, reviewer: str = "", port: int = 0) -> None:
        """`port` 0: any that is free. Raises BamkitError if the port is taken."""
        self.items, self.pictures, self.log, self.reviewer = items, pictures, log, reviewer
        self.mids = frozenset(items.mids)
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise BamkitError(f"port {port} cannot be used: {error.strerror}", "leave --port out") from error

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no error; anything else is told in one line."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            print(f"bamkit: an answer failed: {type(error).__name__}: {error}", file=sys.stderr)

    def rows(self, since: int) -> dict[str, Any]:
        """The log's rows from the `since`-th on, as the page reads them."""
        rows = self.log.rows()
        news = [[row.time, row.reviewer, row.mid, row.decision, row.split, row.reason] for row in rows[since:]]
        return {"since": since, "rows": news, "total": len(rows)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "bamkit", ""
    timeout = 60

    @property
    def review(self) -> ReviewServer:
        return cast("ReviewServer", self.server)

    def do_GET(self) -> None:
        path = self._admitted()
        if path is None:
            return
        room, _, number = path.partition("/")
        if path == "":
            nonce = secrets.token_urlsafe(16)
            page = page_of({**self.review.items.page, "reviewer": self.review.reviewer, "served": True}, nonce)
            policy = {"Content-Security-Policy": POLICY.format(nonce)}
            self._answer(HTTPStatus.OK, page.encode(), "text/html; charset=utf-8", policy)
        elif room in ("small", "large") and number.isascii() and number.isdecimal():
            self._picture(room, int(number))
        elif room == "decisions" and number.isascii() and number.isdecimal():
            self._json(HTTPStatus.OK, self.review.rows(int(number)))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    def do_POST(self) -> None:
        path = self._admitted(writes=True)
        if path is None:
            return
        length = self.headers.get("Content-Length", "")
        if path != "decisions":
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")
        elif self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a decision is JSON")
        elif not (length.isascii() and length.isdecimal() and 0 < int(length) <= LONGEST_BODY):
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a decision has at most {LONGEST_BODY:,} bytes")
        else:
            self._decide(self.rfile.read(int(length)))

    def _admitted(self, writes: bool = False) -> str | None:
        """What stands behind the token in the address; None where the request was refused."""
        host = self.headers.get("Host", "")
        if host.rpartition(":")[0] not in HOSTS and host not in HOSTS:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "this server is for this machine alone")
            return None
        token, slash, path = self.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.review.token.encode()) or not slash:
            self._refuse(HTTPStatus.FORBIDDEN, "the address is the one that bamkit review printed")
            return None
        origin = self.headers.get("Origin")
        foreign = origin is not None and origin != f"http://{host}"
        if foreign or self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            self._refuse(HTTPStatus.FORBIDDEN, "another page may not ask this one")
            return None
        if writes and origin is None:
            self._refuse(HTTPStatus.FORBIDDEN, "decisions come from the page")
            return None
        return path

    def _decide(self, body: bytes) -> None:
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            given = None
        given = given if isinstance(given, dict) else {}
        texts = {name: given.get(name, "") for name in ("reviewer", "decision", "split", "reason")}
        mid, since = given.get("mid"), given.get("since", 0)
        # bool is an int to Python, and not to the page.
        if type(mid) is not int or type(since) is not int or since < 0 or set(map(type, texts.values())) != {str}:
            self._json(HTTPStatus.BAD_REQUEST, {"error": "this is no decision"})
            return
        if mid not in self.review.mids:
            self._json(HTTPStatus.BAD_REQUEST, {"error": f"there is no image {mid} here"})
            return
        try:
            self.review.log.add(mid=mid, **texts)
        except BamkitError as error:
            self._json(HTTPStatus.BAD_REQUEST, {"error": error.message})
        except OSError as error:
            said = f"{self.review.log.path} cannot be written: {error.strerror}"
            self._json(HTTPStatus.INSUFFICIENT_STORAGE, {"error": said})
        else:
            self._json(HTTPStatus.OK, self.review.rows(since))

    def _picture(self, room: str, mid: int) -> None:
        try:
            data = self.review.pictures.small(mid) if room == "small" else self.review.pictures.large(mid)
        except KeyError:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no picture of this image")
        except BamkitError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, error.message)
        else:
            self._answer(HTTPStatus.OK, data, content_type(data), {"Cache-Control": "private, max-age=3600"})

    def _json(self, status: HTTPStatus, value: dict[str, Any]) -> None:
        self._answer(status, json.dumps(value).encode(), "application/json", {})

    def _refuse(self, status: HTTPStatus, said: str) -> None:
        self.close_connection = True  # whatever else was sent is not read as a request of its own
        self._answer(status, f"{said}\n".encode(), "text/plain; charset=utf-8", {"Connection": "close"})

    def _answer(self, status: HTTPStatus, body: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **headers, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the token is in every address."""
