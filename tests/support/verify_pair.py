"""Two tables that are the same, differences planted among them at random, live traffic through replication."""

import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.command import Command, bare_environ, wait_until
from tests.support.copy_pair import DESTINATION, SOURCE, state_rows
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.items import random_item

THREADS = 4
HOT = 5


class VerifyPair:
    """Tables Orders and Copy with the same items, and commands that see them at `url`."""

    def __init__(
        self, local: DynamoDBLocal, access_key: str, folder: Path, items: int, url: str = "", small: bool = False
    ) -> None:
        """`small`: items of a key and a number alone."""
        self.folder = folder
        self.items = items
        self._small = small
        self._access_key = access_key
        self._url = url or local.url
        self.source = local.client(access_key, SOURCE)
        self.destination = local.client(access_key, DESTINATION)
        self.streams = local.client(access_key, SOURCE, "dynamodbstreams")
        local.create_table(access_key, "Orders", SOURCE, stream=None)
        local.create_table(access_key, "Copy", DESTINATION, stream=None)
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(self._fill, range(0, items, 25)))
        self.source.update_table(
            TableName="Orders",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self.planted: dict[str, str] = {}

    def command(self, name: str, *words: str, url: str = "") -> Command:
        """`words`: the sub-command and its own flags."""
        url = url or self._url
        flags = ["--source-region", SOURCE, "--source-table", "Orders", "--source-endpoint", url]
        flags += ["--destination-region", DESTINATION, "--destination-table", "Copy", "--destination-endpoint", url]
        return Command([words[0], *flags, *words[1:]], self.folder / name, bare_environ(self._access_key))

    def run(self, name: str, *words: str, url: str = "", timeout_s: float = 900) -> tuple[int, dict[str, Any]]:
        """A verify to its end with --json: exit code and document."""
        with self.command(name, "verify", "--json", "--log-level", "ERROR", *words, url=url) as command:
            code = command.process.wait(timeout_s)
            output = command.output
        return code, json.loads(output[output.index("{") :]) if "{" in output else {}

    def plant(self, each: int, seed: int = 0) -> None:
        """So many missing, extra and different items, at random places."""
        rng = random.Random(seed)
        numbers = rng.sample(range(HOT, self.items), 2 * each)
        for number in numbers[:each]:
            self.destination.delete_item(TableName="Copy", Key={"pk": {"S": f"item {number}"}})
            self.planted[f"item {number}"] = "missing"
        for number in numbers[each:]:
            key = {"pk": {"S": f"item {number}"}}
            item: Any = self.source.get_item(TableName="Orders", Key=key, ConsistentRead=True)["Item"]
            self.destination.put_item(TableName="Copy", Item={**item, "planted": {"N": "1"}})
            self.planted[f"item {number}"] = "different"
        for number in rng.sample(range(10 * self.items), each):
            self.destination.put_item(TableName="Copy", Item={"pk": {"S": f"stray {number}"}, "a": {"N": "1"}})
            self.planted[f"stray {number}"] = "extra"

    @contextmanager
    def traffic(self) -> Iterator[None]:
        """Inserts, updates and deletes of what is not planted, some items hot all the time."""
        stop = threading.Event()
        with ThreadPoolExecutor(THREADS) as pool:
            writing = [pool.submit(self._write, stop, number) for number in range(THREADS)]
            try:
                yield
            finally:
                stop.set()
            assert min(job.result() for job in writing) > 20

    @contextmanager
    def replicating(self, *more: str, url: str = "") -> Iterator[Command]:
        """`replicate` beside it, in step."""
        with self.command("replicate", "replicate", *more, url=url) as command:
            self.source.put_item(TableName="Orders", Item={"pk": {"S": "probe"}, "at": {"N": "1"}})
            wait_until(lambda: "Item" in self.destination.get_item(TableName="Copy", Key={"pk": {"S": "probe"}}), 60)
            yield command
            assert command.terminate()[0] == 0

    def reported(self, path: Path) -> dict[str, str]:
        """Key -> class of a report file, lines of mending left out."""
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return {line["key"]["pk"]["S"]: line["class"] for line in lines if "mended" not in line}

    def state(self, kind: str) -> list[dict[str, Any]]:
        """Rows of the state table."""
        return state_rows(self.source, kind)

    def _fill(self, first: int) -> None:
        rng = random.Random(first)
        numbers = range(first, min(first + 25, self.items))
        items = [
            {"pk": {"S": f"item {n}"}} | ({"n": {"N": str(n)}} if self._small else random_item(rng)) for n in numbers
        ]
        for client, table in ((self.source, "Orders"), (self.destination, "Copy")):
            client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": item}} for item in items]})

    def _write(self, stop: threading.Event, number: int) -> int:
        rng = random.Random(number)
        count = 0
        while not stop.wait(0.01):
            hot = rng.random() < 0.3
            name = f"item {rng.randrange(HOT) if hot else rng.randrange(self.items + self.items // 20)}"
            if name in self.planted:
                continue
            key = {"pk": {"S": name}}
            if rng.random() < 0.2:
                self.source.delete_item(TableName="Orders", Key=key)
            elif rng.random() < 0.4:
                self.source.put_item(TableName="Orders", Item=key | random_item(rng) | {"by": {"N": str(number)}})
            else:
                self.source.update_item(
                    TableName="Orders",
                    Key=key,
                    UpdateExpression="ADD hits :one",
                    ExpressionAttributeValues={":one": {"N": "1"}},
                )
            count += 1
        return count
