"""One pass over the pictures: everything that is measured of each, with no more than a batch in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from bamkit.common.errors import BamkitError
from bamkit.common.shards import ShardReader
from bamkit.gan.evaluate.features import Extractor, Store
from bamkit.gan.evaluate.inputs import Direction
from bamkit.gan.evaluate.metrics.colour import ColourStatistics, colour_transfer
from bamkit.gan.evaluate.metrics.similarity import edge_agreement, light_correlation, ssim

if TYPE_CHECKING:
    from bamkit.common.progress import Progress
    from bamkit.gan.evaluate.lpips import Lpips
    from bamkit.gan.judge.model import Judge

IDENTITY, TRANSFER, TRANSLATION = "identity", "colour transfer", "translation"
METHODS = (IDENTITY, TRANSFER, TRANSLATION)
"""What is compared on every picture: the source as it is, the baseline without training, the model."""
BATCH = 16


@dataclass
class Probe:
    """What looks at pictures."""

    extractor: Extractor
    judge: Judge | None = None
    lpips: Lpips | None = None

    def look(self, pictures: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
        """(n, d) features and, with a judge, (n, k) probabilities of its attributes; one pass where both are one."""
        if self.judge is None:
            return self.extractor(pictures), None
        features, probabilities = self.judge.examine(pictures)
        return (features if self.extractor is self.judge else self.extractor(pictures)), probabilities


@dataclass
class Seen:
    """What the probe saw of a set of pictures, in their order."""

    store: Store
    rows: list[np.ndarray] = field(default_factory=list)
    colours: ColourStatistics = field(default_factory=ColourStatistics.empty)

    def add(self, features: np.ndarray, probabilities: np.ndarray | None) -> None:
        self.store.append(features)
        if probabilities is not None:
            self.rows.append(probabilities)

    @property
    def probabilities(self) -> np.ndarray | None:
        """(n, k), or None without a judge."""
        return np.concatenate(self.rows) if self.rows else None


def see(
    shards: ShardReader, probe: Probe, progress: Progress | None = None, size: tuple[int, int] | None = None
) -> Seen:
    """Look at real pictures; their colour statistics are gathered on the way.

    `size`: (width, height) to which they are brought first, that of the translations: a sharper picture is no better.
    """
    seen = Seen(Store(probe.extractor.dimensions))
    for _, given in shards.batches(BATCH, progress):
        pictures = [fitted(picture, size) for picture in given]
        seen.add(*probe.look(pictures))
        for picture in pictures:
            seen.colours.update(picture)
    return seen


def fitted(picture: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """(H, W, 3) uint8 -> the same, `size` (width, height) large; unchanged for None."""
    if size is None or (picture.shape[1], picture.shape[0]) == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


@dataclass
class Measured:
    """One direction: what was seen of every method's pictures, and the figures of each picture."""

    direction: Direction
    seen: dict[str, Seen]
    columns: dict[str, np.ndarray]
    """(n,) each: `mid`, `row` (of the translations), `width`, `height`, and for the transfer and the translation
    `<method> ssim`, `... edges`, `... light` and, with its weights, `... lpips`, all against the source; nan where a
    picture could not be measured.
    """

    def __len__(self) -> int:
        return len(self.direction)

    def record(self, index: int) -> dict[str, Any]:
        """What was measured of one picture."""
        return {name: column[index].item() for name, column in self.columns.items()}


def measure(
    direction: Direction, colours: ColourStatistics, probe: Probe, progress: Progress | None = None
) -> Measured:
    """Measure every translation of a direction beside its source and the colour transfer towards `colours`."""
    n = len(direction)
    seen = {method: Seen(Store(probe.extractor.dimensions)) for method in METHODS}
    columns = {"mid": direction.mids(), "row": direction.pairs[:, 1]}
    columns |= {name: np.zeros(n, np.int64) for name in ("width", "height")}
    for start in range(0, n, BATCH):
        batch: dict[str, list[np.ndarray]] = {method: [] for method in METHODS}
        for index in range(start, min(start + BATCH, n)):
            shown = pictures_of(direction, index, colours)
            for method, picture in shown.items():
                batch[method].append(picture)
            columns["height"][index], columns["width"][index] = shown[TRANSLATION].shape[:2]
            for method in (TRANSFER, TRANSLATION):
                for name, value in likeness(shown[IDENTITY], shown[method], probe.lpips).items():
                    columns.setdefault(f"{method} {name}", np.full(n, np.nan))[index] = value
        for method in METHODS:
            seen[method].add(*probe.look(batch[method]))
        if progress is not None:
            progress.update(progress.done + len(batch[IDENTITY]))
    return Measured(direction, seen, columns)


def pictures_of(direction: Direction, index: int, colours: ColourStatistics) -> dict[str, np.ndarray]:
    """The pictures of pair `index` by method, all of the translation's size: the source is resized where it differs."""
    before, after = direction.pairs[index]
    expected = direction.after.value(after, "source_sha256")
    if expected and sha256(direction.before.encoded(before)).hexdigest() != expected:
        raise BamkitError(
            f"the picture of mid {direction.mids()[index]} in split {direction.source.name} has changed since it was "
            "translated",
            f"bamkit translate {direction.run} --force",
        )
    translation = direction.after.picture(after)
    source = fitted(direction.before.picture(before), (translation.shape[1], translation.shape[0]))
    return {IDENTITY: source, TRANSFER: colour_transfer(source, colours), TRANSLATION: translation}


def likeness(before: np.ndarray, after: np.ndarray, lpips: Lpips | None = None) -> dict[str, float]:
    """`ssim`, `edges`, `light` and, where its weights are at hand, `lpips` of two pictures of one shape.

    What a picture is too small for is nan: SSIM below 11 pixels, LPIPS below 32.
    """
    side = min(before.shape[:2])
    found = {
        "ssim": ssim(before, after) if side >= 11 else float("nan"),
        "edges": edge_agreement(before, after),
        "light": light_correlation(before, after),
    }
    if lpips is not None:
        found["lpips"] = lpips(before, after) if side >= 32 else float("nan")
    return found
