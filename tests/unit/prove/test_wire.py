"""Reconcile through the production adapters, on a DynamoDB in memory: items of every kind, size and width."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from dynamirror.aws.items import Items
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.errors import Side
from dynamirror.model.diff import Item
from dynamirror.observe.metrics import Metrics
from dynamirror.prove.reconcile import Reconciler
from dynamirror.prove.tools import Claims, ReconcileTools
from dynamirror.testing.faults import SeededFaults
from dynamirror.testing.memory_dynamodb import MemoryDynamoDB
from dynamirror.testing.virtual_time import VirtualClock, run_virtual
from tests.contract.conftest import CODEC, KEYS
from tests.contract.test_item_table import KEY, RICH, VALUES, WIDE
from tests.support.memory_caller import MemoryCaller, create_table
from tests.unit.prove.world import SETTINGS

WIDEST = WIDE["1,000 attributes"]
LARGE: Item = {**KEY, "bytes": {"B": "A" * 530_000}}
PAIRS: dict[str, tuple[Item | None, Item | None]] = {
    **{f"{name} differs": (RICH, {**RICH, name: {"S": "other"}}) for name in VALUES},
    **{f"{name} is missing": (RICH, {n: v for n, v in RICH.items() if n != name}) for name in VALUES},
    "only at the source": (RICH, None),
    "only at the destination": (None, RICH),
    "on neither side": (None, None),
    "more at the destination": (KEY, RICH),
    "1,000 attributes": (WIDEST, {**WIDEST, "attribute-999": {"N": "0"}}),
    "1,000 attributes, all of them others": (WIDEST, {name: WIDEST.get(name, {"S": ""}) for name in ("pk", "sk", "x")}),
    "400 KB": (LARGE, {**LARGE, "bytes": {"B": "B" * 530_000}}),
    "400 KB too many": ({**LARGE, "bytes": {"B": ""}}, LARGE),
}
EQUAL: dict[str, tuple[Item, Item]] = {
    "numbers by value": ({**KEY, "v": {"N": "1.0"}}, {**KEY, "v": {"N": "1"}}),
    "sets without order": ({**KEY, "v": {"NS": ["1", "2"]}}, {**KEY, "v": {"NS": ["2.0", "1"]}}),
    "38 digits": (KEY, KEY),
}


class Tables:
    """Source, destination and state table of one database."""

    def __init__(self) -> None:
        self.database = MemoryDynamoDB()
        create_table(self.database, "source", KEYS)
        create_table(self.database, "destination", KEYS)
        create_table(self.database, "state", {"kind": "S", "id": "S"})

    def call(self, operation: str, **request: Any) -> Mapping[str, Any]:
        answer = self.database.answer(operation, msgspec.json.encode(request))
        assert answer.status == 200, answer.body
        found: Mapping[str, Any] = msgspec.json.decode(answer.body)
        return found

    def put(self, table: str, item: Item | None) -> None:
        if item is not None:
            self.call("PutItem", TableName=table, Item=item)

    def all(self, table: str) -> list[Item]:
        found: list[Item] = []
        start: Mapping[str, Any] = {}
        while True:
            page = self.call("Scan", TableName=table, **start)
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                return sorted(found, key=str)
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def caller(self, side: Side, seed: int | None) -> MemoryCaller:
        caller = MemoryCaller(side, self.database)
        if seed is not None:
            caller.line.faults = SeededFaults(random.Random(seed).random, 0.3, side, SETTINGS.stray_life_s)
        return caller


async def reconciled(tables: Tables, keys: list[Item], seed: int | None = None) -> Metrics:
    clock, metrics = VirtualClock(), Metrics()
    store = StateTable(tables.caller(Side.STATE, seed), "state", Incarnation("life", "arn"))
    tools = ReconcileTools(
        Items(tables.caller(Side.SOURCE, seed), "source", CODEC, Side.SOURCE),
        Items(tables.caller(Side.DESTINATION, seed), "destination", CODEC, Side.DESTINATION),
        CODEC,
        clock,
        lambda: 0.5,
        metrics,
        SETTINGS,
        Claims(store, "w", clock.boottime_s, 10.0),
    )
    reconciler = Reconciler(tools)
    task = asyncio.create_task(reconciler.run())
    reconciler.add([msgspec.json.encode(key) for key in keys], clock.boottime_s())
    for _ in range(1000):
        await asyncio.sleep(1.0)
        # A duty whose claim was not answered is dropped, and found again.
        if not reconciler.pending and not tables.all("state"):
            break
    assert not task.done()
    assert not reconciler.pending
    assert not tables.all("state")
    task.cancel()
    await asyncio.wait([task])
    return metrics


@pytest.mark.parametrize("here,there", PAIRS.values(), ids=PAIRS)
def test_each_kind_of_difference_is_mended(here: Item | None, there: Item | None) -> None:
    tables = Tables()
    tables.put("source", here)
    tables.put("destination", there)
    metrics = run_virtual(reconciled(tables, [here or there or KEY]))
    assert tables.all("destination") == tables.all("source")
    assert metrics.value("reconcile_repairs") == (here != there)


@pytest.mark.parametrize("here,there", EQUAL.values(), ids=EQUAL)
def test_what_is_equal_by_value_is_left_as_it_is(here: Item, there: Item) -> None:
    tables = Tables()
    tables.put("source", here)
    tables.put("destination", there)
    before = tables.all("destination")
    assert run_virtual(reconciled(tables, [here])).value("reconcile_repairs") == 0
    assert tables.all("destination") == before


def test_a_key_in_another_spelling_is_the_same_item() -> None:
    tables = Tables()
    tables.put("source", {"pk": {"S": "k"}, "sk": {"N": "100"}, "v": {"S": "new"}})
    tables.put("destination", {"pk": {"S": "k"}, "sk": {"N": "1E2"}, "v": {"S": "old"}})
    run_virtual(
        reconciled(tables, [{"pk": {"S": "k"}, "sk": {"N": "1.00E+2"}}, {"pk": {"S": "k"}, "sk": {"N": "100"}}])
    )
    assert tables.all("destination") == tables.all("source")


@pytest.mark.parametrize("seed", range(20))
def test_seventy_items_of_240_kb_through_faults(seed: int) -> None:
    """More than 16 MB: an answer does not hold them all."""
    tables = Tables()
    for number in range(70):
        key: Item = {"pk": {"S": f"k{number}"}, "sk": {"N": "1"}}
        blob: Item = {"blob": {"S": "x" * 240_000}}
        if number % 3:
            tables.put("source", {**key, **blob})
        if number % 2:
            tables.put("destination", {**key, **blob, "old": {"S": ""}})
    keys: list[Item] = [{"pk": {"S": f"k{number}"}, "sk": {"N": "1"}} for number in range(70)]
    run_virtual(reconciled(tables, keys, seed))
    assert tables.all("destination") == tables.all("source")
