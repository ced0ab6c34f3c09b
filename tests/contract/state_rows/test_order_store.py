"""What the row of orders keeps: one for the task's name, whatever its life."""

from collections.abc import Callable

import pytest

from dynamirror.aws.order_rows import OrderRows
from dynamirror.errors import ConditionFailed, Stop
from dynamirror.model.orders import Orders, RateOrder
from dynamirror.model.rate import Limit
from tests.contract.conftest import Tables, call

ROWS = OrderRows
StoreOf = Callable[[str], OrderRows]
LIFE = {"leaseTableId": {"S": "one"}, "streamArn": {"S": "arn:stream"}}
KEY = {"kind": {"S": "task"}, "id": {"S": "orders"}}


async def test_nothing_is_ordered_at_first(store_of: StoreOf) -> None:
    assert await store_of("one").orders() == Orders()


async def test_orders_stand_for_every_life_of_the_task(store_of: StoreOf) -> None:
    store = store_of("one")
    orders = Orders().pause(17, "a@b").rates(Limit(units_s=500), RateOrder.NONE, 18, "c@d")
    await store.order(orders, await store.orders())
    assert await store_of("two").orders() == orders
    shared = orders.rates(Limit(percent=12.5), RateOrder.DEFAULT, 19, "e@f").resume(20, "e@f")
    await store.order(shared, orders)
    assert await store_of("two").orders() == shared


async def test_of_two_who_order_at_once_one_looks_again(store_of: StoreOf) -> None:
    one, other = store_of("one"), store_of("two")
    await one.orders()
    await other.orders()
    await one.order(Orders().pause(1, "a"), Orders())
    with pytest.raises(ConditionFailed):
        await other.order(Orders().pause(2, "b"), Orders())
    assert (await other.orders()).paused_by == "a"
    await other.order((await other.orders()).resume(3, "b"), Orders(1, paused=True))
    with pytest.raises(ConditionFailed):
        await one.order(Orders().pause(1, "a"), Orders(1))


async def test_what_a_newer_version_has_put_there_is_kept(store_of: StoreOf, tables: Tables) -> None:
    row = KEY | LIFE | {"schema": {"N": "1"}, "counter": {"N": "3"}, "paused": {"BOOL": False}, "later": {"S": "x"}}
    row |= {"orderedMs": {"N": "5"}, "orderedBy": {"S": "a"}}
    await call(tables, "PutItem", TableName="state", Item=row)
    store = store_of("two")
    before = await store.orders()
    await store.order(before.pause(6, "b"), before)
    kept = (await call(tables, "GetItem", TableName="state", Key=KEY))["Item"]
    assert (kept["later"], kept["paused"], kept["counter"]) == ({"S": "x"}, {"BOOL": True}, {"N": "4"})


@pytest.mark.parametrize("damage", [{"schema": {"N": "2"}}, {"counter": {"S": "x"}}, {"readRate": {"S": "fast"}}])
async def test_a_row_that_cannot_be_read_stops(store_of: StoreOf, tables: Tables, damage: dict[str, object]) -> None:
    row = KEY | LIFE | {"schema": {"N": "1"}, "counter": {"N": "3"}, "paused": {"BOOL": False}}
    row |= {"orderedMs": {"N": "5"}, "orderedBy": {"S": "a"}}
    await call(tables, "PutItem", TableName="state", Item=row | damage)
    with pytest.raises(Stop):
        await store_of("one").orders()
