"""How much is asked for at once: half as much when the answer did not come, slowly more again."""

import pytest

from dynamirror.errors import Side, Throttled, Unanswered
from dynamirror.model.reading_size import TRY_AFTER, ReadingSize


def test_an_answer_that_does_not_come_halves_it_down_to_one() -> None:
    size = ReadingSize(10)
    seen = [size.present]
    for _ in range(5):
        size.failed(size.present)
        seen.append(size.present)
    assert seen == [10, 5, 2, 1, 1, 1]


def grown(size: ReadingSize, answers: int) -> list[int]:
    """What it is after each of so many full answers."""
    seen = []
    for _ in range(answers):
        size.succeeded(size.present)
        seen.append(size.present)
    return seen


def test_it_is_doubled_after_each_full_answer_up_to_the_largest() -> None:
    assert grown(ReadingSize(10, 3), 4) == [6, 10, 10, 10]


def test_what_has_failed_is_tried_again_only_now_and_then() -> None:
    size = ReadingSize(100)
    for asked in (100, 50, 25):
        size.failed(asked)
    assert grown(size, TRY_AFTER) == [24] * TRY_AFTER
    assert grown(size, 1) == [48]
    size.failed(48)
    assert grown(size, TRY_AFTER) == [24] * (TRY_AFTER - 1) + [48]


def test_after_an_outage_it_is_soon_what_it_was() -> None:
    size = ReadingSize(1000)
    for _ in range(20):
        size.failed(size.present)
    assert size.present == 1
    assert grown(size, TRY_AFTER + 9)[-1] == 1000


def test_a_failure_begins_the_count_anew() -> None:
    size = ReadingSize(16)
    size.failed(16)
    grown(size, TRY_AFTER - 1)
    size.failed(8)
    assert grown(size, 2) == [4, 4]


def test_an_answer_that_is_not_full_says_nothing_of_a_larger_one() -> None:
    size = ReadingSize(16, 4)
    for _ in range(10 * TRY_AFTER):
        size.succeeded(3)
    assert size.present == 4


def test_those_that_were_under_way_together_halve_it_once() -> None:
    size = ReadingSize(100)
    for _ in range(4):
        size.failed(100)
    assert size.present == 50


def test_what_was_asked_for_is_halved_also_where_more_might_have_been() -> None:
    size = ReadingSize(2000)
    size.failed(50)
    assert size.present == 25


def test_what_took_too_long_is_asked_for_again_as_soon_as_there_is_time() -> None:
    size = ReadingSize(16)
    size.shrink(16)
    assert size.present == 8
    assert grown(size, 1) == [16]


def test_only_an_answer_that_did_not_come_counts() -> None:
    size = ReadingSize(8)
    with pytest.raises(Throttled), size.reading(8):
        raise Throttled(Side.SOURCE, "not now")
    assert size.present == 8
    with pytest.raises(Unanswered), size.reading(8):
        raise Unanswered(Side.SOURCE, "no answer")
    assert size.present == 4
