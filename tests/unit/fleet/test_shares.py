"""A limit that several workers share: who comes, goes, dies, wants more or less, on virtual time."""

import asyncio

import pytest

from dynamirror.aws.rate_rows import RateRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.errors import AccessDenied, Side, Throttled
from dynamirror.fleet.shares import GONE_S, REMOVE_AGAIN_S, SILENCE_S, Shares
from dynamirror.loops.rate import Rate
from dynamirror.model.lane import Lane
from dynamirror.model.orders import Orders, RateOrder
from dynamirror.model.worker_row import WorkerRow
from dynamirror.observe.metrics import Metrics
from dynamirror.testing.faults import Fault, Line
from dynamirror.testing.memory_dynamodb import MemoryDynamoDB
from dynamirror.testing.memory_state import MemoryState
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.memory_caller import MemoryCaller, create_table
from tests.unit.prove.world import Switch

TOTAL_S = 300.0
LIFE = Incarnation("table-id", "arn:stream")


class Fleet:
    """The state table."""

    def __init__(self) -> None:
        self.database = MemoryDynamoDB()
        create_table(self.database, "state", {"kind": "S", "id": "S"})
        self.state = MemoryState()

    async def rows(self) -> set[str]:
        return {row.worker for row in await RateRows(MemoryCaller(Side.STATE, self.database), "state", LIFE).rows()}


class Worker:
    """One that writes as fast as it may, or as fast as `wants_s`."""

    def __init__(self, fleet: Fleet, name: str, wants_s: float = 1e9, boot_s: float = 100.0) -> None:
        self.clock = VirtualClock(boot_s=boot_s)
        self.faults = Switch()
        self.wants_s = wants_s
        self.rate = Rate(self.clock, Metrics(), Lane(None, None, boot_s), Lane(TOTAL_S, None, boot_s))
        self._store = RateRows(MemoryCaller(Side.STATE, fleet.database, Line(self.faults)), "state", LIFE)
        self.shares = Shares(self._store, fleet.state, self.clock, self.rate, name)
        self.tasks = [asyncio.create_task(self.shares.run()), asyncio.create_task(self._write())]
        self._fleet, self._name = fleet, name

    @property
    def share_s(self) -> float:
        return self.rate.write.limit.rate_s

    async def _write(self) -> None:
        await self._fleet.state.beat(self._name, WorkerRow(1), {})
        while True:
            await self.rate.change(5)
            self.rate.write.charged(5, 5, self.clock.boottime_s())
            await self.clock.sleep(5 / self.wants_s)

    async def kill(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)

    async def stop(self) -> None:
        await self.kill()
        await self.shares.retire()


def test_workers_who_want_all_have_equal_parts_whoever_comes_or_goes() -> None:
    async def steps() -> None:
        fleet = Fleet()
        first = Worker(fleet, "w1")
        await asyncio.sleep(5)
        assert first.share_s == TOTAL_S
        second, third = Worker(fleet, "w2"), Worker(fleet, "w3", boot_s=9000)
        await asyncio.sleep(10)
        assert [worker.share_s for worker in (first, second, third)] == pytest.approx([100] * 3)
        await second.stop()
        assert await fleet.rows() == {"w1", "w3"}
        await asyncio.sleep(3)
        assert first.share_s == third.share_s == pytest.approx(150)
        await third.kill()
        await first.kill()

    run_virtual(steps())


def test_a_dead_worker_is_left_out_after_a_while_and_its_row_removed_later() -> None:
    async def steps() -> None:
        fleet = Fleet()
        first, second = Worker(fleet, "w1"), Worker(fleet, "w2")
        await asyncio.sleep(10)
        await second.kill()
        await asyncio.sleep(SILENCE_S - 2)
        assert first.share_s == pytest.approx(150)
        await asyncio.sleep(4)
        assert first.share_s == TOTAL_S
        assert await fleet.rows() == {"w1", "w2"}
        await asyncio.sleep(GONE_S)
        assert await fleet.rows() == {"w1"}
        await first.kill()

    run_virtual(steps())


