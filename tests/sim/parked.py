"""Items that the destination refuses, and what the rows of parked ones say of them."""

import msgspec

from dynamirror.model.diff import Item
from dynamirror.model.key import Key, KeyCodec
from dynamirror.model.parked import version_of
from dynamirror.testing.memory_dynamodb import Answer, MemoryDynamoDB

# An item with this attribute is refused.
BAD = "bad"
_BAD = b'"bad":'
_REFUSAL = msgspec.json.encode(
    {
        "__type": "com.amazon.coral.validate#ValidationException",
        "message": "One or more parameter values were invalid: Type mismatch for Index Key bad Expected: N Actual: S",
    }
)


class PickyDynamoDB(MemoryDynamoDB):
    """Refuses some items of one table, until it is mended."""

    picky: str | None = None

    def answer(self, operation: str, body: bytes, unprocessed: int = 0) -> Answer:
        """See MemoryDynamoDB. An image inside a row of the state table is text, its quotes are escaped."""
        if self.picky is not None and _BAD in body and operation in ("BatchWriteItem", "PutItem"):
            return Answer(400, _REFUSAL)
        return super().answer(operation, body, unprocessed)


class ParkedKept:
    """The rows of parked items, as the state table has them."""

    def __init__(self, codec: KeyCodec) -> None:
        self._codec = codec
        self._keys: dict[str, Key] = {}
        self._versions: dict[Key, str] = {}

    @property
    def keys(self) -> set[Key]:
        """The items that have a row."""
        return set(self._versions)

    def written(self, row_id: str, row: Item | None) -> None:
        """A row was written, or (None) removed."""
        if row is None:
            self._versions.pop(self._keys.get(row_id, ""), None)
            return
        key = self._keys[row_id] = self._codec.of(msgspec.json.encode(row["key"]["M"]))
        self._versions[key] = row["version"]["S"]

    def covers(self, key: Key, sequence: int) -> bool:
        """A row remembers this change of the item, or a newer one. 0: what was there before the stream."""
        return self._versions.get(key, "") >= version_of(str(sequence) if sequence else "")
