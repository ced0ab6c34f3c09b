"""The shards of a stream as a graph: what a listing says, whether to believe it, which leases it asks for.

DescribeStream lists inconsistently (docs/LEASES.md, "Shards and their order"): pages are taken while the set changes,
a child may show before its parent closes, siblings show at different times. So a listing is examined
before anything is built on it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from dynamirror.model.lease import LATEST, TRIM_HORIZON, Lease, new_lease

# How long a stream keeps a record; a parent younger than this must be listed (Streams Developer Guide).
RETENTION_MS = 24 * 60 * 60 * 1000
# What a stream has is trimmed while a task begins: for this part of the retention (an hour) nothing is taken for
# missing.
OPENED_WITHIN = 1 / 24
# A worker's clock and the service's, which shard ids are made by.
CLOCKS_APART_MS = 15 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard of a listing. `last_sequence` is None while the shard is open."""

    id: str
    parent_id: str | None = None
    first_sequence: str | None = None
    last_sequence: str | None = None

    @property
    def open(self) -> bool:
        """Still being written, as far as the listing knows."""
        return self.last_sequence is None


@dataclass(frozen=True, slots=True)
class Listing:
    """All pages of one DescribeStream. `enabled` is False once the stream is off (its shards are closed)."""

    shards: tuple[Shard, ...]
    enabled: bool = True


def shard_created_ms(shard_id: str) -> int | None:
    """The creation time inside a shard id (`shardId-<milliseconds>-<suffix>`); None when it has another form."""
    parts = shard_id.split("-")
    if len(parts) < 3 or parts[0] != "shardId" or not parts[1].isdigit():
        return None
    return int(parts[1])


def doubts_about(listing: Listing, now_ms: int, retention_ms: int = RETENTION_MS) -> list[str]:
    """Why the listing should be taken again before it is acted upon (P-17); empty: it is sound.

    An open parent with listed children is no doubt: it is treated as closed.
    """
    listed = {shard.id for shard in listing.shards}
    parents = {shard.parent_id for shard in listing.shards}
    doubts = []
    for shard in listing.shards:
        if _parent_missing(shard, listed, now_ms - retention_ms):
            doubts.append(f"{shard.id} names the parent {shard.parent_id}, which is not listed")
        if listing.enabled and not shard.open and shard.id not in parents:
            doubts.append(f"{shard.id} is closed and has no child listed")
    return doubts


def believable(listing: Listing, now_ms: int, retention_ms: int = RETENTION_MS) -> Listing:
    """What may be acted upon of a listing that stays inconsistent: no shard whose young parent is missing, and
    none of its descendants.

    Reading such a child could overtake its parent; it waits for a listing that shows the parent.
    """
    listed = {shard.id for shard in listing.shards}
    return without(
        listing, {shard.id for shard in listing.shards if _parent_missing(shard, listed, now_ms - retention_ms)}
    )


def without(listing: Listing, shard_ids: Collection[str]) -> Listing:
    """The listing less these shards and all their descendants."""
    barred = {*shard_ids}
    for shard in ancestors_first(listing.shards):
        if shard.parent_id in barred:
            barred.add(shard.id)
    return Listing(tuple(shard for shard in listing.shards if shard.id not in barred), listing.enabled)


def _parent_missing(shard: Shard, listed: Collection[str], kept_from_ms: int) -> bool:
    if shard.parent_id is None or shard.parent_id in listed:
        return False
    # The parent ended when its child was created: while that is kept it has changes that can be read. Its own age says
    # nothing, a shard may be written for days.
    created = shard_created_ms(shard.id)
    return created is not None and created > kept_from_ms


def ancestors_first(shards: Iterable[Shard]) -> list[Shard]:
    """The shards in an order in which each parent stands before its children."""
    by_id = {shard.id: shard for shard in shards}
    done: dict[str, Shard] = {}
    for shard in sorted(by_id.values(), key=lambda s: (int(s.first_sequence or 0), s.id)):
        chain = []
        at: Shard | None = shard
        while at is not None and at.id not in done and at not in chain:
            chain.append(at)
            at = by_id.get(at.parent_id or "")
        for ancestor in reversed(chain):
            done[ancestor.id] = ancestor
    return list(done.values())


