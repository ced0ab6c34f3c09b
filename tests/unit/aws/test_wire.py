"""Rows of control tables: an answer of something else is never taken for an empty table or a missing row."""

from typing import Any

import pytest

from dynamirror.aws.wire import all_rows, get_row, s
from dynamirror.errors import Unanswered
from tests.support.script import ScriptedCaller

ROW = {"leaseKey": s("a")}


async def rows_of(*answers: Any) -> list[Any]:
    return [row async for row in all_rows(ScriptedCaller(*answers), "Scan", {}, "Scan of L")]


async def test_pages_are_joined_and_may_be_empty() -> None:
    assert await rows_of({"Items": [], "LastEvaluatedKey": ROW}, {"Items": [ROW]}) == [ROW]
    assert await rows_of({"Items": []}) == []


@pytest.mark.parametrize("answer", [{}, {"ok": True}, {"Items": None}, {"Count": 0, "ScannedCount": 0}, b'{"Items":['])
async def test_a_page_that_does_not_name_its_rows_is_none(answer: Any) -> None:
    """A lease table that looked empty would restart the task."""
    with pytest.raises(Unanswered, match=r"^Scan of L at https://scripted.invalid/: the answer \("):
        await rows_of(answer)
    with pytest.raises(Unanswered):
        await rows_of({"Items": [ROW], "LastEvaluatedKey": ROW}, answer)


async def test_a_row_is_there_or_not() -> None:
    missing: tuple[Any, ...] = ({}, {"Item": None}, {"ConsumedCapacity": {"TableName": "L"}})
    for answer in missing:
        assert await get_row(ScriptedCaller(answer), {}, "GetItem of a") is None
    found: tuple[Any, ...] = ({"Item": ROW}, {"Item": ROW, "Later": 1})
    for answer in found:
        assert await get_row(ScriptedCaller(answer), {}, "GetItem of a") == ROW


@pytest.mark.parametrize("answer", [{"ok": True}, {"error": "no", "ConsumedCapacity": {}}, b"{"])
async def test_an_answer_about_something_else_is_not_a_missing_row(answer: Any) -> None:
    with pytest.raises(Unanswered, match=r"^GetItem of a at https://scripted.invalid/: the answer"):
        await get_row(ScriptedCaller(answer), {}, "GetItem of a")
