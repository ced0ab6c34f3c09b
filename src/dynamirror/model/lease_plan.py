"""Which leases to take now: who is alive, what a fair share is, what is free.

Liveness is never read from a clock that another machine wrote. An observer notes when, on its own
clock, a counter was last seen to move; an owner whose counter has stood still long enough is dead.
Two counters can speak for an owner: its heartbeat row (dynamirror with a state table) or the lease
row itself (Java, or dynamirror without a state table).
"""

import math
from collections.abc import Collection, Iterable, Mapping
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
    # It was seen to move at least once: somebody lives.
    moved: bool = False


@dataclass(slots=True)
class Watch:
    """What one observer has seen move: lease rows by shard, heartbeats by worker. Forgets what vanished.

    Stillness lasts from the moment an answer with the counter was received to the moment the latest question was
    asked, never to "now": an observer that was frozen, or whose scan took long, has not seen anyone stand still.
    """

    leases: dict[str, Observed] = field(default_factory=dict)
    beats: dict[str, Observed] = field(default_factory=dict)
    # Workers that can be asked for a shard: they say so in their heartbeat rows.
    askable: frozenset[str] = frozenset()
    # Since when, on this observer's clock, a row is at its checkpoint under its owner.
    checkpoints: dict[str, tuple[tuple[str, str | None], float]] = field(default_factory=dict)
    # Shards whose rows are no leases, and since when.
    unreadable: dict[str, float] = field(default_factory=dict)
    leases_asked_at_s: float = 0.0
    beats_asked_at_s: float = 0.0

    def see_leases(
        self, rows: Iterable[Lease], asked_at_s: float, now_s: float, unreadable: Iterable[str] = ()
    ) -> None:
        """`now_s` is taken after the scan was received (P-9). An owner change moves the counter too. `unreadable`:
        shards whose rows were left out."""
        rows = list(rows)
        self.unreadable = {shard_id: self.unreadable.get(shard_id, now_s) for shard_id in unreadable}
        # While this observer could not read them, others could not write them perhaps: nobody was seen to stand still.
        seen_before = self.leases if asked_at_s - self.leases_asked_at_s < BLIND_S else {}
        self.leases = _seen(seen_before, {row.shard_id: row.counter for row in rows}, now_s)
        known = self.checkpoints
        self.checkpoints = {
            row.shard_id: before
            if (before := known.get(row.shard_id)) is not None and before[0] == (row.checkpoint, row.owner)
            else ((row.checkpoint, row.owner), now_s)
            for row in rows
        }
        self.leases_asked_at_s = asked_at_s

    def see_beats(self, beats: Mapping[str, int], asked_at_s: float, now_s: float) -> None:
        """`beats`: heartbeat counters by worker, all of them; `now_s` after they were received."""
        self.beats = _seen(self.beats, beats, now_s)
        self.beats_asked_at_s = asked_at_s

    def still_s(self, row: Lease) -> float | None:
        """How long the counter that speaks for the row's owner has stood still; None when it cannot be known yet."""
        terms = row.terms_in_force
        if terms is not None and terms.heartbeat and terms.worker in self.beats:
            return self.beats_asked_at_s - self.beats[terms.worker].since_s
        return self.row_still_s(row)

    def beating(self, worker: str, duration_s: float) -> bool:
        """Whether its heartbeat was seen to move, not longer ago than a lease lasts."""
        seen = self.beats.get(worker)
        return seen is not None and seen.moved and self.beats_asked_at_s - seen.since_s <= duration_s

    def checkpoint_still_s(self, row: Lease) -> float:
        """How long the row's owner has been at its checkpoint, as far as was seen."""
        at, since_s = self.checkpoints.get(row.shard_id, (None, 0.0))
        return self.leases_asked_at_s - since_s if at == (row.checkpoint, row.owner) else 0.0

    def row_still_s(self, row: Lease) -> float | None:
        """How long the row's own counter has stood still; None when the row has moved on since the last scan."""
        seen = self.leases.get(row.shard_id)
        return None if seen is None or seen.counter != row.counter else self.leases_asked_at_s - seen.since_s


