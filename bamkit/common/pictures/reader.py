"""The one reader of pictures: any file that Pillow decodes becomes upright 8-bit RGB in sRGB, with its alpha."""

from __future__ import annotations

import importlib
import io
import threading
import warnings
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms, UnidentifiedImageError

from bamkit.common.pictures import metadata

SUFFIXES = frozenset(
    {
        ".png",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".avif",
        ".ppm",
        ".pgm",
        ".jp2",
    }
)
"""File names taken from a folder (any case). A file named one by one may be called anything."""


@dataclass(frozen=True)
class Plugin:
    """A package that teaches Pillow another format."""

    package: str
    """What pip installs."""
    module: str
    """Importing it, and calling its `register_heif_opener` if it has one, registers the format."""


_HEIF, _JXL = Plugin("pillow-heif", "pillow_heif"), Plugin("pillow-jxl-plugin", "pillow_jxl")
PLUGINS = {".heic": _HEIF, ".heif": _HEIF, ".hif": _HEIF, ".jxl": _JXL}
"""By suffix, formats that Pillow reads with a plugin only."""
MAX_PIXELS = 178_956_970
"""Most pixels of a picture unless told otherwise, a guard against decompression bombs."""
SIGNATURES = {"PNG": b"\x89PNG", "JPEG": b"\xff\xd8", "GIF": b"GIF8"}
"""How files of these formats begin, whatever is wrong with the rest of them."""
SCANS, SCAN_PIXELS = 64, 1_000_000_000
DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I")
COLOUR_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
SAME_COLOURS = 2
"""A profile whose transform to sRGB changes no value by more than this (of 255) is sRGB."""
TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_transforms = threading.local()


class BadPictureError(ValueError):
    """A file that is no picture, or a broken one; the text says what is wrong."""

    def __init__(self, reason: str, detail: str, text: str = "") -> None:
        super().__init__(text or detail)
        self.reason, self.detail = reason, detail
        """`not-a-picture`, `damaged`, `truncated`, `too-many-pixels` or `too-small`, and what was seen."""

    def __reduce__(self) -> tuple[type[BadPictureError], tuple[str, str, str]]:
        return BadPictureError, (self.reason, self.detail, str(self))


@dataclass(frozen=True)
class Opened:
    """A decoded picture."""

    rgb: NDArray[np.uint8]
    """(height, width, 3), sRGB, upright; transparent parts are laid on white."""
    alpha: NDArray[np.uint8] | None
    """(height, width), or None where the picture is opaque."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.rgb.shape[0], self.rgb.shape[1]


def open_picture(source: bytes | Path) -> Opened:
    """Decode a file or its bytes. The first frame of an animation, turned upright, in sRGB; greyscale as RGB.

    Raises BadPictureError for whatever Pillow cannot decode, and for pictures of more than MAX_PIXELS. Raises OSError
    where the file cannot be read at all.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    with quiet_decoders():
        file = PictureFile(data)
        image, alpha = file.decode()
        rgb = to_srgb(upright(image, file.orientation), file.profile)
        return Opened(np.asarray(rgb), None if alpha is None else np.asarray(upright(alpha, file.orientation)))


def from_image(image: Image.Image) -> Opened:
    """A PIL image as a file of it would be opened: upright, in sRGB, transparent parts on white. Raises ValueError."""
    orientation, profile = image.getexif().get(0x0112, 1), image.info.get("icc_profile")
    flat, alpha = _flat(image)
    rgb = to_srgb(upright(flat, orientation), profile)
    return Opened(np.asarray(rgb), None if alpha is None else np.asarray(upright(alpha, orientation)))


def has_plugin(suffix: str) -> bool:
    """Whether the plugin for files of this suffix is installed; if so it is registered."""
    try:
        module = importlib.import_module(PLUGINS[suffix].module)
    except ImportError:
        return False
    if hasattr(module, "register_heif_opener"):
        module.register_heif_opener()
    return True


def _suffix_by_content(data: bytes) -> str | None:
    """The suffix of PLUGINS that a file's first bytes speak of, whatever it is called."""
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
        return ".heic"
    return ".jxl" if data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")) else None


def resized(opened: Opened, shorter: int) -> Opened:
    """The picture with a shorter side of `shorter` pixels, bicubic as in training; 0 leaves it alone."""
    height, width = opened.size
    scale = shorter / min(height, width) if shorter else 1.0
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return opened
    rgb, alpha = (
        None if part is None else np.asarray(Image.fromarray(part).resize(size, Image.Resampling.BICUBIC))
        for part in (opened.rgb, opened.alpha)
    )
    assert rgb is not None
    return Opened(rgb, alpha)


@contextmanager
def quiet_decoders(max_pixels: int = MAX_PIXELS) -> Iterator[None]:
    """Pillow's own pixel limit set to `max_pixels`, and its warnings about odd files not printed.

    Both are settings of the whole process: a program that decodes in threads enters this once, around all of them.
    """
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


