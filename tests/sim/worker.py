"""One process of the fleet: production code as `engines/assemble` joins it, on a machine that can be hurt."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

from dynamirror.aws.items import Items
from dynamirror.aws.lease_table import LeaseTable
from dynamirror.aws.state_table import Incarnation, StateTable
from dynamirror.aws.tables import BatchWriter
from dynamirror.errors import Side
from dynamirror.fleet.coordinator import Coordinator, FleetTools
from dynamirror.fleet.heartbeat import Heartbeat
from dynamirror.fleet.leases import LeaseTools
from dynamirror.fleet.shards import ShardDirectory
from dynamirror.fleet.tenure import TenureTools
from dynamirror.follow.apply import Applier
from dynamirror.follow.read import ReadTools
from dynamirror.follow.send import ApplyTools
from dynamirror.follow.settling import Budget
from dynamirror.follow.shard_task import FollowTools
from dynamirror.follow.signal import Signal
from dynamirror.model.change import Page, Write
from dynamirror.model.lease import Terms
from dynamirror.model.permit import NEVER
from dynamirror.model.shard_graph import Listing, Shard, Start
from dynamirror.observe.metrics import Metrics
from dynamirror.prove.reconcile import Reconciler
from dynamirror.prove.tools import Claims, ReconcileTools
from dynamirror.settings.bounds import fence_of
from dynamirror.settings.groups import LeaseSettings, ReadSettings, WriteSettings
from dynamirror.testing.faults import Fault
from dynamirror.testing.memory_items import MemoryItems
from dynamirror.testing.memory_stream import MemoryStream
from dynamirror.testing.virtual_time import VirtualClock
from tests.sim.cloud import CODEC, LEASES, STATE, TARGET, Cloud
from tests.sim.network import Machine, Weather, Wire
from tests.support.memory_caller import MemoryCaller


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

    def __init__(self, cloud: Cloud, name: str, draw: random.Random, settings: WriteSettings | None = None) -> None:
        self.name = name
        self.cloud = cloud
        self.machine = Machine(name)
        self.weather = Weather(draw, cloud.counts)
        self.clock = MachineClock(self.machine, draw)
        self.metrics = Metrics()
        self.stopping = asyncio.Event()
        self.settings = LeaseSettings()
        self.write = settings or WriteSettings()
        self.task: asyncio.Task[None] | None = None
        self._assemble(random.Random(draw.random()).random)

    def _wire(self, side: Side) -> Wire:
        return Wire(self.machine, side, self.weather)

    def _assemble(self, draw: Callable[[], float]) -> None:
        cloud, clock = self.cloud, self.clock
        state_caller = MemoryCaller(Side.STATE, cloud.database, self._wire(Side.STATE))  # type: ignore[arg-type]
        caller = MemoryCaller(Side.DESTINATION, cloud.database, self._wire(Side.DESTINATION))  # type: ignore[arg-type]
        state = StateTable(state_caller, STATE, Incarnation("id of leases", cloud.stream.arn))
        beating = Heartbeat(state, clock, self.name, {}, self.settings.heartbeat_s)

        def beaten_at_s() -> float:
            return beating.beaten_at_s if beating is not None else NEVER

        claims = Claims(state, self.name, beaten_at_s, self.settings.duration_s)
        here = MemoryItems(cloud.source.items, self._wire(Side.SOURCE))  # type: ignore[arg-type]
        there = Items(caller, TARGET, CODEC, Side.DESTINATION)
        self.reconciler = Reconciler(ReconcileTools(here, there, CODEC, clock, draw, self.metrics, self.write, claims))

        def reconcile(writes: Sequence[Write]) -> None:
            cloud.counts["late send noticed"] += len(writes)
            self.reconciler.add_writes(writes, clock.boottime_s())

        stream = StreamWire(cloud.stream, self._wire(Side.SOURCE))
        table = WatchedWriter(self, BatchWriter(caller, TARGET, CODEC))
        read = ReadTools(stream, clock, draw, ReadSettings(), asyncio.Semaphore(16))
        self.applier = Applier(ApplyTools(table, clock, draw, self.metrics, self.write, reconcile))
        budget = Budget(self.write.resend_bytes_max)
        follow = FollowTools(read, self.applier, CODEC, self.metrics, self.settings, budget, reconcile)
        leases = LeaseTable(state_caller, LEASES)
        fence = fence_of(self.settings, self.write, heartbeat=True)
        held = LeaseTools(leases, clock, fence, beaten_at_s)
        terms = Terms(self.name, int(self.settings.duration_s * 1000), heartbeat=True)
        directory = ShardDirectory(stream, leases, clock, draw, Start())
        tenure = TenureTools(follow, held, self.write, directory, terms, 10.0, Signal())
        self.coordinator = Coordinator(FleetTools(tenure, self.settings, beating, state))

    @property
    def alive(self) -> bool:
        return not self.machine.dead and self.task is not None and not self.task.done()

    def start(self) -> "Worker":
        self.task = asyncio.create_task(self._run(), name=self.name)
        return self

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            sides = [group.create_task(self.applier.run()), group.create_task(self.reconciler.run())]
            await self.coordinator.run(self.stopping)
            with suppress(Exception):
                await asyncio.wait_for(self.reconciler.flush(), 0.3)
            for side in sides:
                side.cancel()

    async def kill(self) -> None:
        """As kill -9: no last word; what has left goes on by itself."""
        self.machine.dead = True
        self.machine.thaw()
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self.task


class WatchedWriter:
    """`ports.DestinationTable` that tells the checks what leaves, and when."""

    def __init__(self, worker: Worker, table: BatchWriter) -> None:
        self._worker = worker
        self._table = table

    async def write(self, writes: Sequence[Write]) -> Sequence[Write]:
        self._worker.cloud.checks.departs(self._worker.name, writes)
        return await self._table.write(writes)


class StreamWire:
    """A machine's own way to the stream that all share."""

    def __init__(self, stream: MemoryStream, wire: Wire) -> None:
        self._stream = stream
        self._wire = wire

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
        await self._wire.call("GetRecords", _nothing)
        return await self._stream.read(iterator, records_max)


def _nothing(fault: Fault) -> None:
    """The stream itself answers."""
