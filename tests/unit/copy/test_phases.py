"""A copy goes from phase to phase when it is time, by whichever worker, once (R-1, R-2)."""

import asyncio
import logging
from dataclasses import replace

import pytest

from dynamirror.aws.state_rows import Incarnation
from dynamirror.copy.phases import Phases, announced
from dynamirror.engines.library import explained
from dynamirror.errors import Retry, Side, Stop, Throttled
from dynamirror.model.copy import Copy, Phase, Segment
from dynamirror.model.lease import SHARD_END, TRIM_HORIZON, Lease, Terms
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.copy.world import ANNOUNCED, COPY, HOLD, LIFE, WRITE, Worker, World, lost

DRIFT_S = WRITE.clock_drift_s
JAVA = Lease("shard-1", TRIM_HORIZON, "java-worker", 5)
FORMER = Terms("w0", 10_000, heartbeat=True)
STRANGERS = {
    "Java": JAVA,
    "Java, on a row that was dynamirror's": replace(JAVA, terms=FORMER),
    "no rights to the state table": Lease("shard-1", TRIM_HORIZON, "w0", 5, terms=replace(FORMER, heartbeat=False)),
}
KNOWING = {
    "nobody": Lease("shard-1", TRIM_HORIZON, None, 5),
    "finished": replace(JAVA, checkpoint=SHARD_END),
    "dynamirror": Lease("shard-1", TRIM_HORIZON, "w0", 5, terms=FORMER),
}


