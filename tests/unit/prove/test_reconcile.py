"""The steps of reconcile, one interleaving at a time (R-10)."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import pytest

from dynamirror.errors import AccessDenied, CredentialsExpired, Side, Stop, Throttled, Unanswered, Unreachable
from dynamirror.model.change import Write
from dynamirror.prove.heal import REFUSED_AGAIN_S, Healer
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.prove.world import SETTINGS, Worker, World, item, key_of, lost

SETTLE_S = SETTINGS.settle_s


def run(steps: Coroutine[Any, Any, None]) -> None:
    run_virtual(steps)


def leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


@pytest.mark.parametrize(
    "here,there", [("new", "old"), ("new", None), (None, "ghost")], ids=["changed", "missing", "extra"]
)
@pytest.mark.parametrize("state", [True, False], ids=["with-state-table", "without"])
def test_a_difference_is_mended_once_nothing_can_land_any_more(
    here: str | None, there: str | None, state: bool
) -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", here)
        world.set_destination("k", there)
        worker = Worker(world, state=state).start()
        worker.add("k")
        await asyncio.sleep(SETTLE_S - 0.1)
        assert not worker.destination.reads
        assert worker.reconciler.pending == 1
        assert await worker.settled() < 1.0
        assert not world.differences()
        assert (worker.count("reconciled_items"), worker.count("reconcile_repairs")) == (1, 1)

    run(steps())


def test_what_is_equal_is_read_once_and_never_written() -> None:
    async def steps() -> None:
        world = World()
        world.change("k", "same")
        worker = Worker(world).start()
        worker.add("k", "absent-on-both-sides")
        await worker.settled()
        assert len(worker.destination.reads) == len(worker.source.reads) == 1
        assert not world.replaced
        assert (worker.count("reconciled_items"), worker.count("reconcile_repairs")) == (2, 0)

    run(steps())


def test_the_wait_counts_from_the_time_that_was_named() -> None:
    async def steps() -> None:
        worker = Worker(World()).start()
        await asyncio.sleep(1)
        worker.add("k", ago_s=SETTLE_S)
        assert await worker.settled() < 1.0

    run(steps())


def test_an_item_added_again_starts_over() -> None:
    async def steps() -> None:
        worker = Worker(World()).start()
        worker.add("k")
        await asyncio.sleep(SETTLE_S - 1)
        worker.add("k")
        assert worker.reconciler.pending == 1
        assert await worker.settled() >= SETTLE_S - 0.1
        assert worker.count("reconciled_items") == 1

    run(steps())


@pytest.mark.parametrize("after", ["the destination", "the source"])
def test_an_item_added_again_while_it_is_read_is_looked_at_again(after: str) -> None:
    """1 both sides are read, equal; 2 a late write is noticed meanwhile; 3 it lands afterwards, on what was equal."""

    async def steps() -> None:
        world = World()
        world.change("k", "new")
        worker = Worker(world).start()

        def late() -> None:
            worker.add("k")
            asyncio.get_running_loop().call_later(1.0, world.set_destination, "k", "old")

        (worker.destination if after == "the destination" else worker.source).after_read.append(late)
        worker.add("k")
        await worker.settled()
        await asyncio.sleep(2)
        assert not world.differences()

    run(steps())


def test_an_item_added_while_its_duty_is_removed_has_a_duty_of_its_own() -> None:
    async def steps() -> None:
        world = World()
        worker = Worker(world).start()
        worker.state_faults.next["DeleteItem"] = [Fault(delay_s=3.0)]
        worker.add("k")
        await asyncio.sleep(SETTLE_S + 1)
        worker.add("k")
        await asyncio.sleep(1)
        assert len(await world.state.duties()) == 2
        await asyncio.sleep(2)
        [duty] = await world.state.duties()
        worker.kill()
        heir = Worker(world, "w2").start()
        await asyncio.sleep(60)
        assert heir.count("reconciled_items") == 1
        assert not await world.state.duties()
        assert duty.key == {"id": {"S": "k"}}

    run(steps())


# --- B-1: the request that lands late is reconcile's own


@pytest.mark.parametrize("first,second", [("A", "B"), (None, "B"), ("A", None)], ids=["toggle", "put", "delete"])
def test_a_repeated_value_and_a_late_landing_of_its_own_write(first: str | None, second: str | None) -> None:
    """1 destination A; 2 source B, "put B if A" gets no answer; 3 source A again, applied; 4 equal; 5 it lands."""

    async def steps() -> None:
        world = World()
        world.change("k", first)
        world.set_source("k", second)
        worker = Worker(world).start()
        for operation in ("PutItem", "DeleteItem"):
            worker.destination_faults.next[operation] = [lost(lands_after_s=SETTINGS.stray_life_s - 0.2)]
        worker.add("k")
        await asyncio.sleep(SETTLE_S + 0.5)
        assert not world.replaced
        world.change("k", first)
        await worker.settled()
        # It has landed, and that was seen and mended.
        assert [name for name, _, _ in world.replaced] == ["w1", "w1"]
        assert not world.differences()

    run(steps())


def test_an_unanswered_write_is_waited_for_from_its_sending_and_from_its_failing() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        worker = Worker(world).start()
        # Frozen while it waited: no answer came for 20 s.
        fault = Fault(Unanswered(Side.DESTINATION, "injected"), delay_s=20.0)
        worker.destination_faults.next["PutItem"] = [fault]
        worker.add("k")
        took_s = await worker.settled()
        assert took_s >= SETTLE_S + 20.0 + SETTINGS.stray_life_s
        assert not world.differences()

    run(steps())


# --- B-2: the second reading of the source


def test_a_change_between_the_reading_and_the_write_is_seen_by_the_second_reading() -> None:
    """1 destination A, source B are read; 2 the source goes back to A, applied; 3 "put B if A" holds."""

    async def steps() -> None:
        world = World()
        world.change("k", "A")
        world.set_source("k", "B")
        worker = Worker(world).start()
        worker.source.after_read.append(lambda: world.change("k", "A"))
        worker.add("k")
        await worker.settled()
        assert [found for _, _, found in world.replaced] == [item("k", "B"), item("k", "A")]
        assert not world.differences()

    run(steps())


def test_a_newer_image_that_is_applied_meanwhile_is_not_overwritten() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "v1")
        worker = Worker(world).start()
        worker.source.after_read.append(lambda: world.change("k", "v2"))
        worker.add("k")
        await worker.settled()
        assert not world.replaced
        assert not world.differences()

    run(steps())


def test_when_the_second_reading_fails_all_is_read_again() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        worker = Worker(world).start()
        worker.source_faults.next["BatchGetItem"] = [None, Fault(Throttled(Side.SOURCE, "injected"))]
        worker.add("k")
        await worker.settled()
        assert len(worker.destination.reads) == 2
        assert worker.count("reconcile_repairs") == 1

    run(steps())


# --- B-4: the destination is read first


async def crash_after_the_write() -> World:
    """v2 is written and applied between the first reading and the second; the worker dies after its write."""
    world = World()
    world.change("k", "v1")
    worker = Worker(world).start()

    def change() -> None:
        world.change("k", "v2")

    worker.destination.after_read.append(change)
    worker.source.after_read.append(change)

    def die(key: object, found: object) -> None:
        worker.kill()

    worker.destination._watch = die
    worker.add("k")
    await asyncio.sleep(20)
    return world


def test_the_destination_is_read_before_the_source() -> None:
    async def steps() -> None:
        world = await crash_after_the_write()
        assert not world.differences()

    run(steps())


def test_the_other_way_round_an_older_image_would_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    async def reversed_(self: Healer, cases: Any) -> Any:
        here = await self._tools.source.read([case.key for case in cases])
        return await self._tools.destination.read([case.key for case in cases]), here

    monkeypatch.setattr(Healer, "_read", reversed_)

    async def steps() -> None:
        world = await crash_after_the_write()
        assert world.destination["k"] == item("k", "v1")
        assert world.source["k"] == item("k", "v2")

    run(steps())


# --- errors, by consequence


@pytest.mark.parametrize("side", ["source", "destination", "state"])
@pytest.mark.parametrize(
    "error",
    [
        Throttled(Side.SOURCE, "injected"),
        Unreachable(Side.SOURCE, "injected"),
        CredentialsExpired(Side.SOURCE, "injected"),
        Unanswered(Side.SOURCE, "injected"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_passing_errors_of_any_side_are_waited_out(side: str, error: Exception) -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        worker = Worker(world).start()
        await asyncio.sleep(1)
        faults = {
            "source": worker.source_faults,
            "destination": worker.destination_faults,
            "state": worker.state_faults,
        }[side]
        left = 8

        def some(operation: str) -> Fault | None:
            nonlocal left
            left -= 1
            return Fault(error) if left >= 0 else None  # type: ignore[arg-type]

        faults.always = some
        worker.add("k")
        await worker.settled(limit_s=300)
        assert not world.differences()
        assert not await world.state.duties()
        assert left < 0

    run(steps())


def test_a_new_reason_for_an_item_that_was_refused_does_not_wait_for_the_old_one() -> None:
    async def steps() -> None:
        world = World()
        worker = Worker(world).start()
        world.set_source("k", "B")
        worker.destination.refused.add("k")
        worker.add("k")
        await asyncio.sleep(SETTLE_S + 10)
        assert worker.reconciler.refusal(key_of("k")) == "the item can never be written (as the test wants it)"
        worker.destination.refused.clear()
        worker.add("k")
        assert worker.reconciler.refusal(key_of("k")) is None
        await asyncio.sleep(SETTLE_S + 1)
        assert world.differences() == []

    run(steps())


def test_an_item_that_was_refused_may_be_given_up_and_no_other() -> None:
    async def steps() -> None:
        world = World()
        worker = Worker(world).start()
        for key in ("k", "l"):
            world.set_source(key, "B")
        worker.destination.refused.add("k")
        worker.add("k")
        worker.add("l")
        worker.reconciler.give_up(key_of("l"))
        worker.reconciler.give_up(key_of("m"))
        await asyncio.sleep(SETTLE_S + 10)
        assert world.differences() == ["k"]
        assert len(await worker.state.duties()) == 1
        worker.reconciler.give_up(key_of("k"))
        await asyncio.sleep(10)
        assert worker.reconciler.pending == 0
        assert await worker.state.duties() == []

    run(steps())


def test_a_refused_item_stays_a_duty_and_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        world.set_source("fine", "A")
        worker = Worker(world).start()
        worker.destination.refused.add("k")
        worker.add("k", "fine")
        await asyncio.sleep(SETTLE_S + 5)
        assert world.differences() == ["k"]
        [duty] = await world.state.duties()
        assert duty.key == {"id": {"S": "k"}}
        [line] = [record for record in caplog.records if record.__dict__.get("event") == "reconcile_refused"]
        assert "'k'" in line.getMessage()
        assert "mend" in line.getMessage()
        worker.destination.refused.clear()
        await worker.settled(limit_s=REFUSED_AGAIN_S + 5)
        assert not world.differences()
        assert not await world.state.duties()

    with caplog.at_level(logging.INFO, "dynamirror.reconcile"):
        run(steps())


@pytest.mark.parametrize("side", ["source", "destination", "state"])
def test_what_only_an_operator_can_mend_ends_the_worker(side: str) -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        worker = Worker(world).start()
        worker.add("k")
        # After the row was written, between two heartbeats.
        await asyncio.sleep(SETTLE_S - 0.3)
        gone = Fault(Stop(Side.SOURCE, "injected"))
        match side:
            case "source":
                worker.source_faults.next["BatchGetItem"] = [None, gone]
            case "destination":
                worker.destination_faults.next["PutItem"] = [gone]
            case _:
                worker.state_faults.next["PutItem"] = [gone]
        assert worker.task is not None
        await asyncio.wait([worker.task], timeout=30)
        error = worker.task.exception()
        assert error is not None
        assert [type(leaf) for leaf in leaves(error)] == [Stop]
        # The next start finds it.
        assert len(await world.state.duties()) == 1

    run(steps())


@pytest.mark.parametrize("operation", ["read", "read again", "mend"])
def test_missing_rights_leave_the_duty_and_replication_goes_on(
    operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Who has the Java tool's rights may write the destination in batches and read the stream, and no more."""

    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        worker = Worker(world).start()
        denied = Fault(AccessDenied(Side.SOURCE, "injected"))
        if operation == "mend":
            worker.destination_faults.next["PutItem"] = [denied]
        else:
            worker.source_faults.next["BatchGetItem"] = [denied] if operation == "read" else [None, denied]
        worker.add("k")
        await asyncio.sleep(SETTLE_S + 5)
        assert len(await world.state.duties()) == 1
        [line] = [record for record in caplog.records if record.__dict__.get("event") == "reconcile_denied"]
        assert "injected" in line.getMessage()
        await worker.settled(limit_s=REFUSED_AGAIN_S + 5)
        assert not world.differences()

    with caplog.at_level(logging.INFO, "dynamirror.reconcile"):
        run(steps())


