"""Translate pictures in one or two directions and keep the results with their origin.

Every PNG says in its header which weights made it from which bytes, so that a translation that was interrupted goes on
where it stopped, and one that is complete costs nothing when it is asked for again.
"""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import bamkit
from bamkit.common.errors import BamkitError
from bamkit.common.pictures.generated import TERM, save_options, xmp_packet
from bamkit.common.pictures.reader import BadPictureError, Opened, open_picture, resized
from bamkit.common.provenance import digest
from bamkit.common.terminal.progress import Progress
from bamkit.common.workspace import write_bytes
from bamkit.gan.translate import results
from bamkit.gan.translate.credentials import SUPPORTED, Credentials
from bamkit.gan.translate.generator import Translator
from bamkit.gan.translate.grid import evenly
from bamkit.gan.translate.origin import format_of, in_format, png_bytes, read_about
from bamkit.gan.translate.results import DirectionResult, Result
from bamkit.gan.translate.sources import Source


@dataclass
class Job:
    """One direction: a network and the pictures it is to translate."""

    direction: str
    """Such as `happy-to-scary`; also the folder's name."""
    domains: tuple[str, str]
    """The names over the grid's columns, such as ("happy", "scary")."""
    translator: Translator
    sources: Callable[[], Iterable[Source]]
    """The pictures, in order."""
    count: int
    """How many there are."""
    size: int = 0
    """Pictures are resized to this shorter side before they are translated; 0 leaves them as they are."""
    own_size: bool = False
    """Results are resized back to the picture's own size."""


@dataclass(frozen=True)
class Maker:
    """What made the translations: the columns `run`, `run_id` and `checkpoint`."""

    run: str
    run_id: str
    checkpoint: str
    step: int = 0
    """Of the checkpoint; 0 where it is not known."""
    about: dict[str, Any] = field(default_factory=dict)
    """More provenance for the parquet's metadata, such as {"split_ids": {...}}."""
    marked: bool = True
    """Whether the files say, in XMP, that a network made them."""
    credentials: Credentials | None = None
    """What the files are signed with."""
    method: str = "CycleGAN"
    """The title of the method that trained it."""
    strength: float | None = None
    """How far the networks went, where they have strengths."""

    @property
    def mark(self) -> str:
        """The XMP packet of the files; "" where they shall have none."""
        made_with = self.checkpoint + ("" if self.strength is None else f", strength {self.strength:g}")
        return xmp_packet(self.run, self.run_id, made_with, self.method) if self.marked else ""

    def sign(self, data: bytes, kind: str, title: str, source: Source) -> bytes:
        """The picture file with Content Credentials, where there are credentials."""
        if self.credentials is None:
            return data
        parameters = {"run": self.run, "run_id": self.run_id, "checkpoint": self.checkpoint}
        parameters |= {name: f"{value:g}" for name, value in self.dose.items()}
        return self.credentials.sign(data, kind, title, source.read(), Path(source.name).name, parameters)

    @property
    def dose(self) -> dict[str, float]:
        """The strength, where there is one."""
        return {} if self.strength is None else {"strength": self.strength}

    @property
    def choices(self) -> dict[str, Any]:
        """What tells files of other strengths or with other marks apart; {} for the default."""
        signed = {"c2pa": self.credentials.id} if self.credentials else {}
        return {**self.dose, **({} if self.marked else {"marked": False}), **signed}


@dataclass
class Prepared:
    """A picture on its way to the network."""

    index: int
    source: Source
    sha256: str = ""
    """Of the encoded picture."""
    shown: Opened | None = None
    """The decoded picture as the network sees it; None where it is not needed or cannot be read."""
    own: Opened | None = None
    """The decoded picture in its own size, where the result goes back to that."""
    reason: str = ""
    """Why it cannot be read."""
    finished: tuple[int, int] | None = None
    """Height and width of its translation, where that lies there already."""


def translate(
    jobs: list[Job], maker: Maker, output: Path, *, batch: int = 1, force: bool = False, own_folder: bool = False
) -> Result:
    """Run the jobs and write `output`.

    `own_folder` marks a folder that bamkit chose. Any other must be new or empty, or hold the beginning of the same
    translation, unless `force` is given; then what the same weights made already is kept, the rest replaced. Pictures
    that cannot be read are skipped and recorded in skipped.csv. Raises BamkitError where `output` may not be written,
    or where no picture at all could be read.
    """
    started = time.monotonic()
    if batch < 1:
        raise BamkitError(f"a batch of {batch} holds no picture", "--batch 8")
    about = {
        "kind": "translation",
        "run": maker.run,
        "run_id": maker.run_id,
        "checkpoint": maker.checkpoint,
        "directions": [job.direction for job in jobs],
        "weights": {job.direction: job.translator.id for job in jobs},
        "size": max(job.size for job in jobs),
        "bamkit": bamkit.__version__,
        **({"own_size": True} if any(job.own_size for job in jobs) else {}),
        **maker.choices,
        **maker.about,
    }
    about["translation_id"] = digest(about)
    if maker.step:
        about["step"] = maker.step
    results.begin(output, about, force, own_folder)
    done: list[DirectionResult] = []
    with Progress("translate", sum(job.count for job in jobs)) as progress:
        for job in jobs:
            done.append(_Direction(job, maker, output, batch, force, progress).run())
    results.finish(output, about, done)
    return Result(output, output / results.TABLE, done, time.monotonic() - started)


