"""Decisions of a review: the log that `bamkit review` writes, what it says in the end, and its replay on a choice.

The log is a CSV file to which rows are only ever added. `undo` takes back the last standing decision of that reviewer
on that image. An image follows the decision of more than half of the reviewers who decided on it; where no decision has
more than half, it stays as the query chose it.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bamkit.common.contract import SPLITS
from bamkit.common.errors import BamkitError

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("time", "reviewer", "selection", "selection_id", "mid", "decision", "split", "reason")
"""Of decisions.csv. `split` is where `move` moves to, else empty; `reason` may be empty."""
KEEP, DROP, MOVE, UNDO = "keep", "drop", "move", "undo"
NAMED = 3
"""Images that a note names."""


@dataclass(frozen=True)
class Decision:
    """One row of the log."""

    reviewer: str
    mid: int
    decision: str
    """KEEP, DROP, MOVE or UNDO."""
    split: str = ""
    """Where MOVE moves the image to."""
    reason: str = ""
    selection: str = ""
    selection_id: str = ""
    time: str = ""

    @property
    def outcome(self) -> str:
        """`keep`, `drop`, or the split that the image is moved to."""
        return self.split if self.decision == MOVE else self.decision


@dataclass(frozen=True)
class Review:
    """What a log says in the end."""

    outcomes: dict[int, str]
    """mid -> `keep`, `drop` or a split; images that the reviewers disagree about are left out."""
    undecided: tuple[int, ...] = ()
    """The images that the reviewers disagree about."""
    notes: tuple[str, ...] = field(default=())

    @property
    def texts(self) -> tuple[str, ...]:
        """As `Query.reviewed` takes them: `17:drop`."""
        return tuple(f"{mid}:{outcome}" for mid, outcome in self.outcomes.items())


def read_review(path: Path, selection: str = "") -> Review:
    """The standing decisions of a log. Where it is about several selections, only those on `selection` count.

    Raises BamkitError where it is none, or is about several selections and not about this one.
    """
    rows, torn = read_log(path)
    about = Counter(row.selection for row in rows if row.selection)
    notes = ["the last line of the decisions is cut off and left out"] if torn else []
    if len(about) > 1:
        if selection not in about:
            known = ", ".join(sorted(about))
            raise BamkitError(f"{path} has decisions on {known}, none on {selection}", "--name ONE-OF-THESE")
        others = len(rows) - about[selection]
        notes.append(f"{others:,} decisions on other selections than {selection} are left out")
        rows = [row for row in rows if row.selection == selection]
    review = resolve(standing(rows))
    if review.undecided:
        n = len(review.undecided)
        said = f"the reviewers disagree about {n:,} {'image' if n == 1 else 'images'} ({_named(review.undecided)})"
        notes.insert(0, f"{said}: no decision has more than half of them, so the query's choice stands there")
    return Review(review.outcomes, review.undecided, tuple(notes))


def read_log(path: Path) -> tuple[list[Decision], bool]:
    """The rows of a log, and whether its last line was cut off (by a power cut) and is left out.

    Every row is one line. `time`, `selection`, `selection_id`, `split` and `reason` may be missing. Raises BamkitError
    naming the line that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BamkitError(f"there are no decisions at {path}", "bamkit review   # writes them") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BamkitError(f"{path} is not a readable CSV file: {error}", "bamkit review   # writes one") from error
    lines = text.split("\n")
    whole, rest = lines[:-1], lines[-1].strip()
    header = _cells(path, 1, (whole[:1] or [rest])[0])
    if not {"mid", "decision"} <= set(header):
        raise BamkitError(f"{path} lacks the columns mid and decision", "bamkit review   # writes such a file")
    rows = [_parsed(path, number, header, line) for number, line in enumerate(whole[1:], 2) if line.strip()]
    return rows, bool(rest and whole)


def _cells(path: Path, number: int, line: str) -> list[str]:
    try:
        return next(csv.reader([line.rstrip("\r")]), [])
    except csv.Error as error:
        raise BamkitError(f"{path}, line {number}: {error}", "mend or remove that line") from error


