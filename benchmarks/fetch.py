"""Fetch against img2dataset: the same JPEGs from the same loopback server in the same run, over http and https.

    python benchmarks/fetch.py --img2dataset /path/to/venv/bin/python [--images 2000] [--rounds 2]

img2dataset pins other versions of numpy and pandas than bamkit, so it wants an environment of its own:

    python -m venv /tmp/i2d && /tmp/i2d/bin/pip install img2dataset

Both write 286 x 286 centre crops as JPEG q95 into parquet: img2dataset with 2 processes of 32 threads, which share the
pictures evenly, bamkit as it comes. The pictures are made here: about 1.1 megapixels and 190 kB each, no two files
alike. Printed are pictures a second, peak memory (PSS over all processes), and the PSNR of the results against a full
decode scaled by Lanczos. Server and programs share the same cores. On a machine that does other work besides, give the
run precedence (as root: `chrt --rr 1 python benchmarks/fetch.py ...`), or the figures are those of the other work.
`--old CHECKOUT` runs another version of bamkit, too, turn by turn: what a change costs. `--python PYTHON` runs bamkit
under another Python that has it installed, such as a free-threaded one (PYTHON_GIL=1 gives that its lock back).
`benchmarks/fetch_parts.py` shows where the time of one picture goes: clients, decoders, filters.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import certifi
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SIZE = 286
DISTINCT = 48
PROGRAMS = ("bamkit", "bamkit --no-originals", "img2dataset", "old", "python")
SHOWN = {"pictures_s": "pictures a second", "cpu_ms": "processor time"}
I2D = """
import sys
from img2dataset import download
if __name__ == "__main__":
    urls, out, processes, threads, shard = sys.argv[1:]
    download(url_list=urls, input_format="parquet", url_col="src", output_folder=out, output_format="parquet",
             image_size=286, resize_mode="center_crop", encode_quality=95, processes_count=int(processes),
             thread_count=int(threads), number_sample_per_shard=int(shard), retries=2, timeout=30,
             save_additional_columns=["mid"], disallowed_header_directives=[])
