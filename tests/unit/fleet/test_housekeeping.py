"""What one worker does for all: rows of finished shards, and what becomes of it where it may not remove them."""

import asyncio
import logging

import pytest

from dynamirror.errors import AccessDenied, Side
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import World


async def with_old_generation(world: World) -> str:
    """A shard that was read to its end and that the stream no longer lists; a worker follows its child."""
    world.stream.retention_ms = 200_000
    world.worker("w").start()
    await asyncio.sleep(5)
    [first] = world.stream.open_shards()
    world.put("k")
    world.stream.roll(first)
    await world.until(lambda: world.leases.rows[first].finished, 20)
    await asyncio.sleep(201)
    world.put("k", value=1)
    world.stream.trim()
    return first


def test_rows_of_finished_shards_are_removed_once_the_stream_no_longer_lists_them() -> None:
    async def scenario() -> None:
        world = World()
        first = await with_old_generation(world)
        ended_here = world.workers[0].coordinator._ended_at
        assert list(ended_here) == [first]
        await world.until(lambda: first not in world.leases.rows, 200)
        # Nor does a worker remember them for ever.
        await world.until(lambda: not ended_here, 61)
        await world.until_equal()
        assert len(world.leases.rows) == 1
        await world.end()

    run_virtual(scenario())


def test_a_worker_that_may_not_remove_rows_goes_on_and_says_so_seldom(caplog: pytest.LogCaptureFixture) -> None:
    denied = Fault(AccessDenied(Side.STATE, "no identity-based policy allows dynamodb:DeleteItem on the lease table"))

    async def scenario() -> None:
        world = World()
        first = await with_old_generation(world)
        worker = world.workers[0]
        worker.lease_faults.then = lambda operation: denied if operation == "DeleteItem" else None
        await asyncio.sleep(1000)
        assert worker.task is not None
        assert not worker.task.done(), worker.task
        assert first in world.leases.rows
        world.put("k", value=2)
        await world.until_equal()
        await world.end()

    with caplog.at_level(logging.WARNING):
        run_virtual(scenario())
    told = [record.getMessage() for record in caplog.records if "dynamodb:DeleteItem" in record.getMessage()]
    assert len(told) == 1


def test_a_shard_whose_row_cannot_be_read_is_counted_and_its_row_named(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        world = World(shards=3)
        first = world.worker("first").start()
        await world.until(lambda: world.owners() == ["first"] * 3, 10)
        await first.stop()
        damaged = world.stream.open_shards()[1]
        worker = world.worker("w")
        worker.leases.unreadable = {damaged}
        worker.start()
        await asyncio.sleep(100)
        # An operator may be mending it.
        assert worker.metrics.value("shards_unowned") == 0
        await asyncio.sleep(100)
        assert worker.metrics.value("shards_unowned") == 1
        assert damaged in caplog.text
        worker.leases.unreadable = ()
        await asyncio.sleep(100)
        assert worker.metrics.value("shards_unowned") == 0
        assert world.owner(damaged) == "w"
        await world.end()

    with caplog.at_level(logging.WARNING):
        run_virtual(scenario())
    told = [record for record in caplog.records if "the lease rows of 1 shards cannot be read" in record.getMessage()]
    assert told
    assert not [record for record in caplog.records if "nobody has taken" in record.getMessage()]
