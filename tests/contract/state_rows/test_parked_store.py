"""What the rows of parked items keep: the newest version of each, whoever parks and un-parks it, however late."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from dynamirror.aws.parked_rows import ParkedRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.errors import Side, Stop
from dynamirror.model.key import key_digest
from dynamirror.model.parked import CHUNK_BYTES, Parked, chunks_of, version_of
from tests.contract.conftest import Tables, call

ROWS = ParkedRows
StoreOf = Callable[[str], ParkedRows]
KEY = {"pk": {"S": "ü"}, "sk": {"N": "-1000"}}
IMAGE = '{"pk":{"S":"ü"},"sk":{"N":"-1000"},"v":{"S":"\\u0000🗝"}}'.encode()


def parked(number: int | str = 7, image: bytes = IMAGE, key: str = "a") -> Parked:
    version = version_of(str(number))
    return Parked(key_digest(key), KEY, version, "too large", 1_700_000_000_123, "w", len(chunks_of(image)), len(image))


async def images(tables: Tables) -> list[str]:
    found = (await call(tables, "Scan", TableName="state", ConsistentRead=True))["Items"]
    return sorted(row["id"]["S"] for row in found if row["kind"]["S"] == "parked-image")


async def test_every_field_and_the_image_come_back(store_of: StoreOf) -> None:
    store = store_of("one")
    assert await store.rows() == []
    assert await store.park(parked(), IMAGE)
    assert await store_of("one").rows() == [parked()]
    assert await store.image(parked()) == IMAGE


async def test_an_image_that_is_larger_than_a_row_comes_back(store_of: StoreOf, tables: Tables) -> None:
    image = b'{"v":{"S":"%s"}}' % ("é" * CHUNK_BYTES).encode()
    large = parked(image=image)
    store = store_of("one")
    await store.park(large, image)
    assert large.chunks == 3
    assert await store.image(large) == image
    assert await store.unpark(large)
    assert await images(tables) == []


async def test_a_deletion_has_no_image(store_of: StoreOf) -> None:
    deletion = parked(image=b"")
    await store_of("one").park(deletion, b"")
    assert await store_of("one").rows() == [deletion]
    assert await store_of("one").image(deletion) is None


async def test_a_newer_version_replaces_an_older_one_and_its_image(store_of: StoreOf, tables: Tables) -> None:
    store = store_of("one")
    await store.park(parked(9), IMAGE)
    await store.park(parked(10), b"{}")
    assert [row.version for row in await store.rows()] == [version_of("10")]
    assert await images(tables) == [f"{key_digest('a')}/{version_of('10')}/0"]


async def test_an_older_version_never_replaces_a_newer_one(store_of: StoreOf, tables: Tables) -> None:
    store = store_of("one")
    await store.park(parked(10), IMAGE)
    assert not await store.park(parked(9), IMAGE)
    assert not await store.park(parked(""), IMAGE)
    assert await store.rows() == [parked(10)]
    assert await images(tables) == [f"{key_digest('a')}/{version_of('10')}/0"]


async def test_the_same_version_may_be_parked_again(store_of: StoreOf) -> None:
    store = store_of("one")
    assert await store.park(parked(), IMAGE)
    again = replace(parked(), worker="other")
    assert await store.park(again, IMAGE)
    assert await store.rows() == [again]
    assert await store.image(again) == IMAGE


async def test_what_was_parked_anew_is_not_removed_by_an_un_park_of_before(store_of: StoreOf) -> None:
    store = store_of("one")
    await store.park(parked(1), IMAGE)
    await store.park(parked(3), IMAGE)
    assert not await store.unpark(parked(1))
    assert await store.rows() == [parked(3)]
    assert await store.image(parked(3)) == IMAGE


async def test_un_parked_twice_it_is_gone_once(store_of: StoreOf, tables: Tables) -> None:
    store = store_of("one")
    await store.park(parked(), IMAGE)
    await store.park(parked(key="b"), IMAGE)
    assert await store.unpark(parked())
    assert not await store.unpark(parked())
    assert await store.rows() == [parked(key="b")]
    assert len(await images(tables)) == 1


async def test_a_row_without_its_image_is_told_all_the_same(store_of: StoreOf, tables: Tables) -> None:
    store = store_of("one")
    await store.park(parked(), IMAGE)
    [chunk] = await images(tables)
    await call(tables, "DeleteItem", TableName="state", Key={"kind": {"S": "parked-image"}, "id": {"S": chunk}})
    assert await store.rows() == [parked()]
    assert await store.image(parked()) is None


async def test_another_life_sees_nothing_and_parks_its_own(store_of: StoreOf) -> None:
    await store_of("one").park(parked(10), IMAGE)
    assert await store_of("two").rows() == []
    assert not await store_of("two").unpark(parked(10))
    assert await store_of("two").park(parked(2), IMAGE)
    assert await store_of("two").rows() == [parked(2)]
    assert await store_of("one").rows() == []


async def test_a_copy_at_rest_has_rows_of_its_own(store_of: StoreOf, tables: Tables) -> None:
    life = Incarnation("one", "at rest", kinds="at-rest-")
    at_rest = ParkedRows(tables.caller(Side.STATE), "state", life)
    await store_of("one").park(parked(1), IMAGE)
    await at_rest.park(parked(2), IMAGE)
    assert await store_of("one").rows() == [parked(1)]
    assert await at_rest.rows() == [parked(2)]


async def test_a_row_of_somebody_else_is_ignored(store_of: StoreOf, tables: Tables) -> None:
    store = store_of("one")
    await store.park(parked(), IMAGE)
    [row] = (await call(tables, "Query", TableName="state", **_PARKED))["Items"]
    await call(tables, "PutItem", TableName="state", Item=row | {"version": {"N": "1"}})
    assert await store.rows() == []


async def test_a_row_of_a_newer_version_of_the_program_stops_this_one(store_of: StoreOf, tables: Tables) -> None:
    store = store_of("one")
    await store.park(parked(), IMAGE)
    [row] = (await call(tables, "Query", TableName="state", **_PARKED))["Items"]
    await call(tables, "PutItem", TableName="state", Item=row | {"schema": {"N": "99"}})
    with pytest.raises(Stop, match="schema"):
        await store.rows()


_PARKED = {
    "KeyConditionExpression": "#kind = :kind",
    "ExpressionAttributeNames": {"#kind": "kind"},
    "ExpressionAttributeValues": {":kind": {"S": "parked"}},
    "ConsistentRead": True,
}
