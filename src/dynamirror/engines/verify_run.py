"""A verify from settings alone: checks the tables, then pass after pass. What the command calls."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from dynamirror.aws.connect import Connections, connect
from dynamirror.aws.state_rows import VERIFY_LIFE
from dynamirror.aws.table_definition import TableDefinitions
from dynamirror.engines.assemble import SystemClock, jitter
from dynamirror.engines.assemble_verify import Verified, VerifyParts, assemble_verify
from dynamirror.engines.attempts import patiently
from dynamirror.engines.gap_closing import GapClosing
from dynamirror.engines.launch import fastest_loop
from dynamirror.engines.live_progress import Line, tell_verified
from dynamirror.engines.mending import ENDING_S, mending_beside
from dynamirror.engines.preflight import both_tables
from dynamirror.engines.table_checks import check_share
from dynamirror.engines.until_signal import until_signal
from dynamirror.engines.verify_options import VerifyOptions, VerifyResult
from dynamirror.engines.verify_report import Report
from dynamirror.engines.verify_state import open_state, parked_items
from dynamirror.engines.waiting import aloud, reach_aloud
from dynamirror.errors import AccessDenied, Side, Stop
from dynamirror.fleet.stop import within
from dynamirror.model.item_key import ItemKeys
from dynamirror.model.key import Key
from dynamirror.model.parked import Parked
from dynamirror.model.verify import Lives, VerifyRun, segments_for
from dynamirror.model.verify_progress import VerifyProgress
from dynamirror.ports import Clock
from dynamirror.prove.ledger import Ledger
from dynamirror.prove.verify import Verifier
from dynamirror.settings.groups import ReplicationSettings

SAY_EVERY_S = 30.0
# Of a small table, pass would follow pass without a pause.
PASS_EVERY_S = 60.0

log = logging.getLogger("dynamirror.verify")


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told: of each difference, and of the progress."""

    report: Report
    line: Line | None = None


def run_verify(
    settings: ReplicationSettings, environ: Mapping[str, str], options: VerifyOptions, line: Line | None = None
) -> VerifyResult | None:
    """The result; None: a signal ended it, and the same command goes on where it was. For a caller without a loop.
    `line` tells the progress.

    Raises DynamirrorError, in a group perhaps.
    """
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(until_signal(_verify(settings, environ, options, line)))


async def _verify(
    settings: ReplicationSettings, environ: Mapping[str, str], options: VerifyOptions, line: Line | None
) -> VerifyResult:
    clock = SystemClock()
    report = Report(options.report, clock.wall_s)
    async with AsyncExitStack() as stack:
        stack.callback(report.close)
        if line is not None:
            stack.callback(line.hide)
        connections = await aloud("credentials", stack.enter_async_context(connect(settings, environ, clock, jitter())))
        facts = await _checked(connections, settings, options, clock)
        async with asyncio.TaskGroup() as group:
            fresh = group.create_task(connections.keep_fresh())
            try:
                result = await compare(connections, settings, options, facts, Told(report, line))
            finally:
                fresh.cancel()
        return result


async def compare(
    connections: Connections, settings: ReplicationSettings, options: VerifyOptions, facts: Verified, told: Told
) -> VerifyResult:
    """All passes over checked tables, while somebody keeps the credentials fresh. Raises (in a group) Stop."""
    parts = assemble_verify(connections, settings, options, facts, told.report)
    async with _beside(parts):
        return await Passes(parts, facts, options, told).run()


async def _checked(
    connections: Connections, settings: ReplicationSettings, options: VerifyOptions, clock: Clock
) -> Verified:
    reach = reach_aloud(connections)
    source, destination = await both_tables(reach, settings)
    check_share("--max-read-rate", settings.rate.read, destination.capacity.read, settings.destination.table)
    if options.since_s is not None and source.stream_arn is None:
        raise Stop(
            Side.SOURCE,
            f"the stream of the source table {settings.source.table} is off, so that nobody knows what was changed "
            "lately; verify without --since",
        )
    lives = Lives() if options.strict_ttl else await lives_of(connections, settings, clock)
    state = await open_state(reach, settings, (source, destination), clock)
    if options.since_s is not None and state is not None and state.stream_arn not in (VERIFY_LIFE, source.stream_arn):
        raise Stop(
            Side.SOURCE,
            f"the task still follows an earlier stream of the source table {settings.source.table} than the one that "
            "is on, which does not name what was changed before it; verify without --since",
        )
    return Verified(source, destination, lives, state)


async def lives_of(connections: Connections, settings: ReplicationSettings, clock: Clock) -> Lives:
    """By which attribute the source's items end; none, and said, where that may not be asked for."""
    try:
        definitions = TableDefinitions(connections.source_control, clock)
        return Lives(await definitions.time_to_live(settings.source.table))
    except AccessDenied as error:
        log.warning(
            "items past their time to live count as differences: %s",
            error,
            extra={"event": "verify_without_ttl", "facts": {}},
        )
        return Lives()


@asynccontextmanager
async def _beside(parts: VerifyParts) -> AsyncIterator[None]:
    """What runs through all passes: the look-out for a copy, reconcile with its heartbeat."""
    state = parts.state
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        if state is not None:
            copies = state.copies
            await patiently(parts.clock, "the row of the copy", lambda: parts.patience.look(copies))
            stack.callback(group.create_task(parts.patience.run(copies)).cancel)
        if parts.mending is not None:
            await stack.enter_async_context(mending_beside(parts.mending, parts.clock))
        yield


