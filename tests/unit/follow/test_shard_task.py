"""A shard from its checkpoint to SHARD_END, under a lease that may fail, on in-memory tables."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from dynamirror.errors import Gap, LeaseLost, Side, Stop, Throttled
from dynamirror.follow.apply import Applier
from dynamirror.follow.gaps import GapPolicy
from dynamirror.follow.hold import HoldTools
from dynamirror.follow.read import ReadTools
from dynamirror.follow.send import ApplyTools
from dynamirror.follow.settling import Aftermath, Budget
from dynamirror.follow.shard_task import ShardTask
from dynamirror.follow.tools import Entry, FollowTools
from dynamirror.loops.log_limit import LogLimit
from dynamirror.loops.signal import Signal
from dynamirror.loops.turns import Turns
from dynamirror.model.change import Write
from dynamirror.model.copy import CopyKnowledge
from dynamirror.model.key import KeyAttribute, KeyCodec, KeySchema
from dynamirror.model.lease import LATEST, SHARD_END, TRIM_HORIZON, Lease, pass_gap
from dynamirror.model.permit import Permit
from dynamirror.model.skip import Skip
from dynamirror.model.watermark import Watermark
from dynamirror.observe.metrics import Metrics
from dynamirror.settings.groups import HoldSettings, LeaseSettings, ReadSettings, WriteSettings
from dynamirror.testing.faults import Fault, Faults, Line, Scripted, no_faults
from dynamirror.testing.memory_stream import MemoryStream
from dynamirror.testing.memory_table import MemorySource, MemoryTable
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.gap_policies import stopping
from tests.support.parking import nowhere

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "S")))
HANG = Fault(delay_s=1e9)


class Held:
    """A lease that notes its checkpoints; `fails` holds what the next ones raise."""

    def __init__(self, clock: VirtualClock) -> None:
        self.lease = Lease("none", TRIM_HORIZON)
        self.permit = Permit()
        self.proofs = 0
        self.saved: list[tuple[float, str, bool]] = []
        self.fails: list[Exception] = []
        self.proof_fails: list[Exception] = []
        self._clock = clock

    async def prove(self) -> None:
        sent_at_s = self._clock.boottime_s()
        await asyncio.sleep(0.01)
        if self.proof_fails:
            raise self.proof_fails.pop(0)
        self.proofs += 1
        self.permit.until_s = sent_at_s + 1.0

    async def checkpoint(self, position: str, skipped_all: bool = False) -> None:
        await asyncio.sleep(0.01)
        if self.fails:
            raise self.fails.pop(0)
        self.saved.append((self._clock.boottime_s(), position, skipped_all))

    async def pass_gap(self, noted_at_ms: int) -> None:
        await asyncio.sleep(0.01)
        self.lease = pass_gap(self.lease, noted_at_ms).after

    @property
    def positions(self) -> list[str]:
        return [position for _, position, _ in self.saved]


class World:
    """One shard, one destination, one applier."""

    def __init__(
        self, write_faults: Faults = no_faults, hold_bytes_max: int = 1_000_000, known_s: float = float("inf")
    ) -> None:
        self.clock = VirtualClock()
        self.stream = MemoryStream(self.clock, Line(latency_s=0.01))
        self.source = MemorySource(CODEC, self.stream)
        self.destination = MemoryTable(CODEC, Line(write_faults, latency_s=0.01))
        self.metrics = Metrics()
        draw = random.Random(1).random
        self.late: list[Write] = []
        tools = ApplyTools(
            self.destination,
            self.clock,
            draw,
            self.metrics,
            WriteSettings(),
            self.late.extend,
            nowhere(self.clock, self.metrics),
        )
        self.applier = Applier(tools)
        self.budget = Budget(10_000)
        self.knowledge = CopyKnowledge(known_s)
        read = ReadTools(self.stream, self.clock, draw, ReadSettings(), Turns(4), self.metrics)
        self.tools = FollowTools(
            read,
            self.applier,
            CODEC,
            self.metrics,
            LeaseSettings(),
            self.budget,
            self.late.extend,
            LogLimit(self.clock, 10),
            HoldTools(self.knowledge, Signal(), HoldSettings(), Budget(hold_bytes_max)),
            stopping(),
        )
        self.held = Held(self.clock)
        [self.shard_id] = self.stream.open_shards()

    def go_on(self, gaps: GapPolicy) -> None:
        """Behind gaps."""
        self.tools = replace(self.tools, gaps=gaps)

    def put(self, *keys: str, value: int = 0) -> list[str]:
        return [str(self.source.put({"id": {"S": key}, "v": {"N": str(value)}})) for key in keys]

    def task(
        self,
        checkpoint: str = TRIM_HORIZON,
        start_at_ms: int | None = None,
        at_latest: bool = False,
        aftermath: Aftermath | None = None,
    ) -> ShardTask:
        self.held.lease = Lease(self.shard_id, checkpoint, "me", 1, start_at_ms=start_at_ms)
        return ShardTask(self.tools, self.held, Entry(Skip(start_at_ms), at_latest, aftermath))

    @asynccontextmanager
    async def applying(self) -> AsyncIterator[None]:
        applying = asyncio.create_task(self.applier.run())
        try:
            yield
        finally:
            applying.cancel()
            await asyncio.wait([applying])
        assert asyncio.all_tasks() == {asyncio.current_task()}, "tasks leaked"


async def ended(task: asyncio.Task[None]) -> BaseException | None:
    """What a task ended with, out of its group."""
    await asyncio.wait([task], timeout=1000)
    assert task.done()
    error = task.exception()
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def test_a_closed_shard_is_followed_to_its_end() -> None:
    async def scenario() -> None:
        world = World()
        world.put(*(f"k{i}" for i in range(500)))
        world.stream.roll(world.shard_id)
        async with world.applying():
            await world.task().run()
        assert world.destination.items == world.source.items
        assert world.held.positions[-1] == SHARD_END
        assert world.metrics.value("changes_applied") == 500

    run_virtual(scenario())


def test_the_checkpoint_is_saved_once_a_second_at_most_and_only_when_it_moved() -> None:
    async def scenario() -> None:
        world = World()
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            for i in range(99):
                world.put("hot", value=i)
                await asyncio.sleep(0.1)
            [last] = world.put("hot", value=99)
            await asyncio.sleep(60)
            times = [at for at, _, _ in world.held.saved]
            assert 9 <= len(times) <= 12
            assert all(b - a >= 1 for a, b in itertools.pairwise(times))
            assert world.held.positions[-1] == last
            await cancelled(task)

    run_virtual(scenario())


def test_an_idle_shard_waits_for_its_next_page_alone_and_saves_within_seconds_again() -> None:
    async def scenario() -> None:
        world = World()
        reading = replace(world.tools.read, settings=ReadSettings(idle_poll_max_s=100.0))
        world.tools = replace(world.tools, read=reading)
        slept_s: list[float] = []
        sleep = world.clock.sleep

        async def noting(delay_s: float) -> None:
            slept_s.append(delay_s)
            await sleep(delay_s)

        world.clock.sleep = noting  # type: ignore[method-assign]
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            for value in range(3):
                await asyncio.sleep(1000)
                slept_s.clear()
                await asyncio.sleep(1000)
                assert set(slept_s) == {100.0}
                [last] = world.put("a", value=value)
                await asyncio.sleep(100 + 2)
                assert world.held.positions[-1:] == [last]
            await cancelled(task)

    run_virtual(scenario())


def test_shard_end_waits_until_everything_is_durable() -> None:
    async def scenario() -> None:
        throttles = [Fault(Throttled(Side.DESTINATION, "injected"))] * 20
        world = World(Scripted("BatchWriteItem", throttles))
        world.put("a", "b")
        world.stream.roll(world.shard_id)
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            await asyncio.sleep(30)
            assert world.held.saved == []
            await task
            assert world.held.positions == [SHARD_END]
            assert world.destination.items == world.source.items

    run_virtual(scenario())


def test_shard_end_is_saved_again_and_again_until_it_is() -> None:
    async def scenario() -> None:
        world = World()
        world.held.fails = [Throttled(Side.STATE, "injected")] * 20
        world.stream.roll(world.shard_id)
        async with world.applying():
            await world.task().run()
        assert world.held.positions == [SHARD_END]
        assert not world.held.fails

    run_virtual(scenario())


def test_a_checkpoint_that_failed_is_saved_with_the_next() -> None:
    async def scenario() -> None:
        world = World()
        world.held.fails = [Throttled(Side.STATE, "injected")]
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            [last] = world.put("a")
            await asyncio.sleep(5)
            assert world.held.positions == [last]
            await cancelled(task)

    run_virtual(scenario())


def test_a_lost_lease_ends_the_task() -> None:
    async def scenario() -> None:
        world = World()
        world.held.fails = [LeaseLost("taken")]
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("a")
            assert isinstance(await ended(task), LeaseLost)

    run_virtual(scenario())


def test_a_lease_lost_at_the_very_end_ends_the_task_too() -> None:
    async def scenario() -> None:
        world = World()
        world.held.fails = [LeaseLost("taken")]
        world.stream.roll(world.shard_id)
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            assert isinstance(await ended(task), LeaseLost)

    run_virtual(scenario())


def test_a_page_is_handed_on_only_once_the_lease_is_proven() -> None:
    async def scenario() -> None:
        world = World()
        world.held.proof_fails = [Throttled(Side.STATE, "injected")] * 20
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("a")
            await asyncio.sleep(5)
            assert "waiting=0, flying=0" in repr(world.applier)
            assert "bytes=0" not in repr(world.applier), "its page takes room"
            await asyncio.sleep(60)
            assert world.destination.items == world.source.items
            assert "bytes=0" in repr(world.applier)
            await cancelled(task)

    run_virtual(scenario())


def test_a_page_that_comes_after_the_lease_was_lost_is_not_handed_on() -> None:
    """Its images could replace newer ones of a child shard, which others' reading has brought to this worker."""

    async def scenario() -> None:
        world = World(Scripted("BatchWriteItem", [Fault(Throttled(Side.DESTINATION, "injected"), delay_s=0.1)]))
        world.held.proof_fails = [LeaseLost("taken")]
        async with world.applying():
            follower = world.task()
            task = asyncio.create_task(follower.run())
            world.put("a", value=1)
            newer = Watermark(Permit(float("inf")))
            request = b'{"PutRequest":{"Item":{"id":{"S":"a"},"v":{"N":"2"}}}}'
            await asyncio.sleep(0.005)
            world.applier.submit([Write(CODEC.of(b'{"id":{"S":"a"}}'), request, "2")], newer.add("2", 1))
            assert isinstance(await ended(task), LeaseLost)
            follower.abandon()
            await asyncio.sleep(5)
            assert newer.settled
            assert world.destination.items["a"]["v"] == {"N": "2"}

    run_virtual(scenario())


