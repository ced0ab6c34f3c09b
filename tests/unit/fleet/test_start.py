"""The first minute of a worker: what it may begin before the shards are listed, and what has to wait."""

import asyncio
from dataclasses import replace

import pytest

from dynamirror.errors import Side, Throttled
from dynamirror.model.lease import SHARD_END, TRIM_HORIZON, Lease, new_lease
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import Worker, World


def no_listing(worker: Worker) -> None:
    """DescribeStream fails until `listing` is called."""
    throttled = Fault(Throttled(Side.SOURCE, "injected"))
    worker.stream_faults.then = lambda operation: throttled if operation == "DescribeStream" else None


def listing(worker: Worker) -> None:
    worker.stream_faults.then = lambda operation: None


async def followed_before(world: World, value: int = 0) -> None:
    """An earlier worker has applied something of every shard, and has left in order."""
    first = world.worker("first").start()
    world.put_many(40, value=value)
    await world.until_equal()
    await first.stop()


# --- what goes on at once


def test_a_closed_shard_whose_child_is_not_listed_does_not_delay_the_others() -> None:
    async def scenario() -> None:
        world = World(shards=4)
        await followed_before(world)
        rolled = world.stream.open_shards()[0]
        world.stream.hidden.update(world.stream.roll(rolled))
        others = [f"k{i}" for i in range(40) if world.stream.shard_of_key(f"k{i}") not in world.stream.hidden]
        world.put(*others, value=1)
        world.worker("next").start()
        await world.until_equal(5)
        await world.end()

    run_virtual(scenario())


def test_a_stream_that_cannot_be_listed_delays_no_shard_that_was_followed_before() -> None:
    async def scenario() -> None:
        world = World(shards=4)
        await followed_before(world)
        world.put_many(40, value=1)
        worker = world.worker("next")
        no_listing(worker)
        worker.start()
        await world.until_equal(5)
        await asyncio.sleep(60)
        assert world.owners() == ["next"] * 4
        # Kept alive all the while.
        counters = [row.counter for row in world.leases.rows.values()]
        await asyncio.sleep(20)
        assert all(row.counter > old for row, old in zip(world.leases.rows.values(), counters, strict=True))
        await world.end()

    run_virtual(scenario())


def test_a_stop_before_the_first_listing_releases_what_was_taken() -> None:
    async def scenario() -> None:
        world = World(shards=4)
        await followed_before(world)
        worker = world.worker("next")
        no_listing(worker)
        worker.start()
        await asyncio.sleep(10)
        await worker.stop()
        assert world.owners() == [None] * 4
        await world.end()

    run_virtual(scenario())


# --- what waits for the first listing


def never_read(world: World, parent: str, child: str) -> None:
    """Java creates a child's row before its parent's (P-18)."""
    world.leases.rows[child] = new_lease(child, (parent,))
    # The task has begun: another shard is finished.
    world.leases.rows["shardId-00000000000000000001-other"] = Lease("shardId-00000000000000000001-other", SHARD_END)


@pytest.mark.parametrize("listed", [False, True], ids=["no listing yet", "listings leave the parent out"])
def test_a_child_is_not_read_over_a_parent_without_a_row_that_may_be_listed_later(listed: bool) -> None:
    """Listings fail, or lag for minutes: until one shows what became of a young parent, its absent row says nothing."""

    async def scenario() -> None:
        world = World()
        world.put("a")
        [parent] = world.stream.open_shards()
        [child] = world.stream.roll(parent)
        world.put("a", value=1)
        never_read(world, parent, child)
        worker = world.worker("w")
        if listed:
            world.stream.hidden.add(parent)
        else:
            no_listing(worker)
        worker.start()
        await asyncio.sleep(300)
        assert world.owner(child) == "w"
        assert world.writes == []
        world.stream.hidden.clear()
        listing(worker)
        await world.until_equal(90)
        assert [sequence for _, _, _, sequence in world.writes] == sorted(s for _, _, _, s in world.writes)
        assert world.leases.rows[parent].finished
        await world.end()

    run_virtual(scenario())


def test_a_child_that_is_being_read_needs_no_row_of_its_parent_and_no_listing() -> None:
    """The usual table after Java: rows of finished parents are deleted. What was begun proves the parent done."""

    async def scenario() -> None:
        world = World()
        await followed_before(world)
        [parent] = world.stream.open_shards()
        [child] = world.stream.roll(parent)
        await followed_before(world, value=1)
        del world.leases.rows[parent]
        assert world.leases.rows[child].started
        world.put("k1", value=2)
        worker = world.worker("next")
        no_listing(worker)
        worker.start()
        await world.until_equal(5)
        await world.end()

    run_virtual(scenario())


@pytest.mark.parametrize("parent_listed", [True, False])
def test_nothing_is_skipped_below_an_absent_parent_before_the_listing(parent_listed: bool) -> None:
    """Whether skipping may go on is said by the listing: a listed parent without row was completed by somebody."""

    async def scenario() -> None:
        world = World()
        [parent] = world.stream.open_shards()
        [child] = world.stream.roll(parent)
        if not parent_listed:
            world.stream.hidden.add(parent)
            await asyncio.sleep(25 * 3600)
        world.put("a")
        start_ms = int(world.clock.wall_s() * 1000) + 3_600_000
        [position] = world.stream._shards[child].sequences
        world.put("b")
        row = new_lease(child, (parent,), TRIM_HORIZON, start_ms)
        world.leases.rows[child] = replace(row, checkpoint=str(position), counter=7, clean_counter=7)
        worker = world.worker("w")
        no_listing(worker)
        worker.start()
        await asyncio.sleep(60)
        assert world.owner(child) == "w"
        assert world.destination.items == {}
        assert world.leases.rows[child].checkpoint == str(position)
        listing(worker)
        await asyncio.sleep(100)
        assert set(world.destination.items) == ({"b"} if parent_listed else set())
        assert worker.coordinator.misses_nothing
        await world.end()

    run_virtual(scenario())
