"""What a worker sees of the others, however far its readings lag behind."""

import asyncio
from contextlib import suppress

import pytest

from dynamirror.errors import Retry, Side
from dynamirror.fleet.outlook import Outlook
from dynamirror.model.lease import Lease, Terms, release
from dynamirror.model.lease_plan import takes
from dynamirror.model.worker_row import WorkerRow
from dynamirror.settings.groups import LeaseSettings
from dynamirror.testing.faults import Line
from dynamirror.testing.memory_state import MemoryLeases, MemoryState
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.unit.fleet.world import Cut, unanswered

LAG_S = 2.0
LEASE_MS = 10_000
HELD = Lease("shardId-1", "5", owner="other", counter=3, terms=Terms("other", LEASE_MS, heartbeat=True))


class LaggingLeases(MemoryLeases):
    """Reads that do not ask for consistency show what was there `LAG_S` ago."""

    def __init__(self, line: Line) -> None:
        super().__init__(line)
        self.rows[HELD.shard_id] = HELD
        self._freed_at_s = float("inf")

    def free(self) -> None:
        self.rows[HELD.shard_id] = release(HELD).after
        self._freed_at_s = asyncio.get_running_loop().time()

    async def scan(self, consistent: bool = False) -> list[Lease]:
        rows = await super().scan(consistent)
        behind = asyncio.get_running_loop().time() < self._freed_at_s + LAG_S
        return [HELD] if behind and not consistent else rows


async def seen_after_s(phase_s: float, cut_s: float) -> float:
    """How long after another worker's orderly end its lease looks free, to one that looks from `phase_s` on and cannot
    reach the lease table for so long after that end."""
    cut, state, clock = Cut(), MemoryState(), VirtualClock()
    leases = LaggingLeases(Line(cut))
    outlook = Outlook(leases, state, clock, LeaseSettings(), "me")

    async def other() -> float:
        for beat in range(30):
            await state.beat("other", WorkerRow(beat, LEASE_MS), {})
            await asyncio.sleep(1.0)
        leases.free()
        await state.retire("other")
        ended_at_s = clock.boottime_s()
        if cut_s:
            cut.fault = unanswered(Side.STATE)
            await asyncio.sleep(cut_s)
            cut.fault = None
        return ended_at_s

    living = asyncio.create_task(other())
    await asyncio.sleep(phase_s)
    while not takes(outlook.rows, outlook.watch, outlook.patience, "me", ()):
        await asyncio.sleep(outlook.pause_s())
        with suppress(Retry):
            await outlook.look()
    return clock.boottime_s() - await living


@pytest.mark.parametrize("cut_s", [0.0, 0.5], ids=["reachable", "cut off first"])
def test_what_a_stopped_worker_left_is_seen_at_the_next_look(cut_s: float) -> None:
    late_s = [run_virtual(seen_after_s(phase / 20, cut_s)) - cut_s for phase in range(20)]
    assert max(late_s) <= LeaseSettings().watch_s + 0.1
