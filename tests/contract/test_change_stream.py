"""What every stream says of a table's changes: their order, positions, pages, the end of a shard."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from dynamirror.errors import ShardGone
from dynamirror.model.change import Page, Record
from dynamirror.model.diff import Item
from dynamirror.model.lease import LATEST, TRIM_HORIZON
from tests.contract.conftest import AWS, LOCAL, Source

# DynamoDB in memory has no streams. On an account records come after a while (Source.delay_s), and a table may begin
# with several shards, of which one has all that these tests write: it has one partition key.
pytestmark = pytest.mark.parametrize("backend", ["ports-in-memory", LOCAL, AWS], indirect=True)
PAUSE_S = 0.5


def item(number: int, value: str = "1") -> Item:
    return {"pk": {"S": "k"}, "sk": {"N": str(number)}, "v": {"S": value}}


def key(number: int) -> Item:
    return {"pk": {"S": "k"}, "sk": {"N": str(number)}}


def plain(raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw) if bytes(raw) else None


async def shard_with(source: Source, count: int) -> str:
    """The shard that these tests write to, once it has `count` records."""
    shards = (await source.stream.list_shards()).shards
    if not source.delay_s:
        [shard] = shards
        return shard.id
    seen: Counter[str] = Counter()
    iterators = {shard.id: await source.stream.iterator_at(shard.id, TRIM_HORIZON) for shard in shards}
    deadline = time.monotonic() + source.delay_s
    while time.monotonic() < deadline:
        for shard_id, iterator in list(iterators.items()):
            page = await source.stream.read(iterator, 1000)
            seen[shard_id] += len(page.records)
            if seen[shard_id] >= count:
                return shard_id
            iterators[shard_id] = page.next_iterator or iterator
        await asyncio.sleep(PAUSE_S)
    raise AssertionError(f"no shard has {count} records after {source.delay_s} s: {seen}")


async def pages(source: Source, iterator: str, count: int) -> list[Page]:
    """One page, which has `count` records; on an account as many pages as it takes."""
    found = [await source.stream.read(iterator, 1000)]
    deadline = time.monotonic() + source.delay_s
    while len(records_of(found)) < count and time.monotonic() < deadline:
        await asyncio.sleep(PAUSE_S)
        assert found[-1].next_iterator is not None
        found.append(await source.stream.read(found[-1].next_iterator, 1000))
    return found


async def pages_after(source: Source, shard_id: str, checkpoint: str, count: int) -> list[Page]:
    return await pages(source, await source.stream.iterator_at(shard_id, checkpoint), count)


def records_of(found: list[Page]) -> list[Record]:
    return [record for page in found for record in page.records]


async def until(source: Source, condition: Callable[[], Awaitable[bool]]) -> None:
    """Holds at once; on an account after a while."""
    deadline = time.monotonic() + source.delay_s
    while not await condition():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(PAUSE_S)


async def all_records(source: Source, shard_id: str, checkpoint: str, records_max: int) -> list[Record]:
    """To the end of an ended shard."""
    records: list[Record] = []
    iterator: str | None = await source.stream.iterator_at(shard_id, checkpoint)
    while iterator is not None:
        page = await source.stream.read(iterator, records_max)
        assert len(page.records) <= records_max
        records += page.records
        iterator = page.next_iterator
        if source.delay_s:
            await asyncio.sleep(PAUSE_S)
    return records


async def test_a_new_stream_has_open_shards_only(source: Source) -> None:
    listing = await source.stream.list_shards()
    assert listing.enabled
    assert len(listing.shards) == 1 or (source.delay_s and listing.shards)
    for shard in listing.shards:
        assert (shard.open, shard.parent_id) == (True, None)
        assert shard.id.startswith("shardId-")
        assert len(shard.first_sequence or "") >= 21
        assert await source.stream.list_children(shard.id) == []


async def test_each_change_is_a_record_in_order(source: Source) -> None:
    await source.writer.put(item(1))
    await source.writer.put(item(1, "2"))
    await source.writer.delete(key(1))
    found = await pages_after(source, await shard_with(source, 3), TRIM_HORIZON, 3)
    records = records_of(found)
    assert [(record.event_name, plain(record.change.new_image)) for record in records] == [
        ("INSERT", item(1)),
        ("MODIFY", item(1, "2")),
        ("REMOVE", None),
    ]
    assert all(plain(record.change.keys) == key(1) for record in records)
    numbers = [int(record.change.sequence_number) for record in records]
    assert numbers == sorted(set(numbers))
    assert all(21 <= len(record.change.sequence_number) <= 40 for record in records)
    assert all(record.change.created_s > 0 for record in records)
    assert sum(page.size_bytes for page in found) > 300


async def test_a_write_that_changes_nothing_leaves_no_record(source: Source) -> None:
    await source.writer.put(item(1))
    await source.writer.put(item(1))
    await source.writer.delete(key(2))
    await source.writer.put(item(3))
    records = records_of(await pages_after(source, await shard_with(source, 2), TRIM_HORIZON, 2))
    assert [plain(record.change.keys) for record in records] == [key(1), key(3)]


async def test_an_iterator_stands_right_after_a_sequence_number(source: Source) -> None:
    for number in range(3):
        await source.writer.put(item(number))
    shard_id = await shard_with(source, 3)
    before = records_of(await pages_after(source, shard_id, TRIM_HORIZON, 3))
    after = records_of(await pages_after(source, shard_id, before[0].change.sequence_number, 2))
    assert [record.change.sequence_number for record in after] == [
        record.change.sequence_number for record in before[1:]
    ]
    [last] = await pages_after(source, shard_id, before[2].change.sequence_number, 0)
    assert last.records == []
    assert last.next_iterator is not None, "the shard is open: more may come"


async def test_latest_is_what_comes_from_now_on(source: Source) -> None:
    await source.writer.put(item(1))
    shard_id = await shard_with(source, 1)
    iterator = await source.stream.iterator_at(shard_id, LATEST)
    await source.writer.put(item(2))
    [record] = records_of(await pages(source, iterator, 1))
    assert plain(record.change.keys) == key(2)


async def test_pages_go_on_where_the_last_one_ended(source: Source) -> None:
    for number in range(5):
        await source.writer.put(item(number))
    shard_id = await shard_with(source, 5)
    await source.switch_off()
    records = await all_records(source, shard_id, TRIM_HORIZON, records_max=2)
    assert [plain(record.change.keys) for record in records] == [key(number) for number in range(5)]


async def test_an_open_shard_always_has_a_next_iterator(source: Source) -> None:
    await source.writer.put(item(1))
    shard_id = await shard_with(source, 1)
    iterator = await source.stream.iterator_at(shard_id, TRIM_HORIZON)
    for expected in (1, 0, 0):
        found = await pages(source, iterator, expected)
        assert len(records_of(found)) == expected
        assert found[-1].next_iterator is not None
        iterator = found[-1].next_iterator
    await source.writer.put(item(2))
    assert len(records_of(await pages(source, iterator, 1))) == 1


async def test_a_stream_that_is_off_ends_its_shard(source: Source) -> None:
    await source.writer.put(item(1))
    shard_id = await shard_with(source, 1)
    before = await source.stream.list_shards()
    await source.switch_off()

    async def ended() -> bool:
        listing = await source.stream.list_shards()
        assert [shard.id for shard in listing.shards] == [shard.id for shard in before.shards]
        return not listing.enabled and not any(shard.open for shard in listing.shards)

    await until(source, ended)
    [record] = await all_records(source, shard_id, TRIM_HORIZON, records_max=1000)
    assert await all_records(source, shard_id, record.change.sequence_number, records_max=1000) == []


async def test_a_shard_that_is_not_there_is_gone(source: Source) -> None:
    with pytest.raises(ShardGone):
        await source.stream.iterator_at("shardId-00000001600000000000-00000000", TRIM_HORIZON)
