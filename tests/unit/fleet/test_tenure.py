"""One tenure: it waits for the parents, may skip only what the whole lineage skipped, and ends for good."""

import asyncio
from dataclasses import replace

import pytest

from dynamirror.errors import LeaseLost, Side, Throttled
from dynamirror.fleet.leases import HeldLease
from dynamirror.fleet.tenure import Tenure
from dynamirror.model.key import key_digest
from dynamirror.model.lease import SHARD_END, TRIM_HORIZON, Lease, Predecessor, Taken
from dynamirror.model.parked import Parked, version_of
from dynamirror.testing.faults import Fault, Scripted
from dynamirror.testing.virtual_time import run_virtual
from tests.support.parking import Lot
from tests.unit.fleet.world import Worker, World, unanswered


class Bench:
    """A child shard whose tenure is run alone; its parent's row is the test's."""

    def __init__(self) -> None:
        self.world = World()
        [self.parent] = self.world.stream.open_shards()
        self.world.put("before")
        [self.child] = self.world.stream.roll(self.parent)
        # Without a state table: nobody beats here.
        self.worker: Worker = self.world.worker("w", state=False)
        self.started: list[Taken] = []

    async def begin(self, start_at_ms: int | None = None) -> tuple[Tenure, asyncio.Task[None]]:
        lease = Lease(self.child, TRIM_HORIZON, "w", 1, 0, (self.parent,), self.worker.tenure.terms, start_at_ms)
        self.world.leases.rows[self.child] = lease
        taken = Taken(lease, Predecessor.NOBODY, self.worker.clock.boottime_s())
        held = HeldLease(taken, self.worker.tenure.leases)
        tenure = Tenure(self.worker.tenure, held, self.started.append)
        runner = asyncio.create_task(tenure.run())
        tenure.begin(runner)
        return tenure, runner

    async def listed(self, parent: bool = True) -> None:
        """The first listing is over; the parent's row is gone, or (not `parent`) it is older than the stream."""
        if not parent:
            self.world.stream.hidden.add(self.parent)
            await asyncio.sleep(25 * 3600)
        await self.worker.directory.sync()
        self.world.leases.rows.clear()

    async def applying(self) -> None:
        self.worker.task = asyncio.create_task(self.worker.applier.run())


async def put_and_wait(bench: Bench) -> bool:
    """Whether the child is being read now."""
    bench.world.put("probe", value=int(bench.world.now_s * 1000) + 1)
    await asyncio.sleep(3)
    return bench.world.destination.items.get("probe") == bench.world.source.items["probe"]


def test_it_waits_for_a_parent_that_another_worker_finishes() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.applying()
        bench.world.leases.rows[bench.parent] = Lease(bench.parent, "5", "java", 3)
        tenure, runner = await bench.begin()
        await asyncio.sleep(60)
        assert not await put_and_wait(bench)
        bench.world.leases.rows[bench.parent] = Lease(bench.parent, SHARD_END, "java", 4)
        await asyncio.sleep(10)
        assert await put_and_wait(bench)
        await tenure.halt()
        assert runner.cancelled()
        await bench.world.end()

    run_virtual(scenario())


def test_it_begins_at_once_when_this_worker_finishes_the_parent() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.applying()
        bench.world.leases.rows[bench.parent] = Lease(bench.parent, "5", "w", 3)
        tenure, _ = await bench.begin()
        await asyncio.sleep(12)
        bench.world.leases.rows[bench.parent] = Lease(bench.parent, SHARD_END, "w", 4)
        bench.worker.tenure.finished.notify()
        assert await put_and_wait(bench)
        await tenure.halt()
        await bench.world.end()

    run_virtual(scenario())


@pytest.mark.parametrize("delay_s", [0.0, 0.001, 0.0025, 0.004, 0.006])
def test_a_parent_that_ends_while_its_row_is_read_is_not_missed(delay_s: float) -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.applying()
        bench.world.leases.rows[bench.parent] = Lease(bench.parent, "5", "w", 3)
        tenure, _ = await bench.begin()
        await asyncio.sleep(delay_s)
        bench.world.leases.rows[bench.parent] = Lease(bench.parent, SHARD_END, "w", 4)
        bench.worker.tenure.finished.notify()
        assert await put_and_wait(bench), "waited for the next poll"
        await tenure.halt()
        await bench.world.end()

    run_virtual(scenario())


def test_a_parent_without_a_row_is_not_waited_for() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.applying()
        await bench.listed()
        tenure, _ = await bench.begin()
        assert await put_and_wait(bench)
        await tenure.halt()
        await bench.world.end()

    run_virtual(scenario())


def test_troubles_of_the_lease_table_do_not_end_the_wait() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.applying()
        bench.world.leases.rows[bench.parent] = Lease(bench.parent, SHARD_END, "java", 4)
        throttled = Fault(Throttled(Side.STATE, "injected"))
        bench.worker.lease_faults.then = Scripted("GetItem", [throttled] * 5)
        tenure, _ = await bench.begin()
        await asyncio.sleep(20)
        assert await put_and_wait(bench)
        await tenure.halt()
        await bench.world.end()

    run_virtual(scenario())


