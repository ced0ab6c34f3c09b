"""Who of several workers compares the tables because of a gap."""

import pytest

from dynamirror.model.gap import is_first


@pytest.mark.parametrize("me,first", [("b", True), ("c", False)])
def test_the_first_of_those_that_live_whatever_rows_the_dead_have_left(me: str, first: bool) -> None:
    before, now = {"a": 7, "b": 3, "c": 3}, {"a": 7, "b": 8, "c": 8}
    assert is_first(me, before, now) is first


def test_one_that_has_just_come_counts_until_it_does_not_move() -> None:
    assert not is_first("b", {"b": 1}, {"a": 1, "b": 2})
    assert is_first("b", {"a": 1, "b": 2}, {"a": 1, "b": 3})


def test_alone_or_unseen_it_is_the_first() -> None:
    assert is_first("b", {}, {})
    assert is_first("b", {"b": 1}, {"b": 2})