# --- many


def test_keys_are_read_a_hundred_at_a_time() -> None:
    async def steps() -> None:
        world = World()
        keys = [f"k{number}" for number in range(250)]
        for key in keys:
            world.set_source(key, "A")
        worker = Worker(world).start()
        worker.add(*keys)
        await worker.settled()
        assert [len(read) for read in worker.destination.reads] == [100, 100, 50]
        assert not world.differences()
        assert worker.count("reconcile_repairs") == 250

    run(steps())


@pytest.mark.parametrize("side", ["source", "destination"])
def test_unprocessed_keys_are_read_until_none_is_left(side: str) -> None:
    async def steps() -> None:
        world = World()
        keys = [f"k{number}" for number in range(20)]
        for key in keys:
            world.set_source(key, "A")
            world.set_destination(key, "B")
        worker = Worker(world).start()
        faults = worker.source_faults if side == "source" else worker.destination_faults
        # Nothing was looked up of what is missing in an answer: it must not be taken for deleted.
        faults.next["BatchGetItem"] = [Fault(unprocessed=left) for left in (20, 15, 19, 3)]
        worker.add(*keys)
        await worker.settled()
        assert not world.differences()
        assert all(found is not None for _, _, found in world.replaced)
        assert worker.count("reconcile_repairs") == 20

    run(steps())


