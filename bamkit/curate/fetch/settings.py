"""All settings of a fetch, as frozen dataclasses. Invalid combinations are refused when they are made."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field
from typing import Any

import bamkit
from bamkit.common.errors import BamkitError

FITS = ("squash", "crop", "pad", "short-side")
ENGINES = ("local", "ray")
FORMATS = ("jpeg", "png", "webp")
DECODERS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
MEMORY = 100_000_000
HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")

# The picture that Behance serves with status 200 instead of a removed one: 600 x 343 px, 3,727 bytes.
BEHANCE_PLACEHOLDER = "55baf220c19dcf464dbaf0a8bd07aa2b"


@dataclass(frozen=True)
class PictureSettings:
    """How an original becomes the picture in a split."""

    size: int = 286
    """Side of the built picture in pixels (for `short-side`: its shorter side)."""
    fit: str = "squash"
    """`squash` to a square, `crop` the centre, `pad` with white, or `short-side` (keeps the aspect ratio)."""
    format: str = "jpeg"
    """`jpeg` (4:4:4), or lossless `png` or `webp`."""
    quality: int = 95
    """JPEG quality, 1 to 100."""
    oversample: float = 1.5
    """JPEGs may be decoded at 1/2, 1/4 or 1/8 as long as at least `oversample` times the target remains. Below 1.5 the
    loss becomes visible; a large value (64) always decodes in full."""

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 8192:
            raise BamkitError(f"--size {self.size}: the side of a picture is 8 to 8192 pixels")
        _one_of("--fit", self.fit, FITS)
        _one_of("--format", self.format, FORMATS)
        if not 1 <= self.quality <= 100:
            raise BamkitError(f"--quality {self.quality}: JPEG quality is 1 to 100")
        if not 1.0 <= self.oversample <= 64:
            raise BamkitError(f"--oversample {self.oversample:g}: give 1 (fast, coarse) to 64 (always decode in full)")

    def at_once(self, most: int) -> int:
        """How many built pictures may be in memory together: `most`, or fewer if they are large ones."""
        each = self.size**2 * (1 if self.format == "jpeg" else 3)
        return max(4, min(most, MEMORY // each))

    def about(self) -> dict[str, Any]:
        """What is written into a split's metadata; the same settings always give the same value."""
        said = asdict(self)
        if self.format != "jpeg":
            del said["quality"]
        return said


@dataclass(frozen=True)
class Limits:
    """What is accepted at all."""

    max_bytes: int = 50_000_000
    """Largest file, in bytes as sent and as decompressed."""
    max_pixels: int = 64_000_000
    """Most pixels, judged by the picture's header before anything is decoded."""
    min_side: int = 32
    """Shortest side of a picture in pixels; anything smaller is a tracking dot or a failed upload."""
    decoders: tuple[str, ...] = ("JPEG", "PNG", "GIF", "WEBP")
    """Pillow formats that may be decoded."""
    seconds: float = 60.0
    """Total time for one image with all its redirects, from the first byte sent to the last byte read."""
    connect_seconds: float = 10.0
    """Time for one connection to be made, TLS included."""
    silent_seconds: float = 10.0
    """Longest silence of a host: until its answer begins, and between two pieces of it."""
    max_redirects: int = 5
    """Redirects followed for one image."""

    def __post_init__(self) -> None:
        if self.max_bytes < 1 or self.max_pixels < 1 or self.min_side < 1:
            raise BamkitError("--max-bytes, --max-pixels and --min-side must be at least 1")
        if min(self.seconds, self.connect_seconds, self.silent_seconds) <= 0 or self.max_redirects < 0:
            raise BamkitError("--seconds must be positive and --max-redirects at least 0")
        for name in self.decoders:
            _one_of("--accept", name, DECODERS)

    @property
    def silence(self) -> float:
        """The longest silence that a request outlives, in seconds: no longer than the whole of it."""
        return min(self.seconds, self.silent_seconds)


