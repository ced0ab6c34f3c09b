"""What every table does whose items are read by key and replaced on condition."""

import asyncio
from typing import Any

import pytest

from dynamirror.aws.items import Items
from dynamirror.errors import ConditionFailed, ItemRefused, Side
from dynamirror.model.as_read import AsRead, as_read
from dynamirror.model.diff import Item, first_difference
from dynamirror.model.item_key import ItemKey, ItemKeys
from dynamirror.ports import ItemTable
from dynamirror.testing.memory_items import MemoryItems
from tests.contract.conftest import CODEC, KEYS, Tables

KEY: Item = {"pk": {"S": 'ключ "quoted" \\ \u0000'}, "sk": {"N": "-12345678901234567890123456789012345678"}}
VALUES: Item = {
    "digits": {"N": "0.12345678901234567890123456789012345678"},
    "tiny": {"N": "1E-130"},
    "empty": {"S": ""},
    "bytes": {"B": "AAEC/w=="},
    "none": {"NULL": True},
    "flag": {"BOOL": False},
    "words": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2.50"]},
    "binaries": {"BS": ["AA==", "AQ=="]},
    "deep": {"M": {"list": {"L": [{"N": "1"}, {"BOOL": False}, {"M": {}}]}}},
    # Reserved words, and what looks like a path or a placeholder.
    "size": {"S": "reserved"},
    "a.b[0]": {"S": "a path?"},
    "#n0": {"S": "a name?"},
}
RICH: Item = {**KEY, **VALUES}
ABSENT = as_read(None, CODEC.schema)


def key_of(item: Item) -> ItemKey:
    return ItemKeys(CODEC).of_item(item)


def item(number: int, **attributes: Any) -> Item:
    return {"pk": {"S": f"k{number}"}, "sk": {"N": str(number)}, **attributes}


def seen(item: Item) -> AsRead:
    return as_read(item, CODEC.schema)


@pytest.fixture
def table(tables: Tables | None) -> ItemTable:
    """An empty table."""
    if tables is None:
        return MemoryItems({})
    tables.create("destination", KEYS)
    return Items(tables.caller(Side.DESTINATION), "destination", CODEC, Side.DESTINATION)


async def read_one(table: ItemTable, item: Item) -> Item | None:
    answer = await table.read([key_of(item)])
    assert not answer.unprocessed
    return answer.items.get(key_of(item).key)


async def test_items_are_found_as_they_were_put_and_the_others_are_not_there(table: ItemTable) -> None:
    await table.replace(key_of(RICH), ABSENT, RICH)
    answer = await table.read([key_of(RICH), key_of(item(1))])
    assert not answer.unprocessed
    assert list(answer.items) == [key_of(RICH).key]
    assert first_difference(answer.items[key_of(RICH).key], RICH) is None


async def test_a_hundred_at_once(table: ItemTable) -> None:
    for number in range(0, 100, 2):
        await table.replace(key_of(item(number)), ABSENT, item(number))
    answer = await table.read([key_of(item(number)) for number in range(100)])
    assert sorted(answer.items) == sorted((f"k{number}", str(number)) for number in range(0, 100, 2))


async def test_a_number_key_is_the_same_in_every_spelling(table: ItemTable) -> None:
    await table.replace(key_of(item(1)), ABSENT, item(1))
    other: Item = {"pk": {"S": "k1"}, "sk": {"N": "1.00"}, "v": {"S": "new"}}
    await table.replace(key_of(other), seen(item(1)), other)
    found = await read_one(table, item(1))
    assert found is not None
    assert found["v"] == {"S": "new"}


async def test_what_is_not_there_can_be_put_once(table: ItemTable) -> None:
    await table.replace(key_of(item(1)), ABSENT, item(1))
    with pytest.raises(ConditionFailed):
        await table.replace(key_of(item(1)), ABSENT, item(1, v={"S": "second"}))
    assert await read_one(table, item(1)) == item(1)


async def test_what_is_as_it_was_read_can_be_replaced_whole_and_deleted(table: ItemTable) -> None:
    await table.replace(key_of(RICH), ABSENT, RICH)
    found = await read_one(table, RICH)
    assert found is not None
    newer: Item = {**KEY, "only": {"S": "this"}}
    await table.replace(key_of(RICH), seen(found), newer)
    found = await read_one(table, RICH)
    assert found is not None
    assert first_difference(found, newer) is None
    await table.replace(key_of(RICH), seen(newer), None)
    assert await read_one(table, RICH) is None
    with pytest.raises(ConditionFailed):
        await table.replace(key_of(RICH), seen(newer), None)


