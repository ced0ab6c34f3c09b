"""What the in-memory destination and lease table can do beside what the contract demands."""

from collections.abc import Awaitable

import pytest

from dynamirror.errors import ConditionFailed, ItemRefused, Side, Throttled, Unanswered
from dynamirror.model.change import Write
from dynamirror.model.key import KeyAttribute, KeyCodec, KeySchema
from dynamirror.model.lease import Terms, new_lease, take
from dynamirror.testing.faults import Fault, Line, Scripted
from dynamirror.testing.memory_state import MemoryLeases
from dynamirror.testing.memory_table import MemoryTable
from dynamirror.testing.virtual_time import VirtualClock, run_virtual

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "N")))
LOST = Unanswered(Side.DESTINATION, "lost")


def put(number: str, value: str = "1") -> Write:
    request = f'{{"PutRequest":{{"Item":{{"id":{{"N":"{number}"}},"v":{{"S":"{value}"}}}}}}}}'
    return Write(number, request.encode(), sequence_number=value)


def table(*faults: Fault) -> MemoryTable:
    return MemoryTable(CODEC, Line(Scripted("BatchWriteItem", faults)))


def run(steps: Awaitable[None]) -> None:
    async def main() -> None:
        await steps

    run_virtual(main())


def test_the_last_writes_of_a_batch_can_come_back_unprocessed() -> None:
    async def steps() -> None:
        writes = [put("1"), put("2"), put("3")]
        it = table(Fault(unprocessed=2), Fault(unprocessed=9))
        assert await it.write(writes) == writes[1:]
        assert set(it.items) == {"1"}
        assert await it.write(writes[1:]) == writes[1:]
        assert await it.write(writes[1:]) == []
        assert set(it.items) == {"1", "2", "3"}

    run(steps())


def test_a_lost_write_can_land_over_a_newer_one() -> None:
    async def steps() -> None:
        it = table(Fault(LOST, lands_after_s=20.0))
        with pytest.raises(Unanswered):
            await it.write([put("1", "old")])
        await it.write([put("1", "new")])
        await VirtualClock().sleep(19)
        assert it.items["1"]["v"] == {"S": "new"}
        await VirtualClock().sleep(2)
        assert it.items["1"]["v"] == {"S": "old"}

    run(steps())


def test_a_throttled_batch_writes_nothing() -> None:
    async def steps() -> None:
        it = table(Fault(Throttled(Side.DESTINATION, "later")))
        with pytest.raises(Throttled):
            await it.write([put("1")])
        assert not it.items

    run(steps())


def test_a_refused_key_takes_its_whole_batch_along() -> None:
    async def steps() -> None:
        it = table()
        it.refused.add("2")
        with pytest.raises(ItemRefused):
            await it.write([put("1"), put("2")])
        assert not it.items
        await it.write([put("1")])
        assert set(it.items) == {"1"}

    run(steps())


def test_every_applied_write_is_seen_when_it_is_applied() -> None:
    async def steps() -> None:
        clock = VirtualClock(boot_s=0)
        seen: list[tuple[float, str]] = []
        line = Line(Scripted("BatchWriteItem", [Fault(LOST, lands_after_s=5.0)]))
        it = MemoryTable(CODEC, line, lambda write: seen.append((clock.boottime_s(), write.sequence_number)))
        with pytest.raises(Unanswered):
            await it.write([put("1", "a")])
        await it.write([put("1", "b")])
        await clock.sleep(10)
        assert seen == [(0.0, "b"), (5.0, "a")]

    run(steps())


def test_a_request_for_another_key_than_it_says_is_found() -> None:
    async def steps() -> None:
        with pytest.raises(AssertionError, match="carries a request for 1"):
            await table().write([Write("2", put("1.0").request)])

    run(steps())


def test_a_lease_update_whose_answer_is_lost_is_applied() -> None:
    async def steps() -> None:
        leases = MemoryLeases(Line(Scripted("UpdateItem", [Fault(LOST, lands_after_s=0.0)])))
        lease = new_lease("shardId-1-a", ())
        await leases.create(lease)
        taking = take(lease, Terms("w", 1000, heartbeat=False), 0)
        with pytest.raises(Unanswered):
            await leases.update(taking)
        assert await leases.get(lease.shard_id) == taking.after
        with pytest.raises(ConditionFailed):
            await leases.update(taking)

    run(steps())
