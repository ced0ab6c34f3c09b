"""A copy of the table, as the state table holds it: its phase, its segments, and what a worker knows of it.

Every change of a row here is conditional on the row as it was seen, so each step may be taken by any worker, and twice.
"""

from dataclasses import dataclass, replace
from enum import Enum

from dynamirror.model.permit import NEVER

# H, unless somebody needs more: so long a change waits from its receipt on while a copy runs.
HOLD_S = 60.0


class Phase(Enum):
    """How far a copy is. Changes are held from ANNOUNCED to DONE (R-1)."""

    # Workers learn of it; nothing is read yet.
    ANNOUNCED = "announced"
    COPYING = "copying"
    # Every segment is done; a late page of a worker that lost its segment may still land.
    DONE = "done"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy of a task. `version` moves by one with every write of the row."""

    phase: Phase
    segments: int
    # When the task's first copy was announced, by the service's clock; never moved (E-2).
    began_ms: int
    # The destination had no item when the task's first copy was announced (E-1).
    was_empty: bool
    version: int = 1
    # A worker that does not hold had leases while it ran, or its counts do not add up: only a comparison can tell.
    needs_verify: bool = False
    # When the last segment was seen done, by the wall clock of the worker that saw it; 0: it is not yet, or not known.
    done_ms: int = 0
    # H of whoever announced it; 0: rows of before there was one lack it.
    hold_s: float = 0.0
    # Which worker; empty: not known.
    announced_by: str = ""

    @property
    def held_s(self) -> float:
        """Every worker of the task holds for so long at least."""
        return self.hold_s or HOLD_S

    def moved(self, phase: Phase) -> "Copy":
        """The row in its next phase."""
        return replace(self, phase=phase, version=self.version + 1)

    def finished(self, at_ms: int, counted_out: bool) -> "Copy":
        """The row once every segment is done."""
        doubtful = self.needs_verify or not counted_out
        return replace(self.moved(Phase.DONE), needs_verify=doubtful, done_ms=at_ms)

    def held_for(self, hold_s: float) -> "Copy":
        """The row of a copy at rest, once a worker takes part whose pages may land later."""
        return replace(self, hold_s=hold_s, version=self.version + 1)

    def doubted(self) -> "Copy":
        """The row once somebody was seen who does not hold."""
        return replace(self, needs_verify=True, version=self.version + 1)


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of the parallel Scan: who copies it, from where on, and what was counted."""

    number: int
    owner: str | None = None
    # Moves by one with every write of the row.
    claim: int = 0
    done: bool = False
    # ExclusiveStartKey of the next page, as JSON; empty: the segment's beginning.
    after: bytes = b""
    read: int = 0
    written: int = 0
    # Items that the destination can never take.
    parked: int = 0
    size_bytes: int = 0

    def claimed(self, worker: str) -> "Segment":
        """The row once this worker has it."""
        return replace(self, owner=worker, claim=self.claim + 1)

    def advanced(self, after: bytes, read: int, written: int, size_bytes: int, parked: int = 0) -> "Segment":
        """The row once everything up to `after` is written, or parked; no `after`: the segment is done."""
        return replace(
            self,
            claim=self.claim + 1,
            after=after,
            done=not after,
            read=self.read + read,
            written=self.written + written,
            parked=self.parked + parked,
            size_bytes=self.size_bytes + size_bytes,
        )


class CopyKnowledge:
    """What one worker knows: it holds changes unless it has read "no copy" lately (R-2).

    1 a worker believes that there is no copy; 2 a page with v1 of an item is read; 3 the item becomes v2, which the
    worker applies unheld; 4 the page lands: v1 stands for ever (A-3). A copy announces itself, and waits for as long as
    such a belief lasts before it reads its first page.
    """

    def __init__(self, lasts_s: float) -> None:
        """`lasts_s`: X."""
        self._lasts_s = lasts_s
        self._absent_at_s = self._absent_wall_s = NEVER
        self.copy: Copy | None = None

    def __repr__(self) -> str:
        return f"CopyKnowledge({self.copy}, absent_at_s={self._absent_at_s})"

    def learn(self, copy: Copy | None, asked_at_s: float, asked_wall_s: float) -> None:
        """What a consistent reading said that was sent at this boot time, and wall clock."""
        self.copy = copy
        absent = copy is None or copy.phase is Phase.OVER
        self._absent_at_s, self._absent_wall_s = (asked_at_s, asked_wall_s) if absent else (NEVER, NEVER)

    def hold_s(self, own_s: float) -> float | None:
        """H: the longer one of this worker's own and the row's, since pages of others may be longer on their way.
        None: the row is to be read first."""
        return None if self.copy is None else max(own_s, self.copy.held_s)

    def holds(self, now_s: float, wall_s: float) -> bool:
        """Whether changes are held. The clock counts by which more time has passed: the boot time of a paused virtual
        machine stands still."""
        return max(now_s - self._absent_at_s, wall_s - self._absent_wall_s) > self._lasts_s