def _parsed(path: Path, number: int, header: list[str], line: str) -> Decision:
    values = _cells(path, number, line)
    row = dict(zip(header, values, strict=False))
    known = {name: row.get(name) or "" for name in ("split", "reason", "selection", "selection_id", "time")}
    said = ""
    if len(values) != len(header):
        said = f"{len(values)} columns instead of {len(header)}"
    elif not re.fullmatch("[0-9]{1,18}", row["mid"]):
        said = f"{row['mid'][:40]!r} is no mid"
    elif row["decision"] not in (KEEP, DROP, MOVE, UNDO):
        said = f"there is no decision {row['decision']!r}: {KEEP}, {DROP}, {MOVE}, {UNDO}"
    elif row["decision"] == MOVE and known["split"] not in SPLITS:
        said = f"there is no split {known['split']!r}: {', '.join(SPLITS)}"
    if said:
        raise BamkitError(f"{path}, line {number}: {said}", "mend or remove that line")
    return Decision(row.get("reviewer") or "", int(row["mid"]), row["decision"], **known)


def standing(rows: Iterable[Decision]) -> dict[int, dict[str, Decision]]:
    """mid -> reviewer -> the decision that stands, in the order of the log."""
    stacks: dict[tuple[int, str], list[Decision]] = {}
    for row in rows:
        stack = stacks.setdefault((row.mid, row.reviewer), [])
        if row.decision == UNDO:
            del stack[-1:]
        else:
            stack.append(row)
    found: dict[int, dict[str, Decision]] = {}
    for (mid, reviewer), stack in stacks.items():
        if stack:
            found.setdefault(mid, {})[reviewer] = stack[-1]
    return found


def resolve(decisions: Mapping[int, Mapping[str, Decision]]) -> Review:
    """Each image's outcome by more than half of its reviewers; whatever the order of the log."""
    outcomes, undecided = {}, []
    for mid in sorted(decisions):
        votes = Counter(decision.outcome for decision in decisions[mid].values())
        outcome, count = votes.most_common(1)[0]
        if 2 * count > votes.total():
            outcomes[mid] = outcome
        else:
            undecided.append(mid)
    return Review(outcomes, tuple(undecided))


def parse(texts: Iterable[str]) -> dict[int, str]:
    """`17:drop`, `18:keep`, `19:test` by mid, ascending. Raises BamkitError for any other text, or two on one image."""
    found: dict[int, str] = {}
    for text in texts:
        number, _, outcome = text.partition(":")
        if not (number.isascii() and number.isdecimal()) or outcome not in (KEEP, DROP, *SPLITS):
            raise BamkitError(f"{text!r} is no decision", "MID:keep, MID:drop or MID:SPLIT; --decisions takes a file")
        if found.setdefault(int(number), outcome) != outcome:
            raise BamkitError(f"there are two decisions on image {number}")
    return dict(sorted(found.items()))


