"""What a worker does where changes were trimmed unread: stop, or note it durably and go on (docs/decisions/0014)."""

import logging
from collections.abc import Callable

from dynamirror.errors import Gap
from dynamirror.loops.signal import Signal
from dynamirror.model.gap import OpenGap
from dynamirror.ports import MetricSink
from dynamirror.state_ports import GapStore

log = logging.getLogger("dynamirror.gaps")


class GapPolicy:
    """One for each worker. `store` None: a gap stops it (--on-gap stop, or no state table)."""

    def __init__(self, store: GapStore | None, worker: str, metrics: MetricSink, now_s: Callable[[], float]) -> None:
        """`now_s`: the service's clock."""
        self._store = store
        self._worker = worker
        self._metrics = metrics
        self._now_s = now_s
        # Notified when a row was written.
        self.noted = Signal()
        # Rows as they were last read, or written.
        self.open = 0

    @property
    def stops(self) -> bool:
        """Nothing goes on behind a gap."""
        return self._store is None

    async def note(self, gap: Gap) -> None:
        """Write the row; once everything before the gap is durable (R-11). Idempotent. Raises Retry, Stop; the gap
        itself where it stops the worker.

            1 change c1 of an item waits, c2 is trimmed; 2 the item is mended to what the source has; 3 c1 is applied,
            and stays for ever (B-5)
        """
        if self._store is None:
            raise gap
        row = OpenGap(gap.shard_id, gap.behind, gap.what, int(self._now_s() * 1000), self._worker)
        await self._store.open_gap(row)
        self.seen(len(await self._store.gaps()))
        log.error(
            "gap in the stream: %s; changes made before now may be missing at the destination until the tables are "
            "compared and mended (dynamirror verify --repair). Going on at the oldest record",
            row,
            extra={"event": "gap", "facts": {"shard": row.shard_id, "behind": row.behind, "found_ms": row.found_at_ms}},
        )
        self.noted.notify()

    def seen(self, number: int) -> None:
        """So many rows are there now."""
        self.open = number
        self._metrics.gauge("gaps_open", number)
