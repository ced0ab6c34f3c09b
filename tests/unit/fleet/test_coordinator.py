"""Whole workers on one task: sharing, crashes, stops, shard ends, lost answers."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Coroutine
from dataclasses import replace

import pytest

from dynamirror.errors import Gap, LifeOver, Side, Stop, Throttled, Unreachable
from dynamirror.fleet.stop import CHECKPOINT_S, DRAIN_S, RELEASE_S, RETIRE_S
from dynamirror.model.lease import LATEST, SHARD_END, TRIM_HORIZON, Lease, Taken, Terms
from dynamirror.model.shard_graph import Start
from dynamirror.testing.faults import Fault, Scripted
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import HANG, World, unanswered

Scenario = Callable[[], Coroutine[None, None, None]]


def virtually(scenario: Scenario) -> Callable[[], None]:
    """Runs a test on virtual time."""

    def run() -> None:
        run_virtual(scenario())

    run.__name__, run.__doc__ = scenario.__name__, scenario.__doc__
    return run


# --- one worker


@virtually
async def test_changes_before_and_after_the_start_arrive() -> None:
    world = World(shards=4)
    world.put_many(100)
    world.worker("w").start()
    await world.until_equal()
    world.put_many(50, value=1)
    world.source.delete({"id": {"S": "k99"}})
    await world.until_equal()
    assert set(world.owners()) == {"w"}
    await world.end()


@virtually
async def test_an_orderly_stop_saves_everything_and_leaves_nothing_behind() -> None:
    world = World(shards=4)
    world.put_many(100)
    worker = world.worker("w").start()
    await asyncio.sleep(0.5)
    world.put_many(100, value=1)
    await world.until_equal()
    assert await worker.stop() < 2
    assert world.owners() == [None] * 4
    assert all(row.terms is None for row in world.leases.rows.values())
    assert world.state.rows == {}
    written = len(world.writes)
    await asyncio.sleep(60)
    world.worker("again").start()
    await world.until_equal()
    await asyncio.sleep(10)
    assert len(world.writes) - written <= 1, "changes were applied twice"
    await world.end()


@virtually
async def test_a_restart_after_a_crash_goes_on_within_fifteen_seconds() -> None:
    world = World(shards=2)
    first = world.worker("first").start()
    world.put_many(50)
    await world.until_equal()
    await first.kill()
    world.put_many(50, value=1)
    second = world.worker("second").start()
    assert await world.until_equal(15) > 5, "the dead worker's leases were taken before they could be judged"
    assert second.metrics.value("leases_held") == 2
    await world.end()


@virtually
async def test_a_worker_without_state_table_lives_by_its_rows() -> None:
    world = World(shards=3)
    first = world.worker("first", state=False).start()
    world.put_many(50)
    await world.until_equal()
    second = world.worker("second", state=False).start()
    await asyncio.sleep(60)
    owners = world.owners()
    assert sorted(map(str, owners)) == ["first", "first", "second"], "one was stolen, of the others the owner lives"
    await first.kill()
    world.put_many(50, value=1)
    await world.until_equal(16)
    assert await second.stop() < 5
    await world.end()


# --- several workers


@virtually
async def test_leases_of_a_crashed_worker_are_taken_within_the_lease_duration_and_a_few_seconds() -> None:
    world = World(shards=6)
    first = world.worker("first").start()
    await world.until(lambda: world.owners() == ["first"] * 6, 5)
    world.worker("second").start()
    world.put_many(200)
    await world.until_equal()
    await asyncio.sleep(100)
    assert world.owners().count("first") == 3
    await first.kill()
    world.put_many(200, value=1)
    taken_s = await world.until(lambda: world.owners() == ["second"] * 6, 14)
    assert taken_s > 8
    await world.until_equal()
    await world.end()


@virtually
async def test_three_workers_share_what_a_fourth_leaves_behind() -> None:
    world = World(shards=12)
    big = world.worker("big").start()
    await world.until(lambda: world.owners() == ["big"] * 12, 5)
    for name in "abc":
        world.worker(name).start()
    await asyncio.sleep(5)
    await big.kill()
    await world.until(lambda: "big" not in world.owners(), 60)
    world.put_many(100)
    await world.until_equal()
    await world.end()


@virtually
async def test_what_a_stopping_worker_releases_is_taken_at_once() -> None:
    world = World(shards=4)
    first = world.worker("first").start()
    await world.until(lambda: world.owners() == ["first"] * 4, 5)
    world.worker("second").start()
    await asyncio.sleep(30)
    await first.stop()
    await world.until(lambda: world.owners() == ["second"] * 4, 3)
    world.put_many(10)
    await world.until_equal(2)
    await world.end()


@virtually
async def test_no_worker_takes_anything_from_one_that_lives() -> None:
    world = World(shards=5)
    workers = [world.worker(name).start() for name in "abc"]
    # Who is first to look takes all, and hands over what the others ask for.
    await world.until(lambda: sorted(Counter(world.owners()).values()) == [1, 2, 2], 10)
    owners = world.owners()
    for turn in range(60):
        world.put_many(20, value=turn)
        await asyncio.sleep(5)
        assert world.owners() == owners
    assert [await worker.stop() < 5 for worker in workers] == [True] * 3
    await world.end()


# --- Java rows


@virtually
async def test_a_java_row_is_not_taken_before_eighty_seconds_and_soon_after() -> None:
    world = World()
    [shard_id] = world.stream.open_shards()
    world.leases.rows[shard_id] = Lease(shard_id, TRIM_HORIZON, "javaworker", 40)
    world.put("a")
    world.worker("w").start()
    waited_s = await world.until(lambda: world.owner(shard_id) == "w", 92)
    assert waited_s >= 80
    await world.until_equal()
    assert world.leases.rows[shard_id].owner_switches <= 1
    await world.end()


@virtually
async def test_a_java_worker_that_renews_every_twenty_seconds_keeps_its_lease() -> None:
    world = World()
    [shard_id] = world.stream.open_shards()
    world.leases.rows[shard_id] = Lease(shard_id, TRIM_HORIZON, "javaworker", 40)
    world.worker("w").start()
    for counter in range(41, 71):
        await asyncio.sleep(20)
        assert world.owner(shard_id) == "javaworker"
        world.leases.rows[shard_id] = replace(world.leases.rows[shard_id], counter=counter)
    await world.end()


@virtually
async def test_a_lease_that_java_stole_ends_here_and_nothing_more_is_written() -> None:
    world = World(shards=2)
    worker = world.worker("w").start()
    await world.until(lambda: world.owners() == ["w", "w"], 5)
    stolen, kept = world.stream.open_shards()
    row = world.leases.rows[stolen]
    world.leases.rows[stolen] = replace(row, owner="javaworker", counter=row.counter + 1)
    stolen_at_s = world.now_s
    for turn in range(300):
        world.put_many(10, value=turn)
        row = world.leases.rows[stolen]
        if turn % 100 == 0:
            world.leases.rows[stolen] = replace(row, counter=row.counter + 1)
        await asyncio.sleep(0.1)
    late = {key for at_s, _, key, _ in world.writes if at_s > stolen_at_s + 2.0}
    assert late == {f"k{i}" for i in range(10) if world.stream._shard_of(f"k{i}").id == kept}
    assert worker.metrics.value("leases_held") == 1
    assert world.owner(stolen) == "javaworker"
    await worker.stop()
    assert world.owner(stolen) == "javaworker"
    await world.end()


@virtually
async def test_an_idle_lease_that_was_stolen_is_noticed_by_its_renewal() -> None:
    world = World()
    worker = world.worker("w").start()
    await world.until(lambda: world.owners() == ["w"], 5)
    [shard_id] = world.stream.open_shards()
    row = world.leases.rows[shard_id]
    world.leases.rows[shard_id] = replace(row, owner="javaworker", counter=row.counter + 1)
    await world.until(lambda: worker.metrics.value("leases_held") == 0, 26)
    # Java dies: the shard comes back, in a tenure of its own.
    await world.until(lambda: world.owner(shard_id) == "w", 100)
    world.put("a")
    await world.until_equal()
    await world.end()


# --- shards that end


@virtually
async def test_children_are_adopted_at_once_and_the_parent_stays_finished() -> None:
    world = World()
    world.worker("w").start()
    world.put_many(20)
    await world.until_equal()
    [parent] = world.stream.open_shards()
    children = world.stream.split(parent)
    world.put_many(20, value=1)
    assert await world.until_equal() < 2
    assert [world.owner(child) for child in children] == ["w", "w"]
    assert world.leases.rows[parent].checkpoint == SHARD_END
    assert all(world.leases.rows[child].parent_ids == (parent,) for child in children)
    await world.end()


@virtually
async def test_generations_are_read_in_order_from_a_cold_start() -> None:
    world = World(shards=2)
    for turn in range(12):
        world.put_many(30, value=turn)
        for shard_id in world.stream.open_shards():
            world.stream.roll(shard_id)
        await asyncio.sleep(60)
    world.put_many(30, value=99)
    world.worker("a").start()
    world.worker("b").start()
    await world.until_equal(60)
    newest: dict[object, int] = {}
    for _, _, key, number in world.writes:
        assert newest.get(key, 0) <= number, f"{key}: an older image after a newer one"
        newest[key] = number
    await world.end()


@virtually
async def test_rolls_under_load_are_followed_without_a_stall() -> None:
    world = World(shards=2)
    world.worker("a").start()
    world.worker("b").start()
    for turn in range(40):
        world.put_many(20, value=turn)
        if turn % 4 == 3:
            world.stream.roll(world.stream.open_shards()[turn % 2])
        if turn == 17:
            world.stream.split(world.stream.open_shards()[0])
        await asyncio.sleep(1)
    await world.until_equal(3)
    await world.end()


@virtually
async def test_a_second_child_that_is_listed_late_is_found_soon() -> None:
    world = World()
    world.worker("w").start()
    world.put_many(40)
    await world.until_equal()
    [parent] = world.stream.open_shards()
    _, late = world.stream.split(parent)
    world.stream.hidden.add(late)
    world.put_many(40, value=1)
    await asyncio.sleep(3)
    world.stream.hidden.clear()
    await world.until_equal(10)
    await world.end()


@virtually
async def test_a_child_whose_parent_is_elsewhere_waits_for_it() -> None:
    world = World()
    world.put_many(20)
    [parent] = world.stream.open_shards()
    [child] = world.stream.roll(parent)
    world.put_many(20, value=1)
    world.leases.rows[parent] = Lease(parent, TRIM_HORIZON, "javaworker", 1)
    world.worker("w").start()
    await asyncio.sleep(30)
    assert world.owner(child) == "w"
    assert world.destination.items == {}
    row = world.leases.rows[parent]
    world.leases.rows[parent] = replace(row, checkpoint=SHARD_END, counter=2)
    await world.until_equal(11)
    await world.end()


# --- answers that are lost


@pytest.mark.parametrize("operation", ["UpdateItem", "PutItem", "Scan", "GetItem"])
@pytest.mark.parametrize("lands_after_s", [None, 0.0, 0.1, 4.0])
@pytest.mark.parametrize("first", [0, 1, 2, 5])
def test_a_lost_answer_of_the_lease_table_costs_no_shard(
    operation: str, lands_after_s: float | None, first: int
) -> None:
    async def scenario() -> None:
        world = World(shards=3)
        worker = world.worker("w")
        fault = unanswered(Side.STATE, lands_after_s)
        worker.lease_faults.then = Scripted(operation, [None] * first + [fault] * 2)
        worker.start()
        for turn in range(10):
            world.put_many(20, value=turn)
            if turn == 5:
                world.stream.roll(world.stream.open_shards()[0])
            await asyncio.sleep(1)
        await world.until_equal(30)
        await worker.stop()
        assert world.owners() == [None] * 3
        await world.end()

    run_virtual(scenario())


@virtually
async def test_a_child_that_was_adopted_without_an_answer_is_followed_all_the_same() -> None:
    world = World()
    worker = world.worker("w").start()
    world.put_many(40)
    await world.until_equal()
    [parent] = world.stream.open_shards()
    # Both children are created; neither is answered, and then the second is throttled once more.
    throttled = Fault(Throttled(Side.STATE, "injected"))
    worker.lease_faults.then = Scripted("PutItem", [None, unanswered(Side.STATE, 0.0), throttled])
    world.stream.split(parent)
    world.put_many(40, value=1)
    await world.until_equal(5)
    await world.end()


@virtually
async def test_a_row_that_names_this_worker_and_that_it_does_not_know_of_is_followed() -> None:
    """A take landed long after its time-out. Nobody else would take the lease: its owner is alive."""
    world = World(shards=2)
    world.worker("w").start()
    await world.until(lambda: world.owners() == ["w", "w"], 5)
    [first, _] = world.stream.open_shards()
    [child] = world.stream.roll(first)
    world.leases.rows[child] = Lease(child, TRIM_HORIZON, "w", 1, parent_ids=(first,))
    world.put_many(20)
    await world.until_equal(40)
    await world.end()


# --- stopping


@virtually
async def test_a_child_that_was_adopted_after_it_has_ended_is_not_begun_again() -> None:
    """1 a child's lease is taken by the watch; 2 the parent ends, finds the row its own, and waits for the answer about
    another child; 3 the child is read to its end, and its child after it; 4 the answer is there: begun again from
    where the row was in step 2, the child's images would stand over newer ones."""
    world = World()
    worker = world.worker("w").start()
    world.put("a")
    await world.until_equal()
    worker.write_faults.fault = Fault(Throttled(Side.DESTINATION, "injected"))
    world.put("a", value=1)
    [root] = world.stream.open_shards()
    adopt_children = worker.directory.adopt_children

    async def answered_late(parent: Lease, terms: Terms, but: Collection[str] = ()) -> tuple[list[str], list[Taken]]:
        found = await adopt_children(parent, terms, but)
        if parent.shard_id == root:
            await asyncio.sleep(20)
        return found

    worker.directory.adopt_children = answered_late  # type: ignore[method-assign]
    [child] = world.stream.roll(root)
    world.put("a", value=2)
    await worker.directory.sync()
    await world.until(lambda: world.owner(child) == "w", 5)
    world.stream.roll(child)
    world.put("a", value=3)
    worker.write_faults.fault = None
    await world.until_equal(15)
    wrote = len(world.writes)
    await asyncio.sleep(30)
    assert world.writes[wrote:] == []
    assert world.destination.items == world.source.items
    await worker.stop()
    assert world.state.rows == {}
    await world.end()


