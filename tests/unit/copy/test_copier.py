"""Workers that share a copy: whoever dies, joins, is cut off or frozen, every item is copied."""

import asyncio
import logging
from dataclasses import replace

import pytest

from dynamirror.copy.stray_life import SAY_AGAIN_S
from dynamirror.errors import CredentialsExpired, Side, Stop, Throttled
from dynamirror.model.copy import Phase, Segment
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.copy.world import COPY, HOLD, SILENCE_S, WRITE, Worker, World, end_of, key_of, lost, now_s
from tests.unit.prove.world import Switch

ITEMS = 600
SLOW = Fault(delay_s=1.0)
TENTH = Fault(delay_s=0.1)


def slow(*workers: Worker) -> None:
    """So that a segment takes a while: a second or so a page."""
    for worker in workers:
        worker.destination_faults.always = lambda _: SLOW


def faults_of(worker: Worker, side: Side) -> Switch:
    return {
        Side.SOURCE: worker.source_faults,
        Side.DESTINATION: worker.destination_faults,
        Side.STATE: worker.state_faults,
    }[side]


async def complete(world: World) -> None:
    """The copy comes to its end, and to the right one."""
    await world.reached(Phase.OVER)
    assert world.destination == world.source
    rows = await world.store.segments()
    assert all(row.done for row in rows)
    assert await world.counts() == (len(world.source), len(world.source))


async def ended(worker: Worker, limit_s: float = 1000) -> BaseException | None:
    assert worker.task is not None
    await asyncio.wait([worker.task], timeout=limit_s)
    assert worker.task.done()
    return end_of(worker.task.exception())


@pytest.mark.parametrize("items", [0, 1, ITEMS])
def test_one_worker_takes_a_copy_from_its_announcement_to_its_end(items: int, caplog: pytest.LogCaptureFixture) -> None:
    async def steps() -> None:
        world = World(items)
        worker = Worker(world).start()
        await asyncio.sleep(5)
        await world.announce()
        announced_at_s = now_s()
        with caplog.at_level(logging.INFO, "dynamirror.copy"):
            await complete(world)
        assert len(world.applied) == items
        drift_s = WRITE.clock_drift_s
        assert worker.scans.pages[0][0] > announced_at_s + HOLD.known_s + drift_s
        took_s = now_s() - max([announced_at_s + HOLD.known_s, *(at_s for _, at_s, _ in world.applied)])
        assert took_s > HOLD.hold_s + drift_s
        messages = [record.getMessage() for record in caplog.records]
        assert f"all segments are done: read {items} = written {items} + parked 0" in messages
        assert [text for text in messages if text.startswith("the copy is ")] == [
            "the copy is copying",
            "the copy is done",
            "the copy is over",
        ]
        await worker.kill()

    run_virtual(steps())


def test_where_no_copy_is_announced_nothing_is_read() -> None:
    async def steps() -> None:
        worker = Worker(World(ITEMS)).start()
        await asyncio.sleep(100)
        assert not worker.scans.pages
        assert worker.copier.copy is None
        assert not worker.holds()
        await worker.kill()

    run_virtual(steps())


@pytest.mark.parametrize("watch_s", [0.3, 30.0])
def test_so_many_segments_at_once_and_the_next_as_soon_as_one_has_ended(watch_s: float) -> None:
    async def steps() -> None:
        world = World(ITEMS)
        worker = Worker(world, copy=replace(COPY, watch_s=watch_s))
        slow(worker)
        await world.announce(Phase.COPYING)
        worker.start()
        most = 0
        while len(world.destination) < ITEMS:
            rows = await world.store.segments()
            most = max(most, len([row for row in rows if row.owner and not row.done]))
            await asyncio.sleep(0.05)
            # Four segments in turn, not one in each period.
            assert now_s() < 29
        assert most == COPY.segments_at_once
        await worker.kill()

    run_virtual(steps())


def test_its_segments_share_its_requests_in_flight() -> None:
    async def steps() -> None:
        world = World(ITEMS)
        worker = Worker(world, copy=replace(COPY, segments_at_once=4, requests_in_flight_max=3))
        slow(worker)
        await world.announce(Phase.COPYING)
        worker.start()
        await complete(world)
        assert worker.destination.in_flight_most == 3
        await worker.kill()

    run_virtual(steps())


