"""Requests that the service refuses for their expressions."""

from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

Fields: TypeAlias = dict[str, Any]
# Given chance, a table, an item for it and a key of it: the operation and its request.
Mistake: TypeAlias = Callable[[Random, str, Fields, Fields], tuple[str, Fields]]

ONE = {"N": "1"}


def put(table: str, item: Fields, **more: Any) -> tuple[str, Fields]:
    """PutItem."""
    return "PutItem", {"TableName": table, "Item": item, **more}


def update(table: str, key: Fields, expression: str, **more: Any) -> tuple[str, Fields]:
    """UpdateItem."""
    return "UpdateItem", {"TableName": table, "Key": key, "UpdateExpression": expression, **more}


def given(**values: Any) -> Fields:
    """Given values."""
    return {"ExpressionAttributeValues": {f":{name}": value for name, value in values.items()}}


WRONG_CONDITIONS = (
    "a = ",
    "= :one",
    "a == :one",
    "a = :one AND",
    "(a = :one",
    "a = :one)",
    "((a = :one))",
    "a BETWEEN :one",
    "a IN ()",
    "NOT",
    "attribute_exists(:one)",
    "attribute_exists(a, b)",
    "attribute_type(a, :one)",
    "begins_with(a, :one)",
    "unknown(a, :one)",
    "size(a) = :one = :one",
    "a = :undefined AND a = :one",
    "#undefined = :one",
    "name = :one",
    "a = a AND a = :one",
    "a-b = :one",
    "a < :list",
    "a BETWEEN :one AND :list",
    "a BETWEEN :one AND :zero",
    "a BETWEEN :one AND :text",
    "a..b = :one",
    "a[b] = :one",
    "a[-1] = :one",
    "",
    "a",
    "a = :one, b = :one",
    "Attribute_Exists(a)",
    "pk.a = :one",
    "attribute_exists(pk[0])",
    "a IN (b, a)",
    "a BETWEEN a AND :one",
    "_a = :one",
    "contains(a)",
)


def wrong_condition(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    """See Mistake."""
    text = rng.choice(WRONG_CONDITIONS)
    values = {"one": ONE, "list": {"L": []}, "zero": {"N": "0"}, "text": {"S": "x"}}
    used = {f":{name}": value for name, value in values.items() if f":{name}" in text}
    request = {"TableName": table, "ExpressionAttributeValues": used} if used else {"TableName": table}
    match rng.choice(("PutItem", "DeleteItem", "Scan")):
        case "PutItem":
            return "PutItem", request | {"Item": item, "ConditionExpression": text}
        case "DeleteItem":
            return "DeleteItem", request | {"Key": key, "ConditionExpression": text}
        case _:
            return "Scan", request | {"FilterExpression": text}


WRONG_UPDATES = (
    "",
    "SET",
    "SET a",
    "SET a = ",
    "SET a = :one,",
    "SET a = :one SET b = :one",
    "SET a = :one, a = :one",
    "SET a = :one REMOVE a.b",
    "SET a.b = :one, a[0] = :one",
    "SET pk = :one",
    "REMOVE pk",
    "ADD a :text",
    "DELETE a :one",
    "SET a = :text + :one",
    "SET a = :one * :one",
    "SET a = list_append(:one, b)",
    "SET a = if_not_exists(:one, :one)",
    "SET a = size(b)",
    "SET a = :undefined",
    "SET name = :one",
    "UPSERT a = :one",
    "SET a = :one REMOVE",
    "SET a = missing",
    "SET a = missing + :one",
    "SET missing.b = :one",
    "SET missing[0] = :one",
    "REMOVE missing.b",
    "SET a = :one, b = list_append(missing, :list)",
)


def wrong_update(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    """See Mistake."""
    text = rng.choice(WRONG_UPDATES)
    values = {"one": ONE, "list": {"L": []}, "text": {"S": "x"}}
    used = {f":{name}": value for name, value in values.items() if f":{name}" in text}
    return update(table, key, text, **({"ExpressionAttributeValues": used} if used else {}))


def wrong_placeholders(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    """See Mistake."""
    more: Fields = rng.choice(
        (
            given(unused=ONE, one=ONE),
            given(one=ONE) | {"ExpressionAttributeNames": {"#unused": "a"}},
            given(one=ONE) | {"ExpressionAttributeNames": {}},
            {"ExpressionAttributeValues": {}},
            {},
            given(one={"N": "x"}),
            given(one=ONE) | {"ExpressionAttributeNames": {"unhashed": "a"}},
        )
    )
    if rng.random() < 0.2:
        return put(table, item, **given(one=ONE))
    return put(table, item, ConditionExpression="a = :one", **more)


def wrong_key_condition(rng: Random, table: str, item: Fields, key: Fields) -> tuple[str, Fields]:
    """See Mistake."""
    text = rng.choice(
        (
            "pk > :x",
            "a = :x",
            "pk = :one",
            "pk = :x AND a = :one",
            "pk = :x OR pk = :x",
            "NOT pk = :x",
            "pk = :x AND pk = :x",
            "pk <> :x",
            "begins_with(pk, :x)",
            "pk = a",
            "attribute_exists(pk)",
            "pk = :empty",
            "pk IN (:x)",
            ":x = :x",
            "pk = :x AND sk >= :low AND sk <= :high",
        )
    )
    values: Fields = {"x": {"S": "x"}, "one": ONE, "empty": {"S": ""}, "low": ONE, "high": ONE}
    request = {"TableName": table, "KeyConditionExpression": text}
    if rng.random() < 0.1:
        text = request["KeyConditionExpression"] = "pk = :x"
        request["FilterExpression"] = rng.choice(("attribute_exists(pk)", "pk = :x"))
    used = {f":{name}": value for name, value in values.items() if f":{name}" in text}
    return "Query", request | ({"ExpressionAttributeValues": used} if used else {})
