"""Reading a table in memory page by page, as a parallel Scan does."""

from collections.abc import Mapping
from zlib import crc32

import msgspec
from msgspec import Raw

from dynamirror.model.diff import Item
from dynamirror.model.item_key import ItemKeys
from dynamirror.model.key import Key, KeyCodec
from dynamirror.ports import ScanPage
from dynamirror.testing.faults import Line


class MemoryScan:
    """`ports.ItemSource` over the items of a table, in the order of a hash; each page as the table is then."""

    def __init__(self, codec: KeyCodec, items: Mapping[Key, Item], line: Line | None = None) -> None:
        self._codec = codec
        self._keys = ItemKeys(codec)
        self._items = items
        self._line = line or Line()

    async def scan(self, segment: int, segments: int, after: bytes, items_max: int) -> ScanPage:
        """See ports.ItemSource."""
        return await self._line.call("Scan", lambda _: self._page(segment, segments, after, items_max))

    def _page(self, segment: int, segments: int, after: bytes, items_max: int) -> ScanPage:
        beginning = _place(self._codec.of(after)) if after else (-1, "")
        places = sorted((_place(key), key) for key in self._items)
        places = [(place, key) for place, key in places if place[0] % segments == segment and place > beginning]
        items = [Raw(msgspec.json.encode(self._items[key])) for _, key in places[:items_max]]
        last_key = b""
        # As the service: a full page has a key to go on from, also when nothing follows.
        if len(items) == items_max:
            last_key = msgspec.json.encode(self._keys.of(items[-1]).attributes)
        return ScanPage(items, last_key, sum(len(item) for item in items))


def _place(key: Key) -> tuple[int, str]:
    return crc32(repr(key).encode()), repr(key)
