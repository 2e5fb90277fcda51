"""CIELAB, and the plain colour-statistics transfer that every trained model has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# sRGB primaries to CIE XYZ, D65 (IEC 61966-2-1), and the white they add up to.
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _XYZ.sum(axis=1)
_KNEE = 6 / 29


def lab(picture: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 sRGB -> (..., 3) float32 CIELAB under D65: L* in [0, 100], a* and b* about [-110, 110]."""
    table = np.arange(256) / 255
    table = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    ratio = table[picture] @ (_XYZ / _WHITE[:, None]).T
    f = np.where(ratio > _KNEE**3, np.cbrt(ratio), ratio / (3 * _KNEE**2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def srgb(values: np.ndarray) -> np.ndarray:
    """The inverse of `lab`: (..., 3) CIELAB -> (..., 3) uint8; colours outside sRGB are clipped."""
    y = (values[..., 0].astype(np.float64) + 16) / 116
    f = np.stack([y + values[..., 1] / 500, y, y - values[..., 2] / 200], axis=-1)
    ratio = np.where(f > _KNEE, f**3, 3 * _KNEE**2 * (f - 4 / 29))
    linear = np.clip(ratio @ np.linalg.inv(_XYZ / _WHITE[:, None]).T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    pixels: np.ndarray = np.round(encoded * 255).astype(np.uint8)
    return pixels


@dataclass
class ColourStatistics:
    """The colours of a typical picture of a set: the average over pictures of each one's Lab mean and deviation."""

    mean: np.ndarray
    """(3,) average of the pictures' mean L*, a*, b*."""
    deviation: np.ndarray
    """(3,) average of the pictures' standard deviations of L*, a*, b*."""
    n: int = 0
    """Pictures counted."""

    @classmethod
    def empty(cls) -> ColourStatistics:
        return cls(np.zeros(3), np.zeros(3))

    def update(self, picture: np.ndarray) -> None:
        """Count one more (H, W, 3) uint8 picture."""
        values = lab(picture).reshape(-1, 3).astype(np.float64)
        self.n += 1
        self.mean = self.mean + (values.mean(axis=0) - self.mean) / self.n
        self.deviation = self.deviation + (values.std(axis=0) - self.deviation) / self.n


def colour_transfer(picture: np.ndarray, target: ColourStatistics) -> np.ndarray:
    """`picture` ((H, W, 3) uint8) with the target's colour statistics: after Reinhard et al. (2001), eqs. 10-12.

    Each Lab channel is shifted and scaled to the target's mean and deviation. It needs no training and keeps every
    edge, so it is the baseline: a generator that does no better has only learned a tint. Reinhard used the l-alpha-beta
    space; CIELAB serves the same end and is what readers know.
    """
    values = lab(picture)
    flat = values.reshape(-1, 3).astype(np.float64)
    mean, deviation = flat.mean(axis=0), flat.std(axis=0)
    scale = np.where(deviation > 1e-3, target.deviation / np.maximum(deviation, 1e-3), 1.0)
    return srgb((values - mean) * scale + target.mean)
