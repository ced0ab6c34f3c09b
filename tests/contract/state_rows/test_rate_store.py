"""What the rows of rates keep: one for each worker, of one life of a task at a time."""

from collections.abc import Callable

from dynamirror.aws.rate_rows import RateRows
from dynamirror.model.shares import Demand, RateRow
from tests.contract.conftest import Tables, call

ROWS = RateRows
StoreOf = Callable[[str], RateRows]


def row(worker: str, counter: int = 1, used_s: float = 12.5, limited: bool = True) -> RateRow:
    return RateRow(worker, counter, Demand(used_s, not limited), Demand(0.0, limited))


async def test_nobody_says_anything_at_first(store_of: StoreOf) -> None:
    assert await store_of("one").rows() == []


async def test_rows_are_seen_by_all_as_they_were_last_written(store_of: StoreOf) -> None:
    await store_of("one").put(row("w1"))
    await store_of("one").put(row("w2", 7, 123456.789, limited=False))
    await store_of("one").put(row("w1", 2, 0.0))
    assert await store_of("one").rows() == [row("w1", 2, 0.0), row("w2", 7, 123456.789, limited=False)]


async def test_a_row_is_removed_and_need_not_be_there(store_of: StoreOf) -> None:
    await store_of("one").put(row("w1"))
    for _ in range(2):
        await store_of("one").remove("w1")
    assert await store_of("one").rows() == []


async def test_another_life_sees_none_of_it(store_of: StoreOf) -> None:
    await store_of("one").put(row("w1"))
    assert await store_of("two").rows() == []
    await store_of("two").put(row("w1", 9))
    assert await store_of("one").rows() == []
    assert await store_of("two").rows() == [row("w1", 9)]


async def test_a_row_that_cannot_be_read_is_left_out(store_of: StoreOf, tables: Tables) -> None:
    await store_of("one").put(row("w1"))
    life = {"leaseTableId": {"S": "one"}, "streamArn": {"S": "arn:stream"}, "schema": {"N": "1"}}
    await call(tables, "PutItem", TableName="state", Item={"kind": {"S": "rate"}, "id": {"S": "odd"}, **life})
    assert await store_of("one").rows() == [row("w1")]
