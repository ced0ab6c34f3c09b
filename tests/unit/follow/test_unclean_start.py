"""After a lease was taken that nobody left in order: the checkpoint waits, and every write is sent twice (R-6)."""

import asyncio

import pytest

from dynamirror.errors import LeaseLost
from dynamirror.follow.settling import Aftermath
from dynamirror.model.lease import SHARD_END
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.follow.test_shard_task import World, cancelled, ended

SETTLE_S = 35.0


def aftermath(world: World, cautious: bool = False) -> Aftermath:
    return Aftermath(world.clock.boottime_s() + SETTLE_S, world.budget, cautious)


def test_the_checkpoint_waits_and_a_late_write_of_the_predecessor_is_written_over() -> None:
    async def scenario() -> None:
        world = World()
        async with world.applying():
            task = asyncio.create_task(world.task(aftermath=aftermath(world)).run())
            world.put("a", value=1)
            world.put("a", "b", value=2)
            await asyncio.sleep(2)
            assert world.destination.items == world.source.items
            # The dead owner's write of the first change lands.
            world.destination.items["a"] = {"id": {"S": "a"}, "v": {"N": "1"}}
            await asyncio.sleep(30)
            assert world.held.saved == []
            [last] = world.put("c", value=3)
            await asyncio.sleep(5)
            assert world.destination.items == world.source.items
            assert world.held.positions == [last]
            assert world.metrics.value("changes_resent") == 3
            assert world.budget.used == 0
            await cancelled(task)

    run_virtual(scenario())


def test_shard_end_waits_for_the_second_sending() -> None:
    async def scenario() -> None:
        world = World()
        world.put("a")
        world.stream.roll(world.shard_id)
        async with world.applying():
            task = asyncio.create_task(world.task(aftermath=aftermath(world)).run())
            await asyncio.sleep(34)
            assert world.held.saved == []
            world.destination.items.clear()
            await task
            assert world.held.positions[-1] == SHARD_END
            assert world.destination.items == world.source.items

    run_virtual(scenario())


def test_an_empty_shard_comes_to_its_end_too() -> None:
    async def scenario() -> None:
        world = World()
        world.stream.roll(world.shard_id)
        async with world.applying():
            await asyncio.wait_for(world.task(aftermath=aftermath(world)).run(), SETTLE_S + 5)
        assert world.held.positions == [SHARD_END]

    run_virtual(scenario())


def test_what_cannot_be_remembered_is_read_later() -> None:
    async def scenario() -> None:
        world = World()
        world.budget.bytes_max = 100
        async with world.applying():
            task = asyncio.create_task(world.task(aftermath=aftermath(world)).run())
            world.put("a", "b", "c", "d")
            await asyncio.sleep(2)
            world.put("e")
            await asyncio.sleep(30)
            assert "d" in world.destination.items
            assert "e" not in world.destination.items
            await asyncio.sleep(6)
            assert world.destination.items == world.source.items
            assert world.budget.used == 0
            await cancelled(task)

    run_virtual(scenario())


def test_a_cautious_worker_writes_nothing_before() -> None:
    async def scenario() -> None:
        world = World()
        world.put("a")
        async with world.applying():
            task = asyncio.create_task(world.task(aftermath=aftermath(world, cautious=True)).run())
            await asyncio.sleep(SETTLE_S - 1)
            assert world.destination.items == {}
            await asyncio.sleep(2)
            assert world.destination.items == world.source.items
            assert world.metrics.value("changes_resent") == 0
            await cancelled(task)

    run_virtual(scenario())


def test_a_newer_change_under_way_is_never_followed_by_an_older_one() -> None:
    """The second sending meets a key whose newest change is waiting."""

    async def scenario() -> None:
        world = World()
        async with world.applying():
            task = asyncio.create_task(world.task(aftermath=aftermath(world)).run())
            for i in range(800):
                world.put("hot", value=i)
                await asyncio.sleep(0.05)
                await asyncio.sleep(0)
            await asyncio.sleep(2)
            assert world.destination.items == world.source.items
            await cancelled(task)

    run_virtual(scenario())


@pytest.mark.parametrize("lost", [False, True])
def test_a_tenure_that_ends_before_leaves_the_checkpoint_and_frees_the_budget(lost: bool) -> None:
    async def scenario() -> None:
        world = World()
        async with world.applying():
            follower = world.task(aftermath=aftermath(world))
            task = asyncio.create_task(follower.run())
            world.put("a")
            await asyncio.sleep(5)
            assert world.budget.used > 0
            if lost:
                world.held.permit.until_s = 0.0
                world.held.proof_fails = [LeaseLost("taken")]
                world.put("b")
                assert isinstance(await ended(task), LeaseLost)
            else:
                await cancelled(task)
                await asyncio.wait_for(follower.finish(), 1)
            assert world.budget.used == 0
            assert world.held.saved == []
            assert not follower.watermark.settled

    run_virtual(scenario())


def test_proofs_are_asked_for_only_while_writes_are_on_their_way() -> None:
    async def scenario() -> None:
        world = World()
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            await asyncio.sleep(60)
            assert world.held.proofs == 0
            world.put("a")
            await asyncio.sleep(60)
            assert 1 <= world.held.proofs <= 3
            assert world.destination.items == world.source.items
            await cancelled(task)

    run_virtual(scenario())