def test_the_steps_of_a_stop_fit_into_five_seconds() -> None:
    assert DRAIN_S + CHECKPOINT_S + RELEASE_S + RETIRE_S < 5


@pytest.mark.parametrize("hanging", ["write_faults", "lease_faults", "state_faults", "stream_faults"])
def test_a_stop_takes_five_seconds_at_most_whatever_hangs(hanging: str) -> None:
    async def scenario() -> None:
        world = World(shards=3)
        worker = world.worker("w").start()
        world.put_many(50)
        await world.until_equal()
        getattr(worker, hanging).fault = HANG
        world.put_many(50, value=1)
        await asyncio.sleep(1.5)
        await worker.stop(5)
        await world.end()

    run_virtual(scenario())


@virtually
async def test_a_stop_takes_five_seconds_at_most_when_everything_hangs() -> None:
    world = World(shards=3)
    worker = world.worker("w").start()
    world.put_many(50)
    await world.until_equal()
    worker.cut_off()
    world.put_many(50, value=1)
    await asyncio.sleep(1.5)
    await worker.stop(5)
    await world.end()


@pytest.mark.parametrize("delay_s", [0.0, 0.001, 0.004, 0.006, 0.011, 0.016, 0.021, 0.03, 0.1, 1.0])
@pytest.mark.parametrize("unreachable", [False, True])
def test_a_stop_during_the_start_ends_it(delay_s: float, unreachable: bool) -> None:
    async def scenario() -> None:
        world = World(shards=3)
        world.put_many(50)
        worker = world.worker("w")
        if unreachable:
            worker.lease_faults.fault = Fault(Unreachable(Side.STATE, "injected"))
        worker.start()
        await asyncio.sleep(delay_s)
        await worker.stop(5)
        assert all(owner is None for owner in world.owners())
        assert world.state.rows == {}
        await world.end()

    run_virtual(scenario())


