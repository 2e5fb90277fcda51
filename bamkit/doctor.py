"""What is wrong with this installation and how to mend it: the library behind `bamkit doctor`. No network is used."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bamkit.common.terminal.progress import size
from bamkit.common.workspace import Workspace

FINE, NOTE, WRONG = "fine", "note", "wrong"
"""States of a finding: as it should be; worth knowing; to be mended."""
SCANT, ROOMY = 1e9, 10e9
"""Free bytes below which a disk is too full to work on, and below which that is worth knowing."""
EXTRAS = {
    "ray": "fetching on a cluster",
    "onnx": "exporting runs as ONNX",
    "safetensors": "exporting runs as safetensors",
    "keras": "a judge from Keras weights",
    "c2pa": "signing generated pictures",
    "perceptual": "LPIPS and Inception features",
}
"""By extra of the distribution, what it is for."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
SECONDS = 120
"""The longest that torch may take to be imported."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    found: str
    state: str = FINE
    mend: str = ""
    """What to do about it: a command, or a sentence."""


def examine(workspace: Workspace) -> list[Finding]:
    """Look at Python, the packages, torch and CUDA, disks, fonts, write access, proxies and extras."""
    return [
        *_python(),
        *_packages(),
        *_torch(),
        *_disks(workspace),
        *_pictures(),
        *_access(workspace),
        *_proxies(os.environ),
        *_extras(),
    ]


def healthy(findings: list[Finding]) -> bool:
    """Whether nothing is wrong."""
    return all(finding.state != WRONG for finding in findings)


def as_dict(findings: list[Finding]) -> dict[str, Any]:
    """Everything, ready for JSON."""
    return {"healthy": healthy(findings), "findings": [asdict(finding) for finding in findings]}


def _python() -> Iterator[Finding]:
    bits = "64-bit" if sys.maxsize > 2**32 else "32-bit"
    version = f"{platform.python_version()} ({bits}, {platform.system()} {platform.machine()})"
    right = sys.version_info >= (3, 11) and bits == "64-bit"
    yield Finding("Python", version, FINE if right else WRONG, "" if right else "bamkit needs 64-bit Python 3.11")
    encoding = sys.getfilesystemencoding()
    utf8 = encoding.lower().replace("-", "") == "utf8"
    mend = "" if utf8 else "export PYTHONUTF8=1   # or names can hold ASCII letters only"
    yield Finding("file names", encoding, FINE if utf8 else NOTE, mend)


def _packages() -> Iterator[Finding]:
    """The packages that bamkit needs, with those that are missing or too old."""
    wanted = [line for line in _requirements() if "extra ==" not in line]
    if not wanted:
        yield Finding("packages", "bamkit is not installed, but run from a folder", NOTE, "pip install .")
        return
    wrong = [said for line in wanted if (said := _lacking(line))]
    if wrong:
        yield Finding("packages", "; ".join(wrong), WRONG, f"pip install {' '.join(map(_quoted, map(_plain, wrong)))}")
    else:
        yield Finding("packages", f"all {len(wanted)} that bamkit needs")


def _requirements() -> list[str]:
    try:
        return metadata.requires("bamkit") or []
    except metadata.PackageNotFoundError:
        return []  # run from a checkout that was never installed


def _lacking(requirement: str) -> str:
    """`pandas>=2.2 is not installed`, or "" where it is and is new enough."""
    name, least = _name(requirement), re.search(r">=([\d.]+)", requirement)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{_plain(requirement)} is not installed"
    if least and _numbers(version) < _numbers(least[1]):
        return f"{_plain(requirement)} is needed, {version} is here"
    return ""


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    return found[0] if found else requirement


def _plain(requirement: str) -> str:
    """`pandas>=2.2` of a requirement or of a sentence that begins with it."""
    return re.split(r"[ ;]", requirement)[0]


def _quoted(word: str) -> str:
    return f"'{word}'"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _torch() -> Iterator[Finding]:
    """torch and torchvision, imported in a process of its own."""
    gpu = _has_gpu()
    command = [sys.executable, "-m", "bamkit.gan.train.device.probe"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        yield Finding("torch", f"does not start within {SECONDS} s", WRONG, "look at the disk that Python lies on")
        return
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        mend = "pip install --force-reinstall torch torchvision"
        yield Finding("torch", f"cannot be imported: {lines[-1]}", WRONG, mend)
        return
    yield from said_of_torch(json.loads(done.stdout.strip().splitlines()[-1]), gpu)


def said_of_torch(found: Mapping[str, Any], gpu: bool) -> Iterator[Finding]:
    """What a probe's answer means on a machine with or without an NVIDIA GPU."""
    yield Finding("torch", f"{found['torch']}, built for {found['built_for']}, {found['threads']} threads")
    if found["gpus"]:
        names = ", ".join(f"{one['name']} ({size(one['memory'])})" for one in found["gpus"])
        yield Finding("GPU", names)
    elif gpu and found["built_for"] == "CPU":
        mend = "pip install --force-reinstall torch torchvision   # a build for CUDA, see pytorch.org"
        yield Finding("GPU", "there is one, and this torch is built for CPUs only", WRONG, mend)
    elif gpu:
        mend = f"nvidia-smi   # the driver must be new enough for {found['built_for']}"
        yield Finding("GPU", "there is one, and torch cannot use it", WRONG, mend)
    else:
        yield Finding("GPU", "none: training runs on the CPU", NOTE, "bamkit train --preset quick   # fits a CPU")
    if found["torchvision_error"]:
        mend = "pip install --force-reinstall torchvision   # one that is built for the same torch"
        yield Finding("torchvision", found["torchvision_error"], WRONG, mend)
    else:
        yield Finding("torchvision", found["torchvision"])


