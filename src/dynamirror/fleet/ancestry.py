"""What the rows before and behind a shard say: whether its parents are read to their ends, and whether it was itself.

A Java worker deletes the row of a finished shard as soon as a child of it has begun. One that is made anew must not be
read again: its old images would stand over newer ones that came through its children (P-19). It is made anew

* by Java, which makes rows for all ancestors of a shard that is listed late;
* by a create of ours that lands late, or was decided upon before its machine froze:
  1 a worker is about to make the row of a child; 2 others make it, read it to its end, begin its child; 3 Java deletes
  it; 4 the worker makes it.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from dynamirror.errors import CredentialsExpired, Retry, Throttled, Unanswered, Unreachable
from dynamirror.fleet.attempts import persist
from dynamirror.fleet.shards import ShardDirectory
from dynamirror.loops.signal import Signal, done_within
from dynamirror.model.health import Unread
from dynamirror.model.lease import LATEST, TRIM_HORIZON, Lease, Predecessor, predecessor
from dynamirror.ports import ChangeStream, Clock, LeaseStore

T = TypeVar("T")

# Of the lease table, and not of one of its rows: told as the worker's own problem.
NO_ANSWER = (CredentialsExpired, Throttled, Unanswered, Unreachable)


class Ancestry:
    """For the tenures of one worker. Every method raises Stop when credentials stay expired."""

    def __init__(
        self,
        leases: LeaseStore,
        stream: ChangeStream,
        directory: ShardDirectory,
        finished: Signal,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        """`finished` is notified whenever a shard was read to its end here."""
        self._leases = leases
        self._stream = stream
        self._directory = directory
        self._finished = finished
        self._clock = clock
        self._random = random
        # A parent was read to its end by a Java worker, or may have been: its row is gone. That worker waited for
        # nothing that one before it had sent, and that may still land, on newer images that come through the child too.
        self.ended_by_java = False
        # What is waited for in vain.
        self.unread: Unread | None = None

    async def parents_finished(self, lease: Lease, poll_s: float) -> bool:
        """Wait until every parent is finished; returns whether changes before the start may still be skipped.

        An absent row means that the parent was completed and cleaned up, or was too old to be listed. Skipping
        goes on into a child only when all of the parent was skipped, or the parent was never read (E-4). Before the
        first listing an absent row means nothing yet, unless the child itself proves its parent completed.
        """
        synced = self._directory.synced
        proven = lease.started and lease.start_at_ms is None
        may_skip = True
        for parent_id in lease.parent_ids:
            while True:
                # Asked for before the row is read: a parent that ends in between is not missed.
                finished = self._finished.wait()
                row = await self._row(parent_id, "parent")
                if row is None and not proven and not synced.is_set():
                    await synced.wait()
                    continue
                if row.finished if row is not None else proven or not self._directory.bars(lease.shard_id):
                    break
                await done_within(finished, poll_s)
            java = self._directory.java_beside if row is None else predecessor(row) is Predecessor.UNKNOWN
            self.ended_by_java = self.ended_by_java or java
            if row is None:
                # At LATEST the parents were left out on purpose.
                may_skip = may_skip and (lease.checkpoint == LATEST or not self._directory.lists(parent_id))
            else:
                may_skip = may_skip and row.start_at_ms is not None
        return may_skip

    async def read_before(self, lease: Lease) -> bool:
        """Whether the row of a descendant proves that the shard was read to its end, and its own row was made anew.

        Rows of ours go a day later, when nothing lists the shard. Beside a Java worker a child that has no row was
        perhaps deleted too; whether it has children is then asked of the stream, if no listing has told yet.
        """
        if lease.checkpoint != TRIM_HORIZON:
            return False
        java = self._directory.java_beside
        below, seen = await self._children(lease.shard_id, ask=java), {lease.shard_id}
        while below:
            shard_id = below.pop()
            if shard_id in seen:
                continue
            seen.add(shard_id)
            row = await self._row(shard_id, "descendant")
            if row is not None and row.checkpoint != TRIM_HORIZON:
                return True
            below += await self._children(shard_id, ask=java and row is None)
        return False

    async def _children(self, shard_id: str, ask: bool) -> list[str]:
        """As listed last; else `ask` the stream."""
        listed = self._directory.children.get(shard_id)
        if listed or not ask:
            return list(listed or ())
        doing = f"listing the children of {shard_id}"
        return [shard.id for shard in await self._persist(doing, lambda: self._stream.list_children(shard_id))]

    async def _row(self, shard_id: str, kin: str) -> Lease | None:
        async def read() -> Lease | None:
            try:
                row = await self._leases.get(shard_id)
            except NO_ANSWER:
                raise
            except Retry as error:
                since_s = self.unread.since_s if self.unread is not None else self._clock.boottime_s()
                self.unread = Unread(f"its {kin} {shard_id}", since_s, str(error))
                raise
            self.unread = None
            return row

        return await self._persist(f"reading the lease of {shard_id}", read)

    async def _persist(self, doing: str, step: Callable[[], Awaitable[T]]) -> T:
        return await persist(doing, step, self._clock, self._random)
