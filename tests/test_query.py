"""The query language: normalised once, contradictions refused."""

import pytest

from bamkit.common.errors import BamkitError
from bamkit.curate.select.filters import like
from bamkit.curate.select.query import Bound, LabelFilter, Query


def test_two_ways_of_writing_one_question_are_equal():
    one = Query(emotion="happy", having=["people", "tree:unsure,positive"], license="CC BY*", min_score="happy=-1")
    two = Query(
        attribute="emotion_happy",
        having=("content_tree:positive,unsure", "content_people:positive", "people"),
        license=["cc by*"],
        min_score=["emotion_happy=-1.0"],
    )
    assert one == two
    assert Query.from_dict(one.as_dict()) == one


def test_names():
    assert Query(emotion="happy").name == "happy"
    assert Query(attribute="pen-ink").name == "pen_ink"
    assert Query(rank_by="cat").attribute == "content_cat"
    assert Query(emotion="happy", rank_by="cat").having_filters == [LabelFilter("emotion_happy", ("positive",))]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no attribute is given"),
        ({"emotion": "hapy"}, "no emotion 'hapy'"),
        ({"emotion": "cat"}, "content_cat is no emotion"),
        ({"emotion": "happy", "attribute": "cat"}, "contradict"),
        ({"attribute": "emotion_gloom"}, "no attribute"),
        ({"emotion": "happy", "having": ["cat:yes"]}, "no label 'yes'"),
        ({"emotion": "happy", "having": ["cat", "cat:negative"]}, "contradict"),
        ({"emotion": "happy", "having": ["cat"], "without": ["cat:positive,unsure"]}, "contradict"),
        ({"emotion": "happy", "min_score": ["cat=-1"], "max_score": ["cat=-2"]}, "lies above"),
        ({"emotion": "happy", "min_score": ["cat"]}, "is not ATTRIBUTE=NUMBER"),
        ({"emotion": "happy", "min_score": ["cat=nan"]}, "is not ATTRIBUTE=NUMBER"),
        ({"emotion": "happy", "top": 0}, "--top must be at least 1, not 0"),
        ({"emotion": "happy", "test": -1}, "--test must be at least 0, not -1"),
        ({"emotion": "happy", "limit_per_project": 0}, "--limit-per-project must be at least 1"),
        ({"emotion": "happy", "seed": 4}, "--seed has no effect"),
        ({"emotion": "happy", "sample": "best"}, "--sample must be one of top, random, stratified"),
        ({"emotion": "happy", "match": "x", "sample": "random"}, "contradict"),
        ({"emotion": "happy", "pool": 5000}, "--pool has no effect"),
        ({"emotion": "happy", "match": "x", "pool": 10}, "smaller than"),
        ({"emotion": "happy", "match": "../x"}, "cannot be a name"),
        ({"emotion": "happy", "disjoint_from": ["a/b"]}, "cannot be a name"),
        ({"emotion": "happy", "positive_above": -8.0}, "lies below"),
    ],
)
def test_mistakes_are_refused(options, words):
    with pytest.raises(BamkitError, match=words):
        Query(**options)


def test_hints_name_the_nearest():
    with pytest.raises(BamkitError) as caught:
        Query(emotion="hapy")
    assert caught.value.hint == "did you mean happy?"


def test_a_manifest_of_a_newer_bamkit_is_refused():
    with pytest.raises(BamkitError, match="does not know: moon"):
        Query.from_dict({**Query(emotion="happy").as_dict(), "moon": 1})


def test_parts():
    assert LabelFilter.parse("pen-ink: Unsure, positive") == LabelFilter("media_pen_ink", ("positive", "unsure"))
    assert str(Bound.parse("happy=-.5")) == "emotion_happy=-0.5"
    assert like("cc_by*10%?!") == "cc!_by%10!%_!!"
