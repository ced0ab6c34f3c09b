"""Writes that land long after their client gave up, under a load whose hot keys move on: the run that doubt is for.

A late write does lasting harm when a newer one of its key was carried out before it and no other comes after; so each
key is hot for a few seconds, and then rests for good.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.chaos_faults import LATE_RATE
from tests.bench.faults import Kind
from tests.bench.fleet import Worker
from tests.bench.proxy import FaultProxy
from tests.bench.signature import Credential
from tests.bench.tables import DirectTable, differences
from tests.bench.upstream import Upstream
from tests.support.dynamodb_local import SECRET_KEY, DynamoDBLocal, new_access_key

SOURCE_REGION, DESTINATION_REGION = "us-east-1", "eu-west-1"
SHARDS = 4
HOT_KEYS = 50
HOT_S = 3.0
BATCH = 25
BATCHES_PER_S = 12.0
STAY_S = 30.0
SETTLE_S_MAX = 180.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended; `late` counts the writes that landed late."""

    changes: int
    late: int
    differences: list[str]


class LateWrites:
    """One worker with `--stray-life stray_life_s` before a proxy that makes 1 % of its batches late."""

    def __init__(self, local: DynamoDBLocal, log: Path, stray_life_s: float, seed: int) -> None:
        self._local = local
        self._key = new_access_key()
        self._arn = local.create_table(self._key, "Orders", SOURCE_REGION)
        local.create_table(self._key, "Copy", DESTINATION_REGION, stream=None)
        self._seed = seed
        self._log = log
        self._stray_life_s = stray_life_s

    async def run(self, for_s: float) -> Outcome:
        """Write for so long, then wait until all that is late has landed and the tables stay as they are."""
        async with AsyncExitStack() as stack:
            upstream = await stack.enter_async_context(Upstream(self._local.url))
            source = DirectTable(upstream, (self._key, SOURCE_REGION), "Orders")
            destination = DirectTable(upstream, (self._key, DESTINATION_REGION), "Copy")
            proxy = FaultProxy(self._local.url, {self._key: Credential(SECRET_KEY)}, self._seed)
            await stack.enter_async_context(proxy)
            await proxy.shard_stream((self._key, SOURCE_REGION), self._arn, SHARDS, self._seed)
            worker = Worker(self._flags(proxy.url), self._key, self._log)
            stack.push_async_callback(worker.kill)
            await worker.start()
            proxy.faults.add(Kind.LATE, ["BatchWriteItem"], ["Copy"], rate=LATE_RATE)
            changes = await _write(source, for_s)
            await _arrived(source, destination)
            proxy.faults.clear()
            found = await _settled(proxy, source, destination)
            assert worker.ended is None, self._log.read_text(errors="replace")[-1500:]
            return Outcome(changes, proxy.faults.counts[Kind.LATE], found)

    def _flags(self, url: str) -> list[str]:
        flags = ["replicate", "--dont-publish-cloudwatch", "--task-name", "late"]
        flags += ["--source-region", SOURCE_REGION, "--source-table", "Orders", "--source-endpoint", url]
        flags += ["--destination-region", DESTINATION_REGION, "--destination-table", "Copy"]
        return [*flags, "--destination-endpoint", url, "--stray-life", f"{self._stray_life_s:g}s"]


async def _write(source: DirectTable, for_s: float) -> int:
    begun_s = time.monotonic()
    serial = 0
    while (passed_s := time.monotonic() - begun_s) < for_s:
        window = int(passed_s / HOT_S)
        # Half of the hot keys at a time, so that each is written again and again.
        keys = [f"{window} {(serial + n) % HOT_KEYS}" for n in range(BATCH)]
        items = [{"pk": {"S": key}, "serial": {"N": str(serial + n)}} for n, key in enumerate(keys)]
        await source.batch([{"PutRequest": {"Item": item}} for item in items])
        serial += BATCH
        await asyncio.sleep(max(0.0, begun_s + serial / BATCH / BATCHES_PER_S - time.monotonic()))
    return serial


async def _arrived(source: DirectTable, destination: DirectTable) -> None:
    """Until every key is there, in whatever version: nothing waits in the stream any more."""
    end_s = time.monotonic() + SETTLE_S_MAX
    while missing := (await source.items()).keys() - (await destination.items()).keys():
        assert time.monotonic() < end_s, f"{len(missing)} keys have not arrived"
        await asyncio.sleep(1.0)


async def _settled(proxy: FaultProxy, source: DirectTable, destination: DirectTable) -> list[str]:
    """The differences once nothing is late any more and they have stayed the same for a while."""
    before, since_s = [""], time.monotonic()
    async with asyncio.timeout(SETTLE_S_MAX):
        while proxy.late_pending or time.monotonic() - since_s < STAY_S:
            now = differences(await source.items(), await destination.items())
            if now != before or proxy.late_pending:
                before, since_s = now, time.monotonic()
            await asyncio.sleep(1.0)
    return before
