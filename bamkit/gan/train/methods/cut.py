"""One training step of CUT and FastCUT, as in the paper and the public code (Park et al. 2020, arXiv:2007.15651).

A patch of the translation is to be told, by its features, from all other patches of its source than the one at its own
place. The features are those of the generator's own encoder, in several layers, each through a small head:

    z_l(x) = H_l(G_l(x)) / |H_l(G_l(x))|                                        (section 3.2)
    L_NCE(x, y) = mean over layers l, places s of the cross entropy of z_l(y)_s with z_l(x)   (equation 3)
    L = L_GAN(G, D) + lambda (L_NCE(a, G(a)) + L_NCE(b, G(b))) / 2              (CUT, lambda 1; equation 5)
    L = L_GAN(G, D) + lambda  L_NCE(a, G(a))                                    (FastCUT, lambda 10)

with 256 places a layer, the same for all pictures of a batch, and heads that learn with the generator. Equation 5 adds
both contrasts whole; the code that its figures come from halves them, and so does this. FastCUT mirrors what the
generator sees half of the time, and holds its features against those of the picture as it was. Differently from the
public code the generator is CycleGAN's, without antialiased sampling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bamkit.gan.train import losses
from bamkit.gan.train.device.acceleration import Acceleration
from bamkit.gan.train.device.distributed import ProcessGroup
from bamkit.gan.train.methods import base, one_sided
from bamkit.gan.train.methods.base import Losses
from bamkit.gan.train.networks import cyclegan
from bamkit.gan.train.networks.normalisation import at_least_float32
from bamkit.gan.train.random_draws import RandomDraws, different
from bamkit.gan.train.settings import TrainConfig

PLACES = 256
"""Patches of a picture in each layer; all there are, where a layer has fewer."""
HEAD_WIDTH = 256
"""Numbers that a patch becomes."""
ENCODER_SHARE = 0.6
"""Of a generator pass's activations, those of its encoder, in memory.py's estimate."""

Features = list[Tensor]


def kept_passes(config: TrainConfig) -> tuple[float, float]:
    """One direction at a time: translation and identity with their features; one of the two with low memory."""
    pictures = 1 if config.low_memory or config.fastcut else 2
    return pictures * (1 + ENCODER_SHARE), 1


def layers(config: TrainConfig) -> list[tuple[int, int]]:
    """Channels and places of each layer whose features are compared."""
    side = config.crop or 256
    with torch.device("meta"):
        features = cyclegan.generator(config).encode(torch.zeros(1, 3, side, side))
    return [(feature.shape[1], feature[0, 0].numel()) for feature in features]


def uniforms(config: TrainConfig) -> int:
    """FastCUT draws for each side whether to mirror."""
    return 2 if config.fastcut else 0


class Heads(nn.Module):
    """Features of some places -> [N, S, 256] of unit length for each layer: two linear layers with a ReLU between them.

    The first `bare` layers behind the picture are convolutions without a bias. They get one here, zero at first: the
    generator leaves it out because a norm follows there.
    """

    def __init__(self, channels: list[int], bare: int = 0, width: int = HEAD_WIDTH) -> None:
        super().__init__()
        self.offsets = nn.ParameterList(torch.zeros(count) for count in channels[1 : 1 + bare])
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(count, width), nn.ReLU(), nn.Linear(width, width)) for count in channels
        )

    def forward(self, features: Features, places: list[Tensor]) -> Features:
        """features: [N, C, H, W] of each layer; places: int64 [S] of each, counted row by row."""
        heads = []
        for number, (head, feature, chosen) in enumerate(zip(self.layers, features, places, strict=True)):
            patches = feature.permute(0, 2, 3, 1).flatten(1, 2).index_select(1, chosen)
            if 1 <= number <= len(self.offsets):
                patches = patches + self.offsets[number - 1]
            z = at_least_float32(head(patches))
            heads.append(z / (torch.linalg.vector_norm(z, dim=2, keepdim=True) + 1e-7))
        return heads


class Networks(one_sided.Networks):
    """Two generators with their heads, and two discriminators."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        channels, bare = [count for count, _ in layers(config)], 2 if config.generator == "resnet" else 0
        self.F_A, self.F_B = Heads(channels, bare), Heads(channels, bare)
        # Seeds that no other network of any run's has: generators and discriminators take whole numbers from 0.
        for number, heads in enumerate((self.F_A, self.F_B)):
            cyclegan.initialise(heads, 2**32 + config.seed * 4 + number)

    def others(self) -> dict[str, nn.Module]:
        return {"F_A": self.F_A, "F_B": self.F_B}


@dataclass
class Translated(one_sided.Translated):
    """With the features of the source, and, where both are computed at once, what the target became."""

    key: Features
    same: Tensor | None = None
    same_key: Features | None = None


