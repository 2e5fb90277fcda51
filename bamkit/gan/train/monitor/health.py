"""What goes wrong in adversarial training, in words: a discriminator that wins, translations that are all the same."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from bamkit.gan.train.monitor.validation import SAME_PICTURE, Validation

WINS = 0.97
"""Share of patches told apart, over a window, from which a generator learns little."""
WINDOW = 500
"""Steps before anything is said: until then networks are hardly trained, and their translations are all grey."""


@dataclass
class Health:
    """Watches the rows of metrics.csv and the validations of a run between domains `names` (A, B)."""

    names: tuple[str, str]
    _rows: deque[tuple[int, float, float]] = field(default_factory=deque)
    standing: dict[str, str] = field(default_factory=dict)
    """By state, the sentence about it, as long as it has not passed."""

    def row(self, step: int, values: Mapping[str, float]) -> list[str]:
        """Sentences to say after a row of metrics; each state is reported once, until it has passed."""
        self._rows.append((step, values["D_A_accuracy"], values["D_B_accuracy"]))
        while len(self._rows) > 2 and self._rows[0][0] < step - WINDOW:
            self._rows.popleft()
        if step < WINDOW or len(self._rows) < 3 or self._rows[-1][0] - self._rows[0][0] < WINDOW // 2:
            return []
        a, b = self.names
        sentences = []
        for column, discriminator, (source, target) in ((1, "D_A", (a, b)), (2, "D_B", (b, a))):
            share = math.fsum(row[column] for row in self._rows) / len(self._rows)
            sentence = (
                f"step {step:,}: {discriminator} tells real {target} pictures from translated ones {100 * share:.0f} "
                f"times in 100: the translation {source} to {target} learns little from it. If it stays so: more "
                "pictures, --diffaug, or a smaller --discriminator-width"
            )
            sentences += self._once(f"wins {discriminator}", share > WINS, sentence)
        return sentences

    def validation(self, step: int, measured: Validation) -> list[str]:
        """Sentences to say after a validation; none within the first WINDOW steps."""
        if step < WINDOW:
            return []
        a, b = self.names
        sentences = []
        for variety, (source, target) in zip(measured.variety, ((a, b), (b, a)), strict=True):
            sentence = (
                f"step {step:,}: translations {source} to {target} look nearly the same whatever the picture "
                f"(they differ {100 * variety:.0f} % as much as real {target} pictures do): a collapse. "
                "Go back to an earlier checkpoint, or train with a higher --lambda-identity or a lower --learning-rate"
            )
            sentences += self._once(f"collapse {source}", variety < SAME_PICTURE, sentence)
        return sentences

    def _once(self, state: str, holds: bool, sentence: str) -> list[str]:
        if not holds:
            self.standing.pop(state, None)
            return []
        if state in self.standing:
            return []
        self.standing[state] = sentence
        return [sentence]
