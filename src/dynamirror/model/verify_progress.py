"""How far a verify is, in one line."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from dynamirror.model.progress_text import pace_texts
from dynamirror.model.verify import Tally


@dataclass(frozen=True, slots=True)
class VerifyProgress:
    """One moment of a verify."""

    # On the observer's boot-time clock.
    at_s: float
    tally: Tally
    # Items that are being looked at by key.
    open: int
    done: int
    segments: int
    # Both tables are read; else single keys are looked at, and nobody counts items.
    whole: bool = True

    @property
    def items(self) -> int:
        """Items read by now on the side that is further."""
        return max(self.tally.source_items, self.tally.destination_items)

    def line(self, before: "VerifyProgress | None", items: int) -> str:
        """One line; `before`: an earlier moment, for the rate; `items`: about so many there are (0: not known)."""
        parts = (
            [*self._tables(before, items)]
            if self.whole
            else [f"looked at {self.tally.suspects:,} keys that the stream names"]
        )
        if self.open:
            parts.append(f"{self.open:,} suspects")
        parts.append(counts(self.tally))
        return ", ".join(parts)

    def share(self, items: int) -> float | None:
        """How much is read of about so many items; None: not known, or the service's count is behind."""
        return self.items / items if self.whole and 0 < self.items <= items else None

    def facts(self) -> dict[str, Any]:
        """The sums by name."""
        return facts_of(self.tally, whole=self.whole)

    def _tables(self, before: "VerifyProgress | None", items: int) -> Iterator[str]:
        tally = self.tally
        yield f"verified {tally.source_items:,} items of the source, {tally.destination_items:,} of the destination"
        earlier = (before.at_s, before.items) if before is not None else None
        yield from pace_texts((self.at_s, self.items), earlier, items)
        yield f"{self.done} of {self.segments} segments done"


def facts_of(tally: Tally, *, whole: bool) -> dict[str, Any]:
    """The sums by name; unless whole tables were read, how many items they have is not known."""
    unknown = {} if whole else {"source_items": None, "destination_items": None}
    return asdict(tally) | unknown


def counts(tally: Tally) -> str:
    """Differences by class; the classes that are none only where there are some."""
    parts = [f"{tally.missing:,} missing", f"{tally.extra:,} extra", f"{tally.different:,} different"]
    parts += [f"{tally.mended:,} mended"] if tally.mended else []
    parts += [f"{tally.expired:,} expired"] if tally.expired else []
    parts += [f"{tally.unsettled:,} unsettled"] if tally.unsettled else []
    return ", ".join(parts)
