"""Reading no faster than asked for, and slower where the table throttles; in virtual time, units counted here."""

import asyncio

from dynamirror.errors import Side, Throttled, Unanswered
from dynamirror.model.item_key import ItemKeys
from dynamirror.model.key import Key, KeyAttribute, KeyCodec, KeySchema
from dynamirror.model.lane import Lane
from dynamirror.model.rate import READ_UNIT_BYTES
from dynamirror.prove.paced import PacedItems, PacedScan, ReadPace
from dynamirror.testing.faults import Fault, Faults, Line, Scripted, no_faults
from dynamirror.testing.memory_items import MemoryItems
from dynamirror.testing.memory_scan import MemoryScan
from dynamirror.testing.virtual_time import VirtualClock, run_virtual

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "S")))
ITEM_BYTES = 2 * READ_UNIT_BYTES


class Table:
    """Items of two units each, read by several at the same time; `limit` and `capacity` in units a second."""

    def __init__(
        self, count: int, limit: float | None, capacity: float | None = None, faults: Faults = no_faults, known: int = 0
    ) -> None:
        self.clock = VirtualClock()
        self.items = {_key(number): _item(number) for number in range(count)}
        self.pace = ReadPace(self.clock, Lane(limit, capacity, self.clock.boottime_s()), known, Side.SOURCE)
        line = Line(faults, latency_s=0.01)
        self.scan = PacedScan(MemoryScan(CODEC, self.items, line), self.pace)
        self.by_key = PacedItems(MemoryItems(dict(self.items), line), self.pace)
        self.pages: list[int] = []
        self.failed = 0

    async def read(self, segment: int, segments: int) -> None:
        after = b""
        while True:
            try:
                page = await self.scan.scan(segment, segments, after, 1000)
            except (Throttled, Unanswered):
                self.failed += 1
                continue
            self.pages.append(len(page.items))
            after = page.last_key
            if not after:
                return

    async def whole(self, segments: int = 4) -> float:
        """Seconds that it took."""
        begun_s = self.clock.boottime_s()
        await asyncio.gather(*(self.read(segment, segments) for segment in range(segments)))
        return self.clock.boottime_s() - begun_s


def _key(number: int) -> Key:
    return CODEC.of(b'{"id":{"S":"%d"}}' % number)


def _item(number: int) -> dict[str, dict[str, str]]:
    # As JSON as long as the items are taken to be.
    return {"id": {"S": str(number)}, "v": {"S": "x" * (ITEM_BYTES - 40)}}


def test_whole_tables_are_read_at_the_rate_that_is_asked_for() -> None:
    async def scenario(known: int) -> None:
        table = Table(1000, limit=100.0, known=known)
        took_s = await table.whole()
        assert sum(table.pages) == 1000
        # 2,000 units; what was saved, and the last pages' debt, make little of it.
        assert 18.0 <= took_s <= 23.0
        if known:
            assert max(table.pages) <= 15, "pages are small, so that they come evenly"

    for known in (0, ITEM_BYTES):
        run_virtual(scenario(known))


def test_without_a_limit_nothing_waits() -> None:
    async def scenario() -> None:
        assert await Table(1000, limit=None).whole() < 1.0

    run_virtual(scenario())


def test_items_by_key_count_too() -> None:
    async def scenario() -> None:
        table, keys = Table(200, limit=50.0), ItemKeys(CODEC)
        begun_s = table.clock.boottime_s()
        for first in range(0, 200, 20):
            found = await table.by_key.read([keys.of_key(_key(number)) for number in range(first, first + 20)])
            assert len(found.items) == 20
        # At least one unit each.
        assert 3.0 <= table.clock.boottime_s() - begun_s <= 5.0

    run_virtual(scenario())


def test_a_table_that_throttles_is_read_slower() -> None:
    async def scenario() -> None:
        often = Table(400, limit=None, capacity=400.0, faults=_Every(3))
        seldom = Table(400, limit=None, capacity=400.0)
        slow_s, fast_s = await often.whole(), await seldom.whole()
        assert sum(often.pages) == sum(seldom.pages) == 400
        assert often.failed > 5
        assert slow_s > 1.5 * fast_s

    run_virtual(scenario())


def test_what_failed_has_cost_nothing() -> None:
    async def scenario() -> None:
        faults = Scripted("Scan", [Fault(Unanswered(Side.SOURCE, "injected"))] * 20)
        table = Table(1000, limit=100.0, faults=faults, known=ITEM_BYTES)
        assert await table.whole() <= 24.0
        assert table.failed == 20

    run_virtual(scenario())


class _Every:
    """One of so many requests is throttled."""

    def __init__(self, of: int) -> None:
        self._of, self._count = of, 0

    def __call__(self, operation: str) -> Fault | None:
        self._count += 1
        return Fault(Throttled(Side.SOURCE, "injected")) if self._count % self._of == 0 else None
