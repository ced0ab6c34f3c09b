"""How fast a worker reads and writes: changes are admitted first, pages of the copy second.

One for each worker. It knows what was asked for (`--max-read-rate`, `--max-write-rate`: this worker's share), and for
the copy what the tables bear, from their throttles. A page is admitted before its life begins, never within it.
"""

import asyncio
import logging
from collections.abc import Sequence

from dynamirror.loops.log_limit import LogLimit
from dynamirror.model.change import Write
from dynamirror.model.lane import Lane, PageSize
from dynamirror.model.orders import Orders
from dynamirror.model.rate import read_units, write_units
from dynamirror.ports import Clock, MetricSink, ScanPage

# A share may have changed meanwhile.
LOOK_EVERY_S = 0.25
# No timer is more exact.
WAIT_LEAST_S = 0.002
SAY_EVERY_S = 10.0

log = logging.getLogger("dynamirror.rate")


def units_of(writes: Sequence[Write]) -> int:
    """About what they cost, before the service has said it."""
    return write_units([len(write.request) for write in writes])


class Rate:
    """The two lanes of a worker, and who waits for them."""

    def __init__(self, clock: Clock, metrics: MetricSink, read: Lane, write: Lane, item_bytes: float = 0) -> None:
        """`item_bytes`: of the source's items, on average; 0: not known."""
        self.read = read
        self.write = write
        self._clock = clock
        self._metrics = metrics
        self._pages = PageSize(item_bytes)
        self._changes_waiting = 0
        # Who has come first is admitted first.
        self._change_turn = asyncio.Lock()
        self._page_turn = asyncio.Lock()
        self._log_limit = LogLimit(clock, SAY_EVERY_S)

    def __repr__(self) -> str:
        return f"Rate(read={self.read}, write={self.write}, changes_waiting={self._changes_waiting})"

    @property
    def limited(self) -> bool:
        """Whether the operator has set a limit."""
        return self.read.limited or self.write.limited

    @property
    def changes_wait(self) -> bool:
        """Changes wait for the limit now."""
        return self._changes_waiting > 0

    def order(self, orders: Orders) -> None:
        """Keep to these limits from now on."""
        now_s = self._clock.boottime_s()
        if self.read.order(orders.read, now_s) | self.write.order(orders.write, now_s):
            log.info(
                "limits of all workers together, as ordered by %s: %s units/s read, %s written",
                orders.ordered_by or "their flags",
                *(_total_text(lane) for lane in (self.read, self.write)),
                extra={
                    "event": "rate_ordered",
                    "facts": {"read_units_s": self.read.total_s, "write_units_s": self.write.total_s},
                },
            )

    async def change(self, units: float) -> None:
        """Wait until changes of so many units may be sent, by estimate. Not sent after all: `give_back`."""
        self._changes_waiting += 1
        try:
            async with self._change_turn:
                while (wait_s := self.write.limit.wait_s(self._clock.boottime_s())) > 0:
                    await self._wait(wait_s, self.write)
                self.write.limit.take(units, self._clock.boottime_s())
        finally:
            self._changes_waiting -= 1

    def give_back(self, units: float) -> None:
        """Changes of this estimate were not written."""
        self.write.limit.take(-units, self._clock.boottime_s())

    async def page(self, items_max: int) -> "PageAdmission":
        """Wait until a page of the copy may be read and written; of how many items, it says."""
        async with self._page_turn:
            while (wait_s := self._page_wait_s()) > 0:
                now_s = self._clock.boottime_s()
                await self._wait(wait_s, *(lane for lane in (self.read, self.write) if lane.limit.wait_s(now_s) > 0))
            items = self._pages.items_max(items_max, self.read.copy_rate_s, self.write.copy_rate_s)
            admission = PageAdmission(self, items, *self._pages.units(items))
            now_s = self._clock.boottime_s()
            self.read.take_for_copy(admission.read_units, now_s)
            self.write.take_for_copy(admission.write_units, now_s)
            return admission

    def change_written(self, writes: Sequence[Write], units: float | None) -> None:
        """What the service charged for these changes; None: it does not say."""
        estimated = units_of(writes)
        units = estimated if units is None else units
        self.write.charged(estimated, units, self._clock.boottime_s())
        self._metrics.count("write_units", units)

    def copy_written(self, writes: Sequence[Write], units: float | None) -> None:
        """What the service charged for these items of the copy; None: it does not say."""
        estimated = units_of(writes)
        units = estimated if units is None else units
        self.write.charged_to_copy(estimated, units, self._clock.boottime_s())
        self._metrics.count("write_units", units)

    def copy_read(self, estimated: float, items: int, units: float) -> None:
        """What the service charged for a page that was taken by estimate."""
        self.read.charged_to_copy(estimated, units, self._clock.boottime_s())
        self._pages.read(items, units)
        self._metrics.count("read_units", units)

    def copy_sent(self, estimated: float, items: int, units: float) -> None:
        """Of a page that was taken by `estimated`, so many items were written; `units`: theirs, by their bytes."""
        self.write.take_for_copy(units - estimated, self._clock.boottime_s())
        self._pages.written(items, units)

    def unused(self, read_units: float, write_units: float) -> None:
        """A page that was admitted came to nothing."""
        now_s = self._clock.boottime_s()
        self.read.take_for_copy(-read_units, now_s)
        self.write.take_for_copy(-write_units, now_s)

    def throttled_reading(self) -> None:
        """The source had enough."""
        self._throttled(self.read, "reading the source")

    def throttled_writing(self) -> None:
        """The destination had enough, of changes or of the copy."""
        self._throttled(self.write, "writing the destination")

    def _throttled(self, lane: Lane, what: str) -> None:
        if lane.throttled(self._clock.boottime_s()) and self._log_limit.allows():
            log.info(
                "throttled: the copy goes on at %.0f units/s %s",
                lane.copy_rate_s,
                what,
                extra={"event": "copy_slowed", "facts": {"units_s": round(lane.copy_rate_s, 1), "what": what}},
            )

    def _page_wait_s(self) -> float:
        now_s = self._clock.boottime_s()
        # Both are asked: asking is also how they notice that time passes.
        wait_s = max(self.read.copy_wait_s(now_s), self.write.copy_wait_s(now_s))
        return max(wait_s, WAIT_LEAST_S) if self._changes_waiting else wait_s

    async def _wait(self, wait_s: float, *limiting: Lane) -> None:
        wait_s = min(max(wait_s, WAIT_LEAST_S), LOOK_EVERY_S)
        now_s = self._clock.boottime_s()
        for lane in limiting:
            lane.waits(now_s, now_s + wait_s)
        await self._clock.sleep(wait_s)


def _total_text(lane: Lane) -> str:
    return "any number of" if lane.total_s is None else f"{lane.total_s:g}"


class PageAdmission:
    """A page that may be read and written. Whatever becomes of it, `close` it."""

    def __init__(self, rate: Rate, items_max: int, read_units: float, write_units: float) -> None:
        """The units are taken already, by estimate."""
        self.items_max = items_max
        self.read_units = read_units
        self.write_units = write_units
        self._rate = rate

    def scanned(self, page: ScanPage) -> None:
        """It was read."""
        units = page.units if page.units is not None else read_units(page.size_bytes)
        self._rate.copy_read(self.read_units, len(page.items), units)
        self.read_units = 0.0

    def sent(self, writes: Sequence[Write]) -> None:
        """These of its items are written, the others are not."""
        self._rate.copy_sent(self.write_units, len(writes), units_of(writes))
        self.write_units = 0.0

    def close(self) -> None:
        """What was neither read nor sent was not used."""
        self._rate.unused(self.read_units, self.write_units)
        self.read_units = self.write_units = 0.0
