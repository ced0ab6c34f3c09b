"""A table to be copied, the state table, and workers that copy, on virtual time: what the tests here share."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.parked_rows import ParkedRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.aws.tables import Meter
from dynamirror.copy.copier import Copier
from dynamirror.copy.page import PageSender
from dynamirror.copy.segment import SegmentCopier
from dynamirror.copy.tools import CopySettingsInForce, CopyTools
from dynamirror.errors import Side, Throttled, Unanswered
from dynamirror.follow.parking import Parking, ParkTools
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.loops.rate import Rate
from dynamirror.loops.signal import Signal
from dynamirror.model.change import Write
from dynamirror.model.copy import Copy, CopyKnowledge, Phase, Segment
from dynamirror.model.diff import Item
from dynamirror.model.key import Key, KeyAttribute, KeyCodec, KeySchema
from dynamirror.model.lane import Lane
from dynamirror.model.worker_row import WorkerRow
from dynamirror.observe.metrics import Metrics
from dynamirror.ports import ScanPage
from dynamirror.settings.groups import CopySettings, HoldSettings, LeaseSettings, WriteSettings
from dynamirror.testing.faults import Fault
from dynamirror.testing.memory_dynamodb import MemoryDynamoDB
from dynamirror.testing.memory_scan import MemoryScan
from dynamirror.testing.memory_state import MemoryLeases, MemoryState
from dynamirror.testing.memory_table import MemoryTable
from dynamirror.testing.virtual_time import VirtualClock
from tests.support.memory_caller import MemoryCaller, create_table
from tests.support.narrow import NarrowPath
from tests.support.parking import nowhere
from tests.unit.prove.world import Process, ProcessLine, Switch

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "S")))
LIFE = Incarnation("table-id", "arn:stream")
COPY = CopySettings(segments=4, segments_at_once=2, page_items_first=30, page_items_max=60)
HOLD = HoldSettings()
WRITE = WriteSettings()
SILENCE_S = LeaseSettings().duration_s
LIFE_S = COPY.page_life_s
ANNOUNCED = Copy(Phase.ANNOUNCED, COPY.segments, 0, True)
THROTTLED = Fault(Throttled(Side.DESTINATION, "injected"))


def lost(side: Side = Side.DESTINATION, lands_after_s: float | None = None) -> Fault:
    """A request without an answer, which takes effect after so long all the same (None: never)."""
    return Fault(Unanswered(side, "injected"), lands_after_s=lands_after_s)


def item(key: str, value: str = "A") -> Item:
    return {"id": {"S": key}, "v": {"S": value}}


def now_s() -> float:
    return asyncio.get_running_loop().time()


class World:
    """What stands where."""

    def __init__(self, items: int = 0) -> None:
        self.source: dict[Key, Item] = {f"k{number:05}": item(f"k{number:05}") for number in range(items)}
        self.destination: dict[Key, Item] = {}
        self.database = MemoryDynamoDB()
        create_table(self.database, "state", {"kind": "S", "id": "S"})
        self.beats = MemoryState().rows
        self.leases = MemoryLeases()
        # By whom, when, what: each write at the moment at which it was applied.
        self.applied: list[tuple[str, float, Key]] = []
        self.store = CopyRows(MemoryCaller(Side.STATE, self.database), "state", LIFE)

    def state_of(self, life: Incarnation) -> StateTable:
        """The other rows of the state table, seen from a life of the task."""
        return StateTable(MemoryCaller(Side.STATE, self.database), "state", life)

    async def announce(self, phase: Phase = Phase.ANNOUNCED, hold_s: float = 0.0) -> Copy:
        """The row of the copy; from COPYING on with its segments."""
        announced = replace(ANNOUNCED, hold_s=hold_s, announced_by="w9" if hold_s else "")
        copy = announced if phase is Phase.ANNOUNCED else announced.moved(phase)
        await self.store.put_copy(copy, None)
        if phase is not Phase.ANNOUNCED:
            for number in range(copy.segments):
                await self.store.make_segment(Segment(number))
        return copy

    async def phase(self) -> Phase:
        copy = await self.store.copy()
        assert copy is not None
        return copy.phase

    async def reached(self, phase: Phase, limit_s: float = 600.0) -> float:
        """Wait until the copy is in that phase; returns when."""
        limit_s += now_s()
        while await self.phase() is not phase:
            assert now_s() < limit_s, f"still {await self.phase()}"
            await asyncio.sleep(0.1)
        return now_s()

    async def counts(self) -> tuple[int, int]:
        rows = await self.store.segments()
        return sum(row.read for row in rows), sum(row.written for row in rows)


class Scans:
    """A source that remembers what it was asked, and calls back after each page."""

    def __init__(self, scans: MemoryScan) -> None:
        self._scans = scans
        # When, segment, `after`, most items, items read.
        self.pages: list[tuple[float, int, bytes, int, int]] = []
        self.after_read: Callable[[], None] | None = None
        self.path: NarrowPath | None = None

    async def scan(self, segment: int, segments: int, after: bytes, items_max: int) -> ScanPage:
        asked_at_s = now_s()
        page = await self._scans.scan(segment, segments, after, items_max)
        self.pages.append((asked_at_s, segment, after, items_max, len(page.items)))
        if self.after_read is not None:
            self.after_read()
        if self.path is not None:
            await self.path.carry(page.size_bytes)
        return page


class Destination(MemoryTable):
    """A table that remembers how it was called."""

    # When, which keys, bytes.
    batches: list[tuple[float, list[Key], int]]
    # Keys that the table does not take at the moment, alone in their partition.
    hot: frozenset[Key] = frozenset()
    in_flight = in_flight_most = 0
    meter: Meter

    async def write(self, writes: Sequence[Write]) -> Sequence[Write]:
        hot = [write for write in writes if write.key in self.hot]
        if hot:
            await asyncio.sleep(0.01)
            left = [write for write in writes if write not in hot]
            return [*(await self.write(left) if left else []), *hot]
        self.batches.append((now_s(), [write.key for write in writes], sum(len(write.request) for write in writes)))
        self.in_flight += 1
        self.in_flight_most = max(self.in_flight_most, self.in_flight)
        try:
            unprocessed = await super().write(writes)
            self.meter([write for write in writes if write not in unprocessed], None)
            return unprocessed
        finally:
            self.in_flight -= 1


class Worker:
    """One process with its heartbeat and its copier."""

    def __init__(
        self,
        world: World,
        name: str = "w1",
        copy: CopySettings = COPY,
        hold: HoldSettings = HOLD,
        boot_s: float = 100.0,
        landing_s: Callable[[], float | None] = lambda: None,
        limits: tuple[float | None, float | None] = (None, None),
        capacities: tuple[float | None, float | None] = (None, None),
        write: WriteSettings = WRITE,
    ) -> None:
        """`limits`, `capacities`: units a second, read and written."""
        self.world, self.name = world, name
        self.clock = VirtualClock(boot_s=boot_s)
        self.metrics = Metrics()
        self.process = Process(landing_s)
        self.source_faults, self.destination_faults, self.state_faults = Switch(), Switch(), Switch()
        self.state = MemoryState(line=ProcessLine(self.state_faults, self.process), rows=world.beats)
        self.scans = Scans(MemoryScan(CODEC, world.source, ProcessLine(self.source_faults, self.process)))
        line = ProcessLine(self.destination_faults, self.process)
        self.destination = Destination(CODEC, line, self._applied)
        self.destination.items, self.destination.batches = world.destination, []
        # Items that may have been written too late, of which the duty is not durable.
        self.noted: set[Key] = set()
        # Keys, and the items counted in the rows once the duty was durable.
        self.reconciled: list[tuple[set[Key], int]] = []
        self.leases_made = True
        self.beats = True
        self.task: asyncio.Task[None] | None = None
        reads, writes = (Lane(limit, at_once, boot_s) for limit, at_once in zip(limits, capacities, strict=True))
        self.rate = Rate(self.clock, self.metrics, reads, writes)
        self.destination.meter = self.rate.copy_written
        for lane in (reads, writes):
            lane.alone(boot_s)
        caller = MemoryCaller(Side.STATE, world.database, ProcessLine(self.state_faults, self.process))
        self.rows = ParkedRows(caller, "state", LIFE)
        self.parking = Parking(
            ParkTools(self.rows, CODEC, self.clock, random.Random(name).random, self.metrics, name, WRITE.parked_max)
        )
        self.tools = CopyTools(
            CopyRows(caller, "state", LIFE),
            self.state,
            world.leases,
            self.scans,
            self.destination,
            CODEC,
            self.clock,
            random.Random(name).random,
            self.metrics,
            CopySettingsInForce(copy, hold, write, SILENCE_S),
            name,
            0,
            CredentialsPatience(self.clock),
            CopyKnowledge(hold.known_s),
            Signal(),
            self._note_late,
            self._late_noted,
            self.rate,
            self.parking.park,
        )
        self.copier = Copier(self.tools, lambda: self.leases_made)

    def _applied(self, write: Write) -> None:
        self.world.applied.append((self.name, now_s(), write.key))

    def _note_late(self, writes: Sequence[Write]) -> None:
        self.noted |= {write.key for write in writes}

    async def _late_noted(self) -> None:
        await self.clock.sleep(0.5)
        self.reconciled.append((self.noted, (await self.world.counts())[0]))
        self.noted = set()

    def holds(self) -> bool:
        """Whether its changes wait now."""
        return self.tools.knowledge.holds(self.clock.boottime_s(), self.clock.wall_s())

    def parks_nothing(self) -> "Worker":
        """The first item that is refused stops it."""
        self.tools = replace(self.tools, park=nowhere(self.clock, self.metrics).park)
        self.copier = Copier(self.tools, lambda: self.leases_made)
        return self

    def segment(self, segment: Segment) -> SegmentCopier:
        """What copies one segment of those of the settings."""
        return SegmentCopier(self.tools, PageSender(self.tools), segment, self.tools.settings.copy.segments)

    def start(self) -> "Worker":
        self.task = asyncio.create_task(self._run(), name=self.name)
        return self

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat())
            group.create_task(self.copier.run())

    async def _beat(self) -> None:
        counter = 0
        while True:
            counter += 1
            with suppress(Exception):
                if self.beats:
                    await self.state.beat(self.name, WorkerRow(counter), {})
            await self.clock.sleep(1.0)

    async def kill(self) -> None:
        """As kill -9: it says nothing more, and what it sent may be on its way."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])


def end_of(error: BaseException | None) -> BaseException | None:
    """What a task ended with, out of its groups."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def key_of(after: bytes) -> str:
    found: str = msgspec.json.decode(after)["id"]["S"]
    return found
