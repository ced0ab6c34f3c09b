"""The table that the stand-in's Scan reads: numbered items of one size, in segments of equal length."""

import json
from typing import Any

from bench import pages

# Scan: the item that passes it is a page's last.
PAGE_BYTES_MAX = 1024 * 1024


class Table:
    """Answers Scan. A page is as the service's: `Limit` items or 1 MB, whichever comes first."""

    def __init__(self, items: int, item_bytes: int, first: int = 0, page_items_max: int = 0) -> None:
        """`first`: the number of the first item; `page_items_max`: fewer than fit into a page, 0: as many."""
        self._items = items
        self._item_bytes = item_bytes
        self._first = first
        key = b'{"pk":{"S":"%s%%0%dd"}' % (pages.KEY_MARK, pages.KEY_DIGITS)
        self._last = b',"LastEvaluatedKey":' + key + b"}"
        self._item = key + b",%s}"
        self._rest = pages.attributes(item_bytes, "n").encode()
        self._items_a_page_max = page_items_max or -(-PAGE_BYTES_MAX // item_bytes)

    def page(self, request: dict[str, Any]) -> bytes:
        """The answer's body."""
        segment, segments = request.get("Segment", 0), request.get("TotalSegments", 1)
        first, end = (self._first + self._items * place // segments for place in (segment, segment + 1))
        if "ExclusiveStartKey" in request:
            first = int(request["ExclusiveStartKey"]["pk"]["S"].removeprefix(pages.KEY_MARK.decode())) + 1
        stop = min(end, first + min(request.get("Limit", self._items), self._items_a_page_max))
        item, rest = self._item, self._rest
        items = b",".join([item % (number, rest) for number in range(first, stop)])
        counts = b'"Count":%d,"ScannedCount":%d' % (stop - first, stop - first)
        more = b"" if stop == end else self._last % (stop - 1)
        if "ReturnConsumedCapacity" in request:
            # Read consistently.
            units = -(-(stop - first) * self._item_bytes // 4096)
            more += b',"ConsumedCapacity":{"TableName":"%s","CapacityUnits":%d.0}' % (pages.SOURCE.encode(), units)
        return b'{"Items":[' + items + b"]," + counts + more + b"}"


def nothing() -> bytes:
    """The answer's body for a table without items."""
    return json.dumps({"Items": [], "Count": 0, "ScannedCount": 0}).encode()
