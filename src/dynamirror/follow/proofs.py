"""Keeps the permit of a tenure alive while it is needed: a page waits for it, or writes are on their way.

A page is handed on only under a permit. Otherwise:

    1 this worker freezes past its lease while a page of a shard is on its way to it
    2 others read the shard to its end, and its child; they leave, and this worker takes the child, and reads on there
    3 the old page arrives, and its images replace the newer ones that wait here
"""

import logging
from collections.abc import Callable
from typing import Protocol

from dynamirror.errors import Retry
from dynamirror.loops.log_limit import LogLimit
from dynamirror.loops.signal import Signal
from dynamirror.model.backoff import Backoff
from dynamirror.model.lease import Lease
from dynamirror.model.permit import Permit
from dynamirror.model.watermark import Watermark
from dynamirror.ports import Clock

RETRY = Backoff(first_s=0.1, most_s=2.0)
# The permit is extended when so much of a proof's time is left.
LEFT = 0.4

log = logging.getLogger("dynamirror.shard")


class ShardLease(Protocol):
    """The lease of a shard, as far as following it needs it."""

    lease: Lease
    permit: Permit

    async def prove(self) -> None:
        """Extend the permit. Raises LeaseLost, Retry."""

    async def checkpoint(self, position: str, skipped_all: bool = False) -> None:
        """Save how far the shard is durable; extends the permit too. Raises LeaseLost, Retry."""

    async def pass_gap(self, noted_at_ms: int) -> None:
        """Save that reading goes on behind a gap, and since when changes are wanted there: since it was noted, or since
        what is sent of them was made. Raises LeaseLost, Retry."""


class Proofs:
    """The proofs of one tenure. `run` must be running for a permit to be got."""

    def __init__(self, held: ShardLease, watermark: Watermark, clock: Clock, proof_s: float, limit: LogLimit) -> None:
        self._held = held
        self._watermark = watermark
        self._clock = clock
        self._proof_s = proof_s
        # Of failing proofs, which are many when the lease table is out of reach.
        self._log_limit = limit
        self._asked = False
        self._needed = Signal()
        self._proven = Signal()

    def needed(self) -> None:
        """Writes are on their way again."""
        self._needed.notify()

    @property
    def valid(self) -> bool:
        """There is a permit: nobody else can have read on behind this worker's back."""
        return self._clock.boottime_s() < self._held.permit.until_s

    async def permitted(self) -> None:
        """Return under a valid permit."""
        while not self.valid:
            self._asked = True
            self._needed.notify()
            await self._proven.wait()

    async def run(
        self, on_their_way: Callable[[], bool], random: Callable[[], float], proven: Callable[[], None]
    ) -> None:
        """Until cancelled; `proven` is called whenever there is a permit. Raises LeaseLost."""
        failures = 0
        while True:
            if not self._asked and not on_their_way():
                await self._needed.wait()
            left_s = self._held.permit.until_s - self._clock.boottime_s()
            pause_s = left_s - self._proof_s * LEFT
            if pause_s <= 0:
                await self._prove()
                # A proof does not help while the heartbeats fail.
                failures = 0 if self.valid else failures + 1
                pause_s = RETRY.delay_s(failures - 1, random) if failures else 0.0
            if self.valid:
                # By a proof; or by a renewal or a checkpoint meanwhile, which may leave nothing to prove for long.
                self._asked = False
                proven()
                self._proven.notify()
            await self._clock.sleep(max(pause_s, self._proof_s / 20))

    async def _prove(self) -> None:
        # Of writes noted while the proof is under way it proves nothing.
        watermark = self._watermark
        late, watermark.late = watermark.late, []
        try:
            await self._held.prove()
        except Retry as error:
            watermark.late[:0] = late
            if self._log_limit.allows():
                log.warning(
                    "proof of the lease of %s not done: %s; trying again",
                    self._held.lease.shard_id,
                    error,
                    extra={"event": "proof_retry", "facts": {"shard": self._held.lease.shard_id}},
                )
        except BaseException:
            watermark.late[:0] = late
            raise
