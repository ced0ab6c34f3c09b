"""What the coordinator tries for ever: when again, what the log says of it, and when only an operator can help."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from dynamirror.errors import Retry
from dynamirror.loops.patience import CredentialsPatience
from dynamirror.model.backoff import Backoff
from dynamirror.ports import Clock

T = TypeVar("T")

RETRY = Backoff(first_s=0.2, most_s=10.0)

log = logging.getLogger("dynamirror.leases")


class Attempts:
    """Attempts at one thing. A failed one is followed by another one at the same requests: then an answer to all of
    them is an answer to the one that was refused."""

    def __init__(self, doing: str, clock: Clock, random: Callable[[], float]) -> None:
        """`doing`: for the log."""
        self._doing = doing
        self._random = random
        self._credentials = CredentialsPatience(clock)
        self._failures = 0

    def succeeded(self) -> None:
        """The present one did."""
        self._failures = 0
        self._credentials.answered()

    def failed(self, error: Retry) -> float:
        """The present one did; returns seconds until the next. Raises Stop when credentials stay expired."""
        self._credentials.failed(error)
        report(self._doing, error)
        self._failures += 1
        return RETRY.delay_s(self._failures - 1, self._random)


async def persist(doing: str, step: Callable[[], Awaitable[T]], clock: Clock, random: Callable[[], float]) -> T:
    """Try until it is done; returns what comes of it. Raises Stop."""
    attempts = Attempts(doing, clock, random)
    while True:
        try:
            return await step()
        except Retry as error:
            await clock.sleep(attempts.failed(error))


def report(doing: str, error: Retry) -> None:
    """It is tried again."""
    log.warning("%s: %s", doing, error, extra={"event": "fleet_retry", "facts": {"doing": doing}})
