"""What is asked of the state table for a copy, and what its answers become."""

from typing import Any

import pytest

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.errors import ConditionFailed, Unanswered
from dynamirror.model.copy import Copy, Phase, Segment
from tests.support.script import ScriptedCaller

LIFE = Incarnation("table-id-1", "arn:stream/1")
MARKS = {"leaseTableId": {"S": "table-id-1"}, "streamArn": {"S": "arn:stream/1"}, "schema": {"N": "1"}}
ANNOUNCED = Copy(Phase.ANNOUNCED, 4, 7, True)
ROW = {
    "kind": {"S": "copy"},
    "id": {"S": "task"},
    **MARKS,
    "phase": {"S": "announced"},
    "segments": {"N": "4"},
    "beganMs": {"N": "7"},
    "wasEmpty": {"BOOL": True},
    "needsVerify": {"BOOL": False},
    "version": {"N": "1"},
}


def store(*answers: Any) -> tuple[ScriptedCaller, CopyRows]:
    caller = ScriptedCaller(*answers)
    return caller, CopyRows(caller, "T-state", LIFE)


async def test_the_copy_is_one_whole_row_where_there_is_none_of_this_life() -> None:
    caller, rows = store({})
    await rows.put_copy(ANNOUNCED, None)
    [(operation, request)] = caller.asked
    assert operation == "PutItem"
    assert request["Item"] == ROW
    assert request["ConditionExpression"] == "attribute_not_exists(#kind) OR #life <> :life OR #stream <> :stream"
    assert request["ExpressionAttributeValues"] == {":life": MARKS["leaseTableId"], ":stream": MARKS["streamArn"]}


async def test_it_moves_from_one_life_into_the_next_only_as_it_was_read_there() -> None:
    caller, rows = store({}, ConditionFailed("moved on"))
    for _ in range(2):
        await rows.take_over(ANNOUNCED, Incarnation("table-id-1", "arn:stream/0"))
    (_, request), _ = caller.asked
    assert request["Item"] == ROW
    assert request["ConditionExpression"] == "#counter = :counter AND #life = :life AND #stream = :stream"
    former = {":life": MARKS["leaseTableId"], ":stream": {"S": "arn:stream/0"}, ":counter": {"N": "1"}}
    assert request["ExpressionAttributeValues"] == former


async def test_the_copy_is_read_consistently() -> None:
    caller, rows = store({"Item": ROW})
    assert await rows.copy() == ANNOUNCED
    [(operation, request)] = caller.asked
    assert operation == "GetItem"
    assert request["ConsistentRead"] is True


async def test_an_answer_that_is_none_is_not_taken_for_no_copy() -> None:
    _, rows = store({"Message": "hello"}, {"Count": 0})
    with pytest.raises(Unanswered):
        await rows.copy()
    with pytest.raises(Unanswered):
        await rows.segments()


async def test_a_step_names_the_row_that_it_follows() -> None:
    caller, rows = store({})
    await rows.put_segment(Segment(12, "w1", 5, False, b'{"pk":{"S":"x"}}', 3, 2, 1, 9), Segment(12, "w0", 4))
    [request] = caller.requests
    assert request["Item"] == {
        "kind": {"S": "segment"},
        "id": {"S": "000012"},
        **MARKS,
        "worker": {"S": "w1"},
        "claim": {"N": "5"},
        "done": {"BOOL": False},
        "after": {"S": '{"pk":{"S":"x"}}'},
        "read": {"N": "3"},
        "written": {"N": "2"},
        "parked": {"N": "1"},
        "bytes": {"N": "9"},
    }
    assert request["ExpressionAttributeNames"]["#counter"] == "claim"
    assert request["ExpressionAttributeValues"][":counter"] == {"N": "4"}


async def test_segments_are_read_consistently_from_all_pages() -> None:
    row = {
        "kind": {"S": "segment"},
        **MARKS,
        "claim": {"N": "0"},
        "done": {"BOOL": False},
        **{name: {"N": "0"} for name in ("read", "written", "parked", "bytes")},
    }
    last_key = {"kind": {"S": "segment"}, "id": {"S": "000000"}}
    first = {"Items": [{**row, "id": {"S": "000000"}}], "LastEvaluatedKey": last_key}
    caller, rows = store(first, {"Items": [{**row, "id": {"S": "000001"}}]})
    assert await rows.segments() == [Segment(0), Segment(1)]
    assert [request["ConsistentRead"] for request in caller.requests] == [True, True]
    assert caller.requests[1]["ExclusiveStartKey"] == last_key


async def test_only_making_a_segment_bears_with_a_row_that_is_there() -> None:
    _, rows = store(ConditionFailed("there"), ConditionFailed("there"))
    await rows.make_segment(Segment(0))
    with pytest.raises(ConditionFailed):
        await rows.put_segment(Segment(0).claimed("w1"), Segment(0))


async def test_a_former_life_is_forgotten_only_as_it_was_seen() -> None:
    theirs = ROW | {"leaseTableId": {"S": "table-id-0"}, "version": {"N": "3"}}
    caller, rows = store({"Item": theirs}, {}, ConditionFailed("it has changed"))
    former = await rows.former()
    assert former is not None
    await rows.forget(former)
    await rows.forget(former)
    operation, request = caller.asked[1]
    assert operation == "DeleteItem"
    assert request["ConditionExpression"] == "#version = :version AND (#life <> :life OR #stream <> :stream)"
    assert request["ExpressionAttributeValues"][":version"] == {"N": "3"}


@pytest.mark.parametrize("row", [None, ROW, ROW | {"leaseTableId": {"S": "table-id-0"}, "phase": {"S": "over"}}])
async def test_none_is_told_of_where_nothing_can_land(row: Any) -> None:
    assert await store({} if row is None else {"Item": row})[1].former() is None
