"""Side information of picture files, read apart from the pixels.

PNG, JPEG and WebP files are taken apart into what the pixels need and what is said about them. A decoder is given the
former alone, so that a wrong checksum, a broken EXIF block or megabytes of text cannot cost the picture.
"""

from __future__ import annotations

import itertools
import re
import struct
import zlib
from dataclasses import dataclass, field

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST_PROFILE = 16_000_000
"""Bytes of a decompressed colour profile or text that are read at most."""
CANDIDATES = 64
"""Places at which the next chunk is looked for behind one with a wrong length."""
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_WEBP_PIXELS = re.compile(rb"VP8[ LX]|ALPH|ANIM|ANMF")
_WEBP_INFORMATION = (b"ICCP", b"EXIF", b"XMP ")
ALPHA, ANIMATED = 0x10, 0x02
"""Flags in the header of a WebP file."""
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']\s*|>\s*)([1-8])\b")
_XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
_ICC_HEAD = b"ICC_PROFILE\0"


@dataclass
class Separated:
    """A file in two parts."""

    data: bytes
    """The file as a decoder shall see it: without text, EXIF, XMP, colour profile and previews."""
    profile: bytes | None = None
    """The embedded ICC profile."""
    exif: list[bytes] = field(default_factory=list)
    """EXIF blocks (TIFF structures, with or without the leading `Exif\\0\\0`)."""
    xmp: list[bytes] = field(default_factory=list)

    @property
    def orientation(self) -> int:
        """1 to 8 as in EXIF; that of XMP where no EXIF block has one; 1 where neither has."""
        return orientation(self.exif, self.xmp)


