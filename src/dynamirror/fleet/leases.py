"""A lease held by this worker: the only writer of its row here, one conditional update at a time (P-7)."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from dynamirror.errors import ConditionFailed, CredentialsExpired, LeaseLost, Throttled, Unreachable
from dynamirror.model import lease as decide
from dynamirror.model.applied_to import saying
from dynamirror.model.lease import Lease, Taken, Terms, Update
from dynamirror.model.lease_doubt import was_applied, written_by_owner
from dynamirror.model.permit import NEVER, Fence, Permit
from dynamirror.ports import Clock, LeaseStore

# Updates of one tenure that may land late before a write succeeds; each needs an answer of its own to be lost.
STRAYS_MAX = 5


@dataclass(frozen=True, slots=True)
class LeaseTools:
    """What all leases of a worker share."""

    store: LeaseStore
    clock: Clock
    fence: Fence
    # When the last heartbeat that was answered had been sent.
    beaten_at_s: Callable[[], float]


class HeldLease:
    """One tenure. After LeaseLost it is of no use any more; a later tenure is a new object."""

    def __init__(self, taken: Taken, tools: LeaseTools) -> None:
        self.lease = taken.lease
        self._me = taken.lease.owner
        self.predecessor = taken.predecessor
        self.stolen = taken.stolen
        # After the answer: whoever lost the lease by it may not have sent anything later.
        self.taken_at_s = tools.clock.boottime_s()
        self.lost = False
        # To somebody whose terms are not known: a Java worker.
        self.lost_to_java = False
        # When the last successful write was sent (before, not after: P-9), on this worker's clock.
        self.written_at_s = taken.sent_at_s
        self.permit = Permit()
        self._tools = tools
        self._store = tools.store
        self._clock = tools.clock
        self._lock = asyncio.Lock()
        # Until when all of the shard is durable, in ms (model/lease): said with each write; None: not known.
        self.applied_to_ms: Callable[[], int | None] = _unknown
        # An update whose answer was lost: it may have been applied.
        self._unsure: Update | None = None

    def __repr__(self) -> str:
        return f"HeldLease({self.lease.shard_id}, counter={self.lease.counter}, lost={self.lost})"

    async def prove(self) -> None:
        """Make sure that the lease is still this worker's, and extend `permit`. Raises LeaseLost, Retry.

        A reading is enough and moves no counter, until somebody might take the row for a dead owner's.
        """
        if self._clock.boottime_s() + self._tools.fence.proof_s >= self.written_at_s + self._tools.fence.row_s:
            await self.renew()
            return
        async with self._lock:
            await self._resolve()
            if self.lost:
                raise LeaseLost(f"the lease of {self.lease.shard_id} is no longer held")
            sent_at_s = self._clock.boottime_s()
            row = await self._store.get(self.lease.shard_id)
            if row is not None and written_by_owner(self.lease, row):
                # A late update of our own, as in `_resolve`.
                self.lease = row
            elif row is None or (row.counter, row.owner) != (self.lease.counter, self.lease.owner):
                raise self._lose(row)
            self._proven(sent_at_s)

    async def renew(self, nothing_until_ms: int | None = None, settled: bool = False) -> None:
        """Move the counter; `nothing_until_ms` and `settled` as in model/lease. Raises LeaseLost, Retry."""
        await self._write(lambda lease: decide.renew(lease, nothing_until_ms, settled))

    async def checkpoint(self, position: str, skipped_all: bool = False) -> None:
        """Save that everything at or below `position` is durable. Idempotent. Raises LeaseLost, Retry."""

        def advance(lease: Lease) -> Update | None:
            # An update that was cut off may have brought the row further already (SHARD_END among them).
            if lease.checkpoint == position or not decide.may_advance(lease.checkpoint, position):
                return None
            return decide.checkpoint(lease, position, skipped_all)

        await self._write(advance)

    async def pass_gap(self, noted_at_ms: int) -> None:
        """Reading goes on behind a gap that was noted then. Idempotent. Raises LeaseLost, Retry."""

        def passing(lease: Lease) -> Update | None:
            return None if lease.behind_gap and lease.since_ms == noted_at_ms else decide.pass_gap(lease, noted_at_ms)

        await self._write(passing)

    async def release(self, nothing_until_ms: int | None = None) -> None:
        """Give the lease up; it is free for anyone at once. Raises LeaseLost (nothing to give up any more), Retry."""
        await self._write(lambda lease: decide.release(lease, nothing_until_ms))
        self.lost = True
        self.permit.until_s = NEVER

    async def hand_over(self, to: Terms, clean: bool) -> bool:
        """Make the lease another worker's (model/lease); False: an earlier write, whose answer was lost, has finished
        the shard, which nobody needs then. Raises LeaseLost; Retry, and then it may have been done, or be done yet: the
        next write of this object finds out, and shuts the door."""
        await self._write(lambda lease: None if lease.finished else decide.hand_over(lease, to, clean))
        if self.lease.finished:
            return False
        self.lost = True
        self.permit.until_s = NEVER
        return True

    async def _write(self, update_of: Callable[[Lease], Update | None]) -> None:
        async with self._lock:
            for _ in range(STRAYS_MAX):
                await self._resolve()
                if self.lost:
                    raise LeaseLost(f"the lease of {self.lease.shard_id} is no longer held")
                update = update_of(self.lease)
                if update is None or await self._sent(saying(update, self.applied_to_ms())):
                    return
            raise self._lose(None)

    async def _sent(self, update: Update) -> bool:
        """One attempt; False when the row had moved by a late write of our own, which is adopted."""
        sent_at_s = self._clock.boottime_s()
        # Until the answer is here nobody knows, whatever ends the wait: a time-out, a cancellation, a 5xx.
        self._unsure = update
        try:
            await self._store.update(update)
        except (Throttled, Unreachable, CredentialsExpired):
            self._unsure = None
            raise
        except ConditionFailed:
            # 1 our update is applied; 2 its answer is lost and the request is repeated on the way (proxy,
            # load balancer); 3 the repetition finds the counter moved, by ourselves. Only the row can tell (P-8).
            await self._resolve()
            if self.lease != update.after:
                return False
        self._unsure = None
        self.lease = update.after
        self.written_at_s = sent_at_s
        self._proven(sent_at_s)
        return True

    def _proven(self, sent_at_s: float) -> None:
        if self.lease.owner != self._me:
            self.permit.until_s = NEVER
            return
        beaten_at_s = self._tools.beaten_at_s()
        self.permit.until_s = self._tools.fence.until_s(sent_at_s, self.written_at_s, beaten_at_s)

    async def _resolve(self) -> None:
        """Find out from the row what became of the update that is in doubt. Raises LeaseLost, Retry."""
        update = self._unsure
        if update is None:
            return
        row = await self._store.get(self.lease.shard_id)
        self._unsure = None
        if was_applied(update, row):
            self.lease = update.after
        elif row is not None and written_by_owner(self.lease, row):
            # 1 an update is not answered; 2 the row is read, unchanged; 3 another update is sent; 4 the first one
            # lands; 5 the other one is refused. The counter moved by one and the owner is the same: it was ours.
            self.lease = row
        elif row is None or row.counter != self.lease.counter or row.owner != self.lease.owner:
            raise self._lose(row)
        # Else it was not applied; should it still land, step 5 finds it.
        if self.lease.owner != self._me:
            self.lost = True
            self.permit.until_s = NEVER

    def _lose(self, row: Lease | None) -> LeaseLost:
        """`row`: as somebody else has left it; None: not known."""
        self.lost = True
        self.lost_to_java = row is None or row.terms_in_force is None
        self.permit.until_s = NEVER
        return LeaseLost(f"the lease of {self.lease.shard_id} was taken by another worker")


def _unknown() -> None:
    return None