def translate_to_file(jobs: list[Job], maker: Maker, output: Path, *, force: bool = False) -> Result:
    """Translate one picture in one direction to the file `output`, in the format of its suffix.

    Raises BamkitError where there are more pictures or directions, or where the file is there and `force` is not given.
    """
    pictures = sum(job.count for job in jobs)
    if pictures != 1:
        both = " in two directions" if len(jobs) > 1 else ""
        more = f"--direction {jobs[0].direction}, or " if len(jobs) > 1 and pictures == len(jobs) else ""
        raise BamkitError(
            f"{output} names one picture, and {pictures} would be made{both}", f"{more}--output DIR for a folder"
        )
    source = next(iter(jobs[0].sources()))
    job = replace(jobs[0], sources=lambda: [source])  # a split gives its pictures once
    if isinstance(source.content, Path) and output.exists() and output.samefile(source.content):
        raise BamkitError(f"{output} is the picture itself", "another --output")
    if output.exists() and not force:
        raise BamkitError(f"{output} is already there", "give --force to replace it, or another --output")
    kind = format_of(output.suffix)
    if maker.credentials and kind not in SUPPORTED:
        raise BamkitError(f"{kind} files cannot be signed", "--output with another suffix, such as .png or .jpg")
    with tempfile.TemporaryDirectory(prefix="bamkit-") as folder:
        result = translate([job], replace(maker, credentials=None), Path(folder, "out"))
        row = result.directions[0].rows[0]
        data = in_format((result.output / row["file"]).read_bytes(), output.suffix, maker.mark)
        write_bytes(output, maker.sign(data, kind, output.name, source))
    if maker.mark and save_options(kind, maker.mark) is None:
        result.notes.append(f"{kind} files hold no metadata: {output} does not say that a network made it")
    result.notes += results.licence_notes(row)
    result.output = result.table = output
    result.directions[0].grid = None
    return result


