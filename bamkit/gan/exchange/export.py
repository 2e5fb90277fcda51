"""Trained networks for other programs, and other programs' networks for us.

Out: `cyclegan` (the public implementation's files), `onnx`, `safetensors` (weights under the public names),
`torchscript`, and `web`, a page that runs the ONNX networks. All take and give float32 [N, 3, H, W] in -1 .. 1, RGB, H
and W multiples of `multiple`. Generators that have strengths take one more, float32 [1] in 0 .. 1, for all pictures of
the batch.
In: `load_public` reads one file of the public layout; `import_public` makes a run of two.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from bamkit.common.errors import BamkitError
from bamkit.common.provenance import canonical, digest, versions
from bamkit.common.workspace import Workspace, atomic_path, checked_name, write_text
from bamkit.gan.exchange.web import folder as web
from bamkit.gan.train import checkpoint
from bamkit.gan.train.methods.terms import METHODS
from bamkit.gan.train.networks import cyclegan, public_layout
from bamkit.gan.train.networks.affine import AffineGenerator
from bamkit.gan.translate.generator import has_strength, weights_id

FORMATS = ("cyclegan", "onnx", "safetensors", "torchscript", "web")
CARD, MODEL_CARD = "bamkit-export.json", "README.md"
STRENGTH = "float32 [1], 0 (near the picture itself) .. 1 (the whole way)"
"""The second input of generators that have strengths."""
Writer = Callable[[Path], None]
"""Writes one file to the (temporary) path it is given."""

load_public = public_layout.read
"""The network in a .pth or .safetensors file of the public layout (see public_layout.read)."""


@dataclass
class Exported:
    """What an export wrote."""

    output: Path
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Named:
    """A network with all that its file should say about it."""

    network: cyclegan.Generator
    direction: str
    letter: str
    """`A` for the generator A -> B and its opponent, `B` for the other way."""
    about: dict[str, Any]


def export_run(
    run: Path,
    to: str,
    output: Path,
    *,
    which: str = "best-or-last",
    direction: str | None = None,
    old: bool = False,
    dropout: bool = False,
    force: bool = False,
    runtime: Path | None = None,
) -> Exported:
    """Write a run's generators (for `cyclegan` also its discriminators, if the checkpoint has them) to `output`.

    With `direction` only that generator is written, for `cyclegan` as `latest_net_G.pth`, the name of a one-way model.
    `old` adds the running statistics that files from before torch 0.4 hold, `dropout` numbers the residual blocks as in
    networks with dropout; `runtime` is onnxruntime-web's .tgz for `web`, which is fetched without it. Raises
    BamkitError for an unknown direction or format, a missing package, files in the way.
    """
    generators = checkpoint.load_generators(run, which, "cpu")
    known = generators.directions()
    if direction is not None and direction not in known:
        raise BamkitError(f"this run has no direction {direction!r}", f"--direction {' or '.join(known)}")
    about = {
        "run": run.name, "run_id": generators.run_id, "checkpoint": generators.checkpoint_name, "step": generators.step,
    }  # fmt: skip
    chosen = [
        Named(network, name, letter, {**about, "direction": name})
        for (name, network), letter in zip(known.items(), "AB", strict=True)
        if direction in (None, name)
    ]
    discriminators = _discriminators(run, generators) if to == "cyclegan" and direction is None else {}
    if to == "web":
        method = METHODS[generators.config.method].title
        writers = _page(chosen, generators.config.size, runtime, method=method, card=True)
    else:
        writers = _writers(chosen, discriminators, to, old, dropout, direction is not None)
    exported = _write(writers, chosen, to, output, force, with_card=True)
    exported.notes = [*generators.notes, *exported.notes, *_write_card(run, generators, chosen, to, exported)]
    return exported


def _write_card(
    run: Path, generators: checkpoint.Generators, chosen: list[Named], to: str, exported: Exported
) -> list[str]:
    """README.md, the model card, where the packages that make pages are installed; a note where they are not."""
    if not all(importlib.util.find_spec(package) for package in ("jinja2", "pandas")):
        return ["no model card was written: it takes jinja2 and pandas"]
    from bamkit.gan.exchange.model_card import model_card

    weights = {named.direction: weights_id(named.network) for named in chosen}
    about = {**checkpoint.read_run(run), "name": run.name}
    # run lies in runs/ of its workspace, beside the evaluation and the splits.
    text = model_card(Workspace(run.parent.parent), about, generators, weights, to, exported.files)
    write_text(exported.output / MODEL_CARD, text)
    exported.files.append(exported.output / MODEL_CARD)
    return []


def export_weights(
    path: Path,
    to: str,
    output: Path,
    *,
    old: bool = False,
    dropout: bool = False,
    force: bool = False,
    runtime: Path | None = None,
) -> Exported:
    """The same for one generator in a file of the public layout, such as a published `latest_net_G.pth`."""
    network = public_layout.read_generator(path)
    named = Named(network, path.stem, "A", {"run": path.name, "direction": path.stem})
    if to == "web":
        about = {**named.about, "run_id": weights_id(network), "checkpoint": path.stem}
        writers = _page([replace(named, about=about)], 0, runtime, card=False)
    else:
        writers = _writers([named], {}, to, old, dropout, alone=True)
    return _write(writers, [named], to, output, force)


def _discriminators(run: Path, generators: checkpoint.Generators) -> dict[str, nn.Module]:
    """{"A": D_A, "B": D_B} of the checkpoint that `generators` came from; {} where it holds none."""
    state = checkpoint.read(run / checkpoint.FOLDER / f"{generators.checkpoint_name}.pt")
    networks: dict[str, nn.Module] = {}
    for name, weights in (state.get("discriminators") or {}).items():
        network = cyclegan.discriminator(generators.config)
        checkpoint.load_weights(network, weights, f"{generators.checkpoint_name} ({name})")
        networks[name.removeprefix("D_")] = network.eval()
    return networks


def _writers(
    chosen: list[Named], discriminators: dict[str, nn.Module], to: str, old: bool, dropout: bool, alone: bool
) -> dict[str, Writer]:
    """File name -> what writes it, of every format but `web`."""
    if to not in FORMATS:
        raise BamkitError(f"a run cannot be exported to {to!r}", f"--to {', '.join(FORMATS)}")
    if to == "cyclegan" and any(isinstance(named.network, AffineGenerator) for named in chosen):
        raise BamkitError(
            "the public CycleGAN code has no affine generator, so that its format cannot hold this run",
            "--to safetensors, onnx or torchscript; or train with --generator unet",
        )
    if to == "cyclegan" and any(has_strength(named.network) for named in chosen):
        raise BamkitError(
            "the public CycleGAN code's generators have no strength, so that its format cannot hold this run",
            "--to safetensors, onnx or torchscript; or train with --method cyclegan",
        )
    writers: dict[str, Writer] = {}
    for named in chosen:
        if to == "cyclegan":
            name = "latest_net_G.pth" if alone else f"latest_net_G_{named.letter}.pth"
            writers[name] = _pth(named.network, old, dropout)
        else:
            suffix, writer = _FORMATS[to]
            writers[f"{named.direction}.{suffix}"] = writer(named)
    for letter, network in discriminators.items():
        writers[f"latest_net_D_{letter}.pth"] = _pth(network, old, dropout)
    return writers


def _page(
    chosen: list[Named], trained: int, runtime: Path | None, *, card: bool, method: str = "CycleGAN"
) -> dict[str, Writer]:
    """File name -> what writes it, of a page that translates in the browser."""
    networks = [
        web.Network(
            named.direction, weights_id(named.network), named.network.multiple,
            public_layout.config_of(named.network).width, _onnx(named),
        )
        for named in chosen
    ]  # fmt: skip
    return web.writers(networks, {**chosen[0].about, "method": method}, trained, card, runtime)


def _write(
    writers: dict[str, Writer], chosen: list[Named], to: str, output: Path, force: bool, with_card: bool = False
) -> Exported:
    if output.exists() and not output.is_dir():
        raise BamkitError(f"{output} is a file: an export goes into a folder", "--output DIR")
    files = {output / name: write for name, write in writers.items()}
    card = output / CARD
    cards = [card, output / MODEL_CARD] if with_card else [card]
    taken = [path for path in [*files, *cards] if path.exists()]
    if taken and not force:
        raise BamkitError(f"{taken[0]} is already there", "give --force to replace it, or another --output")
    for path, write in files.items():
        with atomic_path(path) as temporary:
            write(temporary)
    write_text(card, json.dumps(_card(chosen, to), indent=2, ensure_ascii=False) + "\n")
    return Exported(output, list(files))


def _card(chosen: list[Named], to: str) -> dict[str, Any]:
    return {
        "format": to,
        "input": "float32 [N, 3, H, W], RGB, -1 .. 1 (pixel / 127.5 - 1)",
        "output": "the same shape and range",
        "multiple": chosen[0].network.multiple,
        **({"strength": STRENGTH} if has_strength(chosen[0].network) else {}),
        "networks": {named.direction: {**named.about, "weights": weights_id(named.network)} for named in chosen},
        "versions": versions(("torch",)),
    }


def _pth(network: nn.Module, old: bool, dropout: bool) -> Writer:
    def write(path: Path) -> None:
        # Not by name: torch puts that into the archive, and covers the reason why a file cannot be written.
        buffer = io.BytesIO()
        torch.save(public_layout.weights(network, dropout=dropout, statistics=old), buffer)
        path.write_bytes(buffer.getvalue())

    return write


def _safetensors(named: Named) -> Writer:
    layout = "bamkit affine" if isinstance(named.network, AffineGenerator) else "public CycleGAN"
    layout += " with strength" if has_strength(named.network) else ""
    about = {"bamkit": canonical(named.about), "layout": layout}
    return lambda path: public_layout.save_safetensors(public_layout.weights(named.network), path, about)


def _torchscript(named: Named) -> Writer:
    def write(path: Path) -> None:
        network, side = named.network.cpu().float().eval(), example_side(named.network)
        example = (torch.zeros(1, 3, side, side), *_example_strength(network))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch deprecates TorchScript; people still deploy it
            script = torch.jit.trace(network, example, check_trace=False)
            buffer = io.BytesIO()  # not by name, as above
            torch.jit.save(torch.jit.freeze(script), buffer, _extra_files={"bamkit.json": canonical(named.about)})
        path.write_bytes(buffer.getvalue())

    return write


def _onnx(named: Named) -> Writer:
    def write(path: Path) -> None:
        try:
            import onnx
            import onnxscript  # noqa: F401  (torch's exporter needs it)
        except ImportError as error:
            raise BamkitError(
                "ONNX files need the onnx and onnxscript packages", "pip install 'bamkit[onnx]'"
            ) from error
        network, multiple = named.network.cpu().float().eval(), named.network.multiple
        side = example_side(network)
        batch, rows, columns = (torch.export.Dim(name, max=10_000) for name in ("batch", "rows", "columns"))
        shapes: dict[str, Any] = {"x": {0: batch, 2: multiple * rows, 3: multiple * columns}}
        strength = _example_strength(network)
        shapes |= {"strength": None} if strength else {}
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # the exporter prints
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (torch.zeros(2, 3, side, side + multiple), *strength),
                dynamo=True,
                dynamic_shapes=shapes,
                input_names=["picture", "strength"][: 1 + len(strength)],
                output_names=["translated"],
                verbose=False,
            )
        model = cast("torch.onnx.ONNXProgram", program).model_proto
        about = {"bamkit": canonical(named.about), "multiple": str(multiple), "range": "-1..1"}
        about |= {"strength": "0..1"} if strength else {}
        for key, value in about.items():
            field = model.metadata_props.add()
            field.key, field.value = key, value
        onnx.checker.check_model(model)
        onnx.save_model(model, str(path), format="protobuf")

    return write


_FORMATS: dict[str, tuple[str, Callable[[Named], Writer]]] = {
    "onnx": ("onnx", _onnx),
    "safetensors": ("safetensors", _safetensors),
    "torchscript": ("pt", _torchscript),
}
"""Ending and writer of each format with one file a network."""


def _example_strength(network: nn.Module) -> tuple[torch.Tensor, ...]:
    """The inputs beside the picture: (a strength,) or ()."""
    return (torch.ones(1),) if has_strength(network) else ()


def example_side(network: cyclegan.Generator) -> int:
    """A side for an example input that the network takes."""
    return network.multiple * max(2, -(-40 // network.multiple))


def import_public(paths: list[Path], run: Path, names: tuple[str, str] = ("A", "B"), force: bool = False) -> Path:
    """Make a run of the public implementation's `latest_net_G_A.pth` and `latest_net_G_B.pth`, and return its folder.

    `paths` are the two files, or one folder that holds them; `names` are domain A and domain B. The run can be
    translated with and evaluated; it cannot be resumed, since the files hold no optimizer. Raises BamkitError if a
    generator is missing, the two differ in architecture, or the run is there already.
    """
    files = [file for path in paths for file in (path.iterdir() if path.is_dir() else [path])]
    by_letter = public_layout.one_way(files)
    if set(by_letter) != {"A", "B"}:
        have = ", ".join(path.name for path in by_letter.values()) or "none"
        raise BamkitError(
            f"a run needs latest_net_G_A.pth and latest_net_G_B.pth; found {have}",
            "one generator alone: bamkit translate --weights FILE --input PICTURES --output DIR",
        )
    pair = {letter: public_layout.read_generator(path) for letter, path in by_letter.items()}
    configs = [public_layout.config_of(pair[letter]) for letter in "AB"]
    if configs[0] != configs[1]:
        raise BamkitError(f"{by_letter['A'].name} and {by_letter['B'].name} are networks of different sizes")
    if (run / "run.json").exists() and not force:
        raise BamkitError(f"{run} is already there", "give --force to replace it, or another --name")
    ids = {letter: weights_id(network) for letter, network in pair.items()}
    about = {
        "run_id": digest({"imported": ids}),
        "name": checked_name(run.name),
        "config": configs[0].as_dict(),
        "from": {"name": checked_name(names[0])},
        "to": {"name": checked_name(names[1])},
        "device": "",
        "versions": versions(),
        "imported": {letter: {"file": path.name, "weights": ids[letter]} for letter, path in by_letter.items()},
    }
    state = {
        "generators": {"a_to_b": pair["A"].state_dict(), "b_to_a": pair["B"].state_dict()},
        "config": configs[0].as_dict(),
        "names": list(names),
        "run_id": about["run_id"],
        "step": 0,
    }
    for old in (run / checkpoint.FOLDER).glob("*.pt"):
        old.unlink()
    checkpoint.write(checkpoint.path_of(run, 0), state)
    write_text(run / "run.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    return run
