"""What all machines share: source table with its stream, destination, lease table, state table; and the checks."""

import random
from collections import Counter

from dynamirror.model.diff import Item
from dynamirror.model.key import Key, KeyAttribute, KeyCodec, KeySchema
from dynamirror.testing.memory_dynamodb import MemoryDynamoDB
from dynamirror.testing.memory_stream import MemoryStream
from dynamirror.testing.memory_table import MemorySource
from dynamirror.testing.virtual_time import VirtualClock
from tests.sim.checks import Checks
from tests.support.memory_caller import create_table

CODEC = KeyCodec(KeySchema(KeyAttribute("id", "S")))
TARGET, LEASES, STATE = "target", "leases", "leases-state"


class Cloud:
    """One account. `counts`: faults by kind and situations by name."""

    def __init__(self, shards: int) -> None:
        self.counts: Counter[str] = Counter()
        self.stream = MemoryStream(VirtualClock(), shards=shards)
        self.source = MemorySource(CODEC, self.stream)
        self.checks = Checks(self.stream, self.counts)
        self.database = MemoryDynamoDB(self._written)
        create_table(self.database, TARGET, {"id": "S"})
        create_table(self.database, LEASES, {"leaseKey": "S"})
        create_table(self.database, STATE, {"kind": "S", "id": "S"})

    def _written(self, table: str, key: Key, item: Item | None) -> None:
        if table == TARGET:
            self.checks.applied(key, item)
        elif table == LEASES:
            self.checks.lease_row(str(key), item)

    @property
    def target(self) -> dict[Key, Item]:
        return self.database.items(TARGET)

    def put(self, key: str, value: str) -> None:
        item: Item = {"id": {"S": key}, "v": {"S": value}}
        self.checks.changed(key, item, self.source.put(item))

    def delete(self, key: str) -> None:
        self.checks.changed(key, None, self.source.delete({"id": {"S": key}}))

    def change_something(self, draw: random.Random, repeats: bool, keys: int) -> None:
        """Hot keys, deletes; values that repeat (toggles) or never do."""
        key = f"k{draw.randint(0, 3) if draw.random() < 0.5 else draw.randint(0, keys)}"
        if draw.random() < 0.2:
            self.delete(key)
        else:
            self.put(key, str(draw.randint(0, 1)) if repeats else f"{draw.getrandbits(60):x}")