# Rows are read every ten seconds at least; longer without an answer says nothing of their owners.
BLIND_S = 40.0
# A worker that beats is dead all the same when its row has not moved for so many of the durations of a lease, and for
# longer than a Java worker's may stand: it reaches the state table and not this one, and can prove no lease.
ROW_STILL = 3.0


def left_s(row: Lease, watch: Watch, patience: Patience) -> float | None:
    """How much longer the owner's counter would have to stand still before the owner counts as dead.

    Negative: it is dead. None: nothing can be said yet. Meaningless for a row without owner.
    """
    still = watch.still_s(row)
    if still is None:
        return None
    terms = row.terms_in_force
    # A dynamirror owner whose heartbeat row is missing is judged by its lease row, which it renews only as often
    # as KCL needs. One that the lease was handed over to, and that has not written to it yet, had a row when it asked:
    # 1 the owner before sees that it asks; 2 it stops, finds nothing to give back, and removes its row; 3 the lease is
    # made its own. It sends nothing before it has moved the counter.
    missing = terms is not None and terms.heartbeat and terms.worker not in watch.beats
    if terms is None or (missing and not row.handed_over):
        return patience.java_s - still
    duration_s = max(patience.lease_duration_s, terms.duration_ms / 1000)
    if row.finished:
        # Nobody renews it, so it says nothing of what its owner can reach.
        return duration_s - still
    row_still = watch.row_still_s(row)
    of_row_s = max(patience.java_s, ROW_STILL * duration_s) - (row_still or 0.0)
    return min(duration_s - still, of_row_s)


def expired(row: Lease, watch: Watch, patience: Patience) -> bool:
    """Whether the row's owner may be taken for dead."""
    left = left_s(row, watch, patience)
    return left is not None and left < 0


@dataclass(frozen=True, slots=True)
class Fleet:
    """Who lives, this worker among them. Whoever has no shard is known by its heartbeat alone."""

    living: frozenset[str]
    # Of these, those that answer when they are asked for a shard.
    askable: frozenset[str]
    # Of these, those that cannot be asked, as far as is known: not one whose heartbeat row was not there yet when the
    # heartbeats were read, and whose lease was when the leases were.
    stealable: frozenset[str]
    # Owners that are dead, on their unfinished rows.
    dead_rows: frozenset[str]
    # A Java worker is among them: it reckons with all rows, so the others must too.
    mixed: bool

    def population(self, rows: Iterable[Lease]) -> list[Lease]:
        """The rows that are shared out. KCL counts finished ones, which are no work, so that who has many of them
        would be left with these."""
        return [row for row in rows if self.mixed or not row.finished]

    def share(self, rows: Iterable[Lease]) -> int:
        """Of this population what falls to one worker, rounded up (LeaseTaker.computeLeasesToTake)."""
        return math.ceil(len(self.population(rows)) / len(self.living))


def fleet(rows: Iterable[Lease], watch: Watch, patience: Patience, me: str) -> Fleet:
    """Who lives, by the rows and heartbeats as last seen."""
    rows = list(rows)
    dead = {row.shard_id for row in rows if row.owner not in (None, me) and expired(row, watch, patience)}
    owning = [
        row for row in rows if row.owner is not None and row.shard_id not in dead and not _left_behind(row, watch)
    ]
    beating = {name for name in watch.askable if watch.beating(name, patience.lease_duration_s)}
    # It beats, and its rows do not move: it may take nothing, and be given nothing.
    blind = {row.owner for row in rows if row.shard_id in dead and row.owner in beating}
    living = frozenset(({row.owner for row in owning if row.owner is not None} | beating) - blind | {me})
    java = any(row.terms_in_force is None and row.owner != me for row in owning)
    askable = living & watch.askable
    stealable = {row.owner for row in owning if row.owner is not None and _cannot_be_asked(row, watch)}
    return Fleet(living, askable, frozenset(stealable - askable - {me}), frozenset(dead), java)


def _cannot_be_asked(row: Lease, watch: Watch) -> bool:
    terms = row.terms_in_force
    # Without heartbeats of its own an observer can ask nobody.
    return terms is None or not terms.heartbeat or terms.worker in watch.beats or not watch.beats


