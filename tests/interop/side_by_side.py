"""Tables, a stream of many shards, workers of both kinds on one lease table, and traffic."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.call import hash_of
from tests.bench.shards import ManyShards
from tests.bench.thread import ProxyThread
from tests.interop.facts import (
    JAVA,
    PYTHON,
    Facts,
    Row,
    refuse_bad_rows,
    refuse_interleaving,
    refuse_lost_progress,
)
from tests.support.command import Command, bare_environ, wait_until
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.items import whole_table
from tests.support.kcl import Kcl, KclPlace, KclWorker

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

SOURCE_REGION, DESTINATION_REGION = "us-east-1", "eu-west-1"
SOURCE, DESTINATION = "Orders", "Copy"
TASK = "interop"
LEASES = f"DynamoDBCrossRegionReplication{TASK}"
# D, and what follows from it: dynamirror bears with D and a third of it (a second), KCL scans every 2 (D + 25 ms).
FAILOVER_S = 3.0
PATIENCE_S = 4.0
SCANS_S = 6.05
# How long ours lets what it has sent be on its way.
STRAY_LIFE_S = 5.0
KEYS = 40
# A JVM's start on a busy machine.
START_S = 90.0


@dataclass(frozen=True)
class Keys:
    """Access keys of one database: its own, and one for each kind of worker, by which the bench tells them apart."""

    database: str
    java: str
    python: str


@dataclass
class SideBySide:
    """One task. `stream` is made by the fixture; a test asks for as many roots as it needs."""

    local: DynamoDBLocal
    kcl: Kcl
    keys: Keys
    thread: ProxyThread
    folder: Path
    roots: int = 4
    # D of both tools; read when a worker is made.
    failover_s: float = FAILOVER_S
    serials: Iterator[int] = field(default_factory=lambda: count(1))
    files: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.source: DynamoDBClient = self.local.client(self.keys.database, SOURCE_REGION)
        self.destination: DynamoDBClient = self.local.client(self.keys.database, DESTINATION_REGION)
        self.arn = self.local.create_table(self.keys.database, SOURCE, SOURCE_REGION)
        self.local.create_table(self.keys.database, DESTINATION, DESTINATION_REGION, stream=None)
        self.stream: ManyShards = self.thread.shard_stream((self.keys.database, SOURCE_REGION), self.arn, self.roots)
        writers = {self.keys.java: JAVA, self.keys.python: PYTHON}
        self.facts = Facts(self.thread.proxy.journal, writers, DESTINATION, LEASES)

    # --- workers

    def java(self, task: str = TASK) -> KclWorker:
        """A worker on KCL, not yet started."""
        place = KclPlace(
            self.thread.url,
            SOURCE_REGION,
            self.arn,
            DESTINATION_REGION,
            DESTINATION,
            f"DynamoDBCrossRegionReplication{task}",
            self.failover_s,
            parent_poll_s=1.0,
        )
        environ = bare_environ(self.keys.java)
        return KclWorker(self.kcl, place, self.folder / f"java{next(self.files)}", environ)

    def python(self, *more: str, task: str = TASK) -> Command:
        """`dynamirror replicate`, not yet started."""
        url = self.thread.url
        flags = ["replicate", "--task-name", task, "--stray-life", f"{STRAY_LIFE_S:g}s"]
        flags += ["--java-failover-time", f"{self.failover_s:g}s"]
        flags += ["--source-region", SOURCE_REGION, "--source-table", SOURCE, "--source-endpoint", url]
        flags += ["--destination-region", DESTINATION_REGION, "--destination-table", DESTINATION]
        flags += ["--destination-endpoint", url, "--parent-shard-poll-interval-ms", "1000"]
        log = self.folder / f"dynamirror{next(self.files)}.log"
        return Command([*flags, *more], log, bare_environ(self.keys.python))

    # --- leases

    def rows(self, task: str = TASK) -> dict[str, Row]:
        """The lease table by shard; {} before there is one."""
        try:
            found = self.source.scan(TableName=f"DynamoDBCrossRegionReplication{task}", ConsistentRead=True)["Items"]
        except self.source.exceptions.ResourceNotFoundException:
            return {}
        return {row["leaseKey"]["S"]: dict(row) for row in found}

    def owners(self) -> dict[str, str]:
        """The owner of each row, "" where there is none."""
        return {shard: row.get("leaseOwner", {}).get("S", "") for shard, row in self.rows().items()}

    def owned_by_java(self) -> set[str]:
        """Shards whose rows a KCL worker owns: those are named after the application."""
        return {shard for shard, owner in self.owners().items() if owner.startswith(f"worker{LEASES}")}

    def checkpoint(self, shard: str) -> str:
        """Where the row of a shard stands."""
        return str(self.rows()[shard]["checkpoint"]["S"])

    def shard_of(self, key: str) -> str:
        """The open shard that changes of a key go to now."""
        place = hash_of({"S": key})
        return next(s for s in self.stream.open_shards() if _within(place, self.stream.shard(s).hashes))

    def roots_saved(self) -> bool:
        """Every open shard has a row with a number: something of it was applied."""
        rows = self.rows()
        return all(rows.get(s, {}).get("checkpoint", {}).get("S", "").isdigit() for s in self.stream.open_shards())

    # --- items

    def put(self, key: str) -> None:
        """One change of the source."""
        item: Any = {"pk": {"S": key}, "serial": {"N": str(next(self.serials))}}
        self.source.put_item(TableName=SOURCE, Item=item)

    def put_all(self) -> None:
        """One change of every key, seen by the stream."""
        wanted = self.stream.counts["records"] + KEYS
        for number in range(KEYS):
            self.put(f"key{number}")
        wait_until(lambda: self.stream.counts["records"] >= wanted, 30)

    @contextmanager
    def traffic(self, per_s: float = 60.0) -> Iterator[None]:
        """Changes at random keys while the block runs, a tenth of them deletes."""
        stop = threading.Event()
        thread = threading.Thread(target=self._change, args=(stop, per_s), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)

    def _change(self, stop: threading.Event, per_s: float) -> None:
        rng = random.Random(7)
        while not stop.wait(1 / per_s):
            key = f"key{rng.randrange(KEYS)}"
            if rng.random() < 0.1:
                self.source.delete_item(TableName=SOURCE, Key={"pk": {"S": key}})
            else:
                self.put(key)

    # --- what must hold

    def settled(self, timeout_s: float = 90.0) -> None:
        """I1: wait until both tables are equal."""
        wait_until(self._equal, timeout_s)

    def check(self, *javas: KclWorker, tenures_max: int = 2) -> None:
        """I1 to I5; see tests/interop/facts. `tenures_max` 0: not I2, since workers were killed that wrote."""
        self.settled()
        if tenures_max:
            refuse_interleaving(self.facts.writes(), tenures_max)
        refuse_lost_progress(self.facts.lease_writes())
        refuse_bad_rows(self.rows().values())
        for java in javas:
            failures = java.scan_failures()
            assert not failures, "\n".join(failures)

    def _equal(self) -> bool:
        return whole_table(self.source, SOURCE) == whole_table(self.destination, DESTINATION)


def held_java(worker: KclWorker, side: SideBySide, count_min: int, timeout_s: float = START_S) -> None:
    """Wait until a KCL worker owns so many leases at least, and the journal tells of each: it comes after the row."""

    def enough() -> bool:
        worker.alive()
        owned = side.owned_by_java()
        return len(owned) >= count_min and owned <= {take.shard for take in side.facts.takes(JAVA)}

    wait_until(enough, timeout_s)


def read_by_java(side: SideBySide) -> tuple[KclWorker, str, str]:
    """A Java worker reads a change of each key, and stops. Returns it, its one shard, and its checkpoint."""
    side.put_all()
    [shard] = side.stream.open_shards()
    with side.java() as java:
        held_java(java, side, 1)
        wait_until(side.roots_saved, 30)
        side.settled()
    return java, shard, side.checkpoint(shard)


def _within(place: int, hashes: tuple[int, int]) -> bool:
    return hashes[0] <= place < hashes[1]
