"""One shard, from its lease's checkpoint to its end: read -> coalesce -> apply -> checkpoint."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

from dynamirror.errors import Gap, LeaseLost, ShardLost
from dynamirror.follow.again import pages_up_to
from dynamirror.follow.hold import Held, Hold
from dynamirror.follow.proofs import Proofs, ShardLease
from dynamirror.follow.read import ShardReader
from dynamirror.follow.saving import Saver
from dynamirror.follow.signs import Signs
from dynamirror.follow.tools import Entry, FollowTools
from dynamirror.loops.signal import Signal
from dynamirror.model.beginning import read_from
from dynamirror.model.change import Page
from dynamirror.model.coalesce import coalesce
from dynamirror.model.health import Doing, ShardSigns
from dynamirror.model.lease import LATEST, SENTINELS, SHARD_END, TRIM_HORIZON
from dynamirror.model.watermark import PageMark, Watermark

PROOF_LOG_EVERY_S = 10.0
# A timer may fire a little early.
SHORTEST_S = 0.01


class ShardTask:
    """Follows one shard under one tenure of its lease."""

    def __init__(self, tools: FollowTools, held: ShardLease, entry: Entry) -> None:
        lease = held.lease
        self.shard_id = lease.shard_id
        self._tools = tools
        self._held = held
        self._skip = entry.skip
        self.watermark = Watermark(held.permit)
        self.reader = ShardReader(tools.read, lease.shard_id, read_from(lease, entry.at_latest), lease.unread_since_ms)
        self._saver = Saver(held, self.watermark, tools.clock, tools.read.random)
        self._proofs = Proofs(held, self.watermark, tools.clock, tools.lease.proof_s, tools.log_limit)
        self._hold = Hold(tools.hold, tools.clock)
        self._looked_at = Signs(self.shard_id, self.watermark, self.reader, self._saver, self._hold, tools.clock)
        # The last change that had to wait, also when the hold has forgotten it.
        self._kept: str | None = None
        # The page that is being read did not wait for room.
        self._read_ahead = False
        # Where what was dropped is read again from.
        self._passed = self.reader.position
        self._aftermath = entry.aftermath
        self._aftermath_over = Signal()
        self._second: asyncio.Task[None] | None = None
        # Before all pages: no checkpoint passes it before the second sending is durable.
        self._barrier = self.watermark.add(lease.checkpoint, 1) if entry.aftermath is not None else None

    async def run(self) -> None:
        """Return once SHARD_END is saved. Raises LeaseLost, Gap, Stop; cancel it to stop early."""
        try:
            async with asyncio.TaskGroup() as group:
                saving = self._saver.run(self._tools.lease.checkpoint_s, self._was_saved)
                side_tasks = [group.create_task(saving), group.create_task(self._keep_proven())]
                self._second = group.create_task(self._send_again())
                side_tasks.append(group.create_task(self._hand_on_held()))
                while (gap := await self._read_all()) is not None:
                    await self._hold.emptied()
                    noted_at_ms = await self._note(gap)
                    if isinstance(gap, ShardLost):
                        break
                    self.reader.begin_behind_gap(noted_at_ms)
                await self._hold.emptied()
                await self._second
                await self._settled()
                for task in side_tasks:
                    task.cancel()
        finally:
            self._hold.forget()
            if self._aftermath is not None:
                self._aftermath.forget()
        await self._saver.until_done(lambda: self._held.checkpoint(SHARD_END, self._skipped_all))

    async def finish(self) -> None:
        """After `run` was cancelled: wait for what is on its way, save the checkpoint. Raises LeaseLost, Retry."""
        if self._aftermath is not None:
            # The second sending will not come: the checkpoint stays, and the next owner does it all.
            return
        proving = asyncio.ensure_future(self._keep_proven())
        try:
            await self._settled()
        finally:
            proving.cancel()
            await asyncio.wait([proving])
        await self.save_now()

    async def save_now(self) -> None:
        """Save what is durable now, waiting for nothing. Raises LeaseLost, Retry."""
        await self._saver.save(self._was_saved)

    @property
    def nothing_until_ms(self) -> int | None:
        """Until when the shard had nothing to apply; None: it had something, or nobody knows yet."""
        # After an unclean start the barrier leaves the lease's own checkpoint there, so does what came before a gap.
        begun = self.watermark.checkpoint not in (None, *SENTINELS, self._held.lease.gap_behind)
        nothing = self.watermark.settled and not begun and self._kept in (None, self._passed)
        return self.reader.empty_until_ms if nothing else None

    @property
    def applied_to_ms(self) -> int | None:
        """Until when all changes of the shard are durable, as far as is known; ms by the service's clock."""
        if self.watermark.settled and self._kept in (None, self._passed) and self.reader.all_until_ms is not None:
            return self.reader.all_until_ms
        return int(self.watermark.applied_s * 1000) or None

    @property
    def quiet(self) -> bool:
        """Nothing that was sent for the shard, by this owner or the one before, may still land."""
        now_s = self._tools.clock.boottime_s()
        over = self._aftermath is None or now_s >= self._aftermath.ends_at_s
        return over and not self._tools.applier.landing(self.watermark)

    def signs(self) -> ShardSigns:
        """What model/health judges."""
        return self._looked_at.signs(self._aftermath, self._barrier_in_force)

    def figures(self) -> tuple[int, float]:
        """See follow/signs."""
        return self._looked_at.figures(self._barrier_in_force)

    @property
    def _barrier_in_force(self) -> PageMark | None:
        return self._barrier if self._aftermath is not None else None

    def abandon(self, to_java: bool = False) -> None:
        """The lease is lost, or given up: nothing that is not already on the wire may be sent (P-25).

        `to_java`: a Java worker may be next, which waits for nothing. 1 a write is sent, and not answered; 2 Java takes
        the lease, and writes a newer image; 3 the write lands. So what is on its way is compared once it has landed.
        """
        self.watermark.abandoned = True
        if to_java:
            self.watermark.late += self._tools.applier.landing(self.watermark)
        if self.watermark.late:
            self._tools.reconcile(self.watermark.late)
            self.watermark.late = []
        self._tools.applier.resume(self.watermark)

    @property
    def _skipped_all(self) -> bool:
        return self._skip.in_force and not self.reader.at_latest

    def _room(self) -> asyncio.Future[None] | None:
        if (paused := self._tools.gate.wait()) is not None:
            return paused
        if self._aftermath is not None and self._aftermath.full:
            return self._aftermath_over.wait()
        return self._tools.applier.room()

    def _reading_room(self) -> asyncio.Future[None] | None:
        """What is held must be received all the same: its time counts from then on. Not while the task is paused."""
        if (paused := self._tools.gate.wait()) is not None:
            self.reader.misses_latest(self._held.lease.start_at_ms)
            return paused
        self._read_ahead = self._hold.holds
        return None if self._read_ahead else self._room() or self._hold.flushed()

    async def _read_all(self) -> Gap | None:
        """Every page to the shard's end, or to a gap, where the worker is to go on behind gaps. Raises Gap, Stop."""
        try:
            async with contextlib.aclosing(self.reader.pages(self._reading_room)) as pages:
                async for page in pages:
                    await self._receive(page)
        except Gap as gap:
            if self._tools.gaps.stops:
                raise
            return gap
        finally:
            self.reader.reading.doing = Doing.ENDING
        return None

    async def _note(self, gap: Gap) -> int:
        """Once what was handed on is durable, a second sending too, the gap is, and then that it is passed; returns
        when it was noted, ms by the service's clock. Then the oldest record is next."""
        if self._second is not None:
            await self._second
        await self._settled()
        await self._saver.until_done(self.save_now)
        noted_at_ms = await self._saver.until_done(lambda: self._tools.gaps.note(gap))
        if not isinstance(gap, ShardLost):
            await self._saver.until_done(lambda: self._held.pass_gap(noted_at_ms))
        if self._kept == self._passed:
            self._kept = None
        self._passed = TRIM_HORIZON
        return noted_at_ms

    def _was_saved(self) -> None:
        self._tools.applier.resume(self.watermark)

    async def _receive(self, page: Page) -> None:
        metrics = self._tools.metrics
        metrics.count("pages_read")
        metrics.sample("records", self.shard_id, len(page.records))
        metrics.sample("bytes", self.shard_id, page.size_bytes)
        if not page.records:
            return
        if self._hold.passes(page) and (not self._read_ahead or self._room() is None):
            await self._hand_on(page)
        else:
            self._kept = page.records[-1].change.sequence_number
            # A page behind LATEST cannot be found a second time.
            self._hold.keep(page, droppable=self._passed != LATEST)

    async def _hand_on_held(self) -> None:
        while True:
            held = await self._hold.due()
            while not await self._all_handed_on(held):
                held = replace(held, left=True)
            self._hold.handed_on()

    async def _all_handed_on(self, held: Held) -> bool:
        """False: some was trimmed meanwhile, which is noted. Raises Gap where the worker is to stop at gaps."""
        try:
            async with contextlib.aclosing(self._pages_of(held)) as pages:
                async for page in pages:
                    while (wait := self._room()) is not None:
                        await wait
                    await self._hand_on(page)
        except Gap as gap:
            if self._tools.gaps.stops:
                raise
            await self._note(gap)
            return isinstance(gap, ShardLost)
        return True

    async def _pages_of(self, held: Held) -> AsyncGenerator[Page, None]:
        if held.page is not None:
            yield held.page
            return
        async for page in pages_up_to(self._tools.read, self.reader, self._passed, held, self._room):
            yield page

    async def _hand_on(self, page: Page) -> None:
        if not self._proofs.valid:
            self._tools.applier.waits(page.size_bytes)
            try:
                await self._proofs.permitted()
            finally:
                self._tools.applier.waits(-page.size_bytes)
        await self._saver.begins_with(page)
        self._take(page)
        self._passed = page.records[-1].change.sequence_number

    def _take(self, page: Page) -> None:
        metrics = self._tools.metrics
        last = page.records[-1].change
        # Behind LATEST nothing is older than the start, whatever the clocks say.
        wanted = page.records if self.reader.at_latest else self._skip.wanted(page.records)
        if not wanted:
            return
        writes = coalesce(wanted, self._tools.codec.of)
        metrics.count("changes_read", len(wanted))
        if len(writes) < len(wanted):
            metrics.count("changes_superseded", len(wanted) - len(writes))
        if self._aftermath is not None:
            self._aftermath.remember(writes)
        now_s, read_to_s = self._tools.clock.boottime_s(), self.reader.read_to_s(page)
        mark = self.watermark.add(last.sequence_number, len(writes), last.created_s, now_s, read_to_s)
        self._tools.applier.submit(writes, mark)
        self._saver.begin()
        self._proofs.needed()

    async def _send_again(self) -> None:
        """The second sending, once nothing of the predecessor can land any more."""
        if self._aftermath is None or self._barrier is None:
            return
        clock = self._tools.clock
        while (left_s := self._aftermath.ends_at_s - clock.boottime_s()) > 0:
            await clock.sleep(max(left_s, SHORTEST_S))
        await self._proofs.permitted()
        writes = self._aftermath.forget()
        self._aftermath = None
        self._barrier.outstanding, self._barrier.added_at_s = len(writes), clock.boottime_s()
        if writes:
            self._tools.applier.submit(writes, self._barrier)
            self._tools.metrics.count("changes_resent", len(writes))
            self._proofs.needed()
        self._aftermath_over.notify()

    async def _keep_proven(self) -> None:
        def on_their_way() -> bool:
            return self.watermark.on_their_way(self._barrier_in_force)

        def proven() -> None:
            self._tools.applier.resume(self.watermark)

        await self._proofs.run(on_their_way, self._tools.read.random, proven)

    async def _settled(self) -> None:
        while not self.watermark.settled:
            if self.watermark.abandoned:
                raise LeaseLost(f"changes of {self.shard_id} were dropped: its lease is no longer held")
            await self._tools.applier.progress()
