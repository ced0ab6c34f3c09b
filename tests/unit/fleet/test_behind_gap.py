"""A gap that is noted is passed for good: the next worker goes on behind it, and finds what is lost since."""

import asyncio

from dynamirror.model.lease import TRIM_HORIZON
from dynamirror.testing.virtual_time import run_virtual
from tests.support.gap_policies import MemoryGaps
from tests.unit.fleet.test_absence import HOUR_S, followed
from tests.unit.fleet.world import World


async def absent(world: World) -> None:
    """Longer than the stream keeps what is written meanwhile."""
    world.put("lost")
    await asyncio.sleep(25 * HOUR_S)
    world.stream.trim()


async def passed(world: World, name: str, gaps: MemoryGaps) -> None:
    """A worker passes the gap, and is killed; nothing was written behind it."""
    world.gaps = gaps
    worker = world.worker(name).start()
    await asyncio.sleep(120)
    assert worker.task is not None
    assert not worker.task.done()
    await worker.kill()


def test_behind_a_gap_without_changes_the_next_worker_finds_none() -> None:
    async def scenario() -> None:
        world, gaps = World(), MemoryGaps()
        await followed(world)
        await absent(world)
        await passed(world, "second", gaps)
        [gap] = gaps.rows.values()
        await passed(world, "third", gaps)
        assert [*gaps.rows.values()] == [gap], "noted once"
        # Closed by a comparison; its place in the stream is the same still, also for a worker that stops at gaps.
        assert await gaps.close_gap(gap)
        world.gaps = None
        world.worker("fourth").start()
        world.put("lost", "after", value=2)
        await world.until_equal(30)
        await world.end()

    run_virtual(scenario())


def test_what_is_lost_behind_a_gap_is_another_one() -> None:
    async def scenario() -> None:
        world, gaps = World(), MemoryGaps()
        await followed(world)
        await absent(world)
        await passed(world, "second", gaps)
        gaps.rows.clear()
        await absent(world)
        await passed(world, "third", gaps)
        assert [gap.behind for gap in gaps.rows.values()] == [TRIM_HORIZON]
        await world.end()

    run_virtual(scenario())


def test_a_shard_that_was_never_begun_is_passed_too() -> None:
    async def scenario() -> None:
        world, gaps = World(), MemoryGaps()
        worker = world.worker("first").start()
        await asyncio.sleep(5)
        await worker.kill()
        await absent(world)
        await passed(world, "second", gaps)
        [gap] = gaps.rows.values()
        await passed(world, "third", gaps)
        assert [*gaps.rows.values()] == [gap]
        await world.end()

    run_virtual(scenario())
