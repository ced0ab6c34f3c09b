"""What the rows of a task say of it, for operators (`dynamirror status`). Nothing is decided by it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from dynamirror.model.applied_to import applied_to_ms, unread_since_ms
from dynamirror.model.copy import Copy, Phase, Segment
from dynamirror.model.copy_progress import Progress, progress
from dynamirror.model.failure import Failure
from dynamirror.model.gap import OpenGap
from dynamirror.model.lease import Lease
from dynamirror.model.orders import Orders, lost_from_ms
from dynamirror.model.shares import RateRow
from dynamirror.model.sighting import Sighting

# While others work it is news for so long.
FAILURE_MS = 60 * 60 * 1000
# An owner says how far it is every 21 s, also where nothing changes.
OTHERS_WENT_ON_MS = 60 * 1000


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A heartbeat row. Rows of older versions lack what came later; what is not known is empty or None."""

    worker: str
    beat: int
    host: str = ""
    pid: str = ""
    version: str = ""
    # What it does: replicate, copy, verify.
    command: str = ""
    # By the worker's clock.
    seen_at_ms: int | None = None
    # By name, as engines/worker_figures has them.
    figures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CopySeen:
    """The rows of a copy."""

    copy: Copy
    segments: Sequence[Segment]
    at_rest: bool = False

    @property
    def goes_on_at_rest(self) -> bool:
        """Workers copy at rest, or may."""
        return self.at_rest and self.copy.phase is not Phase.OVER


@dataclass(frozen=True, slots=True)
class Task:
    """Which task it is. Empty texts: not known."""

    lease_table: str
    state_table: str
    source_arn: str = ""
    destination_arn: str = ""
    stream_arn: str = ""
    # None: not known.
    stream_on: bool | None = None
    # About so many the source has, by the service's last count; 0: not known.
    items: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """All rows at one look."""

    # Ms since the epoch, by the service's clock; and the observer's boot-time clock.
    at_ms: int
    at_s: float
    task: Task
    leases: Sequence[Lease] = ()
    # Rows of the lease table that are no leases: key -> what is wrong.
    foreign_rows: Mapping[str, str] = field(default_factory=dict)
    workers: Sequence[WorkerSeen] = ()
    copies: Sequence[CopySeen] = ()
    parked: int = 0
    gaps: Sequence[OpenGap] = ()
    duties: int = 0
    orders: Orders = field(default_factory=Orders)
    rates: Sequence[RateRow] = ()
    # What could not be read, in words.
    unread: Sequence[str] = ()
    # The last worker that an error has ended.
    failure: Failure | None = None


