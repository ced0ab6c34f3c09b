"""Beginnings that go half wrong: a start that is cut off or doubled, rows made anew."""

import asyncio
from dataclasses import replace

import pytest

from dynamirror.errors import Gap, Side, Throttled
from dynamirror.model.lease import LATEST, TRIM_HORIZON, Lease, Terms
from dynamirror.model.shard_graph import Start
from dynamirror.testing.faults import Fault, Scripted
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import World


def now(world: World) -> Start:
    """--start-at latest, by a clock that may be 15 min off."""
    return Start(LATEST, int((world.clock.wall_s() - 900) * 1000))


def test_two_workers_that_begin_at_latest_bring_no_old_image_back() -> None:
    """1 one worker creates the rows; 2 the other one's look at them falls in between; 3 were the lineages without a row
    yet read from their beginning by it, old images would land on what the first one has applied."""

    async def scenario() -> None:
        world = World(shards=60)
        world.put_many(600, value=1)
        for shard_id in world.stream.open_shards():
            world.stream.roll(shard_id)
        await asyncio.sleep(7200)
        world.destination.items.update(world.source.items)
        world.worker("a", start=now(world)).start()
        await asyncio.sleep(0.15)
        slow = world.worker("b", start=now(world)).start()
        slow.lease_faults.then = lambda operation: Fault(delay_s=0.03) if operation == "PutItem" else None
        for number in range(600):
            await asyncio.sleep(0.01)
            world.put(f"k{number * 37 % 600}", value=2)
        await asyncio.sleep(100)
        last = {key: sequence for _, _, key, sequence in world.writes}
        newest = {key: max(s for _, _, k, s in world.writes if k == key) for key in last}
        assert last == newest
        await world.end()

    run_virtual(scenario())


@pytest.mark.parametrize("operation", ["PutItem", "GetShardIterator"])
def test_latest_holds_when_a_call_of_the_start_is_throttled(operation: str) -> None:
    async def scenario() -> None:
        world = World(shards=4)
        world.put_many(40)
        for shard_id in world.stream.open_shards():
            world.stream.roll(shard_id)
        world.put_many(40, value=1)
        await asyncio.sleep(7200)
        worker = world.worker("w", start=now(world))
        throttled = Fault(Throttled(Side.STATE, "injected"))
        worker.lease_faults.then = Scripted(operation, [None, throttled])
        worker.stream_faults.then = Scripted(operation, [None, throttled])
        worker.start()
        await asyncio.sleep(100)
        assert world.destination.items == {}
        world.put("k1", value=2)
        await world.until(lambda: set(world.destination.items) == {"k1"}, 5)
        await world.end()

    run_virtual(scenario())


def test_latest_holds_for_the_worker_that_comes_after_the_first() -> None:
    async def scenario() -> None:
        world = World()
        world.put_many(20)
        world.stream.roll(world.stream.open_shards()[0])
        world.put_many(20, value=1)
        await asyncio.sleep(7200)
        first = world.worker("first", start=now(world)).start()
        await asyncio.sleep(20)
        await first.stop()
        world.worker("next", start=now(world)).start()
        await asyncio.sleep(60)
        assert world.destination.items == {}
        await world.end()

    run_virtual(scenario())


def test_a_java_workers_latest_is_not_asked_for_twice() -> None:
    """1 a Java worker's row is at LATEST, without a time; 2 one of ours takes it; 3 a change comes and is not applied;
    4 it leaves, or is killed; 5 the next one must not begin at its own latest."""

    async def scenario(orderly: bool) -> None:
        world = World()
        [shard_id] = world.stream.open_shards()
        world.leases.rows[shard_id] = Lease(shard_id, LATEST, counter=7)
        first = world.worker("first").start()
        await asyncio.sleep(10)
        if orderly:
            await first.stop()
        else:
            await first.kill()
        world.put("k")
        world.worker("next").start()
        await world.until_equal(100)
        await world.end()

    run_virtual(scenario(orderly=True))
    run_virtual(scenario(orderly=False))


@pytest.mark.parametrize("checkpoint", [TRIM_HORIZON, LATEST])
@pytest.mark.parametrize("counter", [0, 7])
def test_what_is_trimmed_unread_of_a_java_workers_row_is_a_gap(checkpoint: str, counter: int) -> None:
    """1 ours takes a row of which nothing was applied; 2 the task is paused for longer than the stream keeps changes;
    3 changes come, and are trimmed."""

    async def scenario() -> None:
        world = World()
        world.stream.retention_ms = 2_000_000
        [shard_id] = world.stream.open_shards()
        world.leases.rows[shard_id] = Lease(shard_id, checkpoint, counter=counter)
        worker = world.worker("w").start()
        await asyncio.sleep(30)
        worker.tenure.follow.gate.set(True)
        world.put("lost")
        await asyncio.sleep(2100)
        world.stream.trim()
        world.put("kept")
        worker.tenure.follow.gate.set(False)
        [error] = await worker.ended(400)
        assert isinstance(error, Gap)
        await world.end()

    run_virtual(scenario())


