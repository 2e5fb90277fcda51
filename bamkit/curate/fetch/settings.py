"""All settings of a fetch, as frozen dataclasses. Invalid combinations are refused when they are made."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import bamkit
from bamkit.common.errors import BamkitError
from bamkit.common.settings import PYTHON_ONLY, Choice, Option, Range, check

FITS = ("squash", "crop", "pad", "short-side")
ENGINES = ("local", "ray")
FORMATS = ("jpeg", "png", "webp")
DECODERS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
MEMORY = 100_000_000
HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}", re.IGNORECASE)

# The picture that Behance serves with status 200 instead of a removed one: 600 x 343 px, 3,727 bytes.
BEHANCE_PLACEHOLDER = "55baf220c19dcf464dbaf0a8bd07aa2b"


@dataclass(frozen=True)
class PictureSettings:
    """How an original becomes the picture in a split."""

    size: Annotated[int, Range(8, 8192)] = 286
    """Side of the pictures in pixels (for short-side: the shorter side)."""
    fit: Annotated[str, Choice(*FITS)] = "squash"
    """How a picture becomes a square: pad adds white; short-side keeps the shape."""
    format: Annotated[str, Choice(*FORMATS)] = "jpeg"
    """jpeg is 4:4:4, png and webp are lossless."""
    quality: Annotated[int, Range(1, 100)] = 95
    """JPEG quality."""
    oversample: Annotated[float, Range(1, 64)] = 1.5
    """Reduced JPEG decoding; below 1.5 coarse.

    JPEGs may be decoded at 1/2, 1/4 or 1/8 as long as at least `oversample` times the target remains. Below 1.5 the
    loss becomes visible; 64 always decodes in full.
    """

    def __post_init__(self) -> None:
        check(self)

    def at_once(self, most: int) -> int:
        """How many built pictures may be in memory together: `most`, or fewer if they are large ones."""
        each = self.size**2 * (1 if self.format == "jpeg" else 3)
        return max(4, min(most, MEMORY // each))

    def about(self) -> dict[str, Any]:
        """What is written into a split's metadata; the same settings always give the same value."""
        values = asdict(self)
        if self.format != "jpeg":
            del values["quality"]
        return values


@dataclass(frozen=True)
class Limits:
    """What is accepted at all."""

    max_bytes: Annotated[int, Range(1)] = 50_000_000
    """Largest file in bytes, as sent and as decompressed."""
    max_pixels: Annotated[int, Range(1)] = 64_000_000
    """Most pixels, by the picture's header."""
    min_side: Annotated[int, Range(1)] = 32
    """Shortest side in pixels; anything smaller is a tracking dot or a failed upload."""
    decoders: Annotated[tuple[str, ...], Choice(*DECODERS), Option("--accept", metavar="FORMAT")] = (
        "JPEG",
        "PNG",
        "GIF",
        "WEBP",
    )
    """Decode these formats only; repeatable."""
    seconds: Annotated[float, Range(0, min_open=True)] = 60.0
    """Total time for one picture, with all its redirects."""
    connect_seconds: Annotated[float, Range(0, min_open=True), PYTHON_ONLY] = 10.0
    """Time for one connection to be made, TLS included."""
    silent_seconds: Annotated[float, Range(0, min_open=True), PYTHON_ONLY] = 10.0
    """Longest silence of a host: until its answer begins, and between two pieces of it."""
    max_redirects: Annotated[int, Range(0), PYTHON_ONLY] = 5
    """Redirects followed for one image."""

    def __post_init__(self) -> None:
        check(self)

    @property
    def connect_timeout(self) -> float:
        """Time for a connection in seconds: no longer than the whole request may take."""
        return min(self.seconds, self.connect_seconds)

    @property
    def silence(self) -> float:
        """The longest silence that a request outlives, in seconds: no longer than the whole of it."""
        return min(self.seconds, self.silent_seconds)


