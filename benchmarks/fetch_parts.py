"""Where the time of one fetched picture goes: HTTP clients, decoders and filters, encoders, threads or processes.

    python benchmarks/fetch_parts.py [--gets 600]

CPU milliseconds are of this process alone (the server is another one), so that a busy machine distorts them little.
PSNR is in dB against a full decode scaled by Lanczos: mean / 5th percentile / worst.
"""

from __future__ import annotations

import argparse
import http.client
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import fetch as whole
import numpy as np
import requests
import urllib3
from PIL import Image

from bamkit.curate.fetch.http.client import Client
from bamkit.curate.fetch.settings import FetchSettings, Limits, PictureSettings
from bamkit.curate.fetch.splits.picture import build, encode, phash


def clients(port: int, gets: int, folder: Path) -> None:
    """CPU of one GET over a kept-alive connection, by client."""
    url = f"http://127.0.0.1:{port}"
    connection = http.client.HTTPConnection("127.0.0.1", port)
    pool = urllib3.HTTPConnectionPool("127.0.0.1", port)
    session = requests.Session()
    client = Client(FetchSettings(allow_private=True))

    def with_http_client(index: int) -> int:
        connection.request("GET", f"/{index}.jpg")
        return len(connection.getresponse().read())

    ways: dict[str, Callable[[int], int]] = {
        "http.client": with_http_client,
        "urllib3": lambda index: len(pool.urlopen("GET", f"/{index}.jpg").data),
        "requests, one session": lambda index: len(session.get(f"{url}/{index}.jpg").content),
        "requests, no session": lambda index: len(requests.get(f"{url}/{index}.jpg", timeout=30).content),
        "bamkit (checks, two hashes, file)": lambda index: client.get(f"{url}/{index}.jpg", folder / "x").size,
    }
    print(f"one GET of {ways['urllib3'](0) / 1000:.0f} kB, CPU:")
    for name, way in ways.items():
        for index in range(20):
            way(index)
        spent = []
        for start in range(0, gets, 50):
            before = time.process_time()
            for index in range(start, start + 50):
                way(index)
            spent.append((time.process_time() - before) / 50 * 1000)
        print(f"  {name:45} {statistics.median(spent):6.2f} ms")
    client.close()


def corpus() -> list[bytes]:
    """JPEGs of the sizes that are met: 600 px wide as at Behance, 1.1 megapixels, and 6 megapixels."""
    files = []
    for size in ((600, 420), (600, 1100), (1280, 860), (1600, 1200), (3000, 2000)):
        for seed in range(6):
            rng = np.random.default_rng(seed)
            layers = np.zeros((size[1], size[0], 3))
            for cells, weight in ((5, 1.0), (16, 0.8), (90, 0.4)):
                noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
                kernel = Image.Resampling.NEAREST if cells == 16 else Image.Resampling.BICUBIC
                layers += weight * np.asarray(noise.resize(size, kernel), dtype=float)
            layers += rng.normal(0, 5, (size[1], size[0], 1))
            scaled = np.clip((layers - layers.min()) / np.ptp(layers) * 255, 0, 255).astype(np.uint8)
            file = io.BytesIO()
            Image.fromarray(scaled).save(file, "JPEG", quality=88)
            files.append(file.getvalue())
    return files


def scaled(data: bytes, oversample: float, kernel: Image.Resampling) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.draft(None, (int(whole.SIZE * oversample), int(whole.SIZE * oversample)))
    return image.convert("RGB").resize((whole.SIZE, whole.SIZE), kernel)


def decoders(files: list[bytes]) -> None:
    """Time and loss of reduced decoding and of the filter after it, without any encoding."""
    lanczos, bicubic = Image.Resampling.LANCZOS, Image.Resampling.BICUBIC
    ways = {
        "full, Lanczos (the reference)": (64, lanczos),
        "full, bicubic": (64, bicubic),
        "at least 2 x, bicubic": (2, bicubic),
        "at least 1.5 x, bicubic (bamkit)": (1.5, bicubic),
        "at least 1.5 x, Lanczos": (1.5, lanczos),
        "at least 1 x, bicubic (--oversample 1)": (1, bicubic),
    }
    references = [scaled(file, 64, lanczos) for file in files]
    print(f"\ndecode and scale {len(files)} JPEGs of 0.25 to 6 megapixels to {whole.SIZE} px:")
    for name, (oversample, kernel) in ways.items():
        before = time.process_time()
        results = [scaled(file, oversample, kernel) for file in files]
        spent = (time.process_time() - before) / len(files) * 1000
        reduced = [i for i, file in enumerate(files) if is_reduced(file, oversample)]
        values = sorted(
            whole.psnr(results[i], references[i]) for i in (reduced if oversample < 64 else range(len(files)))
        )
        loss = (
            f"{statistics.fmean(values):5.1f} / {values[len(values) // 20]:5.1f} / {values[0]:5.1f} dB"
            if values
            else ""
        )
        print(f"  {name:45} {spent:6.1f} ms   {loss}" + (f" ({len(reduced)} were reduced)" if oversample < 64 else ""))


def is_reduced(data: bytes, oversample: float) -> bool:
    image = Image.open(io.BytesIO(data))
    before = image.size
    image.draft(None, (int(whole.SIZE * oversample), int(whole.SIZE * oversample)))
    return image.size != before


def encoders(files: list[bytes]) -> None:
    pictures = [scaled(file, 1.5, Image.Resampling.BICUBIC) for file in files]
    print(f"\nencode {whole.SIZE} x {whole.SIZE}:")
    for name in ("jpeg", "png", "webp"):
        before = time.process_time()
        sizes = [len(encode(picture, PictureSettings(format=name))) for picture in pictures]
        spent = (time.process_time() - before) / len(pictures) * 1000
        print(f"  {name:45} {spent:6.1f} ms   {statistics.fmean(sizes) / 1000:.0f} kB each")
    before = time.process_time()
    for picture in pictures:
        phash(picture)
    print(f"  {'perceptual hash':45} {(time.process_time() - before) / len(pictures) * 1000:6.1f} ms")


def one(data: bytes) -> int:
    return len(build(data, PictureSettings(), Limits())[0].data)


def pools(files: list[bytes]) -> None:
    """Threads against processes for the whole build; wall time, so a busy machine distorts it."""
    print(f"\nbuild {8 * len(files)} pictures:")
    for name, pool in (
        ("1 thread", ThreadPoolExecutor(1)),
        ("2 threads", ThreadPoolExecutor(2)),
        ("2 processes", ProcessPoolExecutor(2)),
    ):
        with pool:
            list(pool.map(one, files))
            started = time.perf_counter()
            list(pool.map(one, files * 8, chunksize=4))
            print(f"  {name:45} {8 * len(files) / (time.perf_counter() - started):6.1f} pictures/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gets", type=int, default=600)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index, file in enumerate(whole.pictures(4)):
            (folder / f"{index:03}.jpg").write_bytes(file)
        server = subprocess.Popen(
            [sys.executable, whole.__file__, "--serve", "http", name], stdout=subprocess.PIPE, text=True
        )
        try:
            clients(int(server.stdout.readline()), arguments.gets, folder)
        finally:
            server.kill()
    files = corpus()
    decoders(files)
    encoders(files)
    pools([file for file in files if len(file) < 400_000])


if __name__ == "__main__":
    main()