def replay(
    table: pa.Table, outcomes: Mapping[int, str], counts: Mapping[str, int], grouped: bool = False
) -> tuple[pa.Table, list[str]]:
    """A choice (contract.selection_schema, ordered by rank) after a review, ranked anew, and what there is to note.

    What is dropped leaves; what is moved changes its split. Train, test and validation then get their `counts` again:
    one that is short takes the best ranks of the reserve, one that has too many gives its last ranks back to the
    reserve, but none that a reviewer decided on. No other image changes its split. `grouped`: projects stay within one
    split, so an image whose project is elsewhere is not moved, and what is given back leaves. Raises BamkitError where
    the reserve does not suffice.
    """
    import pyarrow as pa

    mids, projects = table["mid"].to_pylist(), table["project_id"].to_pylist()
    places: list[str | None] = list(table["split"].to_pylist())
    before = list(places)
    decided = {place for place, mid in enumerate(mids) if mid in outcomes}
    homes: dict[int, set[str | None]] = {}
    for mid, project, split in zip(mids, projects, before, strict=True):
        if grouped and project is not None and outcomes.get(mid) != DROP:
            homes.setdefault(project, set()).add(outcomes[mid] if outcomes.get(mid) in SPLITS else split)
    torn = []
    for place in sorted(decided):
        outcome = outcomes[mids[place]]
        if outcome == DROP:
            places[place] = None
        elif outcome in SPLITS and outcome != places[place]:
            if grouped and len(homes.get(projects[place], ())) > 1:
                torn.append(mids[place])
            else:
                places[place] = outcome
    _fill(places, decided, counts, grouped)
    kept = [place for place, split in enumerate(places) if split is not None]
    result = table.take(kept)
    ranks = pa.array(range(1, len(kept) + 1), table.schema.field("rank").type)
    result = result.set_column(result.schema.get_field_index("rank"), table.schema.field("rank"), ranks)
    splits = pa.array([places[place] for place in kept], table.schema.field("split").type)
    result = result.set_column(result.schema.get_field_index("split"), table.schema.field("split"), splits)
    return result, _notes(mids, before, places, outcomes, torn)


def _fill(places: list[str | None], decided: set[int], counts: Mapping[str, int], grouped: bool) -> None:
    """Give every split its number again, in place."""
    wanted = [split for split in SPLITS if split != "reserve"]
    reserve = [place for place, split in enumerate(places) if split == "reserve" and place not in decided]
    given: list[int] = []
    for split in wanted:
        there = [place for place, name in enumerate(places) if name == split]
        free = [place for place in there if place not in decided]
        given += free[len(free) - min(len(free), max(0, len(there) - counts[split])) :]
    for place in given:
        places[place] = None
    # What is given back serves another split only where the reserve is used up.
    spare = [*reserve, *([] if grouped else sorted(given))]
    for split in wanted:
        lacking = max(0, counts[split] - places.count(split))
        if lacking > len(spare):
            raise BamkitError(
                f"after the review {split} lacks {lacking - len(spare):,} of {counts[split]:,} images: the reserve is "
                "used up",
                "ask for fewer images, such as a smaller --top, or for more with --reserve",
            )
        for place in spare[:lacking]:
            places[place] = split
        del spare[:lacking]
    room = counts["reserve"] - places.count("reserve") + sum(places[place] == "reserve" for place in spare)
    for number, place in enumerate(sorted(spare)):
        places[place] = "reserve" if number < room else None


def _notes(
    mids: list[int], before: list[str | None], after: list[str | None], outcomes: Mapping[int, str], torn: list[int]
) -> list[str]:
    there = set(mids)
    dropped = sum(outcomes.get(mid) == DROP for mid in mids)
    moved = sum(outcomes.get(m) in SPLITS and b != a for m, b, a in zip(mids, before, after, strict=True))
    undecided = [(b, a) for m, b, a in zip(mids, before, after, strict=True) if m not in outcomes]
    filled = sum(b == "reserve" and a not in (None, "reserve") for b, a in undecided)
    given = sum(b not in (None, "reserve") and a != b for b, a in undecided)
    said = f"reviewed: {dropped:,} images dropped, {moved:,} moved, {filled:,} taken from the reserve instead"
    notes = [said + (f", {given:,} given back to it" if given else "")]
    if torn:
        notes.append(f"{len(torn):,} not moved, since --group-by project keeps their project together ({_named(torn)})")
    if absent := sorted(set(outcomes) - there):
        n = len(absent)
        notes.append(
            f"{n:,} {'decision is' if n == 1 else 'decisions are'} on images that are not in the choice "
            f"({_named(absent)})"
        )
    return notes


def _named(mids: Iterable[int]) -> str:
    mids = list(mids)
    more = f" and {len(mids) - NAMED:,} more" if len(mids) > NAMED else ""
    return f"mid {', '.join(map(str, mids[:NAMED]))}{more}"
