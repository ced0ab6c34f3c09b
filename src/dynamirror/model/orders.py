"""What the operator has ordered of a task's running workers: to pause, to keep to other rates (docs/decisions/0017).

One row of the state table, which outlives the lives of the task; every worker reads it every two seconds.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

from dynamirror.model.rate import Limit
from dynamirror.model.shard_graph import RETENTION_MS

# A change that has waited for so long is warned of: four hours before the stream forgets it.
LATE_MS = 20 * 60 * 60 * 1000


class RateOrder(Enum):
    """An order that names no figure; the value is the word that is typed."""

    # Each worker keeps to its own flags.
    DEFAULT = "default"
    NONE = "none"


Ordered: TypeAlias = Limit | RateOrder


@dataclass(frozen=True, slots=True)
class Orders:
    """What is in force. `counter` moves by one with every order; 0: there was none. Times are ms since the epoch."""

    counter: int = 0
    paused: bool = False
    # Of the pause that is in force.
    paused_at_ms: int = 0
    paused_by: str = ""
    read: Ordered = RateOrder.DEFAULT
    write: Ordered = RateOrder.DEFAULT
    # Of the last order, whatever it was.
    ordered_at_ms: int = 0
    ordered_by: str = ""

    def pause(self, at_ms: int, who: str) -> "Orders":
        """Nothing is read or copied from now on. One that is in force stays as it is."""
        if self.paused:
            return self
        return replace(self._next(at_ms, who), paused=True, paused_at_ms=at_ms, paused_by=who)

    def resume(self, at_ms: int, who: str) -> "Orders":
        """The task goes on."""
        return replace(self._next(at_ms, who), paused=False, paused_at_ms=0, paused_by="") if self.paused else self

    def rates(self, read: Ordered | None, write: Ordered | None, at_ms: int, who: str) -> "Orders":
        """Other limits; None: this one stays."""
        wanted = replace(self, read=read or self.read, write=write or self.write)
        return self if wanted == self else wanted._next(at_ms, who)

    def _next(self, at_ms: int, who: str) -> "Orders":
        return replace(self, counter=self.counter + 1, ordered_at_ms=at_ms, ordered_by=who)


def order_text(ordered: Ordered) -> str:
    """As it would be typed."""
    return ordered.value if isinstance(ordered, RateOrder) else str(ordered)


def total_s(ordered: Ordered, asked_s: float | None, capacity_s: float | None) -> float | None:
    """Units a second that the workers may use together; None: no limit. `asked_s`: by this worker's flags, which stay
    in force where a share of a capacity is ordered that the table does not say."""
    if ordered is RateOrder.NONE:
        return None
    if ordered is RateOrder.DEFAULT or not isinstance(ordered, Limit):
        return asked_s
    units_s = ordered.of(capacity_s)
    return asked_s if units_s is None else units_s


def lost_from_ms(unread_since_ms: int, retention_ms: int = RETENTION_MS) -> int:
    """From when on the stream forgets changes that nobody has read: those made after `unread_since_ms`."""
    return unread_since_ms + retention_ms


def nears_loss(unread_since_ms: int, now_ms: int) -> bool:
    """Whether changes have waited so long that it is time to warn."""
    return now_ms - unread_since_ms >= LATE_MS
