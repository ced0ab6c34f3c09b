"""The demo's course: write while replication runs, let it catch up, stop it in order, compare."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol, Self

from dynamirror.engines.compare import compare_tables
from dynamirror.engines.demo.facts import TABLE, Progress, Result
from dynamirror.engines.demo.lag import LagProbe
from dynamirror.engines.library import Figures
from dynamirror.engines.traffic import HASH_KEY, RANGE_KEY, Call, Traffic, Written, write
from dynamirror.model.key import KeyAttribute, KeySchema
from dynamirror.ports import Clock

SCHEMA = KeySchema(KeyAttribute(HASH_KEY, "S"), KeyAttribute(RANGE_KEY, "S"))

_PROBE_EVERY_S = 0.2
_RATE_WINDOW_S = 3.0


class Show(Protocol):
    """Where the demo is watched."""

    # How often `progress` is wanted.
    every_s: float

    def progress(self, now: Progress) -> None:
        """Show where it stands."""


class Replication(Protocol):
    """What the demo asks of library.Replication."""

    async def __aenter__(self) -> Self:
        """Start."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop in order: whatever was read is written."""

    async def wait(self) -> None:
        """Until it ends. Raises what ended it."""

    def figures(self) -> Figures:
        """The counts now."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the demo plays on: tables that exist, calls to both sides, and replications that may be started."""

    database: str
    clock: Clock
    traffic: Traffic
    source: Call
    destination: Call
    replication: Callable[[], Replication]


@dataclass(slots=True)
class Meter:
    """Takes the looks at a running replication."""

    clock: Clock
    replication: Replication
    probe: LagProbe
    written: Written = field(default_factory=Written)
    phase: str = "starting"
    started_at_s: float = 0.0
    _recent: deque[tuple[float, int]] = field(default_factory=deque)

    def look(self) -> Progress:
        """The figures now; probes count as updates."""
        now_s = self.clock.boottime_s()
        figures = self.replication.figures()
        self._recent.append((now_s, figures.changes_read))
        while len(self._recent) > 2 and now_s - self._recent[0][0] > _RATE_WINDOW_S:
            self._recent.popleft()
        then_s, then_read = self._recent[0]
        passed_s = now_s - then_s
        return Progress(
            phase=self.phase,
            elapsed_s=now_s - self.started_at_s,
            written=replace(self.written, updates=self.written.updates + self.probe.written),
            read=figures.changes_read,
            applied=figures.changes_applied,
            rate=(figures.changes_read - then_read) / passed_s if passed_s > 0 else 0.0,
            leases=figures.leases_held,
            lag=self.probe.lag(),
        )

    async def report(self, show: Show) -> None:
        """Tell `show` for ever."""
        while True:
            show.progress(self.look())
            await self.clock.sleep(show.every_s)


async def play(stage: Stage, seconds: float, rate: float, show: Show, stop: asyncio.Event) -> Result:
    """Write for `seconds`, or until `stop` is set; then compare. Raises what ends the replication."""
    probe = LagProbe((stage.source, TABLE), (stage.destination, TABLE), stage.clock)
    async with stage.replication() as replication:
        meter = Meter(stage.clock, replication, probe, started_at_s=stage.clock.boottime_s())
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(replication.wait()), group.create_task(meter.report(show))]
            written_s, caught_up_s = await _write_and_catch_up(stage, meter, (seconds, rate), stop)
            for task in beside:
                task.cancel()
    # Left in order: whatever was read has been written, so the tables are at rest.
    meter.phase = "comparing"
    show.progress(meter.look())
    comparison = await compare_tables((stage.source, TABLE), (stage.destination, TABLE), SCHEMA)
    return Result(stage.database, written_s, meter.look(), comparison, caught_up_s)


async def _write_and_catch_up(
    stage: Stage, meter: Meter, extent: tuple[float, float], stop: asyncio.Event
) -> tuple[float, float]:
    """`extent`: seconds and rate. Returns how long was written, and how long the last change was on its way."""
    seconds, rate = extent
    meter.phase = "writing"
    begun_s = stage.clock.boottime_s()
    async with asyncio.TaskGroup() as group:
        group.create_task(write(stage.traffic.next, stage.source, stage.clock, rate, stop, meter.written))
        group.create_task(meter.probe.run(_PROBE_EVERY_S, stop))
        alarm = group.create_task(_set_after(stage.clock, seconds, stop))
        await stop.wait()
        alarm.cancel()
    written_s = stage.clock.boottime_s() - begun_s
    meter.phase = "catching up"
    # The stream of either embedded database is one shard: once its last change has arrived, all have been read.
    return written_s, await meter.probe.once()


async def _set_after(clock: Clock, seconds: float, stop: asyncio.Event) -> None:
    await clock.sleep(seconds)
    stop.set()
