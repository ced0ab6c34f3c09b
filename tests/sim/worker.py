"""One process of the fleet: production code as `engines/assemble` joins it, on a machine that can be hurt."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.gap_rows import GapRows
from dynamirror.aws.graph_rows import GraphRows
from dynamirror.aws.items import Items
from dynamirror.aws.lease_table import LeaseTable
from dynamirror.aws.parked_rows import ParkedRows
from dynamirror.aws.state_table import StateTable
from dynamirror.aws.tables import BatchWriter
from dynamirror.copy.copier import Copier
from dynamirror.copy.tools import CopySettingsInForce, CopyTools
from dynamirror.engines.assemble import READS_AT_ONCE_MAX
from dynamirror.errors import Side
from dynamirror.fleet.coordinator import Coordinator, FleetTools
from dynamirror.fleet.heartbeat import Heartbeat
from dynamirror.fleet.leases import LeaseTools
from dynamirror.fleet.shards import DirectoryTools, ShardDirectory
from dynamirror.fleet.tenure import TenureTools
from dynamirror.follow.apply import Applier
from dynamirror.follow.hold import HoldTools
from dynamirror.follow.parking import Parking, ParkTools
from dynamirror.follow.read import ReadTools
from dynamirror.follow.send import ApplyTools
from dynamirror.follow.settling import Budget
from dynamirror.follow.tools import FollowTools
from dynamirror.loops.log_limit import LogLimit
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.loops.rate import Rate
from dynamirror.loops.signal import Signal
from dynamirror.loops.turns import Turns
from dynamirror.model.change import Write
from dynamirror.model.copy import CopyKnowledge
from dynamirror.model.gap import OnGap
from dynamirror.model.lane import Lane
from dynamirror.model.lease import Terms
from dynamirror.model.permit import NEVER
from dynamirror.model.shard_graph import Start
from dynamirror.observe.metrics import Metrics
from dynamirror.prove.reconcile import Reconciler
from dynamirror.prove.tools import Claims, ReconcileTools
from dynamirror.settings.bounds import fence_of
from dynamirror.settings.groups import CopySettings
from dynamirror.testing.memory_items import MemoryItems
from tests.sim.cloud import CODEC, INCARNATION, LEASES, STATE, TARGET, Cloud
from tests.sim.copying import SourceScan, begin, callers
from tests.sim.network import Weather
from tests.sim.process import MachineClock, Process
from tests.sim.profile import Fleet
from tests.sim.services import StreamWire, WatchedWriter
from tests.support.gap_policies import continuing, stopping


class Worker(Process):
    """A worker process, from its start to its end; a restart is a new one."""

    def __init__(
        self, cloud: Cloud, name: str, draw: random.Random, fleet: Fleet, state: bool = True, date_off_s: float = 30.0
    ) -> None:
        """`state`: it has the rights to a state table, and sends heartbeats. `date_off_s`: its date may be so wrong."""
        fleet = fleet.of_one(draw)
        super().__init__(cloud, name)
        # Of its own: what is parked must not change what else goes wrong in a run.
        self._draw_parked = random.Random(f"parked {draw.getstate()[1][:9]}")
        self.weather = Weather(draw, cloud.counts, {"parked": self._draw_parked}, fleet.write.stray_life_s)
        self.clock = MachineClock(self.machine, draw, date_off_s)
        self.metrics = Metrics()
        self.stopping = asyncio.Event()
        self.settings = fleet.lease
        self.write = fleet.write
        self.hold = fleet.hold
        self.read = fleet.read
        self.budget = Budget(fleet.write.resend_bytes_max)
        # What it followed when that was last asked.
        self.followed: set[tuple[str, str]] = set()
        self.looked_at_s = 0.0
        # One that joins a task later need not have been asked to copy.
        self.announces = fleet.copy is not None and draw.random() < 0.7
        self._announces_after_s = draw.choice([0.0, 3.0, 15.0])
        self.copy = fleet.copy
        self.copier: Copier | None = None
        # Once the copy is announced, of one that does that.
        self.coordinator: Coordinator | None = None
        self.held = HoldTools(CopyKnowledge(fleet.hold.known_s), Signal(), fleet.hold, Budget(fleet.hold.bytes_max))
        self._join = self._assemble(random.Random(draw.random()).random, state, fleet.copy)

    def _assemble(
        self, draw: Callable[[], float], has_state: bool, copy: CopySettings | None
    ) -> Callable[[Start], None]:
        cloud, clock = self.cloud, self.clock
        state = StateTable(self._caller(Side.STATE, "heartbeats"), STATE, INCARNATION) if has_state else None
        lease_ms = int(self.settings.duration_s * 1000)
        beats_s = self.settings.heartbeat_s
        beating = Heartbeat(state, clock, self.name, {}, beats_s, lease_ms) if state is not None else None

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
        read = ReadTools(stream, clock, draw, self.read, Turns(READS_AT_ONCE_MAX), self.metrics, cloud.clock.wall_s)
        rows = ParkedRows(self._caller(Side.STATE, "parked"), STATE, INCARNATION) if has_state else None
        most = self.write.parked_max
        wait = self._draw_parked.random
        self.parking = Parking(ParkTools(rows, CODEC, clock, wait, self.metrics, self.name, most))
        self.applier = Applier(
            ApplyTools(table, clock, draw, self.metrics, self.write, reconcile, self.parking, self.rate)
        )
        if state is None:
            self.held = replace(self.held, knowledge=CopyKnowledge(float("inf")))
        store = GapRows(self._caller(Side.STATE, "gaps"), STATE, INCARNATION)
        passes = has_state and self.read.on_gap is not OnGap.STOP
        self.gaps = continuing(store, clock, self.metrics, self.name) if passes else stopping()
        limit = LogLimit(clock, 10)
        follow = FollowTools(
            read, self.applier, CODEC, self.metrics, self.settings, self.budget, reconcile, limit, self.held, self.gaps
        )
        leases = LeaseTable(self._caller(Side.STATE, "leases"), LEASES)
        fence = fence_of(self.settings, self.write, heartbeat=beating is not None)
        held = LeaseTools(leases, clock, fence, beaten_at_s)
        terms = Terms(self.name, lease_ms, heartbeat=beating is not None)

        listed = GraphRows(self._caller(Side.STATE, "heartbeats"), STATE, INCARNATION)
        graph = listed if state is not None else None

        def join(start: Start) -> None:
            directory = ShardDirectory(DirectoryTools(stream, leases, clock, draw, read.now_s, self.gaps), start)
            directory.idle = self.reconciler.idle
            if state is not None:
                copying = self._copy_tools(copy or CopySettings(), state, leases, copied, draw)
                self.copier = Copier(copying, directory.synced.is_set)
            tenure = TenureTools(follow, held, self.write, directory, terms, self.read.parent_poll_s, Signal())
            self.coordinator = Coordinator(FleetTools(tenure, self.settings, beating, state, graph))

        return join

    def _copy_tools(
        self,
        copy: CopySettings,
        state: StateTable,
        leases: LeaseTable,
        table: "WatchedWriter",
        draw: Callable[[], float],
    ) -> CopyTools:
        def note_late(writes: Sequence[Write]) -> None:
            self.cloud.counts["late page noticed"] += len(writes)
            self.cloud.checks.reconciling(writes)
            self.reconciler.add_writes(writes, self.clock.boottime_s())

        return CopyTools(
            CopyRows(self._caller(Side.STATE, "copy"), STATE, INCARNATION),
            state,
            leases,
            SourceScan(self.cloud, self._wire(Side.SOURCE, "source"), self.clock, draw),
            table,
            CODEC,
            self.clock,
            draw,
            self.metrics,
            CopySettingsInForce(copy, self.hold, self.write, self.settings.duration_s),
            self.name,
            0,
            CredentialsPatience(self.clock),
            self.held.knowledge,
            self.held.learned,
            note_late,
            self.reconciler.flush,
            self.rate,
            self.parking.park,
        )

    async def _begin(self) -> Start:
        """As the command does it that was asked to copy; the others may have begun long before."""
        if not self.announces or self.copy is None:
            return Start()
        await self.clock.sleep(self._announces_after_s)
        return await begin(callers(self.cloud, self._wire), self.copy, self.hold, self.clock)

    def follows(self) -> set[tuple[str, str]]:
        """Its name, with each shard that it follows, or did until it began to stop."""
        return {(self.name, shard_id) for shard_id in self.coordinator.tenures} if self.coordinator else set()

    async def _run(self) -> None:
        beginning = asyncio.create_task(self._begin())
        stopped = asyncio.create_task(self.stopping.wait())
        await asyncio.wait([beginning, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if self.stopping.is_set():
            beginning.cancel()
            return
        self._join(beginning.result())
        assert self.coordinator is not None
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(side.run()) for side in (self.reconciler, self.parking)]
            async with asyncio.TaskGroup() as sending:
                senders = [sending.create_task(self.applier.run())]
                if self.copier is not None:
                    senders.append(sending.create_task(self.copier.run()))
                await self.coordinator.run(self.stopping)
                for sender in senders:
                    sender.cancel()
            with suppress(Exception):
                await asyncio.wait_for(asyncio.gather(self.reconciler.flush(), self.parking.flush()), 0.3)
            for side in beside:
                side.cancel()
