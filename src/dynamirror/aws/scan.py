"""Reading a whole table: pages of a parallel Scan, items verbatim. Called by copy/segment.

The hot path of a copy: no item is turned into Python objects.
"""

import msgspec
from msgspec import Raw

from dynamirror.aws.wire import Caller, Consumed, encode, read
from dynamirror.errors import Side
from dynamirror.model.replica_marks import MARK, without_marks
from dynamirror.ports import ScanPage


class _Answer(msgspec.Struct):
    # The service always sends it; without it a page would look empty, and its items be left out.
    items: list[Raw] = msgspec.field(name="Items")
    last_key: Raw = msgspec.field(name="LastEvaluatedKey", default=Raw())
    # Only where it was asked for, and not from every service.
    consumed: Consumed | None = msgspec.field(name="ConsumedCapacity", default=None)


_answer = msgspec.json.Decoder(_Answer).decode


def _answer_without_marks(answer: bytes) -> _Answer:
    found = _answer(answer)
    if MARK in answer:
        found.items = [without_marks(item) for item in found.items]
    return found


class TableScan:
    """One table as `ports.ItemSource`."""

    def __init__(
        self, caller: Caller, table: str, side: Side = Side.SOURCE, *, drop_marks: bool = False, metered: bool = False
    ) -> None:
        """`side`: whose table it is, for messages. `drop_marks`: see model/replica_marks. `metered`: the pages say what
        they cost."""
        self._caller = caller
        self._side = side
        self._decode = _answer_without_marks if drop_marks else _answer
        self._head = b'{"TableName":' + encode(table) + b',"ConsistentRead":true,'
        if metered:
            self._head += b'"ReturnConsumedCapacity":"TOTAL",'
        self._what = f"Scan of {table} at {caller.url}"

    async def scan(self, segment: int, segments: int, after: bytes, items_max: int) -> ScanPage:
        """See ports.ItemSource."""
        body = self._head + encode({"Segment": segment, "TotalSegments": segments, "Limit": items_max})[1:]
        if after:
            body = body[:-1] + b',"ExclusiveStartKey":' + after + b"}"
        answer = await self._caller.call("Scan", body)
        page = read(self._decode, answer, self._side, self._what)
        units = page.consumed.capacity_units if page.consumed is not None else None
        return ScanPage(page.items, bytes(page.last_key), len(answer), units)
