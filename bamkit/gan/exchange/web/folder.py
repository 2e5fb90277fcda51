"""The files of a page that translates in the browser. It works from a disk and from any server, and asks for nothing.

A page opened from a disk may load scripts that lie beside it, and no other files. So the networks and the runtime are
scripts that hold them in base64, and the page's Content-Security-Policy allows no request at all (`connect-src` is not
named, `default-src` is 'none').
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import bamkit
from bamkit.common.pages.rendering import TEMPLATES
from bamkit.common.pictures.generated import TERM, xmp_packet
from bamkit.gan.exchange.web import runtime
from bamkit.gan.translate.tiling import untiled_bytes

HERE = Path(__file__).parent
RUNTIME_FILE, LICENCE = "onnxruntime-web.js", "LICENSE-onnxruntime-web.txt"
MEMORY = 2_000_000_000
"""Bytes that one translation may take: a page's WebAssembly has 4 GB at most, and phones give it less."""

Writer = Callable[[Path], None]
"""Writes one file to the (temporary) path it is given."""


@dataclass(frozen=True)
class Network:
    """One direction of a page."""

    direction: str
    weights: str
    """Their hash: names the network in saved pictures, and ties its file to the page."""
    multiple: int
    width: int
    """Channels of the outermost layer: they decide how large a picture may be."""
    write_onnx: Writer


def writers(
    networks: Sequence[Network],
    about: Mapping[str, Any],
    trained: int,
    card: bool,
    given: Path | None,
) -> dict[str, Writer]:
    """File name -> what writes it, in the order in which they are to be written: the page comes last.

    `about`: run and, where they are known, run_id, checkpoint and method (its title). `trained`: the side of training
    pictures, 0 where it is not known. `card`: whether there will be a model card. `given`: the .tgz of
    onnxruntime-web, else it is fetched.
    """
    inputs: dict[str, list[str]] = {}  # filled as the networks are written
    files: dict[str, Writer] = {RUNTIME_FILE: lambda path: _write_runtime(path, given)}
    files |= {f"{network.direction}.onnx.js": _network_writer(network, inputs) for network in networks}
    texts = {
        "page.css": (TEMPLATES / "page.css").read_text(encoding="utf-8") + _source("page.css"),
        "page.js": _source("page.js"),
        LICENCE: _filled(_source(LICENCE), VERSION=runtime.ONNXRUNTIME_WEB.version),
    }
    files |= {name: partial(_write_text, text) for name, text in texts.items()}
    return files | {"index.html": lambda path: _write_text(_page(networks, about, trained, card, inputs), path)}


def most_pixels(width: int) -> int:
    """How many pixels a page translates at once, for networks with so many outer channels.

    Measured in Chromium: a pixel takes 336 bytes of WebAssembly's memory with a ResNet of 16 channels, 1.5 times
    `untiled_bytes`, and 124 with an affine generator of 16; the rest is for the copies outside of it.
    """
    return int(MEMORY // (1.5 * untiled_bytes(1, 1, width) + 100))


def _write_runtime(path: Path, given: Path | None) -> None:
    script, wasm = (
        base64.b64encode(gzip.compress(data, mtime=0)).decode() for data in runtime.files_of(runtime.obtain(given))
    )
    content = json.dumps({"script": script, "wasm": wasm})
    version = json.dumps(runtime.ONNXRUNTIME_WEB.version)
    path.write_text(f'bamkit.part("onnxruntime-web", {version}, {content});\n', encoding="utf-8")


def _network_writer(network: Network, inputs: dict[str, list[str]]) -> Writer:
    def write(path: Path) -> None:
        import onnx

        network.write_onnx(path)
        model = path.read_bytes()
        inputs[network.direction] = [one.name for one in onnx.load_model_from_string(model).graph.input]
        name, weights = json.dumps(network.direction), json.dumps(network.weights)
        text = base64.b64encode(model).decode()
        path.write_text(f'bamkit.part({name}, {weights}, "{text}");\n', encoding="utf-8")

    return write


def _write_text(text: str, path: Path) -> None:
    path.write_bytes(text.encode())


def _page(
    networks: Sequence[Network], about: Mapping[str, Any], trained: int, card: bool, inputs: Mapping[str, list[str]]
) -> str:
    run, run_id, checkpoint = (str(about.get(key, "")) for key in ("run", "run_id", "checkpoint"))
    mark = xmp_packet(run, run_id, checkpoint, str(about.get("method", "CycleGAN")))
    multiple, directions = networks[0].multiple, " and ".join(_words(network.direction) for network in networks)
    limit = most_pixels(networks[0].width)
    data = {
        "run": run,
        "directions": [
            {
                "name": network.direction,
                "weights": network.weights,
                "strength": "strength" in inputs[network.direction],
                "origin": {"direction": network.direction, "weights": network.weights},
            }
            for network in networks
        ],
        "origin": {
            **{"kind": "translation", "run": run, "run_id": run_id, "checkpoint": checkpoint},
            "digital_source_type": TERM,
        },
        **{"trained": trained, "multiple": multiple, "least": max(multiple, 8), "limit": limit},
        **{"mark": mark, "software": f"bamkit {bamkit.__version__}"},
        "runtime": runtime.ONNXRUNTIME_WEB.version,
    }
    of = f"run {run}" + (f", checkpoint {checkpoint}" if checkpoint else "")
    more = (
        ' What they learned from, how well they do and where they fail: <a href="README.md">the model card</a>.'
        if card
        else ""
    )
    return _filled(
        _source("page.html"),
        TITLE=html.escape(f"{run}: pictures translated in the browser"),
        SUMMARY=html.escape(f"Translates pictures {directions}, on this device."),
        WHAT=f"Networks of {html.escape(of)}, for {html.escape(directions)}.{more}",
        LIMIT=f"Pictures of over {limit / 1e6:.1f} megapixels are shrunk to that; bamkit translate takes any size.",
        RUNTIME=runtime.ONNXRUNTIME_WEB.version,
        ABOUT=json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
        WORK=_source("worker.js") + _source("pixels.js"),
    )


def _words(direction: str) -> str:
    return direction.replace("-", " ")


def _source(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _filled(template: str, **values: str) -> str:
    """The template with each @NAME@ replaced, once: what was put in is not looked at again."""
    return re.sub(r"@([A-Z]+)@", lambda found: values[found[1]], template)
