"""What the scan in memory can do beside what the contract demands."""

import asyncio

import msgspec
import pytest

from dynamirror.errors import Side, Throttled
from dynamirror.model.diff import Item
from dynamirror.model.key import Key, KeyAttribute, KeyCodec, KeySchema
from dynamirror.testing.faults import Fault, Line, Scripted
from dynamirror.testing.memory_scan import MemoryScan
from dynamirror.testing.virtual_time import run_virtual

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "N")))


def items(*numbers: int) -> dict[Key, Item]:
    return {str(number): {"id": {"N": str(number)}, "v": {"S": "x"}} for number in numbers}


def test_a_page_shows_the_table_at_the_moment_at_which_the_request_arrives() -> None:
    async def steps() -> None:
        table = items(1)
        scan = MemoryScan(CODEC, table, Line(latency_s=2.0))
        asking = asyncio.create_task(scan.scan(0, 1, b"", 10))
        await asyncio.sleep(0.5)
        table.update(items(2))
        await asyncio.sleep(1)
        table.clear()
        page = await asking
        assert sorted(msgspec.json.decode(item)["id"]["N"] for item in page.items) == ["1", "2"]

    run_virtual(steps())


def test_an_item_that_changes_after_its_page_was_read_is_the_old_one_there() -> None:
    async def steps() -> None:
        table = items(1)
        page = await MemoryScan(CODEC, table).scan(0, 1, b"", 10)
        table["1"] = {"id": {"N": "1"}, "v": {"S": "new"}}
        assert msgspec.json.decode(page.items[0])["v"] == {"S": "x"}
        assert page.size_bytes == len(page.items[0])

    run_virtual(steps())


def test_it_fails_as_it_is_told() -> None:
    async def steps() -> None:
        line = Line(Scripted("Scan", [Fault(Throttled(Side.SOURCE, "injected"))]))
        scan = MemoryScan(CODEC, items(1), line)
        with pytest.raises(Throttled):
            await scan.scan(0, 1, b"", 10)
        assert len((await scan.scan(0, 1, b"", 10)).items) == 1

    run_virtual(steps())


def test_a_key_in_another_spelling_is_the_same_place() -> None:
    async def steps() -> None:
        scan = MemoryScan(CODEC, items(*range(1, 20)))
        first = await scan.scan(0, 1, b"", 5)
        number = msgspec.json.decode(first.last_key)["id"]["N"]
        spelled = msgspec.json.encode({"id": {"N": f"{number}.00"}})
        assert await scan.scan(0, 1, spelled, 5) == await scan.scan(0, 1, first.last_key, 5)

    run_virtual(steps())


def test_the_order_is_the_same_whatever_is_put_and_deleted_between() -> None:
    async def steps() -> None:
        table = items(*range(50))
        scan = MemoryScan(CODEC, table)
        before = [bytes(item) for item in (await scan.scan(0, 1, b"", 100)).items]
        table.update(items(*range(50, 100)))
        for number in range(0, 50, 2):
            del table[str(number)]
        after = [bytes(item) for item in (await scan.scan(0, 1, b"", 100)).items]
        both = set(before) & set(after)
        assert [item for item in before if item in both] == [item for item in after if item in both]
        assert len(both) == 25

    run_virtual(steps())
