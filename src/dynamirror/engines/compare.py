"""Compares two tables of modest size: scans both, holds both in memory, and leaves the judgement to `model/diff`."""

from collections.abc import Mapping
from typing import Any

from dynamirror.engines.traffic import Call
from dynamirror.model.diff import Comparison, Item, compare
from dynamirror.model.key import Key, KeySchema, canonical_number


async def compare_tables(
    source: tuple[Call, str], destination: tuple[Call, str], schema: KeySchema, differences_max: int = 10
) -> Comparison:
    """Read both tables, each a (call, table name), consistently and compare them item by item.

    Both must be at rest: a write meanwhile may show as a difference. Raises what the calls raise.
    """
    return compare(await items_by_key(*source, schema), await items_by_key(*destination, schema), differences_max)


async def items_by_key(call: Call, table: str, schema: KeySchema) -> dict[Key, Item]:
    """All items of a table by canonical key."""
    items: dict[Key, Item] = {}
    request: dict[str, Any] = {"TableName": table, "ConsistentRead": True}
    while True:
        page = await call("Scan", request)
        items.update((key_of(item, schema), item) for item in page["Items"])
        if not page.get("LastEvaluatedKey"):
            return items
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def key_of(item: Mapping[str, Mapping[str, Any]], schema: KeySchema) -> Key:
    """The item's key by value, as model/key spells it."""
    parts = [
        canonical_number(item[attribute.name]["N"]) if attribute.type == "N" else item[attribute.name][attribute.type]
        for attribute in (schema.hash, schema.range)
        if attribute is not None
    ]
    return parts[0] if len(parts) == 1 else (parts[0], parts[1])
