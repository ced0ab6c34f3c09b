"""A table is copied while it is written, by two workers, one of which is killed; then it is followed."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dynamirror.model.task_name import lease_table_name, state_table_name
from tests.support.command import Command, bare_environ, wait_until
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.items import random_item, whole_table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

SOURCE, DESTINATION = "us-east-1", "eu-west-1"
LEASES = lease_table_name(None, (SOURCE, "Orders"), (DESTINATION, "Copy"))
ITEMS = 40_000
WRITERS = 4


@dataclass
class Pair:
    """A source with items from before its stream, and an empty destination."""

    local: DynamoDBLocal
    access_key: str
    folder: Path
    items: int = ITEMS

    def __post_init__(self) -> None:
        self.source = self.local.client(self.access_key, SOURCE)
        self.destination = self.local.client(self.access_key, DESTINATION)
        self.local.create_table(self.access_key, "Orders", SOURCE, stream=None)
        self.local.create_table(self.access_key, "Copy", DESTINATION, stream=None)
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(self._fill, range(0, self.items, 25)))

    def command(self, name: str, *more: str) -> Command:
        url = self.local.url
        flags = ["replicate", "--source-region", SOURCE, "--source-table", "Orders", "--source-endpoint", url]
        flags += ["--destination-region", DESTINATION, "--destination-table", "Copy", "--destination-endpoint", url]
        flags += ["--enable-stream", "--copy", *more]
        return Command(flags, self.folder / name, bare_environ(self.access_key))

    def _fill(self, first: int) -> None:
        rng = random.Random(first)
        items = [{"pk": {"S": f"item {n}"}} | random_item(rng) for n in range(first, min(first + 25, self.items))]
        self.source.batch_write_item(RequestItems={"Orders": [{"PutRequest": {"Item": item}} for item in items]})

    def state(self, kind: str) -> list[dict[str, Any]]:
        try:
            return list(
                self.source.query(
                    TableName=state_table_name(LEASES),
                    ConsistentRead=True,
                    KeyConditionExpression="kind = :kind",
                    ExpressionAttributeValues={":kind": {"S": kind}},
                )["Items"]
            )
        except self.source.exceptions.ResourceNotFoundException:
            return []

    def phase(self) -> str:
        rows = self.state("copy")
        return str(rows[0]["phase"]["S"]) if rows else "none"

    def copied(self) -> int:
        return sum(int(row["written"]["N"]) for row in self.state("segment"))


@pytest.fixture
def pair(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> Pair:
    return Pair(dynamodb_local, access_key, tmp_path)


@pytest.fixture
def small(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> Pair:
    return Pair(dynamodb_local, access_key, tmp_path, items=2_000)


def write_until(stop: threading.Event, client: "DynamoDBClient", number: int, items: int) -> int:
    """Inserts, updates and deletes, also of items that the copy is about to reach or has just passed."""
    rng = random.Random(number)
    count = 0
    while not stop.wait(0.02):
        key = {"pk": {"S": f"item {rng.randrange(items + items // 20)}"}}
        if rng.random() < 0.3:
            client.delete_item(TableName="Orders", Key=key)
        elif rng.random() < 0.5:
            client.put_item(TableName="Orders", Item=key | random_item(rng) | {"by": {"N": str(number)}})
        else:
            client.update_item(
                TableName="Orders",
                Key=key,
                UpdateExpression="ADD hits :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )
        count += 1
    return count


@pytest.mark.timeout(900)
def test_a_table_in_use_is_copied_by_two_workers_one_of_which_is_killed(pair: Pair) -> None:
    stop = threading.Event()
    with pair.command("first") as first, ThreadPoolExecutor(WRITERS) as pool:
        wait_until(lambda: pair.phase() == "announced", 60, first)
        writing = [pool.submit(write_until, stop, pair.source, n, pair.items) for n in range(WRITERS)]
        try:
            with pair.command("second") as second:
                for _ in range(2):
                    copied = pair.copied()
                    wait_until(lambda least=copied: pair.copied() > least + 100, 120, first)  # type: ignore[misc]
                    second.kill()
                    second.__enter__()
                wait_until(lambda: pair.phase() in ("done", "over"), 180, first)
                wait_until(lambda: pair.phase() == "over", 180, first)
                stop.set()
                counts = [job.result() for job in writing]
                assert min(counts) > 100
                expected = whole_table(pair.source, "Orders")
                wait_until(lambda: whole_table(pair.destination, "Copy") == expected, 120, first)
                assert second.terminate()[0] == 0
        finally:
            stop.set()
        assert first.terminate()[0] == 0
    segments = pair.state("segment")
    assert all(row["done"]["BOOL"] for row in segments)
    assert sum(int(row["read"]["N"]) for row in segments) == pair.copied()
    assert pair.copied() > pair.items * 0.8


def test_a_destination_with_items_is_refused_and_nothing_is_written(small: Pair) -> None:
    pair = small
    pair.destination.put_item(TableName="Copy", Item={"pk": {"S": "mine"}})
    with pair.command("refused") as command:
        assert command.process.wait(60) == 4
    assert "--allow-non-empty" in command.output
    assert pair.phase() == "none"
    assert len(whole_table(pair.destination, "Copy")) == 1


@pytest.mark.timeout(600)
def test_a_missing_destination_is_made_like_the_source_and_finished_after_the_copy(small: Pair) -> None:
    pair = small
    pair.destination.delete_table(TableName="Copy")
    pair.source.update_time_to_live(
        TableName="Orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )

    def lives() -> str:
        found = pair.destination.describe_time_to_live(TableName="Copy")["TimeToLiveDescription"]
        return str(found.get("TimeToLiveStatus"))

    with pair.command("clone", "--create-destination") as command:
        wait_until(lambda: pair.phase() in ("announced", "copying"), 60, command)
        assert lives() == "DISABLED", "nothing may expire before the copy has it"
        wait_until(lambda: pair.phase() == "over", 240, command)
        wait_until(lambda: lives() in ("ENABLED", "ENABLING"), 60, command)
        expected = whole_table(pair.source, "Orders")
        assert whole_table(pair.destination, "Copy") == expected
        assert command.terminate()[0] == 0
    made = pair.destination.describe_table(TableName="Copy")["Table"]
    assert made["KeySchema"] == pair.source.describe_table(TableName="Orders")["Table"]["KeySchema"]


def test_counts_that_do_not_add_up_are_told_by_the_exit_code_and_following_goes_on(small: Pair) -> None:
    """A segment whose row says so from the beginning; the worker takes it for done."""
    pair = small
    with pair.command("uneven", "--segments", "2") as command:
        wait_until(lambda: pair.phase() == "announced", 60, command)
        [row] = pair.state("copy")
        life = {name: row[name] for name in ("leaseTableId", "streamArn", "schema")}
        counts = {name: {"N": count} for name, count in {"claim": "9", "read": "5", "written": "4"}.items()}
        rest = {"parked": {"N": "0"}, "bytes": {"N": "1"}, "done": {"BOOL": True}}
        key = {"kind": {"S": "segment"}, "id": {"S": "000001"}}
        pair.source.put_item(TableName=state_table_name(LEASES), Item=key | life | counts | rest)
        wait_until(lambda: pair.phase() == "done", 120, command)
        assert pair.state("copy")[0]["needsVerify"] == {"BOOL": True}
        command.alive()
        assert command.terminate()[0] == 1
    assert "do not add up in segment 1" in command.output
    assert "event=copy_doubtful" in command.output
