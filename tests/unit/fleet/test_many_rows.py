"""Hundreds of shards, and a lease table that now and then says no: each row is tried again, and none waits for it."""

import asyncio
from itertools import count

import pytest

from dynamirror.errors import Side, Throttled, Unanswered
from dynamirror.fleet.taker import Taker
from dynamirror.model.lease import Lease
from dynamirror.model.shard_graph import generations
from dynamirror.testing.faults import Fault, Faults
from tests.unit.fleet.test_coordinator import virtually
from tests.unit.fleet.world import World

SHARDS = 300
THROTTLED = Fault(Throttled(Side.STATE, "injected"))
LOST = Fault(Unanswered(Side.STATE, "injected"), lands_after_s=0.0)


def every_fifth(operation: str, fault: Fault) -> Faults:
    asked = count(1)
    return lambda name: fault if name == operation and next(asked) % 5 == 0 else None


async def left_behind(world: World) -> None:
    """All shards have an owner that is dead."""
    first = world.worker("first").start()
    await world.until(lambda: world.owners() == ["first"] * SHARDS, 10)
    await first.kill()


# One whose answer was lost is known to be this worker's once its row has stood still for ten seconds.
@pytest.mark.parametrize("fault,followed_s", [(THROTTLED, 5), (LOST, 40)], ids=["throttled", "lost"])
def test_all_leases_of_a_dead_worker_are_taken_within_seconds(fault: Fault, followed_s: float) -> None:
    @virtually
    async def steps() -> None:
        world = World(shards=SHARDS)
        await left_behind(world)
        second = world.worker("second")
        second.lease_faults.then = every_fifth("UpdateItem", fault)
        second.start()
        assert await world.until(lambda: world.owners() == ["second"] * SHARDS, 20) > 8
        world.put_many(100)
        await world.until_equal(followed_s)
        await world.end()

    steps()


def test_a_lease_table_that_answers_late_does_not_keep_a_worker_from_looking_around(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While it takes leases it sees nobody die, and hands nothing over."""
    looks_s: list[float] = []
    look = Taker.look

    async def timed(self: Taker) -> None:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        try:
            await look(self)
        finally:
            looks_s.append(loop.time() - begun_s)

    monkeypatch.setattr(Taker, "look", timed)

    @virtually
    async def steps() -> None:
        world = World(shards=SHARDS)
        await left_behind(world)
        second = world.worker("second")
        second.lease_faults.then = every_fifth("UpdateItem", Fault(LOST.error, delay_s=5.0))
        second.start()
        await asyncio.sleep(60)
        assert world.owners().count("second") > SHARDS / 5
        await world.end()

    steps()
    assert max(looks_s) < 2 * 5.0


@pytest.mark.parametrize("fault", [THROTTLED, LOST], ids=["throttled", "lost"])
def test_the_rows_of_a_stream_are_made_within_seconds(fault: Fault) -> None:
    @virtually
    async def steps() -> None:
        world = World(shards=SHARDS)
        worker = world.worker("w")
        worker.lease_faults.then = every_fifth("PutItem", fault)
        worker.start()
        await world.until(lambda: world.owners() == ["w"] * SHARDS, 10)
        await world.end()

    steps()


def test_the_children_of_a_row_that_failed_are_not_made_before_it() -> None:
    """1 the parent's row is refused; 2 the child's is made; 3 whoever looks now takes the parent for completed, and its
    changes are lost (P-19)."""

    @virtually
    async def steps() -> None:
        world = World(shards=4)
        parents = [shard.id for shard in (await world.stream.list_shards()).shards]
        for parent in parents:
            world.stream.roll(parent)
        worker = world.worker("w")
        refused = iter([THROTTLED] * 3)
        worker.lease_faults.then = lambda name: next(refused, None) if name == "PutItem" else None
        worker.start()
        await world.until(lambda: len(world.leases.rows) == 1, 10, every_s=0.001)
        assert {*world.leases.rows} < {*parents}
        await world.until(lambda: len(world.leases.rows) == 8, 10)
        world.put_many(20)
        await world.until_equal(10)
        await world.end()

    steps()


def test_no_generation_has_a_parent_and_its_child() -> None:
    def row(shard_id: str, *parent_ids: str) -> Lease:
        return Lease(shard_id, "TRIM_HORIZON", parent_ids=parent_ids)

    rows = [
        row("a"),
        row("b", "gone"),
        row("a1", "a"),
        row("c"),
        row("a2", "a"),
        row("a11", "a1"),
        row("ab", "a2", "b"),
    ]
    assert [[lease.shard_id for lease in part] for part in generations(rows)] == [
        ["a", "b", "c"],
        ["a1", "a2"],
        ["a11", "ab"],
    ]
    assert generations([]) == []
