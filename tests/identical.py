"""Hashes of everything that bamkit makes from one seed, to prove that a refactor changes no output.

    python tests/identical.py run FOLDER            # in a checkout: the whole way on a small sample, hashes to stdout
    python tests/identical.py compare OLD NEW       # two such outputs; exit status 1 where they differ

Run it in two checkouts of the code, in two empty folders, each with its own checkout as PYTHONPATH. It types commands
only, so that it runs on any commit. Files that hold times or paths (run.json, pages, events) are left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PORT = "8791"
WAY = """
sample way --rows 700 --port 8791
select --emotion happy --top 60 --test 12 --validation 8
select --emotion scary --top 60 --test 12 --validation 8 --disjoint-from happy
select --emotion gloomy --top 40 --test 8 --with people --name people
select --emotion gloomy --top 40 --test 8 --without people --group-by project --name strangers
select --emotion peaceful --top 30 --test 5 --sample random --seed 3 --name drawn
select --emotion peaceful --top 30 --test 5 --match happy --name matched
fetch happy scary --size 72
train --steps 12 --width 8 --size 72 --crop 64 --seed 1 --device cpu --name tiny \
  --from happy --to scary --generator unet --halvings 5
translate tiny
""".strip().splitlines()
KEPT = ("selections/*.parquet", "splits/*/*.parquet", "runs/tiny/checkpoints/*.pt", "translations/**/*.png")


def bamkit(line: str, where: Path) -> None:
    words = [sys.executable, "-m", "bamkit", *line.split()]
    done = subprocess.run(words, cwd=where, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        sys.exit(f"bamkit {line}: {done.stdout[-500:]}{done.stderr[-1500:]}")


def run(folder: Path) -> dict[str, str]:
    """Walk the whole way below `folder`; the SHA-256 of every kept file by its path."""
    folder.mkdir(parents=True)
    bamkit(WAY[0], folder)
    words = [sys.executable, "-m", "bamkit", "sample", "way", "--serve", "--faults", "0"]
    server = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        for line in server.stdout:
            if line.startswith("serving"):
                break
        for line in WAY[1:]:
            bamkit(line, folder / "way")
    finally:
        server.terminate()
        server.wait()
    files = sorted(path for pattern in KEPT for path in (folder / "way").glob(pattern))
    return {str(path.relative_to(folder / "way")): digest(path) for path in files}


def digest(path: Path) -> str:
    """SHA-256 of a file; of a checkpoint's values without the seconds that the training took."""
    if path.suffix != ".pt":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    import torch

    def parts(value: object) -> Iterator[bytes]:
        if isinstance(value, dict):
            for key in sorted(value.keys() - {"seconds"}, key=str):
                yield str(key).encode()
                yield from parts(value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                yield from parts(item)
        elif isinstance(value, torch.Tensor):
            yield str(value.dtype).encode() + value.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        else:
            yield repr(value).encode()

    return hashlib.sha256(b"\0".join(parts(torch.load(path, weights_only=True)))).hexdigest()


def compare(old: Path, new: Path) -> int:
    """Say which files differ between two outputs of `run`; 1 where any does."""
    before, after = (json.loads(path.read_text()) for path in (old, new))
    different = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    for name in different:
        print("differs" if name in before and name in after else "missing" if name in before else "new", name)
    print(f"{len(before.keys() | after.keys()) - len(different)} files identical, {len(different)} not")
    return 1 if different else 0


if __name__ == "__main__":
    begun = time.monotonic()
    if sys.argv[1] == "compare":
        sys.exit(compare(Path(sys.argv[2]), Path(sys.argv[3])))
    print(json.dumps(run(Path(sys.argv[2])), indent=1))
    print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr)