@pytest.mark.parametrize("name", VALUES)
async def test_one_attribute_that_has_changed_or_gone_is_enough_to_refuse(table: ItemTable, name: str) -> None:
    await table.replace(key_of(RICH), ABSENT, {**RICH, name: {"S": "changed"}})
    with pytest.raises(ConditionFailed):
        await table.replace(key_of(RICH), seen(RICH), None)
    without = {other: value for other, value in RICH.items() if other != name}
    await table.replace(key_of(RICH), seen(KEY), without)
    with pytest.raises(ConditionFailed):
        await table.replace(key_of(RICH), seen(RICH), {**KEY})


@pytest.mark.parametrize(
    "other",
    [
        {"numbers": {"NS": ["2.5", "1.0"]}, "words": {"SS": ["b", "a"]}, "binaries": {"BS": ["AQ==", "AA=="]}},
        {"deep": {"M": {"list": {"L": [{"N": "1.00"}, {"BOOL": False}, {"M": {}}]}}}},
    ],
)
async def test_values_are_compared_by_value(table: ItemTable, other: Item) -> None:
    await table.replace(key_of(RICH), ABSENT, RICH)
    await table.replace(key_of(RICH), seen({**RICH, **other}), None)
    assert await read_one(table, RICH) is None


async def test_an_attribute_that_came_in_addition_is_not_seen(table: ItemTable) -> None:
    """An expression cannot say "and nothing else"; why that does no harm stands in model/as_read."""
    await table.replace(key_of(item(1)), ABSENT, item(1, old={"S": "1"}, new={"S": "1"}))
    await table.replace(key_of(item(1)), seen(item(1, old={"S": "1"})), None)
    assert await read_one(table, item(1)) is None


WIDE = {
    "1,000 attributes": item(1, **{f"attribute-{n}": {"N": str(n)} for n in range(1000)}),
    "names of 5 KB": item(1, **{f"{n}" * 5_000: {"S": "x"} for n in "abcdefghij"}),
    "400 KB": item(1, bytes={"B": "A" * 530_000}, flag={"BOOL": True}),
    "only its key": item(1),
}


@pytest.mark.parametrize("wide", WIDE.values(), ids=WIDE)
async def test_items_too_wide_for_a_condition_are_replaced_on_a_part_of_it(table: ItemTable, wide: Item) -> None:
    await table.replace(key_of(wide), ABSENT, wide)
    await table.replace(key_of(wide), seen(wide), {**wide, "v": {"N": "1"}})
    found = await read_one(table, wide)
    assert found is not None
    assert first_difference(found, {**wide, "v": {"N": "1"}}) is None
    await table.replace(key_of(wide), seen({**wide, "v": {"N": "1"}}), None)
    with pytest.raises(ConditionFailed):
        await table.replace(key_of(wide), seen(wide), wide)
    assert await read_one(table, wide) is None


async def test_an_item_that_is_too_large_is_refused(table: ItemTable) -> None:
    large = item(1, v={"S": "x" * 410_000})
    if isinstance(table, MemoryItems):
        table.refused.add(key_of(large).key)
    with pytest.raises(ItemRefused):
        await table.replace(key_of(large), ABSENT, large)


async def test_more_than_an_answer_holds_is_left_unprocessed(table: ItemTable, backend: str) -> None:
    """16 MB of items are one answer; the rest has to be asked for again."""
    if isinstance(table, MemoryItems):
        pytest.skip("the port in memory has no limit of its own: faults make it leave keys")
    items = [item(number, v={"S": "x" * 390_000}) for number in range(46)]
    for each in items:
        await table.replace(key_of(each), ABSENT, each)
    keys = [key_of(each) for each in items]
    first = await table.read(keys)
    # An account may leave more, having no capacity for it at the moment.
    throttling = backend == "aws"
    assert 0 < len(first.unprocessed) < (46 if throttling else 10)
    assert {key.key for key in keys} - set(first.unprocessed) == first.items.keys()
    left, found = set(first.unprocessed), len(first.items)
    for _ in range(30 if throttling else 1):
        more = await table.read([key for key in keys if key.key in left])
        left, found = set(more.unprocessed), found + len(more.items)
        if not left:
            break
        await asyncio.sleep(1)
    assert not left
    assert found == 46
