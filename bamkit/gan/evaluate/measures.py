"""One pass over the pictures: everything that is measured of each, with no more than a batch in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image

from bamkit.common.errors import BamkitError
from bamkit.common.pictures.altered_copies import SIDE, small_copy_of
from bamkit.common.pictures.feature_store import FeatureStore
from bamkit.common.shards import ShardReader
from bamkit.common.statistics import clusters_of
from bamkit.gan.evaluate.features import Extractor
from bamkit.gan.evaluate.inputs.translations import Direction
from bamkit.gan.evaluate.lpips import Lpips
from bamkit.gan.evaluate.metrics.colour import ColourStatistics, colour_transfer
from bamkit.gan.evaluate.metrics.plain import DIMENSIONS, plain_statistics
from bamkit.gan.evaluate.metrics.similarity import edge_agreement, light_correlation, light_explained, ssim
from bamkit.gan.judge.model import Judge

if TYPE_CHECKING:
    from bamkit.common.statistics.clusters import Clusters
    from bamkit.common.terminal.progress import Progress

IDENTITY, TRANSFER, TRANSLATION = "identity", "colour transfer", "translation"
METHODS = (IDENTITY, TRANSFER, TRANSLATION)
"""What is compared on every picture: the source as it is, the baseline without training, the model."""
JUDGE, FORM, SECOND = "judge", "form", "second"
"""The judges: of colour and form, of form alone, and another of colour and form."""
BATCH = 16


@dataclass
class Networks:
    """What pictures are run through."""

    extractor: Extractor
    judge: Judge | None = None
    lpips: Lpips | None = None
    further: dict[str, Judge] = field(default_factory=dict)
    """More judges by name: FORM, which sees form alone, and SECOND, which has seen other pictures."""

    @property
    def judges(self) -> dict[str, Judge]:
        """All judges by name."""
        return ({JUDGE: self.judge} if self.judge is not None else {}) | self.further

    def __call__(self, pictures: Sequence[np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """(n, d) features and by judge (n, k) probabilities; one pass where judge and features are one."""
        judged: dict[str, np.ndarray] = {}
        features: np.ndarray | None = None
        for name, judge in self.judges.items():
            vectors, judged[name] = judge.predict(pictures)
            features = vectors if judge is self.extractor else features
        return self.extractor(pictures) if features is None else features, judged


class ImageSet:
    """What is kept of a set of pictures, in their order; all but the judges' probabilities lies on disk."""

    def __init__(self, dimensions: int, projects: Clusters = None) -> None:
        """`dimensions`: of the features; `projects`: (n,) the number of each picture's project, None if unknown."""
        self.features = FeatureStore(dimensions)
        self.plain = FeatureStore(DIMENSIONS)
        """(n, 9) the plain statistics."""
        self.small = FeatureStore(SIDE * SIDE * 3, np.uint8)
        """(n, 64 * 64 * 3) small copies."""
        self.projects = projects
        self.colours = ColourStatistics.empty()
        """Gathered of real pictures only."""
        self._judged: dict[str, list[np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.features)

    def append(self, pictures: Sequence[np.ndarray], features: np.ndarray, judged: Mapping[str, np.ndarray]) -> None:
        """Add a batch of (H, W, 3) uint8 pictures with what `Networks` says of them."""
        self.features.append(features)
        self.plain.append(np.stack([plain_statistics(picture) for picture in pictures]))
        self.small.append(np.stack([small_copy_of(picture).ravel() for picture in pictures]))
        for judge, probabilities in judged.items():
            self._judged.setdefault(judge, []).append(probabilities)

    def judged(self, judge: str = JUDGE) -> np.ndarray | None:
        """(n, k) the probabilities of a judge's attributes; None without that judge."""
        return np.concatenate(self._judged[judge]) if judge in self._judged else None


def extract(
    shards: ShardReader, networks: Networks, progress: Progress | None = None, size: tuple[int, int] | None = None
) -> ImageSet:
    """Run real pictures through the networks; their colour statistics are gathered on the way.

    `size`: (width, height) to which they are brought first, that of the translations: a sharper picture is no better.
    """
    images = ImageSet(networks.extractor.dimensions, clusters_of(shards.column("project_id")) if len(shards) else None)
    for _, batch in shards.batches(BATCH, progress):
        pictures = [fitted(picture, size) for picture in batch]
        images.append(pictures, *networks(pictures))
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
    projects: Clusters
    """(n,) the number of each pair's project; None where none is known."""
    pictures: pd.DataFrame
    """One row a pair: `mid`, `project` (its id; <NA> where it is not known), `row` (of the translations), `width`,
    `height`, and for the transfer and the translation `<method> ssim`, `... edges`, `... light`, `... relit` and, with
    its weights, `... lpips`, all against the source; nan where a picture could not be measured.
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
    n, known = len(direction), direction.projects()
    projects = clusters_of(known)
    images = {method: ImageSet(networks.extractor.dimensions, projects) for method in METHODS}
    columns: dict[str, Any] = {
        "mid": direction.mids(),
        "project": pd.array(known, "Int64"),
        "row": direction.pairs[:, 1],
    }
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
            images[method].append(batch[method], *networks(batch[method]))
        if progress is not None:
            progress.update(progress.done + len(batch[IDENTITY]))
    return Measured(direction, images, projects, pd.DataFrame(columns))


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
    """`ssim`, `edges`, `light`, `relit` and, where its weights are at hand, `lpips` of two pictures of one shape.

    What a picture is too small for is nan: SSIM below 11 pixels, LPIPS below 32.
    """
    side = min(before.shape[:2])
    values = {
        "ssim": ssim(before, after) if side >= 11 else float("nan"),
        "edges": edge_agreement(before, after),
        "light": light_correlation(before, after),
        "relit": light_explained(before, after),
    }
    if lpips is not None:
        values["lpips"] = lpips(before, after) if side >= 32 else float("nan")
    return values
