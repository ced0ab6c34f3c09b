"""What was dropped while changes waited is read again whole, or it is a gap."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from dynamirror.errors import Gap
from dynamirror.loops.gate import Gate
from dynamirror.settings.groups import WriteSettings
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.follow.test_hold import copying, over
from tests.unit.follow.test_shard_task import World, cancelled

UNSTAMPED: dict[str, Any] = {
    "ApproximateCreationDateTime": 0,
    "Keys": {"id": {"S": "a"}},
    "NewImage": {"id": {"S": "a"}},
}


async def gap_of(task: "asyncio.Task[None]") -> None:
    with pytest.raises(BaseExceptionGroup) as failure:
        await asyncio.wait_for(task, 2000)
    assert failure.value.split(Gap)[0] is not None


@pytest.mark.parametrize("newer", [True, False])
def test_the_oldest_record_must_be_the_one_that_it_was(newer: bool) -> None:
    """1 the first page of a shard is received, waits, and is dropped; 2 it is trimmed; 3 asked for again, the shard
    begins with what came after it, or brings nothing for ever."""

    async def scenario() -> None:
        world = copying(hold_bytes_max=0)
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("lost")
            await asyncio.sleep(30)
            if newer:
                world.put("kept")
            await asyncio.sleep(20)
            world.stream.trim(keep_s=35)
            await gap_of(task)
            assert not world.held.positions, "the checkpoint has passed a change that nobody has applied"

    run_virtual(scenario())


def test_what_was_trimmed_of_one_page_is_a_gap() -> None:
    async def scenario() -> None:
        world = copying(hold_bytes_max=0)
        world.put("lost")
        await asyncio.sleep(20)
        world.put("kept")
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            await asyncio.sleep(20)
            world.stream.trim(keep_s=30)
            await gap_of(task)
            assert not world.held.positions

    run_virtual(scenario())


def test_the_end_of_a_shard_does_not_hide_what_was_trimmed() -> None:
    async def scenario() -> None:
        world = copying(hold_bytes_max=0)
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("lost")
            await asyncio.sleep(30)
            world.stream.trim(keep_s=5)
            world.stream.roll(world.shard_id)
            await gap_of(task)
            assert not world.held.positions

    run_virtual(scenario())


@pytest.mark.parametrize("empty", [1, 40])
def test_empty_pages_before_it_do_no_harm(empty: int) -> None:
    async def scenario() -> None:
        world = copying(hold_bytes_max=0)
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("a")
            await asyncio.sleep(58)
            world.stream.send_empty_pages(world.shard_id, empty)
            world.put("b")
            await asyncio.sleep(120)
            assert world.destination.items == world.source.items
            await cancelled(task)

    run_virtual(scenario())


def test_records_beside_one_without_a_stamp_wait_with_it() -> None:
    async def scenario() -> None:
        world = copying()
        world.put("old")
        await asyncio.sleep(1000)
        unstamped(world)
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            await asyncio.sleep(55)
            assert world.destination.items == {}
            await asyncio.sleep(10)
            assert sorted(world.destination.items) == ["a", "old"]
            await cancelled(task)

    run_virtual(scenario())


def test_it_is_read_with_pauses() -> None:
    async def scenario() -> None:
        world = copying(hold_bytes_max=0)
        reads, read = [], world.stream.read

        async def counted(iterator: str, records_max: int) -> Any:
            reads.append(iterator)
            return await read(iterator, records_max)

        world.stream.read = counted  # type: ignore[method-assign]
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("lost")
            await asyncio.sleep(30)
            world.stream.trim(keep_s=5)
            await asyncio.sleep(35)
            reads.clear()
            await asyncio.sleep(30)
            assert len(reads) < 150
            await cancelled(task)

    run_virtual(scenario())


@pytest.mark.parametrize("paused", [False, True])
def test_it_is_read_once_there_is_room_for_it(paused: bool) -> None:
    """A page in the hand of each shard would be memory beyond what may wait to be sent; of a paused task none is."""

    async def scenario() -> None:
        world, gate = copying(hold_bytes_max=0), Gate()
        world.tools = replace(world.tools, gate=gate)
        pages, read = 0, world.stream.read

        async def counted(iterator: str, records_max: int) -> Any:
            nonlocal pages
            page = await read(iterator, records_max)
            pages += bool(page.records)
            return page

        world.stream.read = counted  # type: ignore[method-assign]
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            world.put("a")
            await asyncio.sleep(30)
            gate.set(paused)
            full_bytes = 0 if paused else WriteSettings().queue_bytes_max
            world.applier.waits(full_bytes)
            await asyncio.sleep(60)
            assert pages == 1
            gate.set(False)
            world.applier.waits(-full_bytes)
            await asyncio.sleep(5)
            assert pages == 2
            assert world.destination.items == world.source.items
            await cancelled(task)

    run_virtual(scenario())


def unstamped(world: World) -> None:
    world.stream.append("a", "INSERT", UNSTAMPED)


def test_records_without_a_stamp_wait_in_full() -> None:
    """How old they are is not known: they may be younger than the page of the copy that is on its way."""

    async def scenario() -> None:
        world = copying()
        async with world.applying():
            task = asyncio.create_task(world.task().run())
            unstamped(world)
            await asyncio.sleep(20)
            assert world.destination.items == {}
            await cancelled(task)

    run_virtual(scenario())


def test_records_without_a_stamp_are_not_skipped() -> None:
    async def scenario() -> None:
        world = copying()
        over(world)
        async with world.applying():
            start_at_ms = int(world.clock.wall_s() * 1000) - 900_000
            task = asyncio.create_task(world.task(start_at_ms=start_at_ms).run())
            unstamped(world)
            await asyncio.sleep(20)
            assert world.destination.items
            await cancelled(task)

    run_virtual(scenario())
