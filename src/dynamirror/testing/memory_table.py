"""Tables in memory: a destination that takes raw requests, and a source that feeds a stream."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from dynamirror.errors import ItemRefused
from dynamirror.model.change import Write
from dynamirror.model.diff import Item, first_difference
from dynamirror.model.key import Key, KeyCodec
from dynamirror.testing.faults import Fault, Line
from dynamirror.testing.memory_stream import MemoryStream

WRITES_MAX = 25


def _no_watch(write: Write) -> None:
    """Nobody watches."""


class MemoryTable:
    """`ports.DestinationTable`: items by key value, decoded, ready for model/diff."""

    def __init__(self, codec: KeyCodec, line: Line | None = None, watch: Callable[[Write], None] = _no_watch) -> None:
        """`watch` is told of each write at the moment it is applied, late ones included."""
        self.items: dict[Key, Item] = {}
        # Keys whose writes are refused, as an item over 400 KB would be.
        self.refused: set[Key] = set()
        self._codec = codec
        self._line = line or Line()
        self._watch = watch

    async def write(self, writes: Sequence[Write]) -> Sequence[Write]:
        """See ports.DestinationTable."""
        assert 0 < len(writes) <= WRITES_MAX, f"{len(writes)} writes in a batch"
        assert len({write.key for write in writes}) == len(writes), "a key twice in a batch"
        sent = list(writes)
        return await self._line.call("BatchWriteItem", lambda fault: self._apply(sent, fault))

    def _apply(self, writes: Sequence[Write], fault: Fault) -> Sequence[Write]:
        if any(write.key in self.refused for write in writes):
            raise ItemRefused("BatchWriteItem: one item can never be written (as the test wants it)")
        applied = writes[: max(0, len(writes) - fault.unprocessed)]
        for write in applied:
            self._apply_one(write)
            self._watch(write)
        return writes[len(applied) :]

    def _apply_one(self, write: Write) -> None:
        ((kind, request),) = msgspec.json.decode(write.request).items()
        content = request["Item" if kind == "PutRequest" else "Key"]
        key = self._codec.of(msgspec.json.encode(content))
        assert key == write.key, f"a write for {write.key} carries a request for {key}"
        if kind == "PutRequest":
            self.items[key] = content
        else:
            assert kind == "DeleteRequest", f"a request of kind {kind}"
            self.items.pop(key, None)


class MemorySource:
    """A source table with its stream: what an application does to it, at once and in order."""

    def __init__(self, codec: KeyCodec, stream: MemoryStream) -> None:
        self.items: dict[Key, Item] = {}
        self._codec = codec
        self._stream = stream
        schema = codec.schema
        self._key_names = [schema.hash.name] + ([schema.range.name] if schema.range else [])

    def put(self, item: Item) -> str | None:
        """Put an item; returns the change's sequence number, None when there is no record of it (nothing changed)."""
        key = self._codec.of(msgspec.json.encode(item))
        old = self.items.get(key)
        if old is not None and first_difference(old, item) is None:
            return None
        self.items[key] = dict(item)
        return self._emit("MODIFY" if old is not None else "INSERT", key, old, item)

    def delete(self, key_attributes: Item) -> str | None:
        """Delete by key; returns the change's sequence number, None when there was no such item."""
        key = self._codec.of(msgspec.json.encode(key_attributes))
        old = self.items.pop(key, None)
        return self._emit("REMOVE", key, old, None) if old is not None else None

    def _emit(self, event_name: str, key: Key, old: Item | None, new: Item | None) -> str | None:
        if not self._stream.enabled:
            return None
        whole: Item = new if new is not None else old or {}
        change: dict[str, Any] = {"Keys": {name: whole[name] for name in self._key_names}}
        if new is not None:
            change["NewImage"] = new
        if old is not None:
            change["OldImage"] = old
        return self._stream.append(key, event_name, change)