def separate(data: bytes) -> Separated:
    """Take a PNG, JPEG or WebP file apart; other files come back as they are."""
    if data.startswith(PNG_SIGNATURE):
        return _separate_png(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _separate_jpeg(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _separate_webp(data)
    return Separated(data)


def orientation(exif: list[bytes], xmp: list[bytes]) -> int:
    """The orientation in EXIF blocks, else in XMP packets, 1 to 8; 1 where there is none or it cannot be read."""
    for block in exif:
        if value := _exif_orientation(block):
            return value
    for packet in xmp:
        if match := _XMP_ORIENTATION.search(packet):
            return int(match.group(1))
    return 1


def _exif_orientation(block: bytes) -> int | None:
    """Tag 0x0112 of the first image file directory, the only tag that is read."""
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    try:
        if order is None:
            return None
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", block, entry)
            if tag == 0x0112:
                (value,) = struct.unpack_from(f"{order}{'I' if kind == 4 else 'H'}", block, entry + 8)
                return value if 1 <= value <= 8 else None
    except struct.error:  # the block ends too early
        return None
    return None


def _separate_png(data: bytes) -> Separated:
    """Chunks that pixels need: PLTE for palettes only, tRNS where it fits the colour type.

    Ancillary chunks with a wrong checksum are ignored, as libpng does; where one has a wrong length, reading goes on at
    the next sound chunk. The header and a palette get the right checksum, whatever theirs is: whether the pixels fit
    them, the checksum of the pixels says.
    """
    view, chunks, at = memoryview(data), [data[:8]], 8
    separated = Separated(b"")
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if kind in _CRITICAL:
            if kind == b"IHDR" or (kind == b"PLTE" and data[25] == 3):
                chunks.append(data[at : end - 4] + struct.pack(">I", zlib.crc32(view[at + 4 : end - 4])))
            elif kind != b"PLTE":
                chunks.append(data[at:end])
            if kind == b"IEND":
                break
        elif _sound(view, at, end):
            if kind == b"tRNS" and _fits(length, data[25]):
                chunks.append(data[at:end])
            elif kind not in (b"fdAT", b"tRNS"):
                _png_information(kind, bytes(view[at + 8 : end - 4]), separated)
        elif not _chunk_name(data[end + 4 : end + 8]):
            end = _next_chunk(data, at + 8)
        at = end
    separated.data = b"".join(chunks)
    return separated


def without_stream_checksum(data: bytes) -> bytes | None:
    """A PNG file (of chunks that pixels need) without the Adler-32 that ends its zlib stream; None where the checksum
    of a chunk is wrong, too: its pixels are not sound."""
    view, chunks, body, at = memoryview(data), [data[:8]], b"", 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if not _sound(view, at, end):
            return None
        if kind == b"IDAT":
            body += data[at + 8 : end - 4]
        elif kind != b"IEND":
            chunks.append(data[at:end])
        at = end
    if len(body) <= 4:
        return None
    return b"".join([*chunks, struct.pack(">I", len(body) - 4), b"IDAT", body[:-4], bytes(4)])


def _fits(length: int, colour_type: int) -> bool:
    """Whether a tRNS chunk of that length makes sense: grey has one 16-bit key, RGB three, a palette up to 256."""
    return length == {0: 2, 2: 6}.get(colour_type) or (colour_type == 3 and 1 <= length <= 256)


def _sound(view: memoryview, at: int, end: int) -> bool:
    """Whether the chunk at `at` is complete and has the right checksum."""
    return end <= len(view) and zlib.crc32(view[at + 4 : end - 4]) == int.from_bytes(view[end - 4 : end], "big")


def _chunk_name(name: bytes) -> bool:
    return len(name) == 4 and name.isalpha() and name.isascii()


def _next_chunk(data: bytes, start: int) -> int:
    """The offset of the next sound chunk that pixels need; the end of the file where there is none."""
    view, places = memoryview(data), re.compile(rb"IHDR|PLTE|tRNS|IDAT|IEND")
    for match in itertools.islice(places.finditer(data, start + 4), CANDIDATES):
        at = match.start() - 4
        if _sound(view, at, at + 12 + int.from_bytes(view[at : at + 4], "big")):
            return at
    return len(data)


def _png_information(kind: bytes, body: bytes, separated: Separated) -> None:
    """Keep the profile, EXIF and XMP of an ancillary chunk."""
    name, _, rest = body.partition(b"\0")
    if kind == b"eXIf":
        separated.exif.append(body)
    elif kind == b"iCCP":
        separated.profile = separated.profile or _inflated(rest[1:])
    elif kind == b"iTXt" and name == b"XML:com.adobe.xmp":
        text = rest[2:].split(b"\0", 2)[-1]
        separated.xmp.append(_inflated(text) if rest[:1] == b"\1" else text)
    elif kind in (b"zTXt", b"tEXt") and name in (b"Raw profile type exif", b"Raw profile type APP1"):
        # ImageMagick: a line feed, the name, the length, then the bytes in hexadecimal digits.
        lines = (_inflated(rest[1:]) if kind == b"zTXt" else rest).split(b"\n")
        try:
            separated.exif.append(bytes.fromhex(b"".join(lines[3:]).decode("ascii")))
        except ValueError:
            return


def _inflated(packed: bytes) -> bytes:
    """At most LARGEST_PROFILE bytes of a zlib stream; b"" if it is none."""
    try:
        return zlib.decompressobj().decompress(packed, LARGEST_PROFILE)
    except zlib.error:
        return b""


def _separate_jpeg(data: bytes) -> Separated:
    """All segments but application data and comments; of these, JFIF and Adobe headers, which name the colour space."""
    segments, at = [b"\xff\xd8"], 2
    separated, parts = Separated(b""), []
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (0xDA, 0xD9):
        marker = data[at + 1]
        if marker == 0xFF or marker <= 0x01 or 0xD0 <= marker <= 0xD8:  # padding, or markers without a length
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : end]
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            segments.append(data[at:end])
        elif data[end : end + 1] != b"\xff" or b"\xff\xd8" in data[end - 2 : end + 2]:  # a wrong length
            end = _next_tables(data, at + 4)
            if end < 0:
                break
        elif _colour_header(marker, body):
            segments.append(data[at:end])
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            separated.exif.append(body)
        elif marker == 0xE1 and body.startswith(_XMP_HEAD):
            separated.xmp.append(body[len(_XMP_HEAD) :])
        elif marker == 0xE2 and body.startswith(_ICC_HEAD):
            parts.append(body)
        at = end
    segments.append(data[at:])
    parts.sort()  # by their sequence numbers
    if parts and len(parts[0]) > 13 and parts[0][13] == len(parts):
        separated.profile = b"".join(part[14:] for part in parts)
    separated.data = b"".join(segments)
    return separated


def _next_tables(data: bytes, start: int) -> int:
    """The offset of the next quantisation tables that are not those of a preview, a JPEG file within; -1 if none."""
    tables = data.find(b"\xff\xdb\0", start)
    while (preview := data.find(b"\xff\xd8\xff", start, max(tables, 0))) >= 0:
        start = data.find(b"\xff\xd9", preview) + 2
        behind = data.find(b"\xff\xdb\0", start)
        if start < 2 or behind < 0:  # no whole preview
            break
        tables = behind
    return tables


def _colour_header(marker: int, body: bytes) -> bool:
    return (marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14) or (
        marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12
    )


def _separate_webp(data: bytes) -> Separated:
    """The chunks that the first frame needs, and a header (VP8X) that announces these and no others."""
    separated, kept, at = Separated(b""), list[bytes](), 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + length % 2
        body = data[at + 8 : at + 8 + length]
        if _WEBP_PIXELS.match(kind):
            if kind != b"ANMF" or not any(chunk.startswith(kind) for chunk in kept):
                kept.append(data[at:end])
        elif not (_WEBP_PIXELS.match(data, end) or data[end : end + 4] in (*_WEBP_INFORMATION, b"")):
            behind = _WEBP_PIXELS.search(data, at + 8)  # a wrong length, or a chunk that nobody knows
            end = behind.start() if behind else len(data)
        if kind == b"ICCP":
            separated.profile = body
        elif kind == b"EXIF":
            separated.exif.append(body)
        elif kind == b"XMP ":
            separated.xmp.append(body)
        at = end
    chunks = b"".join(_webp_header(kept))
    separated.data = b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks
    return separated


def _webp_header(chunks: list[bytes]) -> list[bytes]:
    """Chunks of a WebP file with the header that they need, whatever theirs says.

    A still picture needs one only for an alpha channel beside its lossy pixels; then the canvas is the picture.
    """
    by_kind = {chunk[:4]: chunk for chunk in chunks}
    still, lossy, header = b"ANMF" not in by_kind, by_kind.get(b"VP8 ", b""), by_kind.pop(b"VP8X", b"")
    pixels = [chunk for chunk in chunks if chunk[:4] != b"VP8X" and still == (chunk[:4] not in (b"ANIM", b"ANMF"))]
    sides = [side & 0x3FFF for side in struct.unpack_from("<HH", lossy.ljust(18, b"\0"), 14)]
    if still and (b"ALPH" not in by_kind or 0 in sides):
        return pixels
    if still:
        width, height = sides
        flags, canvas = ALPHA, (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    else:
        flags, canvas = ANIMATED | (header[8] & ALPHA if len(header) > 8 else 0), header[12:18]
        if b"ANIM" not in by_kind:
            pixels.insert(0, b"ANIM" + struct.pack("<I", 6) + bytes(6))
    return [b"VP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + canvas, *pixels]


def with_jpeg_end(data: bytes, padding: bytes = b"") -> bytes:
    """A JPEG file with `padding` and an end marker in place of the zeros or the half marker it ends with."""
    body = data.rstrip(b"\0")
    if body.endswith(b"\xff"):
        # ff 00 is a data byte of 255; ff alone is half of a marker.
        body = body + b"\0" if len(body) < len(data) else body[:-1]
    return body + padding + b"\xff\xd9"


def has_all_scans(data: bytes) -> bool:
    """Whether the scans of a JPEG file bring every coefficient of every component to full precision.

    Each start-of-scan header (ITU-T T.81, B.2.3) names its components, the range of coefficients Ss .. Se and the
    lowest bit Al that it delivers; a sequential file delivers all at once.
    """
    lowest: dict[int, list[int]] = {}
    frame = re.search(rb"\xff[\xc0-\xc2\xc9\xca]..(?:.{5})(.)", data, re.DOTALL)
    for match in re.finditer(rb"\xff\xda..", data, re.DOTALL):
        at = match.end()
        count = data[at] if at < len(data) else 0
        head = data[at + 1 : at + 4 + 2 * count]
        if len(head) < 3 + 2 * count:
            return False
        first, last, precision = head[-3:]
        for component in head[: 2 * count : 2]:
            bits = lowest.setdefault(component, [16] * 64)
            bits[first : last + 1] = [precision & 15] * len(bits[first : last + 1])
    return frame is not None and len(lowest) == frame.group(1)[0] and not any(map(any, lowest.values()))
