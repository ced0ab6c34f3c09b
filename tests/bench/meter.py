"""Capacity as provisioned tables have it: token buckets for the table and for each of its partitions.

Sources: Developer Guide, "Provisioned capacity mode" and "Burst and adaptive capacity", "Item sizes and formats";
quotas page: a partition takes 1,000 write and 3,000 read units a second. What is not modelled: adaptive capacity, and
the units of a delete, which are those of the item that goes (one is taken).
"""

import json
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.bench.answers import Answer, throughput_exceeded
from tests.bench.batches import Batch
from tests.bench.call import WRITES, Call, hash_of

PARTITION_WRITES = 1000.0
PARTITION_READS = 3000.0
READS = frozenset({"GetItem", "BatchGetItem", "Query", "Scan"})


@dataclass(slots=True)
class Bucket:
    """Tokens that grow at `rate` up to `most`. A taker may bring it below zero, and then waits for the debt."""

    rate: float
    most: float
    tokens: float
    at_s: float

    def level(self, now_s: float) -> float:
        """Tokens at this moment."""
        self.tokens = min(self.most, self.tokens + (now_s - self.at_s) * self.rate)
        self.at_s = now_s
        return self.tokens


class Capacity:
    """One table's buckets for one kind of use: `use` is Write or Read, rates in units a second."""

    def __init__(self, use: str, rate: float, partitions: int, burst_s: float, now_s: float) -> None:
        self.use = use
        self.taken = 0.0
        edge = PARTITION_WRITES if use == "Write" else PARTITION_READS
        self._table = Bucket(rate, rate * burst_s, rate * burst_s, now_s)
        self._partitions = [Bucket(edge, edge * burst_s, edge * burst_s, now_s) for _ in range(partitions)]

    def refuses(self, key_hash: int | None, now_s: float) -> str | None:
        """The reason for which nothing more may be taken, if there is one; `key_hash` None: no single partition."""
        if self._table.level(now_s) <= 0:
            return f"Table{self.use}ProvisionedThroughputExceeded"
        if key_hash is not None and self._partition(key_hash).level(now_s) <= 0:
            return f"Table{self.use}KeyRangeThroughputExceeded"
        return None

    def take(self, units: float, key_hash: int | None) -> None:
        """Charge the table, and a partition (None: all of them in equal parts)."""
        self.taken += units
        self._table.tokens -= units
        if key_hash is not None:
            self._partition(key_hash).tokens -= units
            return
        for partition in self._partitions:
            partition.tokens -= units / len(self._partitions)

    def _partition(self, key_hash: int) -> Bucket:
        return self._partitions[key_hash % len(self._partitions)]


@dataclass(slots=True)
class Table:
    """A table that is metered."""

    hash_key: str
    write: Capacity
    read: Capacity


class Meter:
    """The metered tables; all others cost nothing."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tables: dict[tuple[str, str, str], Table] = {}

    def provision(
        self,
        place: tuple[str, str, str],
        hash_key: str,
        write_units: float,
        read_units: float,
        *,
        partitions: int = 1,
        burst_s: float = 1.0,
    ) -> Table:
        """Meter the table at `place` (access key of its database, Region, name) from now on.

        `burst_s`: how many seconds' worth may be saved up; the service keeps 300.
        """
        now_s = self._clock()
        write = Capacity("Write", write_units, partitions, burst_s, now_s)
        read = Capacity("Read", read_units, partitions, burst_s, now_s)
        table = self._tables[place] = Table(hash_key, write, read)
        return table

    def admitted(self, call: Call, database: str, part: set[int] | None) -> set[int] | None:
        """Which elements of `part` of a batch of writes may go on, charged; None: all. Raises Refusal when none may.

        Reads are admitted as a whole, and charged by `charge_read`.
        """
        if call.operation == "BatchWriteItem" and self._tables:
            return self._admit_batch(Batch(call), (database, call.region), part)
        table = self._tables.get((database, call.region, call.table))
        if table is None:
            return part
        arn = f"arn:aws:dynamodb:{call.region}:000000000000:table/{call.table}"
        if call.operation in READS:
            if reason := table.read.refuses(None, self._clock()):
                raise throughput_exceeded(arn, [reason])
        elif call.operation in WRITES:
            request = json.loads(call.body)
            if reason := self._write(table, request):
                raise throughput_exceeded(arn, [reason])
        return part

    def charge_read(self, call: Call, database: str, got: Answer) -> None:
        """Charge what a read has returned."""
        table = self._tables.get((database, call.region, call.table))
        if table is None or call.operation not in READS or got.status != 200:
            return
        found = json.loads(got.body)
        items = [*found.get("Items", ()), *filter(None, [found.get("Item")])]
        for batch in found.get("Responses", {}).values():
            items += batch
        size = sum(map(item_bytes, items))
        consistent = b'"ConsistentRead":true' in call.body.replace(b" ", b"")
        table.read.take(max(1, -(-size // 4096)) * (1.0 if consistent else 0.5), None)

    def _admit_batch(self, batch: Batch, place: tuple[str, str], part: set[int] | None) -> set[int] | None:
        admitted: set[int] = set()
        refused: dict[str, str] = {}
        for number, (name, element) in enumerate(batch.numbered()):
            if part is not None and number not in part:
                continue
            table = self._tables.get((*place, name))
            [(_, request)] = json.loads(bytes(element)).items()
            reason = self._write(table, request) if table else None
            if reason is None:
                admitted.add(number)
            else:
                refused[f"arn:aws:dynamodb:{place[1]}:000000000000:table/{name}"] = reason
        if not admitted:
            [arn, *_] = refused
            raise throughput_exceeded(arn, [refused[arn]])
        return admitted if refused else part

    def _write(self, table: Table, request: dict[str, Any]) -> str | None:
        """Charge one write, or tell why not."""
        item = request.get("Item")
        key = (item or request["Key"]).get(table.hash_key)
        if key is None:
            # The service will refuse it, and charges nothing.
            return None
        key_hash = hash_of(key)
        reason = table.write.refuses(key_hash, self._clock())
        if reason is None:
            table.write.take(-(-item_bytes(item) // 1024) if item else 1, key_hash)
        return reason


def item_bytes(item: dict[str, Any]) -> int:
    """An item's size as the service counts it, names included."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: dict[str, Any]) -> int:
    [(kind, content)] = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return (len(content) + 1) // 2 + 1
        case "B":
            return len(b64decode(content))
        case "SS" | "NS" | "BS":
            return sum(_value_bytes({kind[0]: one}) for one in content)
        case "M":
            return 3 + item_bytes(content) + len(content)
        case "L":
            return 3 + sum(_value_bytes(one) + 1 for one in content)
        case _:
            return 1