@pytest.mark.parametrize("delay_ms", range(0, 24, 2))
def test_a_stop_while_children_are_adopted_frees_them(delay_ms: int) -> None:
    async def scenario() -> None:
        world = World()
        worker = world.worker("w").start()
        world.put("a")
        await world.until_equal()
        [parent] = world.stream.open_shards()
        world.stream.split(parent)
        await world.until(lambda: world.leases.rows[parent].finished, 5, every_s=0.001)
        await asyncio.sleep(delay_ms / 1000)
        await worker.stop()
        assert all(owner is None for owner in world.owners())
        await world.end()

    run_virtual(scenario())


@virtually
async def test_a_lease_with_a_write_on_its_way_is_not_handed_to_the_next_owner() -> None:
    """1 a write hangs; 2 the worker stops; 3 another one applies a newer image; 4 the first write would land."""
    world = World()
    first = world.worker("first").start()
    world.put("a")
    await world.until_equal()
    first.write_faults.then = Scripted("BatchWriteItem", [Fault(delay_s=4.0)])
    world.put("a", value=1)
    await asyncio.sleep(0.2)
    second = world.worker("second").start()
    world.put("a", value=2)
    await first.stop()
    stopped_at_s = world.now_s
    [shard_id] = world.stream.open_shards()
    assert world.owner(shard_id) == "first"
    taken_s = await world.until(lambda: world.owner(shard_id) == "second", 15)
    assert taken_s > 5, world.now_s - stopped_at_s
    await world.until_equal()
    assert second.metrics.value("leases_held") == 1
    await world.end()


