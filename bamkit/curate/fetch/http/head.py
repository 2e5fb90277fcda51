"""The head of an answer, read as browsers read it: status line, headers, and how long the body is.

http.client gives up at 100 headers or a line of 64 kB, takes 102 and 103 for the answer, and hides every header behind
a malformed line. Here the whole head may have 256 kB (as in Chromium) and a line that makes no sense is passed over.
"""

from __future__ import annotations

import email.utils
import http.client
import re
import time
from collections.abc import Mapping
from datetime import UTC
from typing import BinaryIO

from bamkit.curate.fetch.faults import Fault

LONGEST_HEAD = 1 << 18
STATUS_LINE = re.compile(
    rb"(?is)(?:.{0,4}?HTTP(?:/([0-9]+)(?:\.([0-9]+))?)?|ICY(?=[ \t]))(?:[ \t]+([1-9][0-9]{2}))?(?![0-9])(.*)"
)
"""As in Chromium: up to four bytes may come before it, and a status that is missing is 200.

`ICY 200 OK` is taken for HTTP/1.0, as curl and Firefox do.
"""
CONTENT_RANGE = re.compile(r"(?ia)\s*(?:bytes)?[\s=:]*(?:(\d+)\s*-\s*(\d+)|\*)\s*/\s*(\d+|\*)")
CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,16})[ \t]*(?:;.*)?\r*\n", re.DOTALL)
RETRY_AFTER = re.compile(r"(?ia)([0-9]+(?:\.[0-9]*)?)\s*(?:s|secs?|seconds?)?\s*(?:[,;].*)?")
OPT_OUT = re.compile(r"(?ia)(?<![\w-])(?:noai|noimageai)(?![\w-])")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
NO_BODY = (204, 205, 304)
REDIRECTS = (301, 302, 303, 307, 308)


SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG",
    b"GIF8",
    b"RIFF",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"\xff\n",
    b"\0\0\0\x0cJXL ",
)
"""How files of the formats that may be decoded begin."""


def is_picture(start: bytes) -> bool:
    """Whether a file that begins with `start` is of a format that may be decoded (AVIF and HEIC: `ftyp`)."""
    return start.startswith(SIGNATURES) or start[4:8] == b"ftyp"


class LenientResponse(http.client.HTTPResponse):
    """http.client's answer with a head that is read by `_Head`; bodies are read as there."""

    def begin(self) -> None:
        """Read the head. Raises Fault, or http.client's exceptions where there is no HTTP at all."""
        if self.headers is not None:
            return
        head = _Head(self.fp)
        while True:
            self.version, self.status, self.reason = head.status_line()
            self.headers = self.msg = head.headers(self.status)
            if not 100 <= self.status < 200 or self.status == 101:
                break
        self.code = self.status
        codings = ",".join(self.headers.get_all("Transfer-Encoding", [])).lower()
        self.chunked = "chunked" in [coding.strip() for coding in codings.split(",")]
        self.chunk_left = None
        self.length = _content_length(self.headers, self.status)
        if self.status in NO_BODY or self.status == 101:
            self.length = 0
        elif self.chunked:
            self.length = None
        self.will_close = self._check_close() or (not self.chunked and self.length is None)

    def _get_chunk_left(self) -> int | None:
        """The bytes that are left of a chunk, None behind the last one; lines may end with a bare line feed.

        http.client takes the two bytes behind a chunk for its end, and `-5` for a size.
        """
        if self.chunk_left:
            return self.chunk_left
        if self.chunk_left is not None and self.fp.readline(4).strip(b"\r\n"):
            raise Fault("bad-answer", "a chunk that is longer than its size says", self.status)
        line = self.fp.readline(LONGEST_HEAD)
        if not line.endswith(b"\n"):
            raise http.client.IncompleteRead(b"")
        if not (size := CHUNK_SIZE.fullmatch(line)):
            raise Fault("bad-answer", f"a chunk of the size {line[:20]!r}", self.status)
        self.chunk_left = int(size[1], 16) or None
        if self.chunk_left is None:
            while self.fp.readline(LONGEST_HEAD).strip(b"\r\n"):  # the trailer
                pass
            self._close_conn()  # type: ignore[attr-defined]
        return self.chunk_left