def test_after_cancelling_finish_drains_and_saves() -> None:
    async def scenario() -> None:
        world = World(Scripted("BatchWriteItem", [Fault(delay_s=3.0)]))
        async with world.applying():
            follower = world.task()
            task = asyncio.create_task(follower.run())
            [last] = world.put("a")
            await asyncio.sleep(1.5)
            await cancelled(task)
            assert world.held.saved == []
            await follower.finish()
            assert world.held.positions == [last]
            assert world.destination.items == world.source.items

    run_virtual(scenario())


def test_save_now_saves_what_is_durable_and_waits_for_nothing() -> None:
    async def scenario() -> None:
        world = World(Scripted("BatchWriteItem", [None, HANG]))
        async with world.applying():
            follower = world.task()
            task = asyncio.create_task(follower.run())
            [first] = world.put("a")
            await asyncio.sleep(0.5)
            world.put("b")
            await asyncio.sleep(0.3)
            await cancelled(task)
            follower.abandon()
            async with asyncio.timeout(1):
                await follower.save_now()
            assert world.held.positions == [first]

    run_virtual(scenario())


def test_finishing_an_abandoned_shard_does_not_wait_for_what_was_dropped() -> None:
    async def scenario() -> None:
        world = World(Scripted("BatchWriteItem", [Fault(Throttled(Side.DESTINATION, "injected"))] * 50))
        async with world.applying():
            follower = world.task()
            task = asyncio.create_task(follower.run())
            world.put("a")
            await asyncio.sleep(0.2)
            await cancelled(task)
            follower.abandon()
            with pytest.raises(LeaseLost):
                await asyncio.wait_for(follower.finish(), 5)

    run_virtual(scenario())


