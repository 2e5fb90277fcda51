"""The sample's SQLite file: BAM's schema with its quirks, filled from scenes that the painter can paint."""

from __future__ import annotations

import random
import shlex
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from bamkit.common.contract import ATTRIBUTES
from bamkit.common.errors import BamkitError
from bamkit.common.terminal.progress import Progress
from bamkit.common.workspace import CONFIG, DATABASE, atomic_path, write_text
from bamkit.sample.addresses import path_of
from bamkit.sample.crowd import Crowd, ask_crowd
from bamkit.sample.faults import placeholder_sha256
from bamkit.sample.scores import draw_scores, thresholds
from bamkit.sample.truth import PROJECT_BITS, truth

APPLICATION_ID = 0x42414D53
"""`PRAGMA application_id` of a sample ("BAMS"); its `PRAGMA user_version` holds the seed. BAM itself has 0 and 0."""

DEFAULT_ROWS = 6000
DEFAULT_PORT = 8765
MOST_ROWS = 1_000_000

FIRST_MID, LAST_MID = 489, 250_400_000

# The order of the real `scores` table, and another one for the view, so that positional joins go wrong here too.
SCORE_COLUMNS = (
    "content_bicycle", "content_cat", "content_tree", "emotion_scary", "media_oilpaint", "content_bird",
    "content_dog", "emotion_gloomy", "media_3d_graphics", "media_pen_ink", "content_building", "content_flower",
    "emotion_happy", "media_comic", "media_vectorart", "content_cars", "content_people", "emotion_peaceful",
    "media_graphite", "media_watercolor",
)  # fmt: skip
LABEL_COLUMNS = (
    "content_building", "emotion_happy", "content_flower", "content_bicycle", "media_comic", "content_people",
    "media_3d_graphics", "content_dog", "media_vectorart", "emotion_scary", "emotion_gloomy", "media_graphite",
    "emotion_peaceful", "media_pen_ink", "content_cars", "media_oilpaint", "content_cat", "content_tree",
    "content_bird", "media_watercolor",
)  # fmt: skip

SCHEMA = (
    "CREATE TABLE modules(mid int primary key, project_id int, src text, mature_content boolean, license text)",
    f"CREATE TABLE scores(mid int, {', '.join(f'{name} real' for name in SCORE_COLUMNS)})",
    "CREATE TABLE crowd_labels(mid int, attribute text, label text, primary key(mid, attribute))",
    "CREATE TABLE crowd_raw_hits(assignment_id text, attribute text, worker_id text, n_clicks int, n_seconds real,"
    " last_modified text)",
    "CREATE TABLE crowd_raw_choices(assignment_id text, mid int, attribute text, label bool)",
    "CREATE TABLE crowd_raw_captions(assignment_id text, mid int, attribute text, caption text, label bool)",
)

LICENSES = {
    "cc by-nc-nd": 46,
    "all rights reserved": 22,
    "cc by-nc": 14,
    "cc by": 8,
    "cc by-nc-sa": 6,
    "cc by-sa": 2,
    "cc by-nd": 2,
}
UNSCORED_SHARE = 16_263 / 389_040
DUPLICATE_SHARE = 0.004


def settings() -> str:
    """The sample's bamkit.toml."""
    return f"""\
# Settings of this sample workspace: each name is the name of a command-line option.
[fetch]
allow-private = true  # the sample's pictures come from this machine (127.0.0.1); fetch refuses such addresses otherwise
placeholder = ["{placeholder_sha256()}"]  # what the sample's server shows for a removed picture
"""


