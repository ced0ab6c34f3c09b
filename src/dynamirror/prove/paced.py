"""Reads a table no faster than it may be read, and slower where it throttles: pages of a Scan, and items by key.

Who compares two tables must not take from those who use them.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dynamirror.errors import Side, Throttled
from dynamirror.loops.log_limit import LogLimit
from dynamirror.model.as_read import AsRead
from dynamirror.model.diff import Item
from dynamirror.model.item_key import ItemKey
from dynamirror.model.lane import Lane, PageSize
from dynamirror.model.rate import UNLIMITED, read_units
from dynamirror.ports import Clock, ItemSource, ItemsRead, ItemTable, ScanPage

# No timer is more exact, and a throttle may have changed the rate meanwhile.
WAIT_LEAST_S, WAIT_MOST_S = 0.002, 0.25
SAY_EVERY_S = 10.0

log = logging.getLogger("dynamirror.rate")


class ReadPace:
    """Of one table, for all that reads it."""

    def __init__(self, clock: Clock, lane: Lane, item_bytes: float, side: Side) -> None:
        """`item_bytes`: of an item on average, as far as the table says; 0: not known."""
        self._clock = clock
        self._lane = lane
        self._side = side
        self._size = PageSize(item_bytes)
        # Who has come first is admitted first.
        self._turn = asyncio.Lock()
        self._log_limit = LogLimit(clock, SAY_EVERY_S)
        lane.alone(clock.boottime_s())

    def __repr__(self) -> str:
        return f"ReadPace({self._side.value}, {self._lane})"

    async def page(self, items_max: int) -> tuple[int, float]:
        """Wait until a page may be read; of how many items, and the units that are taken for it, by estimate."""
        async with self._turn:
            await self._admitted()
            items = self._size.items_max(items_max, self._lane.copy_rate_s, UNLIMITED)
            return items, self._take(self._size.units(items)[0])

    async def keys(self, count: int) -> float:
        """Wait until so many items may be read by key; the units that are taken for them, at least one for each."""
        async with self._turn:
            await self._admitted()
            return self._take(max(float(count), self._size.units(count)[0]))

    def read(self, taken: float, units: float, items: int = 0) -> None:
        """What the service charged in the end; `items`: of a page."""
        self._lane.charged_to_copy(taken, units, self._clock.boottime_s())
        self._size.read(items, units)

    @contextmanager
    def attempt(self, taken: float) -> Iterator[None]:
        """Around the request: one that failed has cost nothing."""
        try:
            yield
        except BaseException as error:
            now_s = self._clock.boottime_s()
            self._lane.take_for_copy(-taken, now_s)
            if isinstance(error, Throttled) and self._lane.throttled(now_s) and self._log_limit.allows():
                rate_s = self._lane.copy_rate_s
                log.info(
                    "throttled: the %s is read at %.0f units/s from now on",
                    self._side.value,
                    rate_s,
                    extra={"event": "verify_slowed", "facts": {"side": self._side.value, "units_s": round(rate_s, 1)}},
                )
            raise

    def _take(self, units: float) -> float:
        self._lane.take_for_copy(units, self._clock.boottime_s())
        return units

    async def _admitted(self) -> None:
        while (wait_s := self._lane.copy_wait_s(self._clock.boottime_s())) > 0:
            await self._clock.sleep(min(max(wait_s, WAIT_LEAST_S), WAIT_MOST_S))


class PacedScan:
    """`ports.ItemSource`; a page may have fewer items than are asked for."""

    def __init__(self, scan: ItemSource, pace: ReadPace) -> None:
        self._scan = scan
        self._pace = pace

    async def scan(self, segment: int, segments: int, after: bytes, items_max: int) -> ScanPage:
        """See ports.ItemSource."""
        items, taken = await self._pace.page(items_max)
        with self._pace.attempt(taken):
            page = await self._scan.scan(segment, segments, after, items)
        self._pace.read(taken, page.units if page.units is not None else read_units(page.size_bytes), len(page.items))
        return page


class PacedItems:
    """`ports.ItemTable`, whose reading is paced."""

    def __init__(self, items: ItemTable, pace: ReadPace) -> None:
        self._items = items
        self._pace = pace

    async def read(self, keys: Sequence[ItemKey]) -> ItemsRead:
        """See ports.ItemReader."""
        taken = await self._pace.keys(len(keys))
        with self._pace.attempt(taken):
            found = await self._items.read(keys)
        self._pace.read(taken, found.units if found.units is not None else taken)
        return found

    async def replace(self, key: ItemKey, seen: AsRead, wanted: Item | None) -> None:
        """See ports.ItemTable."""
        await self._items.replace(key, seen, wanted)
