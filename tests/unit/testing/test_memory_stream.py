"""What only a stream that obeys commands can show: rolls, splits, expiry, trimming, faults in listings."""

from collections.abc import Awaitable, Callable

import pytest

from dynamirror.errors import IteratorExpired, NotFound, ShardGone, Trimmed
from dynamirror.model.key import KeyAttribute, KeyCodec, KeySchema
from dynamirror.model.lease import LATEST, TRIM_HORIZON
from dynamirror.model.shard_graph import RETENTION_MS, doubts_about, shard_created_ms
from dynamirror.testing.faults import Fault, Line
from dynamirror.testing.memory_stream import MemoryStream
from dynamirror.testing.memory_table import MemorySource
from dynamirror.testing.virtual_time import VirtualClock, run_virtual

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "S")))


class World:
    """A source table, its stream, and the service's clock."""

    def __init__(self, shards: int = 1) -> None:
        self.clock = VirtualClock()
        self.line = Line()
        self.stream = MemoryStream(self.clock, self.line, shards)
        self.source = MemorySource(CODEC, self.stream)

    def put(self, name: str, value: str = "1") -> str:
        sequence = self.source.put({"id": {"S": name}, "v": {"S": value}})
        assert sequence is not None
        return sequence

    async def read_all(self, shard_id: str, checkpoint: str = TRIM_HORIZON, records_max: int = 1000) -> list[str]:
        """Sequence numbers to the shard's end, or to the first empty page."""
        found: list[str] = []
        iterator: str | None = await self.stream.iterator_at(shard_id, checkpoint)
        while iterator is not None:
            page = await self.stream.read(iterator, records_max)
            assert len(page.records) <= records_max
            found += [record.change.sequence_number for record in page.records]
            iterator = page.next_iterator if page.records else None
        return found


def in_world(test: Callable[[World], Awaitable[None]], shards: int = 1) -> None:
    async def main() -> None:
        await test(World(shards))

    run_virtual(main())


def test_ids_and_sequence_numbers_look_like_the_services() -> None:
    async def test(world: World) -> None:
        [shard_id] = world.stream.open_shards()
        assert shard_created_ms(shard_id) == world.clock.wall_s() * 1000
        assert 28 <= len(shard_id) <= 65
        numbers = [world.put(f"k{index}") for index in range(3)]
        assert all(number.isdigit() and 21 <= len(number) <= 40 for number in numbers)
        assert numbers == sorted(numbers, key=int)
        assert await world.read_all(shard_id) == numbers
        assert await world.read_all(shard_id, numbers[0]) == numbers[1:]
        assert await world.read_all(shard_id, LATEST) == []
        assert await world.read_all(shard_id, records_max=1) == numbers

    in_world(test)


def test_a_roll_and_a_split_keep_the_order_of_every_key() -> None:
    async def test(world: World) -> None:
        keys = [f"k{index}" for index in range(40)]
        [first] = world.stream.open_shards()
        for key in keys:
            world.put(key, "1")
        [second] = world.stream.roll(first)
        for key in keys:
            world.put(key, "2")
        left, right = world.stream.split(second)
        for key in keys:
            world.put(key, "3")
        listing = await world.stream.list_shards()
        assert [(shard.id, shard.parent_id, shard.open) for shard in listing.shards] == [
            (first, None, False),
            (second, first, False),
            (left, second, True),
            (right, second, True),
        ]
        assert doubts_about(listing, int(world.clock.wall_s() * 1000)) == []
        assert [shard.id for shard in await world.stream.list_children(second)] == [left, right]
        counts = [len(await world.read_all(shard.id)) for shard in listing.shards]
        assert counts[:2] == [40, 40]
        assert sum(counts[2:]) == 40
        assert min(counts[2:]) > 0

    in_world(test)


def test_an_ended_shard_has_no_next_iterator_once_read() -> None:
    async def test(world: World) -> None:
        [shard_id] = world.stream.open_shards()
        world.put("a")
        world.put("b")
        world.stream.roll(shard_id)
        page = await world.stream.read(await world.stream.iterator_at(shard_id, TRIM_HORIZON), 1)
        assert page.next_iterator is not None
        assert (await world.stream.read(page.next_iterator, 1)).next_iterator is None

    in_world(test)


def test_a_page_holds_about_a_megabyte() -> None:
    async def test(world: World) -> None:
        [shard_id] = world.stream.open_shards()
        for index in range(12):
            world.put(f"k{index}", "x" * 200_000)
        page = await world.stream.read(await world.stream.iterator_at(shard_id, TRIM_HORIZON), 1000)
        assert len(page.records) == 5
        assert 1_000_000 < page.size_bytes < 1_100_000
        assert len(await world.read_all(shard_id)) == 12

    in_world(test)