"""


def pictures(count: int = DISTINCT) -> list[bytes]:
    """JPEGs of 1,280 x 860 px and about 190 kB: shapes, gradients and grain, as in drawings with some texture."""
    files = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        layers = np.zeros((860, 1280, 3))
        for cells, weight in ((4, 1.0), (12, 0.7), (60, 0.35), (300, 0.16)):
            noise = rng.integers(0, 256, (cells * 2 // 3 + 1, cells, 3), dtype=np.uint8)
            kernel = Image.Resampling.NEAREST if cells == 12 else Image.Resampling.BICUBIC
            layers += weight * np.asarray(Image.fromarray(noise).resize((1280, 860), kernel), dtype=float)
        layers += rng.normal(0, 11, (860, 1280, 1))
        scaled = np.clip((layers - layers.min()) / np.ptp(layers) * 255, 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(scaled).save(file, "JPEG", quality=80)
        files.append(file.getvalue())
    return files


def comment(index: int) -> bytes:
    """What makes the same JPEG another file, so that no two have one hash; goes after its first two bytes."""
    text = f"picture {index}".encode()
    return b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text


def serve(scheme: str, folder: str) -> None:
    """Answer `/<index>.jpg` until killed; prints the port. Runs in a process of its own."""
    files = [(data[:2], data[2:]) for data in (path.read_bytes() for path in sorted(Path(folder).glob("*.jpg")))]
    context = None
    if scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(listener.getsockname()[1], flush=True)

    def talk(sock: socket.socket) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock = context.wrap_socket(sock, server_side=True) if context else sock
            waiting = b""
            while data := sock.recv(8192):
                waiting += data
                while b"\r\n\r\n" in waiting:
                    head, _, waiting = waiting.partition(b"\r\n\r\n")
                    name = head.split(b" ", 2)[1][1:].partition(b".")[0]
                    if not name.isdigit():  # robots.txt and its like
                        sock.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
                        continue
                    index = int(name)
                    start, rest = files[index % len(files)]
                    own = comment(index)
                    length = len(start) + len(own) + len(rest)
                    close = b"connection: close" in head.lower()
                    said = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n"
                    said += "Connection: close\r\n\r\n" if close else "\r\n"
                    # One copy and one call: the server shares the cores with those who are measured.
                    sock.sendall(b"".join((said.encode(), start, own, rest)))
                    if close:
                        return
        except OSError:
            return
        finally:
            sock.close()

    while True:
        sock, _ = listener.accept()
        threading.Thread(target=talk, args=(sock,), daemon=True).start()


def certificate(folder: Path) -> None:
    """A certificate for the server, and a bundle to trust: it and the usual authorities, as on an ordinary machine.

    (Reading 140 authorities is what a new TLS context costs; a bundle of one would hide that.) The usual ones are those
    of the system, which Python trusts by default, or certifi's where there are none.
    """
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    usual = Path(ssl.get_default_verify_paths().cafile or certifi.where()).read_bytes()
    (folder / "bundle.pem").write_bytes(usual + b"\n" + (folder / "cert.pem").read_bytes())


def watched(command: list[str], env: dict[str, str]) -> tuple[float, float, float]:
    """Run a command; its seconds, its peak memory in MB (PSS over all its processes) and its CPU seconds."""
    before = os.times()
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stderr), daemon=True)
    reader.start()
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(map(pss, tree(process.pid))))
        time.sleep(0.2)
    seconds = time.perf_counter() - started
    if process.returncode:
        reader.join(1)
        raise SystemExit(f"{' '.join(command[:4])} failed:\n" + "".join(said[-15:]))
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, peak, cpu


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(below for child in children for below in tree(child))]


def pss(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1000
    except OSError:
        return 0.0
    return 0.0


def manifest(path: Path, urls: list[str]) -> None:
    from bamkit.common.contract import ATTRIBUTES, selection_schema
    from bamkit.common.shards import write_table

    table = {name: [None] * len(urls) for name in selection_schema().names}
    table |= {"mid": list(range(len(urls))), "src": urls, "rank": list(range(1, len(urls) + 1))}
    table |= {"split": ["train"] * len(urls), "project_id": list(range(len(urls)))}
    assert set(ATTRIBUTES) <= set(table)
    write_table(pa.table(table, selection_schema()), path, {"kind": "selection", "name": path.stem})


def bamkit_run(
    folder: Path, urls: list[str], env: dict[str, str], extra: list[str], python: str
) -> tuple[tuple, dict[int, bytes]]:
    manifest(folder / "selections" / "all.parquet", urls)
    command = [python, "-m", "bamkit", "fetch", "-w", str(folder), "--fit", "crop", "--size", str(SIZE),
               "--allow-private", "--rate", "0", *extra]  # fmt: skip
    spent = watched(command, env)
    rows: dict[int, bytes] = {}
    for path in sorted((folder / "splits" / "all").glob("train-*")):
        table = pq.read_table(path, columns=["mid", "image"])
        rows |= {
            mid: image["bytes"] for mid, image in zip(*(table[c].to_pylist() for c in ("mid", "image")), strict=True)
        }
    return spent, rows


def img2dataset_run(folder: Path, urls: list[str], env: dict[str, str], python: str) -> tuple[tuple, dict[int, bytes]]:
    folder.mkdir(parents=True)
    listed = pa.table({"src": urls, "mid": list(range(len(urls)))})
    pq.write_table(listed, folder / "urls.parquet")
    (folder / "run.py").write_text(I2D)
    shard = -(-len(urls) // 4)
    command = [python, folder / "run.py", folder / "urls.parquet", folder / "out", 2, 32, shard]
    spent = watched([str(word) for word in command], {**env, "NO_ALBUMENTATIONS_UPDATE": "1"})
    rows: dict[int, bytes] = {}
    for path in sorted((folder / "out").glob("*.parquet")):
        table = pq.read_table(path, columns=["mid", "jpg", "status"])
        rows |= {row["mid"]: row["jpg"] for row in table.to_pylist() if row["status"] == "success"}
    return spent, rows


def reference(file: bytes) -> Image.Image:
    """Full decode, centre crop, Lanczos."""
    with Image.open(io.BytesIO(file)) as image:
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        return image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS, box=box)


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB between two 8-bit pictures of one size."""
    error = np.mean((np.asarray(one, dtype=float) - np.asarray(other, dtype=float)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def quality(rows: dict[int, bytes], files: list[bytes]) -> str:
    values = sorted(
        psnr(Image.open(io.BytesIO(rows[index])).convert("RGB"), reference(files[index]))
        for index in range(len(files))
        if index in rows
    )
    return f"{statistics.fmean(values):.1f} / {values[len(values) // 20]:.1f} / {values[0]:.1f}"


def compare(arguments: argparse.Namespace, folder: Path, files: list[bytes]) -> dict[str, dict[str, float]]:
    """All runs in turn, so that a change of the machine's load meets both; returns medians."""
    certificate(folder)
    found: dict[str, dict[str, float]] = {}
    for scheme in arguments.schemes:
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", scheme, str(folder)], stdout=subprocess.PIPE, text=True
        )
        try:
            port = int(server.stdout.readline())
            runs: dict[str, list[tuple]] = {}
            for turn in range(arguments.rounds):
                for name in arguments.only:
                    count = arguments.images
                    if not vars(arguments).get(name, True):
                        continue
                    urls = [f"{scheme}://127.0.0.1:{port}/{index}.jpg" for index in range(count)]
                    place = Path(tempfile.mkdtemp(dir=folder))
                    env = {"SSL_CERT_FILE": str(folder / "bundle.pem")}
                    if name == "img2dataset":
                        spent, rows = img2dataset_run(place / "i", urls, env, arguments.img2dataset)
                    else:
                        env |= {"PYTHONPATH": arguments.old} if name == "old" else {}
                        extra = ["--ca-file", str(folder / "bundle.pem"), *name.split()[1:]]
                        python = arguments.python if name == "python" else sys.executable
                        spent, rows = bamkit_run(place, urls, env, extra, python)
                    if len(rows) != count:
                        raise SystemExit(f"{name}: only {len(rows)} of {count} pictures over {scheme}")
                    runs.setdefault(name, []).append((count / spent[0], spent[1], spent[2] / count * 1000))
                    said = f"{scheme:6} {name:22} round {turn + 1}: {count / spent[0]:6.1f} pictures/s"
                    db = quality(rows, files)
                    print(
                        f"{said}, {spent[1]:5.0f} MB, {spent[2] / count * 1000:5.1f} ms CPU each, PSNR {db} dB",
                        flush=True,
                    )
                    subprocess.run(["rm", "-rf", place], check=True)
            for name, spent in runs.items():
                rate, memory, cpu = (statistics.median(values) for values in zip(*spent, strict=True))
                found[f"{scheme} {name}"] = {"pictures_s": rate, "peak_mb": memory, "cpu_ms": cpu}
        finally:
            server.kill()
            # Waited for, or its processor time would be counted with that of the next program.
            server.wait()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--img2dataset", help="python of an environment that has img2dataset")
    parser.add_argument("--old", help="another checkout of bamkit, to compare with")
    parser.add_argument("--python", help="another Python that has bamkit, to compare with")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--schemes", nargs="+", default=["http", "https"])
    parser.add_argument("--only", nargs="+", default=PROGRAMS, choices=PROGRAMS, help="run these, in this order")
    parser.add_argument("--json", type=Path, help="write the medians here")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(*arguments.serve)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = pictures()
        for index, file in enumerate(files):
            (folder / f"{index:03}.jpg").write_bytes(file)
        print(f"{len(files)} pictures of {statistics.fmean(map(len, files)) / 1000:.0f} kB; {os.cpu_count()} cores")
        print("PSNR: mean / 5th percentile / worst, against full decode and Lanczos\n")
        found = compare(arguments, folder, files)
    print()
    for scheme in arguments.schemes:
        theirs = found.get(f"{scheme} img2dataset")
        for name in PROGRAMS[:2]:
            ours = found.get(f"{scheme} {name}")
            for other in ("old", "python") if name == "bamkit" else ():
                if ours and (beside := found.get(f"{scheme} {other}")):
                    pairs = " and ".join(f"{ours[key] / beside[key]:.3f} of its {what}" for key, what in SHOWN.items())
                    print(f"{scheme:6} bamkit against --{other}: {pairs}")
            if theirs and ours:
                faster, memory = ours["pictures_s"] / theirs["pictures_s"], ours["peak_mb"] / theirs["peak_mb"]
                cpu = theirs["cpu_ms"] / ours["cpu_ms"]
                print(f"{scheme:6} {name}: {faster:.2f} x img2dataset ({cpu:.2f} x by CPU), {memory:.2f} of its memory")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