@pytest.mark.parametrize(
    "parent_row,listed,skips",
    [
        # All of the parent was skipped.
        (Lease("", SHARD_END, "w", 4, start_at_ms=1), True, True),
        # Something of it was applied: a newer change may bear an older time stamp (E-4).
        (Lease("", SHARD_END, "w", 4), True, False),
        # Its row was cleaned up: it was completed, nobody knows how.
        (None, True, False),
        # Older than the stream: it was never read.
        (None, False, True),
    ],
)
def test_skipping_goes_on_only_below_a_parent_that_was_skipped_whole(
    parent_row: Lease | None, listed: bool, skips: bool
) -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.applying()
        await bench.listed(listed)
        if parent_row is not None:
            bench.world.leases.rows[bench.parent] = replace(parent_row, shard_id=bench.parent)
        start_ms = int(bench.world.clock.wall_s() * 1000) + 3_600_000
        tenure, _ = await bench.begin(start_at_ms=start_ms)
        assert await put_and_wait(bench) is not skips
        await tenure.halt()
        await bench.world.end()

    run_virtual(scenario())


def test_it_knows_what_is_parked_before_it_reads() -> None:
    """A change un-parks what another worker has parked, from the first one on."""

    async def scenario() -> None:
        bench, lot = Bench(), Lot()
        asked: list[str] = []

        def faults(operation: str) -> Fault | None:
            asked.append(operation)
            return Fault(Throttled(Side.STATE, "injected")) if len(asked) < 5 else None

        parked = Parked(key_digest("probe"), {"id": {"S": "probe"}}, version_of("1"), "too large", 1, "other", 0, 0)
        await lot.store().park(parked, b"")
        bench.worker.applier.parking = lot.parking(bench.worker.clock, bench.worker.metrics, faults)
        await bench.applying()
        await bench.listed()
        tenure, _ = await bench.begin()
        await asyncio.sleep(10)
        assert await put_and_wait(bench)
        await bench.worker.applier.parking.flush()
        assert await lot.parked() == {}
        await tenure.halt()
        await bench.world.end()

    run_virtual(scenario())


def test_a_loss_that_two_find_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """1 the lease is stolen; 2 a renewal finds it, while 3 a checkpoint waits for its turn, and finds it too."""

    async def scenario() -> None:
        bench = Bench()
        tenure, runner = await bench.begin()
        bench.world.leases.rows[bench.child] = Lease(bench.child, TRIM_HORIZON, "java", 2)
        with pytest.raises(LeaseLost):
            await tenure.renew()
        tenure.lose()
        await asyncio.wait([runner])
        tenure.lose()
        await bench.world.end()

    run_virtual(scenario())
    assert sum("lost to another" in record.message for record in caplog.records) == 1


def test_a_lost_tenure_ends_quietly_and_starts_no_children() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.applying()
        await bench.listed()
        tenure, runner = await bench.begin()
        await put_and_wait(bench)
        bench.world.leases.rows[bench.child] = replace(bench.world.leases.rows[bench.child], owner="java", counter=90)
        bench.world.put("probe", value=-1)
        await asyncio.wait([runner], timeout=10)
        assert runner.exception() is None
        assert tenure.held.lost
        assert bench.started == []
        # The theft was seen before anything was sent.
        assert "-1" not in str(bench.world.destination.items)
        await bench.world.end()

    run_virtual(scenario())


def test_at_its_end_it_starts_the_children_it_got_each_time_it_finds_some() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.applying()
        await bench.listed()
        # The children's rows are created; the answers for both are lost one after the other.
        lost = [unanswered(Side.STATE, 0.0), None, unanswered(Side.STATE, 0.0)]
        bench.worker.lease_faults.then = Scripted("PutItem", lost)
        _, runner = await bench.begin()
        children = bench.world.stream.split(bench.child)
        await runner
        assert {taken.lease.shard_id for taken in bench.started} == set(children)
        assert bench.world.leases.rows[bench.child].checkpoint == SHARD_END
        await bench.world.end()

    run_virtual(scenario())


def test_children_that_are_never_listed_do_not_keep_it() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.applying()
        await bench.listed()
        _, runner = await bench.begin()
        bench.world.stream.hidden.update(bench.world.stream.roll(bench.child))
        await asyncio.wait([runner], timeout=60)
        assert runner.done()
        assert bench.started == []
        await bench.world.end()

    run_virtual(scenario())


def test_halting_before_the_first_step_ends_it() -> None:
    async def scenario() -> None:
        bench = Bench()
        tenure, runner = await bench.begin()
        await asyncio.wait_for(tenure.halt(), 1)
        assert runner.cancelled()
        assert tenure.settled
        await bench.world.end()

    run_virtual(scenario())
