"""What was received and not applied, or never brought by a read, is not taken for nothing: trimmed, it is a gap."""

import asyncio
from dataclasses import replace

import pytest

from dynamirror.errors import Gap, Side, Throttled
from dynamirror.model.copy import Copy, Phase
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import Worker, World

HOUR_S = 3600.0


async def idle_task(world: World) -> None:
    """A worker that made the leases, and left in order before anything was written."""
    first = world.worker("first").start()
    await asyncio.sleep(5)
    await first.stop()


def in_a_copy(world: World, name: str) -> Worker:
    """A worker whose changes wait."""
    worker = world.worker(name)
    worker.knowledge._lasts_s = 10.0
    worker.knowledge.learn(Copy(Phase.COPYING, 4, 0, was_empty=True), worker.clock.boottime_s(), worker.clock.wall_s())
    return worker


async def no_gap_is_missed(world: World) -> None:
    third = world.worker("third").start()
    await asyncio.sleep(120)
    assert third.task is not None
    assert third.task.done(), "changes are gone, and nobody says so"
    with pytest.raises(BaseExceptionGroup) as failure:
        await third.task
    assert failure.value.split(Gap)[0] is not None


def test_empty_pages_of_a_short_tenure_prove_nothing() -> None:
    """1 a change is 22 h old; 2 a worker gets empty pages, as GetRecords may before it comes to records, and stops;
    3 the change is trimmed; 4 "read until an hour ago" would say that nothing is missing."""

    async def scenario() -> None:
        world = World()
        first = world.worker("first").start()
        await asyncio.sleep(5)
        await first.kill()
        world.put("lost")
        [shard] = world.stream.open_shards()
        await asyncio.sleep(22.5 * HOUR_S)
        world.stream.send_empty_pages(shard, 100)
        second = world.worker("second").start()
        await asyncio.sleep(60)
        await second.stop()
        world.stream.send_empty_pages(shard, 0)
        await asyncio.sleep(2 * HOUR_S)
        world.stream.trim()
        await no_gap_is_missed(world)
        await world.end()

    run_virtual(scenario())


def test_a_shard_that_brought_nothing_for_long_had_nothing() -> None:
    async def scenario() -> None:
        world = World()
        [shard] = world.stream.open_shards()
        first = world.worker("first").start()
        await asyncio.sleep(20 * HOUR_S)
        await first.stop()
        since_ms = world.leases.rows[shard].since_ms
        assert since_ms is not None
        assert world.clock.wall_s() * 1000 - since_ms < 5_000
        await world.end()

    run_virtual(scenario())


def test_a_backlog_that_waited_at_a_stop_is_a_gap_once_it_is_trimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 a change that is 20 h old is received, and waits: a copy runs, and the destination takes nothing; 2 nothing
    more comes, SIGTERM; 3 the row must not say that the shard had nothing; 4 it is trimmed."""
    # One empty page would prove that nothing is left, if nothing waited.
    monkeypatch.setattr("dynamirror.follow.read.EMPTY_PROVES_MS", 0)

    async def scenario() -> None:
        world = World(shards=2)
        await idle_task(world)
        keys = [f"k{n}" for n in range(40)]
        one, other = world.stream.open_shards()
        world.put(*[key for key in keys if world.stream.shard_of_key(key) == other])
        await asyncio.sleep(20 * HOUR_S)
        world.put(*[key for key in keys if world.stream.shard_of_key(key) == one])
        second = in_a_copy(world, "second")
        tools = second.applier._tools
        second.applier._tools = replace(tools, settings=replace(tools.settings, queue_bytes_max=100))
        second.write_faults.fault = Fault(Throttled(Side.DESTINATION, "injected"))
        # Something of another shard fills the queue first.
        second.applier.waits(1000)
        second.start()
        await asyncio.sleep(90)
        await second.stop()
        await asyncio.sleep(5 * HOUR_S)
        world.stream.trim()
        await no_gap_is_missed(world)
        await world.end()

    run_virtual(scenario())
