"""One table: items by key, in the order of a Scan and of a Query, and what reads of a moment ago saw."""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from dynamirror.model.key import Key, KeyAttribute, KeySchema
from dynamirror.testing.dynamodb.refusal import Refusal, invalid, unreadable, wrong_value
from dynamirror.testing.dynamodb.values import Sortable, Value, check, sortable

# Developer Guide, "Service, account, and table quotas".
ITEM_BYTES_MAX = 400 * 1024
_HASH_BYTES_MAX = 2048
_RANGE_BYTES_MAX = 1024

_TOKENS = 2**32


@dataclass(frozen=True, slots=True)
class EventualReads:
    """How far reads that do not ask for consistency lag behind: each partition (hash key) by its own draw.

    The service states no bound; it says "usually one second or less" (Developer Guide, "Read consistency").
    """

    now_s: Callable[[], float]
    # Drawn once a read for every partition that was written a short while ago.
    lag_s: Callable[[], float]
    lag_max_s: float = 1.0


@dataclass(slots=True)
class Stored:
    """An item and its size as the service counts it. Neither is ever changed."""

    item: dict[str, Value]
    size: int


@dataclass(slots=True)
class Table:
    """`facts` is what DescribeTable says."""

    name: str
    schema: KeySchema
    facts: dict[str, Any]
    eventual: EventualReads | None = None
    rows: dict[Key, Stored] = field(default_factory=dict)
    # Partitions by the hash of their key, as a Scan meets them; within a partition in the order of a Query.
    _order: list[tuple[int, str]] = field(default_factory=list)
    _partitions: dict[str, list[tuple[Sortable, Key]]] = field(default_factory=dict)
    key_names: tuple[str, ...] = field(init=False)
    _keys: tuple[KeyAttribute, ...] = field(init=False)
    # When, which row, and what it was before: newest last.
    _past: deque[tuple[float, Key, Stored | None]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._keys = (self.schema.hash,) if self.schema.range is None else (self.schema.hash, self.schema.range)
        self.key_names = tuple(key.name for key in self._keys)

    def key_of_item(self, item: dict[str, Any]) -> Key:
        """The key of an item to be written, whose values were checked. Raises Refusal."""
        for attribute in self._keys:
            value = item.get(attribute.name)
            if value is None:
                raise wrong_value(f"Missing the key {attribute.name} in the item")
            if attribute.type not in value:
                raise wrong_value(
                    f"Type mismatch for key {attribute.name} expected: {attribute.type} actual: {next(iter(value))}"
                )
        return self._key(item)

    def key_of(self, attributes: Any) -> Key:
        """The key in a request's `Key`. Raises Refusal."""
        if type(attributes) is not dict:
            raise unreadable("Key is no structure")
        wanted = self._keys
        for value in attributes.values():
            check(value)
        if len(attributes) != len(wanted):
            raise invalid("The number of conditions on the keys is invalid")
        for attribute in wanted:
            if attribute.type not in attributes.get(attribute.name, ()):
                raise invalid("The provided key element does not match the schema")
        return self._key(attributes)

    def key_attributes(self, key: Key) -> dict[str, Value]:
        """The key as a request names it."""
        texts = (key,) if isinstance(key, str) else key
        return {a.name: {a.type: text} for a, text in zip(self._keys, texts, strict=True)}

    def put(self, key: Key, item: dict[str, Value], size: int) -> Stored | None:
        """Store an item; returns what stood there. Raises Refusal when it is too large."""
        if size > ITEM_BYTES_MAX:
            raise invalid("Item size has exceeded the maximum allowed size")
        old = self.rows.get(key)
        self._remember(key, old)
        self._store(key, Stored(item, size))
        return old

    def remove(self, key: Key) -> Stored | None:
        """Delete an item; returns what stood there."""
        old = self.rows.get(key)
        if old is not None:
            self._remember(key, old)
            self._drop(key)
        return old

    def get(self, key: Key, consistent: bool) -> Stored | None:
        """The item that a read finds."""
        if not consistent and self._past:
            overlay = self._overlay()
            if key in overlay:
                return overlay[key]
        return self.rows.get(key)

    def seen(self, consistent: bool) -> "Table":
        """The table as one read sees it: this one, or how it was a moment ago."""
        overlay = {} if consistent or not self._past else self._overlay()
        if not overlay:
            return self
        past = Table(self.name, self.schema, self.facts)
        for key, stored in ({**self.rows, **overlay}).items():
            if stored is not None:
                past._store(key, stored)
        return past

    def scan(self, after: Key | None, segment: int, segments: int) -> Iterator[tuple[Key, Stored]]:
        """Items of one segment, in the order of their partitions' hashes, after a key (there or not)."""
        place = bisect_left(self._order, (-(-segment * _TOKENS // segments), ""))
        end = bisect_left(self._order, (-(-(segment + 1) * _TOKENS // segments), ""))
        if after is not None:
            text = _hash_text(after)
            yield from self.query(text, after)
            place = max(place, bisect_right(self._order, (_token(text), text)))
        for _, text in self._order[place:end]:
            yield from self.query(text)

    def query(self, hash_text: str, after: Key | None = None, forward: bool = True) -> Iterator[tuple[Key, Stored]]:
        """Items of one partition in the order of their range keys, after a key (there or not)."""
        entries = self._partitions.get(hash_text, [])
        if after is not None:
            entry = (self._sort_value(after), after)
            entries = entries[bisect_right(entries, entry) :] if forward else entries[: bisect_left(entries, entry)]
        for _, key in entries if forward else reversed(entries):
            yield key, self.rows[key]

    def _key(self, attributes: Mapping[str, Value]) -> Key:
        hash_text = _key_text(attributes[self.schema.hash.name], self.schema.hash.name, _HASH_BYTES_MAX)
        if self.schema.range is None:
            return hash_text
        return hash_text, _key_text(attributes[self.schema.range.name], self.schema.range.name, _RANGE_BYTES_MAX)

    def _sort_value(self, key: Key) -> Sortable:
        if isinstance(key, str) or self.schema.range is None:
            return 0
        ordered = sortable({self.schema.range.type: key[1]})
        assert ordered is not None
        return ordered[1]

    def _store(self, key: Key, stored: Stored) -> None:
        if key not in self.rows:
            text = _hash_text(key)
            if text not in self._partitions:
                self._partitions[text] = []
                insort(self._order, (_token(text), text))
            insort(self._partitions[text], (self._sort_value(key), key))
        self.rows[key] = stored

    def _drop(self, key: Key) -> None:
        del self.rows[key]
        text = _hash_text(key)
        entries = self._partitions[text]
        del entries[bisect_left(entries, (self._sort_value(key), key))]
        if not entries:
            del self._partitions[text]
            del self._order[bisect_left(self._order, (_token(text), text))]

    def _remember(self, key: Key, old: Stored | None) -> None:
        if self.eventual is None:
            return
        now_s = self.eventual.now_s()
        while self._past and self._past[0][0] < now_s - self.eventual.lag_max_s:
            self._past.popleft()
        self._past.append((now_s, key, old))

    def _overlay(self) -> dict[Key, Stored | None]:
        """Rows that a lagging read sees as they were, with what they were."""
        if self.eventual is None:
            return {}
        now_s = self.eventual.now_s()
        lags: dict[str, float] = {}
        overlay: dict[Key, Stored | None] = {}
        for at_s, key, old in reversed(self._past):
            if at_s < now_s - self.eventual.lag_max_s:
                break
            text = _hash_text(key)
            if text not in lags:
                lags[text] = min(self.eventual.lag_s(), self.eventual.lag_max_s)
            if at_s > now_s - lags[text]:
                overlay[key] = old
        return overlay


def too_large_to_update() -> Refusal:
    """UpdateItem has other words for it."""
    return invalid("Item size to update has exceeded the maximum allowed size")


def _hash_text(key: Key) -> str:
    return key if isinstance(key, str) else key[0]


def _token(hash_text: str) -> int:
    return crc32(hash_text.encode())


def _key_text(value: Value, name: str, bytes_max: int) -> str:
    ((kind, content),) = value.items()
    if not content:
        raise wrong_value(f"The AttributeValue for a key attribute cannot contain an empty value. Key: {name}")
    # A character has four bytes at most.
    if len(content) * 4 > bytes_max and check({kind: content}) > bytes_max:
        raise wrong_value(f"Size of the key {name} has exceeded the maximum size limit of {bytes_max} bytes")
    return str(content)
