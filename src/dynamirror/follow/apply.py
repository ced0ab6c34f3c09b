"""Changes on their way to the destination: one write in flight per key, everything else at once.

All shards of a worker share one applier, so batches fill even when many shards bring little each.
A key is in one of three places: `waiting` (its newest change, not sent), `flying` (being sent, or
between an attempt and the next), or nowhere. Order per key rests on three rules:

1. A key that is flying is not sent a second time; what comes meanwhile waits, and only the newest waits.
2. When an attempt has failed, the failed write and the waiting one become one: the newer of the two.
3. Doubt (R-5): an attempt without an answer may still land, up to T + L after it was sent. Until then its keys
   fly. Otherwise: 1 v1 is sent, no answer; 2 v1 is sent again, then v2, and the checkpoint passes both; 3 the first
   v1 lands on v2, and nobody knows.

Nothing is sent without a permit of the lease (P-10): a write whose permit has run out is set aside until the lease is
proven again, or dropped when it is lost.

A superseded write's pages are handed to the write that supersedes it, so no checkpoint passes a change
before that change, or a newer image of its item, is durable.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from dynamirror.errors import ItemRefused, Retry
from dynamirror.follow.send import ApplyTools, Outcome, Pending, Sender
from dynamirror.follow.window import Window
from dynamirror.follow.write_log import WriteLog
from dynamirror.loops.signal import Signal
from dynamirror.model.backoff import Backoff
from dynamirror.model.change import Write
from dynamirror.model.key import Key
from dynamirror.model.permit import NEVER
from dynamirror.model.watermark import PageMark, Watermark

# BatchWriteItem: at most 25 requests and 16 MB (DynamoDB API). Far below 16 MB, so that one attempt
# stays short; one item alone may be larger (400 KB of small attributes are several MB of JSON).
BATCH_WRITES_MAX = 25
BATCH_BYTES_MAX = 4 * 1024 * 1024
RETRY = Backoff(first_s=0.05, most_s=5.0)


class Applier:
    """Writes changes to the destination. `run` must be running for anything to be sent."""

    def __init__(self, tools: ApplyTools) -> None:
        self._tools = tools
        self._waiting: dict[Key, Pending] = {}
        self._flying: dict[Key, Pending] = {}
        # Keys in `waiting` that are not flying, in order of arrival.
        self._ready: deque[Key] = deque()
        # Keys in `waiting` whose tenure has no valid permit now.
        self._aside: dict[Watermark, list[Key]] = {}
        self._bytes = 0
        self._requests = 0
        self._window = Window(tools.settings.requests_in_flight_max * BATCH_BYTES_MAX)
        self._group: asyncio.TaskGroup | None = None
        self._progress = Signal()
        self._sender = Sender(tools)
        # Boot time at which something was durable last.
        self._durable_at_s = NEVER
        self._log = WriteLog(tools)
        self.parking = tools.parking

    def __repr__(self) -> str:
        return (
            f"Applier(waiting={len(self._waiting)}, flying={len(self._flying)}, "
            f"requests={self._requests}, bytes={self._bytes})"
        )

    @property
    def requests(self) -> int:
        """Requests in flight."""
        return self._requests

    @property
    def silent_since_s(self) -> float | None:
        """See Sender."""
        return self._sender.silent_since_s

    async def run(self) -> None:
        """Send until cancelled. Raises (in a group) the Stop that ended it; nothing is dropped silently."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._pump()
            await asyncio.Event().wait()

    def room(self) -> asyncio.Future[None] | None:
        """None while there is room for another page; else a future that is done when it is worth asking again."""
        return self.progress() if self._bytes >= self._tools.settings.queue_bytes_max else None

    def waits(self, size_bytes: int) -> None:
        """A page takes room that is not submitted yet; negative: it waits no more."""
        self._bytes += size_bytes
        if size_bytes < 0:
            self._progress.notify()

    def progress(self) -> asyncio.Future[None]:
        """Done when the next batch has been answered."""
        return self._progress.wait()

    def submit(self, writes: Sequence[Write], mark: PageMark) -> None:
        """Accept the writes of one page (no key twice), newer than everything submitted before for their keys."""
        waiting, flying, ready = self._waiting, self._flying, self._ready
        size = superseded = 0
        for write in writes:
            key = write.key
            size += write.weight_bytes
            older = waiting.get(key)
            if older is not None:
                older.marks.append(mark)
                self._bytes -= older.write.weight_bytes
                older.write = write
                superseded += 1
                continue
            waiting[key] = Pending(write, [mark])
            if key not in flying:
                ready.append(key)
        self._bytes += size
        if superseded:
            self._tools.metrics.count("changes_superseded", superseded)
        self._pump()

    def landing(self, tenure: Watermark) -> list[Write]:
        """The writes of the tenure that are under way, or unanswered and may still land."""
        now_s = self._tools.clock.boottime_s()
        return [
            pending.write
            for pending in self._flying.values()
            if pending.lands_until_s > now_s and any(mark.watermark is tenure for mark in pending.marks)
        ]

    def resume(self, tenure: Watermark) -> None:
        """The tenure has a new permit, or was abandoned: what was set aside for it is looked at again."""
        keys = self._aside.pop(tenure, None)
        if keys is not None:
            self._ready.extend(keys)
            self._pump()

    def _pump(self) -> None:
        if self._group is None:
            return
        requests_max = self._tools.settings.requests_in_flight_max
        while self._ready and self._requests < requests_max and (self._window.room_bytes > 0 or not self._requests):
            batch = self._next_batch()
            if batch:
                self._requests += 1
                size = sum([len(pending.write.request) for pending in batch])
                self._window.sent(size)
                self._group.create_task(self._carry(batch, size))
            else:
                # All were dropped or set aside: dropping makes room too, and no answer will come to say so.
                self._progress.notify()

    def _next_batch(self) -> list[Pending]:
        now_s = self._tools.clock.boottime_s()
        batch: list[Pending] = []
        size = 0
        size_max = min(BATCH_BYTES_MAX, self._window.room_bytes)
        while self._ready and len(batch) < BATCH_WRITES_MAX:
            key = self._ready[0]
            pending = self._waiting[key]
            size += len(pending.write.request)
            if batch and size > size_max:
                break
            self._ready.popleft()
            tenure = pending.tenure
            if now_s >= tenure.permit.until_s and not tenure.abandoned:
                size -= len(pending.write.request)
                self._aside.setdefault(tenure, []).append(key)
                continue
            del self._waiting[key]
            if tenure.abandoned:
                size -= len(pending.write.request)
                self._bytes -= pending.write.weight_bytes
                continue
            self._flying[key] = pending
            batch.append(pending)
        if known := self.parking.known:
            # Before they are sent: what is parked later is none of theirs (F-1).
            for pending in batch:
                pending.unparks = known.get(pending.write.key)
        return batch

    async def _carry(self, batch: list[Pending], size: int) -> None:
        """One batch to its answer; what failed comes back later, by itself."""
        try:
            try:
                await self._sender.admit(batch)
                sent_at_s = self._tools.clock.boottime_s()
                outcome = await self._sender.send(batch)
            finally:
                self._requests -= 1
            self._sender.give_back(outcome)
            if outcome.doubtful:
                self._window.unanswered(size, sent_at_s, self._tools.clock.boottime_s())
            else:
                self._window.answered(size)
            self._answered(batch, outcome)
            if outcome.failed or outcome.doubtful or outcome.refused:
                parked = [self._park(pending, error) for pending, error in outcome.refused]
                await asyncio.gather(self._again(outcome.failed, outcome.error), self._settle(outcome), *parked)
        except BaseException:
            # The group is ending. A shard task that has just read a page may submit it before its own end comes:
            # a task started then would hide the error that ends everything behind another one.
            self._group = None
            raise

    def _answered(self, batch: list[Pending], outcome: Outcome) -> None:
        refused, passed = [], []
        for pending, error in outcome.refused:
            # The shard is somebody else's, or a newer image of the item is waiting: it need not be written. But where
            # each one is refused there may always be a newer one, and the checkpoint would never pass them.
            if pending.abandoned or (pending.write.key in self._waiting and not pending.attempts):
                passed.append(pending)
            else:
                refused.append((pending, error))
        outcome.refused = refused
        self._durable_at_s = self._tools.clock.boottime_s()
        missed = {id(pending) for pending in outcome.failed + outcome.doubtful + passed + [one for one, _ in refused]}
        for pending in batch:
            if id(pending) not in missed:
                self._durable(pending)
        if self.parking.known:
            for pending in batch:
                if pending.unparks is not None and id(pending) not in missed:
                    self.parking.unpark(pending.write, pending.unparks)
        self._tools.metrics.count("changes_applied", len(batch) - len(missed))
        self._progress.notify()
        self._land(passed)

    def _durable(self, pending: Pending) -> None:
        key = pending.write.key
        del self._flying[key]
        self._bytes -= pending.write.weight_bytes
        now_s = None
        for mark in pending.marks:
            mark.outstanding -= 1
            mark.watermark.durable_at_s = self._durable_at_s
            if mark.outstanding == 0 and mark.created_s:
                now_s = now_s if now_s is not None else self._tools.clock.wall_s()
                self._tools.metrics.observe("lag_s", max(0.0, now_s - mark.created_s))
        if key in self._waiting:
            self._ready.append(key)

    async def _park(self, pending: Pending, error: ItemRefused) -> None:
        """Never to be written as it is: durable once it is parked. Until then it flies. Raises Stop."""
        if await self.parking.park(pending.write, error, lambda: not pending.abandoned):
            self._durable_at_s = self._tools.clock.boottime_s()
            self._durable(pending)
            self._progress.notify()
            self._pump()
        else:
            self._land([pending])

    async def _again(self, failed: list[Pending], error: Retry | None) -> None:
        """Not applied: soon once more."""
        if not failed:
            return
        attempt = max(pending.attempts for pending in failed)
        delay_s = RETRY.delay_s(attempt, self._tools.random)
        self._log.retried(failed, attempt, error, delay_s)
        await self._tools.clock.sleep(delay_s)
        self._land(failed)

    async def _settle(self, outcome: Outcome) -> None:
        """Not answered: not before the first attempt can no longer land."""
        if not outcome.doubtful:
            return
        wait_s = outcome.settled_at_s - self._tools.clock.boottime_s()
        self._log.doubtful(outcome, wait_s)
        await self._tools.clock.sleep(wait_s)
        self._land(outcome.doubtful)

    def _land(self, unwritten: list[Pending]) -> None:
        """Put each key back: the write that was not written, or the newer one that came meanwhile."""
        for pending in unwritten:
            key = pending.write.key
            del self._flying[key]
            pending.attempts += 1
            newer = self._waiting.get(key)
            if newer is not None:
                newer.marks = pending.marks + newer.marks
                newer.attempts, newer.doubted = pending.attempts, pending.doubted
                self._bytes -= pending.write.weight_bytes
                self._tools.metrics.count("changes_superseded")
            else:
                self._waiting[key] = pending
            self._ready.append(key)
        self._pump()
