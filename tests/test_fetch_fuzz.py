"""Mutated pictures and mutated HTTP answers: nothing crashes, hangs or grows; there is a picture or a named fault."""

from __future__ import annotations

import gc
import gzip
import io
import logging
import resource
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from fetching import encoded, jpeg, picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bamkit.common.pictures.reader import quiet_decoders
from bamkit.curate.fetch.faults import FAULTS, Fault
from bamkit.curate.fetch.http.client import Client
from bamkit.curate.fetch.settings import FetchSettings, Limits, PictureSettings
from bamkit.curate.fetch.splits.picture import build

LIMITS = Limits(max_pixels=4_000_000, min_side=8, decoders=("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"))


def samples():
    image = picture(1, 90, 70)
    exif = Image.Exif()
    exif[0x0112] = 6
    clear = image.convert("RGBA")
    clear.putalpha(image.convert("L"))
    profile = bytes(range(256)) * 2
    return [
        encoded(image, "JPEG", exif=exif, icc_profile=profile), encoded(image, "JPEG", progressive=True),
        encoded(image.convert("CMYK"), "JPEG"), encoded(image.convert("L"), "JPEG"), encoded(image, "PNG"),
        encoded(clear, "PNG", icc_profile=profile, exif=exif), encoded(image.quantize(8), "PNG", transparency=3),
        encoded(Image.new("I;16", (60, 60), 500), "PNG"), encoded(image.quantize(), "GIF"),
        encoded(image.quantize(), "GIF", save_all=True, append_images=[picture(2, 90, 70).quantize()]),
        encoded(clear, "WEBP"), encoded(image, "WEBP", save_all=True, append_images=[picture(2, 90, 70)]),
        encoded(image, "BMP"), encoded(image, "TIFF", compression="tiff_lzw"), encoded(image.convert("1"), "TIFF"),
    ]  # fmt: skip


SAMPLES = samples()
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 900\r\n\r\n" + jpeg(1)[:900],
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 40\r\n\r\n" + gzip.compress(b"x" * 30, mtime=0),
    b"HTTP/1.0 200 OK\r\nX-Robots-Tag: noindex\r\n\r\n" + b"data" * 50,
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n",
]
NASTY = [
    b"\r\n", b"\0", b"\xff", b":", b"HTTP/1.1 200", b"-1", b"9" * 30, b"chunked", b"gzip", b"http://[", b"//", b"IHDR",
    b"\xff\xda", b"\xff\xc0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"IEND", b"VP8X",
]  # fmt: skip

mutation = st.tuples(
    st.sampled_from(["flip", "cut", "drop", "repeat", "insert", "overwrite"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 255),
    st.sampled_from(NASTY),
)


def mutated(data, changes):
    out = bytearray(data)
    for kind, where, value, nasty in changes:
        at = int(where * len(out))
        if kind == "flip" and out:
            out[at] ^= value
        elif kind == "cut":
            del out[at:]
        elif kind == "drop":
            del out[at : at + value]
        elif kind == "repeat":
            out[at:at] = out[at : at + value] * 8
        elif kind == "insert":
            out[at:at] = nasty
        elif kind == "overwrite":
            out[at : at + len(nasty)] = nasty
    return bytes(out)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


class Growth:
    """Memory now, open files and threads of this process: noted half-way, when all is warm, and compared at the end."""

    def __init__(self):
        self.first = None

    def note(self):
        gc.collect()
        status = Path("/proc/self/status")
        if not status.exists():
            pytest.skip("no /proc to read the memory from")
        words = dict(line.split(":", 1) for line in status.read_text().splitlines())
        now = (int(words["VmRSS"].split()[0]) / 1000, len(list(Path("/proc/self/fd").iterdir())), int(words["Threads"]))
        if self.first is None:
            self.first = now
            return
        memory, files, threads = (after - before for after, before in zip(now, self.first, strict=True))
        assert memory < 40, "megabytes"
        assert files < 10
        assert threads < 5


def check_pictures(examples):
    before = peak()
    counts = Counter()

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.sampled_from(SAMPLES), st.lists(mutation, min_size=1, max_size=6))
    def run(data, changes):
        started = time.monotonic()
        try:
            made, header = build(mutated(data, changes), PictureSettings(size=32), LIMITS)
            assert (made.width, made.height) == (32, 32)
            assert header.width * header.height <= LIMITS.max_pixels
            with Image.open(io.BytesIO(made.data)) as image:
                image.load()
            counts["picture"] += 1
        except Fault as fault:
            counts["fault" if fault.name in FAULTS else "nameless"] += 1
        assert time.monotonic() - started < 10

    growth = Growth()
    with quiet_decoders(LIMITS.max_pixels):
        for _ in range(2):
            run()
            growth.note()
    assert peak() - before < 250, "megabytes"
    assert min(counts["picture"], counts["fault"]) > examples // 20, counts
    assert set(counts) == {"picture", "fault"}


def check_answers(examples, folder):
    answers = [b""]
    before = peak()
    client = Client(FetchSettings(allow_private=True, limits=Limits(seconds=0.5, max_bytes=100_000, max_redirects=2)))
    seen = set()

    def serve(listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                try:
                    sock.settimeout(2)
                    sock.recv(4096)
                    sock.sendall(answers[0])
                    sock.shutdown(socket.SHUT_WR)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/a.jpg"

        @settings(max_examples=examples, deadline=None, derandomize=True, database=None,
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(st.sampled_from(ANSWERS), st.lists(mutation, max_size=5))
        def run(answer, changes):
            answers[0] = mutated(answer, changes)
            started = time.monotonic()
            try:
                found = client.get(url, folder / "file")
                assert found.size == (folder / "file").stat().st_size <= 100_000
                seen.add("ok")
            except Fault as fault:
                seen.add(fault.name)
            assert time.monotonic() - started < 8

        growth = Growth()
        for _ in range(2):
            run()
            growth.note()
        listener.close()
    client.close()
    assert peak() - before < 150, "megabytes"
    assert seen <= {"ok", *FAULTS} - {"unexpected"}
    assert {"ok", "gone", "bad-answer", "incomplete"} <= seen, seen


@pytest.fixture
def quiet(caplog):
    """pytest keeps what urllib3 logs, with tracebacks that hold connections open."""
    caplog.set_level(logging.CRITICAL, "urllib3")


def test_mutated_pictures():
    check_pictures(150)


def test_mutated_answers(tmp_path, quiet):
    check_answers(80, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_mutated_pictures():
    check_pictures(1000)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_mutated_answers(tmp_path, quiet):
    check_answers(500, tmp_path)