@virtually
async def test_a_lease_that_cannot_be_released_keeps_its_heartbeat_row() -> None:
    """Without it the row would be judged as a Java worker's: 80 s instead of 10."""
    world = World()
    first = world.worker("first").start()
    world.put("a")
    await world.until_equal()
    first.lease_faults.fault = Fault(Unreachable(Side.STATE, "injected"))
    await first.stop()
    assert world.owners() == ["first"]
    world.worker("second").start()
    await world.until(lambda: world.owners() == ["second"], 14)
    await world.end()


# --- failing


@virtually
async def test_a_stop_at_the_destination_ends_the_worker_and_frees_what_is_settled() -> None:
    world = World(shards=4)
    worker = world.worker("w").start()
    world.put_many(40)
    await world.until_equal()
    worker.write_faults.then = Scripted("BatchWriteItem", [Fault(Stop(Side.DESTINATION, "table gone"))])
    world.put("k0", value=1)
    errors = await worker.ended()
    assert [str(error) for error in errors] == ["table gone"]
    poisoned = world.stream._shard_of("k0").id
    assert {shard_id for shard_id, row in world.leases.rows.items() if row.owner == "w"} == {poisoned}
    written = {world.stream._shard_of(f"k{i}").id for i in range(40)}
    assert {shard_id for shard_id, row in world.leases.rows.items() if row.started} == written
    # The others go on from there; the one with the unwritten change after the lease duration.
    world.worker("next").start()
    await world.until_equal(16)
    await world.end()


