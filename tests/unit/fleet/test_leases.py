"""One held lease under lost, late and refused answers: never two owners in doubt, never a lease thrown away."""

import asyncio
import random
from contextlib import suppress
from dataclasses import replace

import pytest

from dynamirror.errors import ConditionFailed, LeaseLost, Retry, Side, Throttled, Unreachable
from dynamirror.fleet.leases import HeldLease, LeaseTools
from dynamirror.model.applied_to import applied_to_ms, saying
from dynamirror.model.lease import (
    SHARD_END,
    TRIM_HORIZON,
    Lease,
    Predecessor,
    Taken,
    Terms,
    renew,
    take,
)
from dynamirror.model.permit import NEVER, Fence
from dynamirror.testing.faults import Fault, Line, Scripted
from dynamirror.testing.memory_state import MemoryLeases
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.unit.fleet.world import Cut, unanswered

ME = Terms("me", 10_000, heartbeat=True)
ROW = Lease("shard", TRIM_HORIZON, "me", 1, terms=ME)


class Held:
    """A lease, its table, and the faults on the way there."""

    def __init__(self) -> None:
        self.faults = Cut()
        self.table = MemoryLeases(Line(self.faults, latency_s=0.01))
        self.table.rows["shard"] = ROW
        self.clock = VirtualClock()
        fence = Fence(proof_s=1.0, row_s=54.0, beat_s=4.0)
        self.beaten_at_s = self.clock.boottime_s()
        tools = LeaseTools(self.table, self.clock, fence, lambda: self.beaten_at_s)
        self.lease = HeldLease(Taken(ROW, Predecessor.NOBODY, self.beaten_at_s), tools)

    @property
    def row(self) -> Lease:
        return self.table.rows["shard"]


def test_writes_follow_each_other_and_the_row_says_what_was_saved() -> None:
    async def scenario() -> None:
        held = Held()
        await asyncio.gather(
            held.lease.renew(), held.lease.checkpoint("5"), held.lease.renew(), held.lease.checkpoint("7")
        )
        assert (held.row.counter, held.row.checkpoint) == (5, "7")
        assert held.lease.lease == held.row
        await held.lease.release()
        assert (held.row.owner, held.row.terms, held.row.counter) == (None, None, 6)
        with pytest.raises(LeaseLost):
            await held.lease.renew()

    run_virtual(scenario())


def test_the_moment_of_a_write_is_that_of_its_sending() -> None:
    async def scenario() -> None:
        held = Held()
        held.faults.then = Scripted("UpdateItem", [Fault(delay_s=3)])
        sent_at_s = held.clock.boottime_s()
        await held.lease.renew()
        assert held.lease.written_at_s == sent_at_s

    run_virtual(scenario())


@pytest.mark.parametrize("kind", [Throttled, Unreachable])
def test_a_write_that_was_not_applied_is_simply_repeated(kind: type[Retry]) -> None:
    async def scenario() -> None:
        held = Held()
        held.faults.then = Scripted("UpdateItem", [Fault(kind(Side.STATE, "injected"))])
        with pytest.raises(kind):
            await held.lease.checkpoint("5")
        await held.lease.checkpoint("6")
        assert (held.row.checkpoint, held.row.counter) == ("6", 2)

    run_virtual(scenario())


@pytest.mark.parametrize("lands_after_s", [None, 0.0, 0.001, 0.012, 0.02, 0.024, 5.0])
@pytest.mark.parametrize("first", ["renew", "5", SHARD_END])
@pytest.mark.parametrize("second", ["renew", "6", SHARD_END])
def test_after_a_lost_answer_the_lease_is_kept_whenever_the_write_lands(
    lands_after_s: float | None, first: str, second: str
) -> None:
    async def scenario() -> None:
        held = Held()
        held.faults.then = Scripted("UpdateItem", [unanswered(Side.STATE, lands_after_s)])
        with pytest.raises(Retry):
            await write(held.lease, first)
        await write(held.lease, second)
        assert not held.lease.lost
        assert held.lease.lease == held.row
        expected = second if second != "renew" else held.row.checkpoint
        assert held.row.checkpoint in (expected, SHARD_END)
        await asyncio.sleep(10)
        await held.lease.renew()
        assert held.row.owner == "me"

    run_virtual(scenario())


# --- permits


def test_a_proof_reads_the_row_and_allows_sending_for_a_second() -> None:
    async def scenario() -> None:
        held = Held()
        sent_at_s = held.clock.boottime_s()
        assert held.lease.permit.until_s < sent_at_s
        await held.lease.prove()
        assert held.lease.permit.until_s == sent_at_s + 1.0
        assert held.row == ROW

    run_virtual(scenario())


