"""A fleet of real processes when a worker dies, leaves or joins, and when shards end, against bench/fleet_standin.

Times are from what the stand-in saw arrive: never from what a worker says of itself.
"""

import asyncio
import json
import os
import signal
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any

from bench.pages import DESTINATION, SOURCE
from bench.process import Measured, Place, measured, replicate
from bench.throughput import Void

START_S_MAX = 90.0
# Until the shards of one that has left are read by others, for ever.
TAKE_OVER_S_MAX = 60.0
# What a fleet needs to come to rest after a change, beside the wait for what it is judged by.
REST_S = 3.0
WORKERS, LANES, EVERY_S = 6, 36, 0.1
SHARDS_TO_SHARE = 1000
ROLL_LANES, ROLL_EVERY_S, ROLLS = 32, 0.15, 150

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TakeOver:
    """From a signal to a worker until another one applies changes of its shards."""

    rounds: int
    shards: int
    p50_s: float
    max_s: float


@dataclass(frozen=True, slots=True)
class Rolls:
    """From a shard's end to its child's first change applied; a change of each lane comes every `every_s`."""

    rolls: int
    every_s: float
    p50_s: float
    p99_s: float
    max_s: float


@dataclass(frozen=True, slots=True)
class Joined:
    """From a worker's start until it reads half of the shards, and no two workers differ by more than one; and from
    SIGTERM to the one that was there before, until the new one reads all."""

    shards: int
    seconds: float
    left_s: float
    standin_busy: float


class Fleet:
    """Workers of one task before a stand-in; each by its access key."""

    def __init__(self, endpoint: str, stack: AsyncExitStack) -> None:
        self.endpoint = endpoint
        self.workers: dict[str, Measured] = {}
        self._stack = stack

    def start(self, *flags: str) -> str:
        """One more worker; its access key."""
        name = f"AKIDWORKER{len(self.workers)}"
        source, destination = (Place("us-east-1", self.endpoint, table) for table in (SOURCE, DESTINATION))
        command = replicate(source, destination, self.endpoint, *flags)
        self.workers[name] = self._stack.enter_context(measured(command, name))
        return name

    async def facts(self, path: str = "") -> Facts:
        """What the stand-in has seen. `path`: what it is told to do before."""
        return await asyncio.to_thread(_asked, f"{self.endpoint}/{path}")

    async def when(self, holds: Callable[[Facts], bool], timeout_s: float, what: str) -> Facts:
        """The facts as soon as it holds. Raises Void."""
        deadline_s = time.monotonic() + timeout_s
        while not holds(facts := await self.facts()):
            if time.monotonic() > deadline_s:
                by_writer = dict(Counter(shard["writer"] for shard in facts["shards"]))
                raise Void(
                    f"{what}: not within {timeout_s:.0f} s; by reader {dict(readers(facts))}, by writer {by_writer}"
                )
            await asyncio.sleep(0.2)
        return facts


@asynccontextmanager
async def fleet(lanes: int, every_s: float) -> AsyncIterator[Fleet]:
    """A fleet without workers yet."""
    command = (sys.executable, "-m", "bench.fleet_standin", json.dumps({"lanes": lanes, "every_s": every_s}))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        endpoint = f"http://127.0.0.1:{int(await process.stdout.readline())}"
        async with AsyncExitStack() as stack:
            yield Fleet(endpoint, stack)
    finally:
        process.kill()
        await process.wait()


def readers(facts: Facts) -> Counter[str]:
    """How many open shards each worker has read last."""
    return Counter(shard["reader"] for shard in facts["shards"] if shard["open"])


def spread(workers: int) -> Callable[[Facts], bool]:
    """Whether so many workers read all shards, none more than one more than another."""

    def holds(facts: Facts) -> bool:
        found = readers(facts)
        return "" not in found and len(found) == workers and max(found.values()) - min(found.values()) <= 1

    return holds


