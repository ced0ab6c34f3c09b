"""DynamoDB in memory: requests that DynamoDB Local takes otherwise than the service, and what only a test can reach."""

from typing import Any

import msgspec
import pytest

from dynamirror.testing.dynamodb.reserved import RESERVED
from dynamirror.testing.memory_dynamodb import REQUEST_BYTES_MAX, Answer, MemoryDynamoDB
from tests.support.memory_asks import ONE, ask, get, key, put, update, with_table
from tests.support.memory_caller import create_table


def test_numbers_come_back_in_the_services_spelling() -> None:
    database = with_table()
    put(database, 1, n={"N": "01.50"}, s={"NS": ["1E2", "30", "-0"]}, deep={"L": [{"N": "1.0"}]})
    assert get(database, 1) == key(1) | {
        "n": {"N": "1.5"},
        "s": {"NS": ["0", "100", "30"]},
        "deep": {"L": [{"N": "1"}]},
    }


@pytest.mark.parametrize(
    "one,other,total",
    [
        ("1", "2.5", "3.5"),
        ("9" * 38, "1", "1" + "0" * 38),
        ("9" * 38, "0.1", None),
        ("9E125", "9E125", None),
        ("1E-130", "-1E-130", "0"),
    ],
)
def test_sums_are_exact_or_refused(one: str, other: str, total: str | None) -> None:
    database = with_table()
    put(database, 1, n={"N": one})
    for expression in ("ADD n :other", "SET n = n + :other"):
        put(database, 1, n={"N": one})
        found = update(database, expression, other={"N": other})
        assert found == ("ValidationException" if total is None else key(1) | {"n": {"N": total}})


def test_only_the_updated_parts_are_returned() -> None:
    """Unlike DynamoDB Local, which returns the whole attribute."""
    database = with_table()
    item: dict[str, Any] = {"m": {"M": {"a": ONE, "b": ONE}}, "l": {"L": [ONE, {"S": "x"}, {"S": "y"}]}}
    put(database, 1, **item)
    found = update(database, "SET m.a = :two, l[2] = :two", "UPDATED_OLD", two={"N": "2"})
    assert found == {"m": {"M": {"a": ONE}}, "l": {"L": [{"S": "y"}]}}
    found = update(database, "SET m.a = :two, l[2] = :two", "UPDATED_NEW", two={"N": "2"})
    assert found == {"m": {"M": {"a": {"N": "2"}}}, "l": {"L": [{"N": "2"}]}}


@pytest.mark.parametrize(
    "expression,left",
    [
        ("REMOVE l[0], l[2]", ["b"]),
        ("SET l[9] = :two, l[7] = :one", ["a", "b", "c", "1", "2"]),
        ("SET l[1] = :one REMOVE l[0]", ["1", "c"]),
        ("SET l[3] = :one REMOVE l[2]", ["a", "b", "1"]),
    ],
)
def test_positions_are_those_before_the_update(expression: str, left: list[str]) -> None:
    database = with_table()
    put(database, 1, l={"L": [{"S": "a"}, {"S": "b"}, {"S": "c"}]})
    values = {"one": {"S": "1"}, "two": {"S": "2"}}
    used: dict[str, Any] = {name: value for name, value in values.items() if f":{name}" in expression}
    assert update(database, expression, **used)["l"] == {"L": [{"S": text} for text in left]}


@pytest.mark.parametrize(
    "wrong", [{"S": 5}, {"N": 5}, {"B": "%"}, {"L": {}}, {"M": []}, {"BOOL": "true"}, {"SS": "a"}, 5]
)
def test_a_value_of_another_form_cannot_be_read(wrong: Any) -> None:
    """DynamoDB Local takes some of these, and breaks at others."""
    assert ask(with_table(), "PutItem", TableName="items", Item=key(1) | {"v": wrong}) == "SerializationException"


