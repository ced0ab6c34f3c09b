"""What a shard's parents and descendants say of it: when it may be begun, and how."""

import asyncio

import pytest

from dynamirror.model.lease import SHARD_END, TRIM_HORIZON, Lease, Terms
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import World

TERMS = Terms("other", 10_000, heartbeat=True)


def rolled(world: World, owner: str, terms: Terms | None) -> tuple[str, str]:
    """A shard that somebody has read to its end, and its child."""
    [parent] = world.stream.open_shards()
    world.put("k")
    [child] = world.stream.roll(parent)
    world.destination.items.update(world.source.items)
    world.leases.rows[parent] = Lease(parent, SHARD_END, owner, 9, terms=terms)
    return parent, child


@pytest.mark.parametrize("java", [False, True])
def test_a_child_of_a_shard_that_java_ended_is_settled_once_nothing_of_that_can_land(java: bool) -> None:
    """1 a Java worker sends v1, and is frozen; 2 another one takes the shard, and ends it; 3 ours begins the child, and
    writes v2; 4 v1 lands. The second sending mends it, and the checkpoint waits for that."""

    async def scenario() -> None:
        world = World()
        parent, child = rolled(world, "other", None if java else TERMS)
        world.leases.rows[child] = Lease(child, TRIM_HORIZON, parent_ids=(parent,))
        worker = world.worker("w")
        worker.directory.java_beside = java
        worker.start()
        await asyncio.sleep(10)
        world.put("k", value=2)
        await world.until_equal(5)
        await asyncio.sleep(280)
        assert (world.leases.rows[child].checkpoint == TRIM_HORIZON) is java
        if java:
            world.destination.items["k"] = {"id": {"S": "k"}, "v": {"N": "0"}}
        await world.until_equal(30)
        await world.until(lambda: world.leases.rows[child].checkpoint != TRIM_HORIZON, 10)
        await world.end()

    run_virtual(scenario())


@pytest.mark.parametrize("grandchild", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_a_row_made_anew_is_finished_without_being_read(begun: bool, grandchild: bool) -> None:
    """The row of its child is gone too, where the grandchild has begun."""

    async def scenario() -> None:
        world = World()
        parent, child = rolled(world, "java", None)
        world.put("k", value=1)
        newest = child
        if grandchild:
            [newest] = world.stream.roll(child)
        world.destination.items.update(world.source.items)
        place = str(10**30) if begun else TRIM_HORIZON
        world.leases.rows[newest] = Lease(newest, place, "java", 5, parent_ids=(child if grandchild else parent,))
        world.leases.rows[parent] = Lease(parent, TRIM_HORIZON)
        worker = world.worker("w")
        worker.directory.java_beside = True
        worker.start()
        await world.until(lambda: world.leases.rows[parent].finished, 60)
        assert (len(world.writes) == 0) is begun
        await world.end()

    run_virtual(scenario())
