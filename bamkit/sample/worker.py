"""One painting process: `python -m bamkit.sample.worker SEED`, driven by pool.py through pipes."""

from __future__ import annotations

import signal
import sys

from bamkit.sample.encode import picture_bytes
from bamkit.sample.pool import HEADER


def main() -> None:
    """Paint each mid that arrives on standard input (8 bytes, little-endian); answer with length and file."""
    # Ctrl-C goes to the whole group; the parent decides when to end, by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    seed = int(sys.argv[1])
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(HEADER.size)) == HEADER.size:
        data = picture_bytes(HEADER.unpack(head)[0], seed)
        target.write(HEADER.pack(len(data)) + data)
        target.flush()


if __name__ == "__main__":
    main()
