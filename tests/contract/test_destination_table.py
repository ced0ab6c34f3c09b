"""What every destination table does with a batch of raw requests."""

import msgspec
import pytest

from dynamirror.errors import ItemRefused
from dynamirror.model.change import Write
from dynamirror.model.diff import Item, first_difference
from tests.contract.conftest import CODEC, Destination

# 38 digits, empty and binary values, sets, depth: to arrive as they are.
RICH: Item = {
    "pk": {"S": 'ключ "quoted" \\ \u0000'},
    "sk": {"N": "-12345678901234567890123456789012345678"},
    "tiny": {"N": "1E-130"},
    "empty": {"S": ""},
    "bytes": {"B": "AAEC/w=="},
    "none": {"NULL": True},
    "set": {"SS": ["a", "b"]},
    "deep": {"M": {"list": {"L": [{"N": "1"}, {"BOOL": False}]}}},
}


def key_of(item: Item) -> Item:
    return {"pk": item["pk"], "sk": item["sk"]}


def put(item: Item) -> Write:
    request = {"PutRequest": {"Item": item}}
    return Write(CODEC.of(msgspec.json.encode(item)), msgspec.json.encode(request))


def delete(item: Item) -> Write:
    request = {"DeleteRequest": {"Key": key_of(item)}}
    return Write(CODEC.of(msgspec.json.encode(item)), msgspec.json.encode(request))


def item(number: int, **attributes: str) -> Item:
    return {"pk": {"S": f"k{number}"}, "sk": {"N": str(number)}} | {n: {"S": v} for n, v in attributes.items()}


async def test_items_arrive_as_they_are(destination: Destination) -> None:
    assert not await destination.table.write([put(RICH)])
    [found] = (await destination.items()).values()
    assert first_difference(RICH, found) is None


async def test_a_put_replaces_the_whole_item_and_a_delete_removes_it(destination: Destination) -> None:
    first, second = item(1, a="1", b="1"), item(2, a="1")
    assert not await destination.table.write([put(first), put(second)])
    assert not await destination.table.write([put(item(1, c="2")), delete(second)])
    assert list((await destination.items()).values()) == [item(1, c="2")]


async def test_writes_may_be_repeated(destination: Destination) -> None:
    for _ in range(2):
        assert not await destination.table.write([put(item(1, a="1")), delete(item(2))])
    assert list((await destination.items()).values()) == [item(1, a="1")]


async def test_a_number_key_is_the_same_in_every_spelling(destination: Destination) -> None:
    assert not await destination.table.write([put(item(1))])
    other_spelling: Item = {"pk": {"S": "k1"}, "sk": {"N": "1.0"}, "v": {"S": "new"}}
    assert not await destination.table.write([put(other_spelling)])
    [(key, found)] = (await destination.items()).items()
    assert key == ("k1", "1")
    assert found["v"] == {"S": "new"}


async def test_twenty_five_at_once(destination: Destination) -> None:
    assert not await destination.table.write([put(item(number)) for number in range(25)])
    assert len(await destination.items()) == 25


async def test_a_batch_with_an_impossible_item_writes_nothing(destination: Destination) -> None:
    impossible = item(2, a="x" * 410_000)
    if destination.memory is not None:
        destination.memory.refused.add(put(impossible).key)
    with pytest.raises(ItemRefused):
        await destination.table.write([put(item(1)), put(impossible)])
    assert not await destination.items()
