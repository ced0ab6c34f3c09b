"""Nobody follows the stream for longer than it keeps changes: a gap, never a silent skip."""

import asyncio
from dataclasses import replace

import pytest

from dynamirror.errors import Gap, Side, Throttled
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.support.gap_policies import MemoryGaps
from tests.unit.fleet.world import World

HOUR_S = 3600.0


async def followed(world: World) -> None:
    """A worker follows the stream for a while, and is killed."""
    worker = world.worker("first").start()
    world.put("before")
    await world.until_equal()
    await asyncio.sleep(5)
    await worker.kill()


def test_a_child_that_nobody_has_begun_for_a_day_is_a_gap() -> None:
    async def scenario() -> None:
        world = World()
        worker = world.worker("first").start()
        world.put("before")
        await world.until_equal()
        world.stream.roll(world.stream.open_shards()[0])
        await asyncio.sleep(10)
        await worker.kill()
        world.put("lost")
        await asyncio.sleep(2 * HOUR_S)
        world.put("kept")
        await asyncio.sleep(23 * HOUR_S)
        world.stream.trim()
        [error] = await world.worker("second").start().ended()
        assert isinstance(error, Gap)
        await world.end()

    run_virtual(scenario())


def test_a_shard_of_the_beginning_that_nobody_has_begun_for_a_day_is_a_gap() -> None:
    async def scenario() -> None:
        world = World()
        worker = world.worker("first").start()
        await asyncio.sleep(5)
        await worker.kill()
        world.put("lost")
        await asyncio.sleep(25 * HOUR_S)
        world.stream.trim()
        [error] = await world.worker("second").start().ended()
        assert isinstance(error, Gap)
        await world.end()

    run_virtual(scenario())


@pytest.mark.parametrize("closed", [False, True])
def test_an_absence_shorter_than_the_retention_loses_nothing(closed: bool) -> None:
    async def scenario() -> None:
        world = World()
        await followed(world)
        world.stream.roll(world.stream.open_shards()[0])
        world.put("after")
        if closed:
            world.stream.roll(world.stream.open_shards()[0])
        await asyncio.sleep(23 * HOUR_S)
        world.stream.trim()
        world.worker("second").start()
        await world.until_equal(60)
        await world.end()

    run_virtual(scenario())


def test_what_an_idle_shard_did_not_bring_while_it_was_followed_is_none() -> None:
    async def scenario() -> None:
        world = World()
        first = world.worker("first").start()
        await asyncio.sleep(0.9 * HOUR_S)
        await first.stop()
        await asyncio.sleep(23.5 * HOUR_S)
        world.put("after")
        world.worker("second").start()
        await world.until_equal(60)
        await world.end()

    run_virtual(scenario())


def test_a_generation_that_came_and_went_unseen_is_a_gap() -> None:
    """1 a shard is finished; 2 its child is not listed yet, and the worker dies; 3 the child ends, and is trimmed."""

    async def scenario() -> None:
        world = World()
        worker = world.worker("first").start()
        world.put("before")
        await world.until_equal()
        [child] = world.stream.roll(world.stream.open_shards()[0])
        world.stream.hidden.add(child)
        await asyncio.sleep(10)
        await worker.kill()
        world.put("lost")
        await asyncio.sleep(3600)
        [grandchild] = world.stream.roll(child)
        world.put("kept")
        await asyncio.sleep(25 * HOUR_S)
        world.stream.trim()
        assert world.stream.open_shards() == [grandchild]
        [error] = await world.worker("second").start().ended(1000)
        assert isinstance(error, Gap)
        await world.end()

    run_virtual(scenario())


def test_behind_a_generation_that_is_lost_it_is_gone_on_where_the_worker_is_to() -> None:
    """Once what lies before it is finished; the same gap whoever finds it."""

    async def scenario() -> None:
        world = World()
        worker = world.worker("first").start()
        world.put("before")
        await world.until_equal()
        [root] = world.stream.open_shards()
        [child] = world.stream.roll(root)
        world.stream.hidden.add(child)
        await asyncio.sleep(10)
        await worker.kill()
        world.put("lost")
        await asyncio.sleep(3600)
        world.stream.roll(child)
        world.put("kept")
        await asyncio.sleep(25 * HOUR_S)
        world.put("new")
        world.stream.trim()
        world.gaps = MemoryGaps()
        second = world.worker("second").start()
        await asyncio.sleep(200)
        names = {item["id"]["S"] for item in world.destination.items.values()}
        assert names == {"before", "new"}
        assert {gap.shard_id for gap in world.gaps.rows.values()} >= {child}
        assert second.task is not None
        assert not second.task.done()
        await world.end()

    run_virtual(scenario())


def test_after_an_unclean_start_too() -> None:
    async def scenario() -> None:
        world = World()
        first = world.worker("first").start()
        await asyncio.sleep(60)
        await first.kill()
        second = world.worker("second").start()
        await asyncio.sleep(1.2 * HOUR_S)
        await second.stop()
        await asyncio.sleep(23.5 * HOUR_S)
        world.put("after")
        world.worker("third").start()
        await world.until_equal(60)
        await world.end()

    run_virtual(scenario())


def test_what_is_trimmed_behind_a_slow_parent_is_a_gap() -> None:
    """1 a task begins on a stream with a parent and its child, 20 hours old; 2 the parent's changes cannot be written
    for five hours; 3 the child's first ones are trimmed meanwhile."""

    async def scenario() -> None:
        world = World()
        world.put("p")
        world.stream.roll(world.stream.open_shards()[0])
        world.put("lost")
        await asyncio.sleep(20 * HOUR_S)
        world.put("kept")
        worker = world.worker("w").start()
        worker.write_faults.fault = Fault(Throttled(Side.DESTINATION, "injected"))
        await asyncio.sleep(5 * HOUR_S)
        world.stream.trim()
        worker.write_faults.fault = None
        [error] = await worker.ended()
        assert isinstance(error, Gap)
        await world.end()

    run_virtual(scenario())


def test_what_a_java_worker_read_meanwhile_is_none() -> None:
    async def scenario() -> None:
        world = World()
        first = world.worker("first").start()
        await asyncio.sleep(60)
        await first.stop()
        [(shard_id, row)] = world.leases.rows.items()
        # KCL keeps attributes that it does not know.
        world.leases.rows[shard_id] = replace(row, owner="java", counter=row.counter + 1)
        await asyncio.sleep(25 * HOUR_S)
        row = world.leases.rows[shard_id]
        world.leases.rows[shard_id] = replace(row, owner=None, counter=row.counter + 1)
        world.put("after")
        world.worker("second").start()
        await world.until_equal(60)
        await world.end()

    run_virtual(scenario())
