"""Leases move to a worker that has too few: asked for, drained, handed over in one write, begun where it was left."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from unittest.mock import patch

import pytest

from dynamirror.errors import Side, Unanswered
from dynamirror.fleet.handoff import Giver
from dynamirror.fleet.steal import STEAL_EVERY_S
from dynamirror.fleet.tenure import Tenure
from dynamirror.model.lease import Lease, Predecessor, Update
from dynamirror.testing.faults import Fault, Scripted
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import Worker, World, unanswered


def shared(world: World) -> Counter[str | None]:
    return Counter(world.owners())


async def joined(shards: int = 8) -> tuple[World, Worker, Worker]:
    """A worker that holds all shards, and one that has just been started."""
    world = World(shards=shards)
    first = world.worker("first").start()
    world.put_many(100)
    await world.until_equal(60)
    assert set(world.owners()) == {"first"}
    await asyncio.sleep(40)
    return world, first, world.worker("second").start()


def test_a_joining_worker_gets_its_share_within_seconds_and_nothing_is_applied_twice() -> None:
    async def scenario() -> None:
        world, first, second = await joined()
        assert await world.until(lambda: shared(world) == {"first": 4, "second": 4}, 30) < 10
        await asyncio.sleep(0.1)  # Until the first one has heard of its last hand-over.
        assert not any(tenure.leaving for tenure in first.coordinator.tenures.values())
        world.put_many(100, value=1)
        await world.until_equal()
        await asyncio.sleep(120)
        assert shared(world) == {"first": 4, "second": 4}
        sent = Counter(number for _, _, _, number in world.writes)
        assert set(sent.values()) == {1}, "handed over in order, nothing is sent a second time"
        assert all(tenure.held.predecessor is Predecessor.NOBODY for tenure in second.coordinator.tenures.values())
        await world.end()

    run_virtual(scenario())


def test_shards_move_while_changes_come_and_each_items_newest_stays() -> None:
    async def scenario() -> None:
        world, _, _ = await joined()
        for value in range(2, 30):
            world.put_many(60, value=value)
            await asyncio.sleep(0.5)
        world.worker("third").start()
        for value in range(30, 60):
            world.put_many(60, value=value)
            await asyncio.sleep(0.5)
        await world.until_equal()
        assert sorted(shared(world).values()) == [2, 3, 3]
        newest: dict[object, int] = {}
        for _, _, key, number in world.writes:
            assert number >= newest.get(key, 0), "an older image over a newer one"
            newest[key] = number
        await world.end()

    run_virtual(scenario())


def test_hundreds_of_shards_are_shared_out_within_half_a_minute() -> None:
    async def scenario() -> None:
        world, _, _ = await joined(shards=400)
        assert await world.until(lambda: shared(world)["second"] == 200, 60, every_s=0.5) < 30
        await world.end()

    run_virtual(scenario())


def test_shards_that_ended_minutes_ago_keep_nobody_from_sharing() -> None:
    """Their rows are renewed by nobody: their owners, though alive, were neither asked nor counted any more."""

    async def scenario() -> None:
        world = World(shards=6)
        workers = [world.worker(name).start() for name in ("first", "second", "third")]
        await world.until(lambda: shared(world) == {"first": 2, "second": 2, "third": 2}, 60)
        for shard_id in world.stream.open_shards():
            world.stream.roll(shard_id)
        await asyncio.sleep(200)
        await workers[2].stop()
        await world.until(lambda: shared(world) == {"first": 3, "second": 3}, 60)
        await workers[1].stop()
        await world.until(lambda: shared(world) == {"first": 6}, 10)
        world.worker("fourth").start()
        await world.until(lambda: shared(world) == {"first": 3, "fourth": 3}, 60)
        await world.end()

    run_virtual(scenario())


@pytest.mark.parametrize("lands_after_s", [None, 0.0, 5.0])
def test_a_hand_over_without_an_answer_is_found_out_and_no_shard_stands_still(lands_after_s: float | None) -> None:
    async def scenario() -> None:
        world, first, _ = await joined(shards=2)
        first.lease_faults.then = Scripted("UpdateItem", [unanswered(Side.STATE, lands_after_s)] * 3)
        await world.until(lambda: shared(world) == {"first": 1, "second": 1}, 90)
        await asyncio.sleep(60)
        assert shared(world) == {"first": 1, "second": 1}
        world.put_many(40, value=5)
        await world.until_equal(60)
        await world.end()

    run_virtual(scenario())


@contextmanager
def clean_at_all_times() -> Iterator[None]:
    """A hand-over is called clean whatever is on its way."""
    with patch.object(Tenure, "settled", True):
        yield


@pytest.mark.parametrize("guarded", [True, False])
def test_a_lease_handed_over_with_a_write_in_doubt_is_begun_as_after_a_crash(guarded: bool) -> None:
    """C-3: 1 v1 is not answered; 2 the lease is handed over; 3 the heir writes v2; 4 v1 lands."""

    async def scenario() -> bool:
        world = World(shards=2)
        first = world.worker("first").start()
        world.put_many(20)
        await world.until_equal()
        await asyncio.sleep(40)
        first.write_faults.then = Scripted("BatchWriteItem", [unanswered(Side.DESTINATION, 25.0)] * 4)
        world.worker("second").start()
        await asyncio.sleep(0.5)
        world.put_many(20, value=1)
        await world.until(lambda: shared(world)["second"] == 1, 20)
        world.put_many(20, value=2)
        await asyncio.sleep(90)
        equal = world.destination.items == world.source.items
        await world.end()
        return equal

    with nullcontext() if guarded else clean_at_all_times():
        assert run_virtual(scenario()) is guarded


def test_an_owner_that_does_not_answer_loses_what_it_was_asked_for() -> None:
    """One of a version that knows nothing of asking, for example."""

    async def scenario() -> None:
        world, first, second = await joined(shards=2)

        async def nothing(_: object) -> None:
            await asyncio.sleep(1e9)

        with patch.object(type(first.coordinator._giver), "consider", lambda _: False):
            assert await world.until(lambda: shared(world)["second"] == 1, 60) > 35
        [tenure] = second.coordinator.tenures.values()
        assert tenure.held.predecessor is Predecessor.DYNAMIRROR
        world.put_many(20, value=3)
        await world.until_equal(10)
        await world.end()

    run_virtual(scenario())


def test_what_is_handed_over_to_one_that_stops_or_dies_goes_on_with_another() -> None:
    async def scenario() -> None:
        world, first, second = await joined()
        await world.until(lambda: shared(world)["second"] > 0, 20)
        await second.stop()
        assert await world.until(lambda: set(world.owners()) == {"first"}, 20) < 10
        third = world.worker("third").start()
        await world.until(lambda: shared(world)["third"] > 0, 20)
        await third.kill()
        assert await world.until(lambda: set(world.owners()) == {"first"}, 20) < 15
        world.put_many(20, value=3)
        await world.until_equal(10)
        assert first.metrics.value("leases_held") == 8
        await world.end()

    run_virtual(scenario())


def test_what_is_handed_over_to_one_that_has_just_left_waits_a_lease_and_no_longer() -> None:
    """1 the owner sees that the asker lives and asks; 2 the asker stops, and finds nothing to give back; 3 the lease is
    made its own."""

    async def scenario() -> None:
        world, _, second = await joined()
        still_wants = Giver._still_wants

        async def answered_late(giver: Giver, worker: str, shard_id: str) -> bool:
            wanted = await still_wants(giver, worker, shard_id)
            if not second.stopping.is_set():
                await second.stop()
            return wanted

        with patch.object(Giver, "_still_wants", answered_late):
            await world.until(
                lambda: shared(world)["second"] > 0 and second.task is not None and second.task.done(), 20
            )
            await world.until(lambda: set(world.owners()) == {"first"}, 20)
        world.put_many(20, value=3)
        await world.until_equal(10)
        await world.end()

    run_virtual(scenario())


def test_one_that_stops_gives_back_at_once_what_it_has_asked_for_however_much_that_is() -> None:
    async def scenario() -> None:
        world, _, second = await joined(shards=400)
        await world.until(lambda: shared(world)["second"] >= 20, 30, every_s=0.01)
        # Each look at a row takes a while, as it does over a network.
        second.lease_faults.then = Scripted("GetItem", [Fault(delay_s=0.05)] * 400)
        await second.stop()
        await asyncio.sleep(1)
        assert shared(world)["second"] == 0
        await world.until(lambda: set(world.owners()) == {"first"}, 20)
        await world.end()

    run_virtual(scenario())


def test_an_owner_that_stops_while_it_hands_over_releases_the_rest() -> None:
    async def scenario() -> None:
        world, first, _ = await joined()
        await world.until(lambda: shared(world)["second"] > 0 or first.coordinator._thief.asked != set(), 20)
        assert await first.stop() < 5
        assert await world.until(lambda: set(world.owners()) == {"second"}, 20) < 5
        world.put_many(20, value=3)
        await world.until_equal(10)
        await world.end()

    run_virtual(scenario())


def test_a_shard_that_ends_just_when_it_is_asked_for_is_not_handed_over_and_its_children_begin() -> None:
    """1 SHARD_END is applied, its answer is slow; 2 the lease is asked for; 3 the write is cut off, and found done."""

    async def scenario() -> None:
        world, first, second = await joined(shards=4)
        real = first.leases.update

        async def slowly(update: Update) -> None:
            await real(update)
            if update.after.finished and not update.before.finished:
                await asyncio.sleep(2.5)

        with patch.object(first.leases, "update", slowly):
            await world.until(lambda: bool(second.coordinator._thief.asked), 20, every_s=0.01)
            asked = min(second.coordinator._thief.asked)
            world.stream.roll(asked)
            await world.until(lambda: world.leases.rows[asked].finished, 30, every_s=0.01)
            world.put_many(40, value=9)
            await world.until_equal(6)
        assert world.owner(asked) == "first"
        await world.end()

    run_virtual(scenario())


def test_an_owner_cut_off_from_the_lease_table_in_the_middle_goes_on_or_is_replaced() -> None:
    async def scenario() -> None:
        world, first, _ = await joined()
        await asyncio.sleep(2)
        first.lease_faults.fault = Fault(Unanswered(Side.STATE, "injected"), delay_s=5.0)
        await asyncio.sleep(30)
        first.lease_faults.fault = None
        await asyncio.sleep(60)
        assert sorted(shared(world).values()) == [4, 4]
        world.put_many(20, value=3)
        await world.until_equal(60)
        await world.end()

    run_virtual(scenario())


# --- from those that cannot be asked


async def java(world: World, shard_id: str) -> None:
    """A Java worker that owns the row and renews it every 20 s, until it finds that it was taken."""
    while (row := world.leases.rows[shard_id]).owner == "java":
        world.leases.rows[shard_id] = replace(row, counter=row.counter + 1)
        await asyncio.sleep(20)


@contextmanager
def not_waited_for() -> Iterator[None]:
    async def at_once(self: Tenure) -> None:
        """As after a crash."""

    with patch.object(Tenure, "_noticed_by_java", at_once):
        yield


@pytest.mark.parametrize("guarded", [True, False])
def test_what_a_java_worker_still_writes_is_waited_for(guarded: bool) -> None:
    """P-11: 1 a Java worker is at a batch with v1; 2 its lease is stolen; 3 v1 and v2 are written here; 4 it writes v1,
    and its checkpoint fails. Only the second sending would mend that, minutes later."""

    async def scenario() -> bool:
        world = World(shards=2)
        for shard_id in world.stream.open_shards():
            world.leases.rows[shard_id] = Lease(shard_id, "TRIM_HORIZON", "java", 1)
        theirs = [asyncio.create_task(java(world, shard_id)) for shard_id in world.stream.open_shards()]
        world.put_many(10, value=1)
        batch = {key: dict(item) for key, item in world.source.items.items()}
        world.put_many(10, value=2)
        world.worker("ours").start()
        await world.until(lambda: shared(world)["ours"] == 1, 30)
        await asyncio.sleep(15)
        stolen = {key for _, _, key, _ in world.writes}
        world.destination.items.update({key: item for key, item in batch.items() if key in stolen or guarded})
        await asyncio.sleep(60)
        written = {key for _, _, key, _ in world.writes}
        assert written
        newest = all(world.destination.items[key] == world.source.items[key] for key in written)
        for task in theirs:
            task.cancel()
        await asyncio.wait(theirs)
        await world.end()
        return newest

    with nullcontext() if guarded else not_waited_for():
        assert run_virtual(scenario()) is guarded


def test_a_shard_that_a_java_worker_never_ends_is_ended_here() -> None:
    """P-22: its one write of SHARD_END failed; it renews the row for ever, and the children wait."""

    async def scenario() -> None:
        world = World(shards=1)
        [parent] = world.stream.open_shards()
        world.put_many(20)
        world.leases.rows[parent] = Lease(parent, "TRIM_HORIZON", "java", 1)
        theirs = asyncio.create_task(java(world, parent))
        world.stream.split(parent)
        world.put_many(20, value=1)
        world.worker("ours").start()
        assert 590 < await world.until(lambda: world.owner(parent) == "ours", 700) < 640
        await world.until_equal(400)
        theirs.cancel()
        await asyncio.wait([theirs])
        await world.end()

    run_virtual(scenario())


def test_from_a_java_worker_one_at_a_time_is_stolen_and_written_after_a_pause() -> None:
    async def scenario() -> None:
        world = World(shards=4)
        for shard_id in world.stream.open_shards():
            world.leases.rows[shard_id] = Lease(shard_id, "TRIM_HORIZON", "java", 1)
        theirs = [asyncio.create_task(java(world, shard_id)) for shard_id in world.stream.open_shards()]
        world.put_many(40)
        world.worker("ours").start()
        await world.until(lambda: shared(world)["ours"] == 1, 30)
        stolen_at_s = world.now_s
        assert await world.until(lambda: shared(world)["ours"] == 2, 30) >= STEAL_EVERY_S - 1
        await world.until(lambda: len(world.writes) > 0, 60)
        assert world.writes[0][0] - stolen_at_s > 20, "the Java worker's batch may still be on its way"
        await asyncio.sleep(100)
        assert shared(world) == {"java": 2, "ours": 2}
        for task in theirs:
            task.cancel()
        await asyncio.wait(theirs)
        await world.end()

    run_virtual(scenario())
