"""What a shard shows of itself: what it waits for, since when, and how far it is behind."""

import asyncio

import pytest

from dynamirror.errors import Side, Throttled, Unanswered
from dynamirror.follow.settling import Aftermath
from dynamirror.model.health import STUCK_S, Doing
from dynamirror.model.permit import NEVER
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.follow.test_gap_passed import BEFORE_ALL, going_on
from tests.unit.follow.test_hold import copying
from tests.unit.follow.test_shard_task import World, cancelled

THROTTLED = Fault(Throttled(Side.DESTINATION, "injected"))


class Switch:
    """Faults of the destination, as long as they are on."""

    def __init__(self) -> None:
        self.fault: Fault | None = None

    def __call__(self, operation: str) -> Fault | None:
        return self.fault


def silent(world: World) -> bool:
    """The destination has answered nothing for as long as two attempts of a write take."""
    since_s = world.applier.silent_since_s
    return since_s is not None and since_s < world.clock.boottime_s() - 40


def test_writes_that_wait_and_writes_that_are_durable() -> None:
    async def scenario() -> None:
        faults = Switch()
        world = World(faults)
        async with world.applying():
            shard = world.task()
            task = asyncio.create_task(shard.run())
            world.put("a")
            await asyncio.sleep(5)
            durable_at_s = shard.signs().durable_at_s
            assert world.clock.boottime_s() - 5 < durable_at_s < world.clock.boottime_s() - 3
            assert shard.signs().waits_since_s is None
            assert shard.figures() == (0, 0.0)
            faults.fault = THROTTLED
            put_at_s = world.clock.boottime_s()
            world.put("b")
            await asyncio.sleep(9)
            waits_since_s = shard.signs().waits_since_s
            assert waits_since_s is not None
            assert put_at_s <= waits_since_s < put_at_s + 2
            assert shard.signs().durable_at_s == durable_at_s
            assert 8 < shard.figures()[1] < 11
            await cancelled(task)

    run_virtual(scenario())


def test_only_a_first_doubt_is_an_excuse() -> None:
    async def scenario() -> None:
        faults = Switch()
        world = World(faults)
        async with world.applying():
            shard = world.task()
            task = asyncio.create_task(shard.run())
            faults.fault = Fault(Unanswered(Side.DESTINATION, "injected"), delay_s=5.0)
            world.put("a")
            await asyncio.sleep(10)
            first_s = shard.signs().doubt_until_s
            assert world.clock.boottime_s() + 25 < first_s < world.clock.boottime_s() + 40
            assert not silent(world)
            await asyncio.sleep(35)
            assert shard.signs().doubt_until_s == first_s
            assert silent(world)
            faults.fault = None
            await asyncio.sleep(40)
            assert not silent(world)
            await cancelled(task)

    run_virtual(scenario())


def test_checkpoints_that_fail_say_since_when() -> None:
    async def scenario() -> None:
        world = World()
        async with world.applying():
            shard = world.task()
            task = asyncio.create_task(shard.run())
            world.held.fails = [Throttled(Side.STATE, "injected") for _ in range(5)]
            world.put("a")
            await asyncio.sleep(4)
            first_s = shard.signs().saving_fails_since_s
            assert first_s is not None
            assert first_s < world.clock.boottime_s() - 2
            await asyncio.sleep(5)
            assert not world.held.fails
            assert shard.signs().saving_fails_since_s is None
            assert shard.signs().saved_at_s > first_s
            await cancelled(task)

    run_virtual(scenario())


@pytest.mark.parametrize("hold_bytes_max", [1, 1_000_000])
def test_what_is_held_is_counted_whether_it_is_kept_or_dropped(hold_bytes_max: int) -> None:
    async def scenario() -> None:
        world = copying(hold_bytes_max)
        async with world.applying():
            shard = world.task()
            task = asyncio.create_task(shard.run())
            for number in range(30):
                world.put(f"k{number}", f"l{number}")
                await asyncio.sleep(0.5)
            await asyncio.sleep(1)
            held, behind_s = shard.figures()
            assert held == 60
            assert 15 <= behind_s < 18
            assert shard.signs().holds
            assert shard.signs().waits_since_s is None
            await cancelled(task)
            assert shard.figures()[0] == 0

    run_virtual(scenario())


def test_a_full_queue_is_what_reading_waits_for() -> None:
    async def scenario() -> None:
        faults = Switch()
        faults.fault = THROTTLED
        world = World(faults)
        async with world.applying():
            shard = world.task()
            task = asyncio.create_task(shard.run())
            world.applier.waits(16 * 1024 * 1024)
            await asyncio.sleep(5)
            assert shard.signs().doing is Doing.WAITING_FOR_ROOM
            world.applier.waits(-16 * 1024 * 1024)
            await asyncio.sleep(5)
            assert shard.signs().doing in (Doing.PAUSING, Doing.READING)
            assert shard.signs().read_at_s > world.clock.boottime_s() - 2
            await cancelled(task)

    run_virtual(scenario())


def test_after_an_unclean_start_what_is_sent_again_waits_since_then() -> None:
    async def scenario() -> None:
        faults = Switch()
        world = World(faults)
        async with world.applying():
            ends_at_s = world.clock.boottime_s() + 35
            shard = world.task(aftermath=Aftermath(ends_at_s, world.budget, cautious=False))
            task = asyncio.create_task(shard.run())
            world.put("a")
            await asyncio.sleep(10)
            assert (shard.signs().waits_since_s, shard.signs().settles_at_s) == (None, ends_at_s)
            faults.fault = THROTTLED
            await asyncio.sleep(30)
            waits_since_s = shard.signs().waits_since_s
            assert waits_since_s is not None
            assert ends_at_s <= waits_since_s < ends_at_s + 2
            assert shard.signs().settles_at_s == NEVER
            await cancelled(task)

    run_virtual(scenario())


def test_a_shard_that_nobody_reads_falls_behind() -> None:
    async def scenario() -> None:
        world = World()
        async with world.applying():
            shard = world.task()
            task = asyncio.create_task(shard.run())
            await asyncio.sleep(100)
            assert shard.figures() == (0, 0.0)
            world.applier.waits(16 * 1024 * 1024)
            await asyncio.sleep(STUCK_S + 10)
            assert STUCK_S < shard.figures()[1] < STUCK_S + 12
            await cancelled(task)

    run_virtual(scenario())


def test_before_a_gap_is_passed_a_predecessors_writes_are_waited_for() -> None:
    async def scenario() -> None:
        world, rows = going_on()
        world.put("a")
        world.stream.trim(keep_s=0.0)
        world.put("b")
        async with world.applying():
            ends_at_s = world.clock.boottime_s() + 35
            shard = world.task(BEFORE_ALL, aftermath=Aftermath(ends_at_s, world.budget, cautious=False))
            task = asyncio.create_task(shard.run())
            await asyncio.sleep(30)
            assert not rows.rows
            assert (shard.signs().doing, shard.signs().settles_at_s) == (Doing.ENDING, ends_at_s)
            await asyncio.sleep(20)
            assert rows.rows
            assert shard.signs().doing in (Doing.PAUSING, Doing.READING)
            await cancelled(task)

    run_virtual(scenario())
