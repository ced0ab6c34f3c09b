"""What every stream says of a table's changes: their order, positions, pages, the end of a shard."""

from typing import Any

import msgspec
import pytest

from dynamirror.errors import ShardGone
from dynamirror.model.change import Page, Record
from dynamirror.model.diff import Item
from dynamirror.model.lease import LATEST, TRIM_HORIZON
from tests.contract.conftest import LOCAL, Source

# DynamoDB in memory has no streams. On an account records come after a while, and a table may begin with several
# shards: there tests/real follows one.
pytestmark = pytest.mark.parametrize("backend", ["ports-in-memory", LOCAL], indirect=True)


def item(number: int, value: str = "1") -> Item:
    return {"pk": {"S": "k"}, "sk": {"N": str(number)}, "v": {"S": value}}


def key(number: int) -> Item:
    return {"pk": {"S": "k"}, "sk": {"N": str(number)}}


def plain(raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw) if bytes(raw) else None


async def only_shard(source: Source) -> str:
    [shard] = (await source.stream.list_shards()).shards
    return shard.id


async def first_page(source: Source, shard_id: str, checkpoint: str, records_max: int = 1000) -> Page:
    return await source.stream.read(await source.stream.iterator_at(shard_id, checkpoint), records_max)


async def all_records(source: Source, shard_id: str, checkpoint: str, records_max: int) -> list[Record]:
    """To the end of an ended shard."""
    records: list[Record] = []
    iterator: str | None = await source.stream.iterator_at(shard_id, checkpoint)
    while iterator is not None:
        page = await source.stream.read(iterator, records_max)
        assert len(page.records) <= records_max
        records += page.records
        iterator = page.next_iterator
    return records


async def test_a_new_stream_has_one_open_shard(source: Source) -> None:
    listing = await source.stream.list_shards()
    [shard] = listing.shards
    assert listing.enabled
    assert (shard.open, shard.parent_id) == (True, None)
    assert shard.id.startswith("shardId-")
    assert len(shard.first_sequence or "") >= 21
    assert await source.stream.list_children(shard.id) == []


async def test_each_change_is_a_record_in_order(source: Source) -> None:
    await source.writer.put(item(1))
    await source.writer.put(item(1, "2"))
    await source.writer.delete(key(1))
    page = await first_page(source, await only_shard(source), TRIM_HORIZON)
    assert [(record.event_name, plain(record.change.new_image)) for record in page.records] == [
        ("INSERT", item(1)),
        ("MODIFY", item(1, "2")),
        ("REMOVE", None),
    ]
    assert all(plain(record.change.keys) == key(1) for record in page.records)
    numbers = [int(record.change.sequence_number) for record in page.records]
    assert numbers == sorted(set(numbers))
    assert all(21 <= len(record.change.sequence_number) <= 40 for record in page.records)
    assert all(record.change.created_s > 0 for record in page.records)
    assert page.size_bytes > 300


async def test_a_write_that_changes_nothing_leaves_no_record(source: Source) -> None:
    await source.writer.put(item(1))
    await source.writer.put(item(1))
    await source.writer.delete(key(2))
    assert len((await first_page(source, await only_shard(source), TRIM_HORIZON)).records) == 1


async def test_an_iterator_stands_right_after_a_sequence_number(source: Source) -> None:
    for number in range(3):
        await source.writer.put(item(number))
    shard_id = await only_shard(source)
    before = (await first_page(source, shard_id, TRIM_HORIZON)).records
    after = (await first_page(source, shard_id, before[0].change.sequence_number)).records
    assert [record.change.sequence_number for record in after] == [
        record.change.sequence_number for record in before[1:]
    ]
    last = await first_page(source, shard_id, before[2].change.sequence_number)
    assert last.records == []
    assert last.next_iterator is not None, "the shard is open: more may come"


async def test_latest_is_what_comes_from_now_on(source: Source) -> None:
    await source.writer.put(item(1))
    shard_id = await only_shard(source)
    iterator = await source.stream.iterator_at(shard_id, LATEST)
    await source.writer.put(item(2))
    [record] = (await source.stream.read(iterator, 10)).records
    assert plain(record.change.keys) == key(2)


async def test_pages_go_on_where_the_last_one_ended(source: Source) -> None:
    for number in range(5):
        await source.writer.put(item(number))
    await source.switch_off()
    records = await all_records(source, await only_shard(source), TRIM_HORIZON, records_max=2)
    assert [plain(record.change.keys) for record in records] == [key(number) for number in range(5)]


async def test_an_open_shard_always_has_a_next_iterator(source: Source) -> None:
    await source.writer.put(item(1))
    shard_id = await only_shard(source)
    iterator = await source.stream.iterator_at(shard_id, TRIM_HORIZON)
    for expected in (1, 0, 0):
        page = await source.stream.read(iterator, 10)
        assert len(page.records) == expected
        assert page.next_iterator is not None
        iterator = page.next_iterator
    await source.writer.put(item(2))
    assert len((await source.stream.read(iterator, 10)).records) == 1


async def test_a_stream_that_is_off_ends_its_shard(source: Source) -> None:
    await source.writer.put(item(1))
    shard_id = await only_shard(source)
    await source.switch_off()
    listing = await source.stream.list_shards()
    [shard] = listing.shards
    assert not listing.enabled
    assert (shard.id, shard.open) == (shard_id, False)
    [record] = await all_records(source, shard_id, TRIM_HORIZON, records_max=1000)
    assert await all_records(source, shard_id, record.change.sequence_number, records_max=1000) == []


async def test_a_shard_that_is_not_there_is_gone(source: Source) -> None:
    with pytest.raises(ShardGone):
        await source.stream.iterator_at("shardId-00000001600000000000-00000000", TRIM_HORIZON)