def takes(rows: Iterable[Lease], watch: Watch, patience: Patience, me: str, held: Collection[str]) -> list[Lease]:
    """The leases to take now, in shard order: free or expired ones, up to this worker's fair share.

    A lease expired three times over is taken beyond the share, so that none is left behind. So is a row that names
    this worker though it is not among `held` (shard ids): a take whose answer was lost. Nobody else would ever take
    it, since this worker is alive.
    """
    rows = list(rows)
    now = fleet(rows, watch, patience, me)
    mine = sum(row.owner == me for row in now.population(rows))
    live = sorted((row for row in rows if not row.finished), key=lambda row: row.shard_id)
    free = [row for row in live if row.owner is None or row.shard_id in now.dead_rows]
    wanted = max(0, now.share(rows) - mine)
    late = [row for row in free[wanted:] if _long_free(row, watch, patience)]
    strays = [
        row for row in live if row.owner == me and row.shard_id not in held and _stands_still(row, watch, patience)
    ]
    return free[:wanted] + late + strays


def that_count(rows: Iterable[Lease]) -> list[Lease]:
    """The rows without those of finished shards, of which a table has six for each that is open: they are no work, and
    one says as much of its owner as all of them. All rows where one may be a Java worker's, which reckons with them.
    """
    rows = list(rows)
    if any(row.owner is not None and row.terms_in_force is None for row in rows):
        return rows
    live = [row for row in rows if not row.finished]
    ended = {row.owner: row for row in rows if row.finished and row.owner is not None}
    return live + list(ended.values())


# A shard is without an owner for a moment often, a heartbeat row is left behind by a crash.
UNOWNED_S = 120.0
FORGOTTEN_S = 3600.0


def unowned(rows: Iterable[Lease], watch: Watch, patience: Patience) -> list[str]:
    """Shards that are not finished, whose owner is dead or that have none, and that nobody has taken for minutes."""
    free = [row for row in rows if not row.finished and (row.owner is None or expired(row, watch, patience))]
    return sorted(row.shard_id for row in free if (watch.row_still_s(row) or 0.0) > UNOWNED_S)


def unreadable(watch: Watch) -> list[str]:
    """Shards that nobody can take for minutes, because their rows are no leases."""
    return sorted(shard_id for shard_id, s in watch.unreadable.items() if watch.leases_asked_at_s - s > UNOWNED_S)


def forgotten_workers(rows: Iterable[Lease], watch: Watch) -> list[str]:
    """Workers whose heartbeats ended long ago and that own nothing any more. While one owns something its heartbeat
    row says that it is dead."""
    owners = {row.owner for row in rows if not row.finished}
    still = {name: watch.beats_asked_at_s - seen.since_s for name, seen in watch.beats.items()}
    return sorted(name for name, still_s in still.items() if still_s > FORGOTTEN_S and name not in owners)


def _left_behind(row: Lease, watch: Watch) -> bool:
    """A finished row of a dynamirror worker keeps its owner and is never renewed again, so only a heartbeat can show
    that the owner lives. Else every earlier process would count as a worker for as long as a Java worker may be silent.
    """
    terms = row.terms_in_force
    return row.finished and terms is not None and not (terms.heartbeat and terms.worker in watch.beats)


def _long_free(row: Lease, watch: Watch, patience: Patience) -> bool:
    three_times = Patience(3 * patience.lease_duration_s, 3 * patience.java_s)
    return expired(row, watch, three_times) if row.owner is not None else _stands_still(row, watch, three_times)


def _stands_still(row: Lease, watch: Watch, patience: Patience) -> bool:
    still = watch.row_still_s(row)
    return still is not None and still > patience.lease_duration_s


def _seen(before: Mapping[str, Observed], counters: Mapping[str, int], now_s: float) -> dict[str, Observed]:
    after = {}
    for name, counter in counters.items():
        known = before.get(name)
        same = known is not None and known.counter == counter
        after[name] = known if known is not None and same else Observed(counter, now_s, known is not None)
    return after