def test_iterators_live_for_fifteen_minutes() -> None:
    async def test(world: World) -> None:
        [shard_id] = world.stream.open_shards()
        iterator = await world.stream.iterator_at(shard_id, TRIM_HORIZON)
        await world.clock.sleep(899)
        renewed = (await world.stream.read(iterator, 10)).next_iterator
        await world.clock.sleep(2)
        with pytest.raises(IteratorExpired):
            await world.stream.read(iterator, 10)
        assert renewed is not None
        await world.stream.read(renewed, 10)

    in_world(test)


def test_empty_pages_come_on_request_and_lose_nothing() -> None:
    async def test(world: World) -> None:
        [shard_id] = world.stream.open_shards()
        world.put("a")
        world.stream.roll(shard_id)
        world.stream.send_empty_pages(shard_id, 2)
        iterator: str | None = await world.stream.iterator_at(shard_id, TRIM_HORIZON)
        sizes = []
        while iterator is not None:
            page = await world.stream.read(iterator, 10)
            sizes.append(len(page.records))
            iterator = page.next_iterator
        assert sizes == [0, 0, 1]

    in_world(test)


def test_trimming_drops_old_records_and_then_old_shards() -> None:
    async def test(world: World) -> None:
        [first] = world.stream.open_shards()
        old = world.put("a")
        early = await world.stream.iterator_at(first, TRIM_HORIZON)
        await world.clock.sleep(600)
        newer = world.put("b")
        [second] = world.stream.roll(first)
        await world.clock.sleep(RETENTION_MS / 1000 - 300)
        world.stream.trim()
        with pytest.raises(IteratorExpired):
            await world.stream.read(early, 10)
        with pytest.raises(Trimmed):
            await world.stream.iterator_at(first, old)
        assert await world.read_all(first) == [newer]
        await world.clock.sleep(300)
        world.stream.trim()
        with pytest.raises(ShardGone):
            await world.stream.iterator_at(first, TRIM_HORIZON)
        assert [shard.id for shard in (await world.stream.list_shards()).shards] == [second]

    in_world(test)


def test_an_iterator_before_what_was_trimmed_fails() -> None:
    async def test(world: World) -> None:
        [shard_id] = world.stream.open_shards()
        world.put("a")
        iterator = await world.stream.iterator_at(shard_id, TRIM_HORIZON)
        await world.clock.sleep(10)
        world.stream.trim(keep_s=5)
        with pytest.raises(Trimmed):
            await world.stream.read(iterator, 10)

    in_world(test)


def test_a_listing_shows_in_part_what_changes_between_its_pages() -> None:
    async def test(world: World) -> None:
        rolled: list[str] = []

        def roll_once(operation: str) -> Fault | None:
            if operation == "DescribeStream" and calls.pop():
                rolled.extend(world.stream.roll(world.stream.open_shards()[0]))
            return None

        calls = [False, True, False]
        world.line.faults = roll_once
        listing = await world.stream.list_shards()
        shown = {shard.id: shard for shard in listing.shards}
        [parent] = {shown[child].parent_id for child in rolled}
        assert parent is not None
        assert shown[parent].open, "the first page was taken before the roll, the second after"

    in_world(test, shards=150)


def test_a_hidden_shard_is_missing_from_listings_only() -> None:
    async def test(world: World) -> None:
        [first] = world.stream.open_shards()
        [second] = world.stream.roll(first)
        world.stream.hidden.add(second)
        assert doubts_about(await world.stream.list_shards(), int(world.clock.wall_s() * 1000))
        assert await world.stream.list_children(first) == []
        await world.stream.iterator_at(second, TRIM_HORIZON)

    in_world(test)


def test_a_stream_that_is_off_can_be_read_and_gets_nothing_new() -> None:
    async def test(world: World) -> None:
        [shard_id] = world.stream.open_shards()
        number = world.put("a")
        world.stream.disable()
        assert world.source.put({"id": {"S": "b"}}) is None
        assert not (await world.stream.list_shards()).enabled
        assert await world.read_all(shard_id) == [number]
        world.stream.gone = True
        with pytest.raises(NotFound):
            await world.stream.list_shards()

    in_world(test)


def test_a_write_that_changes_nothing_leaves_no_record() -> None:
    async def test(world: World) -> None:
        [shard_id] = world.stream.open_shards()
        first = world.put("a")
        assert world.source.put({"v": {"S": "1"}, "id": {"S": "a"}}) is None
        assert world.source.delete({"id": {"S": "missing"}}) is None
        removed = world.source.delete({"id": {"S": "a"}})
        page = await world.stream.read(await world.stream.iterator_at(shard_id, first), 10)
        [record] = page.records
        assert (record.event_name, record.change.sequence_number) == ("REMOVE", removed)
        assert bytes(record.change.keys) == b'{"id":{"S":"a"}}'
        assert not bytes(record.change.new_image)

    in_world(test)
