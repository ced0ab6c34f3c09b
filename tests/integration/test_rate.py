"""How fast the real command copies, as the destination meters it: asked for a rate, alone and shared; beside others.

The bench counts the units of every write that is carried out. A window is ten seconds, anywhere after the first ten.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bench.harness import SESSION
from tests.bench.meter import Table
from tests.bench.signature import Credential
from tests.bench.thread import ProxyThread
from tests.support.command import Command, bare_environ, wait_until
from tests.support.dynamodb_local import SECRET_KEY, DynamoDBLocal

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

SOURCE, DESTINATION = "us-east-1", "eu-west-1"
RATE_S = 300.0
WINDOW_S = 10.0
SAMPLE_S = 0.25
# What writes beside the copy, in batches: a quarter of the table.
FOREIGN_BATCH, FOREIGN_EVERY_S = 5, 5 / (RATE_S / 4)


@dataclass
class Bench:
    """A full source, and an empty destination behind a meter."""

    local: DynamoDBLocal
    access_key: str
    thread: ProxyThread
    folder: Path
    items: int
    # The units that the destination gives a second, and says that it has; None: more than anybody uses, said by nobody.
    units_s: int | None = None
    # `dynamirror copy`; else the copy beside the changes.
    at_rest: bool = False
    samples: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        source = self.local.client(self.access_key, SOURCE)
        self.local.create_table(self.access_key, "Orders", SOURCE, stream=None)
        self.local.create_table(self.access_key, "Copy", DESTINATION, stream=None)
        if self.units_s is not None:
            self.local.client(self.access_key, DESTINATION).update_table(
                TableName="Copy",
                BillingMode="PROVISIONED",
                ProvisionedThroughput={"ReadCapacityUnits": 1000, "WriteCapacityUnits": self.units_s},
            )
        place = (self.access_key, DESTINATION, "Copy")
        units_s = float(self.units_s or 100_000)
        self.table: Table = self.thread.do(self.thread.proxy.meter.provision, place, "pk", units_s, 100_000.0)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda first: self._fill(source, first), range(0, self.items, 25)))

    def _fill(self, source: "DynamoDBClient", first: int) -> None:
        """Items of one to three units."""
        draw = random.Random(first)
        items = [
            {"pk": {"S": f"item {n}"}, "v": {"S": "x" * draw.randrange(100, 2500)}} for n in range(first, first + 25)
        ]
        source.batch_write_item(RequestItems={"Orders": [{"PutRequest": {"Item": item}} for item in items]})

    def client(self) -> "DynamoDBClient":
        client: DynamoDBClient = SESSION.client(
            "dynamodb",
            region_name=DESTINATION,
            endpoint_url=self.thread.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=SECRET_KEY,
        )
        return client

    def command(self, name: str, *more: str) -> Command:
        url = self.local.url
        begin = ["copy"] if self.at_rest else ["replicate", "--copy", "--enable-stream"]
        flags = [*begin, "--source-region", SOURCE, "--source-table", "Orders", "--source-endpoint", url]
        flags += ["--destination-region", DESTINATION, "--destination-table", "Copy"]
        flags += ["--destination-endpoint", self.thread.url, *more]
        return Command(flags, self.folder / name, bare_environ(self.access_key))

    def until_copying(self, command: Command) -> None:
        """The looks before the start, which prove rights by writes that are refused, cost some units too."""
        wait_until(lambda: self.table.write.taken > 50, 90, command)

    def watch(self, for_s: float, *commands: Command) -> None:
        """Sample what was taken, from the copy's first pages on."""
        self.until_copying(commands[0])
        begun_s = time.monotonic()
        while (now_s := time.monotonic() - begun_s) < for_s:
            for command in commands:
                command.alive()
            self.samples.append((now_s, self.table.write.taken))
            time.sleep(SAMPLE_S)

    def windows(self) -> list[float]:
        """Units a second in each window."""
        rates = []
        for first_s, first in self.samples:
            later = [(at_s, taken) for at_s, taken in self.samples if at_s >= first_s + WINDOW_S]
            if first_s >= WINDOW_S and later:
                last_s, last = later[0]
                rates.append((last - first) / (last_s - first_s))
        return rates


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> Iterator[MakeBench]:
    with ExitStack() as stack:

        def make(items: int, units_s: int | None = None, at_rest: bool = False) -> Bench:
            thread = stack.enter_context(ProxyThread(dynamodb_local.url, {access_key: Credential(SECRET_KEY)}))
            return Bench(dynamodb_local, access_key, thread, tmp_path, items, units_s, at_rest)

        yield make


