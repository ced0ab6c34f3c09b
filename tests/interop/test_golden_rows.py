"""T1: rows that dynamirror makes are those that KCL makes."""

import json
from typing import Any

import pytest

from tests.interop.side_by_side import START_S, SideBySide
from tests.support.command import wait_until


def created(side: SideBySide, task: str) -> dict[str, Any]:
    """Rows as they were put into a task's lease table, by shard, without our own attributes."""
    table = f"DynamoDBCrossRegionReplication{task}"
    rows = [
        json.loads(entry.call.body)["Item"]
        for entry in side.thread.proxy.journal.of("PutItem", table)
        if entry.status == 200
    ]
    assert len(rows) == len({row["leaseKey"]["S"] for row in rows}), "each once"
    return {row["leaseKey"]["S"]: bare(row) for row in rows}


def bare(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.startswith("xr_")}


def shape(row: dict[str, Any]) -> dict[str, list[str]]:
    return {name: list(value) for name, value in bare(row).items()}


@pytest.mark.parametrize("side", [2], indirect=True)
def test_both_make_the_same_rows(side: SideBySide) -> None:
    root = side.stream.open_shards()[0]
    side.put_all()
    [child] = side.thread.do(side.stream.roll, root)
    side.put_all()
    with side.java("byJava"):
        wait_until(lambda: saved(side, "byJava") >= {child}, START_S)
        processed = shape(side.rows("byJava")[child])
    with side.python(task="byUs") as python:
        wait_until(lambda: saved(side, "byUs") >= {child}, START_S, python)
        assert shape(side.rows("byUs")[child]) == processed
    by_java, by_us = created(side, "byJava"), created(side, "byUs")
    assert set(by_java) == {root, *side.stream.open_shards()}
    assert by_java[child]["parentShardId"] == {"SS": [root]}
    assert by_us == by_java


def saved(side: SideBySide, task: str) -> set[str]:
    """Shards of a task whose rows have an owner and a number."""
    rows = side.rows(task).items()
    return {shard for shard, row in rows if row["checkpoint"]["S"].isdigit() and "leaseOwner" in row}
