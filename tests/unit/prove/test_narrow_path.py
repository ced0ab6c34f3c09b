"""Answers that do not come through as they are, when items are mended and when tables are compared: smaller ones are
asked for, until they do."""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec
import pytest

from dynamirror.errors import Side
from dynamirror.model.item_key import ItemKey
from dynamirror.model.key import Key
from dynamirror.model.reading_size import TRY_AFTER
from dynamirror.ports import ItemsRead, ScanPage
from dynamirror.prove.recent_keys import RecentKeys
from dynamirror.testing.memory_items import MemoryItems
from dynamirror.testing.memory_scan import MemoryScan
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.narrow import NarrowPath
from tests.unit.follow.test_narrow_path import RECORDS, filled
from tests.unit.prove import test_verify as compared
from tests.unit.prove.world import CODEC, Worker, World

SIDES = (Side.SOURCE, Side.DESTINATION)
ITEMS = 300


def narrow_reads(monkeypatch: pytest.MonkeyPatch, items: object, path: NarrowPath) -> list[int]:
    """From now on the answers to what is read by key go over this path; returns how many keys are asked for."""
    asked: list[int] = []
    original = MemoryItems.read

    async def read(self: MemoryItems, keys: Sequence[ItemKey]) -> ItemsRead:
        answer = await original(self, keys)
        if self.items is items:
            asked.append(len(keys))
            await path.carry(sum(len(msgspec.json.encode(item)) for item in answer.items.values()))
        return answer

    monkeypatch.setattr(MemoryItems, "read", read)
    return asked


def narrow_scans(monkeypatch: pytest.MonkeyPatch, items: object, path: NarrowPath) -> list[int]:
    """From now on the pages of this table go over this path; returns how many items are asked for."""
    asked: list[int] = []
    original = MemoryScan.scan

    async def scan(self: MemoryScan, segment: int, segments: int, after: bytes, items_max: int) -> ScanPage:
        page = await original(self, segment, segments, after, items_max)
        if self._items is items:
            asked.append(items_max)
            await path.carry(page.size_bytes)
        return page

    monkeypatch.setattr(MemoryScan, "scan", scan)
    return asked


@pytest.mark.parametrize("side", SIDES)
def test_items_are_mended_some_at_a_time(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps() -> None:
        world = World()
        for number in range(ITEMS):
            world.set_source(f"k{number}", "x" * 1000)
            world.set_destination(f"k{number}", "y" * 1000)
        path = NarrowPath(side, 10_000)
        asked = narrow_reads(monkeypatch, world.source if side is Side.SOURCE else world.destination, path)
        worker = Worker(world).start()
        worker.add(*(f"k{number}" for number in range(ITEMS)))
        await worker.settled(3600)
        assert not world.differences()
        assert asked[:4] == [100, 50, 25, 12]
        assert len(path.lost) <= 10 + len(asked) / TRY_AFTER

    run_virtual(steps())


@pytest.mark.parametrize("side", SIDES)
def test_suspects_are_looked_at_some_at_a_time(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps() -> None:
        world = compared.World(range(ITEMS))
        for number in range(100):
            world.destination[compared.key(number)] = compared.item(number, a="2")
        # An item is some 60 bytes.
        path = NarrowPath(side, 1_000)
        asked = narrow_reads(monkeypatch, world.source if side is Side.SOURCE else world.destination, path)
        tally = await asyncio.wait_for(world.verify(), 7200)
        assert tally.different == tally.found == 100
        assert path.lost
        assert max(asked) > 20
        assert len(path.lost) < len(asked) / 4

    run_virtual(steps())


@pytest.mark.parametrize("side", SIDES)
def test_tables_are_compared_with_pages_that_come_through(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps() -> None:
        world = compared.World(range(ITEMS))
        path = NarrowPath(side, 400)
        asked = narrow_scans(monkeypatch, world.source if side is Side.SOURCE else world.destination, path)
        tally = await asyncio.wait_for(world.verify(), 7200)
        assert (tally.source_items, tally.destination_items, tally.found) == (ITEMS, ITEMS, 0)
        assert asked[0] == 1000
        # What one segment has learned the others need not learn.
        assert len(path.lost) <= 40 + len(asked) / TRY_AFTER

    run_virtual(steps())


def test_the_keys_of_a_stream_are_read_with_pages_that_come_through() -> None:
    async def steps() -> None:
        stream, _ = filled(NarrowPath(Side.SOURCE, 10_000))
        clock = VirtualClock()
        found: set[Key] = set()

        async def take(keys: Iterable[Key]) -> None:
            found.update(keys)

        reading = RecentKeys(stream, CODEC, clock, lambda: 0.5, 600.0, clock.wall_s)
        await asyncio.wait_for(reading.read(take), 7200)
        assert len(found) == RECORDS
        assert sorted(set(stream.asked), reverse=True)[:5] == [1000, 500, 250, 125, 62]

    run_virtual(steps())
