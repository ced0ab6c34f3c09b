"""One worker's share of the task: which leases it holds, and the loops that keep them.

heartbeat   every second: this worker lives, and what it asks others for (state table)
watch       every second: who else lives; take what is free or orphaned, ask for what others have too much of
hand over   what others ask for (fleet/handoff)
renew       each held row at least every 21 s, as KCL needs (every third of the lease duration without heartbeats)
sync        every minute, and where a shard ends without a child: lease rows for new shards

A loop that dies ends the worker, loudly. Start-up is recovery: there is no other path.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from dynamirror.errors import LeaseLost, Retry
from dynamirror.fleet.attempts import Attempts, persist, report
from dynamirror.fleet.discovery import Discovery
from dynamirror.fleet.handoff import Giver, GiverTools
from dynamirror.fleet.heartbeat import Heartbeat
from dynamirror.fleet.housekeeping import Housekeeping
from dynamirror.fleet.leases import HeldLease
from dynamirror.fleet.outlook import Outlook
from dynamirror.fleet.steal import Thief
from dynamirror.fleet.stop import DRAIN_S, RETIRE_S, wind_down, within
from dynamirror.fleet.taker import Taker
from dynamirror.fleet.tenure import Tenure, TenureTools
from dynamirror.loops.signal import done_within
from dynamirror.model.lease import Taken
from dynamirror.model.shard_graph import untouched
from dynamirror.settings.groups import LeaseSettings
from dynamirror.state_ports import GraphStore, StateStore

# Renewals, or takes, under way at the same time.
REQUESTS_AT_ONCE_MAX = 20
# After a shard ended without a child, until the shards are listed a second time.
LIST_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class FleetTools:
    """What the coordinator is given. Without a state table all but the first two are None."""

    tenure: TenureTools
    settings: LeaseSettings
    heartbeat: Heartbeat | None
    state: StateStore | None
    graph: GraphStore | None


class Coordinator:
    """Runs until told to stop, or until something that only an operator can mend."""

    def __init__(self, tools: FleetTools) -> None:
        self._tools = tools
        self._clock = tools.tenure.follow.clock
        self._directory = tools.tenure.directory
        self._tenures: dict[str, Tenure] = {}
        # Counters at which shards were finished here, as long as there are rows of them.
        self._ended_at: dict[str, int] = {}
        store, settings = tools.tenure.leases.store, tools.settings
        self._outlook = Outlook(store, tools.state, self._clock, settings, self._me)
        answer_s = tools.tenure.write.settle_s + DRAIN_S + settings.watch_s
        self._thief = Thief(self._outlook, tools.heartbeat, self._clock, self._me, answer_s)
        self._giver = self._make_giver()
        self._taker = Taker(tools.tenure, self._outlook, self._thief, self._giver, self._tenures, self._start)
        metrics = tools.tenure.follow.metrics
        self._house = Housekeeping(self._outlook, self._directory, store, tools.state, metrics, self._me)
        self._discovery: Discovery | None = None
        if tools.graph is not None:
            self._discovery = Discovery(self._directory.list_shards, tools.graph, self._clock, self._house.leads)
            self._directory.list_shards = self._discovery.list_shards
        self._group: asyncio.TaskGroup | None = None
        self._stopping = False
        self._looked = False
        # Boot time of the first of the attempts to find new shards that have failed since the last that did not.
        self.listing_fails_since_s: float | None = None
        self._alive = asyncio.Event()

    def __repr__(self) -> str:
        return f"Coordinator({self._me}, holds={sorted(self._tenures)})"

    @property
    def _me(self) -> str:
        return self._tools.tenure.terms.worker

    @property
    def misses_nothing(self) -> bool:
        """The first look at the leases is over, and what comes from now on will be read, of every shard."""
        return self._looked and all(tenure.misses_nothing for tenure in self._tenures.values())

    @property
    def tenures(self) -> Mapping[str, Tenure]:
        """The leases held now, by shard."""
        return self._tenures

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow the stream until `stopping` is set. Raises (in a group) Gap, Stop."""
        drained = released = False
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                working = group.create_task(self._work())
                beating = group.create_task(self._beat())
                await stopping.wait()
                self._stopping = True
                # Nothing is taken or renewed any more; the heartbeat goes on until all leases are released.
                working.cancel()
                await asyncio.wait([working])
                await self._ask_nothing()
                asked = self._thief.asked_lately
                released = await wind_down(self._tools.tenure, self._tenures, drain=True, asked=asked)
                drained = True
                beating.cancel()
                await asyncio.wait([beating])
        finally:
            self._stopping = True
            if not drained:
                released = await wind_down(self._tools.tenure, self._tenures, drain=False)
            # Without its heartbeat row a worker's leases are judged by their own rows, which takes longer.
            if released and self._tools.heartbeat is not None:
                await within(RETIRE_S, "retire", [self._tools.heartbeat.retire])

    async def _ask_nothing(self) -> None:
        """What is handed over from now on nobody here would take."""
        heartbeat = self._tools.heartbeat
        if heartbeat is not None and heartbeat.wants:
            self._thief.ask_nothing()
            await within(RETIRE_S, "ask for nothing", [heartbeat.beat])

    async def _beat(self) -> None:
        heartbeat = self._tools.heartbeat
        if heartbeat is not None:
            await self._persist("writing the first heartbeat", heartbeat.beat)
            self._alive.set()
            await heartbeat.run()

    async def _work(self) -> None:
        """First the heartbeat, else others see no life. A task that nobody has begun gets all its rows before the loops
        begin; else nothing that was begun waits for a listing, which may take minutes."""
        try:
            if self._tools.heartbeat:
                await self._alive.wait()
            await self._persist("reading the lease table", self._outlook.first)
            childless = await self._sync() if untouched(self._outlook.rows) else None
            async with asyncio.TaskGroup() as loops:
                if self._giver is not None:
                    loops.create_task(self._giver.run())
                loops.create_task(self._watch_loop())
                loops.create_task(self._renew_loop())
                loops.create_task(self._sync_loop(childless))
        finally:
            self._stopping = True  # Nothing may begin in a group that is about to end.

    def _start(self, taken: Taken) -> None:
        """Begin a tenure that is neither begun nor over.

        1 a lease is got, the answer is slow; 2 another path finds the row its own, and begins; 3 the shard is read to
        its end, its children too; 4 the answer is there. The row is still this worker's: no condition stops it.
        """
        shard_id = taken.lease.shard_id
        if self._group is None:
            return
        self._directory.in_doubt.pop(shard_id, None)
        if shard_id in self._tenures or taken.lease.counter <= self._ended_at.get(shard_id, -1):
            return
        tenure = Tenure(self._tools.tenure, HeldLease(taken, self._tools.tenure.leases), self._start)
        self._tenures[shard_id] = tenure
        self._tools.tenure.follow.metrics.count("leases_taken")
        # Taken while the worker stops: not begun, but released with the others.
        if not self._stopping:
            self._count_held()
            tenure.begin(self._group.create_task(self._tend(tenure)))

    async def _tend(self, tenure: Tenure) -> None:
        ended = False
        try:
            await tenure.run()
            ended = True
        finally:
            # Of a tenure that was cut short (the worker stops, or fails) the lease is still held, and released later.
            if ended or tenure.held.lost:
                self._tenures.pop(tenure.shard_id, None)
                if tenure.held.lease.finished:  # A lost one's row may be made anew, and count from 0.
                    self._ended_at[tenure.shard_id] = tenure.held.lease.counter
                self._count_held()
            elif not tenure.leaving:
                self._stopping = True

    def _count_held(self) -> None:
        self._tools.tenure.follow.metrics.gauge("leases_held", len(self._tenures))

    # --- watch: who lives, what is free

    async def _watch_loop(self) -> None:
        """The lease table is asked by every worker that lives, so this also finds credentials that stay expired."""
        attempts = Attempts("looking for free leases", self._clock, self._random)
        while True:
            try:
                await self._taker.look()
                self._directory.java_beside = self._directory.java_beside or self._outlook.fleet().mixed
                self._looked = True
                # What was left to others, and is taken later, is found by its time.
                self._directory.created_at_latest.clear()
                attempts.succeeded()
                pause_s = self._outlook.pause_s()
            except Retry as error:
                self._thief.blind()
                pause_s = attempts.failed(error)
            await self._clock.sleep(pause_s)

    def _make_giver(self) -> Giver | None:
        state = self._tools.state
        if state is None:
            return None
        tools = GiverTools(
            state, self._outlook, self._clock, self._random, self._me, self._start, forgotten=self._count_held
        )
        return Giver(tools, self._tenures)

    # --- renew: keep what is held

    async def _renew_loop(self) -> None:
        settings = self._tools.settings
        every_s = settings.renew_s if self._tools.heartbeat else min(settings.renew_s, settings.duration_s / 3)
        while True:
            await self._clock.sleep(min(1.0, every_s / 3))
            now_s = self._clock.boottime_s()
            due = [t for t in self._tenures.values() if now_s - t.held.written_at_s >= every_s]
            for start in range(0, len(due), REQUESTS_AT_ONCE_MAX):
                await asyncio.gather(*map(self._renew, due[start : start + REQUESTS_AT_ONCE_MAX]))

    async def _renew(self, tenure: Tenure) -> None:
        if tenure.held.lease.finished:
            return
        try:
            await tenure.renew()
        except LeaseLost:
            tenure.lose()
        except Retry as error:
            report(f"renewing the lease of {tenure.shard_id}", error)

    # --- sync: rows for new shards

    async def _sync_loop(self, childless: asyncio.Future[None] | None) -> None:
        """`childless`: of the first listing; None when there was none yet."""
        childless = childless or await self._sync()
        pause_s = self._tools.settings.shard_sync_s
        while True:
            # The stream may have ended there: known by listings of one's own, some seconds apart.
            ended = await done_within(childless, pause_s)
            if ended and self._discovery is not None:
                self._discovery.by_itself_for(2 * LIST_AGAIN_S)
            pause_s = LIST_AGAIN_S if ended else self._tools.settings.shard_sync_s
            childless = await self._sync()

    async def _sync(self) -> asyncio.Future[None]:
        """Returns what is done when next a shard ends without a child, those during the listing included."""
        childless = self._directory.childless.wait()
        await self._persist("listing the stream's shards", self._sync_once)
        return childless

    async def _sync_once(self) -> None:
        begun_at_s, ended = self._clock.boottime_s(), set(self._ended_at)
        try:
            created = await self._directory.sync()
        except Retry:
            if self.listing_fails_since_s is None:
                self.listing_fails_since_s = begun_at_s
            raise
        self.listing_fails_since_s = None
        if created:
            self._outlook.outdate()
        for tenure in self._tenures.values():
            tenure.note_closed()
        for gone in ended - self._directory.with_row:
            del self._ended_at[gone]
        await self._house.tidy()

    # --- common

    @property
    def _random(self) -> Callable[[], float]:
        return self._tools.tenure.follow.read.random

    async def _persist(self, doing: str, step: Callable[[], Awaitable[None]]) -> None:
        await persist(doing, step, self._clock, self._random)
