"""One segment, page by page: its row never says more than what is durable, and only its owner goes on."""

import asyncio
import logging
from dataclasses import replace

import pytest

from dynamirror.copy.page import PageLife, PageOutcome, PageSender
from dynamirror.copy.segment import SegmentLost
from dynamirror.errors import CredentialsExpired, Side, Stop, Throttled, Unanswered
from dynamirror.model.copy import Phase, Segment
from dynamirror.ports import ScanPage
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.copy.world import COPY, LIFE_S, THROTTLED, Worker, World, end_of, key_of, lost, now_s
from tests.unit.prove.world import LATENCY_S

# All items in one segment.
ONE = replace(COPY, segments=1)
FREEZE_S = 70.0


async def begun(items: int) -> tuple[World, Worker]:
    world = World(items)
    await world.announce(Phase.COPYING)
    return world, Worker(world, copy=ONE)


async def row_of(world: World) -> Segment:
    return (await world.store.segments())[0]


@pytest.mark.parametrize("items", [0, 1, 29, 30, 31, 500])
def test_a_segment_is_copied_whole_and_counted(items: int) -> None:
    async def steps() -> None:
        world, worker = await begun(items)
        await worker.segment(Segment(0)).run()
        row = await row_of(world)
        assert row.done
        assert (row.owner, row.after, row.read, row.written, row.parked) == ("w1", b"", items, items, 0)
        assert (row.size_bytes > 0) == (items > 0)
        assert world.destination == world.source
        assert len(world.applied) == items
        assert worker.metrics.value("items_copied") == items
        assert worker.metrics.value("copy_bytes") == row.size_bytes

    run_virtual(steps())


def test_a_segment_that_is_done_is_left_alone() -> None:
    async def steps() -> None:
        world, worker = await begun(10)
        done = Segment(0).claimed("w0").advanced(b"", 10, 10, 100)
        await world.store.put_segment(done, Segment(0))
        await worker.segment(done).run()
        assert await row_of(world) == done
        assert not worker.scans.pages

    run_virtual(steps())


def test_each_page_begins_where_the_row_stands() -> None:
    async def steps() -> None:
        world, worker = await begun(300)
        rows: list[Segment] = []

        async def watch() -> None:
            while True:
                rows.append(await row_of(world))
                await asyncio.sleep(LATENCY_S / 4)

        watching = asyncio.create_task(watch())
        await worker.segment(Segment(0)).run()
        watching.cancel()
        saved = list(dict.fromkeys((row.after, row.read) for row in rows))
        read = 0
        for _, _, after, _, items in worker.scans.pages:
            assert (after, read) in saved
            read += items
        assert read == 300

    run_virtual(steps())


def test_a_page_that_could_not_be_written_whole_is_read_again_from_the_first_item_that_was_not() -> None:
    async def steps() -> None:
        world, worker = await begun(100)
        await worker.segment(Segment(0)).run()
        in_order = [key for _, _, key in world.applied]
        world.applied.clear()
        world.destination.clear()

        world, _ = await begun(100)
        # Of tables that can do far more: what is looked at is the page's life.
        worker = Worker(world, copy=ONE, capacities=(10_000.0, 10_000.0))
        worker.destination.hot = frozenset({in_order[17]})
        copying = asyncio.create_task(worker.segment(Segment(0)).run())
        await asyncio.sleep(LIFE_S + 3)
        row = await row_of(world)
        assert (key_of(row.after), row.read, row.written) == (in_order[16], 17, 17)
        assert not row.done
        [(_, _, _, _, first), (again_at_s, _, after, most, _), *_] = worker.scans.pages
        assert (first, key_of(after)) == (30, in_order[16])
        assert again_at_s >= LIFE_S
        # Inequality 9: half as many, which may be written in time.
        assert most == 15
        await asyncio.sleep(LIFE_S * 5)
        assert (await row_of(world)).read == 17
        assert [most for _, _, _, most, _ in worker.scans.pages][:6] == [30, 15, 7, 3, 1, 1]
        worker.destination.hot = frozenset()
        await copying
        row = await row_of(world)
        assert (row.done, row.read, row.written) == (True, 100, 100)
        assert world.destination == world.source

    run_virtual(steps())


