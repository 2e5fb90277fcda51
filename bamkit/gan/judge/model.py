"""A trained judge: probabilities of BAM's attributes, features, and the refusal to judge what it was trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch import Tensor, nn

from bamkit.common.errors import DAMAGED, BamkitError
from bamkit.common.pages.notebook import as_html
from bamkit.common.provenance import sha256_file
from bamkit.common.shards import read_table
from bamkit.common.workspace import atomic_path
from bamkit.gan.judge import keras
from bamkit.gan.judge.backbones import Backbone
from bamkit.gan.judge.identity import shared

FORM = "form"
"""The folder, in that of a judge, of the judge of form alone that was trained with it."""
JUDGE = "judge"
"""The folder of a workspace's judge, and the name of the split it is trained on by default."""
RELIABLE_AUC = 0.6
"""An attribute whose held-out AUC cannot be shown to exceed this is not reported on."""
WEIGHTS, CARD, KNOWN = "judge.pt", "card.json", "known.parquet"


@dataclass(frozen=True)
class Shape:
    """All that it takes to build the network again."""

    backbone: str
    """One of backbone.BACKBONES."""
    size: int
    """Side in pixels to which pictures are resized (squashed, like the study's)."""
    mean: tuple[float, ...]
    """Mean of R, G, B in [0, 1] that the backbone expects."""
    deviation: tuple[float, ...]
    keras: bool
    """Whether it has Keras' padding and batch norm epsilon."""
    attributes: tuple[str, ...]
    """What it judges, in the order of its outputs."""


class Network(nn.Module):
    """Backbone, linear head, and for each attribute a slope and offset that calibrate it and its prior log odds.

    sigmoid(logit * slope + offset) is calibrated to the mixture of pictures it was trained on; without the prior the
    same holds at even odds, which is what is judged by: otherwise nothing could ever be judged to show a rare mood.
    """

    slope: Tensor
    offset: Tensor
    prior: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: Shape, backbone: Backbone | None = None) -> None:
        super().__init__()
        self.shape = shape
        fresh = backbone is None
        self.backbone = backbone or Backbone(shape.backbone)
        if fresh and shape.keras:
            keras.same_padding(self.backbone.network)
        self.head = nn.Linear(self.backbone.dimensions, len(shape.attributes))
        self.register_buffer("slope", torch.ones(len(shape.attributes)))
        self.register_buffer("offset", torch.zeros(len(shape.attributes)))
        self.register_buffer("prior", torch.zeros(len(shape.attributes)))
        self.register_buffer("mean", torch.tensor(shape.mean).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(shape.deviation).view(1, 3, 1, 1))

    def features(self, pictures: Tensor) -> Tensor:
        """(n, 3, size, size) uint8 -> (n, d)."""
        features: Tensor = self.backbone((pictures.float() / 255 - self.mean) / self.deviation)
        return features

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, size, size) uint8 -> (n, d) features and (n, k) uncalibrated logits."""
        features = self.features(pictures)
        return features, self.head(features)


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (size, size, 3) uint8, squashed, antialiased."""
    if picture.shape[:2] == (size, size):
        return picture
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR))


def stacked(pictures: Sequence[np.ndarray], size: int) -> Tensor:
    """Pictures of any sizes as one (n, 3, size, size) uint8 tensor."""
    return torch.from_numpy(np.stack([resized(picture, size) for picture in pictures])).permute(0, 3, 1, 2)