@virtually
async def test_a_gap_ends_the_worker_and_frees_its_leases() -> None:
    world = World(shards=2)
    world.put_many(20)
    await asyncio.sleep(25 * 3600)
    world.stream.trim()
    first, second = world.stream.open_shards()
    world.leases.rows[first] = Lease(first, "100000000000000000000")
    world.put_many(20, value=1)
    worker = world.worker("w").start()
    errors = await worker.ended()
    assert [type(error) for error in errors] == [Gap]
    assert [world.owner(first), world.owner(second)] == [None, None]
    assert world.leases.rows[first].checkpoint == "100000000000000000000"
    assert world.state.rows == {}
    await world.end()


@pytest.mark.parametrize("line", ["lease_faults", "state_faults", "stream_faults"])
@pytest.mark.parametrize("at_s", [0.0, 3.0])
def test_what_only_an_operator_can_mend_ends_the_worker_wherever_it_shows(line: str, at_s: float) -> None:
    async def scenario() -> None:
        world = World(shards=3)
        worker = world.worker("w").start()
        world.put_many(20)
        await asyncio.sleep(at_s)
        getattr(worker, line).fault = Fault(Stop(Side.STATE, "access denied"))
        errors = await worker.ended()
        assert {str(error) for error in errors} == {"access denied"}
        await world.end()

    run_virtual(scenario())


@virtually
async def test_without_heartbeats_nothing_is_sent_and_nothing_is_lost() -> None:
    """Others may take the leases then (P-10)."""
    world = World(shards=3)
    worker = world.worker("w").start()
    world.put_many(20)
    await world.until_equal()
    worker.state_faults.fault = Fault(Throttled(Side.STATE, "injected"))
    await asyncio.sleep(60)
    sent = len(world.writes)
    world.put_many(20, value=1)
    await asyncio.sleep(10)
    assert len(world.writes) == sent
    worker.state_faults.fault = None
    await world.until_equal()
    assert world.owners() == ["w"] * 3
    await world.end()


# --- where to begin


@virtually
async def test_latest_begins_now_and_the_past_does_not_come_back() -> None:
    world = World(shards=2)
    world.put_many(20)
    for shard_id in world.stream.open_shards():
        world.stream.roll(shard_id)
    world.put_many(20, value=1)
    await asyncio.sleep(3600)
    world.worker("w", start=Start(LATEST, int(world.clock.wall_s() * 1000))).start()
    await asyncio.sleep(200)
    assert world.destination.items == {}
    world.put("k1", value=2)
    await asyncio.sleep(3)
    assert set(world.destination.items) == {"k1"}
    await world.end()