class _Direction:
    """One direction of a translation: pictures of one padded size wait for each other to fill a batch."""

    def __init__(self, job: Job, maker: Maker, output: Path, batch: int, force: bool, progress: Progress) -> None:
        self.job, self.maker, self.output, self.batch, self.force = job, maker, output, batch, force
        self.progress, self.progress_before = progress, progress.done
        self.folder = output / job.direction
        self.result = DirectionResult(job.direction)
        self.rows: dict[int, dict[str, Any]] = {}
        self.thumbnails: dict[int, Image.Image] = {}
        self.in_grid = set(evenly(job.count, results.GRID_PAIRS))
        self.waiting: dict[tuple[int, int], list[tuple[Prepared, Opened]]] = {}

    def run(self) -> DirectionResult:
        """Translate all pictures and draw the grid."""
        self.job.translator.in_tiles = 0
        with _background_writer() as write:
            for prepared in self._prepared():
                if prepared.reason:
                    source = prepared.source
                    self.result.skipped.append({"mid": source.mid, "source": source.name, "reason": prepared.reason})
                if prepared.shown is not None and prepared.index in self.in_grid:
                    self.thumbnails[prepared.index] = _thumbnail(prepared.shown)
                if prepared.finished is not None:
                    self.rows[prepared.index] = self._row(prepared, *prepared.finished)
                    self.result.kept += 1
                elif prepared.shown is not None:
                    self._wait(prepared, prepared.shown, write)
                self._report()
            for group in self.waiting.values():
                self._translate(group, write)
        self.result.in_tiles = self.job.translator.in_tiles
        self.result.rows = [self.rows[index] for index in sorted(self.rows)]
        shown = [(self.thumbnails[i], self.rows[i]["file"]) for i in sorted(self.thumbnails) if i in self.rows]
        results.write_grid(self.output, self.job.direction, self.job.domains, shown, self.maker.mark)
        return self.result

    def _wait(self, prepared: Prepared, shown: Opened, write: Callable[..., None]) -> None:
        """Add a picture to those of its size; translate a group that is full, or the largest of too many waiting."""
        target = self.folder / prepared.source.target
        if not self.force and target.exists() and read_about(target).get("kind") != "translation":
            raise BamkitError(f"{target} was not made by bamkit", "give --force to replace it, or --output DIR")
        translator = self.job.translator
        size = translator.padded_size(*shown.size)
        group = self.waiting.setdefault(size, [])
        group.append((prepared, shown))
        if len(group) >= min(self.batch, translator.fits(*shown.size) or 1):
            self._translate(self.waiting.pop(size), write)
        elif sum(map(len, self.waiting.values())) >= 4 * self.batch:
            self._translate(self.waiting.pop(max(self.waiting, key=lambda size: len(self.waiting[size]))), write)

    def _translate(self, group: list[tuple[Prepared, Opened]], write: Callable[..., None]) -> None:
        translations = self.job.translator([shown.rgb for _, shown in group])
        for (prepared, shown), translation in zip(group, translations, strict=True):
            rgb, alpha = translation, shown.alpha
            if prepared.own is not None:
                height, width = prepared.own.size
                rgb = np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))
                alpha = prepared.own.alpha
            write(self._finish, prepared.source, rgb, alpha, self._png_about(prepared))
            self.rows[prepared.index] = self._row(prepared, *rgb.shape[:2])
            self.result.translated += 1
        self._report()

    def _finish(self, source: Source, rgb: NDArray[np.uint8], alpha: NDArray[np.uint8] | None, about: Any) -> None:
        """Encode, sign and write one translation."""
        path = self.folder / source.target
        write_bytes(path, self.maker.sign(png_bytes(rgb, alpha, about, self.maker.mark), "PNG", path.name, source))

    def _prepared(self) -> Iterator[Prepared]:
        """The pictures in order, decoded a few ahead in threads."""
        with ThreadPoolExecutor(2, "decode") as pool:
            ahead: deque[Future[Prepared]] = deque()
            for index, source in enumerate(self.job.sources()):
                ahead.append(pool.submit(self._prepare, Prepared(index, source)))
                if len(ahead) >= 8:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _prepare(self, prepared: Prepared) -> Prepared:
        try:
            data = prepared.source.read()
            prepared.sha256 = sha256(data).hexdigest()
            prepared.finished = _finished(self.folder / prepared.source.target, self._png_about(prepared))
            if prepared.finished is None or prepared.index in self.in_grid:
                opened = open_picture(data)
                prepared.shown = resized(opened, self.job.size)
                prepared.own = opened if self.job.own_size else None
        except BadPictureError as error:
            prepared.reason, prepared.finished = str(error), None
        return prepared

    def _origin(self, prepared: Prepared) -> dict[str, Any]:
        """Where a translation comes from, as its row in translations.parquet says it."""
        return {
            "mid": prepared.source.mid,
            "source": prepared.source.name,
            "source_sha256": prepared.sha256,
            "direction": self.job.direction,
            "run": self.maker.run,
            "run_id": self.maker.run_id,
            "checkpoint": self.maker.checkpoint,
        }

    def _png_about(self, prepared: Prepared) -> dict[str, Any]:
        """What a PNG says about itself."""
        about = {"kind": "translation", **self._origin(prepared), "weights": self.job.translator.id}
        about |= {"size": self.job.size, **({"own_size": True} if self.job.own_size else {}), **self.maker.choices}
        return {**about, "digital_source_type": TERM} if self.maker.marked else about

    def _row(self, prepared: Prepared, height: int, width: int) -> dict[str, Any]:
        source = prepared.source
        where = {"file": f"{self.job.direction}/{source.target}", "split": source.split, "rank": source.rank}
        return self._origin(prepared) | where | {"width": width, "height": height, "rights": source.rights}

    def _report(self) -> None:
        self.progress.update(self.progress_before + len(self.rows) + len(self.result.skipped))


@contextmanager
def _background_writer() -> Iterator[Callable[..., None]]:
    """A function that has others encode and write in the background, a few pictures at a time; errors come out at the
    end."""
    with ThreadPoolExecutor(2, "encode") as pool:
        running: deque[Future[None]] = deque()

        def write(finish: Callable[..., None], *given: Any) -> None:
            running.append(pool.submit(finish, *given))
            if len(running) > 8:
                running.popleft().result()

        yield write
        while running:
            running.popleft().result()


def _finished(path: Path, about: dict[str, Any]) -> tuple[int, int] | None:
    """Height and width of the translation at `path`, if the same weights made it from the same bytes."""
    if not path.is_file() or read_about(path) != about:
        return None
    with Image.open(path) as image:
        return image.height, image.width


def _thumbnail(opened: Opened) -> Image.Image:
    image = Image.fromarray(opened.rgb if opened.alpha is None else np.dstack([opened.rgb, opened.alpha]))
    image.thumbnail((results.GRID_CELL, results.GRID_CELL), Image.Resampling.LANCZOS)
    return image
