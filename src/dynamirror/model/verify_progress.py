"""How far a verify is, in one line."""

from dataclasses import dataclass

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

    @property
    def items(self) -> int:
        """Items read by now on the side that is further."""
        return max(self.tally.source_items, self.tally.destination_items)

    def line(self, before: "VerifyProgress | None", items: int) -> str:
        """One line; `before`: an earlier moment, for the rate; `items`: about so many there are (0: not known)."""
        tally = self.tally
        parts = [f"verified {tally.source_items:,} items of the source, {tally.destination_items:,} of the destination"]
        earlier = (before.at_s, before.items) if before is not None else None
        parts += pace_texts((self.at_s, self.items), earlier, items)
        parts.append(f"{self.done} of {self.segments} segments done")
        if self.open:
            parts.append(f"{self.open:,} suspects")
        parts.append(counts(tally))
        return ", ".join(parts)


def counts(tally: Tally) -> str:
    """Differences by class; the classes that are none only where there are some."""
    parts = [f"{tally.missing:,} missing", f"{tally.extra:,} extra", f"{tally.different:,} different"]
    parts += [f"{tally.mended:,} mended"] if tally.mended else []
    parts += [f"{tally.expired:,} expired"] if tally.expired else []
    parts += [f"{tally.unsettled:,} unsettled"] if tally.unsettled else []
    return ", ".join(parts)
