"""What the operator's commands of a task share: they open it, look at it, and end at a signal."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TypeVar

from dynamirror.aws.connect import Connections, connect
from dynamirror.engines.assemble import SystemClock, jitter
from dynamirror.engines.attempts import patiently
from dynamirror.engines.launch import fastest_loop
from dynamirror.engines.other_pair import refuse_other_names
from dynamirror.engines.status_look import StatusLook
from dynamirror.engines.until_signal import until_signal
from dynamirror.engines.waiting import aloud
from dynamirror.errors import Retry
from dynamirror.model.sighting import Sighting
from dynamirror.model.status import Seen, Status, status_of
from dynamirror.ports import Clock
from dynamirror.settings.groups import ReplicationSettings

AGAIN_S = 1.0

T = TypeVar("T")


class TaskView:
    """One task as an operator sees it."""

    def __init__(self, connections: Connections, settings: ReplicationSettings, clock: Clock) -> None:
        self.connections = connections
        self.settings = settings
        self.clock = clock
        self.rows = StatusLook(connections, settings, clock)
        self._sighting = Sighting()
        self._before: Seen | None = None

    async def status(self) -> Status | None:
        """What there is to say now, once it is known whose heartbeats move: some seconds where one stands still. None:
        there is no such task. Raises Stop, or a Retry that did not pass."""
        seen = await patiently(self.clock, "the rows of the task", self.rows.look)
        if seen is None:
            return None
        self._sighting.see_leases(seen.leases, seen.at_s)
        self._sighting.see_beats({row.worker: row.beat for row in seen.workers}, seen.at_s)
        while self._sighting.undecided:
            await self.clock.sleep(AGAIN_S)
            workers = await patiently(self.clock, "the heartbeats", self.rows.workers)
            self._sighting.see_beats({row.worker: row.beat for row in workers}, self.clock.boottime_s())
            seen = replace(seen, workers=workers)
        before, self._before = self._before, seen
        return status_of(seen, self._sighting, before)

    async def watch(self, every_s: float, show: Callable[[Status | None, str], None]) -> None:
        """Show it again and again, until cancelled; the text is why it could not be read this time, or empty. Raises
        Stop."""
        while True:
            begun_s = self.clock.boottime_s()
            try:
                show(await self.status(), "")
            except Retry as error:
                show(None, str(error))
            await self.clock.sleep(max(0.0, begun_s + every_s - self.clock.boottime_s()))


def run_view(
    settings: ReplicationSettings, environ: Mapping[str, str], work: Callable[[TaskView], Awaitable[T]]
) -> T | None:
    """What `work` has found; None: a signal ended it. For a caller without a loop. Raises DynamirrorError."""
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(until_signal(_run(settings, environ, work)))


async def _run(
    settings: ReplicationSettings, environ: Mapping[str, str], work: Callable[[TaskView], Awaitable[T]]
) -> T:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        connections = await aloud("credentials", stack.enter_async_context(connect(settings, environ, clock, jitter())))
        fresh = asyncio.ensure_future(connections.keep_fresh())
        stack.callback(fresh.cancel)
        return await work(TaskView(connections, settings, clock))


def refuse_other_pair(status: Status, settings: ReplicationSettings) -> None:
    """Raises Refused where the task's name stands for tables of other names than were given."""
    task = status.seen.task
    refuse_other_names(task.source_arn, task.destination_arn, settings)
