"""CreateTable and DescribeTable. A table is ACTIVE as soon as it was made."""

import re
from typing import Any

from dynamirror.model.key import KeyAttribute, KeySchema
from dynamirror.testing.dynamodb.refusal import invalid, unreadable
from dynamirror.testing.dynamodb.table import EventualReads, Table

_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}", re.ASCII)
_KEY_TYPES = frozenset({"S", "N", "B"})
_NOT_SIMULATED = ("GlobalSecondaryIndexes", "LocalSecondaryIndexes", "StreamSpecification")
# When the first table was made; the next ones follow by a second each, so that a re-created one differs.
_EPOCH_S = 1_700_000_000.0


def table_name(content: dict[str, Any]) -> str:
    """The table that a request is for, by name or ARN. Raises Refusal."""
    name = content.get("TableName")
    if name is None:
        raise invalid("The parameter 'TableName' is required but was not present in the request")
    if type(name) is not str:
        raise unreadable("TableName is no string")
    name = name.rpartition("/")[2]
    if not _NAME.fullmatch(name):
        raise invalid(f"Invalid table/index name: {name}; 3 to 255 of a-z, A-Z, 0-9, '_', '-', and '.'")
    return name


def new_table(content: dict[str, Any], place: str, ordinal: int, eventual: EventualReads | None) -> Table:
    """The table that a CreateTable asks for, `ordinal` among all that were made. Raises Refusal."""
    for parameter in _NOT_SIMULATED:
        if content.get(parameter):
            raise invalid(f"{parameter} is not simulated")
    if content.get("BillingMode") != "PAY_PER_REQUEST" and "ProvisionedThroughput" not in content:
        raise invalid("No provisioned throughput specified for the table")
    types = _pairs(content, "AttributeDefinitions", "AttributeName", "AttributeType")
    roles = _pairs(content, "KeySchema", "AttributeName", "KeyType")
    if list(roles.values()) not in (["HASH"], ["HASH", "RANGE"]) or types.keys() != roles.keys():
        raise invalid("Invalid KeySchema: one HASH and at most one RANGE key, each with its attribute definition")
    if not set(types.values()) <= _KEY_TYPES:
        raise invalid("Member must satisfy enum value set: [B, N, S]")
    keys = [KeyAttribute(name, types[name]) for name in roles]
    name = table_name(content)
    facts = {
        "TableArn": f"arn:aws:dynamodb:{place}:table/{name}",
        "TableId": f"00000000-0000-4000-8000-{ordinal:012d}",
        "CreationDateTime": _EPOCH_S + ordinal,
    }
    return Table(name, KeySchema(*keys), facts, eventual)


def description(table: Table) -> dict[str, Any]:
    """What DescribeTable says."""
    keys = [(table.schema.hash, "HASH")] + ([(table.schema.range, "RANGE")] if table.schema.range else [])
    return {
        "TableName": table.name,
        "TableStatus": "ACTIVE",
        "KeySchema": [{"AttributeName": key.name, "KeyType": role} for key, role in keys],
        "AttributeDefinitions": [{"AttributeName": key.name, "AttributeType": key.type} for key, _ in keys],
        "ItemCount": len(table.rows),
        "TableSizeBytes": sum(stored.size for stored in table.rows.values()),
        **table.facts,
    }


def _pairs(content: dict[str, Any], parameter: str, first: str, second: str) -> dict[str, str]:
    elements = content.get(parameter)
    if not elements:
        raise invalid(f"1 validation error detected: Value null at '{parameter}': not null")
    pairs = {element[first]: element[second] for element in elements}
    if len(pairs) != len(elements):
        raise invalid(f"{parameter} names an attribute twice")
    return pairs
