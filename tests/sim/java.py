"""A worker of the Java tool in a simulated fleet: what KCL 1.7.5 does with leases, written apart from our own code.

Classes of KCL: LeaseRenewer, LeaseTaker, ShardConsumer, BlockOnParentShardTask, ShutdownTask. It waits for nothing that
an owner before it may still have on its way, and looks at its lease between two batches only. Its requests fail by
nothing but what befalls its machine: with lost answers of its own the Java tool leaves stale items all by itself.
"""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dynamirror.aws.tables import BatchWriter
from dynamirror.errors import ConditionFailed, DynamirrorError, Retry, Side
from dynamirror.model.change import Page, Write, write_of
from tests.sim.cloud import CODEC, LEASES, TARGET, Cloud
from tests.sim.network import Weather
from tests.sim.process import MachineClock, Process
from tests.sim.services import StreamWire, WatchedWriter

Row = dict[str, Any]
# What it has sent lands so much later at most, once it is dead; a signature is valid for 300 s, and the request may
# have been signed before the machine froze.
LATE_S = 180.0
IDLE_S = 0.5
PARENT_POLL_S = 2.0
RECORDS_MAX = 1000
EPSILON_S = 0.025


@dataclass(slots=True)
class _Held:
    row: Row
    renewed_at_s: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    consumer: asyncio.Task[None] | None = None