@dataclass(frozen=True, slots=True)
class Start:
    """Where a task begins on a stream that it has no leases for (--start-at)."""

    # LATEST: only what is written from now on. TRIM_HORIZON: everything the stream has (from at_ms on).
    checkpoint: str = TRIM_HORIZON
    # Milliseconds since the epoch; changes created before are skipped.
    at_ms: int | None = None


def untouched(leases: Iterable[Lease]) -> bool:
    """No worker ever had one of these leases: a task that is being created, or whose creation was cut off."""
    return all(lease.owner is None and lease.counter == 0 and not lease.started for lease in leases)


def missing_leases(
    listing: Listing,
    leases: Mapping[str, Lease],
    start: Start,
    now_ms: int,
    unreadable: Collection[str] = (),
    retention_ms: int = RETENTION_MS,
) -> list[Lease]:
    """The rows to create, ancestors first, none of them owned.

    A shard that was completed and whose row is gone must not come back: it would be replayed over newer
    images (P-19). The sign is a descendant's row that is not at TRIM_HORIZON. `start` counts only for a task that
    nobody has begun, so also for the worker that finds its creation half done, by itself or by another; a shard that
    appears later is read from its beginning, and nothing of it may be missing (`since_ms`).
    A row that is there but unreadable (its shard's id) may prove as much.
    """
    fresh = untouched(leases.values()) and not unreadable
    completed = _completed(listing.shards, leases.values(), unreadable).union(unreadable)
    parents = {shard.parent_id for shard in listing.shards}
    begun_ms = _begun_ms(leases.values())
    oldest_ms = now_ms - retention_ms + int(retention_ms * OPENED_WITHIN)
    missing: list[Lease] = []
    for shard in ancestors_first(listing.shards):
        if shard.id in leases or shard.id in completed:
            continue
        # LATEST: the ends of the lineages only. A closed one whose child is not listed yet leads to that child.
        if fresh and start.checkpoint == LATEST and shard.id in parents:
            continue
        position = start.checkpoint if fresh else TRIM_HORIZON
        at_ms = start.at_ms if fresh and start.at_ms is not None else _inherited_start(shard, leases)
        least_ms = at_ms if at_ms is not None else oldest_ms
        wanted_ms = least_ms if fresh or begun_ms is None else max(begun_ms, at_ms or 0)
        since_ms = max(_born_ms(shard, wanted_ms), wanted_ms)
        missing.append(new_lease(shard.id, _parents(shard), position, at_ms, since_ms))
    return missing


def generations(leases: Iterable[Lease]) -> list[list[Lease]]:
    """Rows that are given ancestors first, in as many parts: no part has a row and its parent's."""
    depth_of: dict[str, int] = {}
    parts: list[list[Lease]] = []
    for lease in leases:
        depth = max((depth_of[parent] + 1 for parent in lease.parent_ids if parent in depth_of), default=0)
        depth_of[lease.shard_id] = depth
        if depth == len(parts):
            parts.append([])
        parts[depth].append(lease)
    return parts


def lost_lineages(listing: Listing, leases: Mapping[str, Lease], unreadable: Collection[str] = ()) -> list[str]:
    """The shards without a row whose parents were never seen, though the task has followed the stream since before.

    1 a shard is finished, and its worker dies; 2 the shard's child ends too, and nobody reads it for a day; 3 the
    listing begins with the grandchild. What the child had is lost. Of a task begun by Java workers nothing is known.
    """
    begun_ms = _begun_ms(leases.values())
    if begun_ms is None:
        return []
    known = {shard.id for shard in listing.shards} | leases.keys() | {*unreadable}
    known |= _completed(listing.shards, leases.values(), unreadable)
    return [
        shard.id
        for shard in listing.shards
        if shard.id not in leases
        and not known.issuperset(_parents(shard))
        and (shard_created_ms(shard.id) or 0) > begun_ms + CLOCKS_APART_MS
    ]


