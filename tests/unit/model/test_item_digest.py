"""Digests: by value exactly as model/diff, quick ones at most too strict."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dynamirror.model.diff import first_difference
from dynamirror.model.item_digest import ABSENT, quick_digest, value_digest
from tests.unit.model.test_diff import DIFFERENT, SAME

NUMBERS = st.sampled_from(["0", "-0", "1", "1.0", "1E0", "10", "1E1", "-2.50", "-2.5"])
STRINGS = st.sampled_from(["", "a", "b", "ü", "1"])
SCALARS = st.one_of(
    NUMBERS.map(lambda text: {"N": text}),
    STRINGS.map(lambda text: {"S": text}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    st.lists(NUMBERS, min_size=1, max_size=3).map(lambda texts: {"NS": texts}),
    st.lists(STRINGS, min_size=1, max_size=3).map(lambda texts: {"SS": texts}),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: {"L": values}),
        st.dictionaries(STRINGS, inner, max_size=3).map(lambda values: {"M": values}),
    ),
    max_leaves=6,
)
ITEMS: st.SearchStrategy[Any] = st.dictionaries(STRINGS, VALUES, max_size=3)


def quick(item: Any) -> bytes:
    return quick_digest(msgspec.json.encode(item))


@given(ITEMS, ITEMS)
def test_by_value_two_digests_are_one_exactly_where_there_is_no_difference(one: Any, other: Any) -> None:
    assert (value_digest(one) == value_digest(other)) is (first_difference(one, other) is None)


@given(ITEMS, ITEMS)
def test_a_quick_digest_never_takes_different_items_for_equal(one: Any, other: Any) -> None:
    if quick(one) == quick(other):
        assert first_difference(one, other) is None


@given(ITEMS)
def test_the_order_of_attributes_does_not_count(item: Any) -> None:
    assert quick(item) == quick(dict(reversed(item.items())))


def test_the_cases_of_the_comparison() -> None:
    for one, other in SAME:
        assert value_digest(one) == value_digest(other)
    for one, other, _ in DIFFERENT:
        assert value_digest(one) != value_digest(other)
        assert quick(one) != quick(other)


def test_an_empty_item_is_not_an_absent_one() -> None:
    assert value_digest(None) == ABSENT != value_digest({})
