"""One process of the fleet: production code as `engines/assemble` joins it, on a machine that can be hurt."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.items import Items
from dynamirror.aws.lease_table import LeaseTable
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.aws.tables import BatchWriter
from dynamirror.copy.copier import Copier
from dynamirror.copy.phases import announced
from dynamirror.copy.tools import CopySettingsInForce, CopyTools
from dynamirror.engines.assemble import READS_AT_ONCE_MAX
from dynamirror.errors import Retry, Side, Throttled
from dynamirror.fleet.coordinator import Coordinator, FleetTools
from dynamirror.fleet.heartbeat import Heartbeat
from dynamirror.fleet.leases import LeaseTools
from dynamirror.fleet.shards import ShardDirectory
from dynamirror.fleet.tenure import TenureTools
from dynamirror.follow.apply import Applier
from dynamirror.follow.hold import HoldTools
from dynamirror.follow.read import ReadTools
from dynamirror.follow.send import ApplyTools
from dynamirror.follow.settling import Budget
from dynamirror.follow.shard_task import FollowTools
from dynamirror.loops.log_limit import LogLimit
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.loops.rate import Rate
from dynamirror.loops.signal import Signal
from dynamirror.model.change import Page, Write
from dynamirror.model.copy import Copy, CopyKnowledge, Phase
from dynamirror.model.lane import Lane
from dynamirror.model.lease import Terms
from dynamirror.model.permit import NEVER
from dynamirror.model.shard_graph import Listing, Shard, Start
from dynamirror.observe.metrics import Metrics
from dynamirror.prove.reconcile import Reconciler
from dynamirror.prove.tools import Claims, ReconcileTools
from dynamirror.settings.bounds import fence_of
from dynamirror.settings.groups import CopySettings, LeaseSettings
from dynamirror.testing.faults import Fault
from dynamirror.testing.memory_items import MemoryItems
from dynamirror.testing.memory_scan import MemoryScan
from dynamirror.testing.virtual_time import VirtualClock
from tests.sim.cloud import CODEC, LEASES, STATE, TARGET, Cloud
from tests.sim.flights import departing
from tests.sim.network import Machine, Weather, Wire
from tests.sim.profile import Fleet
from tests.support.memory_caller import MemoryCaller

INCARNATION = Incarnation("id of leases", "arn:memory:stream")

_PROCESS: ContextVar["Worker | None"] = ContextVar("process", default=None)


def of_its_process(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
    """A task factory: tasks belong to the worker that makes them."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **more)
    process = _PROCESS.get()
    if process is not None:
        process.tasks[task] = None
        task.add_done_callback(process.tasks.pop)
    return task


class MachineClock(VirtualClock):
    """The clocks of a machine. A timer that is due while it is frozen fires at the thaw."""

    def __init__(self, machine: Machine, draw: random.Random) -> None:
        super().__init__(draw.uniform(10, 1e6), 1.7e9 + draw.uniform(-30, 30), 1 + draw.uniform(-0.001, 0.001))
        self._machine = machine

    async def sleep(self, delay_s: float) -> None:
        await super().sleep(delay_s)
        await self._machine.awake()


