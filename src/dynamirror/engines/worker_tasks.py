"""The tasks of a worker, and the order in which they end, whatever ends them.

What sends is over before duties are noted, and items un-parked, for the last time: a request that was on its way may be
noticed to have left late, or be answered, just when it is ended.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from dynamirror.engines.assemble import Worker
from dynamirror.fleet.stop import within

# What a stop may take beyond its other steps (fleet/stop).
DUTIES_S = 0.3


async def run_tasks(worker: Worker, beside: Sequence[Coroutine[Any, Any, None]], stopping: asyncio.Event) -> None:
    """Until `stopping`, or until one of them fails. Raises (in a group) what it failed with."""
    async with asyncio.TaskGroup() as group:
        keepers = [group.create_task(keeper.run()) for keeper in (worker.reconciler, worker.parking, worker.gaps)]
        try:
            await _senders(worker, beside, stopping)
        finally:
            last = [worker.reconciler.flush, worker.parking.flush]
            last += [worker.shares.retire] if worker.shares else []
            await within(DUTIES_S, "duties", last)
        for keeper in keepers:
            keeper.cancel()


async def _senders(worker: Worker, beside: Sequence[Coroutine[Any, Any, None]], stopping: asyncio.Event) -> None:
    """And what runs beside them."""
    parts = [part for part in (worker.copier, worker.shares, worker.orders) if part is not None]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in (*beside, worker.applier.run(), *(part.run() for part in parts))]
        await worker.coordinator.run(stopping)
        for task in tasks:
            task.cancel()
