"""From listings to lease rows: in order, once, and never from a listing that cannot be believed."""

import asyncio
from dataclasses import replace

import pytest

from dynamirror.errors import NotFound, Retry, Side, Throttled
from dynamirror.fleet.shards import ShardDirectory
from dynamirror.fleet.steal import received
from dynamirror.model.lease import SHARD_END, TRIM_HORIZON, Lease, Predecessor, Terms, hand_over, predecessor
from dynamirror.testing.faults import Fault, Scripted
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import Worker, World, unanswered

ME = Terms("w", 10_000, heartbeat=True)


def directory() -> tuple[World, Worker, ShardDirectory]:
    world = World()
    worker = world.worker("w")
    return world, worker, worker.directory


def test_rows_are_created_ancestors_first() -> None:
    async def scenario() -> None:
        world, _, shards = directory()
        ids = world.stream.open_shards()
        for _ in range(5):
            ids += world.stream.roll(ids[-1])
        assert await shards.sync() == 6
        assert list(world.leases.rows) == ids
        assert await shards.sync() == 0
        assert [shards.is_closed(shard_id) for shard_id in ids] == [True] * 5 + [False]
        assert all(shards.lists(shard_id) for shard_id in ids)
        assert not shards.lists("another")

    run_virtual(scenario())


@pytest.mark.parametrize("created_before", range(4))
def test_a_sync_that_was_cut_off_is_completed_by_the_next(created_before: int) -> None:
    async def scenario() -> None:
        world, worker, shards = directory()
        ids = world.stream.open_shards()
        for _ in range(3):
            ids += world.stream.roll(ids[-1])
        throttled = Fault(Throttled(Side.STATE, "injected"))
        worker.lease_faults.then = Scripted("PutItem", [None] * created_before + [throttled])
        with pytest.raises(Retry):
            await shards.sync()
        assert list(world.leases.rows) == ids[:created_before]
        await shards.sync()
        assert list(world.leases.rows) == ids

    run_virtual(scenario())


def test_a_listing_in_doubt_is_taken_again() -> None:
    async def scenario() -> None:
        world, _, shards = directory()
        [first] = world.stream.open_shards()
        [second] = world.stream.roll(first)
        world.stream.hidden.add(second)
        asyncio.get_running_loop().call_later(3, world.stream.hidden.clear)
        assert await shards.sync() == 2
        assert 3 < world.now_s < 10

    run_virtual(scenario())


def test_a_child_whose_young_parent_stays_hidden_gets_no_row_and_the_others_do() -> None:
    async def scenario() -> None:
        world = World(shards=2)
        shards = world.worker("w").directory
        first, other = world.stream.open_shards()
        [second] = world.stream.roll(first)
        [third] = world.stream.roll(second)
        world.stream.hidden.add(first)
        assert await shards.sync() == 1
        assert list(world.leases.rows) == [other]
        assert 20 < world.now_s < 90
        world.stream.hidden.clear()
        assert await shards.sync() == 3
        assert list(world.leases.rows)[1:] == [first, second, third]

    run_virtual(scenario())


def test_a_stream_that_is_gone_stops() -> None:
    async def scenario() -> None:
        world, _, shards = directory()
        world.stream.gone = True
        with pytest.raises(NotFound):
            await shards.sync()

    run_virtual(scenario())


# --- taking


def test_only_one_of_two_takers_gets_a_lease() -> None:
    async def scenario() -> None:
        world = World()
        one, other = world.worker("one"), world.worker("other")
        await one.directory.sync()
        [row] = world.leases.rows.values()
        got = await asyncio.gather(
            one.directory.taken(row, one.tenure.terms), other.directory.taken(row, other.tenure.terms)
        )
        assert sorted(len(leases) for leases in got) == [0, 1]
        [winner] = [leases[0].lease for leases in got if leases]
        assert world.leases.rows[row.shard_id] == winner
        assert sorted(map(len, (one.directory.in_doubt, other.directory.in_doubt))) == [0, 1]

    run_virtual(scenario())


def test_a_take_without_an_answer_is_recognised_when_it_is_repeated() -> None:
    async def scenario() -> None:
        world, worker, shards = directory()
        await shards.sync()
        [row] = world.leases.rows.values()
        worker.lease_faults.then = Scripted("UpdateItem", [unanswered(Side.STATE, 0.0)])
        with pytest.raises(Retry):
            await shards.taken(row, ME)
        assert set(shards.in_doubt) == {row.shard_id}
        [taken] = await shards.taken(row, ME)
        lease = taken.lease
        assert lease == world.leases.rows[row.shard_id]
        assert (lease.owner, lease.counter) == ("w", 1)

    run_virtual(scenario())


