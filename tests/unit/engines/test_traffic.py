"""The demo's traffic: reproducible, of every type and operation, at the rate asked for."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from dynamirror.engines.traffic import HOT_KEY, Traffic, Written, write
from dynamirror.engines.traffic_items import MAKERS, number
from dynamirror.model.key import canonical_number

ITEM_BYTES_MAX = 400_000


class TestClock:
    """Time passes only in sleep."""

    __test__ = False

    def __init__(self) -> None:
        self.now_s = 0.0

    def boottime_s(self) -> float:
        return self.now_s

    def wall_s(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        self.now_s += delay_s
        await asyncio.sleep(0)


def types_in(value: Mapping[str, Any]) -> set[str]:
    ((kind, inner),) = value.items()
    below = inner.values() if kind == "M" else inner if kind == "L" else ()
    return {kind}.union(*(types_in(one) for one in below))


def test_the_same_random_gives_the_same_traffic() -> None:
    one, other = Traffic("T", Random(7)), Traffic("T", Random(7))
    assert [one.next() for _ in range(500)] == [other.next() for _ in range(500)]


def test_every_operation_every_type_and_a_hot_key() -> None:
    traffic = Traffic("T", Random(1))
    steps = [traffic.next() for _ in range(3000)]
    kinds = Counter(step.kind for step in steps)
    hot = sum(step.request.get("Key") == HOT_KEY for step in steps)
    seen: set[str] = set()
    for step in steps:
        for value in step.request.get("Item", {}).values():
            seen |= types_in(value)
    assert seen == {"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}
    assert min(kinds["inserts"], kinds["updates"], kinds["deletes"]) > 300
    assert 200 < hot < 400


def test_only_what_exists_is_changed_or_deleted() -> None:
    traffic = Traffic("T", Random(3))
    live: set[str] = {str(HOT_KEY)}
    for _ in range(3000):
        step = traffic.next()
        if step.operation == "PutItem":
            key = str({name: step.request["Item"][name] for name in HOT_KEY})
            assert key not in live
            live.add(key)
        else:
            assert str(step.request["Key"]) in live
            if step.operation == "DeleteItem":
                live.remove(str(step.request["Key"]))


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__.strip("_"))
def test_items_are_within_the_limits_of_the_service(maker: Any) -> None:
    random = Random(5)
    for serial in range(60):
        item = maker(random, serial)
        assert len(str(item).encode()) < ITEM_BYTES_MAX * 4 / 3
        for value in item.values():
            ((kind, inner),) = value.items()
            if kind in ("SS", "NS", "BS"):
                assert inner
                assert len(set(inner)) == len(inner)


def test_numbers_have_up_to_38_digits() -> None:
    random = Random(2)
    numbers = [number(random) for _ in range(200)]
    assert any(sum(c.isdigit() for c in text.removeprefix("-0.")) == 38 for text in numbers)
    for text in numbers:
        assert canonical_number(canonical_number(text)) == canonical_number(text)


async def test_it_is_written_at_the_rate_and_counted() -> None:
    clock, stop, written = TestClock(), asyncio.Event(), Written()
    operations: Counter[str] = Counter()

    async def call(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        operations[operation] += 1
        if clock.now_s >= 2.0:
            stop.set()
        return {}

    await write(Traffic("T", Random(4)).next, call, clock, 100, stop, written)
    assert written.total == operations.total()
    assert written.deletes == operations["DeleteItem"]
    assert 195 <= written.total <= 215


async def test_a_failing_write_ends_the_traffic() -> None:
    async def call(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        raise ConnectionError(operation)

    with pytest.raises(ExceptionGroup) as caught:
        await write(Traffic("T", Random(4)).next, call, TestClock(), 100, asyncio.Event(), Written())
    assert caught.group_contains(ConnectionError)
