"""A worker obeys what stands in the state table, and keeps to the last order while it cannot read it."""

import asyncio
import logging

import pytest

from dynamirror.aws.order_rows import OrderRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.errors import Side, Throttled
from dynamirror.fleet.orders import OrderTools, OrderWatch
from dynamirror.loops.gate import Gate
from dynamirror.loops.rate import Rate
from dynamirror.model.lane import Lane
from dynamirror.model.orders import Orders
from dynamirror.model.rate import Limit
from dynamirror.observe.metrics import Metrics
from dynamirror.testing.faults import Fault, Line, no_faults
from dynamirror.testing.memory_dynamodb import MemoryDynamoDB
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.memory_caller import MemoryCaller, create_table
from tests.unit.prove.world import Switch

LIFE = Incarnation("table-id", "arn:stream")
HOUR_S = 3600.0


class Worker:
    """One that obeys."""

    def __init__(self) -> None:
        database = MemoryDynamoDB()
        create_table(database, "state", {"kind": "S", "id": "S"})
        self.operator = OrderRows(MemoryCaller(Side.STATE, database), "state", Incarnation("other", "life"))
        self.clock, self.metrics, self.gate, self.faults = VirtualClock(), Metrics(), Gate(), Switch()
        now_s = self.clock.boottime_s()
        self.rate = Rate(self.clock, self.metrics, Lane(None, None, now_s), Lane(None, None, now_s))
        store = OrderRows(MemoryCaller(Side.STATE, database, Line(self.faults)), "state", LIFE)
        self.unread_since_ms: int | None = None
        tools = OrderTools(
            store, self.clock, self.clock.wall_s, self.metrics, self.gate, self.rate, lambda: self.unread_since_ms
        )
        self.watch = OrderWatch(tools)

    def obeys(self) -> tuple[bool, float, float | None]:
        """Paused; the figure; the limit."""
        return self.gate.closed, self.metrics.value("paused"), self.rate.write.total_s

    async def order(self, orders: Orders) -> None:
        await self.operator.order(orders, await self.operator.orders())


def test_a_pause_and_a_limit_hold_until_they_are_lifted() -> None:
    async def scenario() -> None:
        worker = Worker()
        await worker.watch.look()
        assert worker.obeys() == (False, 0, None)
        running = asyncio.create_task(worker.watch.run())
        paused = Orders().pause(1, "a@b").rates(None, Limit(units_s=5), 2, "a@b")
        await worker.order(paused)
        await asyncio.sleep(5)
        assert worker.obeys() == (True, 1, 5)
        # Out of reach: the last order stays in force.
        worker.faults.always = lambda _: Fault(error=Throttled(Side.STATE, "not now"))
        await worker.order(paused.resume(3, "c@d"))
        await asyncio.sleep(60)
        assert worker.obeys() == (True, 1, 5)
        worker.faults.always = no_faults
        await asyncio.sleep(5)
        assert worker.obeys() == (False, 0, 5)
        running.cancel()
        await asyncio.wait([running])

    run_virtual(scenario())


def test_a_pause_that_nears_the_retention_is_warned_of_each_hour(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        worker = Worker()
        await worker.order(Orders().pause(int(worker.clock.wall_s() * 1000), "a@b"))
        running = asyncio.create_task(worker.watch.run())
        await asyncio.sleep(19.9 * HOUR_S)
        assert not [record for record in caplog.records if getattr(record, "event", "") == "pause_nears_loss"]
        await asyncio.sleep(3 * HOUR_S)
        running.cancel()
        await asyncio.wait([running])

    with caplog.at_level(logging.WARNING, "dynamirror.orders"):
        run_virtual(scenario())
    told = [record.getMessage() for record in caplog.records if getattr(record, "event", "") == "pause_nears_loss"]
    assert len(told) == 3
    assert "forgets them in 4.0 h" in told[0]


def test_the_oldest_unread_change_counts_not_the_pause(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        worker = Worker()
        now_ms = int(worker.clock.wall_s() * 1000)
        worker.unread_since_ms = now_ms - int(21 * HOUR_S * 1000)
        await worker.order(Orders().pause(now_ms, "a@b"))
        await worker.watch.look()

    with caplog.at_level(logging.WARNING, "dynamirror.orders"):
        run_virtual(scenario())
    assert "forgets them in 3.0 h" in caplog.text
