"""Duties outlive the worker that noted them, and their heirs do not hurry (B-2, B-3)."""

import asyncio
import logging

import pytest

from dynamirror.errors import AccessDenied, ItemRefused, Retry, Side, Unanswered
from dynamirror.model.duty import Duty
from dynamirror.prove.inherit import LOOK_EVERY_S, Heirs
from dynamirror.prove.reconcile import REMOVE_AGAIN_S
from dynamirror.testing.faults import Fault
from tests.unit.prove.test_reconcile import run
from tests.unit.prove.world import LATENCY_S, SETTINGS, SILENCE_S, Worker, World, item

SETTLE_S = SETTINGS.settle_s
UNANSWERED = Fault(Unanswered(Side.STATE, "injected"))


def test_nothing_is_read_before_the_duty_is_durable() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        worker = Worker(world).start()
        await asyncio.sleep(1)
        worker.state_faults.next["PutItem"] = [UNANSWERED] * 6
        worker.add("k", ago_s=SETTLE_S)
        while not await world.state.duties():
            assert not worker.destination.reads
            await asyncio.sleep(LATENCY_S)
        await worker.settled()
        assert not world.differences()
        assert not await world.state.duties()

    run(steps())


def test_a_duty_of_a_dead_worker_is_done_by_an_heir_after_its_claim_and_settling() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        dead = Worker(world).start()
        heir = Worker(world, "w2", boot_s=7000.0).start()
        await asyncio.sleep(LOOK_EVERY_S / 2)
        dead.add("k")
        await asyncio.sleep(1)
        dead.kill()
        died_at_s = asyncio.get_running_loop().time()
        await world.equal()
        took_s = asyncio.get_running_loop().time() - died_at_s
        assert SILENCE_S - 2 * SETTINGS.margin_s + SETTLE_S < took_s < LOOK_EVERY_S * 1.5 + SILENCE_S + SETTLE_S
        await asyncio.sleep(1)
        assert not await world.state.duties()
        assert heir.count("reconciled_items") == 1

    run(steps())


def test_a_restarted_worker_finds_its_duties_at_the_start() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        dead = Worker(world).start()
        dead.add("k")
        await asyncio.sleep(1)
        dead.kill()
        # As in an orderly stop: no heartbeat row is left.
        await world.state.retire("w1")
        Worker(world, "w1-again", boot_s=5.0).start()
        await asyncio.sleep(SILENCE_S + SETTLE_S + 1)
        assert not world.differences()
        assert not await world.state.duties()

    run(steps())


def test_a_living_workers_duty_is_left_to_it() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        busy = Worker(world).start()
        busy.destination.refused.add("k")
        busy.add("k")
        other = Worker(world, "w2").start()
        await asyncio.sleep(300)
        assert not other.destination.reads
        [duty] = await world.state.duties()
        assert duty.worker == "w1"

    run(steps())


async def stray_of_the_dead(world: World) -> None:
    """1 W reads destination A and source B, sends "put B if A", and dies; 2 the source is A again, applied; 3 an heir;
    4 the request lands late, as late as requests may."""
    world.change("k", "A")
    world.set_source("k", "B")
    dead = Worker(world, landing_s=lambda: SETTLE_S - 0.3).start()
    dead.destination_faults.next["PutItem"] = [Fault(delay_s=0.5)]
    dead.add("k")
    await asyncio.sleep(SETTLE_S + 0.3)
    assert len(dead.source.reads) == 1
    dead.kill()
    await world.state.retire("w1")
    world.change("k", "A")
    Worker(world, "w2").start()
    await asyncio.sleep(LOOK_EVERY_S * 2)
    assert not await world.state.duties()


def test_an_heir_waits_until_the_requests_of_the_dead_have_landed() -> None:
    async def steps() -> None:
        world = World()
        await stray_of_the_dead(world)
        assert [(name, found) for name, _, found in world.replaced] == [("w1", item("k", "B")), ("w2", item("k", "A"))]
        assert not world.differences()

    run(steps())


