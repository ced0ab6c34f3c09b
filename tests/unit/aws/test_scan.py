"""What is asked and answered when a whole table is read."""

import json
from typing import Any

import pytest

from dynamirror.aws.scan import TableScan
from dynamirror.errors import Side, Throttled, Unanswered
from tests.support.script import ScriptedCaller


def table(*answers: Any, name: str = "T", side: Side = Side.SOURCE) -> tuple[ScriptedCaller, TableScan]:
    caller = ScriptedCaller(*answers)
    return caller, TableScan(caller, name, side)


async def test_one_consistent_page_of_one_segment() -> None:
    """A-9: a page that is stale brings back an item whose delete was applied before everybody held."""
    caller, source = table({"Items": []})
    page = await source.scan(3, 64, b"", 100)
    assert (list(page.items), page.last_key) == ([], b"")
    request = {"TableName": "T", "ConsistentRead": True, "Segment": 3, "TotalSegments": 64, "Limit": 100}
    assert caller.asked == [("Scan", request)]


async def test_it_goes_on_behind_a_key_as_it_came() -> None:
    caller, source = table({"Items": []}, name='odd"name')
    after = '{"n":{"N":"1E-130"},"b":{"B":"AAEC/w=="},"s":{"S":"\\u0000 ключ"}}'.encode()
    await source.scan(0, 1, after, 1)
    assert b'"ExclusiveStartKey":' + after + b"}" in caller.bodies[0]
    assert caller.requests[0]["TableName"] == 'odd"name'


async def test_items_and_the_last_key_are_the_bytes_that_were_sent() -> None:
    items = [b'{"id": {"N":"1.00"},  "v":{"S":"\\u00e9"}}', b'{"v":{"L":[]},"id":{"N":"2e0"}}']
    last_key = b'{ "id":{"N":"2e0"} }'
    answer = b'{"ScannedCount":2,"Items":[%s,%s],"LastEvaluatedKey":%s,"Count":2}' % (*items, last_key)
    _, source = table(answer)
    page = await source.scan(0, 1, b"", 100)
    assert [bytes(item) for item in page.items] == items
    assert json.loads(page.last_key) == json.loads(last_key)
    assert page.size_bytes == len(answer)


async def test_marks_of_old_global_tables_are_left_out_when_asked_for() -> None:
    answer = b'{"Items":[{"id":{"N":"1.0"},"aws:rep:deleting":{"BOOL":false}}, {"v":{"L":[]},"id":{"N":"2e0"}}]}'
    kept = [b'{"id":{"N":"1.0"}}', b'{"v":{"L":[]},"id":{"N":"2e0"}}']
    page = await TableScan(ScriptedCaller(answer), "T", drop_marks=True).scan(0, 1, b"", 100)
    assert [bytes(item) for item in page.items] == kept
    assert page.size_bytes == len(answer)
    page = await TableScan(ScriptedCaller(answer), "T").scan(0, 1, b"", 100)
    assert b"aws:rep:" in bytes(page.items[0])


async def test_an_empty_page_need_not_be_the_last() -> None:
    _, source = table({"Items": [], "Count": 0, "LastEvaluatedKey": {"id": {"S": "x"}}})
    page = await source.scan(0, 1, b"", 100)
    assert not page.items
    assert json.loads(page.last_key) == {"id": {"S": "x"}}


@pytest.mark.parametrize(
    "answer",
    [
        # Each would look like the end of a segment, and its items be left out.
        {},
        {"Count": 0, "ScannedCount": 0},
        {"Items": None},
        {"Items": {}},
        [],
        b"",
        b'{"Items":[',
        b'{"Items":[]}}',
        b"<html>proxy</html>",
    ],
    ids=str,
)
@pytest.mark.parametrize("side", [Side.SOURCE, Side.DESTINATION])
async def test_what_is_no_answer_is_no_page(answer: Any, side: Side) -> None:
    _, source = table(answer, side=side)
    with pytest.raises(Unanswered, match=r"Scan of T at https://scripted.invalid/") as caught:
        await source.scan(0, 1, b"", 100)
    assert caught.value.side is side


async def test_what_the_service_refuses_passes_through() -> None:
    _, source = table(Throttled(Side.SOURCE, "not now"))
    with pytest.raises(Throttled):
        await source.scan(0, 1, b"", 100)


@pytest.mark.parametrize("said, units", [({"ConsumedCapacity": {"CapacityUnits": 2.5}}, 2.5), ({}, None)])
async def test_a_page_says_what_it_cost_where_that_is_asked(said: dict[str, Any], units: float | None) -> None:
    caller = ScriptedCaller({"Items": [], **said})
    assert (await TableScan(caller, "T", metered=True).scan(0, 1, b'{"id":{"S":"a"}}', 1)).units == units
    assert caller.requests[0]["ReturnConsumedCapacity"] == "TOTAL"
    caller, source = table({"Items": []})
    assert (await source.scan(0, 1, b"", 1)).units is None
    assert "ReturnConsumedCapacity" not in caller.requests[0]
