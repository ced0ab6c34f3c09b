"""A worker that beats and cannot use the lease table, or that was frozen while it asked."""

import asyncio

import pytest

from dynamirror.errors import Side, Throttled
from dynamirror.model.lease import Predecessor
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import World

THROTTLED = Fault(Throttled(Side.STATE, "the lease table is throttled"))


async def begun(shards: int) -> World:
    """Two workers that share the shards, or one that holds all and one that has just asked for some."""
    world = World(shards=shards)
    world.worker("a").start()
    world.put_many(40)
    await world.until_equal(60)
    await asyncio.sleep(40)
    world.worker("b").start()
    return world


@pytest.mark.parametrize("joins", [False, True])
def test_shards_of_a_worker_that_cannot_use_the_lease_table_are_taken(joins: bool) -> None:
    """1 it reaches the state table, so it beats; 2 it cannot prove a lease, so it writes nothing; 3 its rows stand."""

    async def scenario() -> None:
        world = await begun(4)
        blind = world.workers[1]
        if joins:
            await world.until(lambda: bool(blind.coordinator._thief.asked), 30, every_s=0.01)
        else:
            await world.until(lambda: sorted(map(str, world.owners())) == ["a", "a", "b", "b"], 60)
        blind.lease_faults.fault = THROTTLED
        await asyncio.sleep(30)
        world.put_many(40, value=7)
        await world.until_equal(130)
        assert set(world.owners()) == {"a"}
        blind.lease_faults.fault = None
        await world.until(lambda: world.owners().count("b") == 2, 60)
        world.put_many(40, value=8)
        await world.until_equal(60)
        await world.end()

    run_virtual(scenario())


def test_when_nobody_can_use_the_lease_table_nobody_is_taken_for_dead() -> None:
    async def scenario() -> None:
        world = await begun(8)
        await world.until(lambda: world.owners().count("b") == 4, 60)
        before = world.owners()
        for worker in world.workers:
            worker.lease_faults.fault = THROTTLED
        await asyncio.sleep(300)
        for worker in world.workers:
            worker.lease_faults.fault = None
        world.put_many(40, value=7)
        await world.until_equal(30)
        await asyncio.sleep(200)
        assert world.owners() == before
        assert all(worker.metrics.value("leases_lost") == 0 for worker in world.workers)
        await world.end()

    run_virtual(scenario())


def test_one_that_was_frozen_while_it_asked_asks_anew_and_takes_nothing_by_force() -> None:
    async def scenario() -> None:
        world = await begun(40)
        asker = world.workers[1]
        await world.until(lambda: bool(asker.coordinator._thief.asked), 30, every_s=0.01)
        await asyncio.sleep(1.5)
        thaws_at_s = world.now_s + 60

        def frozen(_: str) -> Fault | None:
            left_s = thaws_at_s - world.now_s
            return Fault(delay_s=left_s) if left_s > 0 else None

        for cut in (asker.lease_faults, asker.state_faults, asker.write_faults, asker.stream_faults):
            cut.then = frozen
        await asyncio.sleep(60)
        await world.until(lambda: world.owners().count("b") == 20, 40)
        await asyncio.sleep(20)
        assert {tenure.held.predecessor for tenure in asker.coordinator.tenures.values()} == {Predecessor.NOBODY}
        assert world.workers[0].metrics.value("leases_lost") == 0
        await world.end()

    run_virtual(scenario())
