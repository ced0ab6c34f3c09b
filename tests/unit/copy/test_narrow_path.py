"""A segment whose pages do not come through as they are: smaller ones are asked for, until they do."""

import asyncio
from dataclasses import replace

from dynamirror.errors import Side
from dynamirror.model.copy import Phase, Segment
from dynamirror.model.reading_size import TRY_AFTER
from dynamirror.testing.virtual_time import run_virtual
from tests.support.narrow import TIMEOUT_S, NarrowPath
from tests.unit.copy.world import COPY, Worker, World, item, lost

ITEMS = 300
ITEM_BYTES = 1000
# At the beginning a page has more than come through.
LARGE_PAGES = replace(COPY, segments=1, page_items_first=100, page_items_max=200)


async def begun(bytes_max: int) -> tuple[World, Worker, NarrowPath]:
    world = World()
    for number in range(ITEMS):
        world.source[f"k{number:05}"] = item(f"k{number:05}", "x" * ITEM_BYTES)
    await world.announce(Phase.COPYING)
    worker = Worker(world, copy=LARGE_PAGES)
    path = worker.scans.path = NarrowPath(Side.SOURCE, bytes_max)
    return world, worker, path


def test_a_segment_goes_on_with_pages_that_come_through() -> None:
    async def steps() -> None:
        world, worker, path = await begun(7 * ITEM_BYTES)
        await asyncio.wait_for(worker.segment(Segment(0)).run(), 3600)
        assert world.destination == world.source
        assert await world.counts() == (ITEMS, ITEMS)
        assert [most for _, _, _, most, _ in worker.scans.pages][:5] == [100, 50, 25, 12, 6]
        # A page that is tried in vain costs a time-out.
        assert len(path.lost) <= 5 + len(worker.scans.pages) / TRY_AFTER

    run_virtual(steps())


def test_a_page_of_one_item_is_the_smallest() -> None:
    async def steps() -> None:
        world, worker, _ = await begun(ITEM_BYTES + 100)
        await asyncio.wait_for(worker.segment(Segment(0)).run(), ITEMS * 2 * TIMEOUT_S)
        assert world.destination == world.source

    run_virtual(steps())


def test_the_row_of_the_segment_and_the_destination_say_nothing_of_the_pages() -> None:
    async def steps() -> None:
        _, worker, _ = await begun(10**9)
        worker.state_faults.next["PutItem"] = [lost(Side.STATE, 0.0)] * 3
        worker.destination_faults.next["BatchWriteItem"] = [lost()] * 3
        await asyncio.wait_for(worker.segment(Segment(0)).run(), 100)
        assert [most for _, _, _, most, _ in worker.scans.pages] == [100, 200, 200]

    run_virtual(steps())


def test_pages_grow_again_when_the_path_is_wide() -> None:
    async def steps() -> None:
        _, worker, path = await begun(3 * ITEM_BYTES)
        copying = asyncio.create_task(worker.segment(Segment(0)).run())
        await asyncio.sleep(60)
        assert worker.scans.pages[-1][3] <= 4
        path.bytes_max = 10**9
        await asyncio.wait_for(copying, 100)
        assert worker.scans.pages[-1][3] >= 64

    run_virtual(steps())
