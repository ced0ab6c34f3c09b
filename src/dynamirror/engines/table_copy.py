"""Copying a table at rest, as a library: `summary = await TableCopy(settings, os.environ).run()`.

`dynamirror copy` is this class with signals and exit codes around it.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

from dynamirror.aws.connect import Connections, connect
from dynamirror.engines.assemble import SystemClock, jitter, worker_id
from dynamirror.engines.assemble_at_rest import (
    RestWorker,
    assemble_at_rest,
    copy_rows_at_rest,
    parked_rows_at_rest,
)
from dynamirror.engines.attempts import patiently
from dynamirror.engines.begin_at_rest import begun_at_rest
from dynamirror.engines.destination_life import not_its_own_at_rest, refuse_another, watch_destination
from dynamirror.engines.library import root_cause
from dynamirror.engines.make_destination import finish_at_rest, make_destination
from dynamirror.engines.preflight_at_rest import check_at_rest
from dynamirror.engines.waiting import aloud
from dynamirror.errors import NotFound, Side, Stop
from dynamirror.fleet.stop import RETIRE_S, within
from dynamirror.model.copy import Copy, Phase
from dynamirror.model.copy_line import Standing
from dynamirror.model.copy_summary import Summary, summed
from dynamirror.model.task_name import state_table_name
from dynamirror.observe.metrics import Metrics
from dynamirror.settings.at_rest import settings_at_rest
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.settings.values import Value

log = logging.getLogger("dynamirror.copy")


def copy_settings(**flags: Value) -> ReplicationSettings:
    """Settings by the names of the flags of `dynamirror copy`, with underscores. Raises Refused."""
    return settings_at_rest(flags, now_ms=int(SystemClock().wall_s() * 1000))


class TableCopy:
    """One worker's share in copying a table that nobody changes, in this event loop. Use once.

    Workers of the same task share the segments; one that is killed, or stopped, is gone on with by the others, or by
    the next.
    """

    def __init__(self, settings: ReplicationSettings, environ: Mapping[str, str], worker: str | None = None) -> None:
        """`settings` of `copy_settings`; `environ` as for Replication."""
        self._settings = settings
        self._environ = environ
        self._clock = SystemClock()
        self.worker = worker or worker_id()
        self.metrics = Metrics()
        self._stopping = asyncio.Event()
        self._working: RestWorker | None = None
        self._state_table = state_table_name(settings.task.lease_table)

    def stop(self) -> None:
        """Ask for an end now; `run` returns soon, with what there is. Idempotent."""
        self._stopping.set()

    def standing(self) -> Standing | None:
        """How far the copy is; None: it has not begun, as far as is known."""
        return self._working.copier.standing() if self._working is not None else None

    async def run(self) -> Summary:
        """Until the copy is over, whoever has done it, or until stopped. Raises the DynamirrorError that ended it.

        A copy of this task that was over before is told (`Summary.earlier`), and nothing is written.
        """
        begun_s = self._clock.boottime_s()
        ended = asyncio.create_task(self._run())
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if not ended.done():
                ended.cancel()
                await asyncio.wait({ended})
        summary = self._so_far() if ended.cancelled() else await ended
        return replace(summary, command_s=self._clock.boottime_s() - begun_s)

    async def _run(self) -> Summary:
        settings, clock = self._settings, self._clock
        async with AsyncExitStack() as stack:
            opening = connect(settings, self._environ, clock, jitter())
            connections = await aloud("credentials", stack.enter_async_context(opening))
            await make_destination(connections, settings, clock)
            facts = await check_at_rest(connections, settings, clock)
            store = copy_rows_at_rest(connections, facts, settings)
            copy = await begun_at_rest(connections, store, settings, clock)
            earlier = copy.phase is Phase.OVER
            if not earlier:
                self._working = assemble_at_rest(connections, facts, settings, self.worker, clock, self.metrics)
                await self._carry_out(connections, self._working, facts.destination.table_id)
            rows = await patiently(clock, "the rows of the copy", store.segments)
            await finish_at_rest(connections, settings, clock)
            await self._refuse_another(connections, facts.destination.table_id)
            now = await patiently(clock, "the row of the copy", store.copy)
            left = parked_rows_at_rest(connections, facts, settings)
            parked = len(await patiently(clock, "which items are parked", left.rows))
            return replace(summed(now or copy, rows, self._now_ms(), earlier=earlier), parked=parked)

    async def _carry_out(self, connections: Connections, worker: RestWorker, destination_id: str) -> None:
        """First the heartbeat, else others see no life in the segments that are taken."""
        await patiently(self._clock, "what was ordered", worker.orders.look)
        await patiently(self._clock, "the first heartbeat", worker.heartbeat.beat)
        there, name = connections.destination_control, self._settings.destination.table
        try:
            async with asyncio.TaskGroup() as group:
                side_tasks = [
                    group.create_task(connections.keep_fresh()),
                    group.create_task(worker.heartbeat.run()),
                    group.create_task(worker.copier.run()),
                    group.create_task(
                        watch_destination(there, name, destination_id, self._clock, not_its_own_at_rest(name))
                    ),
                    group.create_task(worker.parking.run()),
                    group.create_task(worker.shares.run()),
                    group.create_task(worker.orders.run()),
                ]
                copy = await self._until(worker, Phase.DONE)
                # Looked at here too: there is no sense in waiting for what lands in another table.
                await self._refuse_another(connections, destination_id)
                if copy.phase is Phase.DONE:
                    self._say_settling(worker, copy)
                await self._until(worker, Phase.OVER)
                for task in side_tasks:
                    task.cancel()
        except BaseExceptionGroup as errors:
            raise self._explained(root_cause(errors)) from errors
        finally:
            await within(RETIRE_S, "retire", [worker.late.say, worker.heartbeat.retire, worker.shares.retire])

    async def _until(self, worker: RestWorker, wanted: Phase) -> Copy:
        """DONE or OVER. Raises Stop when the row of the copy is gone."""
        copy = worker.copier.copy
        while copy is None or copy.phase not in (wanted, Phase.OVER):
            before = copy
            await worker.looked.wait()
            copy = worker.copier.copy
            if copy is None and before is not None:
                raise Stop(
                    Side.STATE,
                    f"the row of the copy in the state table {self._state_table} was deleted under this worker; start "
                    "again, and the table is copied anew",
                )
        return copy

    async def _refuse_another(self, connections: Connections, destination_id: str) -> None:
        there, name = connections.destination_control, self._settings.destination.table
        await refuse_another(there, name, destination_id, self._clock, not_its_own_at_rest(name))

    def _say_settling(self, worker: RestWorker, copy: Copy) -> None:
        left_s = max(worker.settings.hold.hold_s, copy.held_s) + worker.settings.write.clock_drift_s
        log.info(
            "all items are written; %.0f s more until nothing that was sent can land any more",
            left_s,
            extra={"event": "copy_settling", "facts": {"left_s": left_s}},
        )

    def _so_far(self) -> Summary:
        """As this worker has seen it last."""
        if self._working is None:
            return summed(None, [], self._now_ms())
        copier, parked = self._working.copier, len(self._working.parking.known)
        finished = not self._settings.clone.wanted
        return replace(summed(copier.copy, copier.segments, self._now_ms(), finished=finished), parked=parked)

    def _now_ms(self) -> int:
        return int(self._clock.wall_s() * 1000)

    def _explained(self, error: BaseException) -> BaseException:
        """`error`, or where the state table is gone, what that means."""
        if not isinstance(error, NotFound) or error.side is not Side.STATE:
            return error
        return NotFound(
            Side.STATE,
            f"the state table {self._state_table} was deleted under this worker, which stopped; start again, and the "
            f"table is copied anew ({error})",
        )
