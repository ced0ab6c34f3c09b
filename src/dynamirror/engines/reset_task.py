"""Deletes the lease table and the state table of a task that nobody works on.

The lease table goes first: what is left of the state table then belongs to a life that is over, which every start
ignores. The other way round a start in between would go on at the checkpoints, and know nothing of parked items, gaps
and duties any more.
"""

from collections.abc import Sequence

from dynamirror.engines.status_run import TaskView
from dynamirror.model.lease import Lease
from dynamirror.model.sighting import ROWS_SILENCE_S
from dynamirror.model.status import Status

LOOK_EVERY_S = 1.0


async def living(view: TaskView, status: Status) -> list[str]:
    """The workers that show life. Heartbeats were watched for the status; owners that do not beat (Java workers among
    them) are watched for up to 25 s, since they write their rows every 20 s. Raises Stop, or a Retry that did not
    pass."""
    alive = [worker.worker for worker in status.workers if worker.alive is True]
    unknown = any(worker.alive is None for worker in status.workers)
    until_s = view.clock.boottime_s() + ROWS_SILENCE_S
    now: Status | None = status
    while unknown and not alive and view.clock.boottime_s() < until_s + LOOK_EVERY_S:
        await view.clock.sleep(LOOK_EVERY_S)
        now = await view.status()
        if now is None:
            break
        alive = [worker.worker for worker in now.workers if worker.alive is True]
        unknown = any(worker.alive is None for worker in now.workers)
    return alive


def unfinished(status: Status) -> Sequence[Lease]:
    """The leases whose checkpoints would be lost."""
    return [row for row in status.seen.leases if not row.finished]


async def delete_tables(view: TaskView, status: Status) -> list[str]:
    """Delete both, wait until they are gone; their names. Idempotent. Raises Stop, Retry."""
    names = []
    task, control = status.seen.task, view.connections.state_control
    for name, there in ((task.lease_table, view.rows.has_leases), (task.state_table, view.rows.has_state)):
        if there:
            await control.delete_table(name)
            names.append(name)
    return names