def _has_gpu() -> bool:
    """Whether an NVIDIA GPU is to be seen without torch."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or shutil.which("nvidia-smi") is not None


def _disks(workspace: Workspace) -> Iterator[Finding]:
    for what, folder in (("disk", _existing(workspace.root)), ("temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        state = WRONG if free < SCANT else NOTE if free < ROOMY and what == "disk" else FINE
        mend = "make room: 1,000 originals take about 240 MB, a checkpoint of the study 340 MB" if state != FINE else ""
        yield Finding(what, f"{size(free)} free at {folder}", state, mend)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    folder = folder.absolute()
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _pictures() -> Iterator[Finding]:
    """Decoders and fonts."""
    if importlib.util.find_spec("PIL") is None:
        return  # said under packages
    from PIL import features

    lacking = [name for name in ("jpg", "zlib", "webp", "freetype2", "littlecms2") if not features.check(name)]
    mend = "pip install --force-reinstall --only-binary pillow pillow" if lacking else ""
    found = f"Pillow lacks {', '.join(lacking)}" if lacking else "JPEG, PNG, WebP; colour profiles; fonts for sheets"
    yield Finding("pictures", found, WRONG if lacking else FINE, mend)
    if importlib.util.find_spec("matplotlib") is None:
        return  # said under packages
    import matplotlib

    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    state = FINE if font.is_file() else WRONG
    mend = "" if state == FINE else "pip install --force-reinstall matplotlib"
    yield Finding("fonts", f"{font.stem} for figures" if state == FINE else f"{font} is missing", state, mend)
    cache = Path(matplotlib.get_cachedir())
    if not os.access(cache, os.W_OK):
        yield Finding("font cache", f"{cache} cannot be written: figures start slowly", NOTE, "export MPLCONFIGDIR=DIR")


def _access(workspace: Workspace) -> Iterator[Finding]:
    """Whether the workspace can be written: by a file that is made and removed again."""
    folder = _existing(workspace.root)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".bamkit-doctor-"):
            yield Finding("workspace", f"{folder} can be written")
    except OSError as error:
        mend = f"chmod u+w {folder}   # or work in another folder: bamkit -w DIR"
        yield Finding("workspace", f"{folder} cannot be written: {error.strerror}", WRONG, mend)


def _proxies(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Proxies and certificates that the environment names; nothing is connected to."""
    seen = False
    for name in PROXIES:
        # As libraries do: the lower-case name comes first.
        value = environment.get(name.lower()) or environment.get(name)
        if value:
            seen = True
            yield _proxy(name, value)
    if not seen:
        yield Finding("proxies", "none")
    for name in CERTIFICATES:
        path = environment.get(name)
        if path:
            there = Path(path).exists()
            mend = "" if there else f"unset {name}   # or give it a file of certificates (PEM)"
            yield Finding(name, path if there else f"{path} is not there", FINE if there else WRONG, mend)


def _proxy(name: str, value: str) -> Finding:
    """A proxy's address without its password."""
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        return Finding(name, "is no address", WRONG, f"export {name}=http://HOST:PORT")
    if parts.scheme not in ("http", "https") or not host:
        kind = f"a {parts.scheme} proxy" if host else "is no address"
        mend = f"export {name}=http://HOST:PORT   # bamkit takes http and https proxies"
        return Finding(name, kind, WRONG, mend)
    return Finding(name, f"{parts.scheme}://{host}{f':{port}' if port else ''}")


def _extras() -> Iterator[Finding]:
    """Which extras are complete."""
    requirements = _requirements()
    for extra, purpose in EXTRAS.items():
        wanted = [line for line in requirements if re.search(rf"extra == ['\"]{extra}['\"]", line)]
        lacking = [said for line in wanted if (said := _lacking(line))]
        if wanted:
            found = "; ".join(lacking) if lacking else "installed"
            mend = f"pip install 'bamkit[{extra}]'   # only if you want it" if lacking else ""
            yield Finding(f"{extra}: {purpose}", found, NOTE if lacking else FINE, mend)
