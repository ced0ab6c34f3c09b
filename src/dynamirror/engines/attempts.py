"""Repeats a call that may be repeated, while what stops it is passing. For checks and set-up, not for the data path."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from dynamirror.errors import Retry
from dynamirror.ports import Clock

# Nobody else is in step with a start, so the pauses need no jitter.
_PAUSES_S = (0.25, 0.5, 1.0, 2.0)

T = TypeVar("T")


async def patiently(clock: Clock, call: Callable[[], Awaitable[T]]) -> T:
    """The result of `call`, attempted up to five times. Raises the last Retry, and anything else at once."""
    for pause_s in _PAUSES_S:
        try:
            return await call()
        except Retry:
            await clock.sleep(pause_s)
    return await call()
