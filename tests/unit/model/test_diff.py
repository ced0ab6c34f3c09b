"""Two items are the same by value: numbers by value, sets without order, everything else exactly."""

import pytest

from dynamirror.model.diff import Comparison, Difference, Item, Kind, compare, first_difference
from dynamirror.model.key import Key

SAME: list[tuple[Item, Item]] = [
    ({"a": {"N": "1"}}, {"a": {"N": "1.0"}}),
    ({"a": {"N": "1E2"}}, {"a": {"N": "100"}}),
    ({"a": {"NS": ["1", "2.50"]}}, {"a": {"NS": ["2.5", "1.0"]}}),
    ({"a": {"SS": ["x", "y"]}}, {"a": {"SS": ["y", "x"]}}),
    ({"a": {"BS": ["AA==", "AQ=="]}}, {"a": {"BS": ["AQ==", "AA=="]}}),
    ({"a": {"M": {"x": {"N": "1"}, "y": {"S": ""}}}}, {"a": {"M": {"y": {"S": ""}, "x": {"N": "1.00"}}}}),
    ({"a": {"L": [{"N": "0"}, {"NULL": True}]}}, {"a": {"L": [{"N": "-0"}, {"NULL": True}]}}),
]

DIFFERENT: list[tuple[Item, Item, str]] = [
    ({"a": {"S": "1"}}, {"a": {"N": "1"}}, "a"),
    ({"a": {"S": "x"}}, {"a": {"S": "x "}}, "a"),
    ({"a": {"S": "x"}}, {}, "a"),
    ({}, {"a": {"S": "x"}}, "a"),
    ({"a": {"N": "1"}}, {"a": {"N": "1.0000000000000000000000000000000000001"}}, "a"),
    ({"a": {"BOOL": True}}, {"a": {"BOOL": False}}, "a"),
    ({"a": {"SS": ["x"]}}, {"a": {"SS": ["x", "y"]}}, "a"),
    ({"a": {"SS": ["x"]}}, {"a": {"L": [{"S": "x"}]}}, "a"),
    ({"a": {"L": [{"S": "x"}, {"S": "y"}]}}, {"a": {"L": [{"S": "y"}, {"S": "x"}]}}, "a[0]"),
    ({"a": {"L": [{"S": "x"}]}}, {"a": {"L": [{"S": "x"}, {"S": "y"}]}}, "a[1]"),
    ({"a": {"M": {"b": {"L": [{"N": "1"}]}}}}, {"a": {"M": {"b": {"L": [{"N": "2"}]}}}}, "a.b[0]"),
]


@pytest.mark.parametrize("one,other", SAME)
def test_same_by_value(one: Item, other: Item) -> None:
    assert first_difference(one, other) is None
    assert first_difference(other, one) is None


@pytest.mark.parametrize("one,other,path", DIFFERENT)
def test_the_first_difference_is_named(one: Item, other: Item, path: str) -> None:
    assert first_difference(one, other) == path
    assert first_difference(other, one) == path


def test_tables_are_compared_key_by_key() -> None:
    x: Item = {"v": {"S": "x"}}
    y: Item = {"v": {"S": "y"}}
    source: dict[Key, Item] = {("a", "1"): x, ("b", "1"): x, ("c", "1"): x}
    destination: dict[Key, Item] = {("a", "1"): x, ("b", "1"): y, ("d", "1"): x}
    found = compare(source, destination)
    assert found == Comparison(
        source_items=3,
        destination_items=3,
        missing=1,
        extra=1,
        changed=1,
        first=(
            Difference(Kind.CHANGED, ("b", "1"), "v"),
            Difference(Kind.MISSING, ("c", "1")),
            Difference(Kind.EXTRA, ("d", "1")),
        ),
    )
    assert not found.equal
    assert str(found.first[0]) == "b / 1: differs at v"
    assert compare(source, dict(source)).equal


def test_differences_are_counted_also_where_they_are_not_listed() -> None:
    found = compare({str(n): {"v": {"N": "1"}} for n in range(30)}, {}, differences_max=3)
    assert (found.missing, len(found.first)) == (30, 3)