async def look_until(phases: Phases, phase: Phase, leases_made: bool = True) -> float:
    """Look as the copier does; returns after how long the phase was reached."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    while True:
        copy = await phases.look(leases_made)
        assert copy is not None
        if copy.phase is phase:
            return loop.time() - started_s
        assert loop.time() - started_s < 1000
        await asyncio.sleep(COPY.watch_s)


def test_where_there_is_no_copy_nothing_happens_and_nothing_is_held() -> None:
    async def steps() -> None:
        worker = Worker(World())
        assert worker.holds()
        for _ in range(20):
            assert await Phases(worker.tools).look(True) is None
            assert not worker.holds()
            await asyncio.sleep(COPY.watch_s)
        assert await worker.world.store.segments() == []

    run_virtual(steps())


def test_nothing_is_read_before_nobody_can_believe_that_there_is_no_copy() -> None:
    """Inequality 3: X after the announcement was seen."""

    async def steps() -> None:
        world = World()
        # Long before this worker looks: it may have been another's belief all the time.
        await world.announce()
        await asyncio.sleep(100)
        took_s = await look_until(Phases(Worker(world).tools), Phase.COPYING)
        assert HOLD.known_s + DRIFT_S < took_s <= HOLD.known_s + DRIFT_S + 2 * COPY.watch_s
        assert [segment.number for segment in await world.store.segments()] == list(range(COPY.segments))

    run_virtual(steps())


def test_a_belief_that_there_is_no_copy_never_outlives_the_announcement() -> None:
    """A-3: at the moment of the first page every worker holds that goes on, and one that hangs, too."""

    async def steps() -> None:
        world = World()
        hanging, looking = Worker(world, "w1"), Worker(world, "w2", boot_s=7000.0)
        assert await Phases(hanging.tools).look(True) is None
        await world.announce()
        await look_until(Phases(looking.tools), Phase.COPYING)
        assert hanging.tools.knowledge.copy is None
        for worker in (hanging, looking):
            assert worker.holds()

    run_virtual(steps())


def test_the_belief_of_a_machine_that_was_paused_has_ended() -> None:
    """The boot time of a paused virtual machine stands still; its date is set right afterwards."""

    async def steps() -> None:
        worker = Worker(World())
        await Phases(worker.tools).look(True)
        assert not worker.holds()
        worker.clock.step_wall(HOLD.known_s + 1)
        assert worker.holds()
        await Phases(worker.tools).look(True)
        assert not worker.holds()
        # A date that is set back makes it last no longer.
        worker.clock.step_wall(-3600)
        await asyncio.sleep(HOLD.known_s + 1)
        assert worker.holds()

    run_virtual(steps())


def test_what_waits_is_told_whenever_the_row_was_read() -> None:
    async def steps() -> None:
        world = World()
        worker = Worker(world)
        phases = Phases(worker.tools)
        for phase in (None, Phase.OVER):
            if phase is not None:
                await world.announce(phase)
            told = worker.tools.learned.wait()
            await phases.look(True)
            await asyncio.sleep(0)
            assert told.done()
            assert not worker.holds()

    run_virtual(steps())


@pytest.mark.parametrize("phase", [None, Phase.COPYING, Phase.OVER])
def test_a_worker_of_an_earlier_life_of_the_task_ends(phase: Phase | None) -> None:
    """1 it is frozen; 2 the lease table is deleted, the task begun anew, and copied; 3 it wakes: of its own life there
    is no copy, or an old one."""

    async def steps() -> None:
        world = World()
        await world.state_of(LIFE).remember_pair("arn:S", "arn:D")
        if phase is not None:
            await world.announce(phase)
        worker = Worker(world)
        phases = Phases(worker.tools)
        await phases.look(True)
        await asyncio.sleep(HOLD.known_s + 1)
        await world.state_of(Incarnation("new leases", LIFE.stream_arn)).remember_pair("arn:S", "arn:D")
        with pytest.raises(Stop, match=r"begun anew.* start this worker again") as ended:
            await phases.look(True)
        assert ended.value.side is Side.STATE
        # No table is missing, which is what would be said of one that is not found.
        assert explained(ended.value, "leases") is ended.value
        # Nothing is sent unheld until it has ended.
        assert worker.holds()

    run_virtual(steps())


def test_at_rest_the_life_of_the_pair_does_not_matter() -> None:
    async def steps() -> None:
        world = World()
        before = await world.announce(Phase.COPYING)
        await world.state_of(Incarnation("leases", "arn:stream")).remember_pair("arn:S", "arn:D")
        assert await Phases(replace(Worker(world).tools, leases=None)).look(True) == before

    run_virtual(steps())


def test_nothing_is_read_before_every_shard_has_its_lease() -> None:
    async def steps() -> None:
        world = World()
        await world.announce()
        phases = Phases(Worker(world).tools)
        for _ in range(30):
            copy = await phases.look(False)
            assert copy == ANNOUNCED
            await asyncio.sleep(COPY.watch_s)
        assert await world.store.segments() == []
        copy = await phases.look(True)
        assert copy is not None
        assert copy.phase is Phase.COPYING

    run_virtual(steps())


def test_a_copy_is_done_only_when_every_segment_is() -> None:
    async def steps() -> None:
        world = World()
        before = await world.announce(Phase.COPYING)
        phases = Phases(Worker(world).tools)
        for number in reversed(range(COPY.segments)):
            assert await phases.look(True) == before
            done = Segment(number).claimed("w").advanced(b"", 1, 1, 1)
            await world.store.put_segment(done, Segment(number))
        copy = await phases.look(True)
        assert copy is not None
        assert copy.phase is Phase.DONE

    run_virtual(steps())


def test_counts_that_do_not_add_up_make_the_copy_doubtful_and_do_not_stop_it(caplog: pytest.LogCaptureFixture) -> None:
    """In each segment: the sums of all may hide it."""

    async def steps() -> None:
        world = World()
        await world.announce(Phase.COPYING)
        for number, written in enumerate([1, 2, 3, 2]):
            done = Segment(number).claimed("w").advanced(b"", 2, written, 1)
            await world.store.put_segment(done, Segment(number))
        phases = Phases(Worker(world).tools)
        copy = await phases.look(True)
        assert copy is not None
        assert copy.phase is Phase.DONE
        assert copy.needs_verify
        await look_until(phases, Phase.OVER)
        row = await world.store.copy()
        assert row is not None
        assert row.needs_verify
        assert row.done_ms == copy.done_ms > 0

    with caplog.at_level(logging.ERROR, "dynamirror.copy"):
        run_virtual(steps())
    [record] = caplog.records
    assert "do not add up in segments 0, 2: read 8, written 8 + parked 0 in all; compare" in record.getMessage()


@pytest.mark.parametrize("gone", [[2], [0, 1, 2, 3]])
def test_a_segment_whose_row_is_gone_is_not_done(gone: list[int]) -> None:
    """It is made, and copied, anew."""

    async def steps() -> None:
        world = World()
        before = await world.announce(Phase.COPYING)
        for number in range(COPY.segments):
            done = Segment(number).claimed("w").advanced(b"", 1, 1, 1)
            await world.store.put_segment(done, Segment(number))
        for number in gone:
            await world.store._rows.remove("segment", f"{number:06}")
        phases = Phases(Worker(world).tools)
        assert await phases.look(True) == before
        assert [row.number for row in await world.store.segments() if not row.done] == gone

    run_virtual(steps())


def test_the_hold_lasts_after_the_last_segment() -> None:
    """A-1, A-2; counted from the moment at which this worker saw it."""

    async def steps() -> None:
        world = World()
        await world.announce(Phase.DONE)
        await asyncio.sleep(100)
        worker = Worker(world)
        phases = Phases(worker.tools)
        held = []

        async def watch() -> None:
            while True:
                held.append(worker.holds())
                await asyncio.sleep(1)

        watching = asyncio.create_task(watch())
        took_s = await look_until(phases, Phase.OVER)
        assert HOLD.hold_s + DRIFT_S < took_s <= HOLD.hold_s + DRIFT_S + 2 * COPY.watch_s
        assert all(held)
        await phases.look(True)
        assert not worker.holds()
        watching.cancel()

    run_virtual(steps())


@pytest.mark.parametrize("own_s,row_s", [(60.0, 90.0), (90.0, 60.0), (90.0, 0.0)])
def test_the_longest_hold_lasts_after_the_last_segment(own_s: float, row_s: float) -> None:
    """Of this worker, or of whoever announced the copy: a page of either may still land."""

    async def steps() -> None:
        world = World()
        await world.announce(Phase.DONE, row_s)
        worker = Worker(world, hold=replace(HOLD, hold_s=own_s))
        took_s = await look_until(Phases(worker.tools), Phase.OVER)
        assert 90 + DRIFT_S < took_s <= 90 + DRIFT_S + 2 * COPY.watch_s

    run_virtual(steps())


def test_what_another_worker_saw_earlier_does_not_count() -> None:
    """Each waits by its own clock, so two that take turns do not add up their waits."""

    async def steps() -> None:
        world = World()
        await world.announce(Phase.DONE)
        first, second = Phases(Worker(world, "w1").tools), Phases(Worker(world, "w2", boot_s=9.0).tools)
        await first.look(True)
        await asyncio.sleep(HOLD.hold_s)
        copy = await second.look(True)
        assert copy is not None
        assert copy.phase is Phase.DONE
        assert 0 < await look_until(first, Phase.OVER) <= 2 * COPY.watch_s

    run_virtual(steps())


@pytest.mark.parametrize("phase", [Phase.ANNOUNCED, Phase.COPYING, Phase.DONE])
def test_of_two_workers_that_step_at_once_one_is_refused_and_both_go_on(phase: Phase) -> None:
    async def steps() -> None:
        world = World()
        before = await world.announce(phase)
        if phase is Phase.COPYING:
            for number in range(COPY.segments):
                await world.store.put_segment(Segment(number).claimed("w").advanced(b"", 0, 0, 0), Segment(number))
        all_phases = [Phases(Worker(world, name).tools) for name in ("w1", "w2", "w3")]
        copies: list[Copy | None] = [before]
        while before in copies:
            copies = list(await asyncio.gather(*(phases.look(True) for phases in all_phases)))
            assert len([copy for copy in copies if copy != before]) <= 1
            if any(copy != before for copy in copies):
                break
            await asyncio.sleep(1)
        row = await world.store.copy()
        assert row is not None
        assert row.version == before.version + 1
        assert [await phases.look(True) for phases in all_phases] == [row] * 3

    run_virtual(steps())


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_no_copy_is_announced_beside_a_worker_that_does_not_wait(stranger: Lease) -> None:
    async def steps() -> None:
        world = World()
        world.leases.rows["shard-1"] = stranger
        with pytest.raises(Stop, match=r"the lease of shard-1, would not be sound.* Stop it first") as caught:
            await announced(world.store, world.leases, ANNOUNCED)
        assert str(stranger.owner) in str(caught.value)
        assert caught.value.side is Side.STATE
        assert await world.store.copy() is None

    run_virtual(steps())


@pytest.mark.parametrize("lease", KNOWING.values(), ids=KNOWING)
def test_a_copy_is_announced_beside_all_others(lease: Lease) -> None:
    async def steps() -> None:
        world = World()
        world.leases.rows["shard-1"] = lease
        assert await announced(world.store, world.leases, ANNOUNCED) == ANNOUNCED
        copy = await Phases(Worker(world).tools).look(True)
        assert copy == ANNOUNCED

    run_virtual(steps())


def test_a_copy_that_was_begun_goes_on_as_it_was() -> None:
    """E-2: when the first one began is for ever; so is whether the destination was empty then."""

    async def steps() -> None:
        world = World()
        there = await world.announce(Phase.COPYING)
        wanted = Copy(Phase.ANNOUNCED, 99, 123_456, False)
        assert await announced(world.store, world.leases, wanted) == there
        assert await world.store.copy() == there

    run_virtual(steps())


def test_an_announcement_without_an_answer_is_repeated() -> None:
    async def steps() -> None:
        world = World()
        worker = Worker(world)
        worker.state_faults.next["PutItem"] = [lost(Side.STATE, 0.0)]
        with pytest.raises(Retry):
            await announced(worker.tools.store, world.leases, ANNOUNCED)
        other = replace(ANNOUNCED, began_ms=999)
        assert await announced(worker.tools.store, world.leases, other) == ANNOUNCED

    run_virtual(steps())


@pytest.mark.parametrize("phase", [Phase.ANNOUNCED, Phase.COPYING, Phase.DONE])
@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_that_comes_later_makes_the_copy_doubtful(
    phase: Phase, stranger: Lease, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps() -> None:
        world = World()
        before = await world.announce(phase)
        phases = Phases(Worker(world).tools)
        assert await phases.look(True) == before
        world.leases.rows["shard-1"] = stranger
        with caplog.at_level(logging.ERROR, "dynamirror.copy"):
            for _ in range(3):
                assert await phases.look(True) == before.doubted()
        [record] = caplog.records
        assert "shard-1 and does not wait for the copy: compare the tables" in record.getMessage()
        # It is no reason to stop: the copy goes on, and stays doubtful.
        if phase is Phase.ANNOUNCED:
            await look_until(phases, Phase.COPYING)
            assert (await world.store.copy()) == before.doubted().moved(Phase.COPYING)

    run_virtual(steps())


def test_to_see_a_stranger_does_not_begin_the_wait_anew() -> None:
    async def steps() -> None:
        world = World()
        await world.announce()
        phases = Phases(Worker(world).tools)
        await phases.look(True)
        await asyncio.sleep(HOLD.known_s + DRIFT_S)
        world.leases.rows["shard-1"] = JAVA
        assert await look_until(phases, Phase.COPYING) <= COPY.watch_s * 2

    run_virtual(steps())


@pytest.mark.parametrize("lease", KNOWING.values(), ids=KNOWING)
@pytest.mark.parametrize("phase", [Phase.COPYING, Phase.DONE])
def test_those_who_wait_do_not_make_it_doubtful(phase: Phase, lease: Lease) -> None:
    async def steps() -> None:
        world = World()
        before = await world.announce(phase)
        world.leases.rows["shard-1"] = lease
        assert await Phases(Worker(world).tools).look(True) == before

    run_virtual(steps())


def test_what_comes_after_the_copy_does_not_make_it_doubtful() -> None:
    async def steps() -> None:
        world = World()
        before = await world.announce(Phase.OVER)
        world.leases.rows["shard-1"] = JAVA
        assert await Phases(Worker(world).tools).look(True) == before

    run_virtual(steps())


@pytest.mark.parametrize("lands_after_s", [None, 0.0, 30.0])
def test_every_step_bears_with_a_lost_answer(lands_after_s: float | None) -> None:
    """Each first attempt of a write gets no answer; it is applied never, at once, or late."""

    async def steps() -> None:
        world = World()
        worker = Worker(world)
        fault = lost(Side.STATE, lands_after_s)
        # The segments first, one after the other, then the row of the copy, three times.
        worker.state_faults.next["PutItem"] = [fault, None] * (COPY.segments + 3)
        await world.announce()
        phases = Phases(worker.tools)
        reached: list[Phase] = []
        while Phase.OVER not in reached:
            try:
                copy = await phases.look(True)
                assert copy is not None
                reached.append(copy.phase)
                if copy.phase is Phase.COPYING:
                    for row in await world.store.segments():
                        if not row.done:
                            await world.store.put_segment(row.claimed("w").advanced(b"", 1, 1, 1), row)
            except Retry:
                pass
            await asyncio.sleep(1)
        assert list(dict.fromkeys(reached)) == [Phase.ANNOUNCED, Phase.COPYING, Phase.DONE, Phase.OVER]
        await asyncio.sleep(60)
        assert await world.phase() is Phase.OVER
        assert await world.counts() == (COPY.segments, COPY.segments)

    run_virtual(steps())


def test_many_segments_are_made_though_every_other_request_fails() -> None:
    """Those that were made are not made again, so each look comes further."""

    async def steps() -> None:
        world = World()
        worker = Worker(world)
        await world.store.put_copy(replace(ANNOUNCED, segments=300), None)
        phases = Phases(worker.tools)
        await phases.look(True)
        await asyncio.sleep(HOLD.known_s + 2 * DRIFT_S)
        refused = Fault(Throttled(Side.STATE, "injected"))
        worker.state_faults.next["PutItem"] = [None, None, refused] * 10_000
        for _ in range(200):
            try:
                copy = await phases.look(True)
                assert copy is not None
                if copy.phase is Phase.COPYING:
                    break
            except Retry:
                await asyncio.sleep(1)
        assert await world.phase() is Phase.COPYING
        assert len(await world.store.segments()) == 300

    run_virtual(steps())
