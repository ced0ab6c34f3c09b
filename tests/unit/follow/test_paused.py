"""A shard of a paused task: what was on its way is written and saved, nothing more is read; then it goes on."""

import asyncio
from dataclasses import replace

from dynamirror.loops.gate import Gate
from dynamirror.model.copy import CopyKnowledge
from dynamirror.model.lease import LATEST
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.follow.test_shard_task import World, cancelled


def paused_world(closed: bool = True) -> tuple[World, Gate]:
    world, gate = World(), Gate()
    gate.set(closed)
    world.tools = replace(world.tools, gate=gate)
    return world, gate


async def reading(world: World) -> None:
    """Return once a change was read."""
    for _ in range(10_000):
        if world.metrics.value("changes_read"):
            return
        await asyncio.sleep(0.001)


def test_nothing_is_read_while_it_is_paused() -> None:
    async def scenario() -> None:
        world, gate = paused_world()
        world.put("a", "b")
        async with world.applying():
            following = asyncio.create_task(world.task().run())
            await asyncio.sleep(3600)
            assert not world.destination.items
            assert world.metrics.value("pages_read") == 0
            gate.set(False)
            await asyncio.sleep(5)
            assert world.destination.items == world.source.items
            await cancelled(following)

    run_virtual(scenario())


def test_what_was_on_its_way_is_written_and_saved() -> None:
    async def scenario() -> None:
        world, gate = paused_world(closed=False)
        async with world.applying():
            following = asyncio.create_task(world.task().run())
            await asyncio.sleep(5)
            [place] = world.put("a")
            # Its page is asked for by now.
            await reading(world)
            gate.set(True)
            world.put("b")
            await asyncio.sleep(30)
            assert [str(item) for item in world.destination.items] == [str(key) for key in list(world.source.items)[:1]]
            assert world.held.positions[-1] == place
            gate.set(False)
            await asyncio.sleep(5)
            assert world.destination.items == world.source.items
            await cancelled(following)

    run_virtual(scenario())


def test_what_waits_for_a_copy_waits_longer() -> None:
    async def scenario() -> None:
        world, gate = paused_world(closed=False)
        world.knowledge = CopyKnowledge(0.0)
        world.tools = replace(world.tools, hold=replace(world.tools.hold, knowledge=world.knowledge))
        async with world.applying():
            following = asyncio.create_task(world.task().run())
            world.put("a")
            await asyncio.sleep(2)
            gate.set(True)
            world.knowledge.learn(None, 1e12, 1e12)
            world.tools.hold.learned.notify()
            await asyncio.sleep(600)
            assert not world.destination.items
            gate.set(False)
            await asyncio.sleep(5)
            assert world.destination.items == world.source.items
            await cancelled(following)

    run_virtual(scenario())


def test_nothing_is_received_ahead_either() -> None:
    """While a copy runs, changes are received whether there is room for them or not."""

    async def scenario() -> None:
        world, gate = paused_world()
        world.tools = replace(world.tools, hold=replace(world.tools.hold, knowledge=CopyKnowledge(0.0)))
        async with world.applying():
            following = asyncio.create_task(world.task().run())
            world.put("a")
            await asyncio.sleep(60)
            assert world.metrics.value("pages_read") == 0
            gate.set(False)
            await asyncio.sleep(5)
            assert world.metrics.value("pages_read") > 0
            await cancelled(following)

    run_virtual(scenario())


def test_latest_is_not_asked_for_after_a_pause() -> None:
    """Else what came meanwhile would be skipped."""

    async def scenario() -> None:
        world, gate = paused_world()
        start_ms = int(world.clock.wall_s() * 1000)
        async with world.applying():
            following = asyncio.create_task(world.task(LATEST, start_ms, at_latest=True).run())
            await asyncio.sleep(10)
            world.put("a")
            await asyncio.sleep(10)
            gate.set(False)
            await asyncio.sleep(5)
            assert world.destination.items == world.source.items
            await cancelled(following)

    run_virtual(scenario())


def test_up_to_when_all_is_durable() -> None:
    async def scenario() -> None:
        world, _ = paused_world(closed=False)
        lag_ms: list[float] = []
        async with world.applying():
            task = world.task()
            following = asyncio.create_task(task.run())
            assert task.applied_to_ms is None
            # Empty pages move it too.
            for keys in ((), ("a",), ()):
                world.put(*keys)
                await asyncio.sleep(60)
                lag_ms.append(world.clock.wall_s() * 1000 - (task.applied_to_ms or 0))
            await cancelled(following)
        assert all(0 <= lag < 3000 for lag in lag_ms), lag_ms

    run_virtual(scenario())
