"""Writing items: BatchWriteItem from the bytes that the stream sent.

Called by follow/apply. The hot path: no item is turned into Python objects, and the usual answer (all was
processed) costs one small decode.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec
from msgspec import Raw

from dynamirror.aws.wire import Caller, Consumed, encode, read
from dynamirror.errors import Side, Unanswered
from dynamirror.model.change import Write
from dynamirror.model.key import Key, KeyCodec

# BatchWriteItem: requests in one call (API reference).
WRITES_MAX = 25


class _Put(msgspec.Struct):
    item: Raw = msgspec.field(name="Item")


class _Delete(msgspec.Struct):
    key: Raw = msgspec.field(name="Key")


class _Request(msgspec.Struct):
    put: _Put | None = msgspec.field(name="PutRequest", default=None)
    delete: _Delete | None = msgspec.field(name="DeleteRequest", default=None)


class _Answer(msgspec.Struct):
    # The service always sends it, so what comes without it says nothing about the writes.
    unprocessed: dict[str, list[_Request]] = msgspec.field(name="UnprocessedItems")
    # Only where it was asked for, and not from every service.
    consumed: list[Consumed] | None = msgspec.field(name="ConsumedCapacity", default=None)


_answer = msgspec.json.Decoder(_Answer).decode

# Told which writes were carried out, and what the service charged for them (None: it did not say), indexes included.
Meter: TypeAlias = Callable[[Sequence[Write], float | None], None]


class BatchWriter:
    """The destination table as `ports.DestinationTable`; shared by all shards of a worker."""

    def __init__(
        self,
        caller: Caller,
        table: str,
        codec: KeyCodec,
        meter: Meter | None = None,
        metered: Callable[[], bool] | None = None,
    ) -> None:
        """Without a meter, or while it is not `metered`, the service is not asked what a request costs."""
        self._caller = caller
        self._meter = meter
        self._metered = metered
        self._what = f"BatchWriteItem on {table} at {caller.url}"
        self._key_of = codec.of
        self._head = b'{"RequestItems":{' + encode(table) + b":["

    async def write(self, writes: Sequence[Write]) -> Sequence[Write]:
        """See ports.DestinationTable. What comes back keeps the order of `writes`."""
        assert 0 < len(writes) <= WRITES_MAX, f"{len(writes)} writes in a batch"
        by_key = {write.key: write for write in writes}
        assert len(by_key) == len(writes), "a key twice in a batch"
        meter = self._meter if self._metered is None or self._metered() else None
        tail = b"]}}" if meter is None else b']},"ReturnConsumedCapacity":"TOTAL"}'
        body = self._head + b",".join([write.request for write in writes]) + tail
        answer = read(_answer, await self._caller.call("BatchWriteItem", body), Side.DESTINATION, self._what)
        if not answer.unprocessed:
            _measure(meter, writes, answer)
            return ()
        left = self._keys_of(answer)
        if not left <= by_key.keys():
            strangers = len(left - by_key.keys())
            raise Unanswered(
                Side.DESTINATION, f"{self._what}: UnprocessedItems names {strangers} keys that were not sent"
            )
        _measure(meter, [write for write in writes if write.key not in left], answer)
        return [write for write in writes if write.key in left]

    def _keys_of(self, answer: _Answer) -> set[Key]:
        """Echoed items need not have the bytes that were sent, so they are known by key value."""
        keys = set()
        for requests in answer.unprocessed.values():
            for request in requests:
                if request.put is not None:
                    keys.add(read(self._key_of, bytes(request.put.item), Side.DESTINATION, self._what))
                elif request.delete is not None:
                    keys.add(read(self._key_of, bytes(request.delete.key), Side.DESTINATION, self._what))
                else:
                    raise Unanswered(Side.DESTINATION, f"{self._what}: UnprocessedItems has a request of another kind")
        return keys


def _measure(meter: Meter | None, done: Sequence[Write], answer: _Answer) -> None:
    if meter is not None:
        consumed = answer.consumed
        meter(done, sum(one.capacity_units for one in consumed) if consumed else None)
