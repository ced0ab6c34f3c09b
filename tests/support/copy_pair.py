"""A source with items from before any stream, and an empty destination: what a copy begins with."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynamirror.model.task_name import lease_table_name, state_table_name
from tests.support.command import Command, bare_environ
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.items import random_item
from tests.support.raw_items import RawTable

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

SOURCE, DESTINATION = "us-east-1", "eu-west-1"
LEASES = lease_table_name(None, (SOURCE, "Orders"), (DESTINATION, "Copy"))
STATE = state_table_name(LEASES)
# An item looks like one of so many others; making them takes longer than storing them.
KINDS = 2_000


def state_rows(client: "DynamoDBClient", kind: str) -> list[dict[str, Any]]:
    """Rows of the task's state table; none while there is no table."""
    try:
        return list(
            client.query(
                TableName=STATE,
                ConsistentRead=True,
                KeyConditionExpression="kind = :kind",
                ExpressionAttributeValues={":kind": {"S": kind}},
            )["Items"]
        )
    except client.exceptions.ResourceNotFoundException:
        return []


@dataclass
class CopyPair:
    """Tables Orders and Copy, in databases of one test alone; the task's state as it is."""

    local: DynamoDBLocal
    access_key: str
    folder: Path
    items: int

    def __post_init__(self) -> None:
        self.source = self.local.client(self.access_key, SOURCE)
        self.destination = self.local.client(self.access_key, DESTINATION)
        self.local.create_table(self.access_key, "Orders", SOURCE, stream=None)
        self.local.create_table(self.access_key, "Copy", DESTINATION, stream=None)
        rng = random.Random(self.items)
        kinds = [random_item(rng) for _ in range(min(KINDS, self.items))]
        self.orders.put([{"pk": {"S": f"item {n}"}} | rng.choice(kinds) for n in range(self.items)])

    @property
    def orders(self) -> RawTable:
        """The source."""
        return RawTable(self.local.url, (self.access_key, SOURCE), "Orders")

    @property
    def copy(self) -> RawTable:
        """The destination."""
        return RawTable(self.local.url, (self.access_key, DESTINATION), "Copy")

    def flags(self, command: str, *more: str) -> list[str]:
        """The command's arguments, with both ends at DynamoDB Local."""
        url = self.local.url
        return [
            *(command, "--source-region", SOURCE, "--source-table", "Orders", "--source-endpoint", url),
            *("--destination-region", DESTINATION, "--destination-table", "Copy", "--destination-endpoint", url),
            *more,
        ]

    def started(self, name: str, flags: list[str]) -> Command:
        """A worker with a folder of its own, to be entered."""
        return Command(flags, self.folder / name, bare_environ(self.access_key))

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """See state_rows."""
        return state_rows(self.source, kind)
