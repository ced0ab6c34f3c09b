"""Live traffic for the fleet chaos: every item carries the number of its change."""

import asyncio
import random
import time
from typing import Any

from tests.bench.at_rest import VERSION, AtRest, Versions
from tests.bench.tables import DirectTable

KEYS = 1500
DELETE_SHARE = 0.1
BATCH = 12
# How often the destination is read.
LOOK_EVERY_S = 2.0


class FleetTraffic:
    """Writes so many changes a second until cancelled; one batch after the other, so each key has one order."""

    def __init__(self, source: DirectTable, versions: Versions, rng: random.Random, per_s: float) -> None:
        self._source = source
        self._versions = versions
        self._random = rng
        self._per_s = per_s
        self._stopped = False

    def stop(self) -> None:
        """End after the batch under way."""
        self._stopped = True

    async def run(self) -> None:
        """After a stall the pace is caught up with, at most a second's worth."""
        due_s = time.monotonic()
        while not self._stopped:
            keys = self._random.sample(range(KEYS), BATCH)
            await self._source.batch([self._request(f"key {number}") for number in keys])
            due_s = max(due_s + BATCH / self._per_s, time.monotonic() - 1.0)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    def _request(self, key: str) -> dict[str, Any]:
        version = self._versions.next()
        if self._random.random() < DELETE_SHARE:
            self._versions.deleted[key] = version
            return {"DeleteRequest": {"Key": {"pk": {"S": key}}}}
        return {"PutRequest": {"Item": {"pk": {"S": key}, VERSION: {"N": str(version)}}}}


async def look(destination: DirectTable, judge: AtRest) -> None:
    """Tell `judge` what stands at the destination, until cancelled."""
    while True:
        newest = judge.newest()
        items = await destination.items()
        judge.saw(items, newest, time.monotonic())
        await asyncio.sleep(LOOK_EVERY_S)
