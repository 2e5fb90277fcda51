"""The one reader of pictures: sound pixels whatever lies beside them, the same pixels for fetch and training."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from test_fetch_pictures import profile

from bamkit.common.pictures.metadata import ALPHA, ANIMATED
from bamkit.common.pictures.reader import BadPictureError, PictureFile, open_picture
from bamkit.curate.fetch.settings import Limits, PictureSettings
from bamkit.curate.fetch.splits.picture import build
from bamkit.gan.train.data.decoding import decode_bytes

LIMITS = Limits(min_side=8, decoders=("JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF"))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"http://ns.adobe.com/xap/1.0/\0"


def art(seed=0, size=(48, 32)):
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, body, wrong=0, length=None):
    """A PNG chunk, with a wrong checksum or length on request."""
    size = len(body) if length is None else length
    return struct.pack(">I", size) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ wrong)


def segment(marker, body, length=None):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2 if length is None else length) + body


def tiff(*entries, order="<", extra=b""):
    """An EXIF block of (tag, type, count, four bytes)."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, len(entries))
    return head + b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in entries) + bytes(4) + extra


SIX = (0x112, 3, 1, struct.pack("<HH", 6, 0))
PNG, JPEG, WEBP = encoded(art(), "PNG"), encoded(art(), "JPEG", quality=95), encoded(art(), "WEBP", lossless=True)
WEBP_EXIF = encoded(art(), "WEBP", lossless=True, exif=b"Exif\0\0" + tiff(SIX))
WEBP_PROFILE = encoded(art(), "WEBP", lossless=True, icc_profile=SRGB)
WEBP_ANIMATED = encoded(art(), "WEBP", lossless=True, save_all=True, append_images=[art(1)])
THUMBNAIL = encoded(art(3, (16, 16)), "JPEG")
JUNK_XMP = b"<x:xmpmeta>" + b"<photoshop:DocumentAncestors/>" * 100_000 + b"</x:xmpmeta>"


def png(*chunks):
    return PNG[:33] + b"".join(chunks) + PNG[33:]


def behind(*chunks):
    return PNG[:-12] + b"".join(chunks) + PNG[-12:]


def jpeg(*segments):
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


def webp(flags, chunks, size=(48, 32)):
    """A WebP file of these chunks behind a header (VP8X) with these flags and this canvas."""
    canvas = b"".join((side - 1).to_bytes(3, "little") for side in size)
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + canvas + chunks
    return b"RIFF" + struct.pack("<I", len(body)) + body


