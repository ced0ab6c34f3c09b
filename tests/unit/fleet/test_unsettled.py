"""What a Java worker has sent may land for minutes: whoever gets the lease meanwhile waits for that, too (R-6)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from unittest.mock import patch

import pytest

from dynamirror.errors import Side
from dynamirror.model import lease as decide
from dynamirror.model.lease import Lease, Predecessor, Terms
from dynamirror.settings.bounds import SIGNATURE_LIFE_S
from dynamirror.testing.faults import Scripted
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import World, unanswered

ME, OTHER = Terms("me", 10_000, heartbeat=True), Terms("other", 10_000, heartbeat=True)


def test_the_row_says_so_until_it_is_over() -> None:
    taken = decide.take(Lease("shardId-1", "7", "java", 3), ME, 0).after
    assert taken.unsettled
    assert decide.renew(taken).after.unsettled
    again = decide.take(taken, OTHER, 0).after
    assert (decide.predecessor(taken), again.unsettled) == (Predecessor.UNKNOWN, True)
    for over in (decide.renew(again, settled=True), decide.checkpoint(again, "8"), decide.release(again)):
        assert not over.after.unsettled
    assert decide.predecessor(decide.checkpoint(again, "8").after) is Predecessor.DYNAMIRROR


@contextmanager
def forgotten() -> Iterator[None]:
    with (
        patch.object(decide, "predecessor", decide.last_owner),
        patch("dynamirror.fleet.shards.predecessor", decide.last_owner),
    ):
        yield


async def taken_from_a_dead_java_worker() -> tuple[World, dict[object, dict[str, object]]]:
    """The rows are just taken; a write of the first images is on its way."""
    world = World(shards=2)
    for shard_id in world.stream.open_shards():
        world.leases.rows[shard_id] = Lease(shard_id, "TRIM_HORIZON", "java", 5)
    world.put_many(10, value=1)
    sent = {key: dict(item) for key, item in world.source.items.items()}
    world.put_many(10, value=2)
    world.worker("b").start()
    await world.until(lambda: set(world.owners()) == {"b"}, 200)
    return world, sent  # type: ignore[return-value]


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("how", ["stop", "crash"])
def test_the_next_owner_waits_for_what_the_java_worker_sent(how: str, guarded: bool) -> None:
    """1 Java sends v1, and freezes; 2 b takes its leases, writes v2; 3 b ends, c takes them; 4 v1 lands at 200 s."""

    async def scenario() -> bool:
        world, sent = await taken_from_a_dead_java_worker()
        begun_s = world.now_s
        await asyncio.sleep(5)
        [b] = world.workers
        await (b.stop(limit_s=10) if how == "stop" else b.kill())
        world.worker("c").start()
        await world.until(lambda: set(world.owners()) == {"c"}, 30)
        await asyncio.sleep(200 - (world.now_s - begun_s))
        world.destination.items.update(sent)  # type: ignore[arg-type]
        await asyncio.sleep(SIGNATURE_LIFE_S)
        equal = world.destination.items == world.source.items
        await world.end()
        return equal

    with nullcontext() if guarded else forgotten():
        assert run_virtual(scenario()) is guarded


def test_a_worker_that_joins_meanwhile_asks_for_none_of_them_and_gets_its_share_afterwards() -> None:
    async def scenario() -> None:
        world, _ = await taken_from_a_dead_java_worker()
        await asyncio.sleep(5)
        world.worker("c").start()
        await asyncio.sleep(200)
        assert set(world.owners()) == {"b"}
        await world.until(lambda: sorted(map(str, world.owners())) == ["b", "c"], 200)
        world.put_many(10, value=3)
        await world.until_equal(10)
        await world.end()

    run_virtual(scenario())


async def renewing(world: World, shard_id: str) -> None:
    while (row := world.leases.rows[shard_id]).owner == "java":
        world.leases.rows[shard_id] = replace(row, counter=row.counter + 1)
        await asyncio.sleep(20)


def test_a_steal_whose_answer_was_lost_waits_as_any_other() -> None:
    async def scenario() -> None:
        world = World(shards=2)
        for shard_id in world.stream.open_shards():
            world.leases.rows[shard_id] = Lease(shard_id, "TRIM_HORIZON", "java", 1)
        theirs = [asyncio.create_task(renewing(world, shard_id)) for shard_id in world.stream.open_shards()]
        world.put_many(40)
        ours = world.worker("ours")
        ours.lease_faults.then = Scripted("UpdateItem", [unanswered(Side.STATE, 0.0)])
        ours.start()
        await world.until(lambda: "ours" in world.owners(), 30)
        stolen_at_s = world.now_s
        await world.until(lambda: len(world.writes) > 0, 100)
        assert world.writes[0][0] - stolen_at_s > 24
        for task in theirs:
            task.cancel()
        await asyncio.wait(theirs)
        await world.end()

    run_virtual(scenario())
