"""A copy that is not to be faster than a rate, on virtual time: evenly, page by page."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from dynamirror.errors import Side, Throttled
from dynamirror.model.copy import Phase, Segment
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.copy.world import COPY, LIFE_S, THROTTLED, Worker, World, item, now_s

MANY = replace(COPY, page_items_first=100, page_items_max=2000, segments_at_once=4)


def windows(world: World, length_s: float = 10.0) -> list[int]:
    """Items written in each whole window between the first and the last write, the first window left out."""
    first, last = world.applied[0][1], world.applied[-1][1]
    counts = Counter(int((at_s - first) / length_s) for _, at_s, _ in world.applied)
    return [counts[number] for number in range(1, int((last - first) / length_s))]


@pytest.mark.parametrize("rate_s", [40.0, 300.0])
def test_a_limit_is_kept_evenly(rate_s: float) -> None:
    async def steps() -> None:
        world = World(int(rate_s * 45))
        await world.announce(Phase.COPYING)
        worker = Worker(world, copy=MANY, limits=(None, rate_s)).start()
        await world.reached(Phase.DONE)
        await worker.kill()
        assert len(windows(world)) >= 3
        assert all(0.9 * rate_s * 10 <= count <= 1.05 * rate_s * 10 for count in windows(world)), windows(world)
        assert world.destination == world.source

    run_virtual(steps())


def test_the_limit_of_reading_is_kept_too() -> None:
    async def steps() -> None:
        world = World(600)
        for number in range(600):
            world.source[f"k{number:05}"] = item(f"k{number:05}", "x" * 4000)
        await world.announce(Phase.COPYING)
        worker = Worker(world, copy=MANY, limits=(20.0, None)).start()
        await world.reached(Phase.DONE)
        await worker.kill()
        assert worker.metrics.value("read_units") / world.applied[-1][1] == pytest.approx(20, rel=0.1)

    run_virtual(steps())


def test_waiting_takes_nothing_of_a_pages_life() -> None:
    """Items that cost more than the rate gives in a page's life: each is written, and in its life."""

    async def steps() -> None:
        world = World(0)
        world.source.update({f"k{number}": item(f"k{number}", "x" * 300_000) for number in range(8)})
        await world.announce(Phase.COPYING)
        worker = Worker(world, copy=replace(MANY, segments=4), limits=(None, 20.0))
        worker.start()
        await world.reached(Phase.DONE, 900)
        await worker.kill()
        assert not worker.reconciled
        assert now_s() > 7 * 290 / 20 > LIFE_S
        assert world.destination == world.source

    run_virtual(steps())


def test_the_last_row_of_a_segment_waits_for_nothing() -> None:
    async def steps() -> None:
        world = World(0)
        world.source["k"] = item("k", "x" * 300_000)
        await world.announce(Phase.COPYING)
        worker = Worker(world, copy=replace(COPY, segments=1), limits=(None, 20.0))
        await worker.segment(Segment(0)).run()
        assert now_s() < 2
        assert (await world.store.segments())[0].done

    run_virtual(steps())


def test_a_page_gives_way_to_changes() -> None:
    async def steps() -> None:
        world = World(100)
        await world.announce(Phase.COPYING)
        worker = Worker(world, copy=replace(COPY, segments=1), limits=(None, 100.0))
        # Changes take all there is for half a minute.
        for _ in range(30):
            asyncio.get_running_loop().create_task(worker.rate.change(100))
        await asyncio.sleep(0)
        copying = asyncio.create_task(worker.segment(Segment(0)).run())
        await asyncio.sleep(25)
        assert not world.applied
        await copying
        assert world.destination == world.source

    run_virtual(steps())


@pytest.mark.parametrize("operation", ["Scan", "BatchWriteItem"])
def test_a_table_that_has_enough_slows_the_copy(operation: str) -> None:
    async def steps() -> None:
        world = World(400)
        await world.announce(Phase.COPYING)
        worker = Worker(world, copy=replace(COPY, segments=1), capacities=(1000.0, 1000.0))
        if operation == "Scan":
            worker.source_faults.next = {"Scan": [None, Fault(Throttled(Side.SOURCE, "injected"))]}
        else:
            worker.destination_faults.next = {"BatchWriteItem": [None, THROTTLED, Fault(unprocessed=3)]}
        await worker.segment(Segment(0)).run()
        lanes = (worker.rate.read, worker.rate.write)
        slowed, untouched = lanes if operation == "Scan" else lanes[::-1]
        assert slowed.copy_rate_s < 1000 == untouched.copy_rate_s
        assert worker.metrics.value("write_throttles") == (0 if operation == "Scan" else 2)
        assert worker.metrics.value("read_throttles") == (1 if operation == "Scan" else 0)
        assert world.destination == world.source

    run_virtual(steps())


def test_one_item_that_is_refused_for_long_does_not_stop_the_others() -> None:
    """Only the first attempt tells something of the rate: those that follow are the same page's."""

    async def steps() -> None:
        world = World(2000)
        await world.announce(Phase.COPYING)
        worker = Worker(world, copy=MANY, capacities=(1000.0, 1000.0))
        worker.destination.hot = frozenset({"k00017"})
        worker.start()
        await asyncio.sleep(LIFE_S)
        assert worker.rate.write.copy_rate_s >= 700
        assert len(world.destination) > 1000
        worker.destination.hot = frozenset()
        await world.reached(Phase.DONE)
        await worker.kill()

    run_virtual(steps())


def test_a_throttled_state_table_says_nothing_about_the_source() -> None:
    async def steps() -> None:
        world = World(60)
        await world.announce(Phase.COPYING)
        worker = Worker(world, copy=replace(COPY, segments=1), capacities=(1000.0, 1000.0))
        worker.state_faults.next = {"PutItem": [Fault(Throttled(Side.STATE, "injected"))]}
        await worker.segment(Segment(0)).run()
        assert worker.rate.read.copy_rate_s == worker.rate.write.copy_rate_s == 1000

    run_virtual(steps())