@pytest.mark.parametrize(
    "operation,body,status,name",
    [
        ("PutItem", b"{", 400, "SerializationException"),
        ("PutItem", b"[]", 400, "SerializationException"),
        ("Nonsense", b"{}", 400, "UnknownOperationException"),
        ("TransactWriteItems", b"{}", 400, "UnknownOperationException"),
        ("BatchWriteItem", b" " * (REQUEST_BYTES_MAX + 1), 413, "RequestEntityTooLargeException"),
        ("Scan", b'{"TableName":"items","IndexName":"i"}', 400, "ValidationException"),
        ("PutItem", b'{"TableName":"items","Expected":{},"Item":{}}', 400, "ValidationException"),
        ("Scan", b'{"TableName":"items","Limit":"5"}', 400, "SerializationException"),
    ],
)
def test_requests_that_are_none(operation: str, body: bytes, status: int, name: str) -> None:
    answer = with_table().answer(operation, body)
    assert (answer.status, msgspec.json.decode(answer.body)["__type"].rpartition("#")[2]) == (status, name)


@pytest.mark.parametrize("parameter", ["StreamSpecification", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"])
def test_what_is_not_simulated_cannot_be_asked_for(parameter: str) -> None:
    request: dict[str, Any] = {
        "TableName": "table",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    more: dict[str, Any] = {parameter: {"StreamEnabled": True}}
    assert ask(MemoryDynamoDB(), "CreateTable", **request, **more) == "ValidationException"
    assert ask(MemoryDynamoDB(), "CreateTable", **request)["TableDescription"]["TableStatus"] == "ACTIVE"


def test_a_table_that_was_made_again_is_another_one() -> None:
    database = with_table()
    before = ask(database, "DescribeTable", TableName="items")["Table"]
    assert ask(database, "DeleteTable", TableName="items")["TableDescription"]["TableStatus"] == "DELETING"
    assert ask(database, "DescribeTable", TableName="items") == "ResourceNotFoundException"
    create_table(database, "items", {"pk": "S", "sk": "N"})
    after = ask(database, "DescribeTable", TableName=before["TableArn"])["Table"]
    assert after["TableArn"] == before["TableArn"]
    assert after["TableId"] != before["TableId"]


def test_capacity_is_told_when_asked_for() -> None:
    database = with_table()
    large = key(1) | {"blob": {"S": "x" * 5000}}

    def units(operation: str, **request: Any) -> Any:
        return ask(database, operation, ReturnConsumedCapacity="TOTAL", **request)["ConsumedCapacity"]

    assert units("PutItem", TableName="items", Item=large) == {"TableName": "items", "CapacityUnits": 5.0}
    assert units("GetItem", TableName="items", Key=key(1))["CapacityUnits"] == 1.0
    assert units("Scan", TableName="items", ConsistentRead=True)["CapacityUnits"] == 2.0
    writes = {"items": [{"DeleteRequest": {"Key": key(1)}}, {"DeleteRequest": {"Key": key(2)}}]}
    assert units("BatchWriteItem", RequestItems=writes) == [{"TableName": "items", "CapacityUnits": 6.0}]


def test_reserved_words_are_refused_in_any_case() -> None:
    database = with_table()
    assert len(RESERVED) == 573
    for word in ("name", "Owner", "COUNTER", "ttl"):
        found = ask(database, "Scan", TableName="items", FilterExpression=f"attribute_exists({word})")
        assert found == "ValidationException"


@pytest.mark.parametrize(
    "text,taken",
    [
        (" OR ".join(["a = :a"] * 150), True),
        (" OR ".join(["a = :a"] * 151), False),
        ("a = :a".ljust(4096), True),
        ("a = :a".ljust(4097), False),
        (f"a IN ({','.join([':a'] * 100)})", True),
        (f"a IN ({','.join([':a'] * 101)})", False),
        ("a" + ".a" * 31 + " = :a", True),
        ("a" + ".a" * 32 + " = :a", False),
    ],
)
def test_expressions_have_limits(text: str, taken: bool) -> None:
    found = ask(with_table(), "Scan", TableName="items", FilterExpression=text, ExpressionAttributeValues={":a": ONE})
    assert (found != "ValidationException") is taken


def test_answers_are_named_pairs() -> None:
    assert MemoryDynamoDB().answer("Scan", b'{"TableName":"none"}') == Answer(
        400,
        b'{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",'
        b'"message":"Requested resource not found"}',
    )