def make_sample(
    directory: Path | str,
    rows: int = DEFAULT_ROWS,
    seed: int = 0,
    port: int = DEFAULT_PORT,
    force: bool = False,
    mature: float = 0.03,
) -> Path:
    """Make a workspace at `directory` with `bam.sqlite` (`rows` modules) and `bamkit.toml`; gives the folder.

    The same arguments give the same bytes (with the same SQLite library). `port` is where `SampleServer` will serve
    the pictures: it is part of every `src`. `mature` is the share of modules marked as mature content. Raises
    BamkitError if a database is there already and `force` is not given (or if it is no sample, even then), or if an
    argument is out of range.
    """
    directory = Path(directory)
    if not 20 <= rows <= MOST_ROWS:
        raise BamkitError(f"--rows must be from 20 to {MOST_ROWS:,}, not {rows:,}")
    if not 0 <= seed < 2**31:
        raise BamkitError(f"--seed must be from 0 to {2**31 - 1}, not {seed}")
    if not 1 <= port <= 65535:
        raise BamkitError(f"--port must be from 1 to 65535, not {port}")
    if not 0 <= mature <= 0.5:
        raise BamkitError(f"the share of mature images must be from 0 to 0.5, not {mature}")
    _refuse_loss(directory, force)
    with atomic_path(directory / DATABASE) as temporary:
        _write(temporary, rows, seed, port, mature)
    write_text(directory / CONFIG, settings())
    return directory


def _refuse_loss(directory: Path, force: bool) -> None:
    """Raises BamkitError if something is there already; with `force` only if bamkit sample did not write it."""
    database, config = directory / DATABASE, directory / CONFIG
    for path in (database, config):
        if path.exists() and not force:
            raise BamkitError(f"{path} is already there", f"{_serve(directory)} serves it; --force makes it anew")
    if database.exists():
        sample_of(database)
    if config.exists() and not config.read_bytes().startswith(settings().splitlines()[0].encode()):
        raise BamkitError(f"{config} was not written by bamkit sample, so it is not replaced", "move it away first")


def _serve(directory: Path) -> str:
    return f"bamkit sample {shlex.quote(str(directory))} --serve"


def _write(path: Path, rows: int, seed: int, port: int, mature: float) -> None:
    mids = draw_mids(rows, seed)
    rng = random.Random(f"{seed}/modules")
    sources = _with_duplicates(mids, rng)
    scenes = {mid: truth(sources[mid], seed) for mid in mids}
    unscored = set(rng.sample(mids, round(rows * UNSCORED_SHARE)))
    licenses = {key: _license(key, seed) for key in {mid >> PROJECT_BITS for mid in mids}}
    modules = (
        (
            mid,
            project_id(mid),
            f"http://127.0.0.1:{port}{path_of(sources[mid], seed)}",
            int(rng.random() < mature * (2.0 if "people" in scenes[mid].contents else 0.5)),
            licenses[mid >> PROJECT_BITS],
        )
        for mid in mids
    )
    scored = [mid for mid in mids if mid not in unscored]
    scores = {}
    with Progress("sample", len(scored)) as progress:
        for done, mid in enumerate(scored, 1):
            scores[mid] = draw_scores(scenes[mid], mid, seed)
            if done % 1000 == 0:
                progress.update(done)
    limits = {
        name: thresholds([scores[mid][name] for mid in scored], [name in scenes[mid].attributes for mid in scored])
        for name in ATTRIBUTES
    }
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA page_size = 4096;"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {seed}; BEGIN;"
        )
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute(labels_view(limits))
        _insert(connection, "modules", modules)
        _insert(connection, "scores", ((mid, *(scores[mid][name] for name in SCORE_COLUMNS)) for mid in scored))
        _insert_crowd(connection, ask_crowd(scenes, seed))
        connection.execute("COMMIT")
    finally:
        connection.close()


def draw_mids(rows: int, seed: int) -> list[int]:
    """`rows` mids in ascending order from 489 to over 250 million, in projects of one to eight."""
    rng = random.Random(f"{seed}/mids")
    first, last = FIRST_MID >> PROJECT_BITS, LAST_MID >> PROJECT_BITS
    chosen = {FIRST_MID, LAST_MID}
    keys = {first, last}
    while len(chosen) < rows:
        key = rng.randint(first + 1, last - 1)
        if key in keys:
            continue
        keys.add(key)
        count = min(rng.choices((1, 2, 3, 4, 6, 8), (46, 24, 14, 9, 5, 2))[0], rows - len(chosen))
        chosen |= {(key << PROJECT_BITS) + low for low in rng.sample(range(1 << PROJECT_BITS), count)}
    return sorted(chosen)