def test_pages_grow_while_they_are_written_fast_and_shrink_while_they_are_not() -> None:
    """Inequality 9: a page can be written in half of its life."""

    async def steps() -> None:
        _, worker = await begun(1000)
        copying = asyncio.create_task(worker.segment(Segment(0)).run())
        await asyncio.sleep(0.2)
        assert [most for _, _, _, most, _ in worker.scans.pages][:4] == [30, 60, 60, 60]
        worker.destination_faults.always = lambda _: Fault(delay_s=6.0)
        await asyncio.sleep(6 * 12)
        assert worker.scans.pages[-1][3] == 1
        worker.destination_faults.always = lambda _: Fault(delay_s=3.0)
        pages = len(worker.scans.pages)
        await asyncio.sleep(30)
        assert {most for _, _, _, most, _ in worker.scans.pages[pages + 1 :]} == {1}
        worker.destination_faults.always = lambda _: None
        await copying
        assert worker.scans.pages[-1][3] == 60

    run_virtual(steps())


@pytest.mark.parametrize("lands_after_s", [None, 0.0, 0.3, 40.0])
def test_every_write_of_the_row_bears_with_a_lost_answer(lands_after_s: float | None) -> None:
    async def steps() -> None:
        world, worker = await begun(200)
        worker.state_faults.next["PutItem"] = [lost(Side.STATE, lands_after_s), None] * 50
        await worker.segment(Segment(0)).run()
        await asyncio.sleep(50)
        row = await row_of(world)
        assert (row.done, row.read, row.written) == (True, 200, 200)
        assert len(world.applied) == 200

    run_virtual(steps())


