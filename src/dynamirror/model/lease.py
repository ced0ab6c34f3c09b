"""A row of the lease table, and every change that may be made to it.

The table is that of KCL 1.7.5 (docs/LEASES.md): one row a shard, each update conditional on the
counter. A decision here is an `Update`: what must still hold, and what is set. `aws/lease_table`
turns it into one UpdateItem; nothing else ever writes a lease row.
"""

from dataclasses import dataclass, field, replace
from enum import Enum

from dynamirror.errors import Refused
from dynamirror.model.permit import NEVER

TRIM_HORIZON = "TRIM_HORIZON"
LATEST = "LATEST"
SHARD_END = "SHARD_END"
# `since_ms` is moved in steps: it is compared with the retention of a day.
SINCE_STEP_MS = 60 * 60 * 1000
# Where LATEST has to be found by time: local clock and stream may differ, and older changes that are applied as well do
# no harm.
LATEST_SLACK_MS = 15 * 60 * 1000
SENTINELS = frozenset({TRIM_HORIZON, LATEST, SHARD_END})


@dataclass(frozen=True, slots=True)
class Terms:
    """How a dynamirror worker holds a lease; KCL workers keep these attributes and do not read them.

    Valid only while `worker` is the row's owner (R-9): a Java worker that takes the row leaves them behind.
    """

    worker: str
    # The owner is dead when its counter has not moved for this long on the observer's clock.
    duration_ms: int
    # The counter to watch: the owner's heartbeat row in the state table, or (False) this row's own.
    heartbeat: bool


@dataclass(frozen=True, slots=True)
class Lease:
    """One lease row. `checkpoint` is a sentinel or the decimal sequence number of the last durable change."""

    shard_id: str
    checkpoint: str
    owner: str | None = None
    counter: int = 0
    owner_switches: int = 0
    parent_ids: tuple[str, ...] = ()
    terms: Terms | None = None
    # Milliseconds since the epoch: changes created before are not wanted (--start-at). None: all are.
    start_at_ms: int | None = None
    # Milliseconds since the epoch: what came before is not wanted, or not there; moved on only while nothing of the
    # shard was applied. None: not known (a Java worker's row).
    since_ms: int | None = None
    # The checkpoint that a noted gap lies behind: reading goes on at the oldest record, since `since_ms`. One that
    # is no longer the checkpoint says nothing (a Java worker moves that, and keeps this).
    gap_behind: str | None = None
    # The clean mark: the counter at which the last owner left, nothing of it on its way any more. With an owner
    # beside it: the last one handed the lease to this one, which has not written to the row yet.
    clean_counter: int | None = None
    # Milliseconds since the epoch, service's clock: all of the shard up to then is durable, as far as its owner knew.
    # For operators; nothing is decided by it.
    applied_to_ms: int | None = None
    # Somebody that nobody knows (a Java worker, say) had the lease, and what it sent may still land: whoever gets
    # the lease meanwhile has to wait for that, too.
    unsettled: bool = False

    @property
    def finished(self) -> bool:
        """Every change of the shard is durable at the destination."""
        return self.checkpoint == SHARD_END

    @property
    def started(self) -> bool:
        """Something of the shard has been applied (or all of it)."""
        return self.checkpoint not in (TRIM_HORIZON, LATEST)

    @property
    def behind_gap(self) -> bool:
        """Nothing has been applied of what came behind a gap that is noted."""
        return self.gap_behind == self.checkpoint

    @property
    def from_oldest(self) -> bool:
        """Whatever the stream still has of the shard is wanted, from `since_ms` on all that it ever had."""
        return not self.started or self.behind_gap

    @property
    def unread_since_ms(self) -> int | None:
        """From when on changes of the shard are wanted that nobody has applied; None: not known, or it has a number."""
        return self.since_ms if self.from_oldest else None

    @property
    def handed_over(self) -> bool:
        """The owner before left it to the present one in order; that one has not written to the row yet."""
        return self.owner is not None and self.clean_counter == self.counter

    @property
    def terms_in_force(self) -> Terms | None:
        """The terms, where they belong to the present owner; None for a Java owner or no owner (R-9)."""
        if self.terms is None or self.owner is None or self.terms.worker != self.owner:
            return None
        return self.terms