def project_id(mid: int) -> int:
    """The id of a mid's project: rises with time, and is not the mid."""
    key = mid >> PROJECT_BITS
    return 3 * key + key % 3 + 7


def labels_view(limits: dict[str, tuple[float, float]]) -> str:
    """`automatic_labels` as a view over `scores`: a positive and a negative threshold for each attribute."""
    cases = ", ".join(
        f"case when {name} > {limits[name][0]} then 'positive' when {name} < {limits[name][1]} then 'negative'"
        f" else 'unsure' end as {name}"
        for name in LABEL_COLUMNS
    )
    return f"CREATE VIEW automatic_labels as select mid, {cases} from scores"


def _with_duplicates(mids: list[int], rng: random.Random) -> dict[int, int]:
    """For each mid, the mid whose picture its src points at: itself, or for a few of them another one's."""
    sources = {mid: mid for mid in mids}
    count = max(1, round(len(mids) * DUPLICATE_SHARE))
    picked = rng.sample(mids, 2 * count)
    sources.update(zip(picked[:count], picked[count:], strict=True))
    return sources


def _license(project: int, seed: int) -> str:
    return random.Random(f"{seed}/license/{project}").choices(list(LICENSES), list(LICENSES.values()))[0]


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[tuple[object, ...]]) -> None:
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return
    statement = f"INSERT INTO {table} VALUES ({', '.join('?' * len(first))})"
    connection.execute(statement, first)
    connection.executemany(statement, rows)


def _insert_crowd(connection: sqlite3.Connection, crowd: Crowd) -> None:
    _insert(connection, "crowd_labels", crowd.labels)
    _insert(connection, "crowd_raw_hits", crowd.hits)
    _insert(connection, "crowd_raw_choices", crowd.choices)
    _insert(connection, "crowd_raw_captions", crowd.captions)


def keep_or_make(
    directory: Path | str,
    rows: int | None = None,
    seed: int | None = None,
    port: int | None = None,
    force: bool = False,
) -> bool:
    """Make a sample at `directory` unless there is one; gives whether it was made. None stands for a default.

    Raises BamkitError if the one that is there has other rows, another seed or another port than those given.
    """
    directory = Path(directory)
    if force or not (directory / DATABASE).exists():
        make_sample(
            directory,
            DEFAULT_ROWS if rows is None else rows,
            seed or 0,
            DEFAULT_PORT if port is None else port,
            force,
        )
        return True
    sample = sample_of(directory)
    for name, wanted, there in (("rows", rows, sample.rows), ("seed", seed, sample.seed), ("port", port, sample.port)):
        if wanted not in (None, there):
            raise BamkitError(
                f"the sample in {directory} was made with --{name} {there}, not {wanted}",
                f"{_serve(directory)} serves it as it is; --force makes it anew",
            )
    return False


class Sample(NamedTuple):
    """What a server needs to know of a sample."""

    seed: int
    rows: int
    port: int
    paths: frozenset[str]
    """The path of every address in the database."""


def sample_of(path: Path | str) -> Sample:
    """Read a sample's folder or database. Raises BamkitError for any other file."""
    path = Path(path)
    path = path / DATABASE if path.is_dir() else path
    if not path.is_file():
        raise BamkitError(f"there is no sample at {path}", f"bamkit sample {shlex.quote(str(path.parent))}")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            (mark,) = connection.execute("PRAGMA application_id").fetchone()
            (seed,) = connection.execute("PRAGMA user_version").fetchone()
            addresses = [src for (src,) in connection.execute("SELECT src FROM modules")] if mark else []
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise BamkitError(f"{path} cannot be read as a sample: {error}") from error
    if mark != APPLICATION_ID:
        raise BamkitError(f"{path} was not made by bamkit sample, so it is neither served nor replaced")
    parts = [urlsplit(src) for src in addresses]
    return Sample(seed, len(parts), parts[0].port or 80, frozenset(part.path for part in parts))
