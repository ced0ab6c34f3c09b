"""A task in memory and workers on it, on virtual time: what the tests of fleet share.

Each worker has its own lines to the services, so that one alone can be cut off, slowed down, or killed.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

from dynamirror.errors import Side, Unanswered
from dynamirror.fleet.coordinator import Coordinator, FleetTools
from dynamirror.fleet.heartbeat import Heartbeat
from dynamirror.fleet.leases import LeaseTools
from dynamirror.fleet.shards import DirectoryTools, ShardDirectory
from dynamirror.fleet.tenure import TenureTools
from dynamirror.follow.apply import Applier
from dynamirror.follow.hold import HoldTools
from dynamirror.follow.read import ReadTools
from dynamirror.follow.send import ApplyTools
from dynamirror.follow.settling import Budget
from dynamirror.follow.tools import FollowTools
from dynamirror.loops.log_limit import LogLimit
from dynamirror.loops.signal import Signal
from dynamirror.loops.turns import Turns
from dynamirror.model.change import Page, Write
from dynamirror.model.copy import CopyKnowledge
from dynamirror.model.key import Key, KeyAttribute, KeyCodec, KeySchema
from dynamirror.model.lease import Terms
from dynamirror.model.permit import NEVER
from dynamirror.model.shard_graph import Listing, Shard, Start
from dynamirror.observe.metrics import Metrics
from dynamirror.settings.bounds import fence_of
from dynamirror.settings.groups import HoldSettings, LeaseSettings, ReadSettings, WriteSettings
from dynamirror.testing.faults import Fault, Faults, Line, no_faults
from dynamirror.testing.memory_state import MemoryGraph, MemoryLeases, MemoryState
from dynamirror.testing.memory_stream import MemoryStream
from dynamirror.testing.memory_table import MemorySource, MemoryTable
from dynamirror.testing.virtual_time import VirtualClock
from tests.support.gap_policies import MemoryGaps, continuing, stopping
from tests.support.parking import nowhere

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "S")))
LATENCY_S = 0.005
HANG = Fault(delay_s=1e9)


class World:
    """Source, stream, destination, lease table and state table."""

    def __init__(self, shards: int = 1) -> None:
        self.clock = VirtualClock()
        self.stream = MemoryStream(self.clock, shards=shards)
        self.source = MemorySource(CODEC, self.stream)
        self.destination = MemoryTable(CODEC)
        self.leases = MemoryLeases()
        self.state = MemoryState()
        self.graph: list[Listing] = []
        # (time, worker, key, sequence number) of each write at the moment it was applied.
        self.writes: list[tuple[float, str, Key, int]] = []
        self.workers: list[Worker] = []
        # Where gaps are noted that are passed; None: they stop a worker.
        self.gaps: MemoryGaps | None = None
        # No item waits to be reconciled.
        self.idle = True

    def put(self, *keys: str, value: int = 0) -> None:
        for key in keys:
            self.source.put({"id": {"S": key}, "v": {"N": str(value)}})

    def put_many(self, count: int, value: int = 0) -> None:
        self.put(*(f"k{number}" for number in range(count)), value=value)

    def worker(self, name: str, state: bool = True, start: Start | None = None) -> "Worker":
        worker = Worker(self, name, state, start or Start())
        self.workers.append(worker)
        return worker

    async def until(self, holds: Callable[[], bool], limit_s: float, every_s: float = 0.05) -> float:
        """Wait until something holds; returns after how long. Fails after the limit."""
        started_s = self.now_s
        while not holds():
            waited_s = self.now_s - started_s
            assert waited_s <= limit_s, f"not within {limit_s} s; rows: {sorted(self.leases.rows.items())[:20]}"
            await asyncio.sleep(every_s)
        return self.now_s - started_s

    async def until_equal(self, limit_s: float = 5.0) -> float:
        return await self.until(lambda: self.destination.items == self.source.items, limit_s)

    def owner(self, shard_id: str) -> str | None:
        return self.leases.rows[shard_id].owner

    def owners(self) -> list[str | None]:
        """Owners of the shards that are not finished, in shard order."""
        return [row.owner for _, row in sorted(self.leases.rows.items()) if not row.finished]

    @property
    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def end(self) -> None:
        """Stop everyone; nothing may be left running."""
        for worker in self.workers:
            await worker.kill()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "tasks leaked"


class Cut:
    """Faults that a test switches; `then` is asked while the line is whole."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.then: Faults = no_faults

    def __call__(self, operation: str) -> Fault | None:
        return self.fault or self.then(operation)


def unanswered(side: Side, lands_after_s: float | None = None) -> Fault:
    return Fault(Unanswered(side, "injected"), lands_after_s=lands_after_s)