def test_a_proof_moves_the_counter_once_others_might_take_the_row() -> None:
    async def scenario() -> None:
        held = Held()
        await asyncio.sleep(53.5)
        held.beaten_at_s = sent_at_s = held.clock.boottime_s()
        await held.lease.prove()
        assert held.lease.permit.until_s == sent_at_s + 1.0
        assert held.row.counter == 2

    run_virtual(scenario())


def test_without_heartbeats_a_proof_allows_nothing() -> None:
    async def scenario() -> None:
        held = Held()
        await asyncio.sleep(4.1)
        await held.lease.prove()
        assert held.lease.permit.until_s < held.clock.boottime_s()

    run_virtual(scenario())


@pytest.mark.parametrize("row", [replace(ROW, owner="java", counter=2), replace(ROW, counter=9), None])
def test_a_proof_finds_that_the_lease_is_lost(row: Lease | None) -> None:
    async def scenario() -> None:
        held = Held()
        await held.lease.prove()
        if row is None:
            del held.table.rows["shard"]
        else:
            held.table.rows["shard"] = row
        with pytest.raises(LeaseLost):
            await held.lease.prove()
        assert held.lease.lost
        assert held.lease.permit.until_s == NEVER

    run_virtual(scenario())


def test_a_late_write_of_our_own_is_no_loss_for_a_proof() -> None:
    async def scenario() -> None:
        held = Held()
        held.faults.then = Scripted("UpdateItem", [unanswered(Side.STATE, 0.5)])
        with pytest.raises(Retry):
            await held.lease.renew()
        await held.lease.prove()
        assert held.lease.lease.counter == 1
        await asyncio.sleep(1)
        await held.lease.prove()
        assert held.lease.lease == held.row
        assert held.row.counter == 2

    run_virtual(scenario())


async def write(lease: HeldLease, what: str) -> None:
    await (lease.renew() if what == "renew" else lease.checkpoint(what))


def test_an_answer_that_repeats_itself_on_the_way_is_no_loss() -> None:
    """P-8: the request is applied, its repetition by a proxy is refused."""

    async def scenario() -> None:
        held = Held()
        held.faults.then = Scripted("UpdateItem", [Fault(ConditionFailed("repeated"), lands_after_s=0.0)])
        await held.lease.checkpoint("5")
        assert (held.row.checkpoint, held.lease.lease) == ("5", held.row)

    run_virtual(scenario())


def test_a_refusal_whose_reason_cannot_be_read_is_not_taken_for_a_loss() -> None:
    async def scenario() -> None:
        held = Held()
        refused = Fault(ConditionFailed("repeated"), lands_after_s=0.0)
        throttled = Fault(Throttled(Side.STATE, "injected"))
        script = {"UpdateItem": [refused], "GetItem": [throttled]}
        held.faults.then = lambda operation: script[operation].pop() if script.get(operation) else None
        with pytest.raises(Throttled):
            await held.lease.checkpoint("5")
        await held.lease.renew()
        assert (held.row.checkpoint, held.lease.lost) == ("5", False)

    run_virtual(scenario())


@pytest.mark.parametrize("delay_s", [0.0, 0.001, 0.005, 0.006, 0.009, 0.01])
def test_a_write_that_was_cancelled_may_have_been_applied(delay_s: float) -> None:
    async def scenario() -> None:
        held = Held()
        task = asyncio.create_task(held.lease.checkpoint("5"))
        await asyncio.sleep(delay_s)
        task.cancel()
        await asyncio.wait([task])
        await held.lease.checkpoint("6")
        assert (held.row.checkpoint, held.lease.lease) == ("6", held.row)

    run_virtual(scenario())


@pytest.mark.parametrize(
    "taken", [replace(ROW, owner="java", counter=2), replace(ROW, owner=None, counter=2), replace(ROW, counter=9), None]
)
@pytest.mark.parametrize("doubt", [False, True])
def test_a_lease_of_somebody_else_is_lost_for_good(taken: Lease | None, doubt: bool) -> None:
    async def scenario() -> None:
        held = Held()
        if doubt:
            held.faults.then = Scripted("UpdateItem", [unanswered(Side.STATE)])
            with pytest.raises(Retry):
                await held.lease.renew()
        if taken is None:
            del held.table.rows["shard"]
        else:
            held.table.rows["shard"] = taken
        for _ in range(2):
            with pytest.raises(LeaseLost):
                await held.lease.checkpoint("5")
        assert held.lease.lost
        assert held.table.rows.get("shard") == taken

    run_virtual(scenario())


