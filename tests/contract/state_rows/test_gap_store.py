"""What the rows of gaps keep: one for each place, and none that was found again is closed by what began before."""

from collections.abc import Callable
from dataclasses import replace

from dynamirror.aws.gap_rows import GapRows
from dynamirror.model.gap import OpenGap
from tests.contract.conftest import Tables, call

ROWS = GapRows
StoreOf = Callable[[str], GapRows]
GAP = OpenGap("shardId-1", "100000000000000000001", "changes were trimmed", 1_700_000_000_123, "w")


async def test_every_field_comes_back(store_of: StoreOf) -> None:
    store = store_of("one")
    assert await store.gaps() == []
    await store.open_gap(GAP)
    assert await store_of("one").gaps() == [GAP]
    assert await store_of("another").gaps() == []


async def test_each_place_has_a_row_of_its_own(store_of: StoreOf) -> None:
    store = store_of("one")
    later = replace(GAP, behind="100000000000000000002", found_at_ms=GAP.found_at_ms + 1)
    other = replace(GAP, shard_id="shardId-2")
    for gap in (GAP, later, other, GAP):
        await store.open_gap(gap)
    assert {gap.id for gap in await store.gaps()} == {GAP.id, later.id, other.id}


async def test_closed_it_is_gone_and_closing_it_again_does_no_harm(store_of: StoreOf) -> None:
    store = store_of("one")
    await store.open_gap(GAP)
    assert await store.close_gap(GAP)
    assert await store.gaps() == []
    assert not await store.close_gap(GAP)


async def test_one_that_was_found_again_is_not_closed_by_what_began_before(store_of: StoreOf) -> None:
    store = store_of("one")
    await store.open_gap(GAP)
    again = replace(GAP, found_at_ms=GAP.found_at_ms + 1, worker="heir")
    await store_of("one").open_gap(again)
    assert not await store.close_gap(GAP)
    assert await store.gaps() == [again]


async def test_a_row_that_cannot_be_read_is_an_open_gap_all_the_same(store_of: StoreOf, tables: Tables) -> None:
    store = store_of("one")
    await store.open_gap(GAP)
    [row] = (await call(tables, "Scan", TableName="state", ConsistentRead=True))["Items"]
    damaged = {name: value for name, value in row.items() if name not in ("behind", "foundMs")}
    await call(tables, "PutItem", TableName="state", Item={**damaged, "shard": {"N": "1"}})
    [gap] = await store.gaps()
    assert gap.shard_id == ""
    assert not await store.close_gap(gap), "nobody knows what it says"
