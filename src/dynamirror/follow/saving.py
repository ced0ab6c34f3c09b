"""Saves the checkpoint of one shard: regularly, at the end, and before the shard's reading goes on behind a gap."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from dynamirror.errors import Retry
from dynamirror.follow.proofs import ShardLease
from dynamirror.loops.signal import Signal
from dynamirror.model.backoff import Backoff
from dynamirror.model.change import Page
from dynamirror.model.permit import NEVER
from dynamirror.model.watermark import Watermark
from dynamirror.ports import Clock

RETRY = Backoff(first_s=0.1, most_s=5.0)

T = TypeVar("T")

log = logging.getLogger("dynamirror.shard")


class Saver:
    """Of one tenure. The lease's own conditions decide whether it may still save."""

    def __init__(self, held: ShardLease, watermark: Watermark, clock: Clock, random: Callable[[], float]) -> None:
        self._held = held
        self._watermark = watermark
        self._clock = clock
        self._random = random
        self._saved = held.lease.checkpoint
        self._begun = Signal()
        # Boot time of the last checkpoint, and since when they fail (None: they do not).
        self.saved_at_s = NEVER
        self.failing_since_s: float | None = None

    async def run(self, every_s: float, saved: Callable[[], None]) -> None:
        """Save what is durable, so often while there is anything, until cancelled. Raises LeaseLost."""
        while True:
            while self._watermark.settled and self._watermark.checkpoint in (None, self._saved):
                await self._begun.wait()
            await self._clock.sleep(every_s)
            try:
                await self.save(saved)
            except Retry as error:
                # The next time tries again with a newer position; the lease's own fate is decided by its conditions.
                self._report(error)

    def begin(self) -> None:
        """A page was handed on: there will be something to save."""
        self._begun.notify()

    async def save(self, saved: Callable[[], None]) -> None:
        """Once, if there is anything new. Raises LeaseLost, Retry."""
        position = self._watermark.advance()
        if position is not None and position != self._saved:
            await self._held.checkpoint(position)
            self._saved = position
            self._succeeded()
            saved()

    async def begins_with(self, page: Page) -> None:
        """Before a page is sent: the first behind a gap makes its changes wanted since they were made, not since the
        gap was noted. Raises LeaseLost, Stop.

        1 its first change c1 is sent, after the comparison that closes the gap has seen the item; 2 the worker dies
        before its checkpoint; 3 c1 and a newer c2 are trimmed: that nobody has read c2 is a gap, since c1 was sent
        """
        first_ms, lease = int(page.records[0].change.created_s * 1000), self._held.lease
        if lease.behind_gap and 0 < first_ms < (lease.since_ms or 0):
            await self.until_done(lambda: self._held.pass_gap(first_ms))

    async def until_done(self, step: Callable[[], Awaitable[T]]) -> T:
        """Take a step until it succeeds; what it gave. Raises LeaseLost, Stop."""
        attempt = 0
        while True:
            try:
                done = await step()
                self._succeeded()
                return done
            except Retry as error:
                self._report(error)
                await self._clock.sleep(RETRY.delay_s(attempt, self._random))
                attempt += 1

    def _succeeded(self) -> None:
        self.saved_at_s, self.failing_since_s = self._clock.boottime_s(), None

    def _report(self, error: Retry) -> None:
        if self.failing_since_s is None:
            self.failing_since_s = self._clock.boottime_s()
        shard_id = self._held.lease.shard_id
        log.warning(
            "checkpoint of %s not done: %s; trying again",
            shard_id,
            error,
            extra={"event": "checkpoint_retry", "facts": {"shard": shard_id}},
        )
