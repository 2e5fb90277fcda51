"""The names and layout under which the public CycleGAN implementation saves its networks.

G_A goes A -> B and G_B goes B -> A; D_A is shown domain B and D_B domain A. A one-way model is published as
`latest_net_G.pth`. A file may carry running statistics of its instance norms (written before torch 0.4, never used), a
`module.` prefix (saved from DataParallel), or the other numbering of networks built with dropout. All are read.

The affine generator has no place in that layout. Its weights keep bamkit's names, by which they are read again; so do
those that condition a generator on a strength.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from bamkit.common.errors import BamkitError
from bamkit.gan.train.networks.affine import AffineGenerator, ConditionalAffineGenerator
from bamkit.gan.train.networks.cyclegan import (
    Conditional,
    ConditionalResnetGenerator,
    Convolution,
    Generator,
    PatchDiscriminator,
    ResnetGenerator,
    UnetGenerator,
    convolutions,
)
from bamkit.gan.train.settings import TrainConfig

Weights = dict[str, Tensor]
"""A network's weights under the public implementation's names."""
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def names(network: nn.Module, dropout: bool = False) -> list[tuple[str, str]]:
    """(bamkit's name, public name) of every convolution. `dropout` shifts the second one of every residual block.

    The affine generator's names are bamkit's in both places.
    """
    if isinstance(network, ResnetGenerator):
        count = len(network.blocks)
        inner = [
            (f"blocks.{i}.{ours}", f"model.{10 + i}.conv_block.{theirs}")
            for i in range(count)
            for ours, theirs in (("first", 1), ("second", 6 if dropout else 5))
        ]
        head = [("stem", "model.1"), ("down.0", "model.4"), ("down.1", "model.7")]
        tail = [("up.0", f"model.{10 + count}"), ("up.1", f"model.{13 + count}"), ("head", f"model.{17 + count}")]
        return head + inner + tail + [(name, name) for name, _ in convolutions(network) if name.startswith("turns.")]
    if isinstance(network, AffineGenerator):
        return [(name, name) for name, _ in convolutions(network)]
    if isinstance(network, UnetGenerator):
        pairs = enumerate(unet_names(len(network.down)))
        return [(f"{way}.{level}", pair[i]) for level, pair in pairs for i, way in enumerate(("down", "up"))]
    if isinstance(network, PatchDiscriminator):
        middle = [(f"middle.{i}", f"model.{2 + 3 * i}") for i in range(len(network.middle))]
        return [("first", "model.0"), *middle, ("last", f"model.{2 + 3 * len(middle)}")]
    raise TypeError(f"no public layout for {type(network).__name__}")


def unet_names(depth: int) -> list[tuple[str, str]]:
    """Public names of a U-Net's (down, up) convolutions from the outermost level to the innermost."""
    names, prefix = [("model.model.0", "model.model.3")], "model.model.1"
    for level in range(1, depth):
        names.append((f"{prefix}.model.1", f"{prefix}.model.{3 if level == depth - 1 else 5}"))
        prefix += ".model.3"
    return names


def normed(network: nn.Module, ours: str) -> bool:
    """Whether an instance norm follows this convolution, so that its bias changes nothing."""
    return network.get_submodule(ours).bias is None


def weights(network: nn.Module, dropout: bool = False, statistics: bool = False, prefix: str = "") -> Weights:
    """The network's weights (float32, on the CPU) under public names, with zeros for biases that a norm cancels.

    `statistics` adds the running statistics that files from before torch 0.4 hold (mean 0, variance 1; no code uses
    them); `prefix` is put before every name, such as `module.`.
    """
    tensors: Weights = OrderedDict()
    for ours, theirs in names(network, dropout):
        conv = cast("Convolution", network.get_submodule(ours))
        channels = conv.out_channels
        tensors[f"{prefix}{theirs}.weight"] = conv.weight.detach().float().cpu().contiguous().clone()
        bias = torch.zeros(channels) if conv.bias is None else conv.bias.detach().float().cpu().clone()
        tensors[f"{prefix}{theirs}.bias"] = bias
        if statistics and conv.bias is None:
            parent, index = theirs.rsplit(".", 1)
            tensors[f"{prefix}{parent}.{int(index) + 1}.running_mean"] = torch.zeros(channels)
            tensors[f"{prefix}{parent}.{int(index) + 1}.running_var"] = torch.ones(channels)
    return tensors


def network(state: dict[str, Tensor], where: str = "the weights") -> Generator | PatchDiscriminator:
    """The network whose public weights these are, in evaluation mode.

    Raises BamkitError, naming `where`, for weights of another architecture, with a learned norm (batch norm), of
    another number of channels, or with keys missing or left over.
    """
    state = cleaned(state, where)
    built = _recognised(state, where)
    if isinstance(built, ResnetGenerator):
        state = {re.sub(r"(conv_block)\.6\.", r"\1.5.", name): tensor for name, tensor in state.items()}
    wanted = {}
    for ours, theirs in names(built):
        for kind in ("weight", "bias"):
            tensor = state.pop(f"{theirs}.{kind}", None)
            if kind == "bias" and normed(built, ours):
                continue
            if tensor is None:
                raise BamkitError(f"{where} lack {theirs}.{kind}: not a network of the public CycleGAN code")
            wanted[f"{ours}.{kind}"] = tensor.float()
    if state:
        raise BamkitError(f"{where} hold {next(iter(state))}, which no network of the public CycleGAN code has")
    expected = built.state_dict()
    for name, tensor in wanted.items():
        if tensor.shape != expected[name].shape:
            shapes = f"{tuple(tensor.shape)} instead of {tuple(expected[name].shape)}"
            raise BamkitError(f"{where}: {name} has the shape {shapes}")
    built.load_state_dict(wanted)
    return built.eval()


def cleaned(state: dict[str, Tensor], where: str = "the weights") -> dict[str, Tensor]:
    """The state without `module.` prefixes and running statistics. Raises BamkitError for a learned norm."""
    kept = {}
    for name, tensor in state.items():
        name = re.sub(r"^(module\.)+", "", str(name))
        if not isinstance(tensor, Tensor):
            raise BamkitError(f"{where} hold {name}, which is no tensor")
        if name.rsplit(".", 1)[-1] in STATISTICS:
            continue
        if name.endswith(".weight") and tensor.dim() == 1:
            raise BamkitError(f"{where} have a learned norm ({name}): only networks with instance norm can be read")
        kept[name] = tensor
    return kept


def _recognised(state: dict[str, Tensor], where: str) -> Generator | PatchDiscriminator:
    """An untrained network of the size these weights have."""
    blocks = {int(match[1]) for name in state if (match := re.match(r"model\.(\d+)\.conv_block\.", name))}
    if blocks:
        _mirrored(state, where)
        kind = ConditionalResnetGenerator if "turns.0.weight" in state else ResnetGenerator
        return kind(_width(state, "model.1.weight", 7, where), len(blocks))
    if any(name.startswith("model.model.") for name in state):
        halvings = sum(tensor.dim() == 4 for tensor in state.values()) // 2
        return UnetGenerator(_width(state, "model.model.0.weight", 4, where), halvings)
    if "down.0.weight" in state and "head.weight" in state:
        halvings = sum(name.startswith("down.") and name.endswith(".weight") for name in state)
        form = ConditionalAffineGenerator if "turns.0.weight" in state else AffineGenerator
        return form(_width(state, "down.0.weight", 4, where), halvings)
    if "model.11.weight" in state and "model.0.weight" in state:
        return PatchDiscriminator(_width(state, "model.0.weight", 4, where))
    shown = ", ".join(list(state)[:3]) or "nothing"
    raise BamkitError(f"{where} hold {shown}: not a network of the public CycleGAN code")


def _mirrored(state: dict[str, Tensor], where: str) -> None:
    """With zero padding in its residual blocks a network has no padding layers there, so its numbering starts at 0."""
    if any(re.search(r"conv_block\.0\.", name) for name in state):
        raise BamkitError(f"{where} belong to a network with zero padding in its blocks: only reflection is known")


def _width(state: dict[str, Tensor], name: str, kernel: int, where: str) -> int:
    tensor = state.get(name)
    if tensor is None or tensor.dim() != 4 or tensor.shape[1:] != (3, kernel, kernel):
        shape = "nothing" if tensor is None else str(tuple(tensor.shape))
        raise BamkitError(f"{where}: {name} is {shape}, not (width, 3, {kernel}, {kernel})")
    return tensor.shape[0]


def config_of(generator: Generator) -> TrainConfig:
    """The settings that describe a generator; the rest are defaults."""
    method = "santa" if isinstance(generator, Conditional) else TrainConfig.method
    if isinstance(generator, ResnetGenerator):
        return TrainConfig(method=method, width=generator.stem.out_channels, blocks=len(generator.blocks))
    kind = "unet" if isinstance(generator, UnetGenerator) else "affine"
    width = cast("Convolution", generator.down[0]).out_channels
    return TrainConfig(method=method, generator=kind, width=width, halvings=len(generator.down))


def read(path: Path) -> Generator | PatchDiscriminator:
    """The network in a .pth or .safetensors file of the public layout. Raises BamkitError if it cannot be read."""
    state = read_state(path)
    return network(state, str(path))


def read_generator(path: Path | str) -> Generator:
    """`read`, for a generator. Raises BamkitError for a discriminator, too."""
    generator = read(Path(path))
    if isinstance(generator, PatchDiscriminator):
        raise BamkitError(f"{path} is a discriminator: it makes no pictures", "take latest_net_G_A.pth")
    return generator


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, on the CPU. Never unpickles code (`weights_only=True`)."""
    if not path.is_file():
        raise BamkitError(f"there are no weights at {path}")
    try:
        if path.suffix == ".safetensors":
            tensors: dict[str, Tensor] = _safetensors().load_file(path)
            return tensors
        content = torch.load(path, map_location="cpu", weights_only=True)
    except BamkitError:
        raise
    except Exception as error:  # torch.load raises half a dozen kinds on damaged files
        text = str(error).splitlines() or [type(error).__name__]
        with open(path, "rb") as file:
            saved = file.read(2)[:2] in (b"PK", b"\x80\x02")  # torch's zip archive, or the pickle of before torch 1.6
        if saved and "weights_only" in str(error):
            raise BamkitError(f"{path} holds pickled code, not only weights: bamkit does not run it") from error
        raise BamkitError(f"{path} is no readable file of weights" + (f": {text[0]}" if saved else "")) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise BamkitError(f"{path} holds a {type(content).__name__}, not a dictionary of weights")
    return content


def _safetensors() -> Any:
    try:
        import safetensors.torch as library
    except ImportError as error:
        raise BamkitError("safetensors files need the safetensors package", "pip install safetensors") from error
    return library


def save_safetensors(state: Weights, path: Path, about: dict[str, str]) -> None:
    """Write weights as safetensors with `about` in the header. Raises BamkitError where the package is missing.

    The library writes the header's metadata in another order every time: here it is sorted. Offsets of the weights
    count from the header's end, which lies at a multiple of 8 bytes.
    """
    data: bytes = _safetensors().save(dict(state), metadata={"format": "pt", **about})
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])


def one_way(paths: Iterable[Path]) -> dict[str, Path]:
    """Which public file holds which generator: {"A": latest_net_G_A.pth, ...}; `latest_net_G.pth` is A -> B."""
    by_letter: dict[str, Path] = {}
    for path in sorted(paths):
        match = re.fullmatch(r"(?:.*_)?net_G(?:_([AB]))?\.(?:pth|safetensors)", path.name)
        if match:
            by_letter.setdefault(match[1] or "A", path)
    return by_letter