def test_a_gap_ends_the_task_and_saves_no_shard_end() -> None:
    async def scenario() -> None:
        world = World()
        world.put("a", "b")
        await asyncio.sleep(25 * 3600)
        world.stream.trim()
        world.put("c")
        async with world.applying():
            task = asyncio.create_task(world.task("100000000000000000001").run())
            assert isinstance(await ended(task), Gap)
        assert world.held.saved == []
        assert world.destination.items == {}

    run_virtual(scenario())


def test_an_unknown_event_ends_the_task_before_its_checkpoint() -> None:
    async def scenario() -> None:
        world = World()
        async with world.applying():
            follower = world.task()
            task = asyncio.create_task(follower.run())
            [first] = world.put("a")
            await asyncio.sleep(0.5)
            world.stream.append("b", "UPSERT", {"Keys": {"id": {"S": "b"}}})
            assert isinstance(await ended(task), Stop)
            await follower.save_now()
            assert world.held.positions == [first]

    run_virtual(scenario())


# --- skipping and LATEST


def test_a_shard_that_was_all_skipped_says_so_at_its_end() -> None:
    async def scenario() -> None:
        world = World()
        world.put("old")
        world.stream.roll(world.shard_id)
        start_ms = int(world.clock.wall_s() * 1000) + 3_600_000
        async with world.applying():
            await world.task(start_at_ms=start_ms).run()
        assert [(position, skipped) for _, position, skipped in world.held.saved] == [(SHARD_END, True)]
        assert world.destination.items == {}

    run_virtual(scenario())


