"""Live traffic on the source: puts, updates and deletes over many keys, some of them hot; and probes of the lag."""

import asyncio
import random
import time
from typing import Any

from tests.bench.tables import DirectTable
from tests.support.items import random_item

KEYS = 4000
HOT_KEYS = 5
HOT_SHARE = 0.3
DELETE_SHARE = 0.12
LARGE_SHARE = 0.0005
PROBE_EVERY_S = 1.0
PROBE_POLL_S = 0.25
# BatchGetItem takes so many keys.
PROBES_MAX = 100


class Traffic:
    """Writes of `per_s` changes a second until `stop`; every put has a serial of its own, so each is a change."""

    def __init__(self, source: DirectTable, rng: random.Random, per_s: float) -> None:
        self._source = source
        self._random = rng
        self._per_s = per_s
        self._stopped = False
        self.serial = 0

    def stop(self) -> None:
        """End after the batch under way."""
        self._stopped = True

    async def run(self) -> None:
        """Write at the pace; after a stall it is caught up with, at most a second's worth."""
        due_s = time.monotonic()
        while not self._stopped:
            written = await self._some()
            due_s = max(due_s + written / self._per_s, time.monotonic() - 1.0)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def _some(self) -> int:
        """A batch of 25 and two single writes, one after another: the source has one order of changes for each key."""
        keys = {self._key() for _ in range(25)}
        await self._source.batch([self._request(key) for key in sorted(keys)])
        for key in (self._key(), self._key()):
            self.serial += 1
            await self._source.ask(
                "UpdateItem",
                TableName=self._source.name,
                Key={"pk": {"S": key}},
                UpdateExpression="ADD hits :one SET serial = :serial",
                ExpressionAttributeValues={":one": {"N": "1"}, ":serial": {"N": str(self.serial)}},
            )
        return len(keys) + 2

    def _key(self) -> str:
        if self._random.random() < HOT_SHARE:
            return f"hot {self._random.randrange(HOT_KEYS)}"
        return f"key {self._random.randrange(KEYS)} ü"

    def _request(self, key: str) -> dict[str, Any]:
        if self._random.random() < DELETE_SHARE:
            return {"DeleteRequest": {"Key": {"pk": {"S": key}}}}
        self.serial += 1
        item = random_item(self._random, large=self._random.random() < LARGE_SHARE)
        return {"PutRequest": {"Item": {**item, "pk": {"S": key}, "serial": {"N": str(self.serial)}}}}


class Probes:
    """An item a second, and how long each takes to show at the destination."""

    def __init__(self, source: DirectTable, destination: DirectTable) -> None:
        self._source = source
        self._destination = destination
        # When each was written, on time.monotonic.
        self._waiting: dict[str, float] = {}
        self._made = 0
        # Whether more are sent; those on their way are waited for all the same.
        self.sending = True
        self.lags_s: list[float] = []

    async def run(self) -> None:
        """Until cancelled."""
        next_s = time.monotonic()
        while True:
            if self.sending and time.monotonic() >= next_s and len(self._waiting) < PROBES_MAX:
                next_s += PROBE_EVERY_S
                await self._send()
            if self._waiting:
                now_s = time.monotonic()
                for key in await self._destination.present(list(self._waiting)):
                    self.lags_s.append(now_s - self._waiting.pop(key))
            await asyncio.sleep(PROBE_POLL_S)

    async def _send(self) -> None:
        self._made += 1
        key = f"probe {self._made}"
        await self._source.put({"pk": {"S": key}})
        self._waiting[key] = time.monotonic()
