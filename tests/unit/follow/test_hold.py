"""While a copy runs a change is sent H after it was received, not earlier and not much later (R-1, R-3)."""

import asyncio
from dataclasses import replace

import pytest

from dynamirror.follow.hold import Hold
from dynamirror.follow.settling import Aftermath
from dynamirror.model.change import Write
from dynamirror.model.copy import Copy, Phase
from dynamirror.model.lease import SHARD_END, TRIM_HORIZON
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.follow.test_shard_task import World, cancelled, ended

HOLD_S = 60.0
COPYING = Copy(Phase.COPYING, 4, 0, True)


def copying(hold_bytes_max: int = 1_000_000, row_s: float = 0.0) -> World:
    world = World(hold_bytes_max=hold_bytes_max, known_s=10.0)
    world.knowledge.learn(replace(COPYING, hold_s=row_s), world.clock.boottime_s(), world.clock.wall_s())
    return world


def over(world: World) -> None:
    world.knowledge.learn(COPYING.moved(Phase.OVER), world.clock.boottime_s(), world.clock.wall_s())
    world.tools.hold.learned.notify()


def test_a_change_waits_for_the_hold_from_its_receipt() -> None:
    async def scenario() -> None:
        world = copying()
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("a")
            await asyncio.sleep(HOLD_S - 1)
            assert world.destination.items == {}
            await asyncio.sleep(3)
            assert world.destination.items == world.source.items
            assert world.tools.hold.budget.used == 0
            await cancelled(task)

    run_virtual(scenario())


@pytest.mark.parametrize("row_s,least_s", [(90.0, 90.0), (30.0, HOLD_S), (0.0, HOLD_S)])
@pytest.mark.parametrize("hold_bytes_max", [0, 1_000_000])
def test_a_change_waits_for_the_longer_hold(row_s: float, least_s: float, hold_bytes_max: int) -> None:
    """Of this worker, or of whoever announced the copy: pages may come from either."""

    async def scenario() -> None:
        world = copying(hold_bytes_max, row_s)
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("a")
            await asyncio.sleep(least_s - 1)
            assert world.destination.items == {}
            await asyncio.sleep(3)
            assert world.destination.items == world.source.items
            await cancelled(task)

    run_virtual(scenario())


@pytest.mark.parametrize("learned_after_s", [20.0, 75.0, 120.0])
@pytest.mark.parametrize("hold_bytes_max", [0, 1_000_000])
def test_what_waits_already_waits_for_the_hold_that_is_heard_of_later(
    learned_after_s: float, hold_bytes_max: int
) -> None:
    """1 a worker cannot read the row of the copy; 2 it receives a change; 3 it reads the row: H is longer than its own.
    Until then it does not know for how long others' pages may be on their way."""

    async def scenario() -> None:
        world = World(hold_bytes_max=hold_bytes_max, known_s=10.0)
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("a")
            await asyncio.sleep(learned_after_s)
            world.knowledge.learn(replace(COPYING, hold_s=90.0), world.clock.boottime_s(), world.clock.wall_s())
            world.tools.hold.learned.notify()
            await asyncio.sleep(max(0.0, 89 - learned_after_s))
            if learned_after_s < 89:
                assert world.destination.items == {}
            await asyncio.sleep(3)
            assert world.destination.items == world.source.items
            await cancelled(task)

    run_virtual(scenario())


@pytest.mark.parametrize("hold_bytes_max", [0, 1_000_000])
def test_nothing_is_due_before_the_row_was_read(hold_bytes_max: int) -> None:
    async def scenario() -> None:
        world = World(hold_bytes_max=hold_bytes_max, known_s=10.0)
        world.put("old")
        await asyncio.sleep(500)
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("young")
            await asyncio.sleep(500)
            assert world.destination.items == {}
            world.knowledge.learn(None, world.clock.boottime_s(), world.clock.wall_s())
            world.tools.hold.learned.notify()
            await asyncio.sleep(1)
            assert world.destination.items == world.source.items
            await cancelled(task)

    run_virtual(scenario())


def test_a_key_that_changes_all_the_time_is_written_all_the_time_and_never_too_early() -> None:
    """A-5, A-6: only what is due is coalesced."""

    async def scenario() -> None:
        world = copying()
        made: dict[str, float] = {}
        late: list[float] = []

        def watch(write: Write) -> None:
            late.append(world.clock.boottime_s() - made[write.sequence_number])

        world.destination._watch = watch
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            for value in range(60):
                [sequence] = world.put("hot", value=value)
                made[sequence] = world.clock.boottime_s()
                await asyncio.sleep(10)
            await cancelled(task)
        assert len(late) >= 50
        assert min(late) >= HOLD_S
        assert max(late) <= HOLD_S + 5

    run_virtual(scenario())


def test_a_backlog_does_not_wait() -> None:
    """A-7: held whole, it could be trimmed before its turn."""

    async def scenario() -> None:
        world = copying()
        world.put(*(f"k{number}" for number in range(3000)))
        await asyncio.sleep(7 * 60)
        world.put("young")
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            await asyncio.sleep(10)
            # The page with the young one waits; those before it do not.
            assert len(world.destination.items) >= 2000
            assert "young" not in world.destination.items
            await asyncio.sleep(HOLD_S)
            assert world.destination.items == world.source.items
            await cancelled(task)

    run_virtual(scenario())


def test_what_the_memory_cannot_hold_is_read_again_when_it_is_due() -> None:
    async def scenario() -> None:
        world = copying(hold_bytes_max=2_000)
        used = []
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            for number in range(200):
                world.put(f"k{number % 50}", value=number)
                used.append(world.tools.hold.budget.used)
                await asyncio.sleep(0.5)
            await asyncio.sleep(HOLD_S + 5)
            assert max(used) <= 2_000
            assert world.destination.items == world.source.items
            await asyncio.sleep(2)
            assert world.held.positions
            await cancelled(task)

    run_virtual(scenario())


