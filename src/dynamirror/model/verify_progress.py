"""How far a verify is, in one line."""

from dataclasses import dataclass

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
        rate = 0.0
        if before is not None and self.at_s > before.at_s:
            rate = (self.items - before.items) / (self.at_s - before.at_s)
            parts.append(f"{rate:,.0f} items/s")
        if items and self.items < items:
            parts.append(f"{100 * self.items / items:.0f} % of about {items:,}")
            if rate > 0:
                parts.append(f"{_time((items - self.items) / rate)} left")
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


def _time(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