@pytest.mark.parametrize("fault", [Fault(Throttled(Side.SOURCE, "injected")), lost(Side.SOURCE)], ids=str)
def test_a_page_that_could_not_be_read_is_read_again(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    async def steps() -> None:
        world, worker = await begun(200)
        worker.source_faults.next["Scan"] = [None, *[fault] * 5]
        with caplog.at_level(logging.WARNING, "dynamirror.copy"):
            await worker.segment(Segment(0)).run()
        assert (await row_of(world)).read == 200
        assert len(world.applied) == 200
        [record] = caplog.records
        assert record.getMessage() == "copying segment 0: injected; trying again"

    run_virtual(steps())


@pytest.mark.parametrize("fault", [lost(), lost(lands_after_s=0.0), lost(lands_after_s=2.0), THROTTLED], ids=str)
def test_a_write_that_was_not_answered_is_no_loss_and_counted_once(fault: Fault) -> None:
    async def steps() -> None:
        world, worker = await begun(200)
        worker.destination_faults.next["BatchWriteItem"] = [fault, None] * 20
        await worker.segment(Segment(0)).run()
        row = await row_of(world)
        assert (row.read, row.written) == (200, 200)
        assert world.destination == world.source

    run_virtual(steps())


def test_the_row_stands_before_an_item_that_can_never_be_written() -> None:
    async def steps() -> None:
        world, worker = await begun(200)
        worker.destination.refused = {"k00100"}
        with pytest.raises(ExceptionGroup) as caught:
            await worker.segment(Segment(0)).run()
        error = end_of(caught.value)
        assert isinstance(error, Stop)
        assert "'k00100'" in str(error)
        row = await row_of(world)
        assert not row.done
        passed = {key for _, _, key in world.applied}
        assert row.read == row.written <= len(passed) < 200
        # Mended, and started again.
        again = Worker(world, "w2", copy=ONE)
        await again.segment(row).run()
        row = await row_of(world)
        assert (row.done, row.read) == (True, 200)
        assert world.destination == world.source

    run_virtual(steps())


def test_a_segment_that_another_worker_took_is_given_up_before_its_next_page() -> None:
    async def steps() -> None:
        world, worker = await begun(500)

        def taken() -> None:
            if len(worker.scans.pages) == 3:
                copied.append(len(world.applied))
                asyncio.get_running_loop().create_task(take())

        async def take() -> None:
            row = await row_of(world)
            await world.store.put_segment(row.claimed("w2"), row)

        copied: list[int] = []
        worker.scans.after_read = taken
        with pytest.raises(SegmentLost, match=r"segment 0 is another worker's"):
            await worker.segment(Segment(0)).run()
        assert len(worker.scans.pages) == 3
        row = await row_of(world)
        # The page was on its way; whoever has the segment now reads it again.
        assert (row.owner, row.read) == ("w2", copied[0])

    run_virtual(steps())


def test_of_two_that_begin_a_segment_one_gives_up_before_it_reads() -> None:
    async def steps() -> None:
        world, first = await begun(100)
        second = Worker(world, "w2", copy=ONE)
        ends = await asyncio.gather(
            *(worker.segment(Segment(0)).run() for worker in (first, second)), return_exceptions=True
        )
        assert sorted(isinstance(end, SegmentLost) for end in ends) == [False, True]
        assert sorted([bool(first.scans.pages), bool(second.scans.pages)]) == [False, True]
        assert (await row_of(world)).read == len(world.applied) == 100

    run_virtual(steps())


async def late_page() -> tuple[World, Worker]:
    """A-8: the second page is read, the process is frozen right before it sends it, a change is applied meanwhile."""
    world, worker = await begun(100)

    def freeze() -> None:
        if len(worker.scans.pages) == 2:
            asyncio.get_running_loop().call_soon(worker.process.freeze, FREEZE_S)

    worker.scans.after_read = freeze
    await worker.segment(Segment(0)).run()
    return world, worker


def test_a_page_that_left_late_is_reconciled_before_the_segment_goes_on() -> None:
    async def steps() -> None:
        world, worker = await late_page()
        page = worker.scans.pages[1]
        [(keys, counted)] = worker.reconciled
        assert len(keys) == page[4]
        # When the duty was durable the row stood before the page, which was read again then.
        assert counted == worker.scans.pages[0][4]
        assert worker.scans.pages[2][2] == page[2]
        assert worker.scans.pages[2][0] >= FREEZE_S + 0.5
        row = await row_of(world)
        assert (row.done, row.read, row.written) == (True, 100, 100)

    run_virtual(steps())


def test_a_segment_goes_on_only_once_the_duty_of_a_late_page_is_durable() -> None:
    """1 a page is late; 2 its duty cannot be written, twice; 3 the page that is read next is in time."""

    async def steps() -> None:
        world, worker = await begun(100)
        failures, counted = 2, []

        async def late_noted() -> None:
            nonlocal failures
            counted.append((await row_of(world)).read)
            if failures:
                failures -= 1
                raise Unanswered(Side.STATE, "injected")
            await worker._late_noted()

        def freeze() -> None:
            if len(worker.scans.pages) == 2:
                asyncio.get_running_loop().call_soon(worker.process.freeze, FREEZE_S)

        worker.scans.after_read = freeze
        worker.tools = replace(worker.tools, late_noted=late_noted)
        await worker.segment(Segment(0)).run()
        assert counted == [worker.scans.pages[0][4]] * 3
        assert not worker.noted, "else the segment is done, and the duty stands in this process's memory only"
        assert (await row_of(world)).done

    run_virtual(steps())


def test_a_late_page_that_nobody_notices_would_be_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = PageSender.send

    async def send(self: PageSender, page: ScanPage, life: PageLife) -> PageOutcome:
        outcome = await original(self, page, life)
        outcome.late = []
        return outcome

    monkeypatch.setattr(PageSender, "send", send)

    async def steps() -> None:
        _, worker = await late_page()
        assert worker.reconciled == []
        assert worker.scans.pages[2][2] != worker.scans.pages[1][2]

    run_virtual(steps())


async def frozen_while_proving() -> tuple[World, Worker]:
    """A-8b: 1 the claim is proven; 2 the process is frozen before it hears of it; 3 the segment is another's, the
    copy ends, an item is deleted, and that is applied; 4 it thaws, and reads."""
    world, worker = await begun(20)
    stale = dict(world.source)
    copying = asyncio.create_task(worker.segment(Segment(0)).run())
    # The row is written after half of the latency, the answer comes after the other half.
    await asyncio.sleep(LATENCY_S * 0.75)
    assert (await row_of(world)).owner == "w1"
    worker.process.freeze(FREEZE_S)
    await asyncio.sleep(FREEZE_S / 2)
    row = await row_of(world)
    await world.store.put_segment(row.claimed("w2"), row)

    def deleted() -> None:
        # Right after the page was read, and applied at once: nobody holds any more.
        world.source.clear()

    worker.scans.after_read = deleted
    with pytest.raises(SegmentLost):
        await copying
    assert len(stale) == 20
    assert [items for _, _, _, _, items in worker.scans.pages] == [20]
    return world, worker


def test_a_page_that_was_read_by_a_claim_from_before_a_freeze_is_not_sent() -> None:
    async def steps() -> None:
        world, worker = await frozen_while_proving()
        assert now_s() > FREEZE_S
        assert worker.destination.batches == []
        assert world.destination == {}

    run_virtual(steps())


def test_a_life_that_began_with_the_reading_would_bring_back_what_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    original = PageSender.send

    async def send(self: PageSender, page: ScanPage, life: PageLife) -> PageOutcome:
        clock = self._tools.clock
        return await original(self, page, PageLife(clock.boottime_s, clock.wall_s, LIFE_S))

    monkeypatch.setattr(PageSender, "send", send)

    async def steps() -> None:
        world, _ = await frozen_while_proving()
        assert world.source == {}
        assert len(world.destination) == 20

    run_virtual(steps())


@pytest.mark.parametrize("side", Side)
def test_credentials_that_stay_expired_end_it(side: Side) -> None:
    """Those of one side are enough, whatever the others answer."""

    async def steps() -> None:
        _, worker = await begun(200)
        expired = Fault(CredentialsExpired(side, "the credentials have expired"))
        faults = {
            Side.SOURCE: worker.source_faults,
            Side.DESTINATION: worker.destination_faults,
            Side.STATE: worker.state_faults,
        }[side]
        faults.always = lambda _: expired
        with pytest.raises((ExceptionGroup, Stop)) as caught:
            await asyncio.wait_for(worker.segment(Segment(0)).run(), 1000)
        error = end_of(caught.value)
        assert isinstance(error, Stop)
        assert error.side is side
        assert "renew them and start again" in str(error)
        assert 300 < now_s() < 320

    run_virtual(steps())


@pytest.mark.parametrize("side", Side)
def test_credentials_that_are_renewed_in_time_are_no_reason_to_stop(side: Side) -> None:
    async def steps() -> None:
        world = World(400)
        await world.announce(Phase.COPYING)
        worker = Worker(world, copy=replace(ONE, page_items_first=1, page_items_max=1))
        expired = Fault(CredentialsExpired(side, "the credentials have expired"))
        faults = {
            Side.SOURCE: worker.source_faults,
            Side.DESTINATION: worker.destination_faults,
            Side.STATE: worker.state_faults,
        }[side]
        tenth = Fault(delay_s=0.1)
        faults.always = lambda _: tenth
        copying = asyncio.create_task(worker.segment(Segment(0)).run())
        for _ in range(3):
            faults.always = lambda _: expired
            await asyncio.sleep(200)
            faults.always = lambda _: tenth
            await asyncio.sleep(15)
            assert not copying.done()
        await copying
        assert (await row_of(world)).read == 400

    run_virtual(steps())
