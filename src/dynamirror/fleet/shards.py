"""The stream's shards, turned into lease rows: all at the start and every minute, children when their parent ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from dynamirror.errors import ConditionFailed, CredentialsExpired, Gap, LifeOver, Side, Throttled, Unreachable
from dynamirror.fleet.doubts import Doubts
from dynamirror.follow.gaps import GapPolicy
from dynamirror.loops.rows import each_row
from dynamirror.loops.signal import Signal
from dynamirror.model.backoff import Backoff
from dynamirror.model.lease import (
    LATEST,
    TRIM_HORIZON,
    Lease,
    Predecessor,
    Taken,
    Terms,
    adopted,
    predecessor,
    take,
)
from dynamirror.model.lease_doubt import was_applied
from dynamirror.model.permit import NEVER
from dynamirror.model.shard_graph import (
    Listing,
    Start,
    believable,
    child_leases,
    children_of,
    doubts_about,
    generations,
    lost_lineages,
    missing_leases,
    removable,
    wanted_since_ms,
    without,
)
from dynamirror.ports import ChangeStream, Clock, LeaseStore

# An inconsistent listing is taken again; the delays add up to about a minute, as in the
# DynamoDB Streams adapter since 1.4 (P-17).
RELIST = Backoff(first_s=0.4, most_s=20.0)
RELIST_ATTEMPTS_MAX = 8
# How late the child of a shard that ended with its stream may be listed.
LATE_CHILD_S = 4.0

log = logging.getLogger("dynamirror.leases")


@dataclass(frozen=True, slots=True)
class DirectoryTools:
    """What listing and making rows is given from outside. `now_s`: the service's clock. `gaps` None: a gap stops the
    worker."""

    stream: ChangeStream
    leases: LeaseStore
    clock: Clock
    random: Callable[[], float]
    now_s: Callable[[], float]
    gaps: GapPolicy | None = None


async def _always_idle() -> bool:
    return True


class ShardDirectory:
    """Lists the stream and keeps a lease row for every shard that needs one. Every step may run twice."""

    def __init__(self, tools: DirectoryTools, start: Start) -> None:
        self._stream = tools.stream
        self._leases = tools.leases
        self._clock = tools.clock
        self._random = tools.random
        self._now_s = tools.now_s
        self._gaps = tools.gaps
        self._start = start
        # Whether a worker whose stream is applied to its end has nothing else to do: it does not end before.
        self.idle: Callable[[], Awaitable[bool]] = _always_idle
        # Where listings come from: the stream, or what another worker has listed.
        self.list_shards = tools.stream.list_shards
        # Rows that nothing needs any more, as of the last listing.
        self.removable: Sequence[Lease] = ()
        # Shards that had a row when the last listing was looked through.
        self.with_row: frozenset[str] = frozenset()
        # By shard, those that the last listing calls its children.
        self.children: Mapping[str, Sequence[str]] = {}
        # A Java worker has been seen, which deletes rows.
        self.java_beside = False
        self._listed: set[str] = set()
        self._listed_before: set[str] | None = None
        # Listed, but not believed: their young parents were not.
        self._barred: set[str] = set()
        self._closed: set[str] = set()
        self.in_doubt = Doubts()
        # Rows that this process created at LATEST: it may take that literally once.
        self.created_at_latest: set[str] = set()
        # Notified when a shard that was read to its end has no child (yet): the stream itself may have ended.
        self.childless = Signal()
        # Once a listing was believed and each shard of it that needs a row has got one.
        self.synced = asyncio.Event()
        self._said_disabled = False
        # Since when listings show a stream that is off and applied to its end.
        self._drained_since_s: float | None = None

    def is_closed(self, shard_id: str) -> bool:
        """Whether the last listing says that the shard has ended."""
        return shard_id in self._closed

    async def sync(self) -> int:
        """List, then create the missing rows, ancestors first; returns how many.

        Raises Retry, NotFound; Gap when a lineage was never read; LifeOver when the stream was switched off and nothing
        of it is left to apply, and was not some seconds before: a child may be listed late. Nor may an item wait to be
        reconciled: no worker could be started for it.
        """
        found = await self._patient_listing()
        listing = believable(found, self._now_ms, self._stream.retention_ms)
        before, self._listed_before = self._listed_before, {shard.id for shard in found.shards}
        self._barred = self._listed_before - {shard.id for shard in listing.shards}
        self.children = children_of(found.shards)
        self._listed = {shard.id for shard in listing.shards}
        self._closed = {shard.id for shard in listing.shards if not shard.open}
        self._closed |= {shard.parent_id for shard in listing.shards if shard.parent_id}
        # Consistently: which shards are completed is judged by which rows are there (P-19).
        rows = {row.shard_id: row for row in await self._leases.scan(consistent=True)}
        self.with_row = frozenset(rows)
        lost = lost_lineages(listing, rows, self._leases.unreadable)
        if lost and (self._gaps is None or self._gaps.stops):
            raise _gap(lost)
        created = await self._create_missing(without(listing, lost), rows)
        if lost:
            # They may have to wait.
            self._barred |= {*lost}
            created += await self._create_behind_gap(listing, lost)
        self.synced.set()
        sound = before is not None and not (lost or created or self._barred or self._leases.unreadable)
        known, retention_ms = before or set(), self._stream.retention_ms
        self.removable = removable(found, known, rows, self._now_ms, retention_ms) if sound else ()
        if not listing.enabled:
            # One without a row, and for which none was made, was completed before (P-19).
            left = [shard for shard in listing.shards if shard.id in rows and not rows[shard.id].finished]
            drained = not (left or created or self._leases.unreadable or self._barred)
            self._refuse_to_idle(drained=drained and await self.idle())
        return created

    async def _create_missing(self, listing: Listing, rows: Mapping[str, Lease]) -> int:
        """Raises Retry, before the children of one that failed: a row below a missing one says it was completed."""
        created: list[bool] = []

        async def create(lease: Lease) -> None:
            created.append(await self._create(lease))

        unreadable, retention_ms = self._leases.unreadable, self._stream.retention_ms
        for leases in generations(missing_leases(listing, rows, self._start, self._now_ms, unreadable, retention_ms)):
            await each_row(create, leases, self._clock)
        return sum(created)

    async def _create_behind_gap(self, listing: Listing, lost: Sequence[str]) -> int:
        """Rows for the children of lost shards, once nothing that lies before them is left (R-11).

        The lost shard's own ancestors are not known, so none that was closed may be unfinished.
        """
        rows = {row.shard_id: row for row in await self._leases.scan(consistent=True)}
        still_open = {shard.id for shard in listing.shards if shard.open}
        if self._leases.unreadable or any(not row.finished and row.shard_id not in still_open for row in rows.values()):
            return 0
        parents = {shard.id: shard.parent_id or "" for shard in listing.shards}
        if self._gaps is not None:
            for shard_id in lost:
                what = f"the parent of {shard_id} was never read and is no longer listed"
                await self._gaps.note(Gap(what, what, parents[shard_id], TRIM_HORIZON))
        return await self._create_missing(listing, rows)

    def _refuse_to_idle(self, drained: bool) -> None:
        """A stream that is off brings nothing any more, and one switched on again is another stream."""
        now_s = self._clock.boottime_s()
        since_s = self._drained_since_s if self._drained_since_s is not None else now_s
        self._drained_since_s = since_s if drained else None
        if drained and now_s - since_s >= LATE_CHILD_S:
            raise LifeOver(
                Side.SOURCE,
                "the source's stream was switched off, or its table made anew, and all of it has been applied. Switch "
                "the stream on and start again: a new stream is followed from its beginning with --on-gap continue or "
                "reconcile; what was changed in between is in no stream, so compare and mend both tables then "
                "(dynamirror verify --repair)",
            )
        if not self._said_disabled:
            self._said_disabled = True
            log.warning(
                "the source's stream was switched off, or its table made anew: what it still has is applied, then "
                "this worker ends",
                extra={"event": "stream_disabled", "facts": {}},
            )

    def lists(self, shard_id: str) -> bool:
        """Whether the last listing has the shard."""
        return shard_id in self._listed

    def bars(self, shard_id: str) -> bool:
        """Whether the last listing left out a young ancestor of the shard: that an ancestor has no row says nothing."""
        return shard_id in self._barred

    async def adopt_children(
        self, parent: Lease, terms: Terms, but: Collection[str] = ()
    ) -> tuple[list[str], list[Taken]]:
        """Make the children of a finished shard, all `but` these, this worker's own, also beyond its fair share (P-18).

        Returns which children are listed now, and the leases that this worker has now: those it got, and those it
        got in an earlier attempt that was cut off. Raises Retry.

        The whole listing is not asked for: a stream of thousands of shards allows ten calls a second.
        """
        shards = await self._stream.list_children(parent.shard_id)
        got = []
        for lease in child_leases(parent, [shard for shard in shards if shard.id not in but], self._now_ms):
            mine = adopted(lease, terms)
            sent_at_s = self._clock.boottime_s()
            if await self._create(mine):
                got.append(Taken(mine, Predecessor.NOBODY, sent_at_s))
                continue
            row = await self._leases.get(lease.shard_id)
            if row is not None and row.counter in self.in_doubt.made(lease.shard_id) and row.owner == terms.worker:
                got += [Taken(row, self.in_doubt.got_from(row))] if not row.finished else []
                continue
            # Handed over perhaps: what names this worker all the same is begun by whoever looks at the rows.
            self.in_doubt.pop(lease.shard_id, None)
            if row is not None and row.owner is None and not row.finished:
                got += await self.taken(row, terms)
        return [shard.id for shard in shards], got

    async def taken(self, row: Lease, terms: Terms) -> list[Taken]:
        """Take one lease; empty when somebody else was faster. Raises Retry; then, the same call finds out (P-8)."""
        now_ms = self._now_ms
        update = take(row, terms, now_ms, wanted_since_ms(row.shard_id, now_ms, self._stream.retention_ms))
        left_by = self.in_doubt.got_from(row) if row.owner == terms.worker else predecessor(row)
        fresh = self.in_doubt.add(row.shard_id, update.after.counter, left_by)
        sent_at_s = self._clock.boottime_s()
        try:
            await self._leases.update(update)
        except (Throttled, Unreachable, CredentialsExpired):
            if fresh:
                self.in_doubt.failed(row.shard_id, update.after.counter)
            raise
        except ConditionFailed:
            now = await self._leases.get(row.shard_id)
            if not was_applied(update, now):
                self.in_doubt.pop(row.shard_id, None)
                return []
            # It was applied by an earlier attempt, nobody knows when.
            sent_at_s = NEVER
        facts = {"shard": row.shard_id, "from": row.owner, "left_by": left_by.value}
        extra = {"event": "lease_taken", "facts": facts}
        log.info("lease of %s taken at %s", row.shard_id, row.checkpoint, extra=extra)
        # Got before, and the answer was lost: perhaps from a Java worker that lives (P-11).
        stolen = row.owner == terms.worker and left_by is Predecessor.UNKNOWN
        return [Taken(update.after, left_by, sent_at_s, stolen)]

    async def _create(self, lease: Lease) -> bool:
        if lease.owner is not None:
            # Not over what an earlier take, whose answer was lost, has left there.
            self.in_doubt.setdefault(lease.shard_id, {}).setdefault(lease.counter, Predecessor.NOBODY)
        if not await self._leases.create(lease):
            return False
        if lease.checkpoint == LATEST:
            self.created_at_latest.add(lease.shard_id)
        extra = {"event": "lease_created", "facts": {"shard": lease.shard_id, "owner": lease.owner}}
        log.info("lease created for %s at %s", lease.shard_id, lease.checkpoint, extra=extra)
        return True

    @property
    def _now_ms(self) -> int:
        return int(self._now_s() * 1000)

    async def _patient_listing(self) -> Listing:
        """Sound, or, when it does not become so in about a minute, as it is."""
        listing = await self.list_shards()
        for attempt in range(RELIST_ATTEMPTS_MAX):
            doubts = doubts_about(listing, self._now_ms, self._stream.retention_ms)
            if not doubts:
                return listing
            log.info(
                "the shard listing is not consistent yet: %s",
                "; ".join(doubts[:3]),
                extra={"event": "listing_doubtful", "facts": {"doubts": len(doubts), "attempt": attempt}},
            )
            await self._clock.sleep(RELIST.delay_s(attempt, self._random))
            listing = await self.list_shards()
        return listing


def _gap(lost: Sequence[str]) -> Gap:
    return Gap(
        f"gap in the stream: the parent of {lost[0]} was never read and is no longer listed "
        f"({len(lost)} lineages); changes of it may be missing at the destination. Nothing else was skipped. "
        f"{Gap.ADVICE}"
    )