class Predecessor(Enum):
    """Whose writes may still be on their way to the destination when a lease is taken."""

    NOBODY = "nobody"
    DYNAMIRROR = "dynamirror"
    UNKNOWN = "Java, or unknown"


@dataclass(frozen=True, slots=True)
class Taken:
    """A lease that this worker has got."""

    lease: Lease
    predecessor: Predecessor
    # On this worker's clock, before the request was sent (P-9); -inf: not known.
    sent_at_s: float = NEVER
    # The owner before lives, and was not asked: it goes on until it notices.
    stolen: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """One conditional update of a lease row.

    Holds only if the row still has `before.counter` and `before.owner` (None: no owner); then the row is
    `after`. Attributes that neither side names are left as they are.
    """

    before: Lease
    after: Lease
    # A finished shard is final: also demand that the row's checkpoint is not SHARD_END (KCL 1.14.1).
    unless_finished: bool = field(default=False)


def new_lease(
    shard_id: str,
    parent_ids: tuple[str, ...],
    checkpoint: str = TRIM_HORIZON,
    start_at_ms: int | None = None,
    since_ms: int | None = None,
) -> Lease:
    """The row that KCL creates for a shard nobody has yet: no owner, counter 0."""
    return Lease(shard_id, checkpoint, parent_ids=parent_ids, start_at_ms=start_at_ms, since_ms=since_ms)


def adopted(lease: Lease, terms: Terms) -> Lease:
    """A new row that is owned from its creation: the child of a shard that this worker just finished (P-18)."""
    return replace(lease, owner=terms.worker, counter=1, terms=terms)


def take(lease: Lease, terms: Terms, now_ms: int, since_ms: int | None = None) -> Update:
    """Take an unowned or expired lease. The number of owner switches grows as KCL counts it.

    A Java worker's row at LATEST gets a time, `now_ms` less a slack: else the next owner would begin behind what this
    one has not yet applied. From the take on it is also known since when all that is not applied is wanted (at
    TRIM_HORIZON since `since_ms`), so that what is trimmed unread is a gap.
    """
    ours = last_owner(lease) is not Predecessor.UNKNOWN
    switches = lease.owner_switches + (1 if lease.owner not in (None, terms.worker) else 0)
    at_latest = lease.checkpoint == LATEST
    start_at_ms = now_ms - LATEST_SLACK_MS if at_latest and lease.start_at_ms is None else lease.start_at_ms
    known_ms = lease.since_ms if ours else None
    if known_ms is None and not lease.started:
        known_ms = start_at_ms if at_latest else since_ms
    after = replace(
        lease,
        owner=terms.worker,
        counter=lease.counter + 1,
        owner_switches=switches,
        terms=terms,
        clean_counter=None,
        start_at_ms=start_at_ms,
        # A Java worker keeps the attributes, and may have read the shard all the time since.
        since_ms=known_ms,
        gap_behind=lease.gap_behind if ours else None,
        applied_to_ms=lease.applied_to_ms if ours else None,
        unsettled=lease.unsettled or not ours,
    )
    return Update(lease, after)


def predecessor(row: Lease) -> Predecessor:
    """Who may have left writes on their way: the last owner, or one before it that nobody knows.

    1 a Java worker sends v1, and is frozen; 2 one of ours takes the lease, and has five minutes to wait; 3 another one
    of ours gets it, from a living owner or a dead one; 4 v1 lands.
    """
    return Predecessor.UNKNOWN if row.unsettled else last_owner(row)