async def take_overs() -> tuple[TakeOver, TakeOver]:
    """After kill -9, and after SIGTERM: workers of one fleet, one after the other, the orderly ones first."""
    async with fleet(LANES, EVERY_S) as one:
        for _ in range(WORKERS):
            one.start()
        await one.when(spread(WORKERS), START_S_MAX, "spread over the workers")
        await asyncio.sleep(REST_S)
        names = list(one.workers)
        orderly = []
        for gone, name in enumerate(names[:3], 1):
            orderly.append(await _without(one, name, signal.SIGTERM))
            await one.when(spread(WORKERS - gone), TAKE_OVER_S_MAX, "spread over those that are left")
        killed = [await _without(one, name, signal.SIGKILL) for name in names[3:5]]
    return _take_over(killed), _take_over(orderly)


async def _without(one: Fleet, name: str, how: signal.Signals) -> list[float]:
    """Seconds from the signal until each of its shards was applied by another worker."""
    begun_s = time.monotonic()
    os.kill(one.workers[name].process.pid, how)
    facts = await one.facts()
    # Whose changes of each shard arrived last before the signal.
    last = {shard: worker for at_s, shard, worker in facts["handed_on"] if at_s <= begun_s}
    theirs = {shard for shard, worker in last.items() if worker == name}
    if not theirs:
        raise Void(f"{name} had no shards when it was to end")

    def taken(facts: Facts) -> dict[int, float]:
        found: dict[int, float] = {}
        for at_s, shard, worker in facts["handed_on"]:
            if at_s > begun_s and shard in theirs and worker != name:
                found.setdefault(shard, at_s - begun_s)
        return found

    def all_taken(facts: Facts) -> bool:
        return taken(facts).keys() == theirs

    facts = await one.when(all_taken, TAKE_OVER_S_MAX, f"another worker applies what {name} had")
    await asyncio.sleep(REST_S)
    return list(taken(facts).values())


def _take_over(rounds: Sequence[Sequence[float]]) -> TakeOver:
    every = sorted(seconds for one in rounds for seconds in one)
    return TakeOver(len(rounds), len(every), quantile(every, 0.5), every[-1])


async def rolls() -> Rolls:
    """Two workers; shards end one after the other, here and there."""
    async with fleet(ROLL_LANES, EVERY_S / 2) as one:
        for _ in range(2):
            one.start()
        await one.when(spread(2), START_S_MAX, "spread over the workers")
        await asyncio.sleep(REST_S)
        for number in range(ROLLS):
            await one.facts(f"roll/{number * 7 % ROLL_LANES}")
            await asyncio.sleep(ROLL_EVERY_S)

        def all_applied(facts: Facts) -> bool:
            return all(shard["applied_at_s"] is not None for shard in facts["shards"])

        facts = await one.when(all_applied, TAKE_OVER_S_MAX, "every child has a change applied")
    shards = facts["shards"]
    stalls = sorted(
        shard["applied_at_s"] - shards[shard["parent"]]["closed_at_s"]
        for shard in shards
        if shard["parent"] is not None
    )
    return Rolls(len(stalls), EVERY_S / 2, quantile(stalls, 0.5), quantile(stalls, 0.99), stalls[-1])


async def joined() -> Joined:
    """A worker that joins another one which has all shards, all idle; then that one leaves."""
    async with fleet(SHARDS_TO_SHARE, 0.0) as one:
        first = one.start()
        before = await one.when(spread(1), START_S_MAX, "one worker reads all")
        await asyncio.sleep(REST_S)
        begun_s = time.monotonic()
        one.start()
        after = await one.when(spread(2), 4 * TAKE_OVER_S_MAX, "spread over two")
        seconds = time.monotonic() - begun_s
        await asyncio.sleep(REST_S)
        begun_s = time.monotonic()
        os.kill(one.workers[first].process.pid, signal.SIGTERM)
        await one.when(lambda facts: first not in readers(facts), TAKE_OVER_S_MAX, "the new one reads all")
        left_s = time.monotonic() - begun_s
    busy = (after["cpu_s"] - before["cpu_s"]) / (after["now_s"] - before["now_s"])
    return Joined(SHARDS_TO_SHARE, seconds, left_s, busy)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The least below which so many are, itself included."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def _asked(url: str) -> Facts:
    with urllib.request.urlopen(url) as answer:
        facts: Facts = json.load(answer)
        return facts
