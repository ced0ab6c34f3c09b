"""Batches are joined from the bytes as they came; what comes back is known by key value."""

from typing import Any

import pytest

from dynamirror.aws.tables import BatchWriter
from dynamirror.errors import Side, Throttled, Unanswered
from dynamirror.model.change import Write
from dynamirror.model.key import KeyAttribute, KeyCodec, KeySchema
from tests.support.script import ScriptedCaller

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "S"), KeyAttribute("at", "N")))
PUT = Write(("a", "1"), b'{"PutRequest":{"Item":{"at":{"N":"1"},"id":{"S":"a"},"big":{"N":"1E-130"}}}}', "1")
DELETE = Write(("b", "2"), b'{"DeleteRequest":{"Key":{"id":{"S":"b"},"at":{"N":"2"}}}}', "2")


def writer(*answers: Any) -> tuple[ScriptedCaller, BatchWriter]:
    caller = ScriptedCaller(*answers)
    return caller, BatchWriter(caller, 'T"1', CODEC)


async def test_the_body_holds_the_requests_byte_for_byte() -> None:
    caller, table = writer({"UnprocessedItems": {}})
    assert not await table.write([PUT, DELETE])
    assert caller.asked[0][0] == "BatchWriteItem"
    assert caller.bodies == [b'{"RequestItems":{"T\\"1":[' + PUT.request + b"," + DELETE.request + b"]}}"]


@pytest.mark.parametrize(
    "answer",
    [{}, {"ok": True}, {"UnprocessedItems": None}, b'{"UnprocessedItems":{', b'{"UnprocessedItems":{"\xff":[]}}'],
)
async def test_an_answer_that_does_not_say_what_is_unprocessed_is_none(answer: Any) -> None:
    """The service always says it; taken for success, what something else answered would be a lost write."""
    _, table = writer(answer)
    with pytest.raises(Unanswered, match=r'^BatchWriteItem on T"1 at https://scripted.invalid/: the answer \('):
        await table.write([PUT])


@pytest.mark.parametrize(
    "request_,left",
    [
        # The service may spell numbers otherwise and order attributes as it likes.
        ({"PutRequest": {"Item": {"id": {"S": "a"}, "big": {"N": "0"}, "at": {"N": "1.0"}}}}, PUT),
        ({"DeleteRequest": {"Key": {"at": {"N": "2"}, "id": {"S": "b"}}}}, DELETE),
    ],
)
async def test_an_unprocessed_write_is_given_back_as_it_was(request_: Any, left: Write) -> None:
    _, table = writer({"UnprocessedItems": {"T": [request_]}})
    [back] = await table.write([PUT, DELETE])
    assert back is left


@pytest.mark.parametrize(
    "request_",
    [
        {"PutRequest": {"Item": {"id": {"S": "stranger"}, "at": {"N": "1"}}}},
        {"PutRequest": {"Item": {"id": {"S": "no range key"}}}},
        {"PutRequest": {"Item": {"id": {"S": "stranger"}, "at": {"N": "no number"}}}},
        {"UpdateRequest": {}},
    ],
)
async def test_an_answer_that_makes_no_sense_leaves_doubt(request_: Any) -> None:
    _, table = writer({"UnprocessedItems": {"T": [request_]}})
    with pytest.raises(Unanswered) as caught:
        await table.write([PUT])
    # What stands in items is nobody's business.
    assert "stranger" not in str(caught.value)
    assert "no number" not in str(caught.value)


async def test_a_refusal_is_passed_on() -> None:
    _, table = writer(Throttled(Side.DESTINATION, "slow down"))
    with pytest.raises(Throttled):
        await table.write([PUT])


@pytest.mark.parametrize(
    "writes",
    [[], [PUT, PUT], [Write((str(number), "1"), b"{}") for number in range(26)]],
    ids=["none", "a key twice", "26"],
)
async def test_a_batch_that_the_service_would_refuse_is_never_sent(writes: list[Write]) -> None:
    caller, table = writer()
    with pytest.raises(AssertionError):
        await table.write(writes)
    assert not caller.asked


CONSUMED = {"ConsumedCapacity": [{"TableName": "T", "CapacityUnits": 7.5}]}


async def test_without_a_meter_nobody_asks_what_it_costs() -> None:
    caller, table = writer({"UnprocessedItems": {}})
    await table.write([PUT])
    assert b"ReturnConsumedCapacity" not in caller.bodies[0]


@pytest.mark.parametrize("said, units", [(CONSUMED, 7.5), ({}, None)])
async def test_a_meter_is_told_what_was_carried_out_and_charged(said: dict[str, Any], units: float | None) -> None:
    told: list[tuple[list[Write], float | None]] = []
    left = {"T": [{"DeleteRequest": {"Key": {"id": {"S": "b"}, "at": {"N": "2"}}}}]}
    caller = ScriptedCaller({"UnprocessedItems": {}, **said}, {"UnprocessedItems": left, **said})
    table = BatchWriter(caller, "T", CODEC, lambda writes, charged: told.append((list(writes), charged)))
    await table.write([PUT, DELETE])
    await table.write([PUT, DELETE])
    assert told == [([PUT, DELETE], units), ([PUT], units)]
    assert caller.requests[0]["ReturnConsumedCapacity"] == "TOTAL"
    assert len(caller.requests[0]["RequestItems"]["T"]) == 2
