"""The end of a worker: what its last requests leave to be reconciled or un-parked is durable, whoever ends it."""

import asyncio
import logging
from collections.abc import Callable
from typing import cast

import pytest

from dynamirror.copy.copier import Copier
from dynamirror.engines.assemble import Worker
from dynamirror.engines.worker_tasks import run_tasks
from dynamirror.errors import ItemRefused, Side, Stop
from dynamirror.fleet.coordinator import Coordinator
from dynamirror.fleet.self_watch import SelfWatch
from dynamirror.follow.apply import Applier
from dynamirror.model.change import Write
from dynamirror.observe.metrics import Metrics
from dynamirror.testing.virtual_time import run_virtual
from tests.support.gap_policies import stopping as stopping_at_gaps
from tests.support.parking import Lot, nowhere
from tests.unit.prove import world as proving

GONE = Stop(Side.DESTINATION, "the table is gone")
# Whoever runs the worker runs this beside it.
NOT_LOOKED_AT = cast(SelfWatch, None)


def change(number: str) -> Write:
    return Write("parked", b'{"PutRequest":{"Item":{"id":{"S":"parked"}}}}', number)


class Sender:
    """Applier or copier with a request on its way, which it notices to be late when it is ended."""

    def __init__(self, note: Callable[[], None], fails_at_s: float | None = None) -> None:
        self._note = note
        self._fails_at_s = fails_at_s

    async def run(self) -> None:
        try:
            await asyncio.sleep(self._fails_at_s if self._fails_at_s is not None else 1e6)
            raise GONE
        finally:
            self._note()


class Fleet:
    """A coordinator that ends when it is asked to, or by itself."""

    def __init__(self, fails_at_s: float | None = None) -> None:
        self._fails_at_s = fails_at_s

    async def run(self, stopping: asyncio.Event) -> None:
        if self._fails_at_s is None:
            await stopping.wait()
            return
        await asyncio.sleep(self._fails_at_s)
        raise GONE


async def beside(fails_at_s: float | None) -> None:
    """What runs beside, and ends with the worker."""
    await asyncio.sleep(fails_at_s if fails_at_s is not None else 1e6)
    raise GONE


@pytest.mark.parametrize("ended_by", ["a signal", "the copier", "the applier", "the coordinator", "another task"])
def test_what_is_noticed_at_the_end_is_noted_in_the_state_table(
    ended_by: str, caplog: pytest.LogCaptureFixture
) -> None:
    def at_s(who: str) -> float | None:
        return 5.0 if who == ended_by else None

    async def steps() -> None:
        place = proving.World()
        process = proving.Worker(place)
        copier = Sender(lambda: process.add("copied"), at_s("the copier"))
        lot = Lot()
        parking = lot.parking(process.clock, Metrics())

        def answered() -> None:
            process.add("applied")
            parking.unpark(change("2"), parking.known["parked"])

        await parking.park(change("1"), ItemRefused("too large"))
        applier = Sender(answered, at_s("the applier"))
        fleet = Fleet(at_s("the coordinator"))
        worker = Worker(
            "w1",
            cast(Coordinator, fleet),
            cast(Applier, applier),
            process.reconciler,
            parking,
            stopping_at_gaps(),
            cast(Copier, copier),
            None,
            NOT_LOOKED_AT,
        )
        stopping = asyncio.Event()
        running = asyncio.create_task(run_tasks(worker, [beside(at_s("another task"))], stopping))
        await asyncio.sleep(4)
        assert not place.state.rows
        assert await lot.parked()
        if ended_by == "a signal":
            stopping.set()
            await asyncio.wait_for(running, 1)
        else:
            with pytest.raises(ExceptionGroup):
                await asyncio.wait_for(running, 2)
        keys = {duty.key["id"]["S"] for duty in await process.state.duties()}
        assert keys == {"copied", "applied"}
        assert not await lot.parked()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with caplog.at_level(logging.ERROR, "dynamirror.reconcile"):
        run_virtual(steps())
    # Nobody is told to verify what is noted in the end.
    assert not [record for record in caplog.records if record.name == "dynamirror.reconcile"]


def test_what_cannot_be_noted_does_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async def steps() -> None:
        process = proving.Worker(proving.World())
        process.state_faults.always = lambda _: proving.lost()
        sender = Sender(lambda: process.add("k"))
        fleet = cast(Coordinator, Fleet())
        parking = nowhere(process.clock, Metrics())
        worker = Worker(
            "w1",
            fleet,
            cast(Applier, sender),
            process.reconciler,
            parking,
            stopping_at_gaps(),
            None,
            None,
            NOT_LOOKED_AT,
        )
        stopping = asyncio.Event()
        running = asyncio.create_task(run_tasks(worker, [], stopping))
        await asyncio.sleep(1)
        stopping.set()
        await asyncio.wait_for(running, 1)

    with caplog.at_level(logging.ERROR, "dynamirror.reconcile"):
        run_virtual(steps())
    [record] = caplog.records
    assert "1 items may be out of step and are not noted in the state table" in record.getMessage()