class PictureFile:
    """An encoded picture whose header was read and checked; nothing is decoded before `decode`."""

    def __init__(
        self, data: bytes, formats: Collection[str] | None = None, max_pixels: int = MAX_PIXELS, min_side: int = 1
    ) -> None:
        """Read the header. Only the decoders of `formats` (Pillow's names; None: all) are tried.

        Raises BadPictureError for what is no picture, has more than `max_pixels`, or a side below `min_side`.
        """
        parts = metadata.separate(data)
        self._data, self._formats = parts.data, None if formats is None else tuple(formats)
        self._image = self._open(self._data)
        self.format = "JPEG" if self._image.format == "MPO" else str(self._image.format)
        """JPEG, PNG, GIF, WEBP ..."""
        self.width, self.height = self._image.size
        """As stored, before any rotation."""
        if self.width * self.height > max_pixels:
            raise BadPictureError("too-many-pixels", f"{self.width:,} x {self.height:,} pixels")
        if min(self.width, self.height) < min_side:
            raise BadPictureError("too-small", f"{self.width} x {self.height} pixels")
        self._lacks_end = False
        if self.format == "JPEG":
            # A progressive JPEG may refine the whole picture thousands of times from a few bytes each.
            scans = _scans(self._data)
            if scans > SCANS and scans * self.width * self.height > SCAN_PIXELS:
                detail = f"{scans:,} scans of {self.width:,} x {self.height:,} pixels"
                raise BadPictureError("too-many-pixels", detail)
            self._lacks_end = self._data.rfind(b"\xff\xd9") < 0
        exif, xmp, profile = (self._information(name) for name in ("exif", "xmp", "icc_profile"))
        self.orientation = 1
        """How the stored picture is turned, 1 to 8 as in EXIF. (Pillow turns TIFF files itself.)"""
        if self.format != "TIFF":
            self.orientation = metadata.orientation(parts.exif + exif, parts.xmp + xmp)
        self.profile = parts.profile or (profile[0] if profile else None)
        """The embedded ICC profile."""

    def _open(self, data: bytes) -> Image.Image:
        if not data:
            raise BadPictureError("not-a-picture", "the file is empty")
        try:
            if self._formats is None and (suffix := _suffix_by_content(data)):
                has_plugin(suffix)
            return Image.open(io.BytesIO(data), formats=self._formats)
        except Image.DecompressionBombError as error:
            raise BadPictureError("too-many-pixels", str(error)[:120], "more than 178 million pixels") from error
        except Exception as error:  # decoders raise whatever a damaged header makes them stumble over
            kinds = [kind for kind, start in SIGNATURES.items() if data.startswith(start)]
            if isinstance(error, UnidentifiedImageError):
                if not kinds or (self._formats is not None and kinds[0] not in self._formats):
                    suffix = _suffix_by_content(data)
                    text = "not a picture of a kind that Pillow reads"
                    if suffix:
                        text = f"a {suffix} picture, which takes a plugin: pip install {PLUGINS[suffix].package}"
                    raise BadPictureError("not-a-picture", f"begins with {data[:16]!r}", text) from error
                raise _broken(f"the header of the {kinds[0]} file cannot be read") from error
            raise _broken(error) from error

    def _information(self, name: str) -> list[bytes]:
        """What Pillow found beside the pixels of a file that was not taken apart."""
        value = self._image.info.get(name)
        return [value] if isinstance(value, bytes) else []

    def draft(self, width: float, height: float) -> bool:
        """Have a JPEG decoded at 1/2, 1/4 or 1/8 if at least `width` x `height` remains; whether it will be."""
        self._image.draft(None, (int(np.ceil(width)), int(np.ceil(height))))
        return self._image.size != (self.width, self.height)

    @property
    def decoded_pixels(self) -> int:
        """How many pixels `decode` makes."""
        return self._image.width * self._image.height

    def decode(self) -> tuple[Image.Image, Image.Image | None]:
        """The first frame, 8 bits: mode L, RGB or CMYK, laid on white; and its alpha (L), None where it is opaque.

        Neither upright nor in sRGB yet; see `upright` and `to_srgb`. Raises BadPictureError.
        """
        try:
            if self._lacks_end:
                self._end()
            try:
                self._image.load()
            except OSError:
                if (sound := self._sound()) is None:
                    raise
                self._image = self._open(sound)
                self._image.load()
            return _flat(self._image)
        except Exception as error:
            raise _broken(error) from error

    def _sound(self) -> bytes | None:
        """The file without a fault that hides no pixel; None where there is no such fault.

        A BMP's rows are filled up to four bytes. If what fills the last one makes no difference, only that was missing.
        """
        if self.format == "PNG":
            return metadata.without_stream_checksum(self._data)
        if self.format != "BMP":
            return None
        filled = self._data + bytes(3)
        with self._open(filled) as zeros, self._open(self._data + b"\xff" * 3) as ones:
            same = ImageChops.difference(_flat(zeros)[0], _flat(ones)[0]).getbbox() is None
        return filled if same else None

    def _end(self) -> None:
        """Give a JPEG without an end marker one, if nothing else is missing.

        Decoders fill what is missing of the last scan from whatever follows. If other bytes after the last one do not
        change the picture, nothing was missing.
        """
        data = metadata.with_jpeg_end(self._data)
        padded = metadata.with_jpeg_end(self._data, b"\x5a\xa5" * 32)
        with self._open(data) as ended, self._open(padded) as other:
            if not metadata.has_all_scans(data) or ImageChops.difference(ended, other).getbbox(alpha_only=False):
                raise OSError("image file is truncated")
        size = self._image.size
        self._image = self._open(data)
        if size != self._image.size:
            self._image.draft(None, size)


