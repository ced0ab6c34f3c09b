"""A shard whose pages do not come through as they are: smaller ones are asked for, until they do."""

import asyncio
import random

import pytest

from dynamirror.errors import Side, Unanswered
from dynamirror.follow.again import pages_up_to
from dynamirror.follow.hold import Held
from dynamirror.follow.read import ReadTools, ShardReader
from dynamirror.loops.turns import Turns
from dynamirror.model.change import Page
from dynamirror.model.key import KeyAttribute, KeyCodec, KeySchema
from dynamirror.model.lease import TRIM_HORIZON
from dynamirror.model.reading_size import TRY_AFTER
from dynamirror.observe.metrics import Metrics
from dynamirror.settings.groups import ReadSettings
from dynamirror.testing.faults import Fault, Line, Scripted
from dynamirror.testing.memory_stream import MemoryStream
from dynamirror.testing.memory_table import MemorySource
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.support.narrow import NarrowPath

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "S")))
RECORDS = 400


class NarrowStream(MemoryStream):
    """A stream behind a narrow path."""

    def __init__(self, clock: VirtualClock, path: NarrowPath, line: Line | None = None) -> None:
        super().__init__(clock, line)
        self._path = path
        # What was asked for.
        self.asked: list[int] = []

    async def read(self, iterator: str, records_max: int) -> Page:
        self.asked.append(records_max)
        page = await super().read(iterator, records_max)
        await self._path.carry(page.size_bytes)
        return page


def filled(path: NarrowPath, line: Line | None = None) -> tuple[NarrowStream, ShardReader]:
    """A shard with records of more than 1,000 bytes, which has ended."""
    clock = VirtualClock()
    stream = NarrowStream(clock, path, line)
    source = MemorySource(CODEC, stream)
    for number in range(RECORDS):
        source.put({"id": {"S": f"k{number:05}"}, "v": {"S": "x" * 1000}})
    [shard_id] = stream.open_shards()
    stream.split(shard_id)
    settings = ReadSettings(batch_size=100)
    tools = ReadTools(stream, clock, random.Random(1).random, settings, Turns(4), Metrics())
    return stream, ShardReader(tools, shard_id, TRIM_HORIZON)


async def read_all(reader: ShardReader, within_s: float) -> list[str]:
    found = []
    async with asyncio.timeout(within_s):
        async for page in reader.pages(lambda: None):
            found += [record.change.sequence_number for record in page.records]
    return found


@pytest.mark.parametrize("bytes_max,reached", [(10_000, 6), (1_600, 1)], ids=["some", "one"])
def test_a_shard_is_read_with_pages_that_come_through(bytes_max: int, reached: int) -> None:
    async def steps() -> None:
        path = NarrowPath(Side.SOURCE, bytes_max)
        stream, reader = filled(path)
        found = await read_all(reader, 7200)
        assert len(found) == len(set(found)) == RECORDS
        assert reached in stream.asked
        # Twice as many are tried after some that came.
        assert len(path.lost) <= 10 + len(stream.asked) / TRY_AFTER

    run_virtual(steps())


def test_what_was_dropped_is_asked_for_in_pages_of_the_size_that_came_through() -> None:
    async def steps() -> None:
        path = NarrowPath(Side.SOURCE, 10_000)
        stream, reader = filled(path)
        numbers = await read_all(reader, 7200)
        lost, asked = len(path.lost), len(stream.asked)
        for first in range(0, RECORDS, 10):
            held = Held(numbers[first], numbers[first + 9], 0.0, None, 0.0)
            position = numbers[first - 1] if first else TRIM_HORIZON
            pages = pages_up_to(reader._tools, reader, position, held, lambda: None)
            assert sum([len(page.records) async for page in pages]) == 10
        # Not a whole batch first each time; twice as many are tried now and then, as by whoever reads on.
        assert max(stream.asked[asked:]) <= 12
        assert len(path.lost) - lost <= (len(stream.asked) - asked) / TRY_AFTER + 1

    run_virtual(steps())


def test_pages_grow_again_when_the_path_is_wide() -> None:
    async def steps() -> None:
        path = NarrowPath(Side.SOURCE, 3_000)
        stream, reader = filled(path)
        pages = reader.pages(lambda: None)
        await asyncio.wait_for(anext(pages), 100)
        assert stream.asked[-1] < 3
        path.bytes_max = 10**9
        async with asyncio.timeout(100):
            async for _ in pages:
                pass
        assert max(stream.asked[-3:]) > 16

    run_virtual(steps())


def test_an_iterator_that_was_not_got_says_nothing_of_the_pages() -> None:
    async def steps() -> None:
        unanswered = Fault(Unanswered(Side.SOURCE, "injected"))
        line = Line(Scripted("GetShardIterator", [unanswered] * 3))
        stream, reader = filled(NarrowPath(Side.SOURCE, 10**9), line)
        assert len(await read_all(reader, 100)) == RECORDS
        assert set(stream.asked) == {100}

    run_virtual(steps())
