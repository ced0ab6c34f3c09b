"""Short forms of requests to a DynamoDB in memory, on its table `items`: hash key pk (S), range key sk (N)."""

from typing import Any

import msgspec

from dynamirror.testing.memory_dynamodb import MemoryDynamoDB
from tests.support.memory_caller import create_table

ONE = {"N": "1"}


def ask(database: MemoryDynamoDB, operation: str, unprocessed: int = 0, **request: Any) -> Any:
    """The content of an answer; for a refusal its name."""
    answer = database.answer(operation, msgspec.json.encode(request), unprocessed)
    content = msgspec.json.decode(answer.body)
    return content if answer.status == 200 else content["__type"].rpartition("#")[2]


def with_table(**arguments: Any) -> MemoryDynamoDB:
    """A database with the table `items`: hash key pk (S), range key sk (N)."""
    database = MemoryDynamoDB(**arguments)
    create_table(database, "items", {"pk": "S", "sk": "N"})
    return database


def key(number: int, partition: str = "a") -> dict[str, Any]:
    return {"pk": {"S": partition}, "sk": {"N": str(number)}}


def put(database: MemoryDynamoDB, number: int, partition: str = "a", **attributes: Any) -> None:
    assert ask(database, "PutItem", TableName="items", Item=key(number, partition) | attributes) == {}


def get(database: MemoryDynamoDB, number: int, consistently: bool = True, partition: str = "a") -> Any:
    found = ask(database, "GetItem", TableName="items", Key=key(number, partition), ConsistentRead=consistently)
    return found.get("Item")


def update(database: MemoryDynamoDB, expression: str, returned: str = "ALL_NEW", **values: Any) -> Any:
    given: dict[str, Any] = {"ExpressionAttributeValues": {f":{name}": value for name, value in values.items()}}
    answer = ask(
        database,
        "UpdateItem",
        TableName="items",
        Key=key(1),
        UpdateExpression=expression,
        ReturnValues=returned,
        **(given if values else {}),
    )
    return answer if isinstance(answer, str) else answer.get("Attributes", {})
