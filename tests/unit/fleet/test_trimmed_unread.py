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
    monkeypatch.setattr("dynamirror.model.emptiness.EMPTY_READING_S", 0.0)

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


def test_nor_do_they_for_a_worker_that_renews_its_leases_and_dies() -> None:

    async def scenario() -> None:
        world = World()
        await idle_task(world)
        [shard_id] = world.stream.open_shards()
        world.put("lost")
        await asyncio.sleep(22.5 * HOUR_S)
        world.stream.send_empty_pages(shard_id, 1000)
        second = world.worker("second").start()
        await asyncio.sleep(HOUR_S / 6)
        await second.kill()
        world.stream.send_empty_pages(shard_id, 0)
        await asyncio.sleep(2 * HOUR_S)
        world.stream.trim()
        [error] = await world.worker("third").start().ended()
        assert isinstance(error, Gap)
        await world.end()

    run_virtual(scenario())


def test_an_idle_shard_that_is_read_in_short_stints_between_long_ones_has_no_gap() -> None:
    """What a long reading has proven stays; a short one neither adds to it nor takes from it."""

    async def scenario() -> None:
        world = World()
        for number in range(14):
            worker = world.worker(f"w{number}").start()
            await asyncio.sleep(HOUR_S / (2 if number % 10 == 0 else 6))
            await worker.stop()
            await asyncio.sleep(2 * HOUR_S)
        world.put("after")
        world.worker("last").start()
        await world.until_equal(60)
        await world.end()

    run_virtual(scenario())


def test_an_idle_stream_whose_shards_roll_is_read_in_short_stints_without_a_gap() -> None:
    """A shard is written for about four hours, and then read to its end however short the stint."""

    async def scenario() -> None:
        world = World()
        for number in range(12):
            worker = world.worker(f"w{number}").start()
            await asyncio.sleep(30)
            await worker.stop()
            await asyncio.sleep(4 * HOUR_S)
            world.stream.roll(world.stream.open_shards()[0])
            world.stream.trim()
        world.put("after")
        world.worker("last").start()
        await world.until_equal(60)
        await world.end()

    run_virtual(scenario())


def test_empty_pages_do_not_hide_what_is_trimmed_before_they_end() -> None:
    """The same within one tenure: its iterator is trimmed, and a fresh one would skip the change."""

    async def scenario() -> None:
        world = World()
        await idle_task(world)
        [shard_id] = world.stream.open_shards()
        world.put("lost")
        await asyncio.sleep(23.9 * HOUR_S)
        world.stream.send_empty_pages(shard_id, 2000)
        second = world.worker("second").start()
        await asyncio.sleep(0.15 * HOUR_S)
        world.stream.trim()
        [error] = await second.ended()
        assert isinstance(error, Gap)
        await world.end()

    run_virtual(scenario())


def test_a_pause_between_two_empty_pages_proves_nothing() -> None:
    async def scenario() -> None:
        world = World()
        await idle_task(world)
        [shard] = world.stream.open_shards()
        world.put("lost")
        put_ms = world.clock.wall_s() * 1000
        world.stream.send_empty_pages(shard, 100)
        second = world.worker("second").start()
        await asyncio.sleep(5)
        second.stream_faults.fault = Fault(Throttled(Side.SOURCE, "injected"))
        await asyncio.sleep(2 * HOUR_S)
        second.stream_faults.fault = None
        await asyncio.sleep(20)
        await second.stop()
        assert (world.leases.rows[shard].since_ms or 0) <= put_ms
        await world.end()

    run_virtual(scenario())