def test_unprocessed_keys_of_the_second_reading_are_not_taken_for_unchanged() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        worker = Worker(world).start()
        worker.source_faults.next["BatchGetItem"] = [None, Fault(unprocessed=1)]
        worker.add("k")
        await worker.settled()
        assert len(worker.source.reads) == 3

    run(steps())


def test_keys_come_out_of_writes_too() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("put", "A")
        world.set_destination("deleted", "ghost")
        worker = Worker(world).start()
        writes = [
            Write("put", b'{"PutRequest":{"Item":{"v":{"S":"old"},"id":{"S":"put"}}}}', "1"),
            Write("deleted", b'{"DeleteRequest":{"Key":{"id":{"S":"deleted"}}}}', "2"),
        ]
        worker.reconciler.add_writes(writes, worker.clock.boottime_s())
        await worker.settled()
        assert not world.differences()

    run(steps())


def test_a_key_that_never_rests_is_looked_at_more_and_more_rarely() -> None:
    async def steps() -> None:
        world = World()
        worker = Worker(world).start()
        numbers = iter(range(1000))
        worker.destination.after_read = [lambda: world.change("k", str(next(numbers)))] * 1000
        worker.add("k")
        await asyncio.sleep(600)
        assert worker.reconciler.pending == 1
        assert 60 < len(worker.destination.reads) < 120
        worker.destination.after_read.clear()
        assert await worker.settled() < 15
        assert not world.differences()

    run(steps())
