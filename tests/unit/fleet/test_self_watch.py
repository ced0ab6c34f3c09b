"""A worker that looks at itself: stuck shards are found in time, and what waits by design is not called stuck."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from dynamirror.errors import Side, Throttled, Unanswered
from dynamirror.fleet.self_watch import SelfWatch, SelfWatchTools
from dynamirror.loops.rate import Rate
from dynamirror.model.health import LOOK_S, STUCK_S, Problem
from dynamirror.model.lane import Lane
from dynamirror.observe.published import Feed
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.fleet.world import Worker, World

NO_ANSWER = {side: Fault(Unanswered(side, "injected"), delay_s=5.0) for side in Side}


class Watched:
    """A worker that is looked at."""

    def __init__(self, world: World, name: str = "one") -> None:
        self.world = world
        self.worker: Worker = world.worker(name).start()
        worker, clock = self.worker, self.worker.clock
        now_s = clock.boottime_s()
        # None: it answers.
        self.leases_away_since_s: float | None = None
        rate = Rate(clock, worker.metrics, Lane(None, 1000, now_s), Lane(None, 1000, now_s))
        self.watch = SelfWatch(
            SelfWatchTools(
                worker.coordinator,
                worker.applier,
                rate,
                worker.coordinator._tools.heartbeat,
                lambda: clock.boottime_s() if self.leases_away_since_s is None else self.leases_away_since_s,
                clock,
                worker.metrics,
                worker.tenure.follow.gate,
            )
        )
        self.task = asyncio.create_task(self.watch.run())

    @property
    def problems(self) -> list[Problem]:
        return self.watch.problems()

    async def until(self, healthy: bool, limit_s: float) -> float:
        return await self.world.until(lambda: (not self.problems) == healthy, limit_s)

    async def stays_healthy(self, for_s: float) -> None:
        for _ in range(int(for_s)):
            await asyncio.sleep(1)
            assert not self.problems

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        await self.world.end()


def virtually(scenario: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def test() -> None:
        async def steps() -> None:
            await scenario()

        run_virtual(steps())

    return test


async def following(shards: int = 1) -> Watched:
    world = World(shards)
    watched = Watched(world)
    world.put_many(50)
    await world.until_equal()
    return watched


@virtually
async def test_an_idle_worker_and_a_busy_one_are_healthy() -> None:
    watched = await following(3)
    await watched.stays_healthy(100)
    for value in range(50):
        watched.world.put_many(20, value=value)
        await asyncio.sleep(0.5)
    assert not watched.problems
    await watched.end()


@virtually
async def test_a_shard_that_is_not_read_is_found_within_30_s_and_recovers() -> None:
    watched = await following()
    watched.worker.stream_faults.then = lambda operation: (
        NO_ANSWER[Side.SOURCE] if operation == "GetRecords" else Fault()
    )
    flipped_s = await watched.until(healthy=False, limit_s=30)
    assert flipped_s > STUCK_S - 2
    [problem] = watched.problems
    assert problem.shard_id in watched.worker.coordinator.tenures
    assert "no page was read" in problem.why
    watched.worker.stream_faults.then = lambda _: Fault()
    await watched.until(healthy=True, limit_s=10)
    await watched.end()


@virtually
async def test_writes_that_are_throttled_for_ever_are_found_although_pages_are_read() -> None:
    watched = await following()
    watched.worker.write_faults.fault = Fault(Throttled(Side.DESTINATION, "injected"), delay_s=0.01)
    pages = watched.worker.metrics.value("pages_read")
    watched.world.put("a")
    await watched.until(healthy=False, limit_s=30)
    assert "none became durable" in watched.problems[0].why
    assert watched.worker.metrics.value("pages_read") > pages + 10
    await asyncio.sleep(LOOK_S)
    assert watched.worker.metrics.value("behind_s") > 20
    assert watched.worker.metrics.value("problems") == 1
    watched.worker.write_faults.fault = None
    await watched.until(healthy=True, limit_s=10)
    await asyncio.sleep(LOOK_S)
    assert watched.worker.metrics.value("behind_s") == watched.worker.metrics.value("problems") == 0
    await watched.end()


@virtually
async def test_one_lost_answer_is_waited_for_and_a_second_one_of_the_same_write_is_not() -> None:
    watched = await following()
    answers = [NO_ANSWER[Side.DESTINATION]]
    watched.worker.write_faults.then = lambda _: answers.pop() if answers else Fault()
    watched.world.put("a")
    await watched.stays_healthy(60)
    assert not answers
    answers += [NO_ANSWER[Side.DESTINATION]] * 5
    watched.world.put("b")
    assert 35 < await watched.until(healthy=False, limit_s=45) < 42
    answers.clear()
    await watched.until(healthy=True, limit_s=45)
    await watched.end()


@virtually
async def test_a_destination_that_answers_nothing_is_found_within_30_s() -> None:
    watched = await following()
    watched.worker.write_faults.then = lambda _: NO_ANSWER[Side.DESTINATION]
    watched.world.put_many(60, value=9)
    await watched.until(healthy=False, limit_s=30)
    watched.worker.write_faults.then = lambda _: Fault()
    await watched.until(healthy=True, limit_s=40)
    await watched.end()


@virtually
async def test_what_a_crashed_predecessor_may_have_sent_is_waited_for() -> None:
    world = World(2)
    first = world.worker("first").start()
    world.put_many(50)
    await world.until_equal()
    await first.kill()
    watched = Watched(world, "second")
    for value in range(100):
        world.put_many(5, value=value)
        await asyncio.sleep(1)
        assert not watched.problems
    await watched.end()


@virtually
async def test_a_child_may_wait_for_its_parent_for_as_long_as_that_takes() -> None:
    watched = await following()
    [parent] = watched.worker.coordinator.tenures
    watched.worker.write_faults.fault = Fault(Throttled(Side.DESTINATION, "injected"), delay_s=0.01)
    watched.world.put("a")
    watched.world.stream.roll(parent)
    await asyncio.sleep(100)
    assert [problem.shard_id for problem in watched.problems] == [parent]
    watched.worker.write_faults.fault = None
    await watched.until(healthy=True, limit_s=20)
    await watched.stays_healthy(30)
    await watched.end()


async def rolled_behind_damage() -> tuple[Watched, str, str]:
    """A worker follows a shard, and leaves; the shard rolls; its row is damaged, and another worker begins."""
    watched = await following()
    [parent] = watched.worker.coordinator.tenures
    watched.task.cancel()
    await watched.worker.stop()
    [child] = watched.world.stream.roll(parent)
    watched.world.put("a", value=7)
    second = Watched(watched.world, "two")
    second.worker.leases.unreadable = {parent}
    return second, parent, child


@virtually
async def test_a_child_whose_parents_row_cannot_be_read_is_found_within_30_s_of_its_first_try() -> None:
    watched, parent, child = await rolled_behind_damage()
    await watched.world.until(lambda: child in watched.worker.coordinator.tenures, 30)
    assert await watched.until(healthy=False, limit_s=30) > STUCK_S
    [problem] = watched.problems
    assert problem.shard_id == child
    assert f"it cannot read the lease row of its parent {parent}: the row of {parent} is no lease" in problem.why
    # Nobody has the parent, and nobody is told to take it.
    await watched.world.until(lambda: watched.worker.metrics.value("shards_unowned") == 1, 240)
    watched.worker.leases.unreadable = ()
    await watched.until(healthy=True, limit_s=15)
    await watched.world.until_equal(20)
    await watched.world.until(lambda: watched.worker.metrics.value("shards_unowned") == 0, 100)
    await watched.end()


@virtually
async def test_a_lease_table_that_does_not_answer_is_told_once_and_not_of_each_child() -> None:
    watched = await following()
    [parent] = watched.worker.coordinator.tenures
    watched.worker.write_faults.fault = Fault(Throttled(Side.DESTINATION, "injected"), delay_s=0.01)
    watched.world.put("a")
    [child] = watched.world.stream.roll(parent)
    await watched.world.until(lambda: child in watched.worker.coordinator.tenures, 100)
    watched.worker.lease_faults.then = lambda operation: NO_ANSWER[Side.STATE] if operation == "GetItem" else Fault()
    await asyncio.sleep(100)
    assert [problem.shard_id for problem in watched.problems] == [parent]
    await watched.end()


@virtually
async def test_without_heartbeats_and_without_lease_table_it_is_not_healthy() -> None:
    watched = await following()
    watched.worker.state_faults.fault = Fault(Throttled(Side.STATE, "injected"), delay_s=0.01)
    assert 8 < await watched.until(healthy=False, limit_s=14) < 13
    assert "no heartbeat" in watched.problems[0].why
    watched.worker.state_faults.fault = None
    await watched.until(healthy=True, limit_s=5)
    watched.leases_away_since_s = watched.worker.clock.boottime_s()
    assert await watched.until(healthy=False, limit_s=33) > 29
    assert "the lease table has not answered" in watched.problems[0].why
    await watched.end()


@virtually
async def test_how_far_behind_it_is_is_told_by_shard() -> None:
    watched = await following(2)
    metrics = watched.worker.metrics
    metrics.feed = Feed(metrics.value, per_shard=True)
    watched.worker.write_faults.fault = Fault(Throttled(Side.DESTINATION, "injected"), delay_s=0.01)
    watched.world.put("a")
    await asyncio.sleep(10)
    watched.worker.write_faults.fault = None
    behind = {
        datum.dimensions: datum.statistic.most for datum in metrics.feed.take(0) if datum.name == "MillisBehindLatest"
    }
    of_shards = sorted(most for dimensions, most in behind.items() if len(dimensions) == 2)
    assert of_shards[0] == 0
    assert 7000 < of_shards[1] < 11_000
    assert behind[("Operation", "ProcessTask"),] == of_shards[1]
    await watched.end()


@virtually
async def test_leases_are_counted_as_they_move() -> None:
    watched = await following(2)
    metrics = watched.worker.metrics
    assert (metrics.value("leases_taken"), metrics.value("leases_lost"), metrics.value("leases_released")) == (2, 0, 0)
    await watched.worker.stop()
    assert (metrics.value("leases_lost"), metrics.value("leases_released")) == (0, 2)
    await watched.end()


def test_the_log_tells_each_flip_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        watched = await following()
        watched.worker.write_faults.fault = Fault(Throttled(Side.DESTINATION, "injected"), delay_s=0.01)
        watched.world.put("a")
        await asyncio.sleep(100)
        watched.worker.write_faults.fault = None
        await asyncio.sleep(30)
        await watched.end()

    with caplog.at_level(logging.INFO, "dynamirror.health"):
        run_virtual(scenario())
    lines = [record.getMessage() for record in caplog.records if record.name == "dynamirror.health"]
    assert len(lines) == 2
    assert "none became durable" in lines[0]
    assert lines[1] == "healthy again"


@virtually
async def test_a_paused_task_is_healthy_and_so_is_one_that_goes_on() -> None:
    watched = await following()
    gate = watched.worker.tenure.follow.gate
    gate.set(closed=True)
    watched.world.put("k")
    await watched.stays_healthy(10 * STUCK_S)
    gate.set(closed=False)
    await watched.stays_healthy(STUCK_S)
    watched.worker.stream_faults.fault = NO_ANSWER[Side.SOURCE]
    await watched.until(healthy=False, limit_s=40)
    await watched.end()


@virtually
async def test_shards_that_cannot_be_listed_are_told_of() -> None:
    """The child of a shard that ends is not found: nothing is stuck that this worker has."""
    watched = await following()
    world, faults = watched.world, watched.worker.stream_faults
    faults.then = lambda operation: NO_ANSWER[Side.SOURCE] if operation == "DescribeStream" else None
    world.stream.roll(world.stream.open_shards()[0])
    assert await watched.until(False, 70.0 + STUCK_S + LOOK_S) > STUCK_S
    [problem] = watched.problems
    assert problem.why.startswith("new shards could not be looked for")
    faults.then = lambda operation: None
    await watched.until(True, 30.0)
    world.put_many(50, value=7)
    await world.until_equal(30.0)
    await watched.end()
