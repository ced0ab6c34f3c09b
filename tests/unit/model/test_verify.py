"""Segments, samples, classes and sums of a verify."""

import pytest

from dynamirror.model.verify import (
    SEGMENTS_MAX,
    SEGMENTS_MIN,
    Class,
    Found,
    Lives,
    Tally,
    VerifyRun,
    chosen,
    classified,
    segments_for,
)
from dynamirror.model.verify_progress import VerifyProgress

NOW_S = 1_700_000_000.0
OVER, ALIVE = {"ttl": {"N": "1699999999"}}, {"ttl": {"N": "1700000001"}}
LIVES = Lives("ttl")


@pytest.mark.parametrize(
    "items,share,segments",
    [
        (0, 1.0, SEGMENTS_MIN),
        (100_000, 1.0, 10),
        (10**9, 1.0, SEGMENTS_MAX),
        (100_000, 0.01, 1000),
        (10**8, 0.01, 10_000),
    ],
)
def test_segments_are_many_enough(items: int, share: float, segments: int) -> None:
    assert segments_for(items, share) == segments


def test_a_sample_is_drawn_by_its_seed_alone() -> None:
    drawn = chosen(1000, 0.01, 7)
    assert drawn == chosen(1000, 0.01, 7) != chosen(1000, 0.01, 8)
    assert len(drawn) == len(set(drawn)) == 10
    assert list(chosen(4, 0.001, 1)) == list(chosen(4, 0.001, 1))
    assert len(chosen(4, 0.001, 1)) == 1
    assert list(chosen(3, 1.0, 7)) == [0, 1, 2]


@pytest.mark.parametrize(
    "source,destination,lives,kind",
    [
        ({"a": {"N": "1"}}, None, LIVES, Class.MISSING),
        (None, {"a": {"N": "1"}}, LIVES, Class.EXTRA),
        (OVER, None, LIVES, Class.EXPIRED),
        (None, OVER, LIVES, Class.EXPIRED),
        (None, OVER, Lives(), Class.EXTRA),
        (ALIVE, None, LIVES, Class.MISSING),
        (OVER, ALIVE, LIVES, Class.DIFFERENT),
        (OVER | {"a": {"N": "1"}}, OVER, LIVES, Class.EXPIRED),
        # Of another type, or longer ago than the service takes for a time to live.
        ({"ttl": {"S": "1699999999"}}, None, LIVES, Class.MISSING),
        ({"ttl": {"N": "1000"}}, None, LIVES, Class.MISSING),
    ],
)
def test_classes(
    source: dict[str, dict[str, str]], destination: dict[str, dict[str, str]], lives: Lives, kind: Class
) -> None:
    assert classified(source, destination, lives, NOW_S)[0] is kind


def test_a_difference_has_its_path() -> None:
    assert classified({"a": {"N": "1"}}, {"a": {"N": "2"}}, LIVES, NOW_S) == (Class.DIFFERENT, "a")
    assert str(Found(Class.DIFFERENT, {"pk": {"S": "x"}, "sk": {"N": "1"}}, "a")) == "pk=x, sk=1: different at a"


def test_sums() -> None:
    tally = Tally(source_items=1) + Tally(source_items=2, missing=3).with_one(Class.EXTRA).with_one(Class.EXPIRED)
    assert (tally.source_items, tally.found, tally.remaining, tally.expired) == (3, 4, 4, 1)
    assert (tally + Tally(mended=4)).remaining == 0


def test_a_run_knows_what_is_left() -> None:
    run = VerifyRun("1", "words", 4).counted(2, Tally(missing=1)).counted(0, Tally(extra=1))
    assert run.left() == [1, 3]
    assert run.tally == Tally(missing=1, extra=1)


def test_the_line_has_share_rate_and_what_is_left_of_time() -> None:
    before = VerifyProgress(0.0, Tally(), 0, 0, 10)
    now = VerifyProgress(10.0, Tally(source_items=500, destination_items=490, missing=1), 3, 4, 10)
    assert now.line(before, 1000) == (
        "verified 500 items of the source, 490 of the destination, 50 items/s, 50 % of about 1,000, 10 s left, "
        "4 of 10 segments done, 3 suspects, 1 missing, 0 extra, 0 different"
    )


def test_of_keys_alone_nobody_knows_how_many_items_there_are() -> None:
    now = VerifyProgress(10.0, Tally(suspects=1200, missing=1), 3, 0, 1, whole=False)
    assert now.line(None, 0) == (
        "looked at 1,200 keys that the stream names, 3 suspects, 1 missing, 0 extra, 0 different"
    )
    facts = now.facts()
    assert (facts["source_items"], facts["destination_items"], facts["suspects"]) == (None, None, 1200)
    assert VerifyProgress(10.0, Tally(source_items=5), 0, 0, 1).facts()["source_items"] == 5