@pytest.mark.parametrize("owner", [None, "other"])
def test_an_attempt_that_does_not_land_forgets_nothing_of_one_that_did(owner: str | None) -> None:
    """1 a take lands, and is not answered; 2 the row is found this worker's, and taken again, which does not land; 3 it
    is taken again: whom it was got from is what it was. As unknown it would be waited for as long as a signature lives.
    """

    async def scenario() -> None:
        world, worker, shards = directory()
        await shards.sync()
        [row] = world.leases.rows.values()
        mark = 7 if owner is None else None
        left = replace(row, owner=owner, counter=7, clean_counter=mark, terms=replace(ME, worker="other"))
        world.leases.rows[row.shard_id] = left
        lost, missed = unanswered(Side.STATE, 0.0), unanswered(Side.STATE, None)
        worker.lease_faults.then = Scripted("UpdateItem", [lost, missed, missed])
        for _ in range(3):
            with pytest.raises(Retry):
                await shards.taken(world.leases.rows[row.shard_id], ME)
        [taken] = await shards.taken(world.leases.rows[row.shard_id], ME)
        assert taken.predecessor is predecessor(left)
        assert taken.predecessor is (Predecessor.NOBODY if owner is None else Predecessor.DYNAMIRROR)

    run_virtual(scenario())


def test_a_take_that_is_cut_off_is_remembered() -> None:
    async def scenario() -> None:
        world, _, shards = directory()
        await shards.sync()
        [row] = world.leases.rows.values()
        task = asyncio.create_task(shards.taken(row, ME))
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        assert set(shards.in_doubt) == {row.shard_id}

    run_virtual(scenario())


def test_below_an_unreadable_row_nothing_comes_back() -> None:
    """1 a shard is finished, and its row is cleaned up by a Java worker; 2 its child's row is damaged; 3 were the shard
    read again, its images would come over the child's."""

    async def scenario() -> None:
        world, worker, shards = directory()
        [parent] = world.stream.open_shards()
        [child] = world.stream.roll(parent)
        worker.leases.unreadable = {child}
        assert await shards.sync() == 0
        assert world.leases.rows == {}
        world.stream.disable()
        await shards.sync()  # Not called drained.

    run_virtual(scenario())


# --- children


def finished(world: World) -> tuple[Lease, list[str]]:
    [parent] = world.stream.open_shards()
    children = world.stream.split(parent)
    lease = Lease(parent, SHARD_END, "w", 9, terms=ME)
    world.leases.rows[parent] = lease
    return lease, children


def test_children_are_created_as_this_workers_own() -> None:
    async def scenario() -> None:
        world, _, shards = directory()
        parent, children = finished(world)
        listed, got = await shards.adopt_children(parent, ME)
        assert listed == children
        assert [taken.lease.shard_id for taken in got] == children
        for child in children:
            row = world.leases.rows[child]
            assert (row.owner, row.counter, row.checkpoint, row.parent_ids) == (
                "w",
                1,
                TRIM_HORIZON,
                (parent.shard_id,),
            )

    run_virtual(scenario())


def test_free_children_are_taken_and_those_of_others_are_left() -> None:
    async def scenario() -> None:
        world, _, shards = directory()
        parent, (free, foreign) = finished(world)
        world.leases.rows[free] = Lease(free, TRIM_HORIZON, parent_ids=(parent.shard_id,))
        world.leases.rows[foreign] = Lease(foreign, TRIM_HORIZON, "java", 3, parent_ids=(parent.shard_id,))
        listed, got = await shards.adopt_children(parent, ME)
        assert listed == [free, foreign]
        assert [taken.lease.shard_id for taken in got] == [free]
        assert world.leases.rows[foreign].owner == "java"

    run_virtual(scenario())


