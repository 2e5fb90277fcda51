"""What a person sees of a run: rows, samples, validations, warnings, the page. Only the writing process has one."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bamkit.common.pictures.generated import xmp_packet
from bamkit.gan.train.methods.terms import METHODS
from bamkit.gan.train.monitor import samples
from bamkit.gan.train.monitor.health import Health
from bamkit.gan.train.monitor.run_folder import RunFolder
from bamkit.gan.train.monitor.validation import FEWEST, Validation, Validator
from bamkit.gan.train.schedule import Schedule
from bamkit.gan.train.settings import TrainConfig
from bamkit.gan.train.state import TrainState

MOST_VALIDATED = 50
"""Validation pictures of each domain that are measured."""
PAGE_SHARE = 0.02
"""Of the time, at most so much goes into writing the run's page on the way."""


class Monitor:
    """Writes and tells what goes on, from the train_state's state, without changing it."""

    def __init__(
        self,
        folder: RunFolder,
        names: tuple[str, str],
        config: TrainConfig,
        train_state: TrainState,
        say: Callable[[str], None],
        run_id: str,
    ) -> None:
        self.run_id = run_id
        self.folder, self.names, self.config, self.train_state, self.say = folder, names, config, train_state, say
        self.method = METHODS[config.method]
        self.health = Health(names)
        self._told: set[str] = set()
        self._page_written, self._page_seconds = time.monotonic(), 1.0
        multiple = config.multiple
        self.validator: Validator | None = None
        if config.validations:
            pair = [
                samples.centre(train_state.decode(domain, "validation", MOST_VALIDATED), multiple)
                for domain in train_state.pair
            ]
            if min(map(len, pair)) >= FEWEST:
                self.validator = Validator(pair[0], pair[1], self.method.comes_back)
            else:
                say(
                    f"fewer than {FEWEST} validation pictures in a domain: no checkpoint is chosen as best, "
                    "the last one translates"
                )
        self.shown = [self._shown(i, multiple) for i in (0, 1)] if config.samples else []

    def _shown(self, i: int, multiple: int) -> Any:
        """The fixed pictures of the sample grids: the first of the test split, else of validation, else of training."""
        domain = self.train_state.pair[i]
        for split in ("test", "validation"):
            if domain.entries[split]:
                return samples.centre(self.train_state.decode(domain, split, self.config.sample_pictures), multiple)
        return samples.centre(self.train_state.train_pictures[i][: self.config.sample_pictures], multiple)

    def open(self, step: int) -> None:
        """Begin TensorBoard events."""
        if self.config.tensorboard:
            note = self.folder.open_events(step)
            if note:
                self.say(note)

    def restart(self) -> None:
        """Forget what was watched: rows are written again."""
        self.health = Health(self.names)

    def row(self, step: int, values: Mapping[str, float]) -> None:
        """A row of metrics.csv, and warnings in words."""
        with self._disk_trouble():
            self.folder.add_row(values)
        for sentence in self.health.row(step, values):
            self.say(sentence)

    def sample(self, step: int, schedule: Schedule) -> None:
        """The sample grids of both directions, if they are due; the page now and then."""
        if not self.shown or not schedule.due(step, self.config.samples):
            return
        forward, backward = self.train_state.translators()
        a, b = self.names
        for direction, translate, translate_back, pictures in (
            (f"{a}-to-{b}", forward, backward, self.shown[0]),
            (f"{b}-to-{a}", backward, forward, self.shown[1]),
        ):
            sheet = samples.draw(translate, translate_back, pictures, self.train_state.device, self.method.strengths)
            with self._disk_trouble():
                samples.write(self.folder.path / "samples", direction, step, sheet, self._mark(step))
            with self._disk_trouble():
                self.folder.add_picture(f"samples/{direction}", sheet, step)
        since = time.monotonic() - self._page_written
        if step < schedule.total and since * PAGE_SHARE > self._page_seconds:
            self.pages()

    def _mark(self, step: int) -> str:
        """What a sample sheet says about itself."""
        return xmp_packet(self.folder.path.name, self.run_id, f"step {step}", self.method.title)

    def validate(self, step: int, schedule: Schedule) -> Validation | None:
        """The validation measure, if it is due."""
        if self.validator is None or not schedule.due(step, self.config.validations):
            return None
        measured = self.validator(*self.train_state.translators(), self.train_state.device)
        pairs = {"style": measured.style, self.method.kept: measured.kept, "variety": measured.variety}
        values = {f"{name}_{side}": pair[i] for name, pair in pairs.items() for i, side in enumerate("AB")}
        with self._disk_trouble():
            self.folder.add_validation({"step": step, "score": measured.score, **values})
        for sentence in self.health.validation(step, measured):
            self.say(sentence)
        return measured

    def pages(self) -> None:
        """Write runs/NAME/index.html, where what it needs is installed."""
        began = time.monotonic()
        try:
            module = importlib.import_module("bamkit.gan.train.monitor.run_page")
            module.write(self.folder.path)
        except ModuleNotFoundError as error:
            self._once(f"no page of the run is written: {error.name} is not installed")
        except Exception as error:
            # Whatever is wrong with a page, it must not cost a training.
            self._once(f"no page of the run is written: {type(error).__name__}: {error}")
        self._page_written = time.monotonic()
        self._page_seconds = self._page_written - began

    @contextmanager
    def _disk_trouble(self) -> Iterator[None]:
        """A full disk is said, and does not end a training that may find room later."""
        try:
            yield
        except OSError as error:
            self._once(f"{error.filename or self.folder.path} cannot be written ({error.strerror}); training goes on")

    def _once(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self.say(sentence)