def last_owner(row: Lease) -> Predecessor:
    """Who may have left writes on their way, judged by the row before it is taken (R-6, R-9).

    The mark counts only while the counter is the one that it names: KCL keeps attributes that it does not know. Whoever
    a lease was handed over to sends nothing before it has moved the counter itself.
    """
    if row.owner is not None and not row.handed_over:
        return Predecessor.DYNAMIRROR if row.terms_in_force is not None else Predecessor.UNKNOWN
    return Predecessor.NOBODY if row.counter in (0, row.clean_counter) else Predecessor.UNKNOWN


def renew(lease: Lease, nothing_until_ms: int | None = None, settled: bool = False) -> Update:
    """Show that the owner lives: the counter moves. `nothing_until_ms`: until then the shard had nothing to apply.
    `settled`: nothing of any owner before may land any more."""
    after = replace(lease, counter=lease.counter + 1, unsettled=lease.unsettled and not settled)
    if nothing_until_ms is not None and lease.from_oldest and nothing_until_ms - (lease.since_ms or 0) >= SINCE_STEP_MS:
        after = replace(after, since_ms=nothing_until_ms)
    return Update(lease, after)


def checkpoint(lease: Lease, position: str, skipped_all: bool = False) -> Update:
    """Record that everything at or below `position` is durable. Raises Refused when it would go back.

    `skipped_all`: nothing at or below it was wanted (--start-at). The first wanted change ends skipping for the
    lineage, and the row must say so in the same update: time stamps are not monotone, so a restart that
    skipped again could leave out a newer change than one already applied (E-4).
    """
    if not may_advance(lease.checkpoint, position):
        raise Refused(f"the checkpoint of {lease.shard_id} may not go from {lease.checkpoint} to {position}")
    start_at_ms = lease.start_at_ms if skipped_all else None
    after = replace(lease, counter=lease.counter + 1, checkpoint=position, owner_switches=0, start_at_ms=start_at_ms)
    # A checkpoint moves only once the start is over: nothing of an owner before may land any more.
    after = replace(after, gap_behind=None, unsettled=False)
    return Update(lease, after, unless_finished=True)


def pass_gap(lease: Lease, noted_at_ms: int) -> Update:
    """Go on at the oldest record: what came behind the checkpoint and is gone was noted then, as a gap (R-11).

    The checkpoint stays, so that whoever reads the row alone, a Java worker too, has lost nothing by it.
    """
    return Update(lease, replace(lease, counter=lease.counter + 1, gap_behind=lease.checkpoint, since_ms=noted_at_ms))


def release(lease: Lease, nothing_until_ms: int | None = None) -> Update:
    """Give the lease up in order: no owner, the counter moves once more, with the clean mark.

    Only when nothing of this owner, or of the one before it, may still reach the destination (R-7).
    `nothing_until_ms` as in `renew`.
    """
    counter = lease.counter + 1
    since_ms = max(lease.since_ms or 0, nothing_until_ms or 0) or None
    after = replace(
        lease, owner=None, counter=counter, terms=None, clean_counter=counter, since_ms=since_ms, unsettled=False
    )
    return Update(lease, after)


def hand_over(lease: Lease, to: Terms, clean: bool) -> Update:
    """Make the lease another living worker's, in one step, at the checkpoint that it has.

    `clean`: nothing of this owner, or of the one before it, may still reach the destination (R-7); the mark then says
    so to the new owner. Without it that one begins as after a crash (C-3). The owner's own start is over (C-4).
    """
    counter = lease.counter + 1
    mark = counter if clean else None
    return Update(
        lease,
        replace(
            lease,
            owner=to.worker,
            counter=counter,
            owner_switches=lease.owner_switches + 1,
            terms=to,
            clean_counter=mark,
            unsettled=False,
        ),
    )


def may_advance(old: str, new: str) -> bool:
    """Whether a checkpoint may go from `old` to `new`: TRIM_HORIZON < LATEST < numbers by value < SHARD_END."""
    return _rank(new) >= _rank(old)


def _rank(position: str) -> tuple[int, int]:
    if position in SENTINELS:
        return {TRIM_HORIZON: -2, LATEST: -1, SHARD_END: 1}[position], 0
    return 0, int(position)