class Worker:
    """A worker process, from its start to its end; a restart is a new one."""

    def __init__(self, cloud: Cloud, name: str, draw: random.Random, fleet: Fleet, state: bool = True) -> None:
        """`state`: it has the rights to a state table, and sends heartbeats."""
        self.name = name
        self.cloud = cloud
        self.machine = Machine(name)
        self.machine.on_death = self._died
        self.weather = Weather(draw, cloud.counts)
        self.clock = MachineClock(self.machine, draw)
        self.metrics = Metrics()
        self.stopping = asyncio.Event()
        self.settings = LeaseSettings()
        self.write = fleet.write
        self.hold = fleet.hold
        self.read = fleet.read
        self.budget = Budget(fleet.write.resend_bytes_max)
        self.wires: list[Wire] = []
        # What it followed when that was last asked.
        self.followed: set[tuple[str, str]] = set()
        self.task: asyncio.Task[None] | None = None
        self.dying: asyncio.Task[None] | None = None
        self.tasks: dict[asyncio.Task[Any], None] = {}
        # One that joins a task later need not have been asked to copy.
        self.announces = fleet.copy is not None and draw.random() < 0.7
        self._announces_after_s = draw.choice([0.0, 3.0, 15.0])
        self._assemble(random.Random(draw.random()).random, state, fleet.copy)

    def _caller(self, side: Side, place: str) -> MemoryCaller:
        return MemoryCaller(side, self.cloud.database, self._wire(side, place))  # type: ignore[arg-type]

    def _wire(self, side: Side, place: str) -> Wire:
        wire = Wire(self.machine, side, place, self.weather, self.cloud.checks)
        self.wires.append(wire)
        return wire

    def _assemble(self, draw: Callable[[], float], has_state: bool, copy: CopySettings | None) -> None:
        cloud, clock = self.cloud, self.clock
        state = StateTable(self._caller(Side.STATE, "heartbeats"), STATE, INCARNATION) if has_state else None
        beating = Heartbeat(state, clock, self.name, {}, self.settings.heartbeat_s) if state is not None else None

        def beaten_at_s() -> float:
            return beating.beaten_at_s if beating is not None else NEVER

        claims = Claims(state, self.name, beaten_at_s, self.settings.duration_s) if state is not None else None
        here = MemoryItems(cloud.source.items, self._wire(Side.SOURCE, "source"))  # type: ignore[arg-type]
        caller = self._caller(Side.DESTINATION, "destination")
        there = Items(caller, TARGET, CODEC, Side.DESTINATION)
        self.reconciler = Reconciler(ReconcileTools(here, there, CODEC, clock, draw, self.metrics, self.write, claims))

        def reconcile(writes: Sequence[Write]) -> None:
            cloud.counts["late send noticed"] += len(writes)
            cloud.checks.reconciling(writes)
            self.reconciler.add_writes(writes, clock.boottime_s())

        stream = StreamWire(cloud, self._wire(Side.SOURCE, "source"))
        now_s = clock.boottime_s()
        self.rate = Rate(clock, self.metrics, Lane(None, None, now_s), Lane(None, None, now_s))
        table = WatchedWriter(cloud, BatchWriter(caller, TARGET, CODEC))
        copied = WatchedWriter(cloud, BatchWriter(caller, TARGET, CODEC, self.rate.copy_written))
        read = ReadTools(stream, clock, draw, self.read, asyncio.Semaphore(READS_AT_ONCE_MAX), cloud.clock.wall_s)
        self.applier = Applier(ApplyTools(table, clock, draw, self.metrics, self.write, reconcile, self.rate))
        known_s = self.hold.known_s if state is not None else float("inf")
        hold = HoldTools(CopyKnowledge(known_s), Signal(), self.hold, Budget(self.hold.bytes_max))
        limit = LogLimit(clock, 10)
        follow = FollowTools(
            read, self.applier, CODEC, self.metrics, self.settings, self.budget, reconcile, limit, hold
        )
        leases = LeaseTable(self._caller(Side.STATE, "leases"), LEASES)
        fence = fence_of(self.settings, self.write, heartbeat=beating is not None)
        held = LeaseTools(leases, clock, fence, beaten_at_s)
        terms = Terms(self.name, int(self.settings.duration_s * 1000), heartbeat=beating is not None)
        directory = ShardDirectory(stream, leases, clock, draw, Start(), read.now_s)
        self.copier = self.phases = None
        if state is not None:
            copying = self._copy_tools(copy or CopySettings(), state, leases, copied, draw, hold)
            self.phases = copying.store, leases, copying.settings
            self.copier = Copier(copying, directory.synced.is_set)
        tenure = TenureTools(follow, held, self.write, directory, terms, self.read.parent_poll_s, Signal())
        self.coordinator = Coordinator(FleetTools(tenure, self.settings, beating, state))

    def _copy_tools(
        self,
        copy: CopySettings,
        state: StateTable,
        leases: LeaseTable,
        table: "WatchedWriter",
        draw: Callable[[], float],
        hold: HoldTools,
    ) -> CopyTools:
        async def reconcile(writes: Sequence[Write]) -> None:
            self.cloud.counts["late page noticed"] += len(writes)
            self.cloud.checks.reconciling(writes)
            self.reconciler.add_writes(writes, self.clock.boottime_s())
            await self.reconciler.flush()

        return CopyTools(
            CopyRows(self._caller(Side.STATE, "heartbeats"), STATE, INCARNATION),
            state,
            leases,
            MemoryScan(CODEC, self.cloud.source.items, self._wire(Side.SOURCE, "source")),  # type: ignore[arg-type]
            table,
            CODEC,
            self.clock,
            draw,
            self.metrics,
            CopySettingsInForce(copy, self.hold, self.write, self.settings.duration_s),
            self.name,
            0,
            CredentialsPatience(self.clock),
            hold.knowledge,
            hold.learned,
            reconcile,
            self.rate,
        )

    async def _announce(self) -> None:
        """As the command does it that was asked to copy; the others may have begun long before."""
        await self.clock.sleep(self._announces_after_s)
        while self.phases is not None:
            try:
                store, leases, settings = self.phases
                began_ms = int(self.cloud.clock.wall_s() * 1000)
                await announced(store, leases, Copy(Phase.ANNOUNCED, settings.copy.segments, began_ms, True))
                return
            except Retry:
                await self.clock.sleep(0.5)

    @property
    def alive(self) -> bool:
        return not self.machine.dead and self.task is not None and not self.task.done()

    def follows(self) -> set[tuple[str, str]]:
        """Its name, with each shard that it follows, or did until it began to stop."""
        return {(self.name, shard_id) for shard_id in self.coordinator.tenures}

    def start(self) -> "Worker":
        token = _PROCESS.set(self)
        self.task = asyncio.create_task(self._run(), name=self.name)
        _PROCESS.reset(token)
        return self

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            sides = [group.create_task(self.applier.run()), group.create_task(self.reconciler.run())]
            if self.copier is not None:
                sides.append(group.create_task(self._copy(self.copier)))
            await self.coordinator.run(self.stopping)
            with suppress(Exception):
                await asyncio.wait_for(self.reconciler.flush(), 0.3)
            for side in sides:
                side.cancel()

    async def _copy(self, copier: Copier) -> None:
        if self.announces:
            await self._announce()
        await copier.run()

    def _died(self) -> None:
        # Not one of its own tasks, though one of them may be calling.
        token = _PROCESS.set(None)
        self.dying = asyncio.create_task(self.kill(), name=f"end of {self.name}")
        _PROCESS.reset(token)

    async def kill(self) -> None:
        """As kill -9: no last word; what has left goes on by itself."""
        if not self.machine.dead:
            self.machine.die()
        if self.dying is not None and self.dying is not asyncio.current_task():
            await self.dying
        elif self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self.task
            # A process takes with it whatever would have outlived its main task.
            for task in list(self.tasks):
                task.cancel()