@dataclass(frozen=True)
class Politeness:
    """How hosts are treated."""

    connections: Annotated[int, Range(1)] = 16
    """Requests under way at one host."""
    workers: Annotated[int, Range(1)] = 64
    """Requests under way in all."""
    rate: Annotated[float | None, Range(0), Option(default="40")] = None
    """Requests per second and host; 0: no limit.

    None means 40, and no limit for this machine's own address.
    """
    attempts: Annotated[int, Range(1)] = 4
    """Requests for a picture in one run, before a passing fault is recorded."""
    throttled_attempts: Annotated[int, Range(0), PYTHON_ONLY] = 10
    """The same for answers of 429, which say nothing about the image."""
    backoff: Annotated[float, Range(0), PYTHON_ONLY] = 0.5
    """Seconds before the second attempt; doubles with every further one, with jitter of +-50 %."""
    backoff_cap: Annotated[float, Range(0), PYTHON_ONLY] = 60.0
    """Longest wait between two attempts, in seconds."""
    patience: Annotated[float, Range(0), PYTHON_ONLY] = 300.0
    """A host that asks for a longer Retry-After than this (seconds) is left alone for the rest of the run."""
    breaker_after: Annotated[int, Range(0), PYTHON_ONLY] = 12
    """Faults of a host in a row that open its circuit breaker."""
    breaker_pause: Annotated[float, Range(0), PYTHON_ONLY] = 5.0
    """Seconds until an open breaker lets one request through; doubles every time that one fails, too."""
    breaker_tries: Annotated[int, Range(0), PYTHON_ONLY] = 5
    """Failed tries of an open breaker after which the host is given up for this run."""
    first_pause: Annotated[float, Range(0), PYTHON_ONLY] = 2.0
    """The pause for a host that has not answered anything in this run: one that fails again after it is given up."""
    contact: Annotated[str, Option(metavar="TEXT")] = ""
    """E-mail or web address for the User-Agent."""
    honour_noai: Annotated[bool, Option("--ignore-noai")] = True
    """Fetch although the owner's X-Robots-Tag says noai or noimageai."""
    honour_robots: Annotated[bool, Option("--ignore-robots")] = True
    """Do not ask for robots.txt: fetch what it disallows, at the pace of --rate."""
    honour_tdm: Annotated[bool, Option("--ignore-tdm")] = True
    """Fetch although a TDM-Reservation header or tdmrep.json reserves the rights."""
    honour_ai_txt: Annotated[bool, Option("--ignore-ai-txt")] = True
    """Do not ask for ai.txt: fetch what it disallows."""

    def __post_init__(self) -> None:
        check(self)
        if not self.contact.isascii() or not self.contact.isprintable():
            raise BamkitError("--contact must be plain ASCII: an e-mail or web address")

    @property
    def user_agent(self) -> str:
        """The honest name in every request."""
        contact = f"; {self.contact}" if self.contact else ""
        return f"bamkit/{bamkit.__version__} (research data set fetcher{contact})"


@dataclass(frozen=True)
class FetchSettings:
    """Everything `bamkit fetch` can be told."""

    picture: PictureSettings = field(default_factory=PictureSettings)
    limits: Limits = field(default_factory=Limits)
    politeness: Politeness = field(default_factory=Politeness)
    replace: bool = True
    """Keep the strict ranks: do not fill gaps from the reserve."""
    originals: bool = True
    """Do not keep the downloaded files (another size: download again)."""
    retry: Annotated[frozenset[str], PYTHON_ONLY] = frozenset()
    """Reasons whose failed images are asked for again."""
    again: Annotated[bool, Option("--download-again")] = False
    """Ask again for pictures whose original is missing when needed."""
    allow_private: bool = False
    """Allow addresses of this machine and of private networks."""
    ca_file: Annotated[str | None, Option(metavar="PEM", complete="files")] = None
    """Trust these certificates instead of the system's."""
    placeholders: Annotated[tuple[str, ...], Option("--placeholder", metavar="HASH")] = ()
    """MD5 or SHA-256 of an 'unavailable' picture; repeatable."""
    placeholder_repeats: Annotated[int, Range(0)] = 5
    """A file that answers so many addresses is one; 0: off."""
    threads: Annotated[int, Range(0), Option(default="one a core")] = 0
    """Threads that decode."""
    shard_rows: Annotated[int, Range(1)] = 5000
    """Most pictures in one parquet file."""
    engine: Annotated[str, Choice(*ENGINES)] = "local"
    """Threads of this process, or tasks on a Ray cluster."""
    partition: Annotated[int, Range(1)] = 200
    """With Ray: addresses of one task, which is what is lost when a machine dies."""
    ray_address: Annotated[str | None, Option(metavar="HOST:PORT", default="RAY_ADDRESS, or this machine")] = None
    """The cluster to join."""

    def __post_init__(self) -> None:
        check(self)
        if self.placeholder_repeats == 1:
            raise BamkitError("--placeholder-repeats must be 2 or more, or 0 to turn the rule off")
        for text in self.placeholders:
            if not HASH.fullmatch(text):
                raise BamkitError(f"--placeholder {text}: give the MD5 or SHA-256 of the file in hex digits")
        if self.ray_address and self.engine != "ray":
            raise BamkitError("--ray-address needs --engine ray")

    @property
    def decode_threads(self) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return self.threads or cores or 1

    @property
    def lists_md5(self) -> bool:
        """Whether the user lists a placeholder by MD5. (That of Behance is a small file: its MD5 is taken anyway.)"""
        return any(len(text) == 32 for text in self.placeholders)

    @property
    def known_placeholders(self) -> frozenset[str]:
        return frozenset({BEHANCE_PLACEHOLDER, *map(str.lower, self.placeholders)})
