"""What the methods are called and which losses they report. Imports no torch: pages and notebooks read it."""

from __future__ import annotations

from dataclasses import dataclass

from bamkit.common.errors import BamkitError


@dataclass(frozen=True)
class Term:
    """One term of a generator's objective, in both directions: the columns `NAME_A` and `NAME_B` of metrics.csv."""

    name: str
    title: str
    """Of its curve."""
    labels: tuple[str, str]
    """Of the two lines, with {a} and {b} for the names of the domains."""

    @property
    def columns(self) -> tuple[str, str]:
        return f"{self.name}_A", f"{self.name}_B"


@dataclass(frozen=True)
class Method:
    """A way to train, as it is told to a person."""

    title: str
    source: str
    """Authors, year and number of the paper."""
    terms: tuple[Term, ...]
    """Beside the adversarial one. The first is what holds the content, and stands wherever there is room for one."""
    comes_back: bool
    """Whether the generators are trained to undo each other, so that coming back says something of a run."""
    strengths: tuple[float, ...] = ()
    """Of how far to go, those that sample sheets show; () where the generators have no strength."""

    @property
    def losses(self) -> tuple[str, ...]:
        """What a step returns, in this order. Terms include their weights, D's losses are halved."""
        columns = tuple(column for term in self.terms for column in term.columns)
        return ("G_A", "G_B", *columns, "D_A", "D_B", "D_A_accuracy", "D_B_accuracy")

    @property
    def kept(self) -> str:
        """What says in validation how much of a picture is kept: `cycle`, or `form` where nothing learns to return."""
        return "cycle" if self.comes_back else "form"

    @property
    def content(self) -> Term:
        """The term that holds the content."""
        return self.terms[0]


METHODS = {
    "cyclegan": Method(
        title="CycleGAN",
        source="Zhu et al. 2017, arXiv:1703.10593",
        terms=(
            Term("cycle", "Cycle loss", ("{a} to {b} and back", "{b} to {a} and back")),
            Term("idt", "Identity loss", ("{b} through G_A", "{a} through G_B")),
        ),
        comes_back=True,
    ),
    "cut": Method(
        title="CUT",
        source="Park et al. 2020, arXiv:2007.15651",
        terms=(
            Term("nce", "Contrast loss", ("{a} and its translation", "{b} and its translation")),
            Term("nce_idt", "Identity contrast loss", ("{b} and itself through G_A", "{a} and itself through G_B")),
        ),
        comes_back=False,
    ),
    "santa": Method(
        title="SANTA",
        source="Xie et al. 2023, CVPR",
        terms=(
            Term("path", "Energy of the path", ("{a} to {b}", "{b} to {a}")),
            Term("source", "Source restored at strength 0, and its code", ("{a} by G_A", "{b} by G_B")),
            Term("target", "Target kept at strength 1, and its code", ("{b} by G_A", "{a} by G_B")),
        ),
        comes_back=False,
        strengths=(0.0, 0.25, 0.5, 0.75, 1.0),
    ),
}
"""By the setting `method`."""


def method_of(config: dict[str, object]) -> Method:
    """The method of a run by the settings in its run.json; runs from before there was a choice are CycleGAN's.

    Raises BamkitError for one that is not known here.
    """
    name = str(config.get("method", "cyclegan"))
    if name not in METHODS:
        raise BamkitError(f"there is no training method {name!r}", "pip install --upgrade bamkit")
    return METHODS[name]