class WatchedWriter:
    """`ports.DestinationTable` over the production one: says what leaves, and meters partitions as the service does."""

    def __init__(self, cloud: Cloud, table: BatchWriter) -> None:
        self._cloud = cloud
        self._table = table

    async def write(self, writes: Sequence[Write]) -> Sequence[Write]:
        allowed = [write for write in writes if self._cloud.write_allowed(write.key)]
        refused = [write for write in writes if write not in allowed]
        if refused:
            self._cloud.counts["partition of the table throttled"] += 1
        if not allowed:
            raise Throttled(Side.DESTINATION, "injected: the partition's capacity is used up")
        with departing(allowed):
            return [*await self._table.write(allowed), *refused]


class StreamWire:
    """A machine's own way to the stream that all share."""

    def __init__(self, cloud: Cloud, wire: Wire) -> None:
        self._cloud = cloud
        self._stream = cloud.stream
        self._wire = wire
        self.retention_ms = cloud.stream.retention_ms

    async def list_shards(self) -> Listing:
        await self._wire.call("DescribeStream", _nothing)
        return await self._stream.list_shards()

    async def list_children(self, parent_id: str) -> list[Shard]:
        await self._wire.call("DescribeStream", _nothing)
        return await self._stream.list_children(parent_id)

    async def iterator_at(self, shard_id: str, checkpoint: str) -> str:
        await self._wire.call("GetShardIterator", _nothing)
        return await self._stream.iterator_at(shard_id, checkpoint)

    async def read(self, iterator: str, records_max: int) -> Page:
        await self._wire.call("GetRecords", lambda _: self._cloud.read_allowed(iterator.partition("|")[0]))
        return await self._stream.read(iterator, records_max)


def _nothing(fault: Fault) -> None:
    """The stream itself answers."""
