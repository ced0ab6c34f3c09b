"""GetItem, Query, Scan."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

from dynamirror.model.key import Key
from dynamirror.testing.dynamodb.key_condition import KeyCondition
from dynamirror.testing.dynamodb.project import project
from dynamirror.testing.dynamodb.refusal import invalid, unreadable
from dynamirror.testing.dynamodb.request import Request, structure, whole_number
from dynamirror.testing.dynamodb.table import Stored, Table
from dynamirror.testing.dynamodb.values import Value

# "A single Query or Scan reads up to 1 MB" (Developer Guide).
PAGE_BYTES_MAX = 1024 * 1024
_READ_UNIT_BYTES = 4096
_SEGMENTS_MAX = 1_000_000


@dataclass(slots=True)
class Read:
    """An answer, and how much was read for it."""

    answer: dict[str, Any]
    size: int


def get_item(table: Table, content: dict[str, Any]) -> Read:
    """See API reference, GetItem."""
    request = Request(content, "ProjectionExpression")
    request.check_key_paths(table.key_names)
    shape = _Shape(request)
    stored = table.get(table.key_of(structure(content, "Key")), consistent(content))
    if stored is None:
        return Read({}, 0)
    return Read({"Item": shape.of(stored.item)}, stored.size)


def query(table: Table, content: dict[str, Any]) -> Read:
    """See API reference, Query."""
    request = Request(content, "KeyConditionExpression", "FilterExpression", "ProjectionExpression")
    request.check_key_paths(table.key_names)
    wanted = KeyCondition.of(request, table.schema)
    after = _start(table, content)
    seen = table.seen(consistent(content))
    forward = content.get("ScanIndexForward") is not False
    if after is not None and not wanted.holds(after):
        raise invalid("The provided starting key is outside query boundaries based on provided conditions")
    rows = seen.query(wanted.hash_text, after, forward)
    return _page(table, request, (row for row in rows if wanted.holds(row[0])))


def scan(table: Table, content: dict[str, Any]) -> Read:
    """See API reference, Scan."""
    request = Request(content, "FilterExpression", "ProjectionExpression")
    request.check_key_paths(table.key_names)
    segments = whole_number(content, "TotalSegments", 1, _SEGMENTS_MAX)
    segment = whole_number(content, "Segment", 0, _SEGMENTS_MAX - 1)
    if (segment is None) is not (segments is None):
        raise invalid("The TotalSegments parameter is required but was not present in the request when Segment is")
    if segment is not None and segments is not None and segment >= segments:
        raise invalid(f"The Segment parameter is zero-based and must be less than TotalSegments: {segment}, {segments}")
    after = _start(table, content)
    rows = table.seen(consistent(content)).scan(after, segment or 0, segments or 1)
    return _page(table, request, rows)


def consistent(content: dict[str, Any]) -> bool:
    """Whether a read must see all writes before it."""
    return content.get("ConsistentRead") is True


def read_units(size: int, strongly: bool) -> float:
    """Capacity that reading so much consumes."""
    return max(1, ceil(size / _READ_UNIT_BYTES)) * (1.0 if strongly else 0.5)


class _Shape:
    """What a read returns of each item."""

    def __init__(self, request: Request) -> None:
        paths = request.tree("ProjectionExpression")
        self._paths = None if paths is None else request.paths("ProjectionExpression", paths)

    def of(self, item: dict[str, Value]) -> dict[str, Value]:
        return item if self._paths is None else project(item, self._paths)


def _page(table: Table, request: Request, rows: Iterator[tuple[Key, Stored]]) -> Read:
    limit = whole_number(request.content, "Limit", 1, 2**31 - 1)
    shape = _Shape(request)
    count_only = _count_only(request)
    found: list[dict[str, Value]] = []
    size = scanned = 0
    last: Key | None = None
    for key, stored in rows:
        size += stored.size
        scanned += 1
        if request.holds("FilterExpression", stored.item):
            found.append(stored.item)
        if scanned == limit or size > PAGE_BYTES_MAX:
            last = key
            break
    answer: dict[str, Any] = {"Count": len(found), "ScannedCount": scanned}
    if not count_only:
        answer["Items"] = [shape.of(item) for item in found]
    if last is not None:
        answer["LastEvaluatedKey"] = table.key_attributes(last)
    return Read(answer, size)


def _count_only(request: Request) -> bool:
    projected = request.tree("ProjectionExpression") is not None
    select = request.choice("Select", "ALL_ATTRIBUTES", "COUNT", "SPECIFIC_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")
    if "Select" in request.content and projected and select != "SPECIFIC_ATTRIBUTES":
        raise invalid(f"Cannot specify the ProjectionExpression when choosing to get {select}")
    if select == "ALL_PROJECTED_ATTRIBUTES":
        raise invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
    if select == "SPECIFIC_ATTRIBUTES" and not projected:
        raise invalid("Must specify the AttributesToGet or ProjectionExpression when choosing SPECIFIC_ATTRIBUTES")
    return select == "COUNT"


def _start(table: Table, content: dict[str, Any]) -> Key | None:
    attributes = content.get("ExclusiveStartKey")
    if attributes is None:
        return None
    if type(attributes) is not dict:
        raise unreadable("ExclusiveStartKey is no structure")
    return table.key_of(attributes)
