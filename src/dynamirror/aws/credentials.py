"""Credentials that are always at hand: renewed ahead of their expiry.

botocore does the finding (`aws/credential_chain`); when to look again is decided here, because botocore calls
STS at every request once credentials have less than ten minutes to live, and blocks the request meanwhile.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from dynamirror.errors import DynamirrorError
from dynamirror.model.backoff import Backoff
from dynamirror.ports import Clock

_log = logging.getLogger("dynamirror.aws")

_RENEWALS_APART_S = 1.0
# Credentials that look expired the moment they were handed out: the local clock is off, so their life is unknown.
_LIFE_UNKNOWN_S = 60.0
# How long the loop sleeps at most before it looks whether its plan still holds.
_LOOK_S = 60.0
_BACKOFF = Backoff(first_s=1.0, most_s=60.0)


@dataclass(frozen=True, slots=True)
class Credentials:
    """One set of keys. `expires_at` is in seconds since the epoch; None: unknown or never."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires_at: float | None = None


# Finds a fresh set. Raises Refused, Stop (nobody can help but the user), Throttled or Unreachable (later, perhaps).
Fetch: TypeAlias = Callable[[], Awaitable[Credentials]]


class CredentialSource:
    """Hands out the present credentials of one identity.

    Opened by `start`, kept fresh by `run`, which its owner runs as a task.
    """

    def __init__(self, fetch: Fetch, clock: Clock, random: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._random = random
        self._present: Credentials | None = None
        # On the boottime clock; None: these are not known to expire.
        self._renew_at_s: float | None = None
        self._lock = asyncio.Lock()
        self._rounds = 0
        self._failure: DynamirrorError | None = None

    def current(self) -> Credentials:
        """The present credentials, at once. They may have expired if they could not be renewed."""
        assert self._present is not None, "start() comes first"
        return self._present

    async def start(self) -> None:
        """Find the first credentials. Raises what the fetch raises."""
        if self._present is None:
            await self.refresh()

    async def refresh(self, refused: Credentials | None = None) -> None:
        """Fetch again, now: the service refused `refused` as expired.

        Callers that come while a fetch is under way share it and its outcome; nothing is fetched when
        `refused` has been replaced already. Raises what the fetch raises; the old credentials stay.
        """
        rounds = self._rounds
        async with self._lock:
            if refused is not None and self._present is not refused:
                return
            if self._rounds == rounds:
                await self._fetch_once()
            if self._failure is not None:
                raise self._failure

    async def run(self) -> None:
        """Renew at half of the remaining life, for ever; a failure is logged and tried again with back-off."""
        failures = 0
        while True:
            wait_s = _LOOK_S if self._renew_at_s is None else self._renew_at_s - self._clock.boottime_s()
            if wait_s > 0:
                await self._clock.sleep(min(wait_s, _LOOK_S))
                continue
            try:
                await self.refresh(self._present)
                failures = 0
            except DynamirrorError as failure:
                delay_s = _BACKOFF.delay_s(failures, self._random)
                failures += 1
                self._renew_at_s = self._clock.boottime_s() + delay_s
                self._report(failure, delay_s)

    async def _fetch_once(self) -> None:
        try:
            self._install(await self._fetch())
            self._failure = None
        except DynamirrorError as failure:
            self._failure = failure
        self._rounds += 1

    def _install(self, fresh: Credentials) -> None:
        self._present = fresh
        if fresh.expires_at is None:
            self._renew_at_s = None
            return
        life_s = fresh.expires_at - self._clock.wall_s()
        delay_s = max(life_s / 2, _RENEWALS_APART_S) if life_s > 0 else _LIFE_UNKNOWN_S
        self._renew_at_s = self._clock.boottime_s() + delay_s

    def _report(self, failure: DynamirrorError, delay_s: float) -> None:
        present = self._present
        life_s = None
        if present is not None and present.expires_at is not None:
            life_s = round(present.expires_at - self._clock.wall_s())
        _log.warning(
            "credentials could not be renewed: %s; trying again in %.1f s",
            failure,
            delay_s,
            extra={"event": "credentials-not-renewed", "remaining_s": life_s},
        )
