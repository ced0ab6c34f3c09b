"""One worker lists the stream for all, and cleans up for all."""

import asyncio
from collections import Counter
from dataclasses import replace
from unittest.mock import patch

from dynamirror.model.shard_graph import Listing, Shard
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import Worker, World


class Calls:
    """Counts what a worker asks of the stream, and lets it pass."""

    def __init__(self, worker: Worker) -> None:
        self.of: Counter[str] = Counter()
        worker.stream_faults.then = self

    def __call__(self, operation: str) -> Fault | None:
        self.of[operation] += 1
        return None


def test_one_worker_lists_for_all_and_the_next_one_does_when_it_dies() -> None:
    async def scenario() -> None:
        world = World(shards=3)
        workers = [world.worker(name) for name in ("a", "b", "c")]
        calls = [Calls(worker) for worker in workers]
        for worker in workers:
            worker.start()
        await asyncio.sleep(200)
        for counted in calls:
            counted.of.clear()
        await asyncio.sleep(600)
        assert [counted.of["DescribeStream"] for counted in calls] == [10, 0, 0]
        # Nor does an end of a shard make anybody list them all, but its own children twice.
        for value in range(2, 6):
            for shard_id in world.stream.open_shards():
                world.stream.roll(shard_id)
            world.put_many(40, value=value)
            await world.until_equal(10)
            await asyncio.sleep(30)
        assert [counted.of["DescribeStream"] for counted in calls] == [12, 0, 0]
        assert sum(counted.of["CHILD_SHARDS"] for counted in calls) == 2 * 4 * 3
        await workers[0].kill()
        await asyncio.sleep(300)
        calls[1].of.clear()
        calls[2].of.clear()
        await asyncio.sleep(600)
        assert [counted.of["DescribeStream"] for counted in calls[1:]] == [10, 0]
        await world.end()

    run_virtual(scenario())


def test_a_worker_alone_lists_by_itself_whatever_somebody_wrote_down() -> None:
    async def scenario() -> None:
        world = World(shards=2)
        first = world.worker("a").start()
        await asyncio.sleep(10)
        await first.kill()
        world.stream.roll(world.stream.open_shards()[0])
        world.put_many(40)
        second = world.worker("b")
        calls = Calls(second)
        second.start()
        await world.until_equal(90)
        assert calls.of["DescribeStream"] > 0
        await world.end()

    run_virtual(scenario())


def test_rows_of_finished_shards_go_once_the_stream_no_longer_lists_them() -> None:
    async def scenario() -> None:
        world = World(shards=2)
        world.stream.retention_ms = 20 * 60 * 1000
        for name in ("a", "b"):
            world.worker(name).start()
        for value in range(9):
            world.put_many(20, value=value)
            for shard_id in world.stream.open_shards():
                world.stream.roll(shard_id)
            await world.until_equal(20)
            await asyncio.sleep(240)
            world.stream.trim()
        await asyncio.sleep(200)
        listed = {shard.id for shard in (await world.stream.list_shards()).shards}
        assert {shard_id for shard_id in world.leases.rows if shard_id not in listed} == set()
        assert listed <= world.leases.rows.keys()
        assert len(world.leases.rows) < 18
        await world.end()

    run_virtual(scenario())


def test_the_heartbeat_row_of_a_dead_worker_goes_after_an_hour() -> None:
    async def scenario() -> None:
        world = World(shards=2)
        dead = world.worker("a").start()
        world.worker("b").start()
        await asyncio.sleep(60)
        await dead.kill()
        await asyncio.sleep(3000)
        assert set(await world.state.beats()) == {"a", "b"}
        await asyncio.sleep(900)
        assert set(await world.state.beats()) == {"b"}
        await world.end()

    run_virtual(scenario())


def test_a_second_child_that_is_listed_late_is_found_by_who_ended_the_parent() -> None:
    async def scenario() -> None:
        world = World(shards=2)
        world.worker("a").start()
        await world.until(lambda: world.owners() == ["a", "a"], 10)
        world.worker("b").start()
        await world.until(lambda: sorted(map(str, world.owners())) == ["a", "b"], 30)
        await asyncio.sleep(90)
        [shard_id] = [shard for shard in world.stream.open_shards() if world.owner(shard) == "b"]
        listed, children = world.stream.list_shards, world.stream.list_children
        late = max(world.stream.split(shard_id))

        async def without_the_late_one() -> Listing:
            found = await listed()
            return replace(found, shards=tuple(shard for shard in found.shards if shard.id != late))

        async def children_without_it(parent_id: str) -> list[Shard]:
            return [shard for shard in await children(parent_id) if shard.id != late]

        with (
            patch.object(world.stream, "list_shards", without_the_late_one),
            patch.object(world.stream, "list_children", children_without_it),
        ):
            await asyncio.sleep(4)
        world.put_many(40, value=3)
        await world.until_equal(12)
        await world.end()

    run_virtual(scenario())
