"""What the row of a verify keeps: one run at a time, each step once, for one life of a task."""

from collections.abc import Callable

import pytest

from dynamirror.aws.verify_rows import VerifyRows
from dynamirror.errors import ConditionFailed, Stop
from dynamirror.model.verify import SEGMENTS_MAX, Tally, VerifyRun
from tests.contract.conftest import Tables, call

ROWS = VerifyRows
StoreOf = Callable[[str], VerifyRows]
RUN = VerifyRun("1700000000.123", "arn:a arn:b repair=True", 1000, 0.01, 7)


async def test_every_field_comes_back(store_of: StoreOf) -> None:
    store = store_of("one")
    assert await store.run() is None
    everything = VerifyRun(
        "id", "ü", SEGMENTS_MAX, 0.001, 3, (1 << SEGMENTS_MAX) - 2, Tally(*range(9)), 12, True, version=1
    )
    await store.put_run(everything, None)
    assert await store_of("one").run() == everything


async def test_of_two_that_begin_or_go_on_the_second_is_refused(store_of: StoreOf) -> None:
    store = store_of("one")
    await store.put_run(RUN, None)
    with pytest.raises(ConditionFailed):
        await store.put_run(RUN, None)
    following = VerifyRun("other", "words", 4, version=2)
    await store.put_run(following, RUN)
    with pytest.raises(ConditionFailed):
        await store.put_run(following, RUN)
    assert await store.run() == following


async def test_another_life_sees_no_run_and_begins_its_own(store_of: StoreOf) -> None:
    await store_of("one").put_run(RUN, None)
    assert await store_of("two").run() is None
    await store_of("two").put_run(RUN, None)
    assert await store_of("one").run() is None


async def test_a_row_that_cannot_be_read_says_what_to_do(store_of: StoreOf, tables: Tables) -> None:
    store = store_of("one")
    await store.put_run(RUN, None)
    [row] = (await call(tables, "Scan", TableName="state", ConsistentRead=True))["Items"]
    await call(tables, "PutItem", TableName="state", Item=row | {"done": {"S": "no number"}})
    with pytest.raises(Stop, match="delete the item with kind verify"):
        await store.run()
