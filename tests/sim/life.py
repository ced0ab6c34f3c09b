"""Signs of life of the owners of leases, on the one true clock: who may be taken for dead, and since when."""

from collections import defaultdict, deque
from collections.abc import Collection
from functools import partial
from itertools import pairwise

from dynamirror.model.lease_plan import ROW_STILL

# Parts of a lease's duration. An owner that was silent so lately may be taken for dead though it is back: what was read
# before stands.
LATELY = 1.2
# Less the drift of clocks.
WHOLE = 0.99
# A heartbeat that lands late stands over the newer one, until the next.
STRAY_S = 8.0


class _Signs:
    """When something moved: the last times, and the silences between."""

    def __init__(self, duration_s: float) -> None:
        self._at_s: deque[float] = deque(maxlen=200)
        self._duration_s = duration_s

    def moved(self, now_s: float) -> None:
        self._at_s.append(now_s)

    def silence_s(self, now_s: float) -> float:
        """The longest silence that ended lately, or has not."""
        times_s = [*self._at_s, now_s]
        return max((b - a for a, b in pairwise(times_s) if b > now_s - LATELY * self._duration_s), default=1e9)

    def ended(self, now_s: float) -> bool:
        """It has moved within a lease's duration."""
        return bool(self._at_s) and now_s - self._at_s[-1] < WHOLE * self._duration_s


class Life:
    """Heartbeats by worker, counters by lease row."""

    def __init__(self, duration_s: float, java_patience_s: float) -> None:
        # A row that has stood still for so long is a dead owner's, whatever its heartbeats say.
        self._row_silence_s = WHOLE * max(java_patience_s, ROW_STILL * duration_s)
        # T + L: for so long an owner may have to wait before it can answer.
        self.answer_s = 35.0
        # Since when a worker asks for which shards, and since when its row says so no more (None: it does).
        self._asked: dict[str, dict[str, tuple[float, float | None]]] = defaultdict(dict)
        self._beats: dict[str, _Signs] = defaultdict(partial(_Signs, duration_s))
        self._rows: dict[str, _Signs] = defaultdict(partial(_Signs, duration_s))
        # Silence for so long may be taken for death.
        self._silence_s = WHOLE * duration_s

    def beat(self, worker: str, now_s: float, wants: Collection[str]) -> None:
        self._beats[worker].moved(now_s)
        asked = self._asked[worker]
        for shard_id in {*wants, *asked}:
            since_s, gone_s = asked.get(shard_id, (now_s, None))
            if shard_id not in wants:
                asked[shard_id] = (since_s, now_s if gone_s is None else gone_s)
            elif gone_s is not None and now_s - gone_s >= STRAY_S:
                asked[shard_id] = (now_s, None)
            else:
                asked[shard_id] = (since_s, None)

    def may_be_stolen_from(self, worker: str, by: str, shard_id: str, now_s: float) -> bool:
        """One of them has no state table, by which it could ask or be asked; or it was, and had time to answer
        (inequality 5)."""
        since_s, gone_s = self._asked[by].get(shard_id, (now_s, None))
        asked_s = now_s - since_s if gone_s is None or now_s - gone_s < STRAY_S else 0.0
        return not {worker, by} <= self._beats.keys() or asked_s >= WHOLE * self.answer_s

    def moved(self, shard_id: str, now_s: float) -> None:
        self._rows[shard_id].moved(now_s)

    def may_be_dead(self, worker: str, shard_id: str, now_s: float) -> bool:
        """Whether anybody may have judged so, by what it can have read."""
        row_s = self._rows[shard_id].silence_s(now_s)
        if worker not in self._beats:
            return row_s >= self._silence_s
        return self._beats[worker].silence_s(now_s) >= self._silence_s or row_s >= self._row_silence_s

    def is_back(self, worker: str, shard_id: str, now_s: float) -> bool:
        """It lives, though it may have been judged dead."""
        signs = self._beats[worker] if worker in self._beats else self._rows[shard_id]
        return signs.ended(now_s)
