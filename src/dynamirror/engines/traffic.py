"""Live traffic as applications write it: many shapes of items, made, changed and deleted, one key hotter than all.

`Traffic` decides what is written next, from the random that it is given; `write` sends it at a rate.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

from dynamirror.engines.traffic_items import MAKERS, Item, number
from dynamirror.ports import Clock

# Operation and request in, answer out; both decoded JSON. Retries are the callee's business.
Call: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[Any]]

HASH_KEY, RANGE_KEY = "pk", "sk"
HOT_KEY: Item = {HASH_KEY: {"S": "COUNTER"}, RANGE_KEY: {"S": "page-views"}}

# Shares of the traffic; what remains changes items that exist.
_HOT, _INSERT, _DELETE = 0.10, 0.45, 0.15
# Beyond this many live items, inserts give way to deletes: the demo's tables stay small enough to compare.
_LIVE_MAX = 5000
_IN_FLIGHT_MAX = 16


@dataclass(frozen=True, slots=True)
class Step:
    """One request of the traffic. `kind` is inserts, updates or deletes."""

    kind: str
    operation: str
    request: Mapping[str, Any]


@dataclass(slots=True)
class Written:
    """What has been acknowledged so far."""

    inserts: int = 0
    updates: int = 0
    deletes: int = 0

    @property
    def total(self) -> int:
        """All requests that wrote."""
        return self.inserts + self.updates + self.deletes


@dataclass(slots=True)
class Traffic:
    """What an application would write next to `table`; the same random gives the same traffic."""

    table: str
    random: Random
    _live: list[tuple[str, str]] = field(default_factory=list)
    _made: int = 0

    def next(self) -> Step:
        """The next request. Every one of them changes the table."""
        draw = self.random.random()
        if draw < _HOT:
            return self._heat()
        if not self._live or (draw < _HOT + _INSERT and len(self._live) < _LIVE_MAX):
            return self._insert()
        if draw < _HOT + _INSERT + _DELETE:
            return self._delete()
        return self._update()

    def _insert(self) -> Step:
        self._made += 1
        maker = self.random.choices(list(MAKERS), weights=list(MAKERS.values()))[0]
        item = maker(self.random, self._made)
        self._live.append((item[HASH_KEY]["S"], item[RANGE_KEY]["S"]))
        return Step("inserts", "PutItem", {"TableName": self.table, "Item": item})

    def _delete(self) -> Step:
        at = self.random.randrange(len(self._live))
        self._live[at], self._live[-1] = self._live[-1], self._live[at]
        return Step("deletes", "DeleteItem", {"TableName": self.table, "Key": _key(self._live.pop())})

    def _update(self) -> Step:
        self._made += 1
        key = _key(self.random.choice(self._live))
        return Step(
            "updates",
            "UpdateItem",
            {
                "TableName": self.table,
                "Key": key,
                "UpdateExpression": "SET revision = :revision, amount = :amount ADD labels :label",
                "ExpressionAttributeValues": {
                    ":revision": {"N": str(self._made)},
                    ":amount": {"N": number(self.random)},
                    ":label": {"SS": [f"label-{self.random.randrange(12)}"]},
                },
            },
        )

    def _heat(self) -> Step:
        return Step(
            "updates",
            "UpdateItem",
            {
                "TableName": self.table,
                "Key": HOT_KEY,
                "UpdateExpression": "ADD seen :one",
                "ExpressionAttributeValues": {":one": {"N": "1"}},
            },
        )


def _key(pair: tuple[str, str]) -> Item:
    return {HASH_KEY: {"S": pair[0]}, RANGE_KEY: {"S": pair[1]}}


async def write(
    next_step: Callable[[], Step], call: Call, clock: Clock, rate: float, stop: asyncio.Event, written: Written
) -> None:
    """Write `rate` requests a second until `stop`, counting into `written`; returns once all are answered.

    Late requests are made up for, a few at a time; a table that is slower than the rate sets the pace. Raises what
    `call` raises.
    """
    free = asyncio.Semaphore(_IN_FLIGHT_MAX)
    started_s = clock.boottime_s()
    sent = 0

    async def send(step: Step) -> None:
        try:
            await call(step.operation, step.request)
            setattr(written, step.kind, getattr(written, step.kind) + 1)
        finally:
            free.release()

    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            early_s = sent / rate - (clock.boottime_s() - started_s)
            if early_s > 0:
                await clock.sleep(early_s)
                continue
            await free.acquire()
            group.create_task(send(next_step()))
            sent += 1