BESIDE = {
    "pHYs-checksum": png(chunk(b"pHYs", struct.pack(">IIB", 2834, 2834, 1), 1)),
    "iCCP-checksum": png(chunk(b"iCCP", b"p\0\0" + zlib.compress(SRGB), 1)),
    "text-length-too-long": png(chunk(b"tEXt", b"a\0b", length=30)),
    "text-length-too-short": png(chunk(b"tEXt", b"a\0" + b"b" * 20, length=3)),
    "text-length-past-the-end": png(chunk(b"tEXt", b"a\0bbb", length=2**31 - 1)),
    "iTXt-behind-the-pixels": behind(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>", 1)),
    "compressed-text": png(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(JUNK_XMP))),
    "much-xmp": png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + JUNK_XMP)),
    "broken-stream": png(chunk(b"zTXt", b"Comment\0\0no zlib")),
    "large-profile": png(chunk(b"iCCP", b"p\0\0" + zlib.compress(SRGB + bytes(1_200_000)))),
    "short-chunks": png(*(chunk(kind, b"\0") for kind in (b"gAMA", b"cHRM", b"pHYs", b"acTL", b"fcTL", b"tIME"))),
    "tRNS-too-short": png(chunk(b"tRNS", b"\0\1")),
    "palette-of-no-use": png(chunk(b"PLTE", b"abc", 1)),
    "stream-checksum": PNG[:33] + chunk(b"IDAT", PNG[41:-20] + bytes(4)) + PNG[-12:],
    "header-checksum": PNG[:29] + b"abcd" + PNG[33:],
    "no-end": PNG[:-12],
    "junk-behind": PNG + bytes(14),
    "jfif-short": jpeg(segment(0xE0, b"JFIF\0")),
    "adobe-short": jpeg(segment(0xEE, b"Adobe")),
    "exif-empty": jpeg(segment(0xE1, b"Exif\0\0")),
    "exif-no-tiff": jpeg(segment(0xE1, b"Exif\0\0http://nonsense")),
    "exif-directory-far-away": jpeg(segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f")),
    "preview-and-length-too-long": jpeg(segment(0xE1, b"Exif\0\0" + THUMBNAIL, len(THUMBNAIL) + 300)),
    "preview-and-length-0": jpeg(segment(0xED, b"Photoshop 3.0\0" + THUMBNAIL, 0)),
    "preview-behind-the-length": jpeg(segment(0xE1, b"Exif\0\0" + THUMBNAIL, 8)),
    "preview-half-behind-the-length": jpeg(segment(0xE0, b"JFXX\0" + THUMBNAIL, 9)),
    "mpf-junk": jpeg(segment(0xE2, b"MPF\0II*\0\xff\xff\xff\x7f")),
    "icc-parts-missing": jpeg(segment(0xE2, b"ICC_PROFILE\0\2\5" + bytes(300))),
    "segment-length-0": jpeg(segment(0xE1, b"Exif\0\0abc", 0)),
    "segment-length-too-long": jpeg(segment(0xE5, b"x" * 20, 40_000)),
    "xmp-latin-1": jpeg(segment(0xE1, XMP + "<dc:creator>Zoë</dc:creator>".encode("latin-1"))),
    "jpeg-no-end": JPEG[:-2],
    "jpeg-half-an-end": JPEG[:-1],
    "jpeg-zeros-for-the-end": JPEG[:-2] + bytes(512),
    "jpeg-junk-behind": JPEG + b"<!-- tracking -->" * 40,
    "webp-profile-length": WEBP_PROFILE.replace(b"ICCP" + struct.pack("<I", len(SRGB)), b"ICCP\7\0\0\0"),
    "webp-unknown-chunk-first": WEBP[:12] + b"JUNK\3\0\0\0abc\0" + WEBP[12:],
    "webp-animation-that-is-none": webp(ALPHA | ANIMATED, WEBP[12:]),
    "webp-animation-without-frames": webp(ANIMATED, b"ANIM\6\0\0\0" + bytes(6) + WEBP[12:]),
    "webp-animation-not-announced": WEBP_ANIMATED[:20] + b"\0" + WEBP_ANIMATED[21:],
    "webp-other-canvas": webp(0, WEBP[12:], (5, 900)),
    "webp-announces-what-is-not-there": webp(0x3C, WEBP[12:]),
    "webp-junk-behind": WEBP + b"junkjunkjunk",
    "webp-second-frame-cut": WEBP_ANIMATED[:-20],
    "webp-exif-length": WEBP[:12] + WEBP[12:] + b"EXIF" + struct.pack("<I", 2**27) + b"abc",
}


