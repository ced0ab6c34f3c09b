"""The keys that a stream names since a moment: of all shards, whatever becomes of iterators."""

from collections.abc import Iterable

from dynamirror.errors import Side, Throttled
from dynamirror.model.key import Key, KeyAttribute, KeyCodec, KeySchema
from dynamirror.prove.recent_keys import SLACK_S, RecentKeys
from dynamirror.testing.faults import Fault, Line, Scripted
from dynamirror.testing.memory_stream import MemoryStream
from dynamirror.testing.memory_table import MemorySource
from dynamirror.testing.virtual_time import VirtualClock, run_virtual

CODEC = KeyCodec(KeySchema(KeyAttribute("pk", "S")))


async def named(stream: MemoryStream, clock: VirtualClock, since_s: float) -> set[Key]:
    found: set[Key] = set()

    async def take(keys: Iterable[Key]) -> None:
        found.update(keys)

    await RecentKeys(stream, CODEC, clock, lambda: 0.5, since_s, clock.wall_s).read(take)
    return found


def test_older_records_are_passed_over() -> None:
    async def body() -> set[Key]:
        clock = VirtualClock()
        stream = MemoryStream(clock)
        source = MemorySource(CODEC, stream)
        source.put({"pk": {"S": "old"}})
        await clock.sleep(3600)
        source.put({"pk": {"S": "new"}})
        source.delete({"pk": {"S": "old too"}})
        await clock.sleep(600 - SLACK_S)
        return await named(stream, clock, 600)

    assert run_virtual(body()) == {"new"}


def test_every_shard_is_read_also_when_reading_is_refused_at_first() -> None:
    async def body() -> set[Key]:
        clock = VirtualClock()
        throttled = Fault(Throttled(Side.SOURCE, "not now"))
        stream = MemoryStream(clock, Line(Scripted("GetRecords", [throttled] * 3)))
        source = MemorySource(CODEC, stream)
        for number in range(50):
            source.put({"pk": {"S": str(number)}})
        [shard] = (await stream.list_shards()).shards
        stream.split(shard.id)
        for number in range(50, 100):
            source.put({"pk": {"S": str(number)}})
        return await named(stream, clock, 600)

    assert run_virtual(body()) == {str(number) for number in range(100)}


def test_a_record_without_a_time_stamp_may_be_recent() -> None:
    async def body() -> set[Key]:
        clock = VirtualClock()
        stream = MemoryStream(clock)
        stream.append("bare", "REMOVE", {"ApproximateCreationDateTime": 0, "Keys": {"pk": {"S": "bare"}}})
        return await named(stream, clock, 600)

    assert run_virtual(body()) == {"bare"}


def test_time_is_the_services_once_it_has_answered() -> None:
    """1 nothing was asked of the service before; 2 this machine's clock is an hour ahead: nothing would be recent."""

    async def body() -> set[Key]:
        clock = VirtualClock()
        asked: list[str] = []
        stream = MemoryStream(clock, Line(asked.append))
        MemorySource(CODEC, stream).put({"pk": {"S": "new"}})

        def now_s() -> float:
            return clock.wall_s() + (0 if asked else 3600)

        found: set[Key] = set()

        async def take(keys: Iterable[Key]) -> None:
            found.update(keys)

        await RecentKeys(stream, CODEC, clock, lambda: 0.5, 600, now_s).read(take)
        return found

    assert run_virtual(body()) == {"new"}
