"""The extra reader of a cut-over: sparing, patient with iterators, never silent about what is gone."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dynamirror.errors import Gap, Retry, Side, Throttled, Unmet
from dynamirror.model.key import KeyAttribute, KeyCodec, KeySchema
from dynamirror.model.lease import SHARD_END, TRIM_HORIZON, Lease
from dynamirror.prove.drain import Waits
from dynamirror.prove.stream_view import LagWatch, ServiceClock, ViewTools
from dynamirror.testing.faults import Fault, Line
from dynamirror.testing.memory_state import MemoryLeases
from dynamirror.testing.memory_stream import ITERATOR_LIFE_S, MemoryStream
from dynamirror.testing.memory_table import MemorySource
from dynamirror.testing.virtual_time import VirtualClock, run_virtual

CODEC = KeyCodec(KeySchema(KeyAttribute("pk", "S")))


class Service:
    """A stream of one shard, its lease, and a count of what is asked."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.asked: list[str] = []
        self.fault: Fault | None = None
        self.stream = MemoryStream(self.clock, Line(self._faults))
        self.source = MemorySource(CODEC, self.stream)
        [self.shard] = self.stream.open_shards()
        self.leases = MemoryLeases()
        self.checkpoint(TRIM_HORIZON)
        self.tools = ViewTools(self.stream, self.leases, self.clock, lambda: 0.0)
        self.watch = LagWatch(self.tools)

    def _faults(self, operation: str) -> Fault | None:
        self.asked.append(operation)
        return self.fault

    def checkpoint(self, place: str) -> None:
        self.leases.rows[self.shard] = Lease(self.shard, place, "w", 1)

    def put(self) -> str:
        return self.stream.append("k", "INSERT", {"Keys": {"pk": {"S": "k"}}, "NewImage": {"pk": {"S": "k"}}})

    async def lag_s(self) -> float:
        return await self.watch.look(self.leases.rows)


def play(body: Callable[[Service], Awaitable[None]]) -> None:
    async def scenario() -> None:
        await body(Service())

    run_virtual(scenario())


def test_nothing_is_read_while_a_page_waits() -> None:
    async def body(service: Service) -> None:
        last = service.put()
        assert await service.lag_s() < 1
        service.put()
        service.asked.clear()
        await asyncio.sleep(20)
        assert await service.lag_s() >= 20
        assert service.asked == []
        service.checkpoint(last)
        assert 19 <= await service.lag_s() <= 21, "the second change waits since then"
        assert service.asked == ["GetRecords"]

    play(body)


def test_an_idle_shard_is_read_twice_a_look_and_has_no_lag() -> None:
    async def body(service: Service) -> None:
        assert await service.lag_s() == 0
        assert service.asked == ["GetShardIterator", "GetRecords", "GetRecords"]

    play(body)


def test_a_checkpoint_that_went_on_is_followed_without_reading_what_lies_between() -> None:
    async def body(service: Service) -> None:
        service.put()
        await service.lag_s()
        changes = [service.put() for _ in range(5_000)]
        service.checkpoint(changes[-1])
        assert await service.lag_s() == 0
        assert service.asked.count("GetRecords") <= 3

    play(body)


def test_an_iterator_that_has_expired_is_made_anew() -> None:
    async def body(service: Service) -> None:
        await service.lag_s()
        await asyncio.sleep(ITERATOR_LIFE_S + 1)
        service.put()
        await service.lag_s()
        assert await service.lag_s() < 2
        assert service.watch._readers[service.shard].trail.waits_for is not None

    play(body)


def test_what_was_trimmed_is_a_gap() -> None:
    async def body(service: Service) -> None:
        service.checkpoint(service.put())
        service.put()
        await asyncio.sleep(100)
        service.stream.trim(10)
        with pytest.raises(Gap, match="is no longer there"):
            await service.lag_s()

    play(body)


def test_a_closed_shard_is_waited_for_until_its_lease_says_so() -> None:
    async def body(service: Service) -> None:
        last = service.put()
        service.stream.disable()
        service.checkpoint(last)
        assert [await service.lag_s() for _ in range(3)] == [0, 0, 0]
        service.checkpoint(SHARD_END)
        service.asked.clear()
        assert await service.lag_s() == 0
        assert service.asked == []

    play(body)


async def no_duties() -> int:
    return 0


def test_empty_pages_do_not_hide_a_lag() -> None:
    async def body(service: Service) -> None:
        service.put()
        await asyncio.sleep(100)
        service.stream.send_empty_pages(service.shard, 5)
        with pytest.raises(Unmet, match=r"the lag is 1\d\d s"):
            await Waits(service.tools, no_duties, 30.0).lag_under(5.0)

    play(body)


def test_it_is_not_quiet_while_a_closed_shard_is_not_at_its_end() -> None:
    async def body(service: Service) -> None:
        service.checkpoint(service.put())
        [child] = service.stream.roll(service.shard)
        service.leases.rows[child] = Lease(child, TRIM_HORIZON, "w", 1, parent_ids=(service.shard,))
        with pytest.raises(Unmet, match="changes wait to be applied"):
            await Waits(service.tools, no_duties, 30.0).quiet(5.0)
        service.checkpoint(SHARD_END)
        assert (await Waits(service.tools, no_duties, 30.0).quiet(5.0)).listing.enabled

    play(body)


def test_a_throttled_look_is_taken_again() -> None:
    async def body(service: Service) -> None:
        service.fault = Fault(Throttled(Side.SOURCE, "not now"))
        with pytest.raises(Retry):
            await service.lag_s()
        waiting = asyncio.create_task(Waits(service.tools, no_duties, 60.0).lag_under(5.0))
        await asyncio.sleep(10)
        assert not waiting.done()
        service.fault = None
        assert await waiting == 0

    play(body)


def test_the_services_clock_goes_on_while_it_is_not_asked() -> None:
    async def body(service: Service) -> None:
        answered_s = service.clock.wall_s()
        now_s = ServiceClock(lambda: answered_s, service.clock.boottime_s)
        service.watch = LagWatch(ViewTools(service.stream, service.leases, service.clock, now_s))
        service.put()
        await service.lag_s()
        await asyncio.sleep(4)
        assert await service.lag_s() >= 4
        assert ServiceClock(lambda: 0.0, service.clock.boottime_s)() == 0

    play(body)


def test_a_change_that_waits_is_noise_also_when_the_clocks_say_that_it_is_yet_to_come() -> None:
    async def body(service: Service) -> None:
        behind = ViewTools(service.stream, service.leases, service.clock, lambda: service.clock.wall_s() - 300)
        service.put()

        async def no_duties() -> int:
            return 0

        with pytest.raises(Unmet, match="--quiet 5s was not reached"):
            await Waits(behind, no_duties, 20.0).quiet(5.0)

    play(body)