@pytest.mark.parametrize("name", BESIDE)
def test_sound_pixels_are_never_lost_to_what_lies_beside_them(name):
    opened = open_picture(BESIDE[name])
    whole = np.asarray(art()) if "jpeg" not in name and BESIDE[name][:2] != b"\xff\xd8" else open_picture(JPEG).rgb
    assert np.array_equal(opened.rgb, whole)
    assert opened.alpha is None


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_palette_is_taken_whatever_its_checksum(wrong):
    palette = art().quantize(32)
    whole = encoded(palette, "PNG")
    at = whole.index(b"PLTE") - 4
    length = int.from_bytes(whole[at : at + 4], "big")
    data = whole[:at] + chunk(b"PLTE", whole[at + 8 : at + 8 + length], wrong) + whole[at + 12 + length :]
    assert np.array_equal(open_picture(data).rgb, np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("flags", [0, ALPHA, ANIMATED])
@pytest.mark.parametrize("size", [(48, 32), (9, 7)])
def test_a_webp_keeps_its_alpha_whatever_its_header_says(flags, size):
    clear = art().convert("RGBA")
    clear.putalpha(art(5).convert("L"))
    whole = encoded(clear, "WEBP", quality=100, exact=True)
    opened = open_picture(webp(flags, whole[30:], size))
    assert np.array_equal(opened.alpha, np.asarray(clear)[..., 3])
    assert np.array_equal(opened.rgb, open_picture(whole).rgb)


@pytest.mark.parametrize("at", [14, 16])
def test_a_webp_with_alpha_whose_pixels_have_no_side_is_damaged(at):
    clear = art().convert("RGBA")
    clear.putalpha(art(5).convert("L"))
    data = bytearray(encoded(clear, "WEBP", quality=80))
    start = data.index(b"VP8 ")
    data[start + at : start + at + 2] = bytes(2)
    with pytest.raises(BadPictureError):
        open_picture(bytes(data))


TURNED = {
    "jpeg": jpeg(segment(0xE1, b"Exif\0\0" + tiff(SIX))),
    "jpeg-big-endian": jpeg(segment(0xE1, b"Exif\0\0" + tiff((0x112, 3, 1, struct.pack(">HH", 6, 0)), order=">"))),
    "jpeg-ratio-by-0": jpeg(
        segment(0xE1, b"Exif\0\0" + tiff((0x11A, 5, 1, struct.pack("<I", 38)), SIX, extra=struct.pack("<II", 72, 0)))
    ),
    "jpeg-text-no-ascii": jpeg(segment(0xE1, b"Exif\0\0" + tiff((0x10E, 2, 4, b"\xe9\xff\xfe\0"), SIX))),
    "jpeg-xmp": jpeg(segment(0xE1, XMP + b'<rdf:Description tiff:Orientation="6"/>')),
    "jpeg-xmp-beside-broken-exif": jpeg(
        segment(0xE1, b"Exif\0\0II*\0\xff"), segment(0xE1, XMP + b"<tiff:Orientation>6</tiff:Orientation>")
    ),
    "png": png(chunk(b"eXIf", tiff(SIX))),
    "png-behind-the-pixels": behind(chunk(b"eXIf", tiff(SIX))),
    "png-xmp": png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"<x tiff:Orientation='6'/>")),
    "png-raw-profile": png(
        chunk(
            b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n  26\n" + tiff(SIX).hex().encode() + b"\n")
        )
    ),
    "webp": WEBP_EXIF,
    "webp-xmp": encoded(art(), "WEBP", lossless=True, xmp=b'<x tiff:Orientation="6"/>'),
    "tiff": encoded(art(), "TIFF", tiffinfo={0x112: 6}),
    "avif": encoded(art(), "AVIF", exif=b"Exif\0\0" + tiff(SIX)),
}


@pytest.mark.parametrize("name", TURNED)
def test_orientation_is_obeyed_wherever_it_is_written(name):
    opened = open_picture(TURNED[name])
    assert opened.size == (48, 32)
    if name.startswith(("png", "webp", "tiff")):
        assert np.array_equal(opened.rgb, np.rot90(np.asarray(art()), -1))


def grey_ramp(dtype=np.uint16):
    return Image.fromarray((np.arange(48 * 32).reshape(32, 48) * 42).astype(dtype))


KINDS = {
    **{f"beside-{name}": BESIDE[name] for name in BESIDE},
    **{f"turned-{name}": TURNED[name] for name in TURNED},
    "deep-grey.png": encoded(grey_ramp(), "PNG"),
    "deep-grey.tif": encoded(grey_ramp(), "TIFF"),
    "dark-deep-grey.png": encoded(Image.fromarray(np.full((32, 48), 200, np.uint16)), "PNG"),
    "real-grey.tif": encoded(Image.fromarray(np.linspace(0, 1, 1536, dtype=np.float32).reshape(32, 48)), "TIFF"),
    "grey-alpha.png": encoded(Image.merge("LA", [art().convert("L"), art(1).convert("L")]), "PNG"),
    "alpha.webp": encoded(Image.merge("RGBA", [*art().split(), art(1).convert("L")]), "WEBP", lossless=True),
    "palette-alpha.png": encoded(art().quantize(16), "PNG", transparency=bytes(range(0, 160, 10))),
    "cmyk.jpg": encoded(art().convert("CMYK"), "JPEG", quality=95),
    "profile.png": encoded(art(), "PNG", icc_profile=profile((0.7, 0.3, 0), (0.2, 0.6, 0.1), (0.1, 0.1, 0.7), 1.8)),
    "animated.webp": WEBP_ANIMATED,
    "animated.gif": encoded(art().quantize(16), "GIF", save_all=True, append_images=[art(1).quantize(16)]),
    "cmyk.tif": encoded(art().convert("CMYK"), "TIFF"),
    "palette.gif": encoded(art().quantize(16), "GIF"),
}