class Step(one_sided.Step[Translated]):
    """Two generators with heads and discriminators, and the step that changes them."""

    def __init__(
        self,
        nets: base.Networks,
        config: TrainConfig,
        acceleration: Acceleration,
        group: ProcessGroup = ProcessGroup(),  # noqa: B008  (frozen)
        averages: list[nn.Parameter] | None = None,
    ) -> None:
        super().__init__(nets, config, acceleration, group, averages)
        self.places = [places for _, places in layers(config)]
        self.encode: Callable[[cyclegan.Generator, Tensor], Features] = _encode
        self.decode: Callable[[cyclegan.Generator, Features], Tensor] = _decode
        if acceleration.compile:
            self.encode = torch.compile(_encode, dynamic=False)
            self.decode = torch.compile(_decode, dynamic=False)

    def _translate(self, side: str, source: Tensor, target: Tensor, draws: RandomDraws) -> Translated:
        network = getattr(self.nets, f"G_{side}")
        if self.config.fastcut:
            mirrored = torch.where(self._mirrored(side, draws), source.flip(3), source)
            fake = self.decode(network, self.encode(network, mirrored))
            # After the pass that learns: autocast keeps the weights it has cast, with or without their graph.
            with torch.no_grad():
                return Translated(fake, self.encode(network, source))
        if self.config.low_memory or not self.acceleration.merged:
            features = self.encode(network, source)
            return Translated(self.decode(network, features), _detached(features))
        features = self.encode(network, torch.cat([source, target]))
        fake, same = self.decode(network, features).chunk(2)
        key, same_key = _halves(_detached(features))
        return Translated(fake, key, same, same_key)

    def _objective(
        self, side: str, translated: Translated, source: Tensor, target: Tensor, draws: RandomDraws
    ) -> Iterator[Losses]:
        network, weight = getattr(self.nets, f"G_{side}"), self.config.contrast_weight
        places = self.chosen_places(side, draws)
        adversarial = self._adversarial(side, translated.fake, draws)
        if self.config.fastcut:
            back = self._mirrored(side, draws)
            query = [torch.where(back, q.flip(3), q) for q in self.encode(network, translated.fake)]
            nce = weight * self._contrast(side, query, translated.key, places[0])
            yield {f"G_{side}": adversarial, f"nce_{side}": nce, f"nce_idt_{side}": torch.zeros_like(nce)}
            return
        weight = weight / 2
        if translated.same is not None and translated.same_key is not None:
            both = _halves(self.encode(network, torch.cat([translated.fake, translated.same])))
            nce = weight * self._contrast(side, both[0], translated.key, places[0])
            yield {f"G_{side}": adversarial, f"nce_{side}": nce}
            yield {f"nce_idt_{side}": weight * self._contrast(side, both[1], translated.same_key, places[1])}
            return
        query = self.encode(network, translated.fake)
        yield {f"G_{side}": adversarial, f"nce_{side}": weight * self._contrast(side, query, translated.key, places[0])}
        features = self.encode(network, target)
        query = self.encode(network, self.decode(network, features))
        yield {f"nce_idt_{side}": weight * self._contrast(side, query, _detached(features), places[1])}

    def _contrast(self, side: str, query: Features, key: Features, places: list[Tensor]) -> Tensor:
        """L_NCE: the mean over the layers. The source's features are what they are."""
        heads = getattr(self.nets, f"F_{side}")
        queries = heads(query, places)
        with torch.no_grad():  # after the pass that learns, as above
            keys = heads(key, places)
        return torch.stack([losses.patch_contrast(q, k) for q, k in zip(queries, keys, strict=True)]).mean()

    def chosen_places(self, side: str, draws: RandomDraws) -> list[list[Tensor]]:
        """Of the source and, but for FastCUT, of the target: the places of each layer, the same for all pictures."""
        first, kinds, layers = "AB".index(side) * 2, 1 if self.config.fastcut else 2, len(self.places)
        return [
            [
                different(draws.key + (first + kind) * layers + number, min(PLACES, places), places)
                for number, places in enumerate(self.places)
            ]
            for kind in range(kinds)
        ]

    def _mirrored(self, side: str, draws: RandomDraws) -> Tensor:
        """bool [N, 1, 1, 1]: which pictures FastCUT's generator sees mirrored."""
        return draws.uniform[0 if side == "A" else 1].lt(0.5)[:, None, None, None]


def _encode(network: cyclegan.Generator, x: Tensor) -> Features:
    return network.encode(x)


def _decode(network: cyclegan.Generator, features: Features) -> Tensor:
    return network.decode(features)


def _detached(features: Features) -> Features:
    return [feature.detach() for feature in features]


def _halves(features: Features) -> tuple[Features, Features]:
    """The features of the first and of the second half of a batch."""
    return [feature.chunk(2)[0] for feature in features], [feature.chunk(2)[1] for feature in features]