def test_an_heir_in_a_hurry_would_forget_the_duty_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Heirs.__init__

    def hasty(self: Heirs, claims: object, cases: object, keys: object, clock: object, settle_s: float) -> None:
        original(self, claims, cases, keys, clock, -SILENCE_S)  # type: ignore[arg-type]
        self._watch._silence_s = 0.0

    monkeypatch.setattr(Heirs, "__init__", hasty)

    async def steps() -> None:
        world = World()
        await stray_of_the_dead(world)
        assert world.differences() == ["k"]

    run(steps())


def test_of_many_heirs_one_does_it() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        dead = Worker(world).start()
        dead.add("k")
        await asyncio.sleep(1)
        dead.kill()
        heirs = [Worker(world, f"heir{number}").start() for number in range(5)]
        await asyncio.sleep(LOOK_EVERY_S)
        assert not world.differences()
        assert sum(heir.count("reconciled_items") for heir in heirs) == 1
        assert len(world.replaced) == 1

    run(steps())


def test_a_worker_that_was_frozen_gives_its_taken_duty_up() -> None:
    """1 W reads both sides, differing; 2 W is frozen; 3 an heir mends the item and removes the duty; 4 the source
    changes, applied; 5 W thaws with its old readings, and writes nothing."""

    async def steps() -> None:
        world = World()
        world.set_source("k", "B")
        frozen = Worker(world).start()
        frozen.source.after_read.append(lambda: frozen.process.freeze(200.0))
        frozen.add("k")
        heir = Worker(world, "heir").start()
        await asyncio.sleep(100)
        assert heir.count("reconciled_items") == 1
        world.change("k", None)
        await frozen.settled(limit_s=200)
        assert asyncio.get_running_loop().time() > 200
        assert [name for name, _, _ in world.replaced] == ["heir"]
        assert not world.differences()

    run(steps())


def test_nothing_is_written_once_others_may_take_the_duty() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        worker = Worker(world).start()
        await asyncio.sleep(1)
        worker.beats = False
        worker.add("k")
        # It is looked at when the last heartbeat is as old as the claim may be, less the margin.
        worker.destination_faults.next["BatchGetItem"] = [Fault(delay_s=SILENCE_S - SETTLE_S - SETTINGS.margin_s)]
        await asyncio.sleep(60)
        assert worker.destination.reads
        assert not world.replaced
        worker.beats = True
        await worker.settled()
        assert not world.differences()

    run(steps())


def test_a_claim_whose_answer_was_lost_is_found_again() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        worker = Worker(world).start()
        worker.add("k")
        # After the row was written, between two heartbeats.
        await asyncio.sleep(SETTLE_S - 0.3)
        worker.state_faults.next["PutItem"] = [Fault(Unanswered(Side.STATE, "injected"), lands_after_s=0.0)]
        await worker.settled()
        assert world.differences()
        assert len(await world.state.duties()) == 1
        await asyncio.sleep(LOOK_EVERY_S + SETTLE_S)
        assert not world.differences()
        assert not await world.state.duties()

    run(steps())


def test_a_lost_duty_that_was_added_again_meanwhile_gets_a_new_row() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        worker = Worker(world).start()
        worker.add("k")
        await asyncio.sleep(1)
        [duty] = await world.state.duties()
        taken = await world.state.claim_duty(duty, "somebody else")
        worker.source.after_read.append(lambda: worker.add("k"))
        await worker.settled()
        assert not world.differences()
        assert await world.state.duties() == [taken]

    run(steps())


def test_a_lost_duty_is_left_to_who_has_it() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        worker = Worker(world).start()
        worker.add("k")
        await asyncio.sleep(1)
        [duty] = await world.state.duties()
        await world.state.claim_duty(duty, "somebody else")
        await worker.settled()
        assert not world.replaced
        assert worker.count("reconciled_items") == 0

    run(steps())


def test_a_removal_that_fails_is_repeated() -> None:
    async def steps() -> None:
        world = World()
        worker = Worker(world).start()
        worker.state_faults.next["DeleteItem"] = [UNANSWERED, Fault(UNANSWERED.error, lands_after_s=0.0)]
        worker.add("k")
        await worker.settled()
        assert not await world.state.duties()
        assert worker.count("reconciled_items") == 1

    run(steps())