class _Head:
    """Reads status lines and headers from `stream`, together no more than LONGEST_HEAD bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.left = stream, LONGEST_HEAD
        self.after_status = b""
        """What follows the status line behind a bare carriage return."""

    def status_line(self) -> tuple[int, int, str]:
        """HTTP version (10 or 11), status and reason."""
        line = b"\n"
        while line and not line.strip(b"\r\n"):
            line = self._line(None)
        if not line:
            raise http.client.RemoteDisconnected("Remote end closed connection without response")
        line, _, self.after_status = line.strip(b"\r\n").partition(b"\r")
        match = STATUS_LINE.match(line)
        if not match and (is_picture(line) or line.lstrip().startswith(b"<")):
            raise Fault("bad-answer", "a file without status line and headers, as HTTP/0.9 has it", 200)
        if not match:
            raise http.client.BadStatusLine(repr(line[:60]))
        major, minor, status, reason = match.groups()
        version = 10 if (int(major or 1), int(minor or 0)) < (1, 1) else 11
        return version, int(status or 200), reason.decode("latin-1").strip()

    def headers(self, status: int) -> http.client.HTTPMessage:
        """The headers up to the empty line. Continued lines are joined; what is no header is left out."""
        pairs: list[tuple[str, str]] = []
        continues = False
        line = self.after_status or self._line(status)
        while line.strip(b"\r\n"):
            for text in line.decode("latin-1").rstrip("\r\n").split("\r"):
                if text[:1] in (" ", "\t"):
                    if continues:
                        pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]} {text.strip()}".strip())
                    continue
                name, colon, value = text.partition(":")
                name = name.rstrip()
                continues = bool(colon and TOKEN.fullmatch(name))
                if continues:
                    pairs.append((name, value.strip()))
            line = self._line(status)
        if not line:
            raise Fault("incomplete", "the answer ends within its headers", status)
        message = http.client.HTTPMessage()
        for name, value in pairs:
            message[name] = value
        return message

    def _line(self, status: int | None) -> bytes:
        line = self.stream.readline(self.left + 1)
        self.left -= len(line)
        if self.left < 0:
            raise Fault("bad-answer", f"a head of more than {LONGEST_HEAD // 1024} kB", status)
        return line


def _content_length(headers: http.client.HTTPMessage, status: int) -> int | None:
    """The length of the body, None if it is not known. Leaves one valid Content-Length in `headers` or none."""
    values = ",".join(headers.get_all("Content-Length", [])).split(",")
    lengths = {int(value) for value in values if re.fullmatch(r"(?a)\s*\d{1,18}\s*", value)}
    if len(lengths) > 1:
        raise Fault("bad-answer", f"several lengths: {', '.join(map(str, sorted(lengths)))} bytes", status)
    del headers["Content-Length"]
    if not lengths:
        return None
    length = lengths.pop()
    headers["Content-Length"] = str(length)
    return length


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After header asks for, or None if there is none that makes sense.

    It is a number, or a date: that is measured against the answer's own Date, since the host's clock may differ from
    this machine's.
    """
    text = headers.get("Retry-After", "").strip()
    if match := RETRY_AFTER.fullmatch(text):
        return float(match[1][:9])
    until = _timestamp(text)
    now = _timestamp(headers.get("Date", ""))
    return None if until is None else max(0.0, until - (time.time() if now is None else now))


def _timestamp(text: str) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
        # asctime's form names no zone: HTTP dates are UTC.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def partial(headers: Mapping[str, str], size: int | None = None) -> bool:
    """Whether the Content-Range of a 206 says that it, or its body of `size` bytes, is not the whole file."""
    match = CONTENT_RANGE.match(headers.get("Content-Range", ""))
    if not match:
        return False
    first, last, total = match.groups()
    length = int(total if total != "*" else 0) if last is None else int(last) + 1
    return int(first or 0) > 0 or (total != "*" and length < int(total)) or (size is not None and size < length)


def reservation(headers: Mapping[str, str]) -> str | None:
    """`1` or `0` of a TDM-Reservation header (W3C TDM Reservation Protocol); None for none or another value."""
    values = {value.strip() for value in headers.get("TDM-Reservation", "").split(",")}
    return next((value for value in ("1", "0") if value in values), None)


def opt_out(values: list[str]) -> set[str]:
    """Those of `noai` and `noimageai` that X-Robots-Tag headers hold."""
    return {word.lower() for value in values for word in OPT_OUT.findall(value)}
