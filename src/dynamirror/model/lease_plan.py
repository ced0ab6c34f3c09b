"""Which leases to take now: who is alive, what a fair share is, what is free.

Liveness is never read from a clock that another machine wrote. An observer notes when, on its own
clock, a counter was last seen to move; an owner whose counter has stood still long enough is dead.
Two counters can speak for an owner: its heartbeat row (dynamirror with a state table) or the lease
row itself (Java, or dynamirror without a state table).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dynamirror.model.lease import Lease


@dataclass(frozen=True, slots=True)
class Patience:
    """After how long without a move an owner counts as dead, by kind of owner."""

    # Our own workers: the longer of ours and the duration that the row names.
    lease_duration_s: float
    # Java rows: KCL's failover time of the tool (60 s) plus a guard >= 20 s (P-12).
    java_s: float


@dataclass(slots=True)
class Observed:
    """A counter's last value, and when it was first seen, on the observer's clock."""

    counter: int
    since_s: float


@dataclass(slots=True)
class Watch:
    """What one observer has seen move: lease rows by shard, heartbeats by worker. Forgets what vanished."""

    leases: dict[str, Observed] = field(default_factory=dict)
    beats: dict[str, Observed] = field(default_factory=dict)

    def see_leases(self, rows: Iterable[Lease], now_s: float) -> None:
        """`now_s` is taken after the scan was received (P-9). An owner change moves the counter too."""
        self.leases = _seen(self.leases, {row.shard_id: row.counter for row in rows}, now_s)

    def see_beats(self, beats: Mapping[str, int], now_s: float) -> None:
        """`beats`: heartbeat counters by worker, all of them; `now_s` after they were received."""
        self.beats = _seen(self.beats, beats, now_s)

    def still_s(self, row: Lease, now_s: float) -> float | None:
        """How long the counter that speaks for the row's owner has stood still; None when it cannot be known yet."""
        terms = row.terms_in_force
        if terms is not None and terms.heartbeat:
            seen = self.beats.get(terms.worker)
            if seen is not None:
                return now_s - seen.since_s
        row_seen = self.leases.get(row.shard_id)
        return None if row_seen is None or row_seen.counter != row.counter else now_s - row_seen.since_s


def expired(row: Lease, watch: Watch, patience: Patience, now_s: float) -> bool:
    """Whether the row's owner may be taken for dead."""
    still = watch.still_s(row, now_s)
    if still is None:
        return False
    terms = row.terms_in_force
    # A dynamirror owner whose heartbeat row is missing is judged by its lease row, which it renews only as often
    # as KCL needs.
    if terms is None or (terms.heartbeat and terms.worker not in watch.beats):
        return still > patience.java_s
    return still > max(patience.lease_duration_s, terms.duration_ms / 1000)


def takes(rows: Iterable[Lease], watch: Watch, patience: Patience, me: str, now_s: float) -> list[Lease]:
    """The leases to take now, in shard order: free or expired ones, up to this worker's fair share.

    The share is KCL's (LeaseTaker.computeLeasesToTake): all rows, finished ones included, divided by the workers
    that are alive. A lease expired three times over is taken beyond the share, so that none is left behind.
    """
    rows = list(rows)
    dead = {row.shard_id for row in rows if row.owner not in (None, me) and expired(row, watch, patience, now_s)}
    alive = {row.owner for row in rows if row.owner is not None and row.shard_id not in dead} | {me}
    mine = sum(row.owner == me for row in rows)
    share = math.ceil(len(rows) / len(alive))
    free = [row for row in rows if not row.finished and (row.owner is None or row.shard_id in dead)]
    free.sort(key=lambda row: row.shard_id)
    wanted = max(0, share - mine)
    late = [row for row in free[wanted:] if _long_expired(row, watch, patience, now_s)]
    return free[:wanted] + late


def _long_expired(row: Lease, watch: Watch, patience: Patience, now_s: float) -> bool:
    three_times = Patience(3 * patience.lease_duration_s, 3 * patience.java_s)
    return (
        expired(row, watch, three_times, now_s)
        if row.owner is not None
        else _stood_free(row, watch, three_times, now_s)
    )


def _stood_free(row: Lease, watch: Watch, patience: Patience, now_s: float) -> bool:
    still = watch.still_s(row, now_s)
    return still is not None and still > patience.lease_duration_s


def _seen(before: Mapping[str, Observed], counters: Mapping[str, int], now_s: float) -> dict[str, Observed]:
    after = {}
    for name, counter in counters.items():
        known = before.get(name)
        after[name] = known if known is not None and known.counter == counter else Observed(counter, now_s)
    return after
