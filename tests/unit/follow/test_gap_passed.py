"""Behind a gap: drained first, then durable, then on at the oldest record (R-11)."""

import asyncio
from collections.abc import Sequence
from unittest.mock import patch

from dynamirror.errors import DynamirrorError, Gap, Side, Throttled
from dynamirror.follow.shard_task import ShardTask
from dynamirror.model.copy import Copy, Phase
from dynamirror.model.gap import OpenGap
from dynamirror.model.lease import SHARD_END
from dynamirror.testing.faults import Fault, Scripted
from dynamirror.testing.virtual_time import run_virtual
from tests.support.gap_policies import continuing
from tests.unit.follow.test_shard_task import HANG, World, cancelled, ended

BEFORE_ALL = "100000000000000000001"


class Rows:
    """Gaps by id, in memory; each with what the destination had when it was written."""

    def __init__(self, world: World) -> None:
        self.rows: dict[str, OpenGap] = {}
        self.destinations: list[set[object]] = []
        self.fails: list[DynamirrorError] = []
        self._world = world

    async def open_gap(self, gap: OpenGap) -> None:
        await asyncio.sleep(0.01)
        if self.fails:
            raise self.fails.pop(0)
        self.rows[gap.id] = gap
        self.destinations.append({*self._world.destination.items})

    async def gaps(self) -> list[OpenGap]:
        return [*self.rows.values()]

    async def close_gap(self, gap: OpenGap) -> bool:
        return self.rows.pop(gap.id, None) is not None


def going_on(faults: Sequence[Fault] = (), hold_bytes_max: int = 1_000_000) -> tuple[World, Rows]:
    known_s = 10.0 if not hold_bytes_max else float("inf")
    world = World(Scripted("BatchWriteItem", list(faults)), hold_bytes_max, known_s)
    rows = Rows(world)
    world.go_on(continuing(rows, world.clock, world.metrics))
    return world, rows


def keys(found: set[object]) -> set[str]:
    return {key[0][1] for key in found}  # type: ignore[index]


def test_the_rest_is_read_behind_a_gap_that_is_noted() -> None:
    async def scenario() -> None:
        world, rows = going_on()
        world.put("a", "b")
        world.stream.trim(keep_s=0.0)
        [c] = world.put("c")
        rows.fails = [Throttled(Side.STATE, "injected")] * 3
        async with world.applying():
            task = asyncio.create_task(world.task(BEFORE_ALL).run())
            await asyncio.sleep(20)
            [gap] = rows.rows.values()
            assert (gap.shard_id, gap.behind, gap.worker) == (world.shard_id, BEFORE_ALL, "me")
            assert rows.destinations == [set()], "noted before anything behind it"
            assert len(world.destination.items) == 1
            assert world.held.positions == [c]
            assert world.metrics.value("gaps_open") == 1
            world.put("d")
            await asyncio.sleep(5)
            assert len(world.destination.items) == 2
            assert len(rows.destinations) == 1
            await cancelled(task)

    run_virtual(scenario())


def older_change_is_there_when_the_gap_is_noted() -> bool:
    """B-5: 1 c1 is read, and cannot be written yet; 2 c2 is trimmed unread; 3 the gap is noted, and may be mended."""

    async def scenario() -> bool:
        world, rows = going_on([Fault(Throttled(Side.DESTINATION, "injected"))] * 12)
        [c1] = world.put("a")
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            await asyncio.sleep(0.5)
            assert not world.destination.items
            world.put("a", value=2)
            world.stream.trim(keep_s=0.0)
            world.put("c")
            await asyncio.sleep(60)
            [gap] = rows.rows.values()
            assert gap.behind == c1
            assert len(world.destination.items) == 2
            await cancelled(task)
            return len(rows.destinations[0]) == 1 and world.held.positions[0] == c1

    return run_virtual(scenario())


def test_what_lies_before_a_gap_is_durable_before_the_gap_is() -> None:
    assert older_change_is_there_when_the_gap_is_noted()


def test_without_draining_first_it_is_not() -> None:
    async def settled(self: ShardTask) -> None:
        """What is on its way is not waited for."""

    with patch.object(ShardTask, "_settled", settled):
        assert not older_change_is_there_when_the_gap_is_noted()


def test_held_changes_that_were_dropped_and_trimmed_are_a_gap() -> None:
    """Of what waited for a copy the first pages are gone, and the others are applied."""

    async def scenario() -> None:
        world, rows = going_on(hold_bytes_max=0)
        world.knowledge.learn(Copy(Phase.COPYING, 1, 0, was_empty=True), world.clock.boottime_s(), world.clock.wall_s())
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("a")
            await asyncio.sleep(3)
            world.stream.trim(keep_s=0.0)
            world.put("b")
            await asyncio.sleep(200)
            [gap] = rows.rows.values()
            assert gap.shard_id == world.shard_id
            assert rows.destinations == [set()]
            assert len(world.destination.items) == 1
            await cancelled(task)

    run_virtual(scenario())


def test_a_shard_that_the_stream_has_forgotten_is_finished_behind_its_gap() -> None:
    async def scenario() -> None:
        world, rows = going_on()
        [a] = world.put("a")
        world.stream.roll(world.shard_id)
        world.stream.trim(keep_s=0.0)
        async with world.applying():
            await world.task(a).run()
        assert [gap.behind for gap in rows.rows.values()] == [a]
        assert world.held.positions == [SHARD_END]

    run_virtual(scenario())


def test_found_again_it_is_the_same_gap() -> None:
    """1 the gap is noted; 2 the worker dies before its next checkpoint."""

    async def scenario() -> None:
        world, rows = going_on()
        world.put("a", "b")
        world.stream.trim(keep_s=0.0)
        async with world.applying():
            for _ in range(2):
                task = asyncio.create_task(world.task(BEFORE_ALL).run())
                await asyncio.sleep(3)
                await cancelled(task)
        assert len(rows.rows) == 1
        assert len(rows.destinations) == 2

    run_virtual(scenario())


def test_what_is_left_behind_a_gap_is_missed_once_some_of_it_was_sent() -> None:
    """1 a gap is noted; 2 c1, the oldest change left, is sent, after a comparison has seen its item; 3 the worker dies
    before its checkpoint; 4 the comparison closes the gap; 5 c1 and c2 of the item are trimmed: the item stays at c1.
    So the row has to say how old c1 is, before it is sent."""

    async def scenario() -> None:
        world, rows = going_on([HANG])
        world.put("a")
        world.stream.trim(keep_s=0.0)
        world.put("c")
        written_ms = int(world.clock.wall_s() * 1000)
        await asyncio.sleep(20 * 3600)
        async with world.applying():
            task = asyncio.create_task(world.task(BEFORE_ALL).run())
            await asyncio.sleep(5)
            assert len(rows.rows) == 1
            assert world.held.lease.behind_gap
            assert (world.held.lease.since_ms or 0) <= written_ms
            await cancelled(task)

    run_virtual(scenario())


def test_without_a_place_for_it_a_gap_stops_the_worker() -> None:
    async def scenario() -> None:
        world = World()
        world.put("a", "b")
        world.stream.trim(keep_s=0.0)
        world.put("c")
        async with world.applying():
            assert isinstance(await ended(asyncio.create_task(world.task(BEFORE_ALL).run())), Gap)
        assert world.destination.items == {}

    run_virtual(scenario())
