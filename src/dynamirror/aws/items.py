"""Items by key: consistent reads of many, conditional replacement of one.

Called by prove/reconcile, for few items: here, unlike on the hot path, items become Python objects. Their values stay
as they came all the same: numbers are text and binary is base64 in the service's JSON.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from dynamirror.aws.wire import Caller, Consumed, encode, read
from dynamirror.errors import Side, Unanswered
from dynamirror.model.as_read import AsRead
from dynamirror.model.diff import Item
from dynamirror.model.item_key import ItemKey
from dynamirror.model.key import Key, KeyCodec
from dynamirror.model.replica_marks import without_marks
from dynamirror.ports import ItemsRead

# BatchGetItem: keys in one call (API reference).
KEYS_MAX = 100


class _Unread(msgspec.Struct):
    keys: list[Raw] = msgspec.field(name="Keys")


class _Answer(msgspec.Struct):
    # The service always sends both. Without either, items that were not read would look deleted.
    found: dict[str, list[Raw]] = msgspec.field(name="Responses")
    unprocessed: dict[str, _Unread] = msgspec.field(name="UnprocessedKeys")
    # A table each. Not from every service.
    consumed: list[Consumed] = msgspec.field(name="ConsumedCapacity", default_factory=list)


_answer = msgspec.json.Decoder(_Answer).decode
_item = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


def _item_without_marks(raw: bytes) -> dict[str, dict[str, Any]]:
    return _item(without_marks(Raw(raw)))


class Items:
    """One table as `ports.ItemTable`; of the source only `read` is used."""

    def __init__(self, caller: Caller, table: str, codec: KeyCodec, side: Side, *, drop_marks: bool = False) -> None:
        """`side`: whose table it is, for messages. `drop_marks`: see model/replica_marks."""
        self._caller = caller
        self._table = table
        self._key_of = codec.of
        self._side = side
        self._decode = _item_without_marks if drop_marks else _item
        self._what = f"BatchGetItem on {table} at {caller.url}"

    async def read(self, keys: Sequence[ItemKey]) -> ItemsRead:
        """See ports.ItemReader."""
        assert 0 < len(keys) <= KEYS_MAX, f"{len(keys)} keys at once"
        asked = {item_key.key for item_key in keys}
        assert len(asked) == len(keys), "a key twice"
        wanted = {"Keys": [item_key.attributes for item_key in keys], "ConsistentRead": True}
        body = encode({"RequestItems": {self._table: wanted}, "ReturnConsumedCapacity": "TOTAL"})
        answer = self._read(_answer, await self._caller.call("BatchGetItem", body))
        items: dict[Key, Item] = {
            self._read(self._key_of, raw): self._read(self._decode, raw)
            for raws in answer.found.values()
            for raw in raws
        }
        unprocessed = {self._read(self._key_of, raw) for left in answer.unprocessed.values() for raw in left.keys}
        strangers = (items.keys() | unprocessed) - asked
        # Taken for the answer to this question, it would make items that are there look deleted.
        if strangers:
            raise Unanswered(
                self._side, f"{self._what}: the answer names {len(strangers)} keys that were not asked for"
            )
        units = sum(one.capacity_units for one in answer.consumed) if answer.consumed else None
        return ItemsRead(items, unprocessed, units)

    async def replace(self, key: ItemKey, seen: AsRead, wanted: Item | None) -> None:
        """See ports.ItemTable."""
        if wanted is not None:
            request = {"TableName": self._table, "Item": wanted, **seen.request()}
            await self._caller.call("PutItem", encode(request))
        else:
            request = {"TableName": self._table, "Key": key.attributes, **seen.request()}
            await self._caller.call("DeleteItem", encode(request))

    def _read(self, decode: Any, raw: bytes | Raw) -> Any:
        return read(decode, bytes(raw), self._side, self._what)
