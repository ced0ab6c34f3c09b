"""BatchWriteItem and BatchGetItem."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from dynamirror.model.key import Key
from dynamirror.testing.dynamodb.project import project
from dynamirror.testing.dynamodb.reads import consistent, read_units
from dynamirror.testing.dynamodb.refusal import Refusal, invalid, unreadable
from dynamirror.testing.dynamodb.request import Request, structure
from dynamirror.testing.dynamodb.table import ITEM_BYTES_MAX, Table
from dynamirror.testing.dynamodb.values import check_item
from dynamirror.testing.dynamodb.writes import Watch, size_of, write_units

# API reference, BatchWriteItem and BatchGetItem.
WRITES_MAX = 25
KEYS_MAX = 100
ANSWER_BYTES_MAX = 16 * 1024 * 1024

FindTable: TypeAlias = Callable[[str], Table]
# Capacity consumed, by table.
Units: TypeAlias = dict[str, float]


def batch_write_item(
    find: FindTable, content: dict[str, Any], watch: Callable[[str], Watch], unprocessed: int
) -> tuple[dict[str, Any], Units]:
    """See API reference. `unprocessed`: so many of the last requests are not carried out. Raises Refusal.

    All is checked before anything is written, so a refused batch has changed nothing.
    """
    requested = structure(content, "RequestItems")
    count = sum(map(_length, requested.values()))
    if not requested or 0 in map(_length, requested.values()):
        raise invalid("1 validation error detected: 'requestItems' failed to satisfy constraint: length at least 1")
    if count > WRITES_MAX:
        raise invalid("Too many items requested for the BatchWriteItem call")
    plan = [
        (name, request, _checked_write(find(name), request))
        for name, requests in requested.items()
        for request in requests
    ]
    _refuse_twice([(find(name).name, key) for name, _, (key, _, _) in plan])
    if unprocessed >= count:
        raise _throttled()
    units: Units = {}
    for name, _, (key, item, size) in plan[: count - unprocessed]:
        table = find(name)
        old = table.remove(key) if item is None else table.put(key, item, size)
        watch(table.name)(key, item)
        units[name] = units.get(name, 0.0) + write_units(size, size_of(old))
    left: dict[str, list[Any]] = {}
    for name, request, _ in plan[count - unprocessed :]:
        left.setdefault(name, []).append(request)
    return {"UnprocessedItems": left}, units


def batch_get_item(find: FindTable, content: dict[str, Any], unprocessed: int) -> tuple[dict[str, Any], Units]:
    """See API reference. `unprocessed`: so many of the last keys are not read. Raises Refusal."""
    requested = structure(content, "RequestItems")
    if not requested:
        raise invalid("1 validation error detected: 'requestItems' failed to satisfy constraint: length at least 1")
    reads = {name: _TableRead(find(name), request) for name, request in requested.items()}
    plan = [(name, key) for name, read in reads.items() for key in read.keys]
    if len(plan) > KEYS_MAX:
        raise invalid("Too many items requested for the BatchGetItem call")
    _refuse_twice(plan)
    if unprocessed >= len(plan):
        raise _throttled()
    answer: dict[str, Any] = {"Responses": {name: [] for name in reads}, "UnprocessedKeys": {}}
    units: Units = {}
    size = 0
    for place, (name, key) in enumerate(plan):
        stored = reads[name].get(key)
        size += stored[1] if stored else 0
        if place >= len(plan) - unprocessed or size > ANSWER_BYTES_MAX:
            answer["UnprocessedKeys"] = _unread(reads, plan[place:])
            break
        units[name] = units.get(name, 0.0) + read_units(stored[1] if stored else 0, reads[name].strongly)
        if stored:
            answer["Responses"][name].append(stored[0])
    return answer, units


class _TableRead:
    """What a batch reads of one table."""

    def __init__(self, table: Table, content: Any) -> None:
        if type(content) is not dict:
            raise unreadable("the keys of a table are no structure")
        keys = content.get("Keys") or []
        if not _length(keys):
            raise invalid("1 validation error detected: 'keys' failed to satisfy constraint: length at least 1")
        request = Request(content, "ProjectionExpression")
        request.check_key_paths(table.key_names)
        paths = request.tree("ProjectionExpression")
        self.content = content
        self.strongly = consistent(content)
        self.keys: list[Key] = [table.key_of(key) for key in keys]
        self._paths = None if paths is None else request.paths("ProjectionExpression", paths)
        self._table = table

    def get(self, key: Key) -> tuple[Mapping[str, Any], int] | None:
        """The item as it is asked for, and its size."""
        stored = self._table.get(key, self.strongly)
        if stored is None:
            return None
        return (stored.item if self._paths is None else project(stored.item, self._paths)), stored.size

    def again(self, keys: list[Key]) -> dict[str, Any]:
        """The request for these keys only."""
        return {**self.content, "Keys": [self._table.key_attributes(key) for key in keys]}


def _unread(reads: Mapping[str, _TableRead], left: list[tuple[str, Key]]) -> dict[str, Any]:
    by_table: dict[str, list[Key]] = {}
    for name, key in left:
        by_table.setdefault(name, []).append(key)
    return {name: reads[name].again(keys) for name, keys in by_table.items()}


def _checked_write(table: Table, request: Any) -> tuple[Key, dict[str, Any] | None, int]:
    """Key, item (None: delete it) and size of one write. Raises Refusal."""
    if type(request) is not dict:
        raise unreadable("a write request is no structure")
    kinds = [kind for kind in ("PutRequest", "DeleteRequest") if request.get(kind) is not None]
    if len(kinds) != 1:
        raise invalid("Supplied WriteRequest must contain exactly one of PutRequest and DeleteRequest")
    if kinds == ["DeleteRequest"]:
        return table.key_of(structure(structure(request, "DeleteRequest"), "Key")), None, 0
    item = structure(structure(request, "PutRequest"), "Item")
    size = check_item(item)
    key = table.key_of_item(item)
    if size > ITEM_BYTES_MAX:
        raise invalid("Item size has exceeded the maximum allowed size")
    return key, item, size


def _refuse_twice(keys: list[tuple[str, Key]]) -> None:
    if len(set(keys)) != len(keys):
        raise invalid("Provided list of item keys contains duplicates")


def _length(requests: Any) -> int:
    if type(requests) is not list:
        raise unreadable("the requests of a table are no list")
    return len(requests)


def _throttled() -> Refusal:
    return Refusal(
        "ProvisionedThroughputExceededException",
        "The level of configured provisioned throughput for the table was exceeded. "
        "Consider increasing your provisioning level with the UpdateTable API",
    )