def test_two_duties_of_one_item_are_done_and_removed_together() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        dead = Worker(world).start()
        dead.add("k")
        await asyncio.sleep(1)
        dead.kill()
        heir = Worker(world, "w2").start()
        heir.destination.refused.add("k")
        heir.add("k")
        await asyncio.sleep(LOOK_EVERY_S)
        assert len(await world.state.duties()) == 2
        assert heir.reconciler.pending == 1
        heir.destination.refused.clear()
        await heir.settled(limit_s=1000)
        assert not await world.state.duties()
        assert not world.differences()

    run(steps())


def test_a_duty_that_is_none_of_these_tables_is_left_alone_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def steps() -> None:
        world = World()
        foreign = Duty("x/gone/1", {"other": {"S": "k"}}, "gone")
        await world.state.put_duty(foreign)
        worker = Worker(world).start()
        await asyncio.sleep(300)
        assert worker.reconciler.pending == 0
        assert await world.state.duties() == [foreign]
        assert [record.__dict__["event"] for record in caplog.records] == ["duty_refused"]

    with caplog.at_level(logging.INFO, "dynamirror.reconcile"):
        run(steps())


# --- stopping


def test_flush_makes_durable_what_was_added_when_nothing_runs() -> None:
    async def steps() -> None:
        world = World()
        worker = Worker(world)
        worker.add(*(f"k{number}" for number in range(40)))
        worker.state_faults.next["PutItem"] = [UNANSWERED]
        with pytest.raises(Retry):
            await worker.reconciler.flush()
        await worker.reconciler.flush()
        assert len(await world.state.duties()) == 40

    run(steps())