def test_from_the_first_wanted_change_on_nothing_is_skipped() -> None:
    async def scenario() -> None:
        world = World()
        world.put("old")
        await asyncio.sleep(3600)
        start_ms = int(world.clock.wall_s() * 1000)
        world.put("new")
        world.stream.roll(world.shard_id)
        async with world.applying():
            await world.task(start_at_ms=start_ms).run()
        assert set(world.destination.items) == {"new"}
        assert not any(skipped for _, _, skipped in world.held.saved)

    run_virtual(scenario())


@pytest.mark.parametrize("at_latest,applied", [(True, {"later"}), (False, {"before", "later"})])
def test_latest_is_taken_literally_only_by_the_process_that_wrote_it_just_now(
    at_latest: bool, applied: set[str]
) -> None:
    """Another process begins at the oldest record and skips by time: what came since LATEST was written counts."""

    async def scenario() -> None:
        world = World()
        world.put("long ago")
        await asyncio.sleep(3600)
        start_ms = int(world.clock.wall_s() * 1000)
        world.put("before")
        async with world.applying():
            task = asyncio.create_task(world.task(LATEST, start_ms, at_latest).run())
            await asyncio.sleep(0.5)
            world.put("later")
            await asyncio.sleep(5)
            assert set(world.destination.items) == applied
            await cancelled(task)

    run_virtual(scenario())
