"""`bamkit.Run`: a trained run, and its generators as functions on pictures and as networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bamkit.common.errors import BamkitError
from bamkit.common.pages.notebook import as_html
from bamkit.gan.train.methods.terms import method_of

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from bamkit.gan.exchange.export import Exported
    from bamkit.gan.train.networks.cyclegan import Generator
    from bamkit.gan.translate.generator import Translator
    from bamkit.gan.translate.pictures import Picture


class Run:
    """A folder that `ws.train` or `bamkit train` has written, of any workspace. Raises BamkitError if it is none.

    `path`, `name`, `about` (the content of run.json: settings, domains, versions), `domains` (the two names),
    `directions` (from the first to the second domain, and back).

    >>> run = bamkit.Run(ws.run("happy-scary"))
    >>> run.directions
    ('happy-to-scary', 'scary-to-happy')
    >>> run.about["config"]["width"]
    4
    """

    def __init__(self, path: Path | str) -> None:
        from bamkit.gan.train.checkpoint import read_run

        self.path = Path(path)
        self.name = self.path.name
        self.about: dict[str, Any] = read_run(self.path)
        first, second = (str(self.about[side]["name"]) for side in ("from", "to"))
        self.domains = (first, second)
        self.directions = (f"{first}-to-{second}", f"{second}-to-{first}")
        self._translators: dict[tuple[object, ...], Translator] = {}

    @property
    def metrics(self) -> pd.DataFrame:
        """metrics.csv: one row every few steps with the losses, the learning rate, pictures a second.

        >>> run.metrics[["step", "epoch"]].tail(1)
           step  epoch
        1     2    0.1
        """
        import pandas as pd

        return pd.read_csv(self.path / "metrics.csv")

    def generator(
        self, direction: str | None = None, checkpoint: str = "best-or-last", device: str = "auto"
    ) -> Generator:
        """The network of a direction (the first by default), an `nn.Module` in evaluation mode.

        It maps float32 [N, 3, H, W] in [-1, 1] to the same; H and W must be multiples of its `multiple`. `checkpoint`:
        best (by validation), last, best-or-last, or a name such as step-00012000. It is a network of its own: what is
        done to it does not change what `translate` does.

        >>> import torch
        >>> network = run.generator("scary-to-happy")
        >>> network(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 3, 32, 32])
        """
        from bamkit.gan.train.checkpoint import load_generators
        from bamkit.gan.train.device.devices import pick_device

        found = load_generators(self.path, checkpoint)
        network: Generator = found.directions()[self._direction(direction)]
        return network.to(pick_device(device))

    def translate(
        self,
        picture: Picture,
        direction: str | None = None,
        *,
        checkpoint: str = "best-or-last",
        size: int | str = "own",
        tile: int = 512,
        memory: float = 2.0,
        device: str = "auto",
        strength: float | None = None,
    ) -> Picture:
        """A picture, or several of one size, through the generator of a direction (the first by default).

        What comes back is of the same kind, layout, size, dtype and device:

        - a PIL image of any mode: RGB, or RGBA where it has an alpha, upright and in sRGB;
        - a numpy array (H, W, 3) or (N, H, W, 3), channels R, G, B: uint8, or floats in [0, 1];
        - a tensor (3, H, W) or (N, 3, H, W): uint8, or floats in [0, 1].

        Pictures may have any size; large ones are translated in tiles of `tile` pixels where one pass would take more
        than `memory` GB, with the same result. `size` is the shorter side that the generator sees: `own`, `trained`
        (the size of the training) or pixels; the result is resized back. `strength`, from 0 to 1, is how far a run of
        `--method santa` goes (the whole way by default). The generator sees 8 bits a channel, and no gradient flows:
        for those take `generator`. Raises TypeError for another kind, ValueError for another shape or
        range, BamkitError for a direction, checkpoint or strength that the run has not.

        >>> import numpy as np
        >>> from PIL import Image
        >>> run.translate(Image.new("RGB", (50, 40), "orange")).size
        (50, 40)
        >>> run.translate(np.zeros((2, 40, 50, 3), np.uint8), "scary-to-happy").shape
        (2, 40, 50, 3)
        """
        from bamkit.gan.translate.pictures import translate_picture
        from bamkit.gan.translate.settings import TranslateConfig

        config = TranslateConfig(checkpoint, tile=tile, memory=memory, size=str(size), device=device, strength=strength)
        translator = self._translator(self._direction(direction), config)
        return translate_picture(picture, translator, config.shorter_side(self._trained_size, split=False))

    def save(self, picture: Image.Image, path: Path | str) -> Path:
        """Write a picture that this run has translated to a file that says a network made it, as `ws.translate` does.

        PNG, JPEG, WebP, AVIF and TIFF files say it, in XMP; another suffix is a BamkitError. What is there is replaced.

        >>> from PIL import Image
        >>> made = run.translate(Image.new("RGB", (50, 40), "orange"))
        >>> b"compositeWithTrainedAlgorithmicMedia" in run.save(made, folder / "dark.jpg").read_bytes()
        True
        """
        import numpy as np

        from bamkit.common.pictures.generated import save_options, xmp_packet
        from bamkit.common.workspace import atomic_path
        from bamkit.gan.translate.origin import format_of, in_format, png_bytes, writable_suffixes

        method = method_of(self.about["config"]).title
        target, mark = Path(path), xmp_packet(self.name, str(self.about["run_id"]), method=method)
        suffix = target.suffix.lower()
        if suffix not in writable_suffixes() or save_options(format_of(suffix), mark) is None:
            raise BamkitError(f"{target} could not say that a network made it", "a .png, .jpg, .webp or .tif file can")
        alpha = np.asarray(picture.getchannel("A")) if picture.mode == "RGBA" else None
        png = png_bytes(np.asarray(picture.convert("RGB")), alpha, {"run": self.name}, mark)
        with atomic_path(target) as temporary:
            temporary.write_bytes(in_format(png, suffix, mark))
        return target

    @property
    def _trained_size(self) -> int:
        return int(self.about["config"]["size"])

    def _translator(self, direction: str, config: Any) -> Translator:
        """Kept, so that a loop over pictures loads the network once."""
        from bamkit.gan.train.checkpoint import load_generators
        from bamkit.gan.translate.run import translator_of

        key = (direction, config.checkpoint, config.tile, config.memory, config.device, config.strength)
        if key not in self._translators:
            made = load_generators(self.path, config.checkpoint)
            self._translators[key] = translator_of(made.directions()[direction], config)
        return self._translators[key]

    def _direction(self, wanted: str | None) -> str:
        from bamkit.gan.translate.run import chosen_directions

        if wanted is None:
            return self.directions[0]
        return next(iter(chosen_directions(dict.fromkeys(self.directions), wanted)))

    def export(
        self,
        to: Literal["cyclegan", "onnx", "safetensors", "torchscript", "web"],
        output: Path | str,
        direction: str | None = None,
        *,
        checkpoint: str = "best-or-last",
        old: bool = False,
        dropout: bool = False,
        force: bool = False,
        runtime: Path | str | None = None,
    ) -> Exported:
        """Write the generators (or that of one direction) in another program's format, as `bamkit export` does.

        The result has `files` and `notes`; a model card lies beside them. `runtime`: onnxruntime-web's .tgz for `web`,
        where it cannot be downloaded.

        >>> [path.name for path in run.export("torchscript", folder / "out", "happy-to-scary").files][0]
        'happy-to-scary.pt'
        """
        from bamkit.gan.exchange.export import export_run

        return export_run(
            self.path, to, Path(output), which=checkpoint, direction=self._direction(direction) if direction else None,
            old=old, dropout=dropout, force=force, runtime=Path(runtime) if runtime else None,
        )  # fmt: skip

    def show(self, direction: str | None = None) -> Image.Image:
        """The newest sample sheet of a direction: fixed test pictures before, after, and back again.

        >>> run.show().mode
        'RGB'
        """
        from PIL import Image

        chosen = self._direction(direction)
        sheets = sorted((self.path / "samples").glob(f"{chosen}-*.png"))
        if not sheets:
            raise BamkitError(f"run {self.name} has no samples of {chosen}", "train with samples=24")
        with Image.open(sheets[-1]) as sheet:
            return sheet.convert("RGB")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        config, metrics = self.about["config"], self.path / "metrics.csv"
        head = (
            f"run {self.name}: {self.directions[0]} and back, {config['generator']} of width {config['width']}, "
            f"{self.about.get('steps') or 0:,} steps\n{self.path}"
        )
        content = method_of(self.about.get("config") or {}).content
        shown = ["step", "epoch", "seconds", *content.columns, "images_per_second"]
        return as_html(head, self.metrics[shown].tail(1) if metrics.is_file() else "")