class Judge:
    """A judge ready to judge. It is also a feature extractor (features.Extractor)."""

    name = "judge"

    def __init__(
        self, network: Network, card: dict[str, Any], known: pa.Table, sha256: str, device: Any = "cpu"
    ) -> None:
        self.network = network.to(device).eval()
        self.card, self.known, self.sha256 = card, known, sha256
        self.attributes = network.shape.attributes
        self.dimensions = network.backbone.dimensions
        self.description = (
            f"{self.dimensions} features of the judge's own {network.shape.backbone} at {network.shape.size} px "
            f"({card['weights']['training']})."
        )
        self._device = torch.device(device)

    def predict(self, pictures: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 pictures of any sizes -> (n, d) features, (n, k) probabilities at even odds; float32."""
        with torch.inference_mode():
            features, logits = self.network(stacked(pictures, self.network.shape.size).to(self._device))
            probabilities = torch.sigmoid(logits * self.network.slope + self.network.offset - self.network.prior)
        return features.cpu().numpy(), probabilities.cpu().numpy()

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """The features alone."""
        return self.predict(pictures)[0]

    def is_reliable(self, attribute: str) -> bool:
        """Whether its AUC for the attribute lies above RELIABLE_AUC, interval and all."""
        low = self.card["held_out"].get(attribute, {}).get("auc", {}).get("low")
        return low is not None and low > RELIABLE_AUC

    def refuse_known(self, rows: pa.Table, name: str) -> None:
        """Raises BamkitError if images of `rows` (columns data.IDENTITY) were among those the judge was trained on.

        That is: the same mid or file, a near-duplicate, or another image of one of its projects.
        """
        reasons = {reason: int(mask.sum()) for reason, mask in shared(rows, self.known).items()}
        if any(reasons.values()):
            why = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
            raise BamkitError(
                f"the judge refuses to judge {name}: it was trained on {sum(reasons.values())} of its "
                f"{rows.num_rows} images ({why})",
                "bamkit judge train --force leaves out all that is in the workspace now",
            )

    def _repr_html_(self) -> str:
        return as_html(self.summary()["sentence"])

    def summary(self) -> dict[str, Any]:
        """What a report says about the judge."""
        held = self.card["held_out"]
        emotions = {a: held[a] for a in self.attributes if a.startswith("emotion_")}
        precisions = ", ".join(f"{a.split('_')[1]} {v['average_precision']['value']:.2f}" for a, v in emotions.items())
        return {
            "sha256": self.sha256,
            "backbone": self.network.shape.backbone,
            "size": self.network.shape.size,
            "weights": self.card["weights"],
            "images": self.card["images"],
            "trained_on": self.card["trained_on"],
            "emotions": emotions,
            "sentence": (
                f"The judge: {self.network.shape.backbone} at {self.network.shape.size} px, "
                f"{self.card['weights']['training']}, on {self.card['images']['fit']:,} images it shares with nothing "
                f"it judges. Average precision on {self.card['images']['held out']:,} held-out images: "
                f"{precisions or 'none'}."
            ),
        }


def save_judge(network: Network, card: dict[str, Any], folder: Path) -> None:
    """Write the weights, then the card (which names their hash). known.parquet is written by the caller, first."""
    with atomic_path(folder / WEIGHTS) as temporary:
        with open(temporary, "wb") as file:
            torch.save({"format": 1, "shape": asdict(network.shape), "state": network.state_dict()}, file)
    card = {**card, "sha256": sha256_file(folder / WEIGHTS)}
    with atomic_path(folder / CARD) as temporary:
        temporary.write_text(json.dumps(card, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _read_card(path: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    parts = ("weights", "images", "trained_on", "held_out")
    if lacking := [part for part in parts if not isinstance(card.get(part), dict)]:
        raise ValueError(f"{path.name} holds no {', '.join(lacking)}")
    return card


def load_judge(folder: Path, device: torch.device | str = "cpu") -> Judge:
    """The judge in `folder`. Raises BamkitError if there is none or its files do not belong together."""
    again = "bamkit judge train --force"
    absent = [name for name in (WEIGHTS, CARD, KNOWN) if not (folder / name).is_file()]
    if len(absent) == 3:
        raise BamkitError(f"there is no judge at {folder}", "bamkit judge train")
    if absent:
        raise BamkitError(f"the judge at {folder} lacks {', '.join(absent)}", again)
    try:
        card = _read_card(folder / CARD)
        card["weights"].setdefault("training", card["weights"].get("told", "of an unknown training"))  # earlier cards
        state = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
        shape: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in state["shape"].items()}
        network = Network(Shape(**shape))
        network.load_state_dict(state["state"])
    except Exception as error:
        # torch reports foreign, damaged and hostile files through many exception types.
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BamkitError(f"the judge at {folder} cannot be read: {text}", again) from error
    sha256 = sha256_file(folder / WEIGHTS)
    if card.get("sha256") != sha256:
        raise BamkitError(f"the judge at {folder} is not the one its card describes", again)
    if card.get("known_sha256") != sha256_file(folder / KNOWN):
        raise BamkitError(f"{folder / KNOWN} is not the list the judge was trained on", again)
    judge = Judge(network, card, read_table(folder / KNOWN), sha256, device)
    try:
        judge.summary(), [judge.is_reliable(name) for name in judge.attributes]  # all that is told of it later
    except DAMAGED as error:
        raise BamkitError(f"{folder / CARD} is not the card of a judge: {error!r}", again) from error
    return judge
