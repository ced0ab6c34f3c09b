"""Parked items tried again: by what the source has now, the row by its version."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dynamirror.errors import AccessDenied, Side, Throttled
from dynamirror.model.key import key_digest
from dynamirror.model.parked import Parked, version_of
from dynamirror.prove.parked import Fate, ParkedAt, Retrier, RetryTools, Tried
from dynamirror.prove.repair import Repairer
from dynamirror.testing.faults import Fault, Scripted
from dynamirror.testing.virtual_time import run_virtual
from tests.support.parking import Lot
from tests.unit.prove.world import CODEC, SETTINGS, Worker, World, lost


def parked(key: str, number: int) -> Parked:
    return Parked(key_digest(key), {"id": {"S": key}}, version_of(str(number)), "too large", 1, "w", 1, 2)


class Bench:
    """Two tables, rows of parked items, and who tries them again."""

    def __init__(self) -> None:
        self.world = World()
        self.lot = Lot()
        self.store = self.lot.store()
        self.worker = Worker(self.world, "retry")

    async def park(self, key: str, number: int) -> ParkedAt:
        await self.store.park(parked(key, number), b"{}")
        return ParkedAt(self.store, parked(key, number))

    async def retry(self, *items: ParkedAt) -> list[Tried]:
        worker = self.worker
        repairer = Repairer(worker.reconciler, CODEC, worker.clock, SETTINGS.settle_s)
        tools = RetryTools(worker.source, worker.destination, CODEC, worker.clock, worker.reconciler, repairer)
        return await Retrier(tools).run(items)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.worker.start()
        try:
            yield
        finally:
            assert self.worker.task is not None
            self.worker.task.cancel()
            await asyncio.wait([self.worker.task])


def test_an_item_that_the_destination_takes_now_is_mended_and_leaves_the_list() -> None:
    async def steps() -> None:
        bench = Bench()
        bench.world.set_source("a", "B")
        async with bench.running():
            item = await bench.park("a", 7)
            [tried] = await bench.retry(item)
            assert tried.fate is Fate.SETTLED
            assert bench.world.differences() == []
            assert await bench.lot.parked() == {}
            assert bench.lot.images == 0
            await asyncio.sleep(5)
            assert await bench.worker.state.duties() == []

    run_virtual(steps())


def test_nothing_to_try_is_no_error() -> None:
    async def steps() -> None:
        bench = Bench()
        async with bench.running():
            assert await bench.retry() == []

    run_virtual(steps())


def test_a_row_too_many_goes_without_a_write() -> None:
    async def steps() -> None:
        bench = Bench()
        bench.world.set_source("a", "B")
        bench.world.set_destination("a", "B")
        async with bench.running():
            [tried] = await bench.retry(await bench.park("a", 7))
        assert tried.fate is Fate.SETTLED
        assert bench.world.replaced == []
        assert await bench.lot.parked() == {}

    run_virtual(steps())


def test_what_is_still_refused_stays_with_what_the_destination_says_and_leaves_no_duty() -> None:
    async def steps() -> None:
        bench = Bench()
        for key in ("a", "b"):
            bench.world.set_source(key, "B")
        bench.worker.destination.refused = {"a"}
        async with bench.running():
            first, second = await bench.retry(await bench.park("a", 7), await bench.park("b", 8))
            assert (first.fate, second.fate) == (Fate.REFUSED, Fate.SETTLED)
            assert "can never be written" in first.why
            assert set(await bench.lot.parked()) == {"a"}
            await asyncio.sleep(5)
            assert await bench.worker.state.duties() == []
            bench.worker.destination.refused = set()
            [again] = await bench.retry(ParkedAt(bench.store, parked("a", 7)))
            assert again.fate is Fate.SETTLED
        assert bench.world.differences() == []

    run_virtual(steps())


def test_what_the_source_has_now_is_written_and_not_what_was_parked() -> None:
    """F-2: 1 change 1 is parked; 2 change 2 is written, and un-parks; 3 retry would write the image of change 1."""

    async def steps() -> None:
        bench = Bench()
        bench.world.set_source("a", "1")
        item = await bench.park("a", 1)
        async with bench.running():
            # The next change arrives while it is being tried: after the reading, before the write.
            def change() -> None:
                bench.world.change("a", "2")

            bench.worker.source.after_read.append(change)
            [tried] = await bench.retry(item)
        assert tried.fate is Fate.SETTLED
        assert bench.world.destination["a"]["v"] == {"S": "2"}
        assert ("retry", "a", {"id": {"S": "a"}, "v": {"S": "1"}}) not in bench.world.replaced
        assert bench.world.differences() == []

    run_virtual(steps())


def test_what_is_parked_anew_meanwhile_stays() -> None:
    async def steps() -> None:
        bench = Bench()
        bench.world.set_source("a", "B")
        item = await bench.park("a", 1)
        await bench.park("a", 3)
        async with bench.running():
            [tried] = await bench.retry(item)
        assert tried.fate is Fate.PARKED_ANEW
        assert (await bench.lot.parked())["a"].version == version_of("3")

    run_virtual(steps())


def test_one_whose_write_gets_no_answer_holds_up_no_other_and_is_settled_in_the_end() -> None:
    async def steps() -> None:
        bench = Bench()
        for key in ("a", "b"):
            bench.world.set_source(key, "B")
        bench.worker.destination_faults.next["PutItem"] = [lost()]
        async with bench.running():
            tried = await bench.retry(await bench.park("a", 7), await bench.park("b", 8))
        assert [one.fate for one in tried] == [Fate.SETTLED, Fate.SETTLED]
        assert bench.world.differences() == []

    run_virtual(steps())


def test_a_state_table_that_throttles_for_a_while_is_borne_with() -> None:
    async def steps() -> None:
        bench = Bench()
        bench.world.set_source("a", "B")
        throttled = Fault(Throttled(Side.STATE, "injected"))
        item = await bench.park("a", 7)
        slow = bench.lot.store(Scripted("DeleteItem", [throttled, throttled]))
        async with bench.running():
            [tried] = await bench.retry(ParkedAt(slow, item.parked))
        assert tried.fate is Fate.SETTLED
        assert await bench.lot.parked() == {}

    run_virtual(steps())


def test_without_the_rights_nothing_is_removed() -> None:
    async def steps() -> None:
        bench = Bench()
        bench.world.set_source("a", "B")
        denied = Fault(AccessDenied(Side.DESTINATION, "PutItem: no"))
        bench.worker.destination_faults.next["PutItem"] = [denied]
        async with bench.running():
            [tried] = await bench.retry(await bench.park("a", 7))
        assert (tried.fate, tried.why) == (Fate.REFUSED, "PutItem: no")
        assert set(await bench.lot.parked()) == {"a"}

    run_virtual(steps())


@pytest.mark.parametrize("number", [99, 100, 101, 250])
def test_many_are_looked_at_some_at_a_time(number: int) -> None:
    async def steps() -> None:
        bench = Bench()
        items = []
        for place in range(number):
            bench.world.set_source(f"k{place}", "B")
            items.append(await bench.park(f"k{place}", place + 1))
        async with bench.running():
            tried = await bench.retry(*items)
        assert {one.fate for one in tried} == {Fate.SETTLED}
        assert [one.parked for one in tried] == [item.parked for item in items]
        assert bench.world.differences() == []
        assert await bench.lot.parked() == {}

    run_virtual(steps())


def test_an_item_that_moves_on_at_every_look_is_said_to_differ() -> None:
    async def steps() -> None:
        bench = Bench()
        bench.world.set_source("a", "0")
        item = await bench.park("a", 7)

        async def move() -> None:
            for value in range(1, 10_000):
                await asyncio.sleep(0.003)
                bench.world.change("a", str(value), lag_s=0.5)

        async with bench.running():
            moving = asyncio.create_task(move())
            [tried] = await bench.retry(item)
            assert tried.fate in (Fate.DIFFERS, Fate.SETTLED)
            assert (set(await bench.lot.parked()) == set()) == (tried.fate is Fate.SETTLED)
            moving.cancel()

    run_virtual(steps())