@pytest.mark.parametrize("name", KINDS)
def test_fetch_and_training_see_the_same_pixels(name):
    """A picture that fetch keeps at its own size, and the same file read from a folder or for translation."""
    opened = open_picture(KINDS[name])
    how = PictureSettings(size=min(opened.size), fit="short-side", format="png", oversample=64)
    made, _ = build(KINDS[name], how, LIMITS)
    with Image.open(io.BytesIO(made.data)) as image:
        assert np.array_equal(np.asarray(image), opened.rgb)
    square = open_picture(encoded(Image.fromarray(opened.rgb[:32, :32]), "PNG"))
    assert np.array_equal(decode_bytes(encoded(Image.fromarray(opened.rgb[:32, :32]), "PNG"), 32), square.rgb)


def test_deep_grey_keeps_its_lightness():
    for kind in ("deep-grey.png", "deep-grey.tif"):
        wanted = np.rint(np.asarray(grey_ramp()) / 257)
        assert np.abs(open_picture(KINDS[kind]).rgb[..., 0] - wanted).max() <= 0.5
    assert open_picture(KINDS["dark-deep-grey.png"]).rgb.max() == 1


LINEAR = {
    "gamma": 1.0,
    "red": (0.4361, 0.2225, 0.0139),
    "green": (0.3851, 0.7169, 0.0971),
    "blue": (0.1431, 0.0606, 0.7141),
}
WIDE = {"gamma": 2.2, "red": (0.7977, 0.2880, 0.0), "green": (0.1352, 0.7119, 0.0), "blue": (0.0313, 0.0001, 0.8249)}


@pytest.mark.parametrize("numbers", [LINEAR, WIDE])
@pytest.mark.parametrize("name", [b"sRGB IEC61966-2.1", b"anything", b"SRGB"])
def test_a_profile_is_judged_by_its_numbers(numbers, name):
    """What is called sRGB and is not gets converted, with the same result whatever it is called."""
    icc = profile(numbers["red"], numbers["green"], numbers["blue"], numbers["gamma"], description=name)
    opened = open_picture(encoded(art(), "PNG", icc_profile=icc))
    plain = profile(numbers["red"], numbers["green"], numbers["blue"], numbers["gamma"])
    assert np.array_equal(opened.rgb, open_picture(encoded(art(), "PNG", icc_profile=plain)).rgb)
    assert np.abs(opened.rgb.astype(int) - np.asarray(art())).max() > 20


def test_srgb_under_another_name_changes_nothing():
    for icc in (SRGB, SRGB.replace("sRGB".encode("utf-16-be"), "xyzw".encode("utf-16-be"))):
        for kind in ("PNG", "WEBP"):
            more = {"lossless": True} if kind == "WEBP" else {}
            data = encoded(art(), kind, icc_profile=icc, **more)
            assert np.array_equal(open_picture(data).rgb, np.asarray(art()))


PROGRESSIVE = encoded(art(size=(160, 120)), "JPEG", quality=92, progressive=True)


def test_a_progressive_jpeg_without_its_end_is_a_picture():
    assert np.array_equal(open_picture(PROGRESSIVE[:-2]).rgb, open_picture(PROGRESSIVE).rgb)


@pytest.mark.parametrize("data", [
    JPEG[: len(JPEG) // 2], JPEG[:-30], JPEG[:-30] + bytes(400), PROGRESSIVE[:-60],
    PROGRESSIVE[: PROGRESSIVE.rindex(b"\xff\xda")],  # a whole scan is missing
    PROGRESSIVE[: PROGRESSIVE.rindex(b"\xff\xc4")],
    PNG[: len(PNG) // 2],
])  # fmt: skip
def test_what_lacks_pixels_is_truncated(data):
    with pytest.raises(BadPictureError) as error:
        open_picture(data)
    assert error.value.reason == "truncated"


@pytest.mark.parametrize("data", [
    PNG[:20], PNG[:8], PNG[:8] + b"\0" * 40, PNG[:4] + PNG[5:], PNG.replace(b"IHDR", b"IHDX"), JPEG[:4], b"GIF89a",
])  # fmt: skip
def test_a_damaged_file_of_a_known_kind_is_never_said_to_be_no_picture(data):
    with pytest.raises(BadPictureError) as error:
        PictureFile(data).decode()
    assert error.value.reason in ("damaged", "truncated")


def test_a_flood_of_false_chunks_is_read_in_time():
    """Each of them claims a length whose checksum takes a pass over the file."""
    flood = b"".join(struct.pack(">I4s", 9_000_000 - 8 * i, b"IDAT") for i in range(100_000))
    with pytest.raises(BadPictureError):
        open_picture(PNG[:33] + chunk(b"tEXt", b"a", length=3) + flood + bytes(9_000_000))
