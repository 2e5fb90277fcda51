"""What a picture that a network made says about itself: IPTC's digital source type and the system, as XMP.

The term is the one that the vocabulary (cv.iptc.org/newscodes/digitalsourcetype) has for existing media that a
generative model altered. `trainedAlgorithmicMedia` stands for media that such a model created; a translation always
starts from a picture that was there, and keeps what it shows.
"""

from __future__ import annotations

import re
from typing import Any
from xml.sax.saxutils import escape

import bamkit
from bamkit.common.workspace import readable

TERM = "compositeWithTrainedAlgorithmicMedia"
DIGITAL_SOURCE_TYPE = f"http://cv.iptc.org/newscodes/digitalsourcetype/{TERM}"
PNG_KEYWORD = "XML:com.adobe.xmp"
"""The keyword of the iTXt chunk that holds XMP in a PNG file (XMP specification, part 3)."""
_TIFF_XMP = 700
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
<Iptc4xmpExt:DigitalSourceType>{source_type}</Iptc4xmpExt:DigitalSourceType>
<Iptc4xmpExt:AISystemUsed>{system}</Iptc4xmpExt:AISystemUsed>
<Iptc4xmpExt:AISystemVersionUsed>{version}</Iptc4xmpExt:AISystemVersionUsed>
<xmp:CreatorTool>{tool}</xmp:CreatorTool>
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def xmp_packet(run: str, run_id: str, checkpoint: str = "", method: str = "CycleGAN") -> str:
    """The XMP packet of a picture that a run of a method made. Same input, same text.

    Source: IPTC Photo Metadata Standard 2025.1.
    """
    return _PACKET.format(
        source_type=DIGITAL_SOURCE_TYPE,
        system=_text(f"bamkit {method}, run {run}"),
        version=_text(", ".join(filter(None, (run_id, checkpoint)))),
        tool=_text(f"bamkit {bamkit.__version__}"),
    )


def _text(value: str) -> str:
    """As XML can hold it: no control characters, markup escaped."""
    return escape(re.sub(r"[\x00-\x1f\x7f\ufffe\uffff]", " ", readable(value)))


def png_information(packet: str = "", **texts: str) -> Any:
    """The text chunks of a PNG file as Pillow takes them (`pnginfo`): `texts` in order, then the packet, if any."""
    from PIL import PngImagePlugin

    info = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    if packet:
        info.add_itxt(PNG_KEYWORD, packet)
    return info


def save_options(kind: str, packet: str) -> dict[str, Any] | None:
    """How Pillow is told to write the packet into a file of this format; None where that format holds none."""
    data = packet.encode()
    options: dict[str, dict[str, Any]] = {
        "PNG": {"pnginfo": png_information(packet)},
        "JPEG": {"xmp": data},
        "WEBP": {"xmp": data},
        "AVIF": {"xmp": data},
        "TIFF": {"tiffinfo": {_TIFF_XMP: data}},
    }
    return options.get(kind)
