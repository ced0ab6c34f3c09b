"""Requests that the service refuses, by what they break, each otherwise in order."""

from random import Random
from typing import Any

from tests.support.dynamodb_expression_mistakes import (
    ONE,
    Fields,
    Mistake,
    given,
    put,
    update,
    wrong_condition,
    wrong_key_condition,
    wrong_placeholders,
    wrong_update,
)


def _wrong_key(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    broken: Fields = rng.choice(
        (
            {**key, "pk": ONE},
            {**key, "pk": {"S": ""}},
            {**key, "other": ONE},
            {name: value for name, value in key.items() if name != "pk"},
            {**key, "pk": {"S": "k" * 2049}},
            {**key, "pk": {"SS": ["x"]}},
        )
    )
    operation = rng.choice(("GetItem", "DeleteItem", "UpdateItem"))
    return operation, {"TableName": table, "Key": broken}


def _wrong_key_in_item(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    broken: Fields = rng.choice(
        (
            {**item, "pk": ONE},
            {**item, "pk": {"S": ""}},
            {name: value for name, value in item.items() if name != "pk"},
            {**item, "pk": {"S": "k" * 2049}},
            {**item, "pk": {"NULL": True}},
        )
    )
    if rng.random() < 0.5:
        return put(table, broken)
    return "BatchWriteItem", {"RequestItems": {table: [{"PutRequest": {"Item": broken}}]}}


WRONG_NUMBERS = (
    "123456789012345678901234567890123456789",
    "1.00000000000000000000000000000000000001",
    "1E126",
    "1E-131",
    "abc",
    "",
    "0x10",
    "1.2.3",
)


def _wrong_number(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    number = {"N": rng.choice(WRONG_NUMBERS)}
    wrong: Fields = rng.choice((number, {"L": [number]}, {"NS": ["1", number["N"]]}))
    if rng.random() < 0.5:
        return put(table, {**item, "a": wrong})
    return update(table, key, "SET a = :wrong", **given(wrong=wrong))


WRONG_VALUES: tuple[Fields, ...] = (
    {"SS": []},
    {"NS": []},
    {"BS": []},
    {"SS": ["a", "a"]},
    {"NS": ["1", "1.0"]},
    {},
    {"S": "a", "N": "1"},
    {"X": "a"},
    {"NULL": False},
    {"M": {"inner": {"L": [{"SS": []}]}}},
    {"M": {"": {"S": "a"}}},
)


def _wrong_value(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    wrong = rng.choice(WRONG_VALUES)
    match rng.randint(0, 2):
        case 0:
            return put(table, {**item, "a": wrong})
        case 1:
            return "BatchWriteItem", {"RequestItems": {table: [{"PutRequest": {"Item": {**item, "a": wrong}}}]}}
        case _:
            return update(table, key, "SET a = :wrong", **given(wrong=wrong))


def _too_large(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    large = {**item, "blob": {"S": "x" * (400 * 1024 + rng.choice((0, 1, 1000)))}}
    match rng.randint(0, 2):
        case 0:
            return put(table, large)
        case 1:
            return "BatchWriteItem", {"RequestItems": {table: [{"PutRequest": {"Item": large}}]}}
        case _:
            return update(table, key, "SET blob = :blob", **given(blob=large["blob"]))


def _batch_rules(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    put, delete = {"PutRequest": {"Item": item}}, {"DeleteRequest": {"Key": key}}
    keys = {name: item[name] for name in key}
    requests: list[Any] = rng.choice(
        (
            [],
            [put, put],
            [put, {"DeleteRequest": {"Key": keys}}],
            [{"PutRequest": {"Item": item}, "DeleteRequest": {"Key": keys}}],
            [{}],
            [{"PutRequest": {}}],
            [delete] * 26,
        )
    )
    items: Fields = {} if rng.random() < 0.1 else {table: requests}
    return "BatchWriteItem", {"RequestItems": items}


def _batch_get_rules(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    keys: list[Fields] = rng.choice(([], [key, key], [{**key, "pk": {"S": str(n)}} for n in range(101)]))
    return "BatchGetItem", {"RequestItems": {table: {"Keys": keys}} if rng.random() < 0.9 else {}}


def _batch_of_no_table(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    put = [{"PutRequest": {"Item": item}}]
    if rng.random() < 0.5:
        return "BatchWriteItem", {"RequestItems": {table: put, "no-such-table": put}}
    return "BatchGetItem", {"RequestItems": {table: {"Keys": [key]}, "no-such-table": {"Keys": [key]}}}


def _no_table(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    name = "no-such-table"
    return rng.choice(
        (
            put(name, item),
            update(name, key, "REMOVE a"),
            ("GetItem", {"TableName": name, "Key": key}),
            ("DeleteItem", {"TableName": name, "Key": key}),
            ("Scan", {"TableName": name}),
            ("DescribeTable", {"TableName": name}),
        )
    )


def _wrong_paging(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    more: Fields = rng.choice(
        (
            {"Limit": 0},
            {"Limit": -1},
            {"Segment": 0},
            {"TotalSegments": 2},
            {"Segment": 2, "TotalSegments": 2},
            {"Segment": -1, "TotalSegments": 2},
            {"ExclusiveStartKey": {"pk": ONE}},
            {"ExclusiveStartKey": {"other": ONE}},
            {"Select": "SPECIFIC_ATTRIBUTES"},
            {"Select": "COUNT", "ProjectionExpression": "a"},
            {"Select": "SOME"},
            {"ProjectionExpression": "a, a.b"},
            {"ProjectionExpression": ""},
        )
    )
    return "Scan", {"TableName": table, **more}


def _wrong_choice(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    return rng.choice(
        (
            put(table, item, ReturnValues="ALL_NEW"),
            put(table, item, ReturnValues="SOME"),
            ("DeleteItem", {"TableName": table, "Key": key, "ReturnValues": "UPDATED_OLD"}),
            put(table, item, ReturnConsumedCapacity="SOME"),
            ("GetItem", {"TableName": table}),
            ("PutItem", {"TableName": table}),
            ("GetItem", {"Key": key}),
            ("GetItem", {"TableName": "x", "Key": key}),
            ("Query", {"TableName": table}),
        )
    )


MISTAKES: tuple[tuple[str, Mistake], ...] = (
    ("wrong key", _wrong_key),
    ("wrong key in an item", _wrong_key_in_item),
    ("wrong number", _wrong_number),
    ("wrong value", _wrong_value),
    ("item too large", _too_large),
    ("batch rules", _batch_rules),
    ("batch get rules", _batch_get_rules),
    ("batch of no table", _batch_of_no_table),
    ("no table", _no_table),
    ("wrong condition", wrong_condition),
    ("wrong condition", wrong_condition),
    ("wrong update", wrong_update),
    ("wrong update", wrong_update),
    ("wrong placeholders", wrong_placeholders),
    ("wrong key condition", wrong_key_condition),
    ("wrong paging", _wrong_paging),
    ("wrong choice", _wrong_choice),
)
