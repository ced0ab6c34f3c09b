"""The command as an operator starts it, on DynamoDB Local: source, destination and leases in three Regions."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dynamirror.model.task_name import lease_table_name
from tests.support.command import Command, bare_environ, wait_until
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.items import random_item, whole_table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

SOURCE, DESTINATION = "us-east-1", "eu-west-1"
LEASES = lease_table_name(None, (SOURCE, "Orders"), (DESTINATION, "Copy"))


@dataclass
class Pair:
    """A source with its stream on, an empty destination, and the command that replicates."""

    local: DynamoDBLocal
    access_key: str
    log: Path

    def __post_init__(self) -> None:
        self.source = self.local.client(self.access_key, SOURCE)
        self.destination = self.local.client(self.access_key, DESTINATION)
        self.stream_arn = self.local.create_table(self.access_key, "Orders", SOURCE)
        self.local.create_table(self.access_key, "Copy", DESTINATION, stream=None)

    def command(self, *more: str) -> Command:
        url = self.local.url
        flags = ["--sourceRegion", SOURCE, "--sourceTable", "Orders", "--sourceEndpoint", url]
        flags += ["--destinationRegion", DESTINATION, "--destinationTable", "Copy", "--destinationEndpoint", url]
        return Command([*flags, *more], self.log, bare_environ(self.access_key))

    def lease(self) -> dict[str, Any]:
        """The one shard's row, or {} before there is one."""
        try:
            rows = self.source.scan(TableName=LEASES, ConsistentRead=True)["Items"]
        except self.source.exceptions.ResourceNotFoundException:
            return {}
        return dict(rows[0]) if rows else {}

    def arrived(self, key: str) -> bool:
        return "Item" in self.destination.get_item(TableName="Copy", Key={"pk": {"S": key}})

    def unacknowledged(self) -> int:
        """Records of the stream behind the lease's checkpoint."""
        streams = self.local.client(self.access_key, SOURCE, "dynamodbstreams")
        row = self.lease()
        at = row["checkpoint"]["S"]
        place: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
        if at.isdigit():
            place = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": at}
        iterator = streams.get_shard_iterator(StreamArn=self.stream_arn, ShardId=row["leaseKey"]["S"], **place)[
            "ShardIterator"
        ]
        return len(streams.get_records(ShardIterator=iterator)["Records"])


@pytest.fixture
def pair(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> Pair:
    return Pair(dynamodb_local, access_key, tmp_path / "log")


def test_one_item_appears(pair: Pair) -> None:
    with pair.command() as command:
        pair.source.put_item(TableName="Orders", Item={"pk": {"S": "one"}, "n": {"N": "1"}})
        wait_until(lambda: pair.arrived("one"), 60, command)
        pair.source.put_item(TableName="Orders", Item={"pk": {"S": "two"}})
        wait_until(lambda: pair.arrived("two"), 30, command)
        pair.source.delete_item(TableName="Orders", Key={"pk": {"S": "one"}})
        wait_until(lambda: not pair.arrived("one"), 30, command)


def test_sigterm_drains_checkpoints_and_releases(pair: Pair) -> None:
    with pair.command() as command:
        for n in range(300):
            pair.source.put_item(TableName="Orders", Item={"pk": {"S": f"k{n}"}})
        wait_until(lambda: pair.arrived("k0"), 60, command)
        code, took_s = command.terminate()
    assert code == 0
    assert took_s < 15
    row = pair.lease()
    assert "leaseOwner" not in row
    assert row["checkpoint"]["S"].isdigit()
    unread = pair.unacknowledged()
    assert len(whole_table(pair.destination, "Copy")) >= 300 - unread


def test_a_second_run_goes_on_at_the_checkpoint(pair: Pair) -> None:
    with pair.command() as command:
        pair.source.put_item(TableName="Orders", Item={"pk": {"S": "first"}})
        wait_until(lambda: pair.arrived("first"), 60, command)
        command.terminate()
    pair.destination.delete_item(TableName="Copy", Key={"pk": {"S": "first"}})
    with pair.command() as command:
        pair.source.put_item(TableName="Orders", Item={"pk": {"S": "second"}})
        # Released leases are taken at once: no wait for a lease to run out.
        wait_until(lambda: pair.arrived("second"), 30, command)
    assert not pair.arrived("first"), "the first change was applied again: the checkpoint was not used"


def test_nothing_is_lost_through_three_kills(pair: Pair) -> None:
    """20,000 changes over 500 keys while the command is killed three times, each time with changes outstanding."""
    changes, kills, first_change_s = 20_000, 0, []
    with ThreadPoolExecutor(1) as writer:
        writing = writer.submit(_write_changes, pair.source, changes, random.Random(1))
        while kills < 3:
            with pair.command() as command:
                if kills:
                    marker = f"marker{kills}"
                    pair.source.put_item(TableName="Orders", Item={"pk": {"S": marker}})
                    first_change_s.append(_seconds_until(pair, marker, command))
                wait_until(lambda: pair.lease().get("checkpoint", {}).get("S", "").isdigit(), 90, command)
                time.sleep(1.0 + 0.37 * kills)
                if writing.done():
                    writing.result()
                    writing = writer.submit(_write_changes, pair.source, 2_000, random.Random(2 + kills))
                    time.sleep(0.3)
                command.kill()
            kills += pair.unacknowledged() > 0
        writing.result()
    print(f"first new change applied after a restart: {[round(s, 1) for s in first_change_s]} s")
    pair.source.put_item(TableName="Orders", Item={"pk": {"S": "last"}})
    with pair.command() as command:
        wait_until(lambda: pair.arrived("last"), 120, command)
        expected = whole_table(pair.source, "Orders")
        wait_until(lambda: whole_table(pair.destination, "Copy") == expected, 60, command)
        assert command.terminate()[0] == 0
    assert len(expected) > 100
    assert max(first_change_s) < 45, "takeover after a crash is meant to take 15 s at most"


def _seconds_until(pair: Pair, key: str, command: Command) -> float:
    wait_until(lambda: pair.arrived(key), 90, command)
    return time.monotonic() - command.started_at_s


def _write_changes(client: "DynamoDBClient", count: int, rng: random.Random) -> None:
    """Batches of puts and deletes over 500 keys, with single updates between; a few items near 400 KB."""
    written = 0
    while written < count:
        batch: list[Any] = []
        for n in rng.sample(range(500), 25):
            key = {"pk": {"S": f"key {n:03} ü"}}
            if rng.random() < 0.2:
                batch.append({"DeleteRequest": {"Key": key}})
            else:
                item = key | random_item(rng, large=rng.random() < 0.002) | {"serial": {"N": str(written + len(batch))}}
                batch.append({"PutRequest": {"Item": item}})
        client.batch_write_item(RequestItems={"Orders": batch})
        written += len(batch)
        client.update_item(
            TableName="Orders",
            Key={"pk": {"S": f"key {rng.randrange(500):03} ü"}},
            UpdateExpression="ADD hits :one SET note = :note",
            ExpressionAttributeValues={":one": {"N": "1"}, ":note": {"S": "x" * rng.randrange(50)}},
        )
        written += 1