@pytest.mark.parametrize("state", [True, False])
def test_what_ends_with_the_process_is_said(state: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def steps() -> None:
        world = World()
        worker = Worker(world, state=state).start()
        await asyncio.sleep(1)
        worker.state_faults.always = lambda operation: UNANSWERED
        worker.add("k1", "k2")
        await asyncio.sleep(1)
        worker.kill()
        await asyncio.sleep(1)

    with caplog.at_level(logging.INFO, "dynamirror.reconcile"):
        run(steps())
    lines = {record.__dict__["event"]: record for record in caplog.records}
    assert "verify" in lines["duties_not_noted"].getMessage()
    assert lines["duties_not_noted"].__dict__["facts"] == {"items": 2}
    assert ("There is no state table" in lines["reconcile_planned"].getMessage()) is not state


def test_with_its_duties_noted_a_worker_goes_quietly(caplog: pytest.LogCaptureFixture) -> None:
    async def steps() -> None:
        worker = Worker(World()).start()
        worker.add("k1", "k2")
        await asyncio.sleep(1)
        worker.kill()
        await asyncio.sleep(1)

    with caplog.at_level(logging.INFO, "dynamirror.reconcile"):
        run(steps())
    assert [record.__dict__["event"] for record in caplog.records] == ["reconcile_planned"]


@pytest.mark.parametrize("ago_s,wait", [(0.0, f"can still land ({SETTLE_S:.0f} s)"), (SETTLE_S, "mended now")])
def test_the_wait_that_is_said_is_the_one_that_comes(ago_s: float, wait: str, caplog: pytest.LogCaptureFixture) -> None:
    async def steps() -> None:
        worker = Worker(World()).start()
        await asyncio.sleep(1)
        with caplog.at_level(logging.WARNING, "dynamirror.reconcile"):
            worker.add("k", ago_s=ago_s)
            await worker.settled()

    run(steps())
    assert wait in caplog.records[0].getMessage()


def test_a_worker_is_idle_once_no_item_of_the_task_waits() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        worker = Worker(world).start()
        assert await worker.reconciler.idle()
        worker.add("k", ago_s=SETTLE_S)
        assert not await worker.reconciler.idle(), "nor before the duty is durable"
        await worker.settled()
        await asyncio.sleep(1)
        assert await worker.reconciler.idle()
        # Another worker's, which may be dead.
        await world.state.put_duty(Duty("d", dict(item("k", "A") or {}), "w9"))
        assert not await worker.reconciler.idle()
        await world.state.remove_duty(Duty("d", dict(item("k", "A") or {}), "w9"))
        # Refused by a table: its own end will not come.
        world.set_source("big", "A")
        worker.destination_faults.next["PutItem"] = [Fault(ItemRefused("too large"))] * 9
        worker.add("big", ago_s=SETTLE_S)
        await asyncio.sleep(5)
        assert await world.state.duties()
        assert await worker.reconciler.idle()

    run(steps())


def test_of_two_workers_with_refused_items_one_is_idle_first_and_the_other_inherits() -> None:
    async def steps() -> None:
        world = World()
        workers = [Worker(world, name).start() for name in ("w1", "w2")]
        await asyncio.sleep(1)
        for number, worker in enumerate(workers):
            world.set_source(f"big {number}", "A")
            worker.destination_faults.next["PutItem"] = [Fault(ItemRefused("too large"))] * 99
            worker.add(f"big {number}", ago_s=SETTLE_S)
        await asyncio.sleep(5)
        first, second = workers
        assert await first.reconciler.idle()
        assert not await second.reconciler.idle(), "the first may have one under way that nobody would finish"
        first.kill()
        await world.state.retire("w1")
        await asyncio.sleep(LOOK_EVERY_S + SILENCE_S + SETTLE_S + 5)
        assert await second.reconciler.idle()

    run(steps())


def may_not_remove(operation: str) -> Fault | None:
    return Fault(AccessDenied(Side.STATE, "DeleteItem: no")) if operation == "DeleteItem" else None


def test_a_duty_that_may_not_be_removed_stays_and_is_looked_at_no_more(caplog: pytest.LogCaptureFixture) -> None:
    async def steps() -> None:
        world = World()
        worker = Worker(world).start()
        worker.state_faults.always = may_not_remove
        for key in ("k", "l"):
            world.set_source(key, "A")
            worker.add(key, ago_s=SETTLE_S)
            await asyncio.sleep(3 * REMOVE_AGAIN_S)
        assert worker.task is not None
        assert not worker.task.done(), worker.task
        assert not world.differences()
        assert sum("DeleteItem: no" in record.getMessage() for record in caplog.records) == 1
        # Nobody waits for it: neither a command that mends, nor the end of a stream that is applied.
        assert worker.reconciler.closing == 0
        assert await worker.reconciler.idle()
        assert worker.count("reconciled_items") == 2
        reads = len(worker.source.reads)
        await asyncio.sleep(3 * LOOK_EVERY_S)
        assert len(worker.source.reads) == reads
        assert len(await world.state.duties()) == 2
        # The right is given.
        worker.state_faults.always = lambda _: None
        await asyncio.sleep(REMOVE_AGAIN_S + 1)
        assert not await world.state.duties()
        assert worker.count("reconciled_items") == 2

    run(steps())


def test_a_duty_that_its_worker_might_not_remove_is_removed_by_an_heir_that_may() -> None:
    async def steps() -> None:
        world = World()
        world.set_source("k", "A")
        worker = Worker(world).start()
        worker.state_faults.always = may_not_remove
        worker.add("k", ago_s=SETTLE_S)
        await asyncio.sleep(5)
        worker.kill()
        Worker(world, "w2").start()
        await asyncio.sleep(LOOK_EVERY_S + SILENCE_S + SETTLE_S + 5)
        assert not await world.state.duties()

    run(steps())


def test_rows_of_many_duties_are_gone_within_seconds_though_every_fifth_request_fails() -> None:
    """A command that mends waits a minute for its rows, and a cut-over for those of all."""

    async def steps() -> None:
        world = World()
        worker = Worker(world).start()
        keys = [f"k{number}" for number in range(500)]
        worker.state_faults.next["DeleteItem"] = [None, None, None, None, UNANSWERED] * 200
        worker.add(*keys, ago_s=SETTLE_S)
        await worker.settled()
        await asyncio.sleep(3)
        assert not await world.state.duties()

    run(steps())


def test_many_duties_of_a_dead_worker_are_inherited_within_seconds_though_every_fifth_request_fails() -> None:
    async def steps() -> None:
        world = World()
        dead = Worker(world).start()
        dead.add(*(f"k{number}" for number in range(500)))
        await asyncio.sleep(1)
        dead.kill()
        await world.state.retire("w1")
        heir = Worker(world, "w2", boot_s=5.0)
        heir.state_faults.next["PutItem"] = [None, None, None, None, UNANSWERED] * 200
        heir.start()
        await asyncio.sleep(SILENCE_S + 5)
        assert {duty.worker for duty in await world.state.duties()} == {"w2"}

    run(steps())
