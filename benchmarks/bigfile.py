"""Makes a SQLite file with BAM's real schema and size: 2,289,817 images, about 0.8 GB, in under two minutes.

    python benchmarks/bigfile.py [PATH] [--rows N]

The scores are drawn, not measured: a mixture for each attribute (about one image in twenty has it) on the scale of the
real ones, so that counts, ties, selectivities and the size of every table resemble the 2.2m release. Some rows carry
the quirks: modules without scores, one src twice, several images a project. Same arguments, same rows.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS = 2_289_817
CHUNK = 100_000
SCORES = [
    "content_bicycle",
    "content_cat",
    "content_tree",
    "emotion_scary",
    "media_oilpaint",
    "content_bird",
    "content_dog",
    "emotion_gloomy",
    "media_3d_graphics",
    "media_pen_ink",
    "content_building",
    "content_flower",
    "emotion_happy",
    "media_comic",
    "media_vectorart",
    "content_cars",
    "content_people",
    "emotion_peaceful",
    "media_graphite",
    "media_watercolor",
]
LICENSES = ("cc by-nc-nd", "no use", "cc by-nc", "cc by-nc-sa", "cc by", "cc by-sa", "cc by-nd", "cc0")
LICENSE_SHARE = (0.46, 0.28, 0.09, 0.07, 0.05, 0.02, 0.02, 0.01)


def default_path(rows: int = ROWS) -> Path:
    """Where the file of this size lies unless another path is given."""
    return Path(tempfile.gettempdir()) / f"bamkit-bigfile-{rows}.sqlite"


def view() -> str:
    """`automatic_labels` as a view over scores, its columns in another order, one pair of thresholds an attribute."""
    cases = ", ".join(
        f"case when {name} > {-0.3 - 0.02 * i:.2f} then 'positive' when {name} < {-2.5 - 0.1 * i:.1f} "
        f"then 'negative' else 'unsure' end as {name}"
        for i, name in enumerate(sorted(SCORES, key=lambda name: name[::-1]))
    )
    return f"create view automatic_labels as select mid, {cases} from scores"


def make(path: Path, rows: int = ROWS, seed: int = 0) -> Path:
    """Write the file (replacing what is there) and return its path."""
    random = np.random.default_rng(seed)
    path.unlink(missing_ok=True)
    base = sqlite3.connect(path)
    base.executescript(
        "pragma journal_mode = off; pragma synchronous = off; pragma page_size = 4096; pragma locking_mode = exclusive;"
        "create table modules(mid int primary key, project_id int, src text, mature_content boolean, license text);"
        f"create table scores(mid int, {', '.join(f'{name} real' for name in SCORES)});"
        "create table crowd_labels(mid int, attribute text, label text, primary key(mid, attribute));"
    )
    base.execute(view())
    mids = np.cumsum(random.integers(1, 2 * 250_000_000 // rows, rows)) + 488
    prevalence = random.uniform(0.02, 0.09, len(SCORES))
    crowd: list[tuple[int, str, str]] = []
    for start in range(0, rows, CHUNK):
        chunk = mids[start : start + CHUNK]
        n = len(chunk)
        base.executemany("insert into modules values (?, ?, ?, ?, ?)", modules(random, chunk))
        has = random.random((n, len(SCORES))) < prevalence
        logit = np.where(has, random.normal(2.0, 1.5, has.shape), random.normal(-5.0, 2.0, has.shape))
        scores = -np.logaddexp(0.0, -logit)
        kept = random.random(n) > 0.0002
        columns = [chunk[kept].tolist(), *scores[kept].T.tolist()]
        marks = ", ".join("?" * len(columns))
        base.executemany(f"insert into scores values ({marks})", zip(*columns, strict=True))
        crowd += crowd_labels(random, chunk, scores)
    crowd.sort(key=lambda row: (row[1], row[2] != "positive", row[0]))
    base.executemany("insert into crowd_labels values (?, ?, ?)", crowd)
    base.commit()
    base.close()
    return path


def modules(random: np.random.Generator, mids: np.ndarray) -> zip:
    """Rows of `modules`: about four images a project, about one src in 5,000 shared by two images."""
    n = len(mids)
    first, second = random.integers(0, 16**6, n).tolist(), random.integers(0, 2**52, n).tolist()
    extensions = np.array(["jpg", "png", "gif", "JPG"])[random.choice(4, n, p=(0.8, 0.17, 0.02, 0.01))].tolist()
    host = "https://mir-s3-cdn-cf.behance.net/project_modules/disp/"
    src = [
        f"{host}{a:06x}{m}.{b:013x}.{e}" for a, m, b, e in zip(first, mids.tolist(), second, extensions, strict=True)
    ]
    for twin in np.flatnonzero(random.random(n) < 0.0002).tolist():
        src[twin] = src[twin - 1]
    projects = (mids // 437 + 1).tolist()
    mature = (random.random(n) < 0.03).astype(int).tolist()
    licenses = np.array(LICENSES)[random.choice(len(LICENSES), n, p=LICENSE_SHARE)].tolist()
    return zip(mids.tolist(), projects, src, mature, licenses, strict=True)


def crowd_labels(random: np.random.Generator, mids: np.ndarray, scores: np.ndarray) -> list[tuple[int, str, str]]:
    """One crowd label for about one image in six, of one attribute, likelier positive where the score is high."""
    asked = np.flatnonzero(random.random(len(mids)) < 0.1716)
    about = random.integers(0, len(SCORES), len(asked))
    chance = np.exp(scores[asked, about])
    draw = random.random(len(asked))
    label = np.where(draw < chance, "positive", np.where(draw < chance + 0.2, "unsure", "negative")).tolist()
    return [(int(mids[i]), SCORES[a], text) for i, a, text in zip(asked.tolist(), about.tolist(), label, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--keep", action="store_true", help="Leave a file that is already there.")
    given = parser.parse_args()
    began = time.perf_counter()
    path = given.path or default_path(given.rows)
    if not (given.keep and path.exists()):
        make(path, given.rows)
    print(f"{path}: {given.rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