class Passes:
    """One pass, or pass after pass."""

    def __init__(self, parts: VerifyParts, facts: Verified, options: VerifyOptions, told: Told) -> None:
        self._parts = parts
        self._clock = parts.clock
        self._items = facts.source.items
        self._options = options
        self._report, self._line = told.report, told.line
        self._gaps = GapClosing(parts, whole=options.share >= 1 and options.since_s is None)
        tables = [f"{table.arn} {table.table_id}" for table in (facts.source, facts.destination)]
        how = f"repair={options.repair} strict_ttl={options.strict_ttl} sample={options.share:g} seed={options.seed}"
        self._words = " ".join([*tables, how])
        self._passes = self._remaining = 0
        self._resumed = False

    async def run(self) -> VerifyResult:
        """All passes. Raises (in a group) Stop, or a Retry that did not pass."""
        keeper = self._parts.keeper
        begun_at_s = self._clock.boottime_s()
        ends_at_s = begun_at_s + (self._options.continuous_s or 0.0)
        while True:
            pass_at_s = self._clock.boottime_s()
            run = await self._pass()
            self._passes += 1
            self._remaining += run.tally.remaining
            next_at_s = pass_at_s + PASS_EVERY_S
            if max(next_at_s, self._clock.boottime_s()) >= ends_at_s:
                break
            await self._clock.sleep(max(0.0, next_at_s - self._clock.boottime_s()))
        return VerifyResult(
            run.tally,
            self._passes,
            self._remaining,
            tuple(self._report.first),
            run.share,
            run.seed,
            keeper.spent_s if keeper is not None and self._resumed else self._clock.boottime_s() - begun_at_s,
            self._resumed,
            len(await self._parked()),
        )

    async def _parked(self) -> Sequence[Parked]:
        return await parked_items(self._parts.state.parked if self._parts.state is not None else (), self._clock)

    async def _recent(self, since_s: float, take: Callable[[Iterable[Key]], Awaitable[None]]) -> None:
        """Keys that the stream names, and those that are parked: whenever they were changed, they are known to differ
        but where a row is left over."""
        keys = ItemKeys(self._parts.tools.codec)
        await take([keys.of_item(parked.key).key for parked in await self._parked()])
        await self._parts.recent(since_s).read(take)

    async def _pass(self) -> VerifyRun:
        keeper = self._parts.keeper
        run = await self._begin()
        ledger = Ledger(run)
        mending = self._parts.mending
        verifier = Verifier(self._parts.tools, ledger, mending.repairer if mending is not None else None)
        ended = False
        try:
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(self._say(ledger, verifier)),
                    group.create_task(self._show(ledger, verifier)),
                ]
                if keeper is not None:
                    beside.append(group.create_task(keeper.run(ledger)))
                if self._options.since_s is None:
                    await verifier.tables()
                else:
                    await verifier.keys(partial(self._recent, self._options.since_s))
                for task in beside:
                    task.cancel()
            ended = True
        finally:
            if keeper is not None and not ended:
                await within(ENDING_S, "how far the verify is", [lambda: keeper.end(ledger, over=False)])
        if keeper is not None:
            await patiently(self._clock, "the end of the verify", lambda: keeper.end(ledger, over=True))
            await self._gaps.close(ledger.run.gaps, ledger.run.tally)
        self._tell(ledger, verifier)
        return ledger.run

    async def _begin(self) -> VerifyRun:
        options, keeper = self._options, self._parts.keeper
        seed = options.seed if options.seed is not None else int(self._parts.random() * 1_000_000)
        segments = 1 if options.since_s is not None else segments_for(self._items, options.share)
        wanted = VerifyRun(f"{self._clock.wall_s():.6f}", self._words, segments, options.share, seed)
        if keeper is None:
            return wanted
        wanted = replace(wanted, gaps=await self._gaps.before())
        run = await patiently(self._clock, "the row of the verify", lambda: keeper.begin(wanted))
        if run.id != wanted.id:
            self._resumed = True
            log.info(
                "going on with a verify that was ended: %d of %d segments are done",
                run.done.bit_count(),
                run.done.bit_count() + len(run.left()),
                extra={"event": "verify_resumed", "facts": {"run": run.id}},
            )
        return run

    @property
    def _expected(self) -> int:
        """About so many items are read; 0: not known."""
        return 0 if self._options.since_s is not None else round(self._items * self._options.share)

    async def _show(self, ledger: Ledger, verifier: Verifier) -> None:
        await tell_verified(self._line, lambda: self._progress(ledger, verifier), self._expected, self._clock)

    async def _say(self, ledger: Ledger, verifier: Verifier) -> None:
        before = self._progress(ledger, verifier)
        while True:
            await self._clock.sleep(SAY_EVERY_S)
            now = self._progress(ledger, verifier)
            facts = now.facts() | {"suspects_open": now.open, "segments_done": now.done}
            log.info("%s", now.line(before, self._expected), extra={"event": "verify_progress", "facts": facts})
            before = now

    def _tell(self, ledger: Ledger, verifier: Verifier) -> None:
        now = self._progress(ledger, verifier)
        log.info("%s", now.line(None, 0), extra={"event": "verify_pass", "facts": now.facts()})

    def _progress(self, ledger: Ledger, verifier: Verifier) -> VerifyProgress:
        run, now_s = ledger.run, self._clock.boottime_s()
        done, whole = run.done.bit_count(), self._options.since_s is None
        return VerifyProgress(now_s, ledger.tally, verifier.open, done, done + len(run.left()), whole)
