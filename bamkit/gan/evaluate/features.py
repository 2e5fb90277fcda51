"""Feature vectors of pictures: Inception's where its weights are at hand, the judge's, or plain colours and edges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from bamkit.common.errors import BamkitError
from bamkit.common.provenance import digest, sha256_file
from bamkit.gan.evaluate.metrics.colour import lab
from bamkit.gan.evaluate.metrics.vectors import Vectors
from bamkit.gan.vision import torchvision

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
"""The file torch-fidelity uses: TensorFlow's Inception of 2015-12-05, which published FIDs are made with."""


class Extractor(Protocol):
    """Turns pictures into vectors."""

    name: str
    """`inception`, `judge` or `colours and edges`."""
    description: str
    """One sentence for the report."""
    sha256: str
    """What the vectors depend on: hash of the weights, or of the recipe."""
    dimensions: int

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """(H, W, 3) uint8 pictures of any sizes -> (n, dimensions) float32."""
        ...


class Colours:
    """No weights at all: Lab mean and deviation in a 4 x 4 grid, and edge orientations in a 2 x 2 grid; 128 numbers.

    It sees tint, light, their layout and the direction of strokes; it does not see what is painted.
    """

    name = "colours and edges"
    description = "128 plain numbers: Lab means and deviations in a 4 x 4 grid, edge orientations in a 2 x 2 grid."
    sha256 = digest({"recipe": description, "size": 64, "version": 1})
    dimensions = 128

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([self._describe(picture) for picture in pictures]).astype(np.float32)

    def _describe(self, picture: np.ndarray) -> np.ndarray:
        small = np.asarray(Image.fromarray(picture).resize((64, 64), Image.Resampling.BOX))
        values = lab(small).astype(np.float64) / 100
        cells = values.reshape(4, 16, 4, 16, 3).swapaxes(1, 2).reshape(16, 256, 3)
        down, across = np.gradient(values[..., 0])
        strength = np.hypot(down, across)
        bins = ((np.arctan2(down, across) % np.pi) / np.pi * 8).astype(int).clip(0, 7)
        orientation = np.zeros((2, 2, 8))
        row, column = np.indices(bins.shape) // 32
        np.add.at(orientation, (row, column, bins), strength / 1024)
        return np.concatenate([cells.mean(1).ravel(), cells.std(1).ravel(), orientation.ravel() * 10])


class Inception:
    """The 2,048 pooled features of Inception v3, through torch-fidelity, which resizes as TensorFlow does."""

    name = "inception"
    description = "2,048 pooled features of Inception v3 (TensorFlow's weights of 2015, through torch-fidelity)."
    dimensions = 2048

    def __init__(self, weights: Path, device: torch.device | str = "cpu") -> None:
        """`weights`: the file INCEPTION_FILE. Raises BamkitError if it is not that or torch-fidelity is missing."""
        torchvision()
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            raise BamkitError("Inception features need torch-fidelity", "pip install torch-fidelity") from error
        try:
            # torch-fidelity unpickles whatever it is given; a file that passes this holds tensors only.
            torch.load(weights, map_location="cpu", weights_only=True)
            network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(weights))
        except FileNotFoundError as error:
            raise BamkitError(f"there is no file {weights}") from error
        except Exception as error:
            # torch reports foreign, damaged and hostile files through many exception types.
            text = str(error).splitlines()[0]
            raise BamkitError(
                f"{weights} does not hold Inception's weights: {text}", f"it is {INCEPTION_FILE}"
            ) from error
        self.sha256 = sha256_file(weights)
        self._network, self._device = network.to(device).eval(), device

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        vectors = []
        with torch.inference_mode():
            for picture in pictures:
                batch = torch.tensor(picture).permute(2, 0, 1)[None].to(self._device)
                vectors.append(self._network(batch)[0].cpu().numpy())
        return np.concatenate(vectors)


def inception_weights() -> Path | None:
    """Inception's weights in torch's cache, where torch-fidelity leaves them; None if they are not there."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    return path if path.is_file() else None


class ScaledFeatures:
    """(n, d) vectors read through `(row - origin) * factor`: scaled when taken, so what lies on disk stays there.

    `factor` and `origin` are numbers or (d,) arrays.
    """

    def __init__(self, vectors: Vectors, factor: float | np.ndarray, origin: float | np.ndarray = 0.0) -> None:
        self.vectors, self.factor, self.origin, self.shape = vectors, factor, origin, vectors.shape

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return (np.asarray(self.vectors[rows], dtype=np.float64) - self.origin) * self.factor


class EvenRows:
    """At most `count` rows of (n, d) vectors, evenly spaced, as vectors of their own."""

    def __init__(self, vectors: Vectors, count: int) -> None:
        n = len(vectors)
        self.vectors, self.rows = vectors, np.arange(min(n, count)) * n // max(1, min(n, count))
        self.shape = (len(self.rows), *vectors.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return np.asarray(self.vectors[self.rows[rows]])


def unit_scale(reference: Vectors) -> float:
    """The factor that gives (n, d) vectors mean squared coordinate 1; read in blocks. 1.0 for nothing or zeros.

    KID's kernel adds 1 to a mean product of coordinates, so features of any other size would make it nearly constant
    or nearly a cube.
    """
    blocks = (reference[start : start + 512] for start in range(0, len(reference), 512))
    total = sum(float(np.square(block, dtype=np.float64).sum()) for block in blocks)
    return 1 / np.sqrt(total / math.prod(reference.shape)) if total else 1.0