def keeps_the_rate(bench: Bench, workers: int, for_s: float) -> None:
    with ExitStack() as stack:
        commands = [
            stack.enter_context(bench.command(f"worker {number}", "--max-write-rate", f"{RATE_S:g}"))
            for number in range(workers)
        ]
        bench.watch(for_s, *commands)
        # A copy at rest was to end by itself.
        assert [command.terminate()[0] for command in commands] == [int(bench.at_rest)] * workers
    rates = bench.windows()
    print(f"{workers} workers, {len(rates)} windows: {min(rates):.1f} to {max(rates):.1f} of {RATE_S:g} units/s")
    assert min(rates) >= 0.9 * RATE_S
    assert max(rates) <= 1.05 * RATE_S


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.parametrize("workers, at_rest", [(1, False), (3, False), (2, True)])
@pytest.mark.timeout(600)
def test_a_copy_keeps_to_its_rate_in_every_window(make_bench: MakeBench, workers: int, at_rest: bool) -> None:
    keeps_the_rate(make_bench(items=36_000, at_rest=at_rest), workers, 120)


class Foreign:
    """Writes a quarter of the table's units, of one each, at a steady pace, and tries nothing twice."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self._client = client
        self._stop = threading.Event()
        self.asked = self.got = 0

    def run(self) -> None:
        begun_s = time.monotonic()
        while not self._stop.wait(max(0.0, begun_s + self.asked / FOREIGN_BATCH * FOREIGN_EVERY_S - time.monotonic())):
            names = range(self.asked, self.asked + FOREIGN_BATCH)
            self.asked += FOREIGN_BATCH
            puts = [{"PutRequest": {"Item": {"pk": {"S": f"foreign {name}"}}}} for name in names]
            try:
                answer = self._client.batch_write_item(RequestItems={"Copy": puts})  # type: ignore[dict-item]
            except self._client.exceptions.ProvisionedThroughputExceededException:
                continue
            self.got += FOREIGN_BATCH - len(answer["UnprocessedItems"].get("Copy", ()))

    def stop(self) -> None:
        self._stop.set()


def shares_the_table(bench: Bench, for_s: float) -> None:
    """Without flags: the foreign client's share is the part of its writes that the table took at the first attempt."""
    foreign = Foreign(bench.client())
    with bench.command("worker") as command, ThreadPoolExecutor(1) as pool:
        bench.until_copying(command)
        writing = pool.submit(foreign.run)
        try:
            bench.watch(for_s, command)
        finally:
            foreign.stop()
        writing.result()
        (first_s, first), (last_s, last) = bench.samples[0], bench.samples[-1]
        assert command.terminate()[0] == 0
    copied_s = (last - first - foreign.got) / (last_s - first_s)
    print(f"foreign {foreign.got} of {foreign.asked}, copy {copied_s:.0f} units/s of {RATE_S * 3 / 4:g} that were free")
    assert foreign.asked >= 0.9 * RATE_S / 4 * for_s
    assert foreign.got >= 0.9 * foreign.asked
    assert copied_s >= 0.6 * RATE_S * 3 / 4


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_a_copy_without_a_rate_leaves_others_their_share_of_the_table(make_bench: MakeBench) -> None:
    shares_the_table(make_bench(items=36_000, units_s=int(RATE_S)), 120)
