"""Deletes the lease table and the state table of a task that nobody works on.

The lease table goes first: what is left of the state table then belongs to a life that is over, which every start
ignores. The other way round a start in between would go on at the checkpoints, and know nothing of parked items, gaps
and duties any more.
"""

from collections.abc import Sequence

from dynamirror.engines.status_run import TaskView
from dynamirror.errors import AccessDenied, DynamirrorError, ExitCode, Retry, Stop
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


class HalfReset(DynamirrorError):
    """It was broken off when something was deleted already, or may have been."""

    def __init__(self, deleted: Sequence[str], left: Sequence[str], why: object, exit_code: ExitCode) -> None:
        super().__init__(
            f"reset is half done: deleted: {', '.join(deleted) or 'nothing'}; not seen to be gone: {', '.join(left)} "
            f"({why}). The same command goes on from there"
        )
        self.exit_code = exit_code


class Deletion:
    """Of both tables. Idempotent: another one goes on where one was broken off."""

    def __init__(self, view: TaskView, status: Status) -> None:
        task, rows = status.seen.task, view.rows
        tables = ((task.lease_table, rows.has_leases), (task.state_table, rows.has_state))
        self.deleted: list[str] = []
        # Not seen to be gone.
        self.left = [name for name, there in tables if there]
        self._control = view.connections.state_control

    async def run(self) -> None:
        """Delete them, wait until they are gone. Raises Stop, Retry; HalfReset where not all is as it was."""
        try:
            while self.left:
                await self._control.delete_table(self.left[0])
                self.deleted.append(self.left.pop(0))
        except (Stop, Retry) as error:
            if not self.deleted and isinstance(error, AccessDenied):
                raise
            raise self.half(error, error.exit_code) from error

    def half(self, why: object, exit_code: ExitCode = ExitCode.STATE) -> HalfReset:
        """How far it is."""
        return HalfReset(self.deleted, self.left, why, exit_code)
