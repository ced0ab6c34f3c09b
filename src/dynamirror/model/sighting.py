"""Who shows life, to somebody who only looks: a counter that moves. Clocks of other machines are never compared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dynamirror.model.lease import Lease

# A worker beats every second. One that has not for so long shows no life; it may have, to an observer that slept.
SILENCE_S = 4.0
# A Java worker, or one without a state table, is known by its lease rows only, which it writes every 20 s at least.
ROWS_SILENCE_S = 25.0


@dataclass(slots=True)
class _Seen:
    value: object
    first_s: float
    # When it was first seen with this value, unless that is since it is known at all.
    moved_s: float | None = None


@dataclass(slots=True)
class Sighting:
    """What has moved, as one observer has seen it on its own clock. Forgets what is gone."""

    _beats: dict[str, _Seen] = field(default_factory=dict)
    _rows: dict[str, _Seen] = field(default_factory=dict)
    _places: dict[str, _Seen] = field(default_factory=dict)
    _now_s: float = 0.0

    def see_beats(self, beats: Mapping[str, int], at_s: float) -> None:
        """Heartbeat counters by worker, all of them."""
        self._now_s = at_s
        self._beats = _followed(self._beats, beats, at_s)

    def see_leases(self, rows: Iterable[Lease], at_s: float) -> None:
        """All rows."""
        self._now_s = at_s
        rows = [row for row in rows if not row.finished]
        counters = {row.owner: max(r.counter for r in rows if r.owner == row.owner) for row in rows if row.owner}
        self._rows = _followed(self._rows, counters, at_s)
        self._places = _followed(
            self._places, {row.shard_id: (row.checkpoint, row.applied_to_ms) for row in rows}, at_s
        )

    def beats(self, worker: str) -> bool | None:
        """Whether its heartbeat moves; None: not known yet. False also where there is no row."""
        seen = self._beats.get(worker)
        return False if seen is None else _moves(seen, self._now_s, SILENCE_S)

    def writes(self, owner: str) -> bool | None:
        """Whether its lease rows move; None: not known yet."""
        seen = self._rows.get(owner)
        return None if seen is None else _moves(seen, self._now_s, ROWS_SILENCE_S)

    @property
    def undecided(self) -> bool:
        """There is a heartbeat of which it is not known yet whether it moves."""
        return any(_moves(seen, self._now_s, SILENCE_S) is None for seen in self._beats.values())

    def unmoved_s(self, shard_id: str) -> float | None:
        """How long this observer has seen the shard at one place; None: it has not."""
        seen = self._places.get(shard_id)
        return None if seen is None else self._now_s - (seen.first_s if seen.moved_s is None else seen.moved_s)


def _followed(before: Mapping[str, _Seen], now: Mapping[str, object], at_s: float) -> dict[str, _Seen]:
    after = {}
    for name, value in now.items():
        known = before.get(name)
        if known is None:
            known = _Seen(value, at_s)
        elif known.value != value:
            known = _Seen(value, known.first_s, at_s)
        after[name] = known
    return after


def _moves(seen: _Seen, now_s: float, silence_s: float) -> bool | None:
    if seen.moved_s is not None and now_s - seen.moved_s < silence_s:
        return True
    return None if seen.moved_s is None and now_s - seen.first_s < silence_s else False
