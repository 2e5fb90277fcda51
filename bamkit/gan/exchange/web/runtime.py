"""onnxruntime-web, which runs the networks of an exported page: one version of it, fetched once and checked by hash.

The package has 33 MB and holds builds for five ways of running; a page takes two files of it. So it is in no wheel of
bamkit's: an export fetches it into the user's cache, or takes a file (`--runtime`).
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import ssl
import sys
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import certifi

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import write_bytes

TIMEOUT = 60
"""Seconds without a byte after which a download is given up."""


@dataclass(frozen=True)
class Package:
    """One version of a package of npm."""

    name: str
    version: str
    size: int
    """Bytes of the .tgz."""
    sha512: str
    """Base64, as npm's `integrity` has it behind `sha512-`."""
    registry: str = "https://registry.npmjs.org"

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}.tgz"

    @property
    def url(self) -> str:
        return f"{self.registry}/{self.name}/-/{self.file}"

    def is_whole(self, data: bytes) -> bool:
        """Whether these are the bytes of the package."""
        return base64.b64encode(hashlib.sha512(data).digest()).decode() == self.sha512


ONNXRUNTIME_WEB = Package(
    "onnxruntime-web",
    "1.30.0",
    33_106_585,
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
)
SCRIPT = "package/dist/ort.wasm.bundle.min.mjs"
WASM = "package/dist/ort-wasm-simd-threaded.wasm"
"""What a page takes: the build without WebGPU and WebGL, on one thread where a page is not isolated."""


def obtain(given: Path | None = None, package: Package | None = None, cache: Path | None = None) -> bytes:
    """ONNXRUNTIME_WEB's .tgz: the file `given`, else from `cache` (default: the user's), else from the registry.

    What was fetched is kept in the cache, under a temporary name until it is whole. Raises BamkitError where `given` is
    another file, or nothing can be fetched; nothing is kept then.
    """
    package = package or ONNXRUNTIME_WEB
    if given is not None:
        return _from_file(given, package)
    kept = (cache or user_cache()) / package.file
    try:
        if package.is_whole(data := kept.read_bytes()):
            return data
    except OSError:  # not there, or not readable: it is fetched
        pass
    data = _download(package)
    write_bytes(kept, data)
    return data


def user_cache() -> Path:
    """The folder for what bamkit fetched and could fetch again, by the custom of the system."""
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "bamkit"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "bamkit" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "bamkit"


def files_of(package: bytes) -> tuple[bytes, bytes]:
    """SCRIPT and WASM out of the package's .tgz."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(package), mode="r|gz") as archive:
        for member in archive:
            if member.name in (SCRIPT, WASM) and (file := archive.extractfile(member)):
                found[member.name] = file.read()
    return found[SCRIPT], found[WASM]


def _from_file(path: Path, package: Package) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BamkitError(f"{path} cannot be read: {error.strerror}", _by_hand(package)) from error
    if not package.is_whole(data):
        raise BamkitError(f"{path} is not {package.name} {package.version}: its SHA-512 differs", _by_hand(package))
    return data


def _download(package: Package) -> bytes:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    try:
        with urllib.request.urlopen(package.url, timeout=TIMEOUT, context=context) as answer:
            data: bytes = answer.read(package.size + 1)
    except urllib.error.HTTPError as error:
        raise _no_package(package, f"the registry answers {error.code} {error.reason}") from error
    except (HTTPException, OSError) as error:  # no connection, no certificate, cut
        raise _no_package(package, str(getattr(error, "reason", error)) or type(error).__name__) from error
    if len(data) < package.size:
        raise _no_package(package, f"{len(data):,} of {package.size:,} bytes arrived")
    if not package.is_whole(data):
        raise _no_package(package, "what arrived has another SHA-512")
    return data


def _no_package(package: Package, why: str) -> BamkitError:
    return BamkitError(f"{package.url} could not be had: {why}", f"the same command again; or {_by_hand(package)}")


def _by_hand(package: Package) -> str:
    """How to bring the package where there is no network."""
    return f"where there is a network: npm pack {package.name}@{package.version}; here: --runtime {package.file}"
