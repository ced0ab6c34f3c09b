"""What every table does that is read whole, page by page: each item once, whatever its key."""

import asyncio
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec
import pytest

from dynamirror.aws.scan import TableScan
from dynamirror.errors import Side
from dynamirror.model.diff import Item, first_difference
from dynamirror.model.item_key import ItemKeys
from dynamirror.model.key import Key, KeyAttribute, KeyCodec, KeySchema
from dynamirror.ports import ItemSource
from dynamirror.testing.memory_scan import MemoryScan
from tests.contract.conftest import Tables, call

VALUES: Mapping[str, Callable[[int], str]] = {
    "S": lambda number: f'ключ 🗝 "{number}" \\ \u0000',
    "N": lambda number: f"{'-' if number % 2 else ''}1234567890123456789012345678{number:010}E-{number % 90}",
    "B": lambda number: b64encode(bytes([0, 255, number // 256, number % 256])).decode(),
}


class Source:
    """A table that can be filled, and read as a whole."""

    def __init__(self, tables: Tables | None, hash_type: str, range_type: str | None) -> None:
        self.hash_type, self.range_type = hash_type, range_type
        schema = KeySchema(KeyAttribute("pk", hash_type), KeyAttribute("sk", range_type) if range_type else None)
        self.codec = KeyCodec(schema)
        self._keys = ItemKeys(self.codec)
        self._tables = tables
        self._items: dict[Key, Item] = {}
        self.scans: ItemSource = MemoryScan(self.codec, self._items)
        if tables is not None:
            tables.create("source", {"pk": hash_type} | ({"sk": range_type} if range_type else {}))
            self.scans = TableScan(tables.caller(Side.SOURCE), "source")

    def item(self, number: int, text: str = "") -> Item:
        """Every third one shares its hash value with the others, where there is a range key."""
        shared = self.range_type is not None and number % 3 == 0
        item: Item = {"pk": {self.hash_type: VALUES[self.hash_type](0 if shared else number)}}
        if self.range_type is not None:
            item = {**item, "sk": {self.range_type: VALUES[self.range_type](number)}}
        return {**item, "v": {"N": str(number)}, "set": {"SS": ["a", "b"]}, "text": {"S": text}}

    async def put(self, *items: Item) -> None:
        for item in items:
            self._items[self._keys.of_item(item).key] = item
        if self._tables is not None:
            for first in range(0, len(items), 10):
                puts = [{"PutRequest": {"Item": item}} for item in items[first : first + 10]]
                await call(self._tables, "BatchWriteItem", RequestItems={"source": puts})

    async def delete(self, item: bytes) -> None:
        key = self._keys.of(item)
        del self._items[key.key]
        if self._tables is not None:
            await call(self._tables, "DeleteItem", TableName="source", Key=key.attributes)

    async def segment(self, segment: int, segments: int, items_max: int) -> list[bytes]:
        """All of its items, page by page."""
        found: list[bytes] = []
        after = b""
        while True:
            page = await self.scans.scan(segment, segments, after, items_max)
            assert len(page.items) <= items_max
            found += map(bytes, page.items)
            after = page.last_key
            if not after:
                return found

    def assert_all_once(self, found: list[bytes]) -> None:
        keys = [self.codec.of(item) for item in found]
        assert not [key for key, count in Counter(keys).items() if count > 1]
        assert set(keys) == set(self._items)
        for key, item in zip(keys, found, strict=True):
            assert first_difference(msgspec.json.decode(item), self._items[key]) is None


@pytest.fixture
def source(tables: Tables | None) -> Source:
    return Source(tables, "S", "N")


async def test_an_empty_table_is_one_empty_page_a_segment(source: Source) -> None:
    for segment in range(4):
        page = await source.scans.scan(segment, 4, b"", 100)
        assert (list(page.items), page.last_key) == ([], b"")


@pytest.mark.parametrize("hash_type", VALUES)
@pytest.mark.parametrize("range_type", [None, *VALUES])
@pytest.mark.parametrize("items_max", [7, 1000])
async def test_every_item_comes_once_over_all_segments(
    tables: Tables | None, backend: str, hash_type: str, range_type: str | None, items_max: int
) -> None:
    if backend == "aws" and (hash_type, range_type) != ("N", "B"):
        pytest.skip("one key schema is enough there")
    source = Source(tables, hash_type, range_type)
    await source.put(*(source.item(number) for number in range(100)))
    found = await asyncio.gather(*(source.segment(segment, 5, items_max) for segment in range(5)))
    source.assert_all_once([item for items in found for item in items])
    assert sum(bool(items) for items in found) >= 2


async def test_many_more_segments_than_items(source: Source) -> None:
    await source.put(source.item(1), source.item(2))
    found = await asyncio.gather(*(source.segment(segment, 50, 10) for segment in range(50)))
    source.assert_all_once([item for items in found for item in items])


async def test_a_page_goes_on_behind_an_item_that_was_deleted_meanwhile(source: Source) -> None:
    """Right after it was read, and with the one that would have been next."""
    await source.put(*(source.item(number) for number in range(20)))
    everything = await source.segment(0, 1, 100)
    first = await source.scans.scan(0, 1, b"", 8)
    assert list(map(bytes, first.items)) == everything[:8]
    await source.delete(everything[7])
    await source.delete(everything[8])
    second = await source.scans.scan(0, 1, first.last_key, 100)
    assert list(map(bytes, second.items)) == everything[9:]


async def test_a_page_goes_on_behind_any_item_of_it(source: Source) -> None:
    """A page that was written in part is read again behind the last item that was; only its key is known."""
    await source.put(*(source.item(number) for number in range(20)))
    everything = await source.segment(0, 1, 100)
    keys = ItemKeys(source.codec)
    for place in range(20):
        after = msgspec.json.encode(keys.of(everything[place]).attributes)
        page = await source.scans.scan(0, 1, after, 100)
        assert list(map(bytes, page.items)) == everything[place + 1 :]


async def test_a_limit_is_kept_to_the_item(source: Source) -> None:
    await source.put(*(source.item(number) for number in range(5)))
    for items_max in (1, 2, 5):
        page = await source.scans.scan(0, 1, b"", items_max)
        assert len(page.items) == items_max
        # A full page does not know that nothing follows.
        assert page.last_key
        assert page.size_bytes > 0
    page = await source.scans.scan(0, 1, b"", 6)
    assert (len(page.items), page.last_key) == (5, b"")


async def test_each_page_shows_the_table_as_it_is_then(source: Source) -> None:
    await source.put(*(source.item(number) for number in range(10)))
    everything = await source.segment(0, 1, 100)
    first = await source.scans.scan(0, 1, b"", 5)
    changed: Item = {**msgspec.json.decode(everything[6]), "v": {"S": "changed"}}
    await source.put(changed)
    second = await source.scans.scan(0, 1, first.last_key, 100)
    assert first_difference(msgspec.json.decode(second.items[1]), changed) is None


async def test_what_is_more_than_a_megabyte_comes_in_several_pages(source: Source) -> None:
    large = [source.item(number, "x" * 390_000) for number in range(7)]
    for item in large:
        await source.put(item)
    if not isinstance(source.scans, MemoryScan):
        page = await source.scans.scan(0, 1, b"", 1000)
        assert 1 <= len(page.items) <= 3
        assert page.last_key
    source.assert_all_once(await source.segment(0, 1, 1000))
