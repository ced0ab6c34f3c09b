"""Measures the lag that a user sees: from a write's acknowledgement at the source to its sight at the destination.

The stream's own time stamps cannot tell: they are rounded to seconds or minutes.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from dynamirror.engines.traffic import HASH_KEY, RANGE_KEY, Call
from dynamirror.engines.traffic_items import Item
from dynamirror.ports import Clock

_SAMPLES_MAX = 10_000
# Probes take turns on these keys; a probe is on its way for less than a turn, or its successor answers for it.
_KEYS = 64
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Lag:
    """Of all samples so far; milliseconds."""

    p50_ms: float
    p99_ms: float
    samples: int


class LagProbe:
    """Writes a small item now and then and looks for it at the destination, without waiting for its predecessor."""

    def __init__(
        self, source: tuple[Call, str], destination: tuple[Call, str], clock: Clock, payload: Item | None = None
    ) -> None:
        """`source` and `destination`: (call, table name). `payload`: attributes of each probe, beside its own."""
        self._source = source
        self._destination = destination
        self._clock = clock
        self._payload = payload or {}
        self._samples: deque[float] = deque(maxlen=_SAMPLES_MAX)
        self.written = 0

    async def run(self, every_s: float, stop: asyncio.Event) -> None:
        """Probe until `stop`; returns when every probe has arrived."""
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                group.create_task(self.once())
                await self._clock.sleep(every_s)

    async def once(self) -> float:
        """One probe; returns its lag in seconds once it is seen at the destination."""
        self.written += 1
        number = self.written
        key = {HASH_KEY: {"S": "PROBE"}, RANGE_KEY: {"S": str(number % _KEYS)}}
        call, table = self._source
        await call("PutItem", {"TableName": table, "Item": self._payload | key | {"number": {"N": str(number)}}})
        written_at_s = self._clock.boottime_s()
        while not await self._arrived(key, number):
            await self._clock.sleep(_POLL_S)
        lag_s = self._clock.boottime_s() - written_at_s
        self._samples.append(lag_s)
        return lag_s

    def lag(self) -> Lag | None:
        """None before the first probe has arrived."""
        if not self._samples:
            return None
        ordered = sorted(self._samples)
        last = len(ordered) - 1
        return Lag(ordered[last // 2] * 1000, ordered[round(last * 0.99)] * 1000, len(ordered))

    async def _arrived(self, key: dict[str, dict[str, str]], number: int) -> bool:
        call, table = self._destination
        answer = await call("GetItem", {"TableName": table, "Key": key, "ConsistentRead": True})
        return int(answer.get("Item", {}).get("number", {}).get("N", "0")) >= number