@pytest.mark.parametrize("phase", [Phase.ANNOUNCED, Phase.DONE, Phase.OVER])
def test_nothing_is_read_in_any_other_phase(phase: Phase) -> None:
    """Segments are made before the phase that they are for, and another worker may have been the one."""

    async def steps() -> None:
        world = World(ITEMS)
        await world.announce(phase)
        for number in range(COPY.segments):
            await world.store.make_segment(Segment(number))
        worker = Worker(world).start()
        await asyncio.sleep(HOLD.known_s)
        assert not worker.scans.pages
        assert {row.owner for row in await world.store.segments()} == {None}
        await worker.kill()

    run_virtual(steps())


def test_two_workers_share_the_segments_and_read_no_page_twice() -> None:
    async def steps() -> None:
        world = World(ITEMS)
        workers = [Worker(world, "w1"), Worker(world, "w2", boot_s=7000.0)]
        slow(*workers)
        await world.announce()
        for worker in workers:
            worker.start()
        await complete(world)
        by_worker = [{segment for _, segment, _, _, _ in worker.scans.pages} for worker in workers]
        assert by_worker[0].isdisjoint(by_worker[1])
        assert all(by_worker)
        assert len(world.applied) == ITEMS
        for worker in workers:
            await worker.kill()

    run_virtual(steps())


def test_a_worker_that_joins_later_takes_what_is_left() -> None:
    async def steps() -> None:
        world = World(ITEMS)
        first = Worker(world)
        slow(first)
        await world.announce(Phase.COPYING)
        first.start()
        await asyncio.sleep(2)
        second = Worker(world, "w2", boot_s=7.0).start()
        await complete(world)
        assert len({segment for _, segment, _, _, _ in second.scans.pages}) == 2
        assert len(world.applied) == ITEMS
        for worker in (first, second):
            await worker.kill()

    run_virtual(steps())


@pytest.mark.parametrize("orderly", [False, True])
def test_the_segments_of_a_dead_worker_go_on_from_their_last_page_when_it_has_been_silent(orderly: bool) -> None:
    async def steps() -> None:
        world = World(ITEMS)
        dead = Worker(world, landing_s=lambda: 0.3)
        slow(dead)
        await world.announce(Phase.COPYING)
        dead.start()
        await asyncio.sleep(1.8)
        heir = Worker(world, "w2", copy=replace(COPY, segments_at_once=4), boot_s=7.0).start()
        await asyncio.sleep(0.2)
        await dead.kill()
        died_at_s = now_s()
        if orderly:
            await dead.state.retire("w1")
        left = {row.number: row for row in await world.store.segments() if row.owner == "w1" and not row.done}
        assert len(left) == 2
        assert all(row.read for row in left.values())
        await complete(world)
        for number, row in left.items():
            [(taken_at_s, _, after, _, _), *_] = [page for page in heir.scans.pages if page[1] == number]
            assert after == row.after
            assert key_of(after) in world.destination
            # Its heartbeat comes each second.
            assert SILENCE_S - 1 < taken_at_s - died_at_s < SILENCE_S + 2 * COPY.watch_s + 1
        # Only what was on its way came twice.
        assert len(world.applied) <= ITEMS + 2 * COPY.page_items_max
        await heir.kill()

    run_virtual(steps())


def test_a_worker_that_was_started_again_under_its_name_need_not_wait_for_itself() -> None:
    async def steps() -> None:
        world = World(ITEMS)
        dead = Worker(world)
        slow(dead)
        await world.announce(Phase.COPYING)
        dead.start()
        await asyncio.sleep(2)
        await dead.kill()
        again = Worker(world, boot_s=7.0).start()
        await asyncio.sleep(2)
        assert world.destination == world.source
        await complete(world)
        await again.kill()

    run_virtual(steps())


def test_a_living_worker_keeps_its_segments_however_slow_it_is() -> None:
    async def steps() -> None:
        world = World(ITEMS)
        busy = Worker(world)
        busy.destination.hot = frozenset(world.source)
        await world.announce(Phase.COPYING)
        busy.start()
        await asyncio.sleep(1)
        other = Worker(world, "w2", boot_s=7.0).start()
        await asyncio.sleep(300)
        assert {row.owner for row in await world.store.segments() if not row.done} == {"w1"}
        assert len({segment for _, segment, _, _, _ in other.scans.pages}) == 2
        busy.destination.hot = frozenset()
        await complete(world)
        for worker in (busy, other):
            await worker.kill()

    run_virtual(steps())


def test_a_worker_that_lost_its_segments_goes_on_with_others(caplog: pytest.LogCaptureFixture) -> None:
    """It lives, and its heartbeats do not get through: its segments are taken, and it notices before its next page."""

    async def steps() -> None:
        world = World(2000)
        mute, other = Worker(world), Worker(world, "w2", boot_s=7.0)
        slow(mute, other)
        mute.beats = False
        await world.announce(Phase.COPYING)
        mute.start()
        other.start()
        with caplog.at_level(logging.INFO, "dynamirror.copy"):
            await complete(world)
        assert mute.task is not None
        assert not mute.task.done()
        lost_ones = [record for record in caplog.records if getattr(record, "event", "") == "segment_lost"]
        assert lost_ones
        assert all(record.levelno == logging.INFO for record in lost_ones)
        for worker in (mute, other):
            await worker.kill()

    run_virtual(steps())


