"""Nobody follows the stream for longer than it keeps changes: a gap, never a silent skip."""

import asyncio

import pytest

from dynamirror.errors import Gap
from dynamirror.testing.virtual_time import run_virtual
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
        await asyncio.sleep(1.2 * HOUR_S)
        await first.stop()
        await asyncio.sleep(23 * HOUR_S)
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
