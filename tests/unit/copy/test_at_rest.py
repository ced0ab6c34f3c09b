"""The same copier where nobody follows the table: no leases, no wait before the first page."""

import asyncio
from dataclasses import replace

import pytest

from dynamirror.copy.copier import Copier
from dynamirror.model.copy import Phase
from dynamirror.settings.groups import HoldSettings
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.copy.world import COPY, LIFE_S, SILENCE_S, WRITE, Worker, World, now_s

ITEMS = 1_000
AT_REST = HoldSettings(hold_s=LIFE_S + WRITE.settle_s, known_s=0.0)


def worker_of(world: World, name: str, longer_s: float = 0.0) -> Worker:
    hold = replace(AT_REST, hold_s=AT_REST.hold_s + longer_s)
    worker = Worker(world, name, hold=hold, write=replace(WRITE, stray_life_s=WRITE.stray_life_s + longer_s))
    worker.tools = replace(worker.tools, leases=None)
    worker.copier = Copier(worker.tools, lambda: True)
    return worker


def test_a_copy_at_rest_begins_at_once_and_is_over_when_nothing_can_land() -> None:
    async def steps() -> None:
        world = World(ITEMS)
        await world.announce(Phase.COPYING, AT_REST.hold_s)
        begun_s = now_s()
        worker = worker_of(world, "w1").start()
        done_s = await world.reached(Phase.DONE)
        assert worker.scans.pages[0][0] - begun_s < 1
        over_s = await world.reached(Phase.OVER)
        assert over_s - done_s > AT_REST.hold_s
        assert over_s - done_s < AT_REST.hold_s + 3 * COPY.watch_s
        assert world.destination == world.source
        assert await world.counts() == (ITEMS, ITEMS)
        await worker.kill()

    run_virtual(steps())


def test_the_segments_of_a_killed_worker_are_gone_on_with_from_their_last_page() -> None:
    async def steps() -> None:
        world = World(ITEMS)
        await world.announce(Phase.COPYING, AT_REST.hold_s)
        first = worker_of(world, "w1").start()
        while (await world.counts())[0] == 0:
            assert now_s() < 100
            await asyncio.sleep(0.01)
        await first.kill()
        killed_s = now_s()
        counted = (await world.counts())[0]
        second = worker_of(world, "w2").start()
        await world.reached(Phase.DONE)
        assert now_s() - killed_s > SILENCE_S
        assert await world.counts() == (ITEMS, ITEMS)
        assert world.destination == world.source
        # What was counted is not read again.
        assert sum(read for *_, read in second.scans.pages) == ITEMS - counted
        await second.kill()

    run_virtual(steps())


@pytest.mark.parametrize("begun_with_s", [AT_REST.hold_s, 0.0])
def test_it_is_over_when_nothing_can_land_of_whoever_may_be_late_longest(begun_with_s: float) -> None:
    """The one that has begun it, and takes its last step, knows nothing of the other's stray life but by the row."""

    async def steps() -> None:
        world = World(ITEMS)
        await world.announce(Phase.COPYING, begun_with_s)
        late = worker_of(world, "w1", longer_s=60.0).start()
        while not late.scans.pages:
            assert now_s() < 100
            await asyncio.sleep(0.01)
        row = await world.store.copy()
        assert row is not None
        assert row.held_s == AT_REST.hold_s + 60
        await late.kill()
        other = worker_of(world, "w2").start()
        done_s = await world.reached(Phase.DONE)
        assert await world.reached(Phase.OVER) - done_s > AT_REST.hold_s + 60
        assert world.destination == world.source
        await other.kill()

    run_virtual(steps())
