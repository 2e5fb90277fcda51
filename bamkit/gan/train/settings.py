"""Every setting of a training run, with the study's values as defaults. Imports no torch: the command line reads it."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from bamkit.common.errors import BamkitError
from bamkit.common.settings import Choice, Option, Range, check

HELP = "bamkit train --help lists the settings"
SMALLEST_CROP = 24
"""The PatchGAN halves a picture three times and then needs two 4 x 4 convolutions: below 24 px nothing is left."""

CHANGEABLE = frozenset(
    {
        "amp", "checkpoint_minutes", "compile", "decay_epochs", "epochs", "graphs", "keep", "keep_validated",
        "log_every", "low_memory", "minutes", "on_nan", "sample_pictures", "samples", "steps", "tensorboard",
        "validations",
    }
)  # fmt: skip
"""Settings that a resumed run may change: how long, how it is computed and watched, not what is learned."""

ONLY: dict[str, tuple[str, ...]] = {
    "lambda_a": ("cyclegan",), "lambda_b": ("cyclegan",), "lambda_identity": ("cyclegan",), "pool": ("cyclegan",),
    "fastcut": ("cut",), "lambda_nce": ("cut",), "lambda_path": ("santa",), "lambda_ends": ("santa",),
}  # fmt: skip
"""Settings that not all methods have: those that do. Elsewhere they keep their defaults, and say nothing."""
LATER = frozenset({"keep_validated", "fastcut", "lambda_ends", "lambda_nce", "lambda_path", "method"})
"""Settings that runs were recorded without: not written at their defaults, so that a run's id stays what it was."""


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a run. `TrainConfig()` is the study: CycleGAN on 286 px pictures, crop 256, 100 + 100 epochs."""

    method: Annotated[str, Choice("cyclegan", "cut", "santa")] = "cyclegan"
    """What holds the content: `cyclegan` (the study), by coming back; `cut`, by patches that are told apart;
    `santa`, by a short path, along which a strength says how far to go."""
    generator: Annotated[str, Choice("resnet", "unet", "affine")] = "resnet"
    """Generator: `resnet` (the study), `unet`, or `affine`, which recolours and keeps the source's edges."""
    blocks: Annotated[int, Range(1, 1000)] = 9
    """Residual blocks of the ResNet generator: 9 (the study), or 6 for small pictures."""
    width: Annotated[int, Range(1, 65_536)] = 64
    """Channels of the first layer of the generators, and of the discriminators unless given otherwise."""
    discriminator_width: Annotated[int, Range(0, 65_536)] = 0
    """Channels of the first layer of the discriminators; 0 means the generators' width."""
    halvings: Annotated[int, Range(2, 10)] = 8
    """How often `unet` and `affine` halve the picture: for `unet` 8 at a crop of 256, 7 at 128, for `affine` 4."""
    objective: Annotated[str, Choice("lsgan", "log-likelihood")] = "lsgan"
    """The adversarial terms: `lsgan` (least squares, the study) or `log-likelihood` (the original GAN)."""
    lambda_a: Annotated[float, Range(0)] = 10.0
    """Weight of the cycle A -> B -> A."""
    lambda_b: Annotated[float, Range(0)] = 10.0
    """Weight of the cycle B -> A -> B."""
    lambda_identity: Annotated[float, Range(0)] = 0.5
    """Weight of the identity terms, as a share of the cycle weights; 0 leaves them out."""
    fastcut: Annotated[bool, Option("--fastcut/--no-fastcut")] = False
    """FastCUT: `cut` at about half the cost, without its identity term, mirroring what the generator sees."""
    lambda_nce: Annotated[float, Range(0)] = 0.0
    """Weight of the patch contrast of `cut`; 0 means 1, with --fastcut 10."""
    lambda_path: Annotated[float, Range(0)] = 0.01
    """SANTA: weight of the path's energy."""
    lambda_ends: Annotated[float, Range(0)] = 5.0
    """SANTA: weight of the source restored at strength 0, and of target pictures kept at strength 1."""
    pool: Annotated[int, Range(0)] = 50
    """Past fakes kept for each discriminator; 0 shows it the newest only."""
    learning_rate: Annotated[float, Range(0, min_open=True)] = 0.0002
    """Adam's learning rate, before the decay."""
    beta1: Annotated[float, Range(0, 1, max_open=True)] = 0.5
    """Adam's first momentum."""
    beta2: Annotated[float, Range(0, 1, max_open=True)] = 0.999
    """Adam's second momentum."""
    batch: Annotated[int, Range(1)] = 1
    """Pictures of each domain in a step (of each process, if there are several)."""
    epochs: Annotated[int, Range(0)] = 100
    """Epochs at the full learning rate. An epoch is one pass over the larger domain."""
    decay_epochs: Annotated[int, Range(0)] = 100
    """Epochs over which the rate then falls linearly towards 0."""
    steps: Annotated[int, Range(0)] = 0
    """Steps in all, instead of epochs: the schedule is stretched over them. 0 means by epochs."""
    minutes: Annotated[float, Range(0)] = 0.0
    """Minutes in all, instead of epochs: turned into steps once a step has been timed. 0 means by epochs."""
    size: Annotated[int, Range(0, 65_536)] = 0
    """Pictures are resized to this many pixels square; 0 means 286, or the pictures' own size if that is smaller."""
    crop: Annotated[int, Range(0, 65_536)] = 0
    """Side of the random crop; 0 means 256, or the same share (256/286) of a smaller size."""
    flip: Annotated[bool, Option("--flip/--no-flip")] = True
    """Mirror pictures at random."""
    seed: Annotated[int, Range(0)] = 0
    """Seed of the weights, the data order, the crops and flips, and the image pools."""
    ema: Annotated[float, Range(0, 1, max_open=True)] = 0.0
    """Decay of a moving average of the generators, such as 0.999, which then translates; 0 means none."""
    diffaug: Annotated[bool, Option("--diffaug/--no-diffaug")] = False
    """Differentiable augmentation (colour, shift, cutout) of all that the discriminators see."""
    amp: Annotated[str, Choice("auto", "off", "bf16")] = "auto"
    """`bf16` convolutions, `off` for float32, `auto` for bf16 on a GPU that has it and float32 elsewhere."""
    compile: Annotated[str, Choice("auto", "on", "off")] = "auto"
    """Fuse the networks' small operations with torch.compile: `on`, `off`, or `auto` (on CUDA only)."""
    graphs: Annotated[str, Choice("auto", "on", "off")] = "auto"
    """Replay the whole step as one CUDA graph: `on`, `off`, or `auto` (on CUDA only)."""
    low_memory: Annotated[bool, Option("--low-memory/--no-low-memory")] = False
    """Keep one cycle direction's activations at a time: a third of the memory, the same gradients."""
    on_nan: Annotated[str, Choice("stop", "rollback")] = "stop"
    """At a NaN or Inf: `stop`, or `rollback` to the last good checkpoint at half the learning rate."""
    checkpoint_minutes: Annotated[float, Range(0, min_open=True)] = 10.0
    """Minutes between checkpoints."""
    keep: Annotated[int, Range(0)] = 50
    """Every so many epochs a checkpoint is kept for good; 0 keeps only the last two and the best."""
    keep_validated: bool = False
    """Keep also the checkpoint of every validation for good."""
    log_every: Annotated[int, Range(0)] = 0
    """Steps in a row of metrics.csv (means over them); 0 means about 2,000 rows in the run."""
    samples: Annotated[int, Range(0)] = 24
    """Sample grids along the run; 0 means none."""
    sample_pictures: Annotated[int, Range(1)] = 4
    """Test pictures in a sample grid."""
    validations: Annotated[int, Range(0)] = 20
    """How often along the run the validation split is measured, to find the best checkpoint; 0 means never."""
    tensorboard: Annotated[bool, Option("--tensorboard/--no-tensorboard")] = True
    """Write TensorBoard events, if tensorboard is installed."""

    def __post_init__(self) -> None:
        check(self, HELP)
        for name, methods in ONLY.items():
            _demand(
                self.uses(name) or getattr(self, name) == getattr(TrainConfig, name),
                f"{name} is a setting of {' and '.join(methods)}: {self.method} has nothing that it would change",
                f"leave --{name.replace('_', '-')} away, or --method {methods[0]}",
            )
        _demand(
            not (self.method == "santa" and self.generator == "unet"),
            "santa has no unet generator: its outermost levels would carry the picture past the code and the strength",
            "--generator resnet or affine",
        )
        _demand(
            self.epochs + self.decay_epochs >= 1 or self.steps or self.minutes, "the run has no epochs and no steps"
        )
        _demand(not (self.steps and self.minutes), "give steps or minutes, not both")
        _demand(
            not self.crop or self.crop >= SMALLEST_CROP,
            f"crop {self.crop} is too small: the discriminator needs at least {SMALLEST_CROP} px",
        )
        _demand(
            not self.size or self.size >= SMALLEST_CROP,
            f"size {self.size} is too small: the discriminator needs at least {SMALLEST_CROP} px",
        )
        _demand(
            not (self.size and self.crop) or self.crop <= self.size,
            f"a crop of {self.crop} px does not fit into pictures of {self.size} px",
            f"--size {self.crop} or more, or --crop {fitting_crop(self.size, self.multiple)}",
        )
        _demand(
            self.crop % self.multiple == 0,
            f"crop {self.crop} is no multiple of {self.multiple}, which the {self.generator} generator needs",
            f"--crop {self.crop // self.multiple * self.multiple or self.multiple}",
        )

    @property
    def multiple(self) -> int:
        """The sides of what the generator takes must be multiples of this."""
        return 4 if self.generator == "resnet" else 2**self.halvings

    def uses(self, name: str) -> bool:
        """Whether the method has this setting."""
        return applies(name, self.method)

    @property
    def contrast_weight(self) -> float:
        """Weight of CUT's patch contrast."""
        return self.lambda_nce or (10.0 if self.fastcut else 1.0)

    @property
    def discriminator_channels(self) -> int:
        """Channels of the discriminators' first layer."""
        return self.discriminator_width or self.width

    def fitted(self, pictures: int) -> TrainConfig:
        """The same settings with `size` and `crop` decided for pictures of `pictures` px (their shorter side).

        With neither given: size 286 and crop 256 where the pictures allow it; else the pictures' own size, and the
        largest multiple of 4 within 256/286 of it. Raises BamkitError if a given crop is larger than the pictures.
        """
        size = self.size or (286 if pictures >= 286 else pictures)
        if self.crop > size:
            raise BamkitError(
                f"a crop of {self.crop} px does not fit into pictures of {size} px",
                f"--crop {fitting_crop(size, self.multiple)}, or --size {self.crop} to enlarge them",
            )
        crop = self.crop or fitting_crop(size, self.multiple)
        if crop > size:
            raise BamkitError(
                f"a U-Net of {self.halvings} halvings needs pictures of {self.multiple} px, and these have {size}",
                f"--halvings {max(2, (size * 256 // 286).bit_length() - 1)}, or --size {self.multiple} to enlarge them",
            )
        if crop < SMALLEST_CROP:
            raise BamkitError(
                f"pictures of {size} px are too small to train on: the discriminator needs {SMALLEST_CROP} px",
                "--size 64 to enlarge them, or bamkit fetch --size 286",
            )
        return replace(self, size=size, crop=crop)

    def as_dict(self) -> dict[str, Any]:
        """Plain values by field name, of the settings that the method has: what run.json and checkpoints hold."""
        return {
            name: value
            for name, value in asdict(self).items()
            if self.uses(name) and not (name in LATER and value == getattr(TrainConfig, name))
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """The settings in `values` (missing ones take their defaults). Raises BamkitError for unknown names."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            import difflib

            near = difflib.get_close_matches(unknown[0], known, n=1)
            hint = f"did you mean {near[0]}?" if near else HELP
            raise BamkitError(f"there is no training setting {unknown[0]!r}", hint)
        return cls(**values)


PRESETS: dict[str, dict[str, Any]] = {
    "study": {},
    "quick": {
        # It keeps the picture by its form. Cycle weights of 10 would hold it where it begins, near the identity.
        "generator": "affine",
        "halvings": 4,
        "width": 16,
        "lambda_a": 5.0,
        "lambda_b": 5.0,
        "learning_rate": 4e-4,
        "size": 112,
        "crop": 96,
        "steps": 2000,
        "batch": 1,
        "log_every": 10,
        "samples": 16,
        "validations": 8,
        "checkpoint_minutes": 1.0,
    },
    "small": {"width": 32, "blocks": 6, "size": 143, "crop": 128},
}
"""Named starting points; flags and a TOML file change them. `study` is the published training."""

PRESET_HELP = {
    "study": "the published training: 286 px, crop 256, width 64, 9 blocks, 100 + 100 epochs",
    "quick": "a few minutes on 2 CPU cores: 112 px, crop 96, affine generator of width 16, 2,000 steps",
    "small": "half size and half width, for a small GPU or a patient CPU",
}


def applies(name: str, method: str) -> bool:
    """Whether a method has the setting `name`."""
    return method in ONLY.get(name, (method,))


def preset_help() -> str:
    """One line for --help."""
    return "A starting point: " + "; ".join(f"{name}: {text}" for name, text in PRESET_HELP.items()) + "."


def build(preset: str | None = None, file: Path | None = None, given: dict[str, Any] | None = None) -> TrainConfig:
    """Preset, then a TOML or run.json file, then the settings `given` (None values are not given).

    Raises BamkitError for an unknown preset, an unreadable file or an invalid combination.
    """
    if preset and preset not in PRESETS:
        raise BamkitError(f"there is no preset {preset!r}", f"the presets are {', '.join(PRESETS)}")
    chosen = {name: value for name, value in (given or {}).items() if value is not None}
    read = read_file(file) if file is not None else {}
    method = chosen.get("method") or read.get("method") or TrainConfig.method
    # A preset speaks of all methods; what one of them does not have is not meant for it.
    preset_values = PRESETS[preset or "study"].items()
    values = {name: value for name, value in preset_values if applies(name, method)} | read
    # A length given in one unit takes the place of a length the preset gives in another.
    if {"steps", "minutes", "epochs", "decay_epochs"} & set(chosen):
        values |= {"steps": 0, "minutes": 0.0}
    return TrainConfig.from_dict(values | chosen)


def resumed(recorded: dict[str, Any], given: dict[str, Any]) -> TrainConfig:
    """The settings of a run to go on with: those in its run.json, with what is `given` and may change.

    Raises BamkitError for a setting that would make it another training.
    """
    config = TrainConfig.from_dict(recorded)
    chosen = {name: value for name, value in given.items() if value is not None}
    for name, value in chosen.items():
        if name not in CHANGEABLE and value != getattr(config, name):
            raise BamkitError(
                f"the run was trained with {name} {getattr(config, name)}, not {value}: that cannot change on the way",
                f"leave --{name.replace('_', '-')} away, or train afresh with another --name",
            )
    if {"steps", "minutes", "epochs", "decay_epochs"} & set(chosen):
        chosen = {"steps": 0, "minutes": 0.0} | chosen
    return replace(config, **chosen)


def read_file(path: Path) -> dict[str, Any]:
    """The settings in a TOML file (at the top or under [train]) or in a run.json. Raises BamkitError."""
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise BamkitError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise BamkitError(f"{path} is not valid: {error}") from error
    if path.suffix == ".json":
        values = values.get("config", {}) if isinstance(values, dict) else {}
    else:
        values = values.get("train", values)
    return {name.replace("-", "_"): value for name, value in values.items()}


def fitting_crop(size: int, multiple: int = 4) -> int:
    """256 for pictures of 286 px and more; else the largest multiple within 256/286 of `size`."""
    wanted = min(256, max(size * 256 // 286, multiple))
    return max(wanted // multiple * multiple, multiple)


def _demand(holds: Any, message: str, hint: str = HELP) -> None:
    if not holds:
        raise BamkitError(message, hint)
