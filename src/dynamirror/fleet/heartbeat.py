"""The worker's sign of life: one row in the state table, its counter moved every second.

Cheaper than renewing every lease row so often: the cost does not grow with the number of shards.
"""

import logging
from collections.abc import Callable, Mapping

from dynamirror.errors import Retry
from dynamirror.model.permit import NEVER
from dynamirror.model.worker_row import WorkerRow
from dynamirror.ports import Clock
from dynamirror.state_ports import StateStore

log = logging.getLogger("dynamirror.leases")


class Heartbeat:
    """`run` beats until cancelled; `retire` removes the row once all leases are released."""

    def __init__(
        self,
        store: StateStore,
        clock: Clock,
        worker: str,
        facts: Mapping[str, str],
        every_s: float,
        lease_ms: int | None = None,
    ) -> None:
        """`lease_ms`: how long its leases last; None: it has none. `facts` are for operators."""
        # For operators too: what they are at each beat.
        self.figures: Callable[[], Mapping[str, int]] = dict
        self._store = store
        self._clock = clock
        self._worker = worker
        self._facts = facts
        self._every_s = every_s
        self._lease_ms = lease_ms
        self._counter = 0
        # Shards that this worker asks their owners for.
        self.wants: frozenset[str] = frozenset()
        # When the last beat that was answered had been sent, on this worker's clock (P-9).
        self.beaten_at_s = NEVER

    async def beat(self) -> None:
        """One beat. Must have succeeded before the first lease is taken, else others see no life. Raises Retry."""
        self._counter += 1
        sent_at_s = self._clock.boottime_s()
        # By this worker's clock, which nobody compares with another one but a person.
        seen = {"seenAt": int(self._clock.wall_s() * 1000)}
        row = WorkerRow(self._counter, self._lease_ms, self.wants)
        await self._store.beat(self._worker, row, {**self._facts, **self.figures(), **seen})
        self.beaten_at_s = sent_at_s

    async def run(self) -> None:
        """Beat until cancelled; a failed beat is repeated at the next turn."""
        while True:
            await self._clock.sleep(self._every_s)
            try:
                await self.beat()
            except Retry as error:
                log.warning("heartbeat not written: %s", error, extra={"event": "heartbeat_retry", "facts": {}})

    async def retire(self) -> None:
        """Remove the row; harmless when it is gone already. Raises Retry."""
        await self._store.retire(self._worker)
