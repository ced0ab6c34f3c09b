"""One worker's share of the task: which leases it holds, and the loops that keep them.

heartbeat   every second: this worker lives (state table)
watch       every 1-2 s: who else lives; take what is free or orphaned
renew       each held row at least every 15 s, as KCL needs (every third of the lease duration without heartbeats)
sync        every minute and after a shard's end: lease rows for new shards

A loop that dies ends the worker, loudly. Start-up is recovery: there is no other path.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass

from dynamirror.errors import LeaseLost, Retry
from dynamirror.fleet.heartbeat import Heartbeat
from dynamirror.fleet.leases import HeldLease
from dynamirror.fleet.tenure import Tenure, TenureTools
from dynamirror.model.backoff import Backoff
from dynamirror.model.lease import Lease
from dynamirror.model.lease_plan import Patience, Watch, expired, takes
from dynamirror.ports import StateStore
from dynamirror.settings.groups import LeaseSettings

RETRY = Backoff(first_s=0.2, most_s=10.0)
# SIGTERM must be over within 5 s: drain, then checkpoint and release.
DRAIN_S = 2.5
RELEASE_S = 1.5
RENEWALS_AT_ONCE_MAX = 20

log = logging.getLogger("dynamirror.leases")


@dataclass(frozen=True, slots=True)
class FleetTools:
    """What the coordinator is given. Without a state table `heartbeat` and `state` are None."""

    tenure: TenureTools
    settings: LeaseSettings
    heartbeat: Heartbeat | None
    state: StateStore | None


class Coordinator:
    """Runs until told to stop, or until something that only an operator can mend."""

    def __init__(self, tools: FleetTools) -> None:
        self._tools = tools
        self._clock = tools.tenure.follow.clock
        self._directory = tools.tenure.directory
        self._tenures: dict[str, Tenure] = {}
        self._watch = Watch()
        self._patience = Patience(tools.settings.duration_s, tools.settings.java_patience_s)
        self._rows: list[Lease] = []
        self._scanned_at_s = float("-inf")
        self._group: asyncio.TaskGroup | None = None
        self._stopping = False

    def __repr__(self) -> str:
        return f"Coordinator({self._me}, holds={sorted(self._tenures)})"

    @property
    def _me(self) -> str:
        return self._tools.tenure.terms.worker

    @property
    def held_count(self) -> int:
        """Leases held now."""
        return len(self._tenures)

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow the stream until `stopping` is set. Raises (in a group) Gap, Stop."""
        if self._tools.heartbeat is not None:
            await self._persist(self._tools.heartbeat.beat)
        await self._persist(self._directory.sync)
        drained = False
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                loops = [group.create_task(loop) for loop in self._loops()]
                await stopping.wait()
                self._stopping = True
                await self._wind_down(drain=True)
                drained = True
                for loop in loops:
                    loop.cancel()
        finally:
            self._stopping = True
            if not drained:
                await self._wind_down(drain=False)

    def _loops(self) -> list[Coroutine[None, None, None]]:
        loops: list[Coroutine[None, None, None]] = [self._watch_loop(), self._renew_loop(), self._sync_loop()]
        if self._tools.heartbeat is not None:
            loops.append(self._tools.heartbeat.run())
        return loops

    def _start(self, lease: Lease) -> None:
        if self._stopping or lease.shard_id in self._tenures or self._group is None:
            return
        held = HeldLease(lease, self._tools.tenure.leases, self._clock, self._clock.boottime_s())
        tenure = Tenure(self._tools.tenure, held, self._start)
        self._tenures[lease.shard_id] = tenure
        self._tools.tenure.follow.metrics.gauge("leases_held", len(self._tenures))
        self._group.create_task(self._tend(tenure))

    async def _tend(self, tenure: Tenure) -> None:
        try:
            await tenure.run()
        finally:
            if not self._stopping:
                self._tenures.pop(tenure.shard_id, None)
            self._tools.tenure.follow.metrics.gauge("leases_held", len(self._tenures))

    # --- watch: who lives, what is free

    async def _watch_loop(self) -> None:
        attempt = 0
        while True:
            try:
                await self._watch_once()
                attempt = 0
            except Retry as error:
                self._report("looking for free leases", error)
                attempt += 1
            await self._clock.sleep(RETRY.delay_s(attempt, self._random) if attempt else self._watch_pause_s())

    async def _watch_once(self) -> None:
        if self._tools.state is not None:
            beats = await self._tools.state.beats()
            self._watch.see_beats(beats, self._clock.boottime_s())
        now_s = self._clock.boottime_s()
        if now_s - self._scanned_at_s >= self._scan_every_s() or self._anyone_expired(now_s):
            self._rows = await self._tools.tenure.leases.scan()
            self._scanned_at_s = now_s = self._clock.boottime_s()
            self._watch.see_leases(self._rows, now_s)
        for row in takes(self._rows, self._watch, self._patience, self._me, now_s):
            if self._stopping:
                return
            if row.shard_id not in self._tenures:
                # Also before the answer: what is taken here must not look free in the next pass.
                for lease in await self._directory.taken(row, self._tools.tenure.terms):
                    self._start(lease)
                self._scanned_at_s = float("-inf")

    def _anyone_expired(self, now_s: float) -> bool:
        return any(
            expired(row, self._watch, self._patience, now_s)
            for row in self._rows
            if row.owner not in (None, self._me) and not row.finished
        )

    def _scan_every_s(self) -> float:
        heartbeats = self._tools.heartbeat is not None and all(
            terms is None or terms.heartbeat for terms in (row.terms_in_force for row in self._rows)
        )
        return self._tools.settings.scan_s if heartbeats else self._tools.settings.duration_s / 3

    def _watch_pause_s(self) -> float:
        """Look again when the first owner may have expired, at the latest after the watch period."""
        now_s = self._clock.boottime_s()
        left = [self._tools.settings.watch_s]
        for row in self._rows:
            terms = row.terms_in_force
            still_s = self._watch.still_s(row, now_s)
            if terms is not None and still_s is not None and row.owner != self._me and not row.finished:
                left.append(max(0.2, terms.duration_ms / 1000 - still_s + 0.05))
        return min(left)

    # --- renew: keep what is held

    async def _renew_loop(self) -> None:
        every_s = self._tools.settings.renew_s
        if self._tools.heartbeat is None:
            every_s = min(every_s, self._tools.settings.duration_s / 3)
        while True:
            await self._clock.sleep(min(1.0, every_s / 3))
            now_s = self._clock.boottime_s()
            due = [t for t in self._tenures.values() if now_s - t.held.written_at_s >= every_s]
            for start in range(0, len(due), RENEWALS_AT_ONCE_MAX):
                await asyncio.gather(*map(self._renew, due[start : start + RENEWALS_AT_ONCE_MAX]))

    async def _renew(self, tenure: Tenure) -> None:
        if tenure.held.lease.finished:
            return
        try:
            await tenure.held.renew()
        except LeaseLost:
            tenure.lose()
        except Retry as error:
            self._report(f"renewing the lease of {tenure.shard_id}", error)

    # --- sync: rows for new shards

    async def _sync_loop(self) -> None:
        while True:
            finished = self._tools.tenure.finished.wait()
            await asyncio.wait([finished], timeout=self._tools.settings.shard_sync_s)
            try:
                if await self._directory.sync():
                    self._scanned_at_s = float("-inf")
            except Retry as error:
                self._report("listing the stream's shards", error)
                await self._clock.sleep(RETRY.delay_s(3, self._random))
            for tenure in self._tenures.values():
                tenure.note_closed()

    # --- stop

    async def _wind_down(self, drain: bool) -> None:
        """Stop reading; drain and checkpoint (or checkpoint what is durable); release; retire. Bounded in time.

        What cannot be done in time is what a crash leaves: the next owner starts at the last checkpoint.
        """
        tenures = list(self._tenures.values())
        await asyncio.gather(*(tenure.halt() for tenure in tenures))
        if drain:
            await self._within(DRAIN_S, "drain", [tenure.finish for tenure in tenures])
        await self._within(RELEASE_S / 2, "checkpoint", [tenure.save_now for tenure in tenures])
        await self._within(RELEASE_S, "release", [t.held.release for t in tenures if not t.held.lost])
        if self._tools.heartbeat is not None:
            await self._within(RELEASE_S / 2, "retire", [self._tools.heartbeat.retire])
        self._tenures.clear()

    async def _within(self, limit_s: float, what: str, steps: Iterable[Callable[[], Awaitable[None]]]) -> None:
        async def one(step: Callable[[], Awaitable[None]]) -> None:
            try:
                await step()
            except (LeaseLost, Retry) as error:
                self._report(f"stopping ({what})", error)

        tasks = [asyncio.ensure_future(one(step)) for step in steps]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=limit_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
            log.warning(
                "stopping: %s not done in %.1f s for %d leases",
                what,
                limit_s,
                len(late),
                extra={"event": "stop_incomplete", "facts": {"step": what, "leases": len(late)}},
            )

    # --- common

    @property
    def _random(self) -> Callable[[], float]:
        return self._tools.tenure.follow.read.random

    async def _persist(self, step: Callable[[], Awaitable[object]]) -> None:
        attempt = 0
        while True:
            try:
                await step()
                return
            except Retry as error:
                self._report("starting", error)
                await self._clock.sleep(RETRY.delay_s(attempt, self._random))
                attempt += 1

    def _report(self, doing: str, error: Exception) -> None:
        log.warning("%s: %s", doing, error, extra={"event": "fleet_retry", "facts": {"doing": doing}})
