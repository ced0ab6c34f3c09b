"""What the row of the last failure keeps: one for the task's name, whatever its life."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dynamirror.aws.failure_rows import WHY_MAX, FailureRows
from dynamirror.model.failure import Failure
from tests.contract.conftest import Tables, call

ROWS = FailureRows
StoreOf = Callable[[str], FailureRows]
FAILURE = Failure("host-17-abcdef012345", "host", "17", 1_700_000_000_123, 6, "gap in the stream: trimmed")


async def test_the_last_one_is_kept_for_every_life_of_the_task(store_of: StoreOf) -> None:
    store = store_of("one")
    assert await store.last() is None
    await store.put(FAILURE)
    assert await store_of("two").last() == FAILURE
    later = replace(FAILURE, worker="w2", at_ms=FAILURE.at_ms + 1, exit_code=7, why="w" * (WHY_MAX + 1))
    await store_of("two").put(later)
    assert await store.last() == replace(later, why="w" * WHY_MAX)


@pytest.mark.parametrize(
    "wrong", [{"why": {"N": "5"}}, {"exitCode": {"S": "6"}}, {"host": {"BOOL": True}}, {"pid": {"NULL": True}}]
)
async def test_a_row_that_cannot_be_read_hides_no_status(
    store_of: StoreOf, tables: Tables, wrong: dict[str, dict[str, Any]]
) -> None:
    await store_of("one").put(FAILURE)
    key = {"kind": {"S": "task"}, "id": {"S": "failed"}}
    row = (await call(tables, "GetItem", TableName="state", Key=key))["Item"]
    await call(tables, "PutItem", TableName="state", Item={**row, **wrong})
    assert await store_of("one").last() is None


async def test_nothing_is_decided_by_it_so_one_of_a_newer_version_is_shown_too(
    store_of: StoreOf, tables: Tables
) -> None:
    await store_of("one").put(FAILURE)
    key = {"kind": {"S": "task"}, "id": {"S": "failed"}}
    row = (await call(tables, "GetItem", TableName="state", Key=key))["Item"]
    await call(tables, "PutItem", TableName="state", Item={**row, "schema": {"N": "2"}, "more": {"S": "x"}})
    assert await store_of("one").last() == FAILURE
