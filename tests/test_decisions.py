"""select --decisions: what a review's log says in the end, and its replay on a choice."""

import random

import pytest
from bamfile import make_bam, ranked

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace
from bamkit.curate.database.connection import Database
from bamkit.curate.select import decisions
from bamkit.curate.select.decisions import COLUMNS, Decision, read_review, resolve, standing
from bamkit.curate.select.manifest import select, select_into
from bamkit.curate.select.query import Query
from bamkit.curate.select.verify import verify

SMALL = {"top": 12, "test": 4, "validation": 2, "reserve": 6}


@pytest.fixture(scope="module")
def bam(tmp_path_factory):
    path = tmp_path_factory.mktemp("decided") / "bam.sqlite"
    return path, make_bam(path, rows=300)


def answer(bam, **options):
    with Database.open(bam[0]) as database:
        return select(database, Query(**{"emotion": "happy", **SMALL, **options}))


def splits(selection):
    return dict(zip(selection.table["mid"].to_pylist(), selection.table["split"].to_pylist(), strict=True))


def log(path, *rows, header=COLUMNS):
    """rows: (reviewer, mid, decision[, split[, selection]])."""
    lines = [",".join(header)]
    for reviewer, mid, decision, *rest in rows:
        split, selection = (*rest, "", "")[:2]
        values = {"reviewer": reviewer, "mid": mid, "decision": decision, "split": split, "selection": selection}
        lines.append(",".join(str(values.get(name, "")) for name in header))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_dropped_images_are_replaced_from_the_reserve_and_all_others_stay(bam):
    before = answer(bam)
    order = list(splits(before))
    gone = [order[3], order[13]]  # of train and of test
    after = answer(bam, reviewed=[f"{mid}:drop" for mid in gone])
    now = splits(after)
    assert not set(gone) & set(now)
    assert [now[order[18]], now[order[19]]] == ["train", "test"], "the best ranks of the reserve, in the splits' order"
    assert after.counts == before.counts == {"train": 12, "test": 4, "validation": 2, "reserve": 6}
    assert all(now[mid] == split for mid, split in splits(before).items() if mid in now and split != "reserve")
    expected = [row["mid"] for row in ranked(bam[1], "emotion_happy")[:26] if row["mid"] not in gone]
    assert list(now) == expected, "two more ranks follow in the reserve"
    assert after.table["rank"].to_pylist() == list(range(1, 25))
    assert after.notes[0] == "reviewed: 2 images dropped, 0 moved, 2 taken from the reserve instead"


def test_moved_images_go_where_they_are_sent_and_the_numbers_hold(bam):
    order = list(splits(answer(bam)))
    after = answer(bam, reviewed=[f"{order[0]}:test", f"{order[11]}:keep", f"{order[12]}:train"])
    now = splits(after)
    assert (now[order[0]], now[order[11]], now[order[12]]) == ("test", "train", "train")
    assert after.counts == {"train": 12, "test": 4, "validation": 2, "reserve": 6}
    more = splits(answer(bam, reviewed=[f"{order[12]}:train", f"{order[11]}:keep"]))
    assert more[order[11]] == "train", "what was kept is not given back"
    assert more[order[10]] == "reserve", "the last rank that nobody decided on is"


def test_decisions_are_part_of_the_id_and_can_be_verified(bam, tmp_path):
    workspace = Workspace.open(tmp_path)
    plain = answer(bam)
    order = list(splits(plain))
    with Database.open(bam[0]) as database:
        made = select_into(workspace, database, Query(emotion="happy", **SMALL, reviewed=[f"{order[1]}:drop"]))
        assert verify(workspace, database)[0].state == "same"
    assert made.selection_id != plain.selection_id
    kept = answer(bam, reviewed=[f"{order[1]}:keep"])
    assert splits(kept) == splits(plain)
    assert kept.selection_id != plain.selection_id
    assert answer(bam, reviewed=[f"{order[2]}:drop", f"{order[1]}:drop"]).selection_id == (
        answer(bam, reviewed=[f"{order[1]}:drop", f"{order[2]}:drop"]).selection_id
    )
    assert "reviewed" not in Query(emotion="happy").as_dict(), "selections from before keep their id"


def test_a_decision_on_an_image_that_is_not_in_the_choice_is_a_note(bam):
    plain = answer(bam)
    after = answer(bam, reviewed=["7:drop", "8:train"])
    assert splits(after) == splits(plain)
    assert after.notes[1] == "2 decisions are on images that are not in the choice (mid 7, 8)"


def test_projects_stay_together_where_they_were_asked_to(bam):
    plain = answer(bam, group_by="project", top=60)
    projects = plain.table["project_id"].to_pylist()
    mids, own = plain.table["mid"].to_pylist(), splits(plain)
    pair = next(
        p for p in projects if sum(q == p and own[m] == "train" for q, m in zip(projects, mids, strict=True)) > 1
    )
    together = [mid for mid, project in zip(mids, projects, strict=True) if project == pair]
    torn = answer(bam, group_by="project", top=60, reviewed=[f"{together[0]}:test"])
    assert splits(torn)[together[0]] == "train"
    assert any("--group-by project keeps their project together" in note for note in torn.notes)
    moved = splits(answer(bam, group_by="project", top=60, reviewed=[f"{mid}:test" for mid in together]))
    assert {moved[mid] for mid in together} == {"test"}
    homes = {}
    for mid, project in zip(mids, projects, strict=True):
        if mid in moved:
            homes.setdefault(project, set()).add(moved[mid])
    assert all(len(splits_of) == 1 for splits_of in homes.values())