class JavaWorker(Process):
    """One process, from its start to its end; it ends by being killed."""

    def __init__(self, cloud: Cloud, name: str, draw: random.Random, failover_s: float) -> None:
        super().__init__(cloud, name)
        self.weather = Weather(draw, cloud.counts, {}, LATE_S)
        self.clock = MachineClock(self.machine, draw, 30.0)
        self._draw = draw
        self._failover_s = failover_s
        self._held: dict[str, _Held] = {}
        # Of each row: its counter, and when that was seen first.
        self._seen: dict[str, tuple[str, float]] = {}
        self._leases = self._caller(Side.STATE, "leases")
        self._stream = StreamWire(cloud, self._wire(Side.SOURCE, "source"))
        there = self._caller(Side.DESTINATION, "destination")
        self._table = WatchedWriter(cloud, BatchWriter(there, TARGET, CODEC))

    def follows(self) -> set[tuple[str, str]]:
        """Its name, with each shard that it holds."""
        return {(self.name, shard_id) for shard_id in self._held}

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again(self._renew_all, self._failover_s / 3 - EPSILON_S))
            group.create_task(self._again(self._take_some, 2 * (self._failover_s + EPSILON_S)))
            # Worker.run: also what was left because its lease seemed lost, and was not.
            while True:
                for shard_id, held in self._held.items():
                    done = held.consumer is None or held.consumer.done()
                    if done and self._holds(shard_id) and held.row["checkpoint"]["S"] != "SHARD_END":
                        held.consumer = group.create_task(self._consume(shard_id, held))
                await self.clock.sleep(IDLE_S)

    async def _again(self, step: Callable[[], Any], every_s: float) -> None:
        while True:
            with suppress(Retry):
                await step()
            await self.clock.sleep(every_s)

    # --- leases

    def _holds(self, shard_id: str) -> bool:
        held = self._held.get(shard_id)
        return held is not None and self.clock.boottime_s() - held.renewed_at_s <= self._failover_s

    async def _renew_all(self) -> None:
        for shard_id in list(self._held):
            with suppress(Retry):
                await self._update(shard_id, {})

    async def _update(self, shard_id: str, sets: Row) -> bool:
        """LeaseManager.renewLease, updateLease; False: the lease is somebody else's by now."""
        held = self._held.get(shard_id)
        if held is None:
            return False
        async with held.lock:
            sent_at_s = self.clock.boottime_s()
            try:
                await self._write(held.row, sets)
            except ConditionFailed:
                if self._held.get(shard_id) is held:
                    del self._held[shard_id]
                return False
            held.row = _after(held.row, sets)
            held.renewed_at_s = sent_at_s
            return True

    async def _write(self, row: Row, sets: Row) -> None:
        sets = {**sets, "leaseCounter": {"N": str(int(row["leaseCounter"]["N"]) + 1)}}
        values = {f":{name}": value for name, value in sets.items()}
        values[":counter"] = row["leaseCounter"]
        condition = "leaseCounter = :counter AND attribute_not_exists(leaseOwner)"
        if "leaseOwner" in row:
            condition, values[":owner"] = "leaseCounter = :counter AND leaseOwner = :owner", row["leaseOwner"]
        request = {
            "TableName": LEASES,
            "Key": {"leaseKey": row["leaseKey"]},
            "UpdateExpression": "SET " + ", ".join(f"{name} = :{name}" for name in sets),
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
        }
        await self._leases.call("UpdateItem", msgspec.json.encode(request))

    async def _rows(self) -> dict[str, Row]:
        answer = await self._leases.call("Scan", msgspec.json.encode({"TableName": LEASES}))
        return {row["leaseKey"]["S"]: row for row in msgspec.json.decode(answer)["Items"]}

    async def _take_some(self) -> None:
        """LeaseTaker.takeLeases: free or expired ones up to the target, else one that is stolen."""
        rows = await self._rows()
        for row in self._to_take(rows, self.clock.boottime_s()):
            before = row.get("leaseOwner")
            sets: Row = {"leaseOwner": {"S": self.name}}
            if before is not None:
                sets["ownerSwitchesSinceCheckpoint"] = {"N": str(int(row["ownerSwitchesSinceCheckpoint"]["N"]) + 1)}
            try:
                await self._write(row, sets)
            except ConditionFailed:
                continue
            self.cloud.counts["taken by Java"] += 1
            shard_id = row["leaseKey"]["S"]
            self._held[shard_id] = _Held(_after(row, sets), self.clock.boottime_s())

    def _to_take(self, rows: dict[str, Row], now_s: float) -> list[Row]:
        for shard_id, row in rows.items():
            counter = row["leaseCounter"]["N"]
            if self._seen.get(shard_id, ("", 0.0))[0] != counter:
                self._seen[shard_id] = (counter, now_s if "leaseOwner" in row else float("-inf"))
        expired = [row for shard_id, row in rows.items() if now_s - self._seen[shard_id][1] > self._failover_s]
        lost = {row["leaseKey"]["S"] for row in expired}
        counts = Counter(row["leaseOwner"]["S"] for shard_id, row in rows.items() if shard_id not in lost)
        counts.setdefault(self.name, 0)
        target = math.ceil(len(rows) / len(counts))
        needed = target - counts[self.name]
        if needed <= 0:
            return []
        if expired:
            return self._draw.sample(expired, min(needed, len(expired)))
        most = max(counts, key=lambda name: counts[name])
        if counts[most] < target + (0 if needed > 1 else 1) or most == self.name:
            return []
        return [self._draw.choice([row for row in rows.values() if row["leaseOwner"]["S"] == most])]

    # --- a shard

    async def _consume(self, shard_id: str, held: _Held) -> None:
        """ShardConsumer. It knows only of the lease that it was begun with."""

        def mine() -> bool:
            return self._held.get(shard_id) is held and self._holds(shard_id)

        while mine() and not await self._parents_ended(held.row):
            await self.clock.sleep(PARENT_POLL_S)
        iterator: str | None = None
        while mine():
            try:
                if iterator is None:
                    iterator = await self._stream.iterator_at(shard_id, held.row["checkpoint"]["S"])
                page = await self._stream.read(iterator, RECORDS_MAX)
            except DynamirrorError:
                iterator = None
                await self.clock.sleep(IDLE_S)
                continue
            if not mine():
                return
            await self._process(shard_id, page)
            if page.next_iterator is None:
                if await self._update(shard_id, _place("SHARD_END")):
                    await self._after_end(shard_id)
                return
            iterator = page.next_iterator
            await self.clock.sleep(IDLE_S)

    async def _process(self, shard_id: str, page: Page) -> None:
        """The tool's own part: the newest image of each key, all at once; then the checkpoint."""
        newest = {CODEC.of(record.change.keys): record for record in page.records}
        if newest:
            await asyncio.gather(*(self._put(write_of(record, key)) for key, record in newest.items()))
            await self._update(shard_id, _place(page.records[-1].change.sequence_number))

    async def _put(self, write: Write) -> None:
        while True:
            try:
                if not await self._table.write([write]):
                    return
            except Retry:
                pass
            await self.clock.sleep(0.1)

    async def _parents_ended(self, row: Row) -> bool:
        """A parent without a row is taken for finished."""
        with suppress(Retry):
            rows = await self._rows()
            return all(
                rows[parent]["checkpoint"]["S"] == "SHARD_END"
                for parent in row.get("parentShardId", {}).get("SS", [])
                if parent in rows
            )
        return False

    async def _after_end(self, parent_id: str) -> None:
        """ShutdownTask: rows for the children, and away with those of shards whose children have begun."""
        with suppress(Retry):
            for child in await self._stream.list_children(parent_id):
                row = {
                    "leaseKey": {"S": child.id},
                    "leaseCounter": {"N": "0"},
                    "ownerSwitchesSinceCheckpoint": {"N": "0"},
                    **_place("TRIM_HORIZON"),
                    "parentShardId": {"SS": [parent_id]},
                }
                request = {"TableName": LEASES, "Item": row, "ConditionExpression": "attribute_not_exists(leaseKey)"}
                with suppress(ConditionFailed):
                    await self._leases.call("PutItem", msgspec.json.encode(request))
            rows = await self._rows()
            for shard_id, row in rows.items():
                children = [
                    child for child in rows.values() if shard_id in child.get("parentShardId", {}).get("SS", [])
                ]
                begun = all(child["checkpoint"]["S"] != "TRIM_HORIZON" for child in children)
                if row["checkpoint"]["S"] == "SHARD_END" and children and begun and shard_id != parent_id:
                    request = {"TableName": LEASES, "Key": {"leaseKey": row["leaseKey"]}}
                    await self._leases.call("DeleteItem", msgspec.json.encode(request))
                    self.cloud.counts["row deleted by Java"] += 1


def _place(checkpoint: str) -> Row:
    return {
        "checkpoint": {"S": checkpoint},
        "checkpointSubSequenceNumber": {"N": "0"},
        "ownerSwitchesSinceCheckpoint": {"N": "0"},
    }


def _after(row: Row, sets: Row) -> Row:
    return {**row, **sets, "leaseCounter": {"N": str(int(row["leaseCounter"]["N"]) + 1)}}