def test_a_stream_that_is_off_is_not_called_applied_while_listings_leave_shards_out() -> None:
    async def scenario() -> None:
        world = World(shards=2)
        first = world.stream.open_shards()[0]
        world.put_many(20)
        world.stream.roll(first)
        world.put_many(20, value=1)
        world.stream.hidden.add(first)
        world.stream.disable()
        worker = world.worker("w").start()
        await asyncio.sleep(400)
        assert worker.task is not None
        assert not worker.task.done()
        world.stream.hidden.clear()
        [error] = await worker.ended(200)
        assert "has been applied" in str(error)
        assert world.destination.items == world.source.items
        await world.end()

    run_virtual(scenario())


def test_a_row_that_was_deleted_and_made_anew_is_followed() -> None:
    async def scenario() -> None:
        world = World()
        world.worker("w").start()
        for number in range(60):
            world.put("k", value=number)
            await asyncio.sleep(1)
        [shard_id] = world.stream.open_shards()
        del world.leases.rows[shard_id]
        await asyncio.sleep(90)
        world.put("after")
        await world.until_equal(120)
        await world.end()

    run_virtual(scenario())


def test_after_a_backlog_of_generations_nothing_is_left_in_doubt() -> None:
    async def scenario() -> None:
        world = World(shards=4)
        for generation in range(5):
            world.put_many(20, value=generation)
            for shard_id in world.stream.open_shards():
                world.stream.roll(shard_id)
        worker = world.worker("w").start()
        await world.until_equal(60)
        await asyncio.sleep(30)
        assert worker.directory.in_doubt == {}
        await worker.stop()
        assert world.state.rows == {}
        await world.end()

    run_virtual(scenario())


# --- when a worker at LATEST may say that it has started


def test_a_restart_at_latest_misses_nothing_at_once_however_long_its_backlog_is() -> None:
    """--start-at latest stands in a unit file. The places of the shards are known, those of children follow."""

    async def scenario() -> None:
        world = World(shards=4)
        start = now(world)
        first = world.worker("first", start=start).start()
        await world.until(lambda: first.coordinator.misses_nothing, 5)
        world.put_many(100)
        await world.until_equal(30)
        await first.stop()
        world.put_many(100, value=1)
        for shard_id in world.stream.open_shards():
            world.stream.roll(shard_id)
        world.put_many(100, value=2)
        slow = Fault(delay_s=20.0)
        # One that took over has made the rows of the children, and could not finish the parents.
        second = world.worker("second", start=start)
        second.stream_faults.then = lambda operation: slow if operation == "GetRecords" else None
        second.start()
        await world.until(lambda: len(world.leases.rows) == 8, 30)
        await second.stop()
        worker = world.worker("next", start=start)
        worker.stream_faults.then = second.stream_faults.then
        worker.start()
        assert await world.until(lambda: worker.coordinator.misses_nothing, 200) < 2
        assert len(worker.coordinator.tenures) == 8
        assert world.destination.items != world.source.items
        worker.stream_faults.then = lambda operation: None
        await world.until_equal(100)
        await world.end()

    run_virtual(scenario())


def test_a_start_at_latest_misses_something_until_each_shard_is_found() -> None:
    async def scenario() -> None:
        world = World(shards=4)
        worker = world.worker("w", start=now(world))
        found: list[Fault | None] = [None, None, None]
        throttled = Fault(Throttled(Side.SOURCE, "injected"))
        worker.stream_faults.then = lambda operation: (
            None if operation != "GetShardIterator" else found.pop() if found else throttled
        )
        worker.start()
        await asyncio.sleep(60)
        assert not worker.coordinator.misses_nothing
        found += [None] * 100
        await world.until(lambda: worker.coordinator.misses_nothing, 10)
        world.put_many(40)
        await world.until_equal(5)
        await world.end()

    run_virtual(scenario())


def test_latest_is_not_asked_for_once_a_worker_has_said_that_it_has_started() -> None:
    """1 two begin at the same time; 2 one makes the rows, the other one takes some; 3 it leaves the other one's share,
    and has started; 4 a change comes; 5 the other one dies, and the share is taken: not behind the change."""

    async def scenario() -> None:
        world = World(shards=4)
        worker = world.worker("w", start=now(world)).start()
        await world.until(lambda: len(world.leases.rows) == 4, 5, every_s=0.001)
        shard_id, row = min(world.leases.rows.items())
        world.leases.rows[shard_id] = replace(row, owner="other", counter=1, terms=Terms("other", 10_000, False))
        await world.until(lambda: worker.coordinator.misses_nothing, 5)
        assert world.owners().count(None) == 1
        world.put_many(40)
        await world.until(lambda: world.owners() == ["w"] * 4, 60)
        await world.until_equal(10)
        await world.end()

    run_virtual(scenario())