@virtually
async def test_latest_survives_a_crash_before_the_first_checkpoint() -> None:
    """1 rows are created at LATEST, 2 a change comes, 3 the worker crashes before it is applied, 4 another takes over,
    5 and dies too; the first one, back with the rows that it had created, must not begin at its own latest."""
    world = World()
    start = Start(LATEST, int(world.clock.wall_s() * 1000))
    first = world.worker("first", start=start).start()
    await asyncio.sleep(3)
    [shard_id] = world.stream.open_shards()
    row = world.leases.rows[shard_id]
    assert row.checkpoint == LATEST
    # Somebody else had it in between and left no checkpoint.
    world.leases.rows[shard_id] = replace(row, owner="other", counter=row.counter + 1, terms=None)
    await world.until(lambda: first.metrics.value("leases_held") == 0, 20)
    world.put("a")
    row = world.leases.rows[shard_id]
    world.leases.rows[shard_id] = replace(row, owner=None, counter=row.counter + 1)
    await world.until_equal(20)
    await world.end()


@virtually
async def test_a_start_in_the_past_skips_what_lies_before() -> None:
    world = World()
    world.put("old")
    await asyncio.sleep(3600)
    start_ms = int(world.clock.wall_s() * 1000)
    world.put("new")
    [shard_id] = world.stream.open_shards()
    world.stream.roll(shard_id)
    world.put("newer")
    world.worker("w", start=Start(TRIM_HORIZON, start_ms)).start()
    await asyncio.sleep(10)
    assert set(world.destination.items) == {"new", "newer"}
    assert all(row.start_at_ms is None for row in world.leases.rows.values() if row.finished)
    await world.end()


@virtually
async def test_earlier_processes_that_finished_shards_do_not_delay_a_restart() -> None:
    world = World(shards=6)
    for number in range(4):
        worker = world.worker(f"process-{number}").start()
        world.put_many(60, value=number)
        assert await world.until_equal() < 5
        world.stream.roll(world.stream.open_shards()[number])
        await asyncio.sleep(5)
        await worker.stop()
    await world.end()


@virtually
async def test_a_stream_that_was_switched_off_is_applied_to_its_end_and_then_ends_the_worker() -> None:
    world = World(shards=2)
    worker = world.worker("w").start()
    world.put_many(20)
    world.stream.disable()
    errors = await worker.ended(200)
    assert world.destination.items == world.source.items
    assert [type(error) for error in errors] == [LifeOver]
    assert "was switched off" in str(errors[0])
    assert world.owners() == []
    await world.end()


@virtually
async def test_that_it_was_switched_off_is_found_out_within_seconds_also_when_the_first_answer_is_a_refusal() -> None:
    world = World()
    worker = world.worker("w").start()
    # Just listed; the next time is a minute away.
    await asyncio.sleep(65)
    worker.stream_faults.then = Scripted("CHILD_SHARDS", [Fault(Throttled(Side.SOURCE, "injected"))])
    world.stream.disable()
    assert [type(error) for error in await worker.ended(40)] == [LifeOver]
    await world.end()


@virtually
async def test_a_worker_whose_stream_is_off_does_not_end_while_items_wait_to_be_reconciled() -> None:
    """None could be started for them: the stream is off, and all of it has been applied."""
    world = World()
    world.idle = False
    worker = world.worker("w").start()
    world.put_many(20)
    world.stream.disable()
    await asyncio.sleep(300)
    assert world.destination.items == world.source.items
    assert worker.task is not None
    assert not worker.task.done()
    world.idle = True
    assert "was switched off" in str((await worker.ended(200))[0])
    await world.end()


@virtually
async def test_what_a_throttled_destination_has_not_taken_does_not_keep_the_lease() -> None:
    """A throttled request is answered: nothing can land any more, and the next owner may start at once."""
    world = World()
    worker = world.worker("w").start()
    world.put_many(20)
    await world.until_equal()
    worker.write_faults.fault = Fault(Throttled(Side.DESTINATION, "injected"))
    world.put_many(20, value=1)
    await asyncio.sleep(10)
    await worker.stop()
    assert world.owners() == [None]
    world.worker("next").start()
    assert await world.until_equal() < 3
    await world.end()


@virtually
async def test_a_write_in_doubt_keeps_the_lease_at_a_stop() -> None:
    world = World()
    worker = world.worker("w").start()
    worker.write_faults.then = Scripted("BatchWriteItem", [unanswered(Side.DESTINATION, 20.0)])
    world.put_many(1)
    await asyncio.sleep(5)
    await worker.stop()
    assert world.owners() == ["w"]
    await world.end()
