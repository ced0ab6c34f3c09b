"""A listing of the segments is old when it arrives: what this worker has done since is in no row of it."""

import asyncio
import logging
from dataclasses import replace

import pytest

from dynamirror.model.copy import Phase, Segment
from dynamirror.testing.virtual_time import run_virtual
from tests.unit.copy.world import COPY, Worker, World

ITEMS = 600
ON_ITS_WAY_S = 0.7


def test_a_lone_worker_loses_no_segment(caplog: pytest.LogCaptureFixture) -> None:
    """1 the segments are listed; 2 one that this worker copies ends; 3 the listing arrives, and has it as open."""

    async def steps() -> None:
        world = World(ITEMS)
        worker = Worker(world, copy=replace(COPY, segments_at_once=1, watch_s=0.3, page_items_max=10))
        rows = worker.tools.store.segments

        async def listed() -> list[Segment]:
            found = await rows()
            await asyncio.sleep(ON_ITS_WAY_S)
            return found

        worker.tools.store.segments = listed  # type: ignore[method-assign]
        await world.announce(Phase.COPYING)
        worker.start()
        await world.reached(Phase.OVER)
        assert world.destination == world.source
        assert await world.counts() == (ITEMS, ITEMS)
        await worker.kill()

    with caplog.at_level(logging.INFO, "dynamirror.copy"):
        run_virtual(steps())
    assert "segment_lost" not in [getattr(record, "event", "") for record in caplog.records]
