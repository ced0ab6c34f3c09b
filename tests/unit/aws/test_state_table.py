"""Rows of the state table, and what another life of the task or a newer version means for them."""

import logging
from typing import Any

import pytest

from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.errors import ConditionFailed, Retry, Side, Stop
from dynamirror.model.duty import Duty
from dynamirror.model.worker_row import WorkerRow
from dynamirror.state_ports import PairAnswer
from tests.support.script import ScriptedCaller

LIFE = Incarnation("table-id-1", "arn:stream/1")
MARKS = {"leaseTableId": {"S": "table-id-1"}, "streamArn": {"S": "arn:stream/1"}, "schema": {"N": "1"}}
OTHER_LIFE = MARKS | {"leaseTableId": {"S": "table-id-0"}}
PAIR = {"kind": {"S": "task"}, "id": {"S": "pair"}, "source": {"S": "arn:S"}, "destination": {"S": "arn:D"}}


def state(*answers: Any) -> tuple[ScriptedCaller, StateTable]:
    caller = ScriptedCaller(*answers)
    return caller, StateTable(caller, "T-state", LIFE)


def beat_row(worker: str, counter: str, marks: Any = MARKS) -> Any:
    return {"kind": {"S": "worker"}, "id": {"S": worker}, "beat": {"N": counter}, **marks}


async def test_a_heartbeat_is_one_whole_row() -> None:
    caller, table = state({})
    await table.beat("w1", WorkerRow(7), {"host": "h"})
    row = {"kind": {"S": "worker"}, "id": {"S": "w1"}, "beat": {"N": "7"}, "host": {"S": "h"}, **MARKS}
    assert caller.asked == [("PutItem", {"TableName": "T-state", "Item": row})]


async def test_facts_cannot_overwrite_the_row_itself() -> None:
    _, table = state({})
    with pytest.raises(AssertionError):
        await table.beat("w1", WorkerRow(7), {"beat": "9"})


async def test_beats_are_read_consistently_from_all_pages() -> None:
    first = {"Items": [beat_row("w1", "7")], "LastEvaluatedKey": {"kind": {"S": "worker"}, "id": {"S": "w1"}}}
    caller, table = state(first, {"Items": [beat_row("w2", "8")]})
    assert await table.beats() == {"w1": 7, "w2": 8}
    (operation, request), (_, second) = caller.asked
    assert operation == "Query"
    assert request["ConsistentRead"] is True
    assert request["ExpressionAttributeValues"] == {":kind": {"S": "worker"}}
    assert second["ExclusiveStartKey"] == first["LastEvaluatedKey"]