def test_an_observer_that_was_frozen_has_heard_nobody_be_silent() -> None:
    async def steps() -> None:
        world = World(2000)
        busy, observer = Worker(world), Worker(world, "w2", boot_s=7.0)
        slow(busy)
        await world.announce(Phase.COPYING)
        busy.start()
        await asyncio.sleep(1)
        observer.start()
        await asyncio.sleep(3)
        # Two are left to it; it is frozen, as its question of who beats is on its way.
        for freeze_s in (5.0, 9.7, 12.0):
            observer.process.freeze(freeze_s)
            await asyncio.sleep(freeze_s + 3)
        mine = {segment for _, segment, _, _, _ in busy.scans.pages}
        assert mine.isdisjoint(segment for _, segment, _, _, _ in observer.scans.pages)
        await complete(world)
        for worker in (busy, observer):
            await worker.kill()

    run_virtual(steps())


def test_nothing_is_left_running_when_it_is_cancelled() -> None:
    async def steps() -> None:
        for after_s in (0.001, 1.0, 2.503, 20.0):
            world = World(ITEMS)
            worker = Worker(world)
            slow(worker)
            await world.announce(Phase.COPYING)
            worker.start()
            await asyncio.sleep(after_s)
            await worker.kill()
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert not worker.copier._mine

    run_virtual(steps())


def test_an_item_that_can_never_be_written_ends_it() -> None:
    async def steps() -> None:
        world = World(ITEMS)
        worker = Worker(world)
        worker.destination.refused = {"k00300"}
        await world.announce(Phase.COPYING)
        worker.start()
        error = await ended(worker)
        assert isinstance(error, Stop)
        assert "'k00300'" in str(error)
        assert await world.phase() is Phase.COPYING
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(steps())


@pytest.mark.parametrize("side", Side)
def test_credentials_that_stay_expired_end_it(side: Side) -> None:
    """Those of one side are enough, though the copier looks at the state table all the time, and is answered."""

    async def steps() -> None:
        world = World(ITEMS)
        worker = Worker(world)
        await world.announce(Phase.COPYING)
        expired = Fault(CredentialsExpired(side, "the credentials have expired"))
        faults_of(worker, side).always = lambda _: expired
        worker.start()
        error = await ended(worker)
        assert isinstance(error, Stop)
        assert error.side is side
        assert "stayed expired for 300 s: renew them and start again" in str(error)
        assert 300 < now_s() < 330

    run_virtual(steps())


@pytest.mark.parametrize("side", Side)
def test_credentials_that_are_renewed_in_time_do_not(side: Side) -> None:
    async def steps() -> None:
        world = World(400)
        worker = Worker(world, copy=replace(COPY, page_items_first=1, page_items_max=1))
        faults_of(worker, side).always = lambda _: TENTH
        await world.announce(Phase.COPYING)
        expired = Fault(CredentialsExpired(side, "the credentials have expired"))
        worker.start()
        for _ in range(3):
            faults_of(worker, side).always = lambda _: expired
            await asyncio.sleep(200)
            faults_of(worker, side).always = lambda _: TENTH
            await asyncio.sleep(7)
            assert await world.phase() is Phase.COPYING
        await complete(world)
        await worker.kill()

    run_virtual(steps())


def test_a_state_table_that_does_not_answer_for_a_while_is_borne(caplog: pytest.LogCaptureFixture) -> None:
    async def steps() -> None:
        world = World(ITEMS)
        worker = Worker(world).start()
        await world.announce()
        await asyncio.sleep(5)
        throttled = Fault(Throttled(Side.STATE, "injected"))
        with caplog.at_level(logging.WARNING, "dynamirror.copy"):
            worker.state_faults.always = lambda _: throttled
            await asyncio.sleep(100)
            assert worker.holds()
            worker.state_faults.always = lambda _: None
            await complete(world)
        assert {record.getMessage() for record in caplog.records} == {
            "looking at the copy: injected; trying again",
        }
        await worker.kill()

    run_virtual(steps())


