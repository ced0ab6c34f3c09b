"""Progress, told by a live line beside the work: of a copy, until it is over, and of a verify."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from dynamirror.model.copy import Phase
from dynamirror.model.copy_line import WINDOW_S, Standing, Window, line, share_of
from dynamirror.model.verify_progress import VerifyProgress
from dynamirror.observe.metrics import Metrics
from dynamirror.ports import Clock

_EVERY_S = 0.5


class Line(Protocol):
    """Where it is told (engines/live_line)."""

    def show(self, text: str, share: float | None) -> None:
        """Put the line there, or another in its place; `share` of 1 makes a bar. Raises OSError."""

    def hide(self) -> None:
        """Take the line away. Idempotent."""


@asynccontextmanager
async def told_on(
    place: Line | None, standing: Callable[[], Standing | None], metrics: Metrics, clock: Clock
) -> AsyncIterator[None]:
    """While the block runs, and until the copy is over, `place` tells of it; `standing`: None before it is known."""
    if place is None:
        yield
        return
    task = asyncio.create_task(_tell(place, standing, metrics, clock))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def tell_verified(place: Line | None, progress: Callable[[], VerifyProgress], items: int, clock: Clock) -> None:
    """`place` tells of a pass, until cancelled; `items`: about so many there are, 0: not known."""
    if place is None:
        return
    begun = progress()
    window = deque([begun], maxlen=round(WINDOW_S / _EVERY_S))
    # A terminal that has gone takes the line with it, and nothing else.
    with suppress(OSError):
        while True:
            now = progress()
            place.show(now.line(window[0], items), now.share(items))
            window.append(now)
            await clock.sleep(_EVERY_S)


async def _tell(place: Line, standing: Callable[[], Standing | None], metrics: Metrics, clock: Clock) -> None:
    items, lags, changes = Window(), Window(), Window()
    # A terminal that has gone takes the line with it, and nothing else.
    with suppress(OSError):
        try:
            while (now := standing()) is None or now.phase is not Phase.OVER:
                at_s = clock.boottime_s()
                lags.see(at_s, metrics.total("lag_s"))
                changes.see(at_s, metrics.value("lag_s"))
                if now is not None:
                    if now.counts.segments:
                        items.see(now.counts.at_s, now.counts.written)
                    lag_s = lags.grown / changes.grown if changes.grown else None
                    place.show(line(now, items.per_s, lag_s), share_of(now))
                await clock.sleep(_EVERY_S)
        finally:
            place.hide()