class Worker:
    """One process, as engines/assemble puts it together."""

    def __init__(self, world: World, name: str, state: bool, start: Start) -> None:
        self.world = world
        self.name = name
        self.metrics = Metrics()
        self.clock = VirtualClock(boot_s=50.0 * (len(world.workers) + 1))
        self.lease_faults, self.state_faults, self.write_faults, self.stream_faults = Cut(), Cut(), Cut(), Cut()
        self.stopping = asyncio.Event()
        self.settings = LeaseSettings()
        draw = random.Random(name).random
        self.leases = MemoryLeases(Line(self.lease_faults, LATENCY_S))
        self.leases.rows = world.leases.rows
        self.graph = MemoryGraph(world.graph, Line(self.state_faults, LATENCY_S)) if state else None
        self.state = MemoryState(line=Line(self.state_faults, LATENCY_S), rows=world.state.rows) if state else None
        table = MemoryTable(CODEC, Line(self.write_faults, LATENCY_S), self._note)
        table.items, table.refused = world.destination.items, world.destination.refused
        stream = StreamLine(world.stream, Line(self.stream_faults, LATENCY_S))
        write = WriteSettings()
        self.late: list[Write] = []
        parking = nowhere(self.clock, self.metrics)
        self.applier = Applier(ApplyTools(table, self.clock, draw, self.metrics, write, self.late.extend, parking))
        read = ReadTools(stream, self.clock, draw, ReadSettings(), Turns(32), self.metrics)
        budget = Budget(write.resend_bytes_max)
        self.knowledge = CopyKnowledge(float("inf"))
        hold = HoldTools(self.knowledge, Signal(), HoldSettings(), Budget(1_000_000))
        limit = LogLimit(self.clock, 10)
        gaps = continuing(world.gaps, self.clock, self.metrics, name) if world.gaps else stopping()
        follow = FollowTools(
            read, self.applier, CODEC, self.metrics, self.settings, budget, self.late.extend, limit, hold, gaps
        )
        lease_ms = int(self.settings.duration_s * 1000)
        beats_s = self.settings.heartbeat_s
        beating = Heartbeat(self.state, self.clock, name, {}, beats_s, lease_ms) if self.state else None
        terms = Terms(name, lease_ms, heartbeat=beating is not None)
        self.directory = ShardDirectory(
            DirectoryTools(stream, self.leases, self.clock, draw, self.clock.wall_s, gaps), start
        )
        self.directory.idle = self._idle
        fence = fence_of(self.settings, write, heartbeat=beating is not None)
        held = LeaseTools(self.leases, self.clock, fence, lambda: beating.beaten_at_s if beating else NEVER)
        self.tenure = TenureTools(follow, held, write, self.directory, terms, 10.0, Signal())
        self.coordinator = Coordinator(FleetTools(self.tenure, self.settings, beating, self.state, self.graph))
        self.task: asyncio.Task[None] | None = None

    @property
    def settled(self) -> bool:
        """Nothing of it, or of those before it, is on its way to the destination, or waits for its way."""
        return "waiting=0, flying=0" in repr(self.applier) and all(
            tenure.settled for tenure in self.coordinator.tenures.values()
        )

    async def _idle(self) -> bool:
        return self.world.idle

    def _note(self, write: Write) -> None:
        self.world.writes.append((self.world.now_s, self.name, write.key, int(write.sequence_number)))

    def start(self) -> "Worker":
        self.task = asyncio.create_task(self._run(), name=self.name)
        return self

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            applying = group.create_task(self.applier.run())
            await self.coordinator.run(self.stopping)
            applying.cancel()

    async def stop(self, limit_s: float = 5.0) -> float:
        """An orderly stop; returns how long it took."""
        assert self.task is not None
        started_s = self.world.now_s
        self.stopping.set()
        await asyncio.wait([self.task], timeout=limit_s)
        assert self.task.done(), f"not stopped in {limit_s} s"
        self.task.result()
        return self.world.now_s - started_s

    async def ended(self, limit_s: float = 100.0) -> list[BaseException]:
        """Wait until it fails by itself; returns what it failed with."""
        assert self.task is not None
        await asyncio.wait([self.task], timeout=limit_s)
        assert self.task.done(), f"not ended in {limit_s} s"
        error = self.task.exception()
        assert error is not None
        return list(leaves(error))

    def cut_off(self) -> None:
        """Nothing that it sends from now on arrives, and it hears nothing."""
        for cut in (self.lease_faults, self.state_faults, self.write_faults, self.stream_faults):
            cut.fault = HANG

    async def kill(self) -> None:
        """As kill -9: no last word."""
        self.cut_off()
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self.task


class StreamLine:
    """A worker's own way to the stream that all share."""

    def __init__(self, stream: MemoryStream, line: Line) -> None:
        self._stream = stream
        self._line = line
        self.retention_ms = stream.retention_ms

    async def list_shards(self) -> Listing:
        await self._line.call("DescribeStream", _nothing)
        return await self._stream.list_shards()

    async def list_children(self, parent_id: str) -> list[Shard]:
        await self._line.call("CHILD_SHARDS", _nothing)
        return await self._stream.list_children(parent_id)

    async def iterator_at(self, shard_id: str, checkpoint: str) -> str:
        await self._line.call("GetShardIterator", _nothing)
        return await self._stream.iterator_at(shard_id, checkpoint)

    async def read(self, iterator: str, records_max: int) -> Page:
        await self._line.call("GetRecords", _nothing)
        return await self._stream.read(iterator, records_max)


def _nothing(fault: Fault) -> None:
    """The stream itself answers."""


def leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]
