"""Repeats a call that may be repeated, while what stops it is passing. For checks and set-up, not for the data path."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from dynamirror.errors import Retry
from dynamirror.ports import Clock

log = logging.getLogger("dynamirror")

# Nobody else is in step with a start, so the pauses need no jitter.
_PAUSES_S = (0.25, 0.5, 1.0, 2.0)

T = TypeVar("T")


async def patiently(clock: Clock, what: object, call: Callable[[], Awaitable[T]]) -> T:
    """The result of `call`, attempted up to five times; a line says each time why `what` is attempted again.

    Raises the last Retry, and anything else at once.
    """
    for pause_s in _PAUSES_S:
        try:
            return await call()
        except Retry as error:
            log.warning(
                "trying again (%s): %s", what, error, extra={"event": "start_retried", "facts": {"what": str(what)}}
            )
            await clock.sleep(pause_s)
    return await call()
