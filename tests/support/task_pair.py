"""A source and a destination on DynamoDB Local, and the commands about their task, as an operator types them."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynamirror.model.task_name import lease_table_name, state_table_name
from tests.support.command import Command, bare_environ
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.items import whole_table

SOURCE, DESTINATION = "us-east-1", "eu-west-1"
LEASES = lease_table_name(None, (SOURCE, "Orders"), (DESTINATION, "Copy"))
STATE = state_table_name(LEASES)


@dataclass
class TaskPair:
    """Both tables are empty at first."""

    local: DynamoDBLocal
    access_key: str
    folder: Path
    # Where the commands find the destination; empty: where the source is.
    destination_url: str = ""

    def __post_init__(self) -> None:
        self.source = self.local.client(self.access_key, SOURCE)
        self.destination = self.local.client(self.access_key, DESTINATION)
        self.local.create_table(self.access_key, "Orders", SOURCE)
        self.local.create_table(self.access_key, "Copy", DESTINATION, stream=None)

    def words(self, *words: str) -> list[str]:
        """A command line with the flags of the task."""
        url = self.local.url
        flags = ["--source-region", SOURCE, "--source-table", "Orders", "--source-endpoint", url]
        flags += ["--destination-region", DESTINATION, "--destination-table", "Copy"]
        flags += ["--destination-endpoint", self.destination_url or url]
        return [words[0], *flags, *words[1:]]

    def replicate(self, *more: str, name: str = "log") -> Command:
        """A worker."""
        return self.begin("replicate", *more, name=name)

    def begin(self, *words: str, name: str = "log") -> Command:
        """A command that goes on beside the test."""
        return Command(self.words(*words), self.folder / name, bare_environ(self.access_key))

    def run(self, *words: str) -> tuple[int, str, str]:
        """A command to its end: exit code, output, errors."""
        done = subprocess.run(
            [sys.executable, "-m", "dynamirror", *self.words(*words)],
            env=bare_environ(self.access_key),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout, done.stderr

    def json(self, *words: str) -> Any:
        """What a command that ends with 0 says."""
        code, output, errors = self.run(*words, "--json")
        assert code == 0, errors
        return json.loads(output)

    def put(self, key: str, **attributes: Any) -> None:
        """One item of the source."""
        self.source.put_item(TableName="Orders", Item={"pk": {"S": key}, **attributes})

    def arrived(self, key: str) -> bool:
        """Whether the destination has it."""
        return "Item" in self.destination.get_item(TableName="Copy", Key={"pk": {"S": key}}, ConsistentRead=True)

    def count(self) -> int:
        """Items of the destination."""
        return len(whole_table(self.destination, "Copy"))

    def equal(self) -> bool:
        """Whether both tables have the same items."""
        return whole_table(self.source, "Orders") == whole_table(self.destination, "Copy")

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """Rows of the state table."""
        answer = self.source.query(
            TableName=STATE,
            ConsistentRead=True,
            KeyConditionExpression="kind = :kind",
            ExpressionAttributeValues={":kind": {"S": kind}},
        )
        return list(answer["Items"])

    def leases(self) -> list[dict[str, Any]]:
        """Rows of the lease table."""
        return list(self.source.scan(TableName=LEASES, ConsistentRead=True)["Items"])

    def tables(self) -> set[str]:
        """Which of the task's own tables are there."""
        return {LEASES, STATE} & set(self.source.list_tables()["TableNames"])

    def paused(self) -> bool:
        """Whether every worker says that it is."""
        return all(row.get("paused") == {"N": "1"} for row in self.rows("worker"))

    def nothing_arrives(self, for_s: float) -> bool:
        """Whether the destination stands still for so long."""
        before = self.count()
        time.sleep(for_s)
        return self.count() == before
