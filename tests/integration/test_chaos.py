"""A fleet of real processes under faults, kills and shards that end leaves two equal tables (`make chaos`)."""

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.bench.chaos import Chaos
from tests.bench.chaos_result import Plan, Result
from tests.bench.tables import differences
from tests.support.dynamodb_local import DynamoDBLocal

SEED = int(os.environ.get("SEED") or 1)


@pytest.mark.timeout(480)
def test_short_chaos(dynamodb_local: DynamoDBLocal, tmp_path: Path) -> None:
    result = _run(Plan(SEED, changes=20_000, faults=200, kills=5, closed=12), dynamodb_local, tmp_path)
    assert len(result.faults) >= 10, "nearly all kinds of faults strike"


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_long_chaos(dynamodb_local: DynamoDBLocal, tmp_path: Path) -> None:
    _run(Plan(SEED, changes=100_000, faults=1_000, kills=20, closed=50), dynamodb_local, tmp_path)


def _run(plan: Plan, local: DynamoDBLocal, folder: Path) -> Result:
    result = asyncio.run(Chaos(plan, local, folder).run())
    print(result)
    assert result.good, f"{result}\nthe workers' output is in {folder}"
    return result


def item(key: str, **more: Any) -> dict[str, Any]:
    return {key: {"pk": {"S": key}, **more}}


def test_a_difference_of_any_kind_is_found() -> None:
    same = item("a", n={"N": "1"})
    assert len(differences(same, {})) == 1
    assert len(differences({}, same)) == 1
    assert len(differences(same, item("a", n={"N": "2"}))) == 1
    assert len(differences(same, item("a", n={"N": "1"}, more={"NULL": True}))) == 1
    assert len(differences(same, item("a", n={"S": "1"}))) == 1


def test_the_same_item_written_otherwise_is_none() -> None:
    one = item("a", n={"N": "1"}, s={"SS": ["x", "y"]}, m={"M": {"l": {"L": [{"NS": ["1", "2"]}]}}})
    other = item("a", m={"M": {"l": {"L": [{"NS": ["2.0", "1"]}]}}}, s={"SS": ["y", "x"]}, n={"N": "1.0"})
    assert not differences(one, other)


@pytest.mark.parametrize(
    "name,value,good",
    [
        ("changes", 10, True),
        ("changes", 9, False),
        ("kills", 0, False),
        ("faults", {"hang": 1, "partition": 50}, False),
        ("shards", Counter(closed=0), False),
        ("differences", ["a: missing at the destination"], False),
        ("quits", [(3, "last words")], False),
        ("exit_codes", [0, 4], False),
        ("settled_s", None, False),
        ("lags_s", [], True),
    ],
)
def test_a_run_is_good_only_when_all_is_well_and_enough_has_happened(name: str, value: Any, good: bool) -> None:
    plan = Plan(seed=1, changes=10, faults=2, kills=1, closed=1)
    shards = Counter(closed=1)
    result = Result(plan, changes=10, faults={"hang": 2}, kills=1, lags_s=[1.0], shards=shards, settled_s=1.0)
    setattr(result, name, value)
    assert result.good is good
    assert "seed                1" in str(result)
