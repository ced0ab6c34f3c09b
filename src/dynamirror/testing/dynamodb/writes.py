"""PutItem, UpdateItem, DeleteItem."""

from collections.abc import Callable
from math import ceil
from typing import Any, TypeAlias

from dynamirror.model.key import Key
from dynamirror.testing.dynamodb.conditions import Item
from dynamirror.testing.dynamodb.project import project
from dynamirror.testing.dynamodb.refusal import Refusal, invalid
from dynamirror.testing.dynamodb.request import Request, structure
from dynamirror.testing.dynamodb.table import ITEM_BYTES_MAX, Stored, Table, too_large_to_update
from dynamirror.testing.dynamodb.tokens import Steps
from dynamirror.testing.dynamodb.updates import updated
from dynamirror.testing.dynamodb.values import Value, check_item

# Told of every write that is applied: the key and the item, None when it was deleted.
Watch: TypeAlias = Callable[[Key, Item | None], None]

# The answer, and the capacity consumed.
Written: TypeAlias = tuple[dict[str, Any], float]

_WRITE_UNIT_BYTES = 1024


def put_item(table: Table, content: dict[str, Any], watch: Watch) -> Written:
    """See API reference, PutItem."""
    request = Request(content, "ConditionExpression")
    request.check_key_paths(table.key_names)
    wanted = request.choice("ReturnValues", "NONE", "ALL_OLD")
    item = structure(content, "Item")
    size = check_item(item)
    key = table.key_of_item(item)
    old = _checked(table, key, request)
    table.put(key, item, size)
    watch(key, item)
    attributes = old.item if old is not None and wanted == "ALL_OLD" else None
    return _with_attributes(attributes), write_units(size, size_of(old))


def delete_item(table: Table, content: dict[str, Any], watch: Watch) -> Written:
    """See API reference, DeleteItem."""
    request = Request(content, "ConditionExpression")
    request.check_key_paths(table.key_names)
    wanted = request.choice("ReturnValues", "NONE", "ALL_OLD")
    key = table.key_of(structure(content, "Key"))
    old = _checked(table, key, request)
    table.remove(key)
    watch(key, None)
    attributes = old.item if old is not None and wanted == "ALL_OLD" else None
    return _with_attributes(attributes), write_units(size_of(old))


def update_item(table: Table, content: dict[str, Any], watch: Watch) -> Written:
    """See API reference, UpdateItem. An item that is not there is made."""
    request = Request(content, "ConditionExpression", "UpdateExpression")
    request.check_key_paths(table.key_names)
    wanted = request.choice("ReturnValues", "NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW")
    given = structure(content, "Key")
    actions = request.tree("UpdateExpression") or ()
    paths = request.paths("UpdateExpression", [action.path for action in actions])
    key = table.key_of(given)
    _check_no_key(table, paths)
    old = _checked(table, key, request)
    before = old.item if old is not None else table.key_attributes(key)
    after = updated(before, actions, paths, request.scope)
    size = _size_after(old.size if old is not None else check_item(before), before, after, paths)
    if size > ITEM_BYTES_MAX:
        raise too_large_to_update()
    table.put(key, after, size)
    watch(key, after)
    attributes = _returned(wanted, old.item if old is not None else None, after, paths)
    return _with_attributes(attributes), write_units(size, size_of(old))


def write_units(*sizes: int) -> float:
    """Capacity that a write of these sizes, before and after, consumes."""
    return max(1.0, float(ceil(max(sizes, default=0) / _WRITE_UNIT_BYTES)))


def size_of(stored: Stored | None) -> int:
    """The size of an item, or of none."""
    return stored.size if stored is not None else 0


def _checked(table: Table, key: Key, request: Request) -> Stored | None:
    """What stands at the key. Raises Refusal when the condition does not hold."""
    show = request.choice("ReturnValuesOnConditionCheckFailure", "NONE", "ALL_OLD") == "ALL_OLD"
    old = table.rows.get(key)
    if not request.holds("ConditionExpression", old.item if old is not None else {}):
        more: dict[str, Any] = {"Item": old.item} if show and old is not None else {}
        raise Refusal("ConditionalCheckFailedException", "The conditional request failed", **more)
    return old


def _size_after(size: int, before: Item, after: Item, paths: list[Steps]) -> int:
    """The size of `after`; all but the top-level attributes that the paths begin with is as in `before`."""
    for name in {str(path[0]) for path in paths}:
        for item, sign in ((before, -1), (after, 1)):
            if name in item:
                size += sign * check_item({name: item[name]})
    return size


def _check_no_key(table: Table, paths: list[Steps]) -> None:
    for path in paths:
        if path[0] == table.schema.hash.name or (table.schema.range and path[0] == table.schema.range.name):
            raise invalid(
                f"One or more parameter values were invalid: Cannot update attribute {path[0]}. "
                "This attribute is part of the key"
            )


def _returned(wanted: str, old: Item | None, new: Item, paths: list[Steps]) -> Item | None:
    match wanted:
        case "ALL_OLD":
            return old
        case "ALL_NEW":
            return new
        case "UPDATED_OLD":
            return project(old or {}, paths)
        case "UPDATED_NEW":
            return project(new, paths)
        case _:
            return None


def _with_attributes(attributes: Item | dict[str, Value] | None) -> dict[str, Any]:
    return {"Attributes": attributes} if attributes else {}