def test_what_one_does_not_need_the_others_use_until_it_does() -> None:
    async def steps() -> None:
        fleet = Fleet()
        modest, greedy = Worker(fleet, "w1", wants_s=30), Worker(fleet, "w2")
        await asyncio.sleep(30)
        assert 30 < modest.share_s < 45
        assert modest.share_s + greedy.share_s == pytest.approx(TOTAL_S, rel=0.05)
        modest.wants_s = 1e9
        await asyncio.sleep(15)
        assert modest.share_s == greedy.share_s == pytest.approx(150)
        await modest.kill()
        await greedy.kill()

    run_virtual(steps())


def test_nothing_moves_before_the_first_share_and_a_newcomer_begins_with_an_equal_one() -> None:
    async def steps() -> None:
        fleet = Fleet()
        others = [Worker(fleet, f"w{number}") for number in range(2)]
        await asyncio.sleep(5)
        late = Worker(fleet, "late")
        assert late.share_s == 0
        await asyncio.sleep(0.5)
        assert late.share_s == pytest.approx(100)
        for worker in (*others, late):
            await worker.kill()

    run_virtual(steps())


def test_a_state_table_out_of_reach_leaves_the_share_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def steps() -> None:
        fleet = Fleet()
        first, second = Worker(fleet, "w1"), Worker(fleet, "w2")
        await asyncio.sleep(10)
        second.faults.always = lambda _: Fault(Throttled(Side.STATE, "injected"))
        await asyncio.sleep(30)
        assert second.share_s == pytest.approx(150)
        assert sum("not known now" in record.message for record in caplog.records) == 1
        second.faults.always = lambda _: None
        await asyncio.sleep(5)
        assert first.share_s == second.share_s == pytest.approx(150)
        await first.kill()
        await second.kill()

    run_virtual(steps())


def may_not_remove(operation: str) -> Fault | None:
    denied = AccessDenied(Side.STATE, "no policy allows dynamodb:DeleteItem on the state table")
    return Fault(denied) if operation == "DeleteItem" else None


def told_of_kept_rows(caplog: pytest.LogCaptureFixture) -> int:
    return sum("dynamodb:DeleteItem" in record.getMessage() for record in caplog.records)


def test_a_dead_workers_row_that_may_not_be_removed_stays_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def steps() -> None:
        fleet = Fleet()
        first, second = Worker(fleet, "w1"), Worker(fleet, "w2")
        first.faults.always = may_not_remove
        await asyncio.sleep(10)
        await second.kill()
        await asyncio.sleep(SILENCE_S + GONE_S + 3 * REMOVE_AGAIN_S)
        assert not first.tasks[0].done(), first.tasks[0]
        assert first.share_s == TOTAL_S
        assert await fleet.rows() == {"w1", "w2"}
        assert told_of_kept_rows(caplog) == 1
        # The right is given.
        first.faults.always = lambda _: None
        await asyncio.sleep(REMOVE_AGAIN_S + 2)
        assert await fleet.rows() == {"w1"}
        await first.kill()

    run_virtual(steps())


def test_a_limit_that_is_lifted_where_rows_may_not_be_removed_may_be_set_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def steps() -> None:
        fleet = Fleet()
        workers = [Worker(fleet, name, wants_s=20) for name in ("w1", "w2", "w3")]
        for worker in workers:
            worker.faults.always = may_not_remove
        await asyncio.sleep(10)
        for worker in workers:
            worker.rate.order(Orders(1, write=RateOrder.NONE))
        await asyncio.sleep(100)
        assert [worker.tasks[0].done() for worker in workers] == [False] * 3
        assert await fleet.rows() == {"w1", "w2", "w3"}
        assert told_of_kept_rows(caplog) == 3
        for worker in workers:
            worker.rate.order(Orders(2, write=RateOrder.DEFAULT))
        assert [worker.share_s for worker in workers] == [0] * 3
        await asyncio.sleep(1.05)
        assert all(worker.share_s > 20 for worker in workers)
        for worker in workers:
            await worker.stop()

    run_virtual(steps())