def wanted_since_ms(shard_id: str, now_ms: int, retention_ms: int = RETENTION_MS) -> int:
    """Since when all of a shard is wanted that somebody else has begun, and of which nothing was applied."""
    oldest_ms = now_ms - retention_ms + int(retention_ms * OPENED_WITHIN)
    return max(shard_created_ms(shard_id) or 0, oldest_ms)


def removable(
    listing: Listing,
    before: Collection[str],
    leases: Mapping[str, Lease],
    now_ms: int,
    retention_ms: int = RETENTION_MS,
) -> list[Lease]:
    """The rows of finished shards that nothing needs any more, oldest first (P-20).

    The shard is in neither of two listings (`before`: the shards of an earlier one), and older than the stream keeps
    changes. Whatever comes after it was begun, and proves by its own row that it was completed: should it be listed
    once more all the same, no row is made for it (P-19).
    """
    listed = {shard.id for shard in listing.shards} | {*before}
    needed = {
        parent_id
        for lease in leases.values()
        if lease.checkpoint in (TRIM_HORIZON, LATEST)
        for parent_id in lease.parent_ids
    }
    needed |= {shard.parent_id for shard in listing.shards if shard.parent_id and shard.id not in leases}
    return sorted(
        (
            lease
            for lease in leases.values()
            if lease.finished
            and lease.shard_id not in listed
            and lease.shard_id not in needed
            and (shard_created_ms(lease.shard_id) or now_ms) < now_ms - retention_ms
        ),
        key=lambda lease: lease.shard_id,
    )


def children_of(shards: Iterable[Shard]) -> dict[str, list[str]]:
    """The shards that name another one as their parent, by that one."""
    found: dict[str, list[str]] = {}
    for shard in shards:
        if shard.parent_id:
            found.setdefault(shard.parent_id, []).append(shard.id)
    return found


def child_leases(parent: Lease, children: Iterable[Shard], now_ms: int) -> list[Lease]:
    """The rows for the children of a shard that was just read to its end."""
    at_ms, since_ms = parent.start_at_ms, parent.since_ms or 0
    return [
        new_lease(child.id, _parents(child), TRIM_HORIZON, at_ms, max(_born_ms(child, now_ms), since_ms))
        for child in children
    ]


def _begun_ms(leases: Iterable[Lease]) -> int | None:
    """Since when the task wants changes; None: Java workers began it, and nobody knows."""
    return min((lease.since_ms for lease in leases if lease.since_ms is not None), default=None)


def _born_ms(shard: Shard, otherwise_ms: int) -> int:
    created = shard_created_ms(shard.id)
    return otherwise_ms if created is None else created


def _inherited_start(shard: Shard, leases: Mapping[str, Lease]) -> int | None:
    parent = leases.get(shard.parent_id or "")
    return parent.start_at_ms if parent else None


def _parents(shard: Shard) -> tuple[str, ...]:
    return (shard.parent_id,) if shard.parent_id else ()


def _completed(shards: Iterable[Shard], leases: Iterable[Lease], unreadable: Collection[str] = ()) -> set[str]:
    """The shards that a descendant's row proves to be done with: completed, or (LATEST) never wanted.

    KCL deletes finished rows from the oldest on, so the usual table of a long-running Java fleet has rows for the
    youngest generations only, while the stream still lists their ancestors: the proof reaches over many generations.
    """
    parents = {shard.id: _parents(shard) for shard in shards}
    open_ends = [*unreadable]
    for lease in leases:
        parents[lease.shard_id] = tuple({*parents.get(lease.shard_id, ()), *lease.parent_ids})
        if lease.checkpoint != TRIM_HORIZON:
            open_ends.append(lease.shard_id)
    completed: set[str] = set()
    while open_ends:
        above = [parent for parent in parents.get(open_ends.pop(), ()) if parent not in completed]
        completed.update(above)
        open_ends.extend(above)
    return completed
