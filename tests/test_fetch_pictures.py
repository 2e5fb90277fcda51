"""From files of every kind to upright sRGB pictures on white: colours and places compared with what they must be."""

from __future__ import annotations

import io
import resource
import struct
import zlib

import numpy as np
import pyarrow.parquet as pq
import pytest
from fetching import encoded, jpeg, picture, write_selection
from misbehaving import Server, file
from PIL import Image, PngImagePlugin

from bamkit.common.pictures.reader import quiet_decoders
from bamkit.common.workspace import Workspace
from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.run import fetch
from bamkit.curate.fetch.settings import FetchSettings, Limits, PictureSettings
from bamkit.curate.fetch.splits.picture import build, phash

PNG = PictureSettings(size=64, format="png")
LIMITS = Limits(min_side=8)


def made(data, how=PNG, limits=LIMITS):
    """The built picture as an array of floats."""
    done, _ = build(data, how, limits)
    with Image.open(io.BytesIO(done.data)) as image:
        assert image.mode == "RGB"
        assert image.size == (done.width, done.height)
        return np.asarray(image, dtype=float)


def quarters(*colours, size=(128, 128)):
    """Four flat quarters: top left, top right, bottom left, bottom right."""
    image = Image.new("RGB", size)
    half = (size[0] // 2, size[1] // 2)
    for index, colour in enumerate(colours):
        left, top = index % 2 * half[0], index // 2 * half[1]
        image.paste(colour, (left, top, left + half[0], top + half[1]))
    return image


def seen(array):
    """The colours in the middle of the quarters."""
    height, width = array.shape[:2]
    at = [(height // 4, width // 4), (height // 4, 3 * width // 4), (3 * height // 4, width // 4)]
    return [tuple(int(v) for v in array[y, x]) for y, x in [*at, (3 * height // 4, 3 * width // 4)]]


RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 200, 40), (30, 50, 210), (128, 128, 128)
FOUR = (RED, GREEN, BLUE, GREY)


def near(found, wanted, tolerance=6):
    return all(abs(a - b) <= tolerance for f, w in zip(found, wanted, strict=True) for a, b in zip(f, w, strict=True))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", ["squash", "crop", "short-side"])
def test_pictures_are_turned_upright(orientation, fit):
    upright = quarters(*FOUR, size=(160, 120))
    # The stored picture is the upright one with the inverse of what the orientation says.
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(inverse[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("JPEG", "PNG", "WEBP"):
        data = encoded(stored, name, exif=exif, **({"lossless": True} if name == "WEBP" else {}))
        array = made(data, PictureSettings(size=48, fit=fit, format="png"))
        assert near(seen(array), FOUR, 12), (name, seen(array))
        assert array.shape[:2] == ((48, 64) if fit == "short-side" else (48, 48))


def test_a_broken_exif_block_is_ignored():
    data = encoded(quarters(*FOUR), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffgarbage")
    with quiet_decoders(LIMITS.max_pixels):
        assert near(seen(made(data)), FOUR, 12)


def png(width, height, depth, colour, rows, extra=b""):
    """A PNG written by hand: Pillow cannot save every kind it can read."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("value", [0, 300, 20_000, 40_000, 65_535])
def test_sixteen_bit_grey_keeps_its_lightness(value):
    data = png(64, 64, 16, 0, [struct.pack(">64H", *[value] * 64)] * 64)
    array = made(data)
    assert np.all(np.abs(array - value / 257) <= 1), (array.mean(), value / 257)


def test_sixteen_bit_colour_and_alpha():
    rgb = png(64, 64, 16, 2, [struct.pack(">192H", *[50_000, 20_000, 60_000] * 64)] * 64)
    assert np.allclose(made(rgb)[5, 5], [50_000 / 257, 20_000 / 257, 60_000 / 257], atol=1)
    half = png(64, 64, 16, 6, [struct.pack(">256H", *[0, 0, 0, 32_768] * 64)] * 64)
    assert np.allclose(made(half), 127.5, atol=2)
    grey_alpha = png(64, 64, 16, 4, [struct.pack(">128H", *[0, 0] * 64)] * 64)
    assert np.all(made(grey_alpha) == 255)
    clear_key = struct.pack(">I", 2) + b"tRNS" + struct.pack(">H", 300)
    clear_key += struct.pack(">I", zlib.crc32(clear_key[4:]))
    keyed = png(64, 64, 16, 0, [struct.pack(">64H", *[300] * 64)] * 64, clear_key)
    assert np.all(made(keyed) == 255)


def test_alpha_is_flattened_on_white_without_a_dark_rim():
    image = Image.new("RGBA", (128, 128), (0, 0, 0, 0))
    image.paste((*RED, 255), (0, 0, 64, 128))
    array = made(encoded(image, "PNG"))
    assert near([tuple(array[32, 16])], [RED])
    assert np.all(array[:, 40:] >= 250)
    middle = array[32, 31:33].mean(axis=0)
    assert np.all(middle >= np.array(RED) - 8), "a rim darker than both sides"


def kinds():
    image = quarters(*FOUR)
    palette = image.quantize(16)
    clear = quarters(RED, GREEN, BLUE, (255, 255, 255)).quantize(8)
    clear.info["transparency"] = clear.getpixel((120, 120))
    grey = image.convert("L")
    dots = quarters((255,) * 3, (0,) * 3, (0,) * 3, (255,) * 3).convert("1")
    on_white = (*FOUR[:3], (255, 255, 255))
    return {
        "palette.png": (encoded(palette, "PNG"), FOUR),
        "palette.gif": (encoded(palette, "GIF"), FOUR),
        "clear.png": (encoded(clear, "PNG", transparency=clear.info["transparency"]), on_white),
        "clear.gif": (encoded(clear, "GIF", transparency=clear.info["transparency"]), on_white),
        "grey.png": (encoded(grey, "PNG"), [(v, v, v) for v in (87, 131, 62, 128)]),
        "grey.jpg": (encoded(grey, "JPEG"), [(v, v, v) for v in (87, 131, 62, 128)]),
        "bits.png": (encoded(dots, "PNG"), [(255,) * 3, (0,) * 3, (0,) * 3, (255,) * 3]),
        "grey-alpha.png": (encoded(grey.convert("LA"), "PNG"), [(v, v, v) for v in (87, 131, 62, 128)]),
        "rgb-key.png": (encoded(quarters(RED, GREEN, BLUE, (1, 2, 3)), "PNG", transparency=(1, 2, 3)), on_white),
        "rgba.webp": (encoded(image.convert("RGBA"), "WEBP", lossless=True), FOUR),
        "progressive.jpg": (encoded(image, "JPEG", progressive=True, quality=95, subsampling=0), FOUR),
        "interlaced.png": (encoded(image, "PNG", interlace=1), FOUR),
        "cmyk.jpg": (encoded(image.convert("CMYK"), "JPEG", quality=95), FOUR),
    }


@pytest.mark.parametrize("name", kinds())
def test_kinds(name):
    data, wanted = kinds()[name]
    assert near(seen(made(data)), wanted, 14), seen(made(data))


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP"])
def test_animations_give_their_first_frame(name):
    frames = [quarters(*FOUR), quarters(*FOUR[::-1]), quarters(*[GREY] * 4)]
    data = encoded(frames[0], name, save_all=True, append_images=frames[1:], duration=50,
                   **({"lossless": True} if name == "WEBP" else {}))  # fmt: skip
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 3
    assert near(seen(made(data)), FOUR, 12)


def profile(red, green, blue, gamma, space=b"RGB ", description=b"test"):
    """A minimal ICC v2 matrix profile from chromaticities already adapted to D50 (columns of XYZ)."""

    def number(value):
        return struct.pack(">i", round(value * 65536))

    def xyz(values):
        return b"XYZ \0\0\0\0" + b"".join(map(number, values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", len(description) + 1) + description + b"\0" * 79
    tags = {b"desc": text, b"wtpt": xyz((0.9642, 1.0, 0.8249)), b"rXYZ": xyz(red), b"gXYZ": xyz(green)}
    tags |= {b"bXYZ": xyz(blue), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve, b"cprt": b"text\0\0\0\0none\0\0\0\0"}
    at, index, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += b"\0" * (-len(data) % 4)
        index += name + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(">I", at + len(body)) + b"none\x02\x40\0\0mntr" + space + b"XYZ " + b"\0" * 12 + b"acsp"
    head = head.ljust(68, b"\0") + b"".join(map(number, (0.9642, 1.0, 0.8249)))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + index + body


# The colourants of Adobe RGB (1998), adapted to D50, and its gamma of 2.2.
ADOBE = profile((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457), 2.19921875)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_colour_profiles_are_converted_to_srgb(name):
    # Adobe RGB (0, 255, 0) lies outside sRGB: red and blue clip at 0. (128, 128, 128) is nearly the same grey.
    # (100, 150, 50) in Adobe RGB is about (57, 151, 36) in sRGB (computed by the matrices and transfer functions).
    image = quarters((100, 150, 50), (0, 255, 0), (128, 128, 128), (255, 255, 255))
    more = {"quality": 100, "subsampling": 0} if name == "JPEG" else {"lossless": True} if name == "WEBP" else {}
    found = seen(made(encoded(image, name, icc_profile=ADOBE, **more)))
    wanted = [expected_srgb(colour) for colour in ((100, 150, 50), (0, 255, 0), (128, 128, 128), (255, 255, 255))]
    assert near(found, wanted, 4), (found, wanted)
    assert near(seen(made(encoded(image, name, **more))), [(100, 150, 50), (0, 255, 0), (128,) * 3, (255,) * 3], 4)


def expected_srgb(colour):
    """Adobe RGB to sRGB by the definitions: gamma, matrix to XYZ (D65), matrix to linear sRGB, transfer function."""
    linear = (np.array(colour) / 255) ** (563 / 256)
    to_xyz = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    to_srgb = np.array([[3.24045, -1.53714, -0.49853], [-0.96927, 1.87601, 0.04156], [0.05564, -0.20403, 1.05723]])
    rgb = np.clip(to_srgb @ (to_xyz @ linear), 0, 1)
    return tuple(255 * np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize("bad", [b"x" * 200, ADOBE[:200], ADOBE.replace(b"RGB ", b"CMYK"), b""])
def test_a_profile_that_makes_no_sense_is_ignored(bad):
    assert near(seen(made(encoded(quarters(*FOUR), "PNG", icc_profile=bad))), FOUR)


def test_the_extension_does_not_matter_and_the_header_is_reported():
    done, header = build(encoded(picture(1, 90, 60), "PNG"), PNG, LIMITS)
    assert (header.format, header.width, header.height) == ("PNG", 90, 60)
    assert (done.width, done.height) == (64, 64)


@pytest.mark.parametrize(
    ("fit", "size", "wanted"),
    [
        ("squash", (400, 200), (64, 64)), ("crop", (400, 200), (64, 64)), ("pad", (400, 200), (64, 64)),
        ("short-side", (400, 200), (128, 64)), ("short-side", (200, 400), (64, 128)), ("crop", (40, 30), (64, 64)),
        ("pad", (201, 400), (64, 64)),
    ],
)  # fmt: skip
def test_fits(fit, size, wanted):
    array = made(encoded(quarters(*FOUR, size=size), "PNG"), PictureSettings(size=64, fit=fit, format="png"))
    assert (array.shape[1], array.shape[0]) == wanted
    if fit == "pad":
        assert np.all(array[0, 0] == 255) or size[1] > size[0]
        assert near([tuple(array[20, 20])], [RED], 60) or size[1] > size[0]
    else:
        assert near(seen(array), FOUR, 12)


def test_crop_takes_the_centre():
    image = Image.new("RGB", (300, 100), RED)
    image.paste(GREEN, (100, 0, 200, 100))
    array = made(encoded(image, "PNG"), PictureSettings(size=50, fit="crop", format="png"))
    assert near([tuple(array[25, x]) for x in (3, 25, 46)], [GREEN] * 3, 3)


@pytest.mark.parametrize("format_name", ["jpeg", "png", "webp"])
def test_formats(format_name):
    how = PictureSettings(size=64, format=format_name)
    one, _ = build(jpeg(3, 300, 200), how, LIMITS)
    two, _ = build(jpeg(3, 300, 200), how, LIMITS)
    assert one == two
    with Image.open(io.BytesIO(one.data)) as image:
        assert image.format == format_name.upper()
        assert not image.info.get("exif")
        assert not image.info.get("icc_profile")
        if format_name == "jpeg":
            assert image.layer[0][1:3] == (1, 1), "colour is not subsampled"
        exact = np.asarray(image.convert("RGB"), dtype=float)
    if format_name != "jpeg":
        assert np.array_equal(exact, made(jpeg(3, 300, 200)))


def test_reduced_decoding_costs_no_visible_quality():
    """Against full decoding and Lanczos, over pictures with detail; benchmarks/fetch.py measures more of them."""
    rng = np.random.default_rng(0)
    values = []
    for seed in range(6):
        noise = Image.fromarray(rng.integers(0, 256, (90, 130, 3), dtype=np.uint8)).resize((1040, 720))
        data = encoded(Image.blend(picture(seed, 1040, 720), noise, 0.25), quality=88)
        full = made(data, PictureSettings(size=128, format="png", oversample=64))
        reduced = made(data, PictureSettings(size=128, format="png"))
        error = np.mean((full - reduced) ** 2)
        assert error > 0, "nothing was reduced"
        values.append(10 * np.log10(255**2 / error))
    assert min(values) > 36, values
    assert np.mean(values) > 40, values


def test_perceptual_hash():
    def distance(one, other):
        return (int(phash(one), 16) ^ int(phash(other), 16)).bit_count()

    image = picture(5, 286, 286)
    again = Image.open(io.BytesIO(encoded(image.resize((200, 200)), quality=60)))
    assert distance(image, again) <= 6
    others = [distance(image, picture(seed, 286, 286)) for seed in range(20) if seed != 5]
    assert min(others) >= 14
    assert len(phash(Image.new("RGB", (50, 50)))) == 16


def scans(data, times):
    """A progressive JPEG whose last scan is repeated."""
    at = data.rfind(b"\xff\xda")
    return data[:at] + data[at:-2] * times + data[-2:]


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        (jpeg(1, 200, 150)[:-40], "truncated"),
        (jpeg(1, 200, 150)[:300], "damaged"),
        (encoded(picture(1, 200, 150), "PNG")[:-600], "truncated"),
        (encoded(picture(1, 200, 150), "WEBP")[:-200], "damaged"),
        (encoded(picture(1, 200, 150).quantize(), "GIF")[:2000], "truncated"),
        (b"\xff\xd8\xff\xe0", "damaged"),
        (b"GIF89a", "damaged"),
        (b"%PDF-1.4", "not-a-picture"),
        (encoded(picture(1), "BMP"), "not-a-picture"),
        (encoded(picture(1), "TIFF"), "not-a-picture"),
        (b"8BPS" + bytes(100), "not-a-picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not-a-picture"),
        (scans(encoded(picture(1, 3000, 3000), "JPEG", progressive=True), 200), "too-many-pixels"),
        (png(9000, 9000, 8, 2, []), "too-many-pixels"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(data, outcome):
    with quiet_decoders(LIMITS.max_pixels), pytest.raises(Fault) as fault:
        build(data, PNG, LIMITS)
    assert fault.value.name == outcome or (outcome == "damaged" and fault.value.name in ("truncated", "not-a-picture"))


def test_every_kind_over_the_network_under_lying_names(tmp_path):
    """The same kinds as above, served by a real host under names and types that lie, end to end into the split."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = quarters(*FOUR, size=(160, 120)).transpose(Image.Transpose.ROTATE_90)
    frames = [quarters(*FOUR[::-1]), quarters(*[GREY] * 4)]
    rgba = quarters(*FOUR).convert("RGBA")
    rgba.paste((0, 0, 0, 0), (64, 64, 128, 128))
    deep = png(64, 64, 16, 0, [struct.pack(">64H", *[40_000] * 64)] * 64)
    adobe = [expected_srgb(colour) for colour in FOUR]
    cases = {
        **{f"/{name}.JPG": case for name, case in kinds().items()},
        "/animated.jpg": (encoded(quarters(*FOUR), "GIF", save_all=True, append_images=frames, duration=50), FOUR),
        "/turned.png": (encoded(turned, "JPEG", exif=exif, quality=95), FOUR),
        "/alpha.jpeg": (encoded(rgba, "PNG"), (*FOUR[:3], (255, 255, 255))),
        "/deep.gif": (deep, [(40_000 // 257,) * 3] * 4),
        "/profile": (encoded(quarters(*FOUR), "PNG", icc_profile=ADOBE), adobe),
    }
    with Server() as server:
        for path, (data, _) in cases.items():
            server[path] = file(data, "text/html")
        write_selection(tmp_path, "all", [server.url(path) for path in cases], len(cases))
        fetch(Workspace(tmp_path), config=FetchSettings(PNG, LIMITS, allow_private=True))
    rows = pq.read_table(tmp_path / "splits" / "all" / "train-00000-of-00001.parquet").to_pylist()
    assert len(rows) == len(cases)
    for row, (path, (_, wanted)) in zip(rows, cases.items(), strict=True):
        with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (64, 64)), path
            found = seen(np.asarray(image, dtype=float))
        assert near(found, wanted, 14), (path, found, wanted)
    assert {row["original_format"] for row in rows} == {"PNG", "GIF", "JPEG", "WEBP"}


def test_text_bombs_in_png_chunks_stay_small():
    info = PngImagePlugin.PngInfo()
    info.add_text("bomb", "x" * 60_000_000, zip=True)
    data = encoded(picture(1), "PNG", pnginfo=info)
    assert len(data) < 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert made(data).shape == (64, 64, 3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000, "kilobytes"


def test_a_panorama_too_long_for_its_short_side_is_refused():
    thin = encoded(Image.new("RGB", (20_000, 10)), "PNG")
    with pytest.raises(Fault, match="would become 128,000 x 64"):
        build(thin, PictureSettings(size=64, fit="short-side"), LIMITS)
    assert made(thin).shape == (64, 64, 3)


def test_more_formats_on_request():
    limits = Limits(decoders=("BMP", "TIFF"), min_side=8)
    for name in ("BMP", "TIFF"):
        assert near(seen(made(encoded(quarters(*FOUR), name), limits=limits)), FOUR)
    with pytest.raises(Fault, match="not-a-picture"):
        build(jpeg(1), PNG, limits)