def test_a_reserve_that_does_not_suffice_is_said(bam):
    few = {"top": 4, "test": 2, "validation": 1, "reserve": 0}
    order = list(splits(answer(bam, **few)))
    everything = [row["mid"] for row in bam[1] if row["scores"] and row["mid"] not in order[:3]]
    with pytest.raises(BamkitError, match="after the review train lacks 1 of 4 images"):
        answer(bam, **few, reviewed=[f"{mid}:drop" for mid in everything])
    swapped = splits(answer(bam, **few, reviewed=[f"{order[4]}:train"]))
    assert (swapped[order[4]], swapped[order[3]]) == ("train", "test"), "no reserve: what is given back fills test"


def test_undo_takes_back_the_reviewers_own_last_decision():
    rows = [
        Decision("ann", 1, "keep"), Decision("ann", 1, "drop"), Decision("bob", 1, "drop"), Decision("ann", 1, "undo"),
        Decision("ann", 2, "undo"), Decision("ann", 3, "drop"), Decision("ann", 3, "undo"), Decision("bob", 3, "undo"),
    ]  # fmt: skip
    found = standing(rows)
    assert {name: one.decision for name, one in found[1].items()} == {"ann": "keep", "bob": "drop"}
    assert set(found) == {1}


def test_more_than_half_of_the_reviewers_decide_whatever_the_order_of_the_log():
    rows = [
        Decision("a", 1, "drop"), Decision("b", 1, "keep"),
        Decision("a", 2, "drop"), Decision("b", 2, "drop"), Decision("c", 2, "keep"),
        Decision("a", 3, "move", "test"), Decision("b", 3, "move", "train"), Decision("c", 3, "drop"),
        Decision("a", 4, "move", "test"), Decision("b", 4, "move", "test"),
    ]  # fmt: skip
    review = resolve(standing(rows))
    assert review.outcomes == {2: "drop", 4: "test"}
    assert review.undecided == (1, 3)
    for seed in range(5):
        assert resolve(standing(random.Random(seed).sample(rows, len(rows)))) == review


def test_a_log_of_several_selections_counts_for_the_one_that_is_made(tmp_path):
    path = log(tmp_path / "d.csv", ("a", 1, "drop", "", "happy"), ("a", 2, "drop", "", "scary"))
    review = read_review(path, "scary")
    assert review.outcomes == {2: "drop"}
    assert review.notes == ("1 decisions on other selections than scary are left out",)
    with pytest.raises(BamkitError, match="happy, scary, none on gloomy"):
        read_review(path, "gloomy")
    alone = log(tmp_path / "e.csv", ("a", 1, "drop", "", "happy"))
    assert read_review(alone, "happy-reviewed").outcomes == {1: "drop"}


def test_logs_are_read_as_people_and_power_cuts_leave_them(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes(b"\xef\xbb\xbfmid,decision\r\n17,drop\r\n\r\n18,keep\r\n")
    assert read_review(path).outcomes == {17: "drop", 18: "keep"}
    path.write_text('mid,decision,reason\n17,drop,"a, b"\n18,ke')
    review = read_review(path)
    assert review.outcomes == {17: "drop"}
    assert "cut off" in review.notes[0]
    for text, match in (
        ("a,b\n1,2\n", "lacks the columns mid and decision"),
        ("", "lacks the columns"),
        ("mid,decision\nx,drop\n", "line 2: 'x' is no mid"),
        ("mid,decision\n1,drop\n-1,drop\n", "line 3: '-1' is no mid"),
        ("mid,decision\n1,burn\n", "no decision 'burn'"),
        ("mid,decision,split\n1,move,attic\n", "no split 'attic'"),
        ("mid,decision\n1,drop,really\n", "3 columns instead of 2"),
    ):
        path.write_text(text)
        with pytest.raises(BamkitError, match=match):
            read_review(path)
    with pytest.raises(BamkitError, match="there are no decisions at"):
        read_review(tmp_path / "none.csv")
    path.write_bytes(b"mid,decision\n\xff\xfe")
    with pytest.raises(BamkitError, match="not a readable CSV"):
        read_review(path)
    with pytest.raises(BamkitError, match="no decision"):
        Query(emotion="happy", reviewed=["reviews/happy/decisions.csv"])
    with pytest.raises(BamkitError, match="two decisions on image 3"):
        decisions.parse(["3:keep", "3:drop"])


def test_the_command_replays_a_log_and_says_what_it_did(bam, bamkit, tmp_path):
    order = list(splits(answer(bam)))
    rows = [("ann", order[0], "drop"), ("bob", order[0], "drop"), ("ann", order[5], "drop"), ("bob", order[5], "keep")]
    path = log(tmp_path / "decisions.csv", *rows, ("ann", 5, "drop"))
    line = f"select --db {bam[0]} --emotion happy --top 12 --test 4 --validation 2 --reserve 6 --decisions {path}"
    output = bamkit(line, cwd=tmp_path).output
    assert f"note: the reviewers disagree about 1 image (mid {order[5]})" in output
    assert "note: reviewed: 1 images dropped, 0 moved, 1 taken from the reserve instead" in output
    assert "note: 1 decision is on images that are not in the choice (mid 5)" in output
    quiet = bamkit(f"{line} --decisions {log(tmp_path / 'empty.csv')} --name none", cwd=tmp_path).output
    assert "reviewed" not in quiet
