"""What one worker knows of parked items, and does to them: durable before anything passes, un-parked by the version."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dynamirror.errors import AccessDenied, ExitCode, ItemRefused, Side, Stop, Throttled, TooManyParked, Unanswered
from dynamirror.follow.parking import KEPT_LOG_EVERY_S, LOOK_EVERY_S, UNPARK_AGAIN_S, Parking
from dynamirror.model.change import Write
from dynamirror.model.parked import version_of
from dynamirror.observe.metrics import Metrics
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import VirtualClock
from tests.support.parking import Lot, nowhere
from tests.unit.follow.test_apply import virtually

ERROR = ItemRefused("too large")
DOWN = Fault(Throttled(Side.STATE, "injected"))


def change(key: str, number: int | str) -> Write:
    request = b'{"PutRequest":{"Item":{"id":{"S":"%s"},"n":{"N":"%s"}}}}' % (key.encode(), str(number or 0).encode())
    return Write(key, request, str(number))


class Faults:
    """What happens to the next calls of an operation; to all of them while `down`, or `denied`."""

    def __init__(self) -> None:
        self.next: dict[str, list[Fault]] = {}
        self.down: set[str] = set()
        self.denied: set[str] = set()
        self.asked: list[str] = []

    def __call__(self, operation: str) -> Fault | None:
        self.asked.append(operation)
        if operation in self.down:
            return DOWN
        if operation in self.denied:
            return Fault(AccessDenied(Side.STATE, f"{operation}: no"))
        waiting = self.next.get(operation)
        return waiting.pop(0) if waiting else None


class Worker:
    def __init__(self, lot: Lot, most: int = 100) -> None:
        self.faults = Faults()
        self.clock = VirtualClock()
        self.metrics = Metrics()
        self.parking = lot.parking(self.clock, self.metrics, self.faults, most)

    async def learns(self) -> None:
        await self.parking.known_since(self.clock.boottime_s())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Parking]:
        task = asyncio.create_task(self.parking.run())
        try:
            yield self.parking
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.wait([task])


# --- park


@virtually
async def test_a_parked_item_is_durable_and_told_with_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    lot = Lot()
    worker = Worker(lot)
    assert await worker.parking.park(change("a", 7), ERROR)
    parked = (await lot.parked())["a"]
    assert (parked.version, parked.error, parked.worker) == (version_of("7"), "too large", "w")
    assert parked.at_ms == int(worker.clock.wall_s() * 1000) or parked.at_ms > 0
    assert await lot.store().image(parked) == b'{"id":{"S":"a"},"n":{"N":"7"}}'
    assert worker.metrics.value("items_parked") == worker.metrics.value("parked") == 1
    [line] = [record for record in caplog.records if record.levelno == logging.ERROR]
    for words in ("'a' (change 7): too large", f"dynamirror parked show {parked.id}", "dynamirror parked retry"):
        assert words in line.getMessage()


@virtually
async def test_parking_takes_as_long_as_the_state_table_is_out_of_reach() -> None:
    lot = Lot()
    worker = Worker(lot)
    worker.faults.down = {"PutItem"}
    parking = asyncio.create_task(worker.parking.park(change("a", 7), ERROR))
    await asyncio.sleep(60)
    assert not parking.done()
    assert await lot.parked() == {}
    worker.faults.down = set()
    assert await asyncio.wait_for(parking, 10)
    assert set(await lot.parked()) == {"a"}


@virtually
async def test_a_row_without_an_answer_is_written_again() -> None:
    lot = Lot()
    worker = Worker(lot)
    lost = Fault(Unanswered(Side.STATE, "injected"), lands_after_s=0.0)
    worker.faults.next["PutItem"] = [lost, lost, lost]
    assert await worker.parking.park(change("a", 7), ERROR)
    assert set(await lot.parked()) == {"a"}
    assert lot.images == 1


@virtually
async def test_it_is_given_up_once_nobody_wants_it() -> None:
    lot = Lot()
    worker = Worker(lot)
    worker.faults.down = {"PutItem"}
    wanted = [True]
    parking = asyncio.create_task(worker.parking.park(change("a", 7), ERROR, lambda: wanted[0]))
    await asyncio.sleep(30)
    wanted[0] = False
    assert await asyncio.wait_for(parking, 10) is False
    assert worker.parking.known == {}
    assert worker.metrics.value("items_parked") == 0


@virtually
async def test_without_the_right_to_write_there_the_worker_stops() -> None:
    worker = Worker(Lot())
    worker.faults.next["PutItem"] = [Fault(AccessDenied(Side.STATE, "PutItem: no"))]
    with pytest.raises(AccessDenied):
        await worker.parking.park(change("a", 7), ERROR)


@virtually
async def test_without_a_state_table_it_stops_and_says_so() -> None:
    parking = nowhere(VirtualClock(), Metrics())
    with pytest.raises(Stop, match="there is no state table; the checkpoint stays before it") as caught:
        await parking.park(change("a", 7), ERROR)
    assert caught.value.exit_code is ExitCode.DESTINATION
    with pytest.raises(Stop, match="the copy stays before it"):
        await parking.park(change("a", ""), ERROR)
    await parking.known_since(1e9)
    await parking.flush()
    await parking.run()


@virtually
async def test_where_nothing_may_be_parked_it_stops_and_says_so() -> None:
    lot = Lot()
    worker = Worker(lot, most=0)
    with pytest.raises(Stop, match="--max-parked 0") as caught:
        await worker.parking.park(change("a", 7), ERROR)
    assert caught.value.exit_code is ExitCode.DESTINATION
    assert await lot.parked() == {}


@virtually
async def test_one_more_than_may_be_parked_stops_but_not_one_that_is_parked_already() -> None:
    lot = Lot()
    worker = Worker(lot, most=2)
    await worker.parking.park(change("a", 1), ERROR)
    await worker.parking.park(change("b", 2), ERROR)
    await worker.parking.park(change("a", 3), ERROR)
    with pytest.raises(TooManyParked, match=r"'c' \(change 4\).*--max-parked 2.*dynamirror parked list") as caught:
        await worker.parking.park(change("c", 4), ERROR)
    assert caught.value.exit_code is ExitCode.PARKED
    assert set(await lot.parked()) == {"a", "b"}


@virtually
async def test_those_being_parked_count_too() -> None:
    worker = Worker(Lot(), most=2)
    results = await asyncio.gather(
        *(worker.parking.park(change(key, 1), ERROR) for key in "abc"), return_exceptions=True
    )
    assert sorted(map(str, map(type, results))) == sorted(map(str, [bool, bool, TooManyParked]))


@virtually
async def test_what_others_have_parked_counts() -> None:
    lot = Lot()
    await Worker(lot).parking.park(change("a", 1), ERROR)
    worker = Worker(lot, most=1)
    await worker.learns()
    with pytest.raises(TooManyParked):
        await worker.parking.park(change("b", 2), ERROR)


@virtually
async def test_a_change_that_is_read_again_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(Lot())
    await worker.parking.park(change("a", 7), ERROR)
    await worker.parking.park(change("a", 7), ERROR)
    await worker.parking.park(change("a", ""), ERROR)
    assert worker.metrics.value("items_parked") == 1
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    assert worker.parking.known["a"].version == version_of("7")


# --- un-park


@virtually
async def test_the_next_change_un_parks_in_the_background() -> None:
    lot = Lot()
    worker = Worker(lot)
    async with worker.running() as parking:
        await parking.park(change("a", 7), ERROR)
        worker.faults.down = {"DeleteItem"}
        parking.unpark(change("a", 8), parking.known["a"])
        await asyncio.sleep(30)
        assert set(await lot.parked()) == {"a"}
        worker.faults.down = set()
        await asyncio.sleep(6)
        assert await lot.parked() == parking.known == {}
        assert lot.images == 0
        assert worker.metrics.value("parked") == 0


@virtually
async def test_an_un_park_does_not_remove_what_another_worker_has_parked_since() -> None:
    """F-1: 1 change 1 is parked; 2 change 2 is written; 3 the next owner parks change 3; 4 the un-park of 2 lands."""
    lot = Lot()
    first, second = Worker(lot), Worker(lot)
    await first.parking.park(change("a", 1), ERROR)
    known = first.parking.known["a"]
    await second.learns()
    await second.parking.park(change("a", 3), ERROR)
    async with first.running() as parking:
        parking.unpark(change("a", 2), known)
        await asyncio.sleep(5)
    assert (await lot.parked())["a"].version == version_of("3")
    assert lot.images == 1


@virtually
async def test_an_older_change_that_is_read_again_un_parks_nothing() -> None:
    lot = Lot()
    worker = Worker(lot)
    async with worker.running() as parking:
        await parking.park(change("a", 7), ERROR)
        parking.unpark(change("a", 6), parking.known["a"])
        await asyncio.sleep(30)
        assert set(await lot.parked()) == {"a"}
        parking.unpark(change("a", 7), parking.known["a"])
        await asyncio.sleep(1)
        assert await lot.parked() == {}


@virtually
async def test_an_orderly_stop_un_parks_what_it_can() -> None:
    lot = Lot()
    worker = Worker(lot)
    await worker.parking.park(change("a", 7), ERROR)
    worker.parking.unpark(change("a", 8), worker.parking.known["a"])
    await worker.parking.flush()
    assert await lot.parked() == {}


@virtually
async def test_without_the_right_to_un_park_the_worker_goes_on_and_says_it_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lot = Lot()
    worker = Worker(lot)
    worker.faults.denied = {"DeleteItem"}
    async with worker.running() as parking:
        await parking.park(change("a", 7), ERROR)
        parking.unpark(change("a", 8), parking.known["a"])
        await asyncio.sleep(10)
        [line] = [record.getMessage() for record in caplog.records if "DeleteItem: no" in record.getMessage()]
        assert line.startswith("1 items were written since they were parked, and stay in the list of parked items")
        await asyncio.sleep(2 * KEPT_LOG_EVERY_S)
        assert sum("DeleteItem: no" in record.getMessage() for record in caplog.records) == 3
        # It is parked still for all who look, and counts: what is not known is never said.
        assert set(parking.known) == {"a"} == set(await lot.parked())
        worker.faults.denied = set()
        await asyncio.sleep(UNPARK_AGAIN_S + 1)
        assert (parking.known, await lot.parked(), lot.images) == ({}, {}, 0)


@virtually
async def test_an_image_that_may_not_be_removed_stops_nothing() -> None:
    lot = Lot()
    worker = Worker(lot)
    worker.faults.denied = {"DeleteItem"}
    assert await worker.parking.park(change("a", 7), ERROR)
    assert await worker.parking.park(change("a", 8), ERROR)
    assert (await lot.parked())["a"].version == version_of("8")


# --- what is known


@virtually
async def test_what_another_worker_has_parked_is_known_soon(caplog: pytest.LogCaptureFixture) -> None:
    lot = Lot()
    other, worker = Worker(lot), Worker(lot)
    async with worker.running() as parking:
        await asyncio.sleep(1)
        await other.parking.park(change("a", 7), ERROR)
        await asyncio.sleep(LOOK_EVERY_S)
        assert parking.known["a"].version == version_of("7")
        await lot.store().unpark(parking.known["a"])
        await asyncio.sleep(LOOK_EVERY_S + 1)
        assert parking.known == {}
    assert not [record for record in caplog.records if "are parked" in record.getMessage()]


@virtually
async def test_a_start_tells_of_what_is_parked(caplog: pytest.LogCaptureFixture) -> None:
    lot = Lot()
    await Worker(lot).parking.park(change("a", 7), ERROR)
    caplog.clear()
    worker = Worker(lot)
    async with worker.running():
        await asyncio.sleep(3 * LOOK_EVERY_S)
    [line] = [record.getMessage() for record in caplog.records]
    assert "1 items are parked" in line
    assert "dynamirror parked list" in line
    assert worker.metrics.value("parked") == 1


@virtually
async def test_many_that_ask_at_once_share_the_questions() -> None:
    worker = Worker(Lot())
    await asyncio.gather(*(worker.learns() for _ in range(100)))
    assert worker.faults.asked.count("Query") <= 2


@virtually
async def test_who_has_to_know_waits_until_the_table_answers() -> None:
    worker = Worker(Lot())
    worker.faults.down = {"Query"}
    waiting = asyncio.create_task(worker.learns())
    await asyncio.sleep(30)
    assert not waiting.done()
    worker.faults.down = set()
    await asyncio.wait_for(waiting, 10)


@virtually
async def test_an_answer_that_is_older_than_what_was_done_here_does_not_undo_it() -> None:
    lot = Lot()
    worker = Worker(lot)
    await worker.parking.park(change("b", 1), ERROR)
    worker.faults.next["Query"] = [Fault(delay_s=0.0)]
    slow = asyncio.create_task(_slow_look(worker))
    await asyncio.sleep(0.5)
    await worker.parking.park(change("a", 7), ERROR)
    worker.parking.unpark(change("b", 2), worker.parking.known["b"])
    await worker.parking.flush()
    await slow
    assert set(worker.parking.known) == {"a"}


async def _slow_look(worker: Worker) -> None:
    """A look whose answer is a second on its way back."""
    store = worker.parking._tools.store
    assert store is not None
    rows = await store.rows()

    class Slow:
        async def rows(self) -> object:
            await asyncio.sleep(1)
            return rows

    await worker.parking._look(Slow())  # type: ignore[arg-type]


@virtually
async def test_a_row_of_another_kind_of_key_is_left_alone() -> None:
    lot = Lot()
    await Worker(lot).parking.park(change("a", 7), ERROR)
    [row] = [row for row in lot.database.items("state").values() if row["kind"]["S"] == "parked"]
    row["key"]["M"].clear()
    worker = Worker(lot)
    await worker.learns()
    assert worker.parking.known == {}
