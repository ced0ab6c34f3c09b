"""How far a copy is, from the rows of its segments: for the log, and for whoever looks at the state table."""

from collections.abc import Iterable
from dataclasses import dataclass

from dynamirror.model.copy import Segment

_NAMED_MAX = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """One moment of a copy."""

    # On the observer's boot-time clock.
    at_s: float
    read: int
    written: int
    parked: int
    size_bytes: int
    done: int
    segments: int

    @property
    def counts(self) -> tuple[int, int, int]:
        """Items read, written, parked."""
        return self.read, self.written, self.parked

    def line(self, before: "Progress | None", items: int) -> str:
        """One line; `before`: an earlier moment, for the rate; `items`: about so many there are (0: not known)."""
        parts = [f"copied {self.written:,} items ({size_text(self.size_bytes)})"]
        rate = 0.0
        if before is not None and self.at_s > before.at_s:
            rate = (self.written - before.written) / (self.at_s - before.at_s)
            parts.append(f"{rate:,.0f} items/s")
        if items and self.written < items:
            parts.append(f"{100 * self.written / items:.0f} % of about {items:,}")
            if rate > 0:
                parts.append(f"{time_text((items - self.written) / rate)} left")
        parts.append(f"{self.done} of {self.segments} segments done")
        if self.parked:
            parts.append(f"{self.parked:,} parked")
        return ", ".join(parts)


def progress(segments: Iterable[Segment], at_s: float) -> Progress:
    """The sum of the rows."""
    rows = list(segments)
    return Progress(
        at_s,
        sum(row.read for row in rows),
        sum(row.written for row in rows),
        sum(row.parked for row in rows),
        sum(row.size_bytes for row in rows),
        sum(row.done for row in rows),
        len(rows),
    )


def uneven(segments: Iterable[Segment]) -> list[int]:
    """The segments whose counts do not add up: what was counted in must have been counted out."""
    return [row.number for row in segments if row.read != row.written + row.parked]


def named(segments: list[int]) -> str:
    """For a message: `segments 3, 7`, the first ten of many."""
    first = ", ".join(map(str, segments[:_NAMED_MAX]))
    more = f" and {len(segments) - _NAMED_MAX} more" if len(segments) > _NAMED_MAX else ""
    return f"segment{'s' if len(segments) > 1 else ''} {first}{more}"


def size_text(size_bytes: int) -> str:
    """A size in the unit that fits."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes / 1000:.0f} kB"


def time_text(seconds: float) -> str:
    """A duration in the unit that fits."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