class ShardState(Enum):
    """Where a shard is; the value is the word that is shown."""

    READING = "reading"
    WAITING = "waiting for parent"
    FREE = "free"
    # Its owner shows no life; others take it soon, if there are any.
    OWNER_SILENT = "owner silent"
    BEHIND_GAP = "behind gap"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """One lease row."""

    shard_id: str
    state: ShardState
    owner: str | None
    checkpoint: str
    # All up to then is durable, ms by the service's clock; None: not known, or all of it is.
    applied_to_ms: int | None
    # As that, or else from when on changes are wanted, where none was applied yet.
    unread_since_ms: int | None
    lag_ms: int | None
    # How long this observer has seen nothing of it move; None: it has not looked for long.
    unmoved_s: float | None


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker that beats, or an owner of leases that does not (`row` None: a Java worker, or one without state)."""

    worker: str
    row: WorkerSeen | None
    # None: not known yet.
    alive: bool | None
    leases: int


@dataclass(frozen=True, slots=True)
class CopyStatus:
    """How far a copy is."""

    copy: Copy
    at_rest: bool
    counts: Progress
    items: int
    # None: not known.
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """What there is to say of a task."""

    seen: Seen
    workers: Sequence[WorkerStatus]
    shards: Sequence[ShardStatus]
    copies: Sequence[CopyStatus]

    @property
    def states(self) -> Mapping[ShardState, int]:
        """How many shards are in each state."""
        counted = Counter(shard.state for shard in self.shards)
        return {state: counted[state] for state in ShardState}

    @property
    def living(self) -> list[WorkerStatus]:
        """Those of whom it is not known that they are dead."""
        return [worker for worker in self.workers if worker.alive is not False]

    @property
    def deaf(self) -> list[WorkerStatus]:
        """Those that hold leases and obey no orders: older versions, Java workers, workers without a state table."""
        return [
            worker
            for worker in self.living
            if worker.leases and (worker.row is None or "paused" not in worker.row.figures)
        ]

    @property
    def failure(self) -> Failure | None:
        """Why the last worker ended that an error has ended, as far as it may still matter; None: nothing is known."""
        failure, at_ms = self.seen.failure, self.seen.at_ms
        if failure is None:
            return None
        if any(worker.alive is True and worker.leases for worker in self.workers):
            return failure if at_ms - failure.at_ms < FAILURE_MS else None
        if self.shards and all(shard.state is ShardState.FINISHED for shard in self.shards):
            # So it ends where the stream was switched off for good, as a cut-over does.
            return None
        # Others went on, and have ended in order since.
        applied = [row.applied_to_ms for row in self.seen.leases if row.applied_to_ms is not None]
        return failure if max(applied, default=0) - failure.at_ms < OTHERS_WENT_ON_MS else None

    def process_of(self, worker: str) -> tuple[str, str] | None:
        """Host and process id of a worker; None: they are not known, or another one has the same (in a container each
        process has 1)."""
        found = Counter((one.row.host, one.row.pid) for one in self.workers if one.row is not None)
        row = next((one.row for one in self.workers if one.worker == worker), None)
        return (row.host, row.pid) if row is not None and row.host and found[row.host, row.pid] == 1 else None

    @property
    def lag_ms(self) -> int | None:
        """Of the shard that is behind most; None: of none it is known."""
        return max((shard.lag_ms for shard in self.shards if shard.lag_ms is not None), default=None)

    @property
    def lost_from_ms(self) -> int | None:
        """From when on the stream forgets changes that are not applied, if nothing more is; None: nothing is known to
        wait."""
        known = [shard.unread_since_ms for shard in self.shards if shard.unread_since_ms is not None]
        unread = [shard for shard in self.shards if shard.state is not ShardState.FINISHED]
        if not known and self.seen.orders.paused and unread:
            known = [self.seen.orders.paused_at_ms]
        return lost_from_ms(min(known)) if known else None


def status_of(seen: Seen, sighting: Sighting, before: Seen | None = None) -> Status:
    """What the rows say. `before`: an earlier look, for paces."""
    workers = _workers(seen, sighting)
    alive = {worker.worker: worker.alive for worker in workers}
    finished = {row.shard_id: row.finished for row in seen.leases}
    rows = sorted((_in_force(row, seen) for row in seen.leases), key=lambda row: row.shard_id)
    shards = [_shard(row, seen, sighting, finished, alive) for row in rows]
    return Status(seen, workers, shards, [_copy(copy, seen, before) for copy in seen.copies])


def _workers(seen: Seen, sighting: Sighting) -> list[WorkerStatus]:
    held = Counter(row.owner for row in seen.leases if row.owner is not None and not row.finished)
    rows = {row.worker: row for row in seen.workers}
    beating = {row.owner for row in seen.leases if row.terms_in_force is not None and row.terms_in_force.heartbeat}
    owners = sorted(owner for owner in held.keys() - rows.keys() if owner is not None)
    return [
        *(WorkerStatus(row.worker, row, sighting.beats(row.worker), held[row.worker]) for row in seen.workers),
        # An owner that should beat and has no row has ended without order, or somebody has removed the row.
        *(
            WorkerStatus(owner, None, False if owner in beating else sighting.writes(owner), held[owner])
            for owner in owners
        ),
    ]


def _in_force(row: Lease, seen: Seen) -> Lease:
    """Without what stands still under an owner of a version that does not write it."""
    older = any(worker.worker == row.owner and "paused" not in worker.figures for worker in seen.workers)
    return replace(row, applied_to_ms=None) if older else row


def _shard(
    row: Lease, seen: Seen, sighting: Sighting, finished: Mapping[str, bool], alive: Mapping[str, bool | None]
) -> ShardStatus:
    at_ms = None if row.finished else applied_to_ms(row)
    unread_ms = None if row.finished else unread_since_ms(row)
    lag_ms = None if at_ms is None else max(0, seen.at_ms - at_ms)
    state = _state(row, finished, alive)
    unmoved_s = None if row.finished else sighting.unmoved_s(row.shard_id)
    return ShardStatus(row.shard_id, state, row.owner, row.checkpoint, at_ms, unread_ms, lag_ms, unmoved_s)


def _state(row: Lease, finished: Mapping[str, bool], alive: Mapping[str, bool | None]) -> ShardState:
    if row.finished:
        return ShardState.FINISHED
    if any(not finished.get(parent, True) for parent in row.parent_ids):
        return ShardState.WAITING
    if row.owner is None:
        return ShardState.FREE
    if alive.get(row.owner) is False:
        return ShardState.OWNER_SILENT
    return ShardState.BEHIND_GAP if row.behind_gap else ShardState.READING


def _copy(copied: CopySeen, seen: Seen, before: Seen | None) -> CopyStatus:
    counts = progress(copied.segments, seen.at_s)
    items, eta_s = seen.task.items, None
    left = items - counts.written
    if copied.copy.phase is Phase.COPYING and left > 0:
        pace_s = _pace_s(copied, counts, seen, before)
        eta_s = left / pace_s if pace_s > 0 else None
    return CopyStatus(copied.copy, copied.at_rest, counts, items, eta_s)


def _pace_s(copied: CopySeen, counts: Progress, seen: Seen, before: Seen | None) -> float:
    """Items a second, since an earlier look or since the copy began."""
    earlier = next((other for other in before.copies if other.at_rest == copied.at_rest), None) if before else None
    if earlier is not None and before is not None and seen.at_s > before.at_s:
        return (counts.written - progress(earlier.segments, before.at_s).written) / (seen.at_s - before.at_s)
    return counts.written / max(1.0, (seen.at_ms - copied.copy.began_ms) / 1000)
