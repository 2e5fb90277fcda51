"""One pass over the pictures: everything that is measured of each, with no more than a batch in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image

from bamkit.common.errors import BamkitError
from bamkit.common.shards import ShardReader
from bamkit.gan.evaluate.features import Extractor, FeatureStore
from bamkit.gan.evaluate.inputs.translations import Direction
from bamkit.gan.evaluate.lpips import Lpips
from bamkit.gan.evaluate.metrics.colour import ColourStatistics, colour_transfer
from bamkit.gan.evaluate.metrics.similarity import edge_agreement, light_correlation, ssim
from bamkit.gan.judge.model import Judge

if TYPE_CHECKING:
    from bamkit.common.terminal.progress import Progress

IDENTITY, TRANSFER, TRANSLATION = "identity", "colour transfer", "translation"
METHODS = (IDENTITY, TRANSFER, TRANSLATION)
"""What is compared on every picture: the source as it is, the baseline without training, the model."""
BATCH = 16


@dataclass
class Networks:
    """What pictures are run through."""

    extractor: Extractor
    judge: Judge | None = None
    lpips: Lpips | None = None

    def __call__(self, pictures: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
        """(n, d) features and, with a judge, (n, k) probabilities of its attributes; one pass where both are one."""
        if self.judge is None:
            return self.extractor(pictures), None
        features, probabilities = self.judge.predict(pictures)
        return (features if self.extractor is self.judge else self.extractor(pictures)), probabilities


@dataclass
class ImageSet:
    """Features, judged probabilities and colours of a set of pictures, in their order."""

    features: FeatureStore
    batches: list[np.ndarray] = field(default_factory=list)
    """The probabilities, batch by batch."""
    colours: ColourStatistics = field(default_factory=ColourStatistics.empty)

    def append(self, features: np.ndarray, probabilities: np.ndarray | None) -> None:
        self.features.append(features)
        if probabilities is not None:
            self.batches.append(probabilities)

    @property
    def probabilities(self) -> np.ndarray | None:
        """(n, k), or None without a judge."""
        return np.concatenate(self.batches) if self.batches else None


def extract(
    shards: ShardReader, networks: Networks, progress: Progress | None = None, size: tuple[int, int] | None = None
) -> ImageSet:
    """Run real pictures through the networks; their colour statistics are gathered on the way.

    `size`: (width, height) to which they are brought first, that of the translations: a sharper picture is no better.
    """
    images = ImageSet(FeatureStore(networks.extractor.dimensions))
    for _, batch in shards.batches(BATCH, progress):
        pictures = [fitted(picture, size) for picture in batch]
        images.append(*networks(pictures))
        for picture in pictures:
            images.colours.update(picture)
    return images


def fitted(picture: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """(H, W, 3) uint8 -> the same, `size` (width, height) large; unchanged for None."""
    if size is None or (picture.shape[1], picture.shape[0]) == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


@dataclass
class Measured:
    """One direction: features of every method's pictures, and the measures of each picture."""

    direction: Direction
    images: dict[str, ImageSet]
    """By method."""
    pictures: pd.DataFrame
    """One row a pair: `mid`, `row` (of the translations), `width`, `height`, and for the transfer and the translation
    `<method> ssim`, `... edges`, `... light` and, with its weights, `... lpips`, all against the source; nan where a
    picture could not be measured.
    """

    def __len__(self) -> int:
        return len(self.direction)

    def column(self, name: str) -> np.ndarray:
        """(n,) one column of `pictures`."""
        return self.pictures[name].to_numpy()


def measure(
    direction: Direction, colours: ColourStatistics, networks: Networks, progress: Progress | None = None
) -> Measured:
    """Measure every translation of a direction beside its source and the colour transfer towards `colours`."""
    n = len(direction)
    images = {method: ImageSet(FeatureStore(networks.extractor.dimensions)) for method in METHODS}
    columns = {"mid": direction.mids(), "row": direction.pairs[:, 1]}
    columns |= {name: np.zeros(n, np.int64) for name in ("width", "height")}
    for start in range(0, n, BATCH):
        batch: dict[str, list[np.ndarray]] = {method: [] for method in METHODS}
        for index in range(start, min(start + BATCH, n)):
            by_method = pictures_of(direction, index, colours)
            for method, picture in by_method.items():
                batch[method].append(picture)
            columns["height"][index], columns["width"][index] = by_method[TRANSLATION].shape[:2]
            for method in (TRANSFER, TRANSLATION):
                for name, value in similarity(by_method[IDENTITY], by_method[method], networks.lpips).items():
                    columns.setdefault(f"{method} {name}", np.full(n, np.nan))[index] = value
        for method in METHODS:
            images[method].append(*networks(batch[method]))
        if progress is not None:
            progress.update(progress.done + len(batch[IDENTITY]))
    return Measured(direction, images, pd.DataFrame(columns))


def pictures_of(direction: Direction, index: int, colours: ColourStatistics | None = None) -> dict[str, np.ndarray]:
    """The pictures of pair `index` by method, all of the translation's size: the source is resized where it differs.

    The colour transfer is among them if `colours`, those of the target, are given. Raises BamkitError where the source
    has changed since it was translated.
    """
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
    pictures = {IDENTITY: source, TRANSLATION: translation}
    return pictures if colours is None else pictures | {TRANSFER: colour_transfer(source, colours)}


def similarity(before: np.ndarray, after: np.ndarray, lpips: Lpips | None = None) -> dict[str, float]:
    """`ssim`, `edges`, `light` and, where its weights are at hand, `lpips` of two pictures of one shape.

    What a picture is too small for is nan: SSIM below 11 pixels, LPIPS below 32.
    """
    side = min(before.shape[:2])
    values = {
        "ssim": ssim(before, after) if side >= 11 else float("nan"),
        "edges": edge_agreement(before, after),
        "light": light_correlation(before, after),
    }
    if lpips is not None:
        values["lpips"] = lpips(before, after) if side >= 32 else float("nan")
    return values
