"""How a worker ends, asked to or not: stop reading, drain, checkpoint, release. Bounded in time.

What cannot be done in time is what a crash leaves: the next owner starts at the last checkpoint.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from dynamirror.errors import LeaseLost, Retry, Stop
from dynamirror.fleet.leases import HeldLease
from dynamirror.fleet.tenure import Tenure, TenureTools
from dynamirror.model.lease import Predecessor, Taken

# SIGTERM must be over within 5 s: the sum of these, and of RETIRE_S, stays below.
DRAIN_S = 2.5
CHECKPOINT_S = 0.5
RELEASE_S = 1.0
RETIRE_S = 0.5

log = logging.getLogger("dynamirror.leases")


async def wind_down(
    tools: TenureTools, held: Mapping[str, Tenure], drain: bool, asked: frozenset[str] = frozenset()
) -> bool:
    """Give up what is held, in order; returns whether nothing is held any more.

    Without `drain` only what is durable already is saved, at once. `asked`: what others may have handed over lately.
    """
    await asyncio.gather(*(tenure.halt() for tenure in held.values()))
    tenures = list(held.values())
    if drain:
        await within(DRAIN_S, "drain", [tenure.finish for tenure in tenures])
    for tenure in tenures:
        tenure.drop()
    # A request that is still on its way could land behind the first writes of the next owner, and a Java worker does
    # not wait. Such a lease is kept until it expires by itself; the next owner sees no clean mark.
    free = [tenure for tenure in tenures if tenure.settled]
    for tenure in tenures:
        if not tenure.settled:
            log.info(
                "lease of %s is left to expire: requests may still be on their way",
                tenure.shard_id,
                extra={"event": "lease_kept", "facts": {"shard": tenure.shard_id}},
            )
    await within(CHECKPOINT_S, "checkpoint", [tenure.save_now for tenure in tenures])
    releases: list[Callable[[], Awaitable[None]]] = [tenure.release for tenure in free if not tenure.held.lost]
    doubtful = tools.directory.in_doubt.keys() - {tenure.shard_id for tenure in tenures}

    # All at the same time: one after the other they would not be done in time.
    releases += [partial(_release_if_ours, tools, shard_id) for shard_id in doubtful]
    releases += [partial(_release_if_handed_over, tools, shard_id) for shard_id in asked - held.keys()]
    await within(RELEASE_S, "release", releases)
    return not doubtful and all(tenure.held.lost for tenure in tenures)


async def _release_if_ours(tools: TenureTools, shard_id: str) -> None:
    """Give up what this worker may have got without knowing it: a take that was cut off, or never answered.

    Nothing was sent under it. After a predecessor that did not leave in order it is kept all the same.
    """
    free_at = {counter for counter, by in tools.directory.in_doubt[shard_id].items() if by is Predecessor.NOBODY}
    if not free_at:
        return
    row = await tools.leases.store.get(shard_id)
    if row is not None and row.owner == tools.terms.worker and row.counter in free_at and not row.finished:
        await HeldLease(Taken(row, Predecessor.NOBODY), tools.leases).release()


async def _release_if_handed_over(tools: TenureTools, shard_id: str) -> None:
    """Give up what was handed over too late to be begun."""
    row = await tools.leases.store.get(shard_id)
    if row is not None and row.owner == tools.terms.worker and row.handed_over and not row.finished:
        await HeldLease(Taken(row, Predecessor.NOBODY), tools.leases).release()


async def within(limit_s: float, what: str, steps: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Take the steps at the same time, cut off after the limit. One that fails is reported and hinders no other."""

    async def one(step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except (LeaseLost, Retry, Stop) as error:
            log.warning("stopping (%s): %s", what, error, extra={"event": "stop_incomplete", "facts": {"step": what}})

    tasks = [asyncio.ensure_future(one(step)) for step in steps]
    if not tasks:
        return
    try:
        done, late = await asyncio.wait(tasks, timeout=limit_s)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
    for task in late:
        task.cancel()
    if late:
        done |= (await asyncio.wait(late))[0]
        log.warning(
            "stopping: %s not done in %.1f s for %d leases",
            what,
            limit_s,
            len(late),
            extra={"event": "stop_incomplete", "facts": {"step": what, "leases": len(late)}},
        )
    for task in done - late:
        task.result()
