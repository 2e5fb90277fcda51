"""Feature vectors of pictures: Inception's where its weights are at hand, the judge's, or plain colours and edges."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from bamkit.errors import BamkitError
from bamkit.gan.evaluate.metrics.colour import lab
from bamkit.provenance import digest, sha256_file

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
        return np.stack([self._one(picture) for picture in pictures]).astype(np.float32)

    def _one(self, picture: np.ndarray) -> np.ndarray:
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
        from bamkit.gan.vision import torchvision

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
        found = []
        with torch.inference_mode():
            for picture in pictures:
                one = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].to(self._device)
                found.append(self._network(one)[0].cpu().numpy())
        return np.concatenate(found)


def inception_weights() -> Path | None:
    """Inception's weights in torch's cache, where torch-fidelity leaves them; None if they are not there."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    return path if path.is_file() else None


class Store:
    """Feature vectors on disk, in a temporary file that vanishes with the object: memory does not grow with n."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._file = tempfile.TemporaryFile(prefix="bamkit-features-")  # noqa: SIM115  (lives as long as the object)
        self._n = 0

    def append(self, batch: np.ndarray) -> None:
        """Add an (m, dimensions) batch."""
        if batch.ndim != 2 or batch.shape[1] != self.dimensions:
            raise ValueError(f"vectors of {self.dimensions} numbers are stored here, not {batch.shape}")
        self._file.write(np.ascontiguousarray(batch, dtype=np.float32).tobytes())
        self._n += len(batch)

    def array(self) -> np.ndarray:
        """All vectors, (n, dimensions) float32: a memory map of the file."""
        if not self._n:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        self._file.flush()
        return np.memmap(self._file, dtype=np.float32, mode="r", shape=(self._n, self.dimensions))


class Scaled:
    """An (n, d) array read through `row * factor`: rows are scaled when taken, so a memory map stays one."""

    def __init__(self, array: np.ndarray, factor: float) -> None:
        self.array, self.factor, self.shape = array, factor, array.shape

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return np.asarray(self.array[rows], dtype=np.float64) * self.factor


def unit_scale(reference: np.ndarray) -> float:
    """The factor that gives an (n, d) array mean squared coordinate 1; it is read in blocks. 1.0 for nothing or zeros.

    KID's kernel adds 1 to a mean product of coordinates, so features of any other size would make it nearly constant
    or nearly a cube.
    """
    blocks = (reference[start : start + 512] for start in range(0, len(reference), 512))
    total = sum(float(np.square(block, dtype=np.float64).sum()) for block in blocks)
    return 1 / np.sqrt(total / reference.size) if total else 1.0
