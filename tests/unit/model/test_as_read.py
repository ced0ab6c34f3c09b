"""The condition "as it was read": what it says, and that it stays within the service's limits."""

import msgspec
import pytest

from dynamirror.model.as_read import EXPRESSION_BYTES_MAX, OPERATORS_MAX, SUBSTITUTIONS_BYTES_MAX, AsRead, as_read
from dynamirror.model.diff import Item
from dynamirror.model.key import KeyAttribute, KeySchema

SCHEMA = KeySchema(KeyAttribute("pk", "S"), KeyAttribute("sk", "N"))
KEY: Item = {"pk": {"S": "k"}, "sk": {"N": "1"}}


def test_an_item_that_was_not_there() -> None:
    condition = as_read(None, SCHEMA)
    assert condition.request() == {
        "ConditionExpression": "attribute_not_exists(#hash)",
        "ExpressionAttributeNames": {"#hash": "pk"},
    }
    assert condition.holds(None)
    assert not condition.holds(KEY)


def test_an_item_of_its_key_alone_demands_no_values() -> None:
    assert as_read(KEY, SCHEMA).request() == {
        "ConditionExpression": "attribute_exists(#hash)",
        "ExpressionAttributeNames": {"#hash": "pk"},
    }


def test_every_other_attribute_is_demanded_by_value() -> None:
    condition = as_read({**KEY, "b": {"S": "long"}, "a": {"N": "1"}}, SCHEMA)
    assert condition.request() == {
        "ConditionExpression": "attribute_exists(#hash) AND #n0 = :v0 AND #n1 = :v1",
        "ExpressionAttributeNames": {"#hash": "pk", "#n0": "a", "#n1": "b"},
        "ExpressionAttributeValues": {":v0": {"N": "1"}, ":v1": {"S": "long"}},
    }
    assert condition.holds({**KEY, "b": {"S": "long"}, "a": {"N": "1.0"}, "more": {"S": ""}})
    assert not condition.holds({**KEY, "b": {"S": "long"}, "a": {"N": "2"}})
    assert not condition.holds({**KEY, "a": {"N": "1"}})
    assert not condition.holds(None)


def operators(condition: AsRead) -> int:
    expression = condition.request()["ConditionExpression"]
    return int(expression.count("(") + expression.count(" = ") + expression.count(" AND "))


@pytest.mark.parametrize("attributes", [149, 150, 300, 2000])
def test_operators_are_limited(attributes: int) -> None:
    condition = as_read({**KEY, **{f"a{n}": {"N": str(n)} for n in range(attributes)}}, SCHEMA)
    assert operators(condition) == min(OPERATORS_MAX - 1, 2 * attributes + 1)
    assert len(condition.request()["ConditionExpression"]) <= EXPRESSION_BYTES_MAX
    assert condition.equal is not None
    assert len(condition.equal) == min(149, attributes)


def test_the_expressions_length_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynamirror.model.as_read.OPERATORS_MAX", 10**6)
    condition = as_read({**KEY, **{f"a{n}": {"N": "1"} for n in range(2000)}}, SCHEMA)
    length = len(condition.request()["ConditionExpression"])
    assert EXPRESSION_BYTES_MAX - 25 < length <= EXPRESSION_BYTES_MAX


def test_names_and_values_are_limited_and_the_small_ones_come_first() -> None:
    # As JSON an item of 400 KB may be six times as long: "\u0001" is one byte at the service.
    large: Item = {f"l{n}": {"S": "\u0001" * 60_000} for n in range(6)}
    long_names: Item = {f"{n}" * 60_000: {"S": "x"} for n in "abc"}
    condition = as_read({**KEY, **large, **long_names, "flag": {"BOOL": True}}, SCHEMA)
    assert condition.equal is not None
    assert next(iter(condition.equal)) == "flag"
    assert long_names.keys() < condition.equal.keys()
    assert 1 <= len(large.keys() & condition.equal.keys()) < 6
    assert len(msgspec.json.encode(condition.request())) < SUBSTITUTIONS_BYTES_MAX + 2 * EXPRESSION_BYTES_MAX
