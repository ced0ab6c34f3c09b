"""What is asked and answered when items are read by key, and replaced."""

import json
from typing import Any

import pytest

from dynamirror.aws.items import Items
from dynamirror.errors import Side, Unanswered
from dynamirror.model.as_read import as_read
from dynamirror.model.diff import Item
from dynamirror.model.item_key import ItemKey, ItemKeys
from dynamirror.model.key import KeyAttribute, KeyCodec, KeySchema
from tests.support.script import ScriptedCaller

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "S"), KeyAttribute("at", "N")))


def key(text: str, at: str) -> ItemKey:
    return ItemKeys(CODEC).of_item({"id": {"S": text}, "at": {"N": at}})


A, B = key("a", "1E2"), key("b", "2")


def items(*answers: Any) -> tuple[ScriptedCaller, Items]:
    caller = ScriptedCaller(*answers)
    return caller, Items(caller, "T", CODEC, Side.SOURCE)


async def test_one_consistent_batch_with_the_keys_as_they_came() -> None:
    caller, table = items({"Responses": {"T": []}, "UnprocessedKeys": {}})
    answer = await table.read([A, B])
    assert (answer.items, list(answer.unprocessed)) == ({}, [])
    keys = [{"id": {"S": "a"}, "at": {"N": "1E2"}}, {"id": {"S": "b"}, "at": {"N": "2"}}]
    wanted = {"RequestItems": {"T": {"Keys": keys, "ConsistentRead": True}}, "ReturnConsumedCapacity": "TOTAL"}
    assert caller.asked == [("BatchGetItem", wanted)]
    assert answer.units is None


async def test_what_the_service_charged_is_told() -> None:
    charged = [{"TableName": "T", "CapacityUnits": 7.5}]
    _, table = items({"Responses": {"T": []}, "UnprocessedKeys": {}, "ConsumedCapacity": charged})
    assert (await table.read([A, B])).units == 7.5


async def test_items_and_unprocessed_keys_are_known_by_value() -> None:
    item = {"v": {"N": "0.10"}, "id": {"S": "a"}, "at": {"N": "100"}}
    left = {"Keys": [{"at": {"N": "2.0"}, "id": {"S": "b"}}], "ConsistentRead": True}
    # A table asked for by its ARN answers by its name.
    _, table = items({"Responses": {"arn": [item]}, "UnprocessedKeys": {"arn": left}})
    answer = await table.read([A, B])
    assert answer.items == {A.key: item}
    assert set(answer.unprocessed) == {B.key}


async def test_marks_of_old_global_tables_are_left_out_when_asked_for() -> None:
    item = {"v": {"N": "0.10"}, "id": {"S": "a"}, "at": {"N": "100"}}
    marked = {**item, "aws:rep:updatetime": {"N": "1.5"}}
    answer = {"Responses": {"T": [marked]}, "UnprocessedKeys": {}}
    there = await Items(ScriptedCaller(answer), "T", CODEC, Side.DESTINATION).read([A])
    assert there.items == {A.key: marked}
    here = await Items(ScriptedCaller(answer), "T", CODEC, Side.SOURCE, drop_marks=True).read([A])
    assert here.items == {A.key: item}


STRANGER = {"id": {"S": "c"}, "at": {"N": "1"}}


@pytest.mark.parametrize(
    "answer",
    [
        {"Responses": {"T": [STRANGER]}, "UnprocessedKeys": {}},
        {"Responses": {}, "UnprocessedKeys": {"T": {"Keys": [STRANGER]}}},
        {"Responses": {"T": [{"id": {"S": "a"}}]}, "UnprocessedKeys": {}},
        {"Responses": [], "UnprocessedKeys": {}},
        # The service always says both; else an item that is there would look deleted.
        {},
        {"Responses": {"T": []}},
        {"UnprocessedKeys": {}},
        b'{"Responses":{"T":[{"id":{"S":"a"},',
    ],
)
async def test_an_answer_that_makes_no_sense_is_none(answer: Any) -> None:
    _, table = items(answer)
    with pytest.raises(Unanswered, match=r"^BatchGetItem on T at https://scripted.invalid/: "):
        await table.read([A, B])


async def test_replacements_carry_their_condition() -> None:
    caller, table = items({}, {})
    wanted: Item = {"id": {"S": "a"}, "at": {"N": "1E2"}, "v": {"N": "0.10"}}
    condition = as_read({**A.attributes, "v": {"S": "old"}}, CODEC.schema)
    await table.replace(A, condition, wanted)
    await table.replace(A, condition, None)
    demanded = json.loads(json.dumps(condition.request()))
    assert caller.asked == [
        ("PutItem", {"TableName": "T", "Item": wanted, **demanded}),
        ("DeleteItem", {"TableName": "T", "Key": A.attributes, **demanded}),
    ]


@pytest.mark.parametrize("keys", [[], [A, key("a", "100.0")], [key("x", str(n)) for n in range(101)]])
async def test_a_batch_that_the_service_would_refuse_is_never_sent(keys: list[ItemKey]) -> None:
    caller, table = items()
    with pytest.raises(AssertionError):
        await table.read(keys)
    assert not caller.asked
