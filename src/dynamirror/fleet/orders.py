"""A worker obeys its operator: what `dynamirror pause`, `resume` and `set-rate` have written is read every two seconds.

While the row is out of reach the last order stays in force.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from dynamirror.errors import Retry
from dynamirror.loops.gate import Gate
from dynamirror.loops.log_limit import LogLimit
from dynamirror.loops.rate import Rate
from dynamirror.model.orders import Orders, lost_from_ms, nears_loss
from dynamirror.model.progress_text import time_text
from dynamirror.ports import Clock, MetricSink
from dynamirror.state_ports import OrderStore

EVERY_S = 2.0
WARN_EVERY_S = 3600.0

log = logging.getLogger("dynamirror.orders")


@dataclass(frozen=True, slots=True)
class OrderTools:
    """What is given from outside. `now_s`: seconds since the epoch, the service's where they are known."""

    store: OrderStore
    clock: Clock
    now_s: Callable[[], float]
    metrics: MetricSink
    gate: Gate
    rate: Rate
    # Of the shards held: when the oldest change that nobody has applied may have been made, in ms; None: not known.
    unread_since_ms: Callable[[], int | None]


class OrderWatch:
    """One for each worker. `look` once before anything is read, then `run`."""

    def __init__(self, tools: OrderTools) -> None:
        self._tools = tools
        self._orders = Orders()
        self._log_limit = LogLimit(tools.clock, WARN_EVERY_S / 60)
        self._late = LogLimit(tools.clock, WARN_EVERY_S)

    def __repr__(self) -> str:
        return f"OrderWatch({self._orders})"

    async def look(self) -> None:
        """Read the row and obey. Raises Retry, Stop."""
        orders = await self._tools.store.orders()
        before, self._orders = self._orders, orders
        if orders.paused != before.paused:
            self._say(orders)
        self._tools.gate.set(orders.paused)
        self._tools.metrics.gauge("paused", int(orders.paused))
        self._tools.rate.order(orders)
        if orders.paused:
            self._warn(orders)

    async def run(self) -> None:
        """Until cancelled. Raises Stop."""
        while True:
            await self._tools.clock.sleep(EVERY_S)
            try:
                await self.look()
            except Retry as error:
                if self._log_limit.allows():
                    log.warning(
                        "what was ordered is not known now, the last order stays in force: %s",
                        error,
                        extra={"event": "orders_unknown", "facts": {}},
                    )

    def _say(self, orders: Orders) -> None:
        if orders.paused:
            log.warning(
                "paused by %s: nothing is read or copied until dynamirror resume; leases are kept, and what was on its "
                "way is written",
                orders.paused_by,
                extra={"event": "paused", "facts": {"by": orders.paused_by, "since_ms": orders.paused_at_ms}},
            )
        else:
            log.warning("resumed by %s", orders.ordered_by, extra={"event": "resumed", "facts": {}})

    def _warn(self, orders: Orders) -> None:
        now_ms = int(self._tools.now_s() * 1000)
        # A shard of which nothing is known was read up to the pause at the most.
        since_ms = min(self._tools.unread_since_ms() or orders.paused_at_ms, orders.paused_at_ms)
        if nears_loss(since_ms, now_ms) and self._late.allows():
            left_s = (lost_from_ms(since_ms) - now_ms) / 1000
            log.warning(
                "paused by %s, and changes have waited for %s: %s",
                orders.paused_by,
                time_text((now_ms - since_ms) / 1000),
                f"the stream forgets them in {time_text(left_s)}, resume before" if left_s > 0 else "some may be lost",
                extra={"event": "pause_nears_loss", "facts": {"left_s": round(left_s), "since_ms": since_ms}},
            )
