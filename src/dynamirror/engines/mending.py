"""Reconcile for a command that mends: its duties are rows of the state table, so that a worker of the task, or the next
such command, finishes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from dynamirror.engines.assemble import jitter, worker_facts, worker_id
from dynamirror.engines.attempts import patiently
from dynamirror.engines.verify_state import VerifyState
from dynamirror.fleet.heartbeat import Heartbeat
from dynamirror.fleet.stop import within
from dynamirror.model.key import KeyCodec
from dynamirror.observe.metrics import Metrics
from dynamirror.ports import Clock, ItemTable
from dynamirror.prove.reconcile import Reconciler
from dynamirror.prove.repair import Repairer
from dynamirror.prove.tools import Claims, ReconcileTools
from dynamirror.settings.groups import ReplicationSettings

# What the end of a command may take beyond its last look.
ENDING_S = 2.0
ROWS_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Mending:
    """What mending needs. `heartbeat`: None without a state table."""

    repairer: Repairer
    reconciler: Reconciler
    heartbeat: Heartbeat | None


def assemble_mending(
    sides: tuple[ItemTable, ItemTable],
    codec: KeyCodec,
    clock: Clock,
    settings: ReplicationSettings,
    state: VerifyState | None,
) -> Mending:
    """`sides`: source and destination."""
    beating = claims = None
    if state is not None:
        me = worker_id()
        heart = beating = Heartbeat(state.table, clock, me, worker_facts("verify"), settings.lease.heartbeat_s)
        claims = Claims(state.table, me, lambda: heart.beaten_at_s, settings.lease.duration_s)
    here, there = sides
    reconciler = Reconciler(ReconcileTools(here, there, codec, clock, jitter(), Metrics(), settings.write, claims))
    return Mending(Repairer(reconciler, codec, clock, settings.write.settle_s), reconciler, beating)


@asynccontextmanager
async def mending_beside(mending: Mending, clock: Clock) -> AsyncIterator[None]:
    """Reconcile runs in the block, with its heartbeat. Raises (in a group) Stop."""
    tasks = []
    async with asyncio.TaskGroup() as group:
        try:
            if mending.heartbeat is not None:
                await patiently(clock, "the heartbeat", mending.heartbeat.beat)
                tasks.append(group.create_task(mending.heartbeat.run()))
            tasks.append(group.create_task(mending.reconciler.run()))
            yield
            await _until_removed(mending, clock)
        finally:
            await within(ENDING_S, "duties", [mending.reconciler.flush])
            for task in tasks:
                task.cancel()
    if mending.heartbeat is not None:
        await within(ENDING_S, "heartbeat", [mending.heartbeat.retire])


async def _until_removed(mending: Mending, clock: Clock) -> None:
    """Rows of what is mended go away; one that stays is only looked at once more, by whoever finds it."""
    until_s = clock.boottime_s() + ROWS_WITHIN_S
    while mending.reconciler.closing and clock.boottime_s() < until_s:
        await clock.sleep(0.1)
