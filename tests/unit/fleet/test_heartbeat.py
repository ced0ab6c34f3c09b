"""The sign of life: every second, whatever happens to single beats."""

import asyncio

import pytest

from dynamirror.errors import Retry, Side
from dynamirror.fleet.heartbeat import Heartbeat
from dynamirror.testing.faults import Line
from dynamirror.testing.memory_state import MemoryState
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.unit.fleet.world import Cut, unanswered


def test_the_counter_moves_every_second_and_failed_beats_do_not_stop_it() -> None:
    async def scenario() -> None:
        faults = Cut()
        state = MemoryState(line=Line(faults))
        heartbeat = Heartbeat(state, VirtualClock(), "w", {"host": "h"}, 1.0)
        await heartbeat.beat()
        assert await state.beats() == {"w": 1}
        running = asyncio.create_task(heartbeat.run())
        await asyncio.sleep(10.5)
        assert await state.beats() == {"w": 11}
        faults.fault = unanswered(Side.STATE)
        await asyncio.sleep(5)
        faults.fault = None
        await asyncio.sleep(1)
        assert (await state.beats())["w"] > 11
        running.cancel()
        await asyncio.wait([running])
        await heartbeat.retire()
        await heartbeat.retire()
        assert await state.beats() == {}

    run_virtual(scenario())


def test_the_first_beat_tells_when_it_fails() -> None:
    async def scenario() -> None:
        faults = Cut()
        faults.fault = unanswered(Side.STATE)
        with pytest.raises(Retry):
            await Heartbeat(MemoryState(line=Line(faults)), VirtualClock(), "w", {}, 1.0).beat()

    run_virtual(scenario())