def test_it_goes_through_whatever_fails_now_and_then() -> None:
    async def steps() -> None:
        world = World(ITEMS)
        workers = [Worker(world, f"w{number}", boot_s=10.0 * number) for number in range(3)]
        for worker in workers:
            draw = worker.tools.random
            for side in Side:
                faults = [
                    lost(side),
                    lost(side, 0.0),
                    lost(side, 25.0),
                    Fault(Throttled(side, "injected")),
                    Fault(delay_s=2.0),
                ]
                faults_of(worker, side).always = lambda _, faults=faults, draw=draw: (  # type: ignore[misc]
                    faults[int(draw() * len(faults))] if draw() < 0.2 else None
                )
        await world.announce()
        for worker in workers:
            worker.start()
        await complete(world)
        for worker in workers:
            await worker.kill()
        await asyncio.sleep(30)
        assert world.destination == world.source
        assert await world.phase() is Phase.OVER

    run_virtual(steps())


@pytest.mark.parametrize("phase", [Phase.COPYING, Phase.OVER])
def test_a_worker_knows_of_a_doubtful_copy_only_while_it_goes_on(phase: Phase) -> None:
    """Else every later worker of the task would end as if something had happened to it."""

    async def steps() -> None:
        world = World(ITEMS)
        worker = Worker(world).start()
        copy = await world.announce(phase)
        doubtful = [worker.copier.doubtful]
        await world.store.put_copy(copy.doubted(), copy)
        await world.reached(Phase.OVER)
        await asyncio.sleep(COPY.watch_s * 2)
        doubtful.append(worker.copier.doubtful)
        assert doubtful == [False, phase is Phase.COPYING]
        assert worker.copier.progress().written == (ITEMS if phase is Phase.COPYING else 0)
        await worker.kill()

    run_virtual(steps())


def test_a_worker_whose_pages_land_too_late_for_the_others_copies_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """1 others hold for as long as the row says; 2 a page of this one lands later: an older image, over a newer one."""

    async def steps() -> None:
        world = World(100)
        await world.announce(Phase.COPYING, HOLD.hold_s)
        longer = replace(WRITE, stray_life_s=WRITE.stray_life_s + 14)
        with caplog.at_level(logging.WARNING, "dynamirror.copy"):
            slow = Worker(world, "w1", hold=replace(HOLD, hold_s=HOLD.hold_s + 14), write=longer).start()
            await asyncio.sleep(30)
        assert (slow.scans.pages, world.destination) == ([], {})
        [record] = caplog.records
        assert (
            "announced by w9 with changes waiting 60 s, too short for its --stray-life of 44 s" in record.getMessage()
        )
        assert record.getMessage().startswith("worker w1 copies nothing")
        assert "less than 44 s" in record.getMessage()
        # It holds, and takes the steps of the copy, as the others do.
        assert slow.holds()
        other = Worker(world, "w2", write=replace(WRITE, stray_life_s=43.9)).start()
        await world.reached(Phase.OVER)
        assert world.destination == world.source
        for worker in (slow, other):
            await worker.kill()

    run_virtual(steps())


def test_it_says_so_again_while_nobody_copies(caplog: pytest.LogCaptureFixture) -> None:
    async def steps() -> None:
        world = World(100)
        await world.announce(Phase.COPYING, HOLD.hold_s)
        longer, hold = replace(WRITE, stray_life_s=WRITE.stray_life_s + 14), replace(HOLD, hold_s=HOLD.hold_s + 14)
        with caplog.at_level(logging.WARNING, "dynamirror.copy"):
            slow = Worker(world, "w1", hold=hold, write=longer).start()
            await asyncio.sleep(SAY_AGAIN_S - 10)
            # One page of somebody else: it goes on.
            await world.store.put_segment(Segment(0).claimed("w2"), Segment(0))
            await asyncio.sleep(SAY_AGAIN_S - 10)
            assert len(caplog.records) == 1
            await asyncio.sleep(20)
            assert len(caplog.records) == 2
            await asyncio.sleep(SAY_AGAIN_S)
        assert [record.getMessage() for record in caplog.records] == [caplog.records[0].getMessage()] * 3
        await slow.kill()

    run_virtual(steps())


def test_a_row_of_before_stray_lives_could_differ_is_copied_by_its_workers() -> None:
    """It says no hold; all its workers were told the same, and the rows lack who announced it too."""

    async def steps() -> None:
        world = World(100)
        await world.announce(Phase.COPYING)
        longer, hold = replace(WRITE, stray_life_s=60.0), replace(HOLD, hold_s=90.0)
        workers = [Worker(world, name, hold=hold, write=longer).start() for name in ("w1", "w2")]
        await world.reached(Phase.OVER, 600)
        assert world.destination == world.source
        for worker in workers:
            await worker.kill()

    run_virtual(steps())