@pytest.mark.parametrize("lands_after_s", [None, 0.0])
@pytest.mark.parametrize("place", [0, 1])
def test_children_of_an_attempt_that_was_cut_off_are_got_by_the_next(lands_after_s: float | None, place: int) -> None:
    async def scenario() -> None:
        world, worker, shards = directory()
        parent, children = finished(world)
        worker.lease_faults.then = Scripted("PutItem", [None] * place + [unanswered(Side.STATE, lands_after_s)])
        with pytest.raises(Retry):
            await shards.adopt_children(parent, ME)
        listed, got = await shards.adopt_children(parent, ME)
        assert listed == children
        assert [taken.lease.shard_id for taken in got] == children
        assert [world.leases.rows[child] for child in children] == [taken.lease for taken in got]
        # Until somebody follows them they are to be released at a stop.
        assert set(shards.in_doubt) == set(children)

    run_virtual(scenario())


def test_a_child_got_from_a_dead_worker_by_a_late_take_is_no_clean_start() -> None:
    """1 the child is taken from a dead worker, and not answered; 2 its adoption finds it the dead worker's still; 3 the
    take lands; 4 the adoption is repeated, and finds it its own."""

    async def scenario() -> None:
        world, worker, shards = directory()
        parent, (child, _) = finished(world)
        dead = Lease(child, TRIM_HORIZON, "dead", 7, parent_ids=(parent.shard_id,), terms=Terms("dead", 10_000, True))
        world.leases.rows[child] = dead
        worker.lease_faults.then = Scripted("UpdateItem", [unanswered(Side.STATE, 3.0)])
        with pytest.raises(Retry):
            await shards.taken(dead, ME)
        await shards.adopt_children(parent, ME)
        await asyncio.sleep(5)
        assert world.leases.rows[child].owner == "w"
        # It may as well have been handed over: that is found out by whoever looks at the rows.
        _, got = await shards.adopt_children(parent, ME)
        assert child not in [taken.lease.shard_id for taken in got]
        [taken] = await shards.taken(world.leases.rows[child], ME)
        assert taken.predecessor is not Predecessor.NOBODY

    run_virtual(scenario())


def test_a_child_that_was_handed_over_is_no_unclean_start() -> None:
    """1 another worker hands a child over; 2 its parent ends here before that was seen in the rows; 3 its adoption
    finds it its own already. That was taken for a take of its own from nobody knows whom: five minutes of waiting."""

    async def scenario() -> None:
        world, _, shards = directory()
        parent, (child, _) = finished(world)
        row = Lease(child, TRIM_HORIZON, "other", 1, parent_ids=(parent.shard_id,), terms=Terms("other", 10_000, True))
        world.leases.rows[child] = hand_over(row, ME, clean=True).after
        _, got = await shards.adopt_children(parent, ME)
        assert child not in [taken.lease.shard_id for taken in got]
        assert child not in shards.in_doubt
        taken = await received(world.leases, child, "w")
        assert taken is not None
        assert taken.predecessor is Predecessor.NOBODY

    run_virtual(scenario())


def test_a_take_that_was_not_done_or_that_another_one_won_is_forgotten() -> None:
    async def scenario() -> None:
        world, worker, shards = directory()
        [shard_id] = world.stream.open_shards()
        free = world.leases.rows[shard_id] = Lease(shard_id, "5", None, 6)
        worker.lease_faults.then = Scripted("UpdateItem", [Fault(Throttled(Side.STATE, "")), unanswered(Side.STATE)])
        with pytest.raises(Retry):
            await shards.taken(free, ME)
        assert shards.in_doubt == {}
        with pytest.raises(Retry):
            await shards.taken(free, ME)
        shards.in_doubt.settle([free], "w")
        assert set(shards.in_doubt) == {shard_id}
        shards.in_doubt.settle([replace(free, owner="other", counter=7)], "w")
        assert shards.in_doubt == {}

    run_virtual(scenario())


def test_finished_children_are_left_alone() -> None:
    async def scenario() -> None:
        world, _, shards = directory()
        parent, (one, other) = finished(world)
        world.leases.rows[one] = Lease(one, SHARD_END, None, 5, parent_ids=(parent.shard_id,))
        world.leases.rows[other] = Lease(other, SHARD_END, "w", 5, parent_ids=(parent.shard_id,))
        assert await shards.adopt_children(parent, ME) == ([one, other], [])

    run_virtual(scenario())


def test_a_row_that_vanished_is_not_taken() -> None:
    async def scenario() -> None:
        world, _, shards = directory()
        await shards.sync()
        [row] = world.leases.rows.values()
        del world.leases.rows[row.shard_id]
        assert await shards.taken(row, ME) == []
        assert world.leases.rows == {}

    run_virtual(scenario())
