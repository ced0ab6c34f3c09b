"""The scanning shell of the comparison; what counts as a difference is tested at model/diff."""

from collections.abc import Mapping
from typing import Any

import pytest

from dynamirror.engines.compare import compare_tables, items_by_key, key_of
from dynamirror.engines.traffic import Call
from dynamirror.model.key import KeyAttribute, KeySchema

NUMBERED = KeySchema(KeyAttribute("pk", "S"), KeyAttribute("n", "N"))


def item(pk: str, n: str, value: str = "") -> dict[str, dict[str, str]]:
    return {"pk": {"S": pk}, "n": {"N": n}, "v": {"S": value}}


def table(*pages: list[dict[str, dict[str, str]]]) -> Call:
    """A call that scans these pages, in turn."""

    async def call(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        assert (operation, request["TableName"], request["ConsistentRead"]) == ("Scan", "T", True)
        at = int(request.get("ExclusiveStartKey", {"page": "0"})["page"])
        more = {"LastEvaluatedKey": {"page": str(at + 1)}} if at + 1 < len(pages) else {}
        return {"Items": pages[at], **more}

    return call


async def test_every_page_is_read() -> None:
    items = await items_by_key(table([item("a", "1")], [], [item("b", "2.0")]), "T", NUMBERED)
    assert set(items) == {("a", "1"), ("b", "2")}


async def test_items_meet_by_key_value() -> None:
    source = table([item("a", "1", "x"), item("b", "2", "x"), item("c", "3", "x")])
    destination = table([item("b", "2.0", "y")], [item("a", "1.00", "x")])
    found = await compare_tables((source, "T"), (destination, "T"), NUMBERED)
    assert (found.missing, found.extra, found.changed) == (1, 0, 1)
    assert [difference.key for difference in found.first] == [("b", "2"), ("c", "3")]


@pytest.mark.parametrize(
    "schema,expected",
    [
        (NUMBERED, ("a", "10")),
        (KeySchema(KeyAttribute("n", "N")), "10"),
        (KeySchema(KeyAttribute("b", "B")), "AA=="),
    ],
)
def test_keys(schema: KeySchema, expected: Any) -> None:
    assert key_of({"pk": {"S": "a"}, "n": {"N": "1E1"}, "b": {"B": "AA=="}}, schema) == expected