@dataclass(frozen=True)
class Politeness:
    """How hosts are treated."""

    connections: int = 16
    """Requests under way at one host at a time."""
    workers: int = 64
    """Requests under way in all."""
    rate: float | None = None
    """Requests started per second at one host; None means 40, and no limit for this machine's own address; 0 means
    no limit."""
    attempts: int = 4
    """Requests for one image in one run before a passing fault is recorded."""
    throttled_attempts: int = 10
    """The same for answers of 429, which say nothing about the image."""
    backoff: float = 0.5
    """Seconds before the second attempt; doubles with every further one, with jitter of +-50 %."""
    backoff_cap: float = 60.0
    """Longest wait between two attempts, in seconds."""
    patience: float = 300.0
    """A host that asks for a longer Retry-After than this (seconds) is left alone for the rest of the run."""
    breaker_after: int = 12
    """Faults of a host in a row that open its circuit breaker."""
    breaker_pause: float = 5.0
    """Seconds until an open breaker lets one request through; doubles every time that one fails, too."""
    breaker_tries: int = 5
    """Failed tries of an open breaker after which the host is given up for this run."""
    first_pause: float = 2.0
    """The pause for a host that has not answered anything in this run: one that fails again after it is given up."""
    contact: str = ""
    """An e-mail or web address added to the User-Agent, so that a host's owner can reach whoever is fetching."""
    honour_noai: bool = True
    """Leave pictures alone whose answer carries `X-Robots-Tag: noai` or `noimageai`."""

    def __post_init__(self) -> None:
        if self.connections < 1 or self.workers < 1 or self.attempts < 1:
            raise BamkitError("--connections, --workers and --attempts must be at least 1")
        if self.rate is not None and self.rate < 0:
            raise BamkitError("--rate is requests per second and host; 0 means no limit")
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
    """Replace unavailable images from the reserve in rank order."""
    originals: bool = True
    """Keep the downloaded files; without them another size means downloading again."""
    retry: frozenset[str] = frozenset()
    """Reasons whose failed images are asked for again."""
    again: bool = False
    """Ask once more for pictures that arrived but whose original is no longer here when it is needed."""
    allow_private: bool = False
    """Allow addresses of this machine and of private networks."""
    ca_file: str | None = None
    """Certificates to trust instead of the system's (PEM)."""
    placeholders: tuple[str, ...] = ()
    """MD5 or SHA-256 of further placeholder files, beside the one known of Behance."""
    placeholder_repeats: int = 5
    """A file that answers this many different URLs is taken for a placeholder; 0 turns that off."""
    threads: int = 0
    """Threads that decode; 0 means one for each core."""
    shard_rows: int = 5000
    """Most rows of one parquet file."""
    engine: str = "local"
    """`local` (threads of this process) or `ray` (tasks on a cluster)."""
    partition: int = 200
    """With Ray: URLs of one task, which is what is lost when a machine dies."""
    ray_address: str | None = None
    """With Ray: the cluster to join; None means RAY_ADDRESS, or a cluster of this machine alone."""

    def __post_init__(self) -> None:
        if self.placeholder_repeats == 1 or self.placeholder_repeats < 0:
            raise BamkitError("--placeholder-repeats must be 2 or more, or 0 to turn the rule off")
        for text in self.placeholders:
            if not HASH.fullmatch(text):
                raise BamkitError(f"--placeholder {text}: give the MD5 or SHA-256 of the file in lower-case hex digits")
        if self.threads < 0 or self.shard_rows < 1 or self.partition < 1:
            raise BamkitError("--threads must be at least 0, --shard-rows and --partition at least 1")
        _one_of("--engine", self.engine, ENGINES)
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
        return frozenset({BEHANCE_PLACEHOLDER, *self.placeholders})


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BamkitError(f"{option} {value}: must be one of {', '.join(allowed)}")
