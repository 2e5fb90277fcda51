"""The query language: what to choose, parsed once, shared by the command line and Python.

    Query(emotion="happy", top=1000, having=["content_people"], license=["cc by*"])

Everything is normalised at construction, so that two ways of writing one question are equal and give one
`selection_id`; contradictions are refused there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import InitVar, asdict, dataclass, fields
from typing import Annotated, Any

from bamkit.common.contract import ATTRIBUTES, EMOTION, LABELS, attribute, emotion, short
from bamkit.common.errors import BamkitError
from bamkit.common.settings import PYTHON_ONLY, Choice, Option, Range, check
from bamkit.common.workspace import checked_name
from bamkit.curate.select import decisions as review


@dataclass(frozen=True)
class Query:
    """A question to a BAM database. Raises BamkitError where it contradicts itself or names what is not there."""

    emotion: InitVar[str] = ""
    """The domain: gloomy, happy, peaceful or scary."""
    attribute: Annotated[str, Option(complete="attributes")] = ""
    """The domain, if it is another attribute: media_watercolor, cat ..."""
    top: Annotated[int, Range(1)] = 1000
    """Images of the train split: the first ranks."""
    test: Annotated[int, Range(0)] = 200
    """Images of the test split: the next ranks."""
    validation: Annotated[int, Range(0)] = 50
    """Images of the validation split: the ranks after.

    It chooses checkpoints.
    """
    reserve: Annotated[int | None, Range(0), Option(default="15 % of the rest, at least 20")] = None
    """Ranks behind those, for dead links.

    None also takes as many as there are, where there are fewer.
    """
    having: Annotated[tuple[str, ...], Option("--with", metavar="ATTR[:LABEL]", complete="attributes")] = ()
    """Only images with this label; repeatable.

    `ATTRIBUTE[:LABEL[,LABEL]]`, positive if no label is given.
    """
    without: Annotated[tuple[str, ...], Option(metavar="ATTR[:LABEL]", complete="attributes")] = ()
    """No images with this label; repeatable.

    An image without a label passes.
    """
    min_score: Annotated[tuple[str, ...], Option(metavar="ATTR=VALUE", complete="attributes")] = ()
    """The least score of an attribute; repeatable."""
    max_score: Annotated[tuple[str, ...], Option(metavar="ATTR=VALUE", complete="attributes")] = ()
    """The greatest score; repeatable."""
    labels: Annotated[str, Choice("automatic", "crowd", "threshold")] = "automatic"
    """Whose labels --with and --without read; threshold: from the scores."""
    positive_above: float = -1.0
    """For threshold labels: scores above it are positive."""
    negative_below: float = -7.0
    """For threshold labels: scores below it are negative."""
    license: Annotated[tuple[str, ...], Option(metavar="PATTERN")] = ()
    """A licence, with * and ?; repeatable, one must match."""
    mature: bool = True
    """No images marked as mature."""
    rank_by: Annotated[str, Option(metavar="ATTR", complete="attributes")] = ""
    """Rank by another attribute; the domain's must then be positive."""
    sample: Annotated[str, Choice("top", "random", "stratified")] = "top"
    """Top ranks, a random draw, or an even draw over ten bands of the score.

    The bands are of equal width.
    """
    seed: int = 0
    """For --sample and --match."""
    limit_per_project: Annotated[int | None, Range(1), Option(metavar="K")] = None
    """At most K images of one project."""
    group_by: Annotated[str, Choice("project")] = ""
    """Keep each project within one split.

    Nor is it in a selection named by `disjoint_from`.
    """
    disjoint_from: Annotated[tuple[str, ...], Option(metavar="NAME", complete="selections")] = ()
    """Leave out the images of this selection; repeatable."""
    match: Annotated[str, Option(metavar="NAME", complete="selections")] = ""
    """Match this selection on content and media attributes."""
    pool: Annotated[int | None, Range(1), Option(default="5 times the images, then ever more until balanced")] = None
    """With --match: candidates to choose from."""
    match_any: bool = False
    """With --match: choose for balance alone, also images that are negative for the domain.

    Otherwise those are left out, and positives fall at most 5 points below their share in the unmatched top ranks.
    """
    reviewed: Annotated[tuple[str, ...], PYTHON_ONLY] = ()
    """What a review decided, `17:drop`, `18:keep`, `19:test`: see `decisions.read_review`."""

    def __post_init__(self, emotion: str) -> None:
        set_ = _setter(self)
        domain = attribute(self.attribute) if self.attribute else ""
        if emotion:
            named = _emotion(emotion)
            if domain and domain != named:
                raise BamkitError(
                    f"--emotion {short(named)} and --attribute {domain} contradict each other", "give one"
                )
            domain = named
        ranked = attribute(self.rank_by) if self.rank_by else domain
        if not ranked:
            raise BamkitError(
                "which images? no attribute is given",
                "bamkit select --emotion happy --top 1000   # or --attribute NAME",
            )
        set_("attribute", domain or ranked)
        set_("rank_by", ranked)
        set_("having", _sorted(map(str, map(LabelFilter.parse, _texts(self.having)))))
        set_("without", _sorted(map(str, map(LabelFilter.parse, _texts(self.without)))))
        set_("min_score", _sorted(map(str, map(Bound.parse, _texts(self.min_score)))))
        set_("max_score", _sorted(map(str, map(Bound.parse, _texts(self.max_score)))))
        set_("license", _sorted(text.strip().lower() for text in _texts(self.license)))
        set_("disjoint_from", _sorted(map(checked_name, _texts(self.disjoint_from))))
        set_("reviewed", tuple(f"{mid}:{outcome}" for mid, outcome in review.parse(_texts(self.reviewed)).items()))
        check(self)
        self._check_combinations()
        self._check_filters()

    def _check_combinations(self) -> None:
        if self.pool is not None and not self.match:
            raise BamkitError("--pool has no effect without --match NAME")
        if self.pool is not None and self.pool < self.wanted:
            raise BamkitError(f"--pool {self.pool} is smaller than the {self.wanted:,} images wanted")
        if self.match_any and not self.match:
            raise BamkitError("--match-any has no effect without --match NAME")
        if self.positive_above < self.negative_below:
            raise BamkitError(
                f"--positive-above {self.positive_above:g} lies below --negative-below {self.negative_below:g}"
            )
        if self.seed and self.sample == "top" and not self.match:
            raise BamkitError("--seed has no effect on top ranks", "add --sample random, or leave --seed out")
        if self.match and self.sample != "top":
            raise BamkitError(f"--match and --sample {self.sample} contradict each other: a match draws from top ranks")
        if self.match:
            checked_name(self.match)

    def _check_filters(self) -> None:
        wanted: dict[str, set[str]] = {}
        for label_filter in self.having_filters:
            before = wanted.get(label_filter.attribute, set(LABELS))
            wanted[label_filter.attribute] = before & set(label_filter.labels)
            if not wanted[label_filter.attribute]:
                self._refuse_with_rank_by(f"--with {label_filter}", label_filter.attribute)
                raise BamkitError(
                    f"the --with filters on {label_filter.attribute} contradict each other: no image has two labels of "
                    "one attribute",
                    f"for either label write --with {label_filter.attribute}:positive,unsure",
                )
        for label_filter in self.without_filters:
            if label_filter.attribute in wanted and wanted[label_filter.attribute] <= set(label_filter.labels):
                self._refuse_with_rank_by(f"--without {label_filter}", label_filter.attribute)
                raise BamkitError(f"--with and --without {label_filter} contradict each other")
        lows = {bound.attribute: bound.value for bound in self.min_bounds}
        for bound in self.max_bounds:
            low = lows.get(bound.attribute)
            if low is not None and low > bound.value:
                raise BamkitError(
                    f"--min-score {bound.attribute}={low:g} lies above --max-score {bound.attribute}={bound.value:g}"
                )

    def _refuse_with_rank_by(self, typed: str, attribute: str) -> None:
        """Raises BamkitError where a filter contradicts not another filter, but what --rank-by implies."""
        if attribute == self.attribute != self.rank_by:
            said = f"--rank-by {self.rank_by} ranks the {attribute}:positive images, and {typed} leaves them out"
            raise BamkitError(said, "leave one of the two out")

    @property
    def having_filters(self) -> list[LabelFilter]:
        """The label filters an image must pass, with the domain's own where another attribute ranks."""
        own = [] if self.rank_by == self.attribute else [LabelFilter(self.attribute, ("positive",))]
        return own + [LabelFilter.parse(text) for text in self.having]

    @property
    def without_filters(self) -> list[LabelFilter]:
        return [LabelFilter.parse(text) for text in self.without]

    @property
    def min_bounds(self) -> list[Bound]:
        return [Bound.parse(text) for text in self.min_score]

    @property
    def max_bounds(self) -> list[Bound]:
        return [Bound.parse(text) for text in self.max_score]

    @property
    def wanted(self) -> int:
        """Images that must be found: train, test and validation."""
        return self.top + self.test + self.validation

    @property
    def required(self) -> int:
        """Images without which there is no selection: a reserve that was asked for is among them."""
        return self.wanted + (self.reserve or 0)

    @property
    def reserve_wanted(self) -> int:
        """Images of the reserve that are looked for."""
        return max(20, round(0.15 * self.wanted)) if self.reserve is None else self.reserve

    @property
    def spare(self) -> int:
        """Images that are looked for behind the reserve, in place of those that a review dropped.

        A match has none: it would choose other images for a larger reserve.
        """
        return 0 if self.match else sum(outcome == review.DROP for outcome in self.outcomes.values())

    @property
    def asked(self) -> int:
        """Images that are looked for, the reserve included."""
        return self.wanted + self.reserve_wanted + self.spare

    @property
    def counts(self) -> dict[str, int]:
        """Images a split before a review, in the order they are filled: train, test, validation, reserve."""
        return {**self.counts_wanted, "reserve": self.reserve_wanted + self.spare}

    @property
    def counts_wanted(self) -> dict[str, int]:
        """Images a split in the end."""
        return {
            "train": self.top,
            "test": self.test,
            "validation": self.validation,
            "reserve": self.reserve_wanted,
        }

    @property
    def outcomes(self) -> dict[int, str]:
        """By mid, what a review decided: `keep`, `drop` or a split."""
        return review.parse(self.reviewed)

    @property
    def name(self) -> str:
        """What the selection is called unless a name is given: `happy`."""
        return short(self.attribute)

    @property
    def references(self) -> list[str]:
        """The selections that the query names."""
        return sorted({*self.disjoint_from, *filter(None, [self.match])})

    def as_dict(self) -> dict[str, Any]:
        """Plain values for provenance; `Query.from_dict` gives the query back."""
        values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        # Selections from before these fields keep their id.
        return {key: value for key, value in values.items() if value or key not in ("match_any", "reviewed")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Query:
        """The query of a manifest. Raises BamkitError if a newer bamkit wrote options this one does not know."""
        unknown = set(values) - {item.name for item in fields(cls)}
        if unknown:
            raise BamkitError(f"the query has options this bamkit does not know: {', '.join(sorted(unknown))}")
        return cls(**values)


@dataclass(frozen=True)
class LabelFilter:
    """`content_people:positive,unsure`: an attribute and the labels that pass."""

    attribute: str
    labels: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> LabelFilter:
        """From `people`, `content_people:unsure` or `people:positive,unsure`. Raises BamkitError."""
        name, _, words = text.partition(":")
        labels = [word.strip().lower() for word in words.split(",") if word.strip()] or ["positive"]
        for word in labels:
            if word not in LABELS:
                raise BamkitError(f"{text!r}: there is no label {word!r}", f"the labels are {', '.join(LABELS)}")
        return cls(attribute(name), tuple(label for label in LABELS if label in labels))

    def __str__(self) -> str:
        return f"{self.attribute}:{','.join(self.labels)}"


@dataclass(frozen=True)
class Bound:
    """`emotion_happy=-0.5`: an attribute and a limit for its score."""

    attribute: str
    value: float

    @classmethod
    def parse(cls, text: str) -> Bound:
        """From `happy=-0.5`. Raises BamkitError."""
        name, sign, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if not sign or value != value or abs(value) == float("inf"):
            raise BamkitError(f"{text!r} is not ATTRIBUTE=NUMBER", "write for instance --min-score happy=-0.5")
        return cls(attribute(name), value)

    def __str__(self) -> str:
        return f"{self.attribute}={self.value!r}"


def making(name: str) -> str:
    """What to type to make the selection `name`."""
    if name in EMOTION:
        return f"bamkit select --emotion {name} --top 1000"
    if name in map(short, ATTRIBUTES):
        return f"bamkit select --attribute {name} --top 1000"
    return f"bamkit select --emotion happy --top 1000 --name {name}"


def _emotion(name: str) -> str:
    """`contract.emotion`, pointing to --attribute for the name of another attribute."""
    try:
        return emotion(name)
    except BamkitError:
        full = name.strip().lower().replace("-", "_")
        others = [a for a in ATTRIBUTES if full in (a, short(a))]
        if others:
            raise BamkitError(f"{others[0]} is no emotion", f"give --attribute {others[0]}") from None
        raise


def _texts(values: Iterable[str] | str) -> Iterable[str]:
    """One string is one value, not a sequence of letters."""
    return (values,) if isinstance(values, str) else values


def _sorted(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _setter(query: Query) -> Any:
    return lambda name, value: object.__setattr__(query, name, value)