def test_a_release_that_was_applied_without_an_answer_is_not_repeated_on_the_next_owner() -> None:
    async def scenario() -> None:
        held = Held()
        held.faults.then = Scripted("UpdateItem", [unanswered(Side.STATE, 0.0)])
        with pytest.raises(Retry):
            await held.lease.release()
        released = held.row
        with pytest.raises(LeaseLost):
            await held.lease.release()
        assert held.lease.lost
        assert held.row == released

    run_virtual(scenario())


def test_checkpoints_never_go_back_and_saving_one_twice_writes_once() -> None:
    async def scenario() -> None:
        held = Held()
        for position in ("5", "5", "4", SHARD_END, SHARD_END, "6"):
            await held.lease.checkpoint(position)
        assert (held.row.checkpoint, held.row.counter) == (SHARD_END, 3)

    run_virtual(scenario())


def test_a_late_renewal_is_not_taken_for_the_passing_of_a_gap() -> None:
    async def scenario() -> None:
        held = Held()
        held.faults.then = Scripted("UpdateItem", [unanswered(Side.STATE, 0.05), Fault(delay_s=0.5)])
        with pytest.raises(Retry):
            await held.lease.renew()
        await held.lease.pass_gap(7)
        assert (held.row.gap_behind, held.row.since_ms) == (TRIM_HORIZON, 7)
        assert held.lease.lease == held.row

    run_virtual(scenario())


@pytest.mark.parametrize("seed", range(50))
def test_whatever_happens_on_the_way_nothing_saved_is_undone_and_the_lease_is_kept(seed: int) -> None:
    async def scenario() -> None:
        draw = random.Random(seed)
        held = Held()

        def fault(operation: str) -> Fault | None:
            if draw.random() < 0.6:
                return None
            if draw.random() < 0.3:
                return Fault(Throttled(Side.STATE, "injected"))
            return unanswered(Side.STATE, draw.choice([None, 0.0, 0.01, 0.05, 1.0]))

        held.faults.then = fault
        saved = 0
        for position in range(1, 60):
            with suppress(Retry):
                await write(held.lease, draw.choice(["renew", str(position)]))
            now = 0 if held.row.checkpoint == TRIM_HORIZON else int(held.row.checkpoint)
            assert now >= saved
            saved = now
            assert held.row.owner == "me"

    run_virtual(scenario())


def test_each_write_says_up_to_when_all_is_durable_and_never_less() -> None:
    async def scenario() -> None:
        held = Held()
        lease = held.lease
        said: list[int | None] = [None, 100, 90, 120]
        lease.applied_to_ms = lambda: said.pop(0)
        written = []
        for write in (lease.renew(), lease.checkpoint("5"), lease.renew(), lease.release()):
            await write
            written.append(held.row.applied_to_ms)
        assert written == [None, 100, 100, 120]

    run_virtual(scenario())


def test_a_renewal_that_lands_late_says_less_and_is_ours_all_the_same() -> None:
    """1 a renewal is not answered; 2 the row is read, unchanged; 3 the next one is sent; 4 the first lands; 5 the next
    is refused, and the row says what the first one said."""

    async def scenario() -> None:
        held = Held()
        said = iter([100, 200, 300, 400])
        held.lease.applied_to_ms = lambda: next(said)
        late = saying(renew(held.lease.lease), 100)
        held.faults.then = Scripted("UpdateItem", [unanswered(Side.STATE)])
        with pytest.raises(Retry):
            await held.lease.renew()
        # Lands between the reading of the row, which begins the next renewal, and its own update.
        asyncio.get_running_loop().call_later(0.015, held.table.rows.__setitem__, "shard", late.after)
        await held.lease.renew()
        assert (held.lease.lost, held.row.counter, held.row.applied_to_ms) == (False, 2, 100)
        await held.lease.renew()
        assert (held.row.counter, held.row.applied_to_ms) == (3, 300)

    run_virtual(scenario())


@pytest.mark.parametrize(
    "owner,terms,kept", [("w2", replace(ME, worker="w2"), 100), ("java", ME, None), (None, None, None)]
)
def test_what_a_java_worker_may_have_had_since_is_not_gone_on_with(
    owner: str | None, terms: Terms | None, kept: int | None
) -> None:
    row = replace(ROW, owner=owner, terms=terms, counter=5, applied_to_ms=100)
    assert take(row, ME, 0).after.applied_to_ms == kept
    assert applied_to_ms(row) == kept