@pytest.mark.parametrize("marks", [OTHER_LIFE, MARKS | {"streamArn": {"S": "arn:stream/0"}}, {}])
async def test_rows_of_another_life_are_ignored_and_that_is_said_once(
    marks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    page = {"Items": [beat_row("w0", "1", marks), beat_row("w9", "2", marks), beat_row("w1", "7")]}
    _, table = state(page, page)
    with caplog.at_level(logging.WARNING, "dynamirror.leases"):
        assert await table.beats() == {"w1": 7}
        assert await table.beats() == {"w1": 7}
    [line] = caplog.records
    assert line.__dict__["event"] == "state_rows_of_another_life"


@pytest.mark.parametrize("schema", [{"N": "2"}, {"S": "1"}])
async def test_a_row_of_a_newer_version_stops(schema: Any) -> None:
    _, table = state({"Items": [beat_row("w1", "7", MARKS | {"schema": schema})]})
    with pytest.raises(Stop, match="update dynamirror"):
        await table.beats()


async def test_a_pair_of_a_newer_version_stops() -> None:
    _, table = state({"Item": PAIR | OTHER_LIFE | {"schema": {"N": "2"}}})
    with pytest.raises(Stop, match="update dynamirror"):
        await table.remember_pair("arn:S", "arn:D")


async def test_retiring_deletes_the_row() -> None:
    caller, table = state({})
    await table.retire("w1")
    key = {"kind": {"S": "worker"}, "id": {"S": "w1"}}
    assert caller.asked == [("DeleteItem", {"TableName": "T-state", "Key": key})]


async def test_a_first_pair_is_written_unless_there_is_one() -> None:
    caller, table = state({}, {})
    assert await table.remember_pair("arn:S", "arn:D") == PairAnswer(True, "arn:S", "arn:D")
    operation, request = caller.asked[1]
    assert operation == "PutItem"
    assert request["Item"] == PAIR | MARKS
    assert request["ConditionExpression"] == "attribute_not_exists(#kind)"


async def test_the_same_pair_is_fine_and_not_written_again() -> None:
    caller, table = state({"Item": PAIR | MARKS})
    assert (await table.remember_pair("arn:S", "arn:D")).ok
    assert len(caller.asked) == 1


@pytest.mark.parametrize("marks,current", [(MARKS, True), (OTHER_LIFE, False)])
async def test_another_pair_counts_in_every_life(marks: Any, current: bool) -> None:
    _, table = state({"Item": PAIR | marks})
    assert await table.remember_pair("arn:S", "arn:X") == PairAnswer(False, "arn:S", "arn:D", current)


async def test_the_same_pair_moves_into_the_present_life() -> None:
    caller, table = state({"Item": PAIR | OTHER_LIFE}, {})
    assert (await table.remember_pair("arn:S", "arn:D")).ok
    request = caller.requests[1]
    assert request["Item"] == PAIR | MARKS
    assert request["ExpressionAttributeValues"][":leaseTableId"] == {"S": "table-id-0"}


async def test_two_that_start_at_once_agree() -> None:
    """1 both read nothing; 2 the other one writes first; 3 ours is refused and finds the other's pair."""
    _, table = state({}, ConditionFailed("there"), {"Item": PAIR | MARKS})
    assert not (await table.remember_pair("arn:X", "arn:D")).ok


async def test_a_row_that_never_rests_is_left_for_later() -> None:
    _, table = state(*[{}, ConditionFailed("there")] * 3)
    with pytest.raises(Retry):
        await table.remember_pair("arn:S", "arn:D")


DUTY = Duty("i", {"pk": {"N": "1E2"}}, "w1", 3)


def duty_row(**changes: Any) -> Any:
    row = {"kind": {"S": "duty"}, "id": {"S": "i"}, "key": {"M": DUTY.key}, "worker": {"S": "w1"}, "claim": {"N": "3"}}
    return row | MARKS | changes


async def test_a_duty_is_one_row_with_the_key_as_it_came() -> None:
    caller, table = state({}, {"Items": [duty_row()]})
    await table.put_duty(DUTY)
    assert caller.asked == [("PutItem", {"TableName": "T-state", "Item": duty_row()})]
    assert await table.duties() == [DUTY]


@pytest.mark.parametrize("wrong", [{"key": {"S": "x"}}, {"worker": {"N": "1"}}, {"claim": {"N": "x"}}])
async def test_a_duty_that_is_none_is_said_once_and_left_out(wrong: Any, caplog: pytest.LogCaptureFixture) -> None:
    page = {"Items": [duty_row(**wrong), duty_row()]}
    _, table = state(page, page)
    for _ in range(2):
        assert await table.duties() == [DUTY]
    assert [line.__dict__["event"] for line in caplog.records] == ["state_row_refused"]


async def test_a_removal_that_was_refused_is_done() -> None:
    caller, table = state(ConditionFailed("gone"), Retry(Side.STATE, "later"))
    await table.remove_duty(DUTY)
    with pytest.raises(Retry):
        await table.remove_duty(DUTY)
    assert caller.requests[0]["ExpressionAttributeValues"] == {":worker": {"S": "w1"}, ":claim": {"N": "3"}}


async def test_a_claim_is_the_whole_row_on_the_condition_of_the_old_one() -> None:
    """So that the rights to put, query and delete are enough."""
    caller, table = state({})
    claimed = await table.claim_duty(DUTY, "w2")
    assert claimed == Duty(DUTY.id, DUTY.key, "w2", 4)
    [(operation, request)] = caller.asked
    assert (operation, request["Item"]) == ("PutItem", duty_row(worker={"S": "w2"}, claim={"N": "4"}))
    assert request["ConditionExpression"] == "#worker = :worker AND #claim = :claim"
    assert request["ExpressionAttributeValues"] == {":worker": {"S": "w1"}, ":claim": {"N": "3"}}
