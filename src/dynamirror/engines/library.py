"""Replication as a library: `async with Replication(settings): ...`.

Entering the context runs the checks and starts the worker; leaving it stops in order (drain, checkpoint,
release). `python -m dynamirror` is this class with signals and exit codes around it.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from dynamirror.aws.connect import Connections, connect
from dynamirror.aws.lambda_mappings import mappings_of
from dynamirror.copy.copier import Copier
from dynamirror.engines.assemble import SystemClock, Worker, assemble_worker, jitter, worker_id
from dynamirror.engines.attempts import patiently
from dynamirror.engines.begin_copy import begun
from dynamirror.engines.destination_life import not_its_own, watch_destination
from dynamirror.engines.gap_healing import heal_gaps
from dynamirror.engines.last_words import failure_of, leave_word
from dynamirror.engines.make_destination import finish_when_copied, make_destination
from dynamirror.engines.next_stream import next_stream_on
from dynamirror.engines.preflight import Facts, check
from dynamirror.engines.start_checks import StartChecks
from dynamirror.engines.told import told
from dynamirror.engines.waiting import aloud
from dynamirror.engines.worker_tasks import run_tasks
from dynamirror.errors import DynamirrorError, Gap, LifeOver, NotFound, Refused, Side, Stop
from dynamirror.fleet.self_watch import SelfWatch
from dynamirror.follow.gaps import GapPolicy
from dynamirror.model.copy_line import Standing
from dynamirror.model.gap import OpenGap
from dynamirror.model.health import Problem
from dynamirror.model.lease import LATEST
from dynamirror.observe.metrics import Metrics
from dynamirror.ports import Clock
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.settings.parse import settings_from
from dynamirror.settings.values import Value


@dataclass(frozen=True, slots=True)
class Figures:
    """What a running replication has done since its start. Counts are of this worker."""

    changes_read: int
    changes_applied: int
    # Replaced by a newer change of the same item before they were written.
    changes_superseded: int
    batches_sent: int
    write_retries: int
    write_throttles: int
    # Of the stream and of the copy's pages.
    read_throttles: int
    leases_held: int


def replication_settings(**flags: Value) -> ReplicationSettings:
    """Settings by the names of the flags, with underscores (`source_region=...`). Raises Refused."""
    if "processes" in flags:
        raise Refused("processes: a replication in a program is one worker; --processes is the command's")
    return settings_from(flags, java_form=False, now_ms=int(SystemClock().wall_s() * 1000))


class Replication:
    """One task, followed by one worker in this event loop. Use once."""

    def __init__(self, settings: ReplicationSettings, environ: Mapping[str, str], worker: str | None = None) -> None:
        """`environ` is where proxies are looked up: `os.environ`, or a mapping of your own.

        Credentials and profiles come from the process's own environment, which is all that botocore reads.
        """
        self._settings = settings
        self._environ = environ
        self.worker = worker or worker_id()
        self.metrics = Metrics(SystemClock().boottime_s)
        self._stopping = asyncio.Event()
        self._ended: asyncio.Task[None] | None = None
        self._copier: Copier | None = None
        self._gaps: GapPolicy | None = None
        self._self_watch: SelfWatch | None = None
        self._started = asyncio.Event()
        # A worker is there, which may have leases, and so has to end in order: not before the first life of the task is
        # followed, nor between two.
        self._follows = False
        # Of the life that was followed last.
        self._facts: Facts | None = None

    async def __aenter__(self) -> Self:
        """Check, then start. Raises the DynamirrorError that forbids it; nothing is left behind."""
        ended = self._ended = asyncio.create_task(self._run())
        started = asyncio.create_task(self._started.wait())
        try:
            await asyncio.wait({ended, started}, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            # Nobody will leave a context that was never entered.
            self.stop()
            await asyncio.wait({ended})
            raise
        finally:
            started.cancel()
        if ended.done():
            await ended
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop in order. Raises what ended the replication, unless the caller's block failed by itself."""
        self.stop()
        if kind is None:
            await self.wait()
        else:
            with contextlib.suppress(DynamirrorError):
                await self.wait()

    def stop(self) -> None:
        """Ask for an orderly stop; `wait` returns when it is done. Idempotent. What follows nothing yet is given up."""
        self._stopping.set()
        if self._ended is not None and not self._follows:
            self._ended.cancel()

    @property
    def started(self) -> bool:
        """The checks were passed, and every change from now on will be applied."""
        return self._started.is_set()

    @property
    def copy_doubtful(self) -> bool:
        """A copy went on meanwhile, and its rows say that only a comparison can tell whether the tables are equal."""
        return self._copier is not None and self._copier.doubtful

    @property
    def gaps_open(self) -> Sequence[OpenGap]:
        """Gaps of the stream that no comparison of the tables has closed yet, as last seen."""
        return self._gaps.open if self._gaps is not None else ()

    def standing(self) -> Standing | None:
        """How far the task's copy is; None: there is none, as far as is known."""
        return self._copier.standing() if self._copier is not None else None

    def health(self) -> list[Problem] | None:
        """What ails the worker; none: it is healthy. None: it does not follow yet, or waits for the next stream. From
        any thread."""
        watch = self._self_watch
        return watch.problems() if watch is not None and self._follows else None

    async def wait(self) -> None:
        """Until stopped. Raises the DynamirrorError that ended the replication."""
        if self._ended is not None:
            await asyncio.shield(self._ended)

    def figures(self) -> Figures:
        """The counts now."""
        value = self.metrics.value
        return Figures(
            changes_read=int(value("changes_read")),
            changes_applied=int(value("changes_applied")),
            changes_superseded=int(value("changes_superseded")),
            batches_sent=int(value("batches_sent")),
            write_retries=int(value("write_retries")),
            write_throttles=int(value("write_throttles")),
            read_throttles=int(value("read_throttles")),
            leases_held=int(value("leases_held")),
        )

    async def _run(self) -> None:
        try:
            clock = SystemClock()
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(told(self._settings, self.metrics, clock, self.health))
                opening = connect(self._settings, self._environ, clock, jitter())
                connections = await aloud("credentials", stack.enter_async_context(opening))
                try:
                    while await self._ends_for_another_life(connections, clock):
                        pass
                except (DynamirrorError, BaseExceptionGroup) as error:
                    await self._leave_word(connections, error, clock)
                    raise
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
        except BaseExceptionGroup as errors:
            raise explained(root_cause(errors), self._settings.task.lease_table) from errors

    async def _ends_for_another_life(self, connections: Connections, clock: Clock) -> bool:
        """One life of the task. True: it is over, and the next one, on a new stream, is to be followed."""
        checks = StartChecks(connections, self._settings, clock, mappings_of(self._settings.source))
        await make_destination(connections, self._settings, clock, checks.refuse_unready)
        facts = await check(connections, self._settings, clock, checks.refuse_unready, self.worker)
        settings = await begun(connections, facts, self._settings, clock, self.worker)
        worker = assemble_worker(connections, facts, settings, self.worker, self.metrics)
        self._copier, self._gaps, self._self_watch = worker.copier, worker.gaps, worker.self_watch
        if worker.orders is not None:
            # Before anything is read: a task that is paused stays so.
            await patiently(clock, "what was ordered", worker.orders.look)
        beside = [
            connections.keep_fresh(),
            worker.self_watch.run(),
            finish_when_copied(connections, settings, worker.copier, clock),
            _watch(connections, settings, facts, clock),
            heal_gaps(connections, facts, settings, worker, clock),
            self._announce(worker, clock),
        ]
        self._follows, self._facts = True, facts
        try:
            await run_tasks(worker, beside, self._stopping)
        except BaseExceptionGroup as errors:
            if not isinstance(root_cause(errors), LifeOver) or self._stopping.is_set():
                raise
            self._follows = False
            control, over = connections.source_control, facts.stream_arn
            if not await patiently(clock, "the source's stream", lambda: next_stream_on(control, settings, over)):
                raise
            return True
        return False

    async def _leave_word(self, connections: Connections, error: BaseException, clock: Clock) -> None:
        """For `status`, of a worker that has followed; a stop under way has no time for it."""
        if self._facts is None or self._stopping.is_set():
            return
        # A stop waits from here on: what ends this worker is told by its exit code.
        self._follows = True
        lease_table = self._settings.task.lease_table
        reason = explained(root_cause(error), lease_table) if isinstance(error, BaseExceptionGroup) else error
        failure = failure_of(self.worker, reason, int((connections.state.served_s or clock.wall_s()) * 1000))
        await leave_word(connections.state, self._facts, lease_table, failure)

    async def _announce(self, worker: Worker, clock: Clock) -> None:
        """`latest` means: from when this is started. So the iterators of shards that begin there are there first; of a
        paused task the time of the start counts."""
        latest = self._settings.read.start.checkpoint == LATEST
        while latest and not worker.coordinator.misses_nothing and not worker.gate.closed:
            await clock.sleep(0.02)
        self._started.set()


async def _watch(connections: Connections, settings: ReplicationSettings, facts: Facts, clock: Clock) -> None:
    there, name = connections.destination_control, settings.destination.table
    await watch_destination(there, name, facts.destination.table_id, clock, not_its_own(settings))


def root_cause(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error to report of a group: a gap before any other stop, a stop before the rest."""
    flat = list(_leaves(errors))
    for kind in (Gap, Stop, DynamirrorError):
        for error in flat:
            if isinstance(error, kind):
                return error
    return flat[0]


def explained(error: BaseException, lease_table: str) -> BaseException:
    """`error`, or where a running worker has lost its tables, what that means."""
    if not isinstance(error, NotFound) or error.side is not Side.STATE:
        return error
    return NotFound(
        Side.STATE,
        f"the lease table {lease_table}, or the state table beside it, was deleted under this worker, which stopped; "
        "start again and what is missing is made anew: without leases the task begins where --start-at says, by "
        f"default at the oldest record of the stream ({error})",
    )


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
