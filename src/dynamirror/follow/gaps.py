"""What a worker does where changes were trimmed unread: stop, or note it durably and go on (docs/decisions/0014)."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from dynamirror.errors import Gap, Retry
from dynamirror.loops.log_limit import LogLimit
from dynamirror.model.gap import OnGap, OpenGap
from dynamirror.ports import Clock, MetricSink
from dynamirror.state_ports import GapStore

LOOK_EVERY_S = 30.0

log = logging.getLogger("dynamirror.gaps")


@dataclass(frozen=True, slots=True)
class GapTools:
    """What the policy is given from outside. `store` None: there is no state table. `now_s`: the service's clock."""

    store: GapStore | None
    clock: Clock
    metrics: MetricSink
    worker: str
    now_s: Callable[[], float]
    on_gap: OnGap
    log_limit: LogLimit


class GapPolicy:
    """One for each worker. `run` keeps what it knows of open gaps, its own and those of others, up to date."""

    def __init__(self, tools: GapTools) -> None:
        self._tools = tools
        # As they were last read, or written.
        self.open: tuple[OpenGap, ...] = ()

    @property
    def stops(self) -> bool:
        """Nothing goes on behind a gap."""
        return self._tools.store is None or self._tools.on_gap is OnGap.STOP

    async def note(self, gap: Gap) -> int:
        """Write the row; once everything before the gap is durable (R-11); returns the time that it names, in ms.
        Idempotent. Raises Retry, Stop; the gap itself where it stops the worker.

        1 change c1 of an item waits, c2 is trimmed; 2 the item is mended to what the source has; 3 c1 is applied, and
        stays for ever (B-5)
        """
        tools = self._tools
        if tools.store is None or self.stops:
            raise gap
        row = OpenGap(gap.shard_id, gap.behind, gap.what, int(tools.now_s() * 1000), tools.worker)
        await tools.store.open_gap(row)
        await self.look()
        log.error(
            "gap in the stream: %s; changes made before now may be missing at the destination until both tables are "
            "compared and mended (dynamirror verify --repair). Going on at the oldest record",
            row,
            extra={"event": "gap", "facts": {"shard": row.shard_id, "behind": row.behind, "found_ms": row.found_at_ms}},
        )
        return row.found_at_ms

    async def run(self) -> None:
        """Look for rows, until cancelled. Raises Stop."""
        while self._tools.store is not None:
            try:
                await self.look()
            except Retry as error:
                if self._tools.log_limit.allows():
                    log.warning("looking for gaps: %s; trying again", error, extra={"event": "gap_retry", "facts": {}})
            await self._tools.clock.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Read the rows. Raises Retry, Stop."""
        if self._tools.store is not None:
            self.open = tuple(await self._tools.store.gaps())
            self._tools.metrics.gauge("gaps_open", len(self.open))
