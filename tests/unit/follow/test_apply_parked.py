"""The applier where the destination refuses items: they are parked, and nothing else waits for them."""

import asyncio
from collections.abc import Sequence

from dynamirror.errors import DynamirrorError, ItemRefused, Side, Unanswered
from dynamirror.follow.apply import Applier
from dynamirror.follow.send import ApplyTools
from dynamirror.model.change import Write
from dynamirror.model.key import Key
from dynamirror.model.parked import version_of
from dynamirror.model.permit import Permit
from dynamirror.model.watermark import Watermark
from dynamirror.observe.metrics import Metrics
from dynamirror.settings.groups import WriteSettings
from tests.support.parking import Lot
from tests.unit.follow.test_apply import ALWAYS, Answer, Bench, virtually
from tests.unit.follow.test_parking import Faults, change


class Refusing:
    """Refuses batches with one of these numbers."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = set(numbers)

    def __call__(self, writes: Sequence[Write]) -> tuple[float, set[Key] | DynamirrorError]:
        refused = any(int(write.sequence_number) in self.numbers for write in writes)
        return 0.01, ItemRefused("too large") if refused else set()


class Parked(Bench):
    """A bench with a state table. Its changes are numbered as they are submitted."""

    def __init__(self, answer: Answer, lot: Lot | None = None) -> None:
        super().__init__(answer)
        self.lot = lot or Lot()
        self.faults = Faults()
        self.metrics = Metrics()
        self.parking = self.lot.parking(self.clock, self.metrics, self.faults)
        draw, settings = self.random.random, WriteSettings(requests_in_flight_max=4)
        self.applier = Applier(
            ApplyTools(self.destination, self.clock, draw, self.metrics, settings, self.late.extend, self.parking)
        )
        self.next = 0

    def submit(self, *keys: str, watermark: Watermark | None = None, size: int = 20) -> list[Write]:
        writes = []
        for key in keys:
            self.next += 1
            writes.append(change(key, self.next))
        mark = (watermark or self.watermark).add(str(self.next), len(writes))
        self.marks.append(mark)
        self.applier.submit(writes, mark)
        return writes

    async def versions(self) -> dict[str, str]:
        return {key: parked.sequence_number for key, parked in (await self.lot.parked()).items()}


@virtually
async def test_a_refused_item_is_parked_and_everything_else_is_written() -> None:
    bench = Parked(Refusing(4))
    async with bench.running():
        bench.submit(*"abcdefgh")
        await bench.settled()
        bench.assert_at_rest()
    assert await bench.versions() == {"d": "4"}
    assert set(bench.destination.stands) == set("abcefgh")
    assert bench.metrics.value("changes_applied") == 7
    assert bench.watermark.checkpoint == "8"


@virtually
async def test_the_checkpoint_stays_before_it_until_the_row_is_durable() -> None:
    bench = Parked(Refusing(2))
    bench.faults.down = {"PutItem"}
    async with bench.running():
        bench.submit("a")
        bench.submit("b")
        bench.submit("c")
        await asyncio.sleep(60)
        assert bench.watermark.advance() == "1"
        assert bench.destination.stands == {"a": 1, "c": 3}
        bench.faults.down = set()
        await bench.settled()
        bench.assert_at_rest()
    assert await bench.versions() == {"b": "2"}


@virtually
async def test_newer_changes_of_it_wait_while_it_is_being_parked() -> None:
    bench = Parked(Refusing(1))
    bench.faults.down = {"PutItem"}
    async with bench.running():
        bench.submit("a")
        await asyncio.sleep(10)
        bench.submit("a")
        bench.submit("a")
        await asyncio.sleep(10)
        assert bench.destination.sent == [[1]]
        bench.faults.down = set()
        await bench.settled()
        assert bench.destination.stands == {"a": 3}
        await bench.parking.flush()
        bench.assert_at_rest()
    assert await bench.versions() == {}


@virtually
async def test_the_next_change_un_parks_it_once_it_is_written() -> None:
    bench = Parked(Refusing(1))
    async with bench.running():
        bench.submit("a")
        await bench.settled()
        bench.destination.answer = lambda writes: (0.01, {write.key for write in writes})
        bench.submit("a")
        await asyncio.sleep(5)
        await bench.parking.flush()
        assert await bench.versions() == {"a": "1"}
        bench.destination.answer = Refusing()
        await bench.settled()
        await bench.parking.flush()
    assert await bench.versions() == {}
    assert bench.metrics.value("parked") == 0


@virtually
async def test_a_change_without_an_answer_un_parks_nothing_until_it_is_sent_again() -> None:
    bench = Parked(Refusing(1))
    async with bench.running():
        bench.submit("a")
        await bench.settled()
        bench.destination.answer = lambda writes: (0.01, Unanswered(Side.DESTINATION, "injected"))
        bench.submit("a")
        await asyncio.sleep(30)
        await bench.parking.flush()
        assert await bench.versions() == {"a": "1"}
        bench.destination.answer = Refusing()
        await asyncio.sleep(10)
        assert bench.watermark.settled
        await bench.parking.flush()
    assert await bench.versions() == {}


@virtually
async def test_what_was_parked_while_a_write_was_on_its_way_is_not_un_parked_by_it() -> None:
    """F-1, with a worker that does not know yet that it has lost the lease."""
    bench = Parked(Refusing(1))
    async with bench.running():
        bench.submit("a")
        await bench.settled()
        bench.destination.answer = lambda writes: (1.0, set())
        bench.submit("a")
        await asyncio.sleep(0.5)
        other = Parked(Refusing(3), bench.lot)
        assert await other.parking.park(change("a", 3), ItemRefused("too large"))
        await bench.parking.known_since(bench.clock.boottime_s())
        assert bench.parking.known["a"].version == version_of("3")
        await bench.settled()
        await bench.parking.flush()
    assert await bench.versions() == {"a": "3"}


@virtually
async def test_a_lease_that_is_lost_meanwhile_ends_the_parking_and_nothing_is_durable() -> None:
    bench = Parked(Refusing(1))
    bench.faults.down = {"PutItem"}
    async with bench.running():
        bench.submit("a")
        await asyncio.sleep(10)
        bench.watermark.abandoned = True
        await asyncio.sleep(10)
        assert bench.marks[0].outstanding == 1
        assert "waiting=0, flying=0, requests=0, bytes=0" in repr(bench.applier)
        bench.faults.down = set()
        await asyncio.sleep(10)
    assert await bench.versions() == {}


@virtually
async def test_of_a_lost_lease_the_change_of_the_next_one_goes_on() -> None:
    bench = Parked(Refusing(1))
    bench.faults.down = {"PutItem"}
    again = Watermark(Permit(ALWAYS))
    async with bench.running():
        bench.submit("a")
        await asyncio.sleep(1)
        bench.watermark.abandoned = True
        bench.submit("a", watermark=again)
        await asyncio.sleep(10)
        assert again.settled
    assert bench.destination.stands == {"a": 2}


@virtually
async def test_a_throttled_state_table_holds_up_no_other_key() -> None:
    bench = Parked(Refusing(1, 2, 3))
    bench.faults.down = {"PutItem"}
    async with bench.running():
        bench.submit("a", "b", "c")
        for _ in range(50):
            bench.submit(*(f"k{number}" for number in range(40)))
        await asyncio.sleep(20)
        assert len(bench.destination.stands) == 40
        bench.faults.down = set()
        await bench.settled()
    assert await bench.versions() == {"a": "1", "b": "2", "c": "3"}


@virtually
async def test_an_item_that_is_refused_again_and_again_does_not_hold_the_checkpoint_back() -> None:
    """Whenever a change of it is refused, the next one waits already: one of them has to be parked all the same."""
    bench = Parked(lambda writes: (0.1, ItemRefused("too large")))
    async with bench.running():
        for _ in range(600):
            bench.submit("a")
            await asyncio.sleep(0.05)
        assert int(bench.watermark.advance() or 0) > 590
        await bench.settled()
        bench.assert_at_rest()
    assert await bench.versions() == {"a": "600"}
    assert bench.metrics.value("write_throttles") == 0
