"""What the live line of a copy says, and its paces over the last half minute. Shown by engines/live_line."""

from collections import deque
from dataclasses import dataclass

from dynamirror.model.copy import Phase
from dynamirror.model.copy_progress import Progress
from dynamirror.model.progress_text import size_text, time_text

WINDOW_S = 30.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a copy is, as one worker sees it."""

    phase: Phase
    counts: Progress
    # About so many there are to be copied, by the service's last count; 0: not known.
    items: int
    # Nobody follows the table.
    at_rest: bool = False


class Window:
    """How fast a growing number grows, over the last half minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def see(self, at_s: float, value: float) -> None:
        """Moments come in order; one that was seen already counts for nothing."""
        if self._seen and at_s <= self._seen[-1][0]:
            return
        self._seen.append((at_s, value))
        # One moment from before the window stays, as its beginning.
        while len(self._seen) > 2 and self._seen[1][0] <= at_s - WINDOW_S:
            self._seen.popleft()

    @property
    def grown(self) -> float:
        """By how much, in the window."""
        return self._seen[-1][1] - self._seen[0][1] if self._seen else 0.0

    @property
    def per_s(self) -> float:
        """0 before there are two moments."""
        if len(self._seen) < 2:
            return 0.0
        return self.grown / (self._seen[-1][0] - self._seen[0][0])


def share_of(now: Standing) -> float | None:
    """How much of the items is copied, at most 1; None: not known, or the service's count is behind."""
    if now.phase is not Phase.COPYING or not now.items or now.counts.written > now.items:
        return None
    return now.counts.written / now.items


def line(now: Standing, items_per_s: float, lag_s: float | None) -> str:
    """One line. `lag_s`: of the changes that were applied lately; None: there were none, or nobody follows."""
    lag = [] if now.at_rest else [f"lag {_lag(lag_s)}"]
    match now.phase:
        case Phase.ANNOUNCED:
            return "  ".join(["copy announced, it begins in some seconds", *lag])
        case Phase.COPYING:
            return "  ".join([*_copying(now, items_per_s), *lag])
        case _:
            until = "waiting until nothing can land any more" if now.at_rest else "changes wait a little longer"
            return "  ".join([f"all {now.counts.written:,} items are written, {until}", *lag])


def _copying(now: Standing, items_per_s: float) -> list[str]:
    counts, share = now.counts, share_of(now)
    about = f" of about {now.items:,}" if share is not None else ""
    parts = [f"{counts.written:,}{about} items", size_text(counts.size_bytes)]
    if share is not None:
        parts.insert(0, f"{100 * share:.0f} %")
    if items_per_s > 0:
        parts.append(f"{items_per_s:,.0f} items/s")
        if share is not None:
            parts.append(f"{time_text((now.items - counts.written) / items_per_s)} left")
    if counts.segments:
        parts.append(f"{counts.done} of {counts.segments} segments")
    return parts


def _lag(lag_s: float | None) -> str:
    if lag_s is None:
        return "-"
    return f"{lag_s:.1f} s" if lag_s < 10 else time_text(lag_s)
