"""How far a copy is, from the rows of its segments: for the log, and for whoever looks at the state table."""

from collections.abc import Iterable
from dataclasses import dataclass

from dynamirror.model.copy import Segment
from dynamirror.model.progress_text import pace_texts, size_text

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
        earlier = (before.at_s, before.written) if before is not None else None
        parts += pace_texts((self.at_s, self.written), earlier, items)
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
