"""What all machines share: source table with its stream, destination, lease table, state table; and the checks."""

import asyncio
import random
from collections import Counter
from zlib import crc32

import msgspec

from dynamirror.aws.state_rows import Incarnation
from dynamirror.errors import Side, Throttled
from dynamirror.model.copy import Phase
from dynamirror.model.diff import Item
from dynamirror.model.key import Key, KeyAttribute, KeyCodec, KeySchema
from dynamirror.testing.dynamodb.table import EventualReads
from dynamirror.testing.memory_stream import MemoryStream
from dynamirror.testing.memory_table import MemorySource
from dynamirror.testing.virtual_time import VirtualClock
from tests.sim.checks import Checks
from tests.sim.parked import BAD, ParkedKept, PickyDynamoDB
from tests.sim.profile import Fleet, Service
from tests.support.memory_caller import create_table

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "S")))
TARGET, LEASES, STATE = "target", "leases", "leases-state"
INCARNATION = Incarnation("id of leases", "arn:memory:stream")
METERED_PARTITIONS = 4
PAGES_SAVED = 30.0
PHASES = (Phase.ANNOUNCED.value, Phase.OVER.value)


class Cloud:
    """One account. `counts`: faults by kind and situations by name."""

    def __init__(
        self,
        shards: int,
        fleet: Fleet | None = None,
        draw: random.Random | None = None,
        service: Service | None = None,
    ) -> None:
        fleet = fleet or Fleet()
        stale_s = fleet.stale_s
        self.counts: Counter[str] = Counter()
        self.clock = VirtualClock()
        self.stream = MemoryStream(self.clock, shards=shards)
        self.service = service or Service()
        if self.service.retention_s is not None:
            self.stream.retention_ms = int(self.service.retention_s * 1000)
        self.stream.rounding_s = self.service.rounding_s
        self.source = MemorySource(CODEC, self.stream)
        self.checks = Checks(self.stream, self.counts, ParkedKept(CODEC), fleet.lease)
        # Shards that others read too, one call in two of ours is one too many; set by the trouble.
        self.crowded: set[str] = set()
        # Writes a second that a partition of the destination takes; None: any number.
        self.writes_per_s: float | None = None
        self._tokens = dict.fromkeys(range(METERED_PARTITIONS), (0.0, 0.0))
        self._pages, self._pages_at_s = 1.0, 0.0
        # When the copy was announced, and when it was over.
        self.copied_s: list[float] = []
        self._draw = draw or random.Random(0)
        eventual = EventualReads(_now_s, lambda: self._draw.random() * stale_s, stale_s) if stale_s else None
        self.database = PickyDynamoDB(self._written, eventual)
        self.database.picky = TARGET
        create_table(self.database, TARGET, {"id": "S"})
        create_table(self.database, LEASES, {"leaseKey": "S"})
        create_table(self.database, STATE, {"kind": "S", "id": "S"})

    def _written(self, table: str, key: Key, item: Item | None) -> None:
        if table == TARGET:
            self.checks.applied(key, item)
        elif table == LEASES:
            self.checks.lease_row(str(key), item)
        elif key[0] == "gap":
            if item is not None:
                self.counts["gap"] += 1
                self.checks.lost(item["shard"]["S"])
                asyncio.get_running_loop().call_soon(self._mend)
        elif key[0] == "parked":
            if item is not None:
                self.counts["parked"] += 1
            self.checks.parked.written(key[1], item)
        elif item is not None and "beat" in item:
            self.checks.life.beat(str(item["id"]["S"]), _now_s(), item.get("wants", {}).get("SS", []))
        elif item is not None and item.get("phase", {}).get("S") in PHASES:
            self.copied_s.append(_now_s())
            if item["wasEmpty"]["BOOL"]:
                self.checks.copied_from_s = self.copied_s[0]

    @property
    def target(self) -> dict[Key, Item]:
        return self.database.items(TARGET)

    # --- what the application does

    def seed(self) -> None:
        """Somebody brings what the source has now to the destination."""
        for item in self.source.items.values():
            self.database.answer("PutItem", msgspec.json.encode({"TableName": TARGET, "Item": item}))

    def _mend(self) -> None:
        """Somebody compares the tables at the moment a gap is noted, and makes them equal."""
        for key in self.checks.images.ever():
            item = self.source.items.get(key)
            if item is not None:
                self.database.answer("PutItem", msgspec.json.encode({"TableName": TARGET, "Item": item}))
            else:
                request = {"TableName": TARGET, "Key": {"id": {"S": key}}}
                self.database.answer("DeleteItem", msgspec.json.encode(request))
                # Of what was not there nobody is told.
                self.checks.applied(key, None)

    def had(self, key: str, value: str, bad: bool = False) -> None:
        """There is an item of which the stream knows nothing."""
        item = _item(key, value, bad)
        self.source.items[key] = item
        self.checks.had(key, item)

    def put(self, key: str, value: str, bad: bool = False) -> None:
        item = _item(key, value, bad)
        self.checks.changed(key, item, self.source.put(item))

    def delete(self, key: str) -> None:
        self.checks.changed(key, None, self.source.delete({"id": {"S": key}}))

    def change_something(self, draw: random.Random, repeats: bool, keys: int, bad: bool = False) -> None:
        """Hot keys, deletes; values that repeat (toggles) or never do. `bad`: an item that the destination refuses."""
        key = f"k{draw.randint(0, 3) if draw.random() < 0.5 else draw.randint(0, keys)}"
        if draw.random() < 0.2:
            self.delete(key)
        else:
            self.put(key, str(draw.randint(0, 1)) if repeats else f"{draw.getrandbits(60):x}", bad)

    # --- what the service does

    def roll(self, shard_id: str) -> list[str]:
        """A shard ends and another one follows it."""
        return self._born("roll", shard_id, self.stream.roll(shard_id))

    def split(self, shard_id: str) -> list[str]:
        """A shard ends and two follow it."""
        return self._born("split", shard_id, self.stream.split(shard_id))

    def _born(self, how: str, parent_id: str, children: list[str]) -> list[str]:
        self.counts[how] += 1
        self.checks.born(parent_id, children)
        return children

    def read_allowed(self, shard_id: str) -> None:
        """A third reader of a shard at the same time is one too many. Raises Throttled."""
        if shard_id in self.crowded and self._draw.random() < 0.5:
            self.counts["reader limit"] += 1
            raise Throttled(Side.SOURCE, f"injected: too many readers of {shard_id}")

    def scan_allowed(self) -> None:
        """A page of a Scan uses up the table's capacity for reading for a while. Raises Throttled."""
        every_s = self.service.scan_every_s
        if not every_s:
            return
        self._pages = min(PAGES_SAVED, self._pages + (_now_s() - self._pages_at_s) / every_s)
        self._pages_at_s = _now_s()
        if self._pages < 1:
            raise Throttled(Side.SOURCE, "injected: the capacity of the source table is used up")
        self._pages -= 1

    def write_allowed(self, key: Key) -> bool:
        """Whether the partition of an item has capacity left for a write now."""
        if self.writes_per_s is None:
            return True
        part = crc32(repr(key).encode()) % METERED_PARTITIONS
        tokens, at_s = self._tokens[part]
        tokens = min(self.writes_per_s, tokens + (_now_s() - at_s) * self.writes_per_s)
        allowed = tokens >= 1
        self._tokens[part] = (tokens - allowed, _now_s())
        return allowed


def _item(key: str, value: str, bad: bool) -> Item:
    return {"id": {"S": key}, "v": {"S": value}, **({BAD: {"S": "x"}} if bad else {})}


def _now_s() -> float:
    return asyncio.get_running_loop().time()