def test_what_is_read_again_is_not_sent_before_its_time() -> None:
    async def scenario() -> None:
        world = copying(hold_bytes_max=0)
        made: dict[str, float] = {}
        waited: list[float] = []

        def watch(write: Write) -> None:
            waited.append(world.clock.boottime_s() - made[write.sequence_number])

        world.destination._watch = watch
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            for number in range(300):
                [sequence] = world.put(f"k{number}")
                made[sequence] = world.clock.boottime_s()
                await asyncio.sleep(0.3)
            await asyncio.sleep(HOLD_S + 5)
            await cancelled(task)
        assert len(waited) == 300
        assert min(waited) >= HOLD_S

    run_virtual(scenario())


@pytest.mark.parametrize("hold_bytes_max", [0, 1_000_000])
def test_when_the_copy_is_over_nothing_waits_any_more(hold_bytes_max: int) -> None:
    async def scenario() -> None:
        world = copying(hold_bytes_max)
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("a", "b")
            await asyncio.sleep(5)
            assert world.destination.items == {}
            over(world)
            await asyncio.sleep(1)
            assert world.destination.items == world.source.items
            await cancelled(task)

    run_virtual(scenario())


def test_a_worker_that_knows_nothing_holds() -> None:
    """A-3: its belief that there is no copy lasts for a while only."""

    async def scenario() -> None:
        world = World(known_s=10.0)
        world.knowledge.learn(None, world.clock.boottime_s(), world.clock.wall_s())
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("a")
            await asyncio.sleep(2)
            assert "a" in world.destination.items
            await asyncio.sleep(15)
            world.put("b")
            await asyncio.sleep(30)
            assert "b" not in world.destination.items
            await cancelled(task)

    run_virtual(scenario())


def test_a_shard_ends_only_when_nothing_waits() -> None:
    async def scenario() -> None:
        world = copying()
        world.put("a")
        world.stream.roll(world.shard_id)
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            await asyncio.sleep(HOLD_S - 5)
            assert world.held.positions == []
            assert await ended(task) is None
        assert world.held.positions[-1] == SHARD_END
        assert world.destination.items == world.source.items

    run_virtual(scenario())


def test_a_task_that_ends_early_gives_its_memory_back() -> None:
    async def scenario() -> None:
        world = copying()
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("a")
            await asyncio.sleep(5)
            assert world.tools.hold.budget.used > 0
            await cancelled(task)
        assert world.tools.hold.budget.used == 0
        assert world.held.positions == []

    run_virtual(scenario())


def test_a_cautious_start_lets_nothing_pass_that_was_read_ahead() -> None:
    """A backlog need not wait for the hold; it waits for the predecessor's last writes all the same."""

    async def scenario() -> None:
        world = copying()
        world.put("old")
        await asyncio.sleep(1000)
        async with world.applying():
            aftermath = Aftermath(world.clock.boottime_s() + 35, world.budget, cautious=True)
            task = asyncio.create_task(world.task(aftermath=aftermath).run())
            await asyncio.sleep(34)
            assert world.destination.items == {}
            await asyncio.sleep(10)
            assert world.destination.items == world.source.items
            await cancelled(task)

    run_virtual(scenario())


def test_a_full_queue_stops_reading_again_once_the_copy_is_over() -> None:
    async def scenario() -> None:
        world = copying()
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("a")
            await asyncio.sleep(5)
            full = asyncio.get_running_loop().create_future()
            world.applier.room = lambda: full  # type: ignore[method-assign]
            over(world)
            await asyncio.sleep(5)
            read = world.metrics.value("pages_read")
            await asyncio.sleep(30)
            assert world.metrics.value("pages_read") <= read + 1
            await cancelled(task)

    run_virtual(scenario())


def test_what_is_dropped_while_the_one_before_is_read_again_is_not_lost() -> None:
    """1 a dropped page is due, and read again up to its end; 2 the next one is dropped: were it remembered with that
    one, nobody would read it again."""

    async def lost(asleep_s: float) -> int:
        world = copying(hold_bytes_max=0)
        world.put(*(f"k{number}" for number in range(1500)))
        await asyncio.sleep(asleep_s)
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            await asyncio.sleep(30)
            await cancelled(task)
        return len(world.source.items) - len(world.destination.items)

    # Around the age from which on a change need not wait.
    assert [run_virtual(lost(359.90 + 0.01 * step)) for step in range(12)] == [0] * 12


def test_places_that_are_due_are_remembered_as_one() -> None:
    """A destination that takes nothing for hours, while all that is read is dropped."""

    async def remembered(seconds: int) -> int:
        world = copying(hold_bytes_max=0)
        hold = Hold(world.tools.hold, world.clock)
        [shard_id] = world.stream.open_shards()
        iterator = await world.stream.iterator_at(shard_id, TRIM_HORIZON)
        last = newest = ""
        for second in range(seconds):
            [newest] = world.put("k", value=second)
            page = await world.stream.read(iterator, 1000)
            assert page.next_iterator is not None
            iterator = page.next_iterator
            hold.keep(page)
            await asyncio.sleep(1.1)
        held = list(hold._held)
        # Each goes on where the one before it ends.
        assert [int(one.first_sequence) for one in held[1:]] == [int(one.last_sequence) + 1 for one in held[:-1]]
        await asyncio.sleep(2 * HOLD_S)
        while hold._held:
            last = (await hold.due()).last_sequence
            hold.handed_on()
        assert last == newest
        return len(held)

    assert run_virtual(remembered(600)) <= HOLD_S + 3