def _scans(data: bytes) -> int:
    """How often a start-of-scan marker (ff da) occurs. (On pairs of bytes: `bytes.count` is slow for 0xff.)"""
    pairs = (np.frombuffer(data, "<u2", (len(data) - start) // 2, start) for start in (0, 1))
    return sum(int(np.count_nonzero(values == 0xDAFF)) for values in pairs)


def _broken(error: Exception | str) -> BadPictureError:
    """The error of a decoder as a `truncated` or `damaged` picture."""
    text = (str(error).splitlines() or [""])[0][:200] or type(error).__name__
    cut = "truncated" in text or "unexpected end" in text.lower()
    return BadPictureError("truncated" if cut else "damaged", text, f"broken picture: {text}")


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image turned as its EXIF orientation says."""
    return image.transpose(TRANSPOSE[orientation]) if orientation in TRANSPOSE else image


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An L, RGB or CMYK image as RGB in sRGB. A profile that is broken or of another colour space is ignored."""
    if profile and len(profile) >= 128 and (transform := _transform(profile, image.mode)):
        return ImageCms.applyTransform(image, transform) or image
    return image.convert("RGB")


def _flat(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    if image.mode in (*DEEP_GREY, "F"):
        image = _eight_bits(image)
    if image.mode == "CMYK":
        return image, None
    if image.has_transparency_data:
        grey = image.mode in ("1", "L", "LA", "La")
        image = image.convert("LA" if grey else "RGBA")
        alpha = image.getchannel("A")
        image = image.convert("L" if grey else "RGB")
        if alpha.getextrema() == (255, 255):
            return image, None
        white = Image.new(image.mode, image.size, "white")
        white.paste(image, mask=alpha)
        return white, alpha
    if image.mode in ("L", "RGB"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Greyscale of more than 8 bits as 8 bits.

    Integers by v * 255 / 65535, rounded (Pillow's own conversion clips at 255). Real numbers are taken as 0 to 1, or as
    0 to 255 where any is above 1.
    """
    values = np.asarray(image)
    if image.mode == "F":
        values = np.nan_to_num(values, posinf=0, neginf=0)
        values = np.clip(values, 0, 255) if values.max() > 1 else np.clip(values, 0, 1) * 255
        return Image.fromarray(np.rint(values).astype(np.uint8))
    deep = values.astype(np.int64).clip(0, 65535)
    grey = Image.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8))
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        return Image.merge("LA", (grey, Image.fromarray(np.where(deep == clear, 0, 255).astype(np.uint8))))
    return grey


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform of a profile to sRGB, or None where it is sRGB already, broken, or of another colour space.

    Kept for each thread: building one takes longer than using it, and they are not documented to be shared.
    """
    if not hasattr(_transforms, "known"):
        _transforms.known = OrderedDict()
    transforms: OrderedDict[tuple[bytes, str], ImageCms.ImageCmsTransform | None] = _transforms.known
    key = (profile, mode)
    if key not in transforms:
        transforms[key] = _build_transform(profile, mode)
        if len(transforms) > 32:
            transforms.popitem(last=False)
    transforms.move_to_end(key)
    return transforms[key]


def _build_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if opened.profile.xcolor_space.strip() != COLOUR_SPACES.get(mode):
            return None
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if mode != "CMYK" and _is_identity(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError, AttributeError):
        # As browsers do: a profile that makes no sense is no reason to lose the picture.
        return None


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether the transform leaves all greys and a lattice of 16 x 16 x 16 colours as they are (see SAME_COLOURS)."""
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(1, -1, 3)
    colours = np.concatenate([greys, lattice], axis=1) if mode == "RGB" else greys
    picture = Image.fromarray(colours).convert(mode)
    converted = ImageCms.applyTransform(picture, transform)
    return converted is not None and int(np.abs(np.asarray(converted).astype(int) - colours).max()) <= SAME_COLOURS
