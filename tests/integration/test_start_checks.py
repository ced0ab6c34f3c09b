"""The command finds at its start what a plan would: refused with nothing made, warned once, quiet at the next start."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command, bare_environ, wait_until
from tests.support.dynamodb_local import DynamoDBLocal

SOURCE, DESTINATION = "us-east-1", "eu-west-1"


class Stage:
    """Two Regions of one database, and the command between them."""

    def __init__(self, local: DynamoDBLocal, access_key: str, folder: Path) -> None:
        self.local, self.access_key, self.folder = local, access_key, folder
        self.source, self.destination = local.client(access_key, SOURCE), local.client(access_key, DESTINATION)

    def indexed(self, region: str, table: str, kind: Any) -> None:
        """A table with its stream on and an index by `at`, of this type."""
        self.local.client(self.access_key, region).create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "at", "AttributeType": kind},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-at",
                    "KeySchema": [{"AttributeName": "at", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )

    def command(self, name: str, *more: str) -> Command:
        url = self.local.url
        flags = ["replicate", "--source-region", SOURCE, "--source-table", "Orders", "--source-endpoint", url]
        flags += ["--destination-region", DESTINATION, "--destination-table", "Copy", "--destination-endpoint", url]
        return Command([*flags, *more], self.folder / name, bare_environ(self.access_key))

    def tables(self) -> list[str]:
        return self.source.list_tables()["TableNames"] + self.destination.list_tables()["TableNames"]


@pytest.fixture
def stage(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> Stage:
    return Stage(dynamodb_local, access_key, tmp_path)


def test_an_index_key_of_another_type_is_refused_and_nothing_is_made(stage: Stage) -> None:
    stage.indexed(SOURCE, "Orders", "S")
    stage.indexed(DESTINATION, "Copy", "N")
    with stage.command("refused") as command:
        assert command.process.wait(60) == 4
    assert "attribute at: as a key of type S at the source, N at the destination" in command.output
    assert stage.tables() == ["Orders", "Copy"]


def test_a_copy_into_items_is_refused_and_nothing_is_made(stage: Stage) -> None:
    stage.local.create_table(stage.access_key, "Orders", SOURCE)
    stage.local.create_table(stage.access_key, "Copy", DESTINATION, stream=None)
    stage.destination.put_item(TableName="Copy", Item={"pk": {"S": "mine"}})
    with stage.command("refused", "--copy") as command:
        assert command.process.wait(60) == 4
    assert "it has items; empty it, or give --allow-non-empty" in command.output
    assert stage.tables() == ["Orders", "Copy"]


def test_a_task_that_was_followed_is_not_copied_into_its_items_nor_its_stream_switched_on(stage: Stage) -> None:
    """Such a start is asked nothing of what a plan looks at."""
    stage.local.create_table(stage.access_key, "Orders", SOURCE)
    stage.local.create_table(stage.access_key, "Copy", DESTINATION, stream=None)
    with stage.command("following") as command:
        wait_until(lambda: "replicating" in command.output, 60, command)
        stage.source.put_item(TableName="Orders", Item={"pk": {"S": "applied"}})
        wait_until(lambda: stage.destination.scan(TableName="Copy")["Count"] == 1, 60, command)
        assert command.terminate()[0] == 0
    stage.source.update_table(TableName="Orders", StreamSpecification={"StreamEnabled": False})
    with stage.command("refused", "--copy", "--enable-stream") as command:
        assert command.process.wait(60) == 4
    assert "Give --allow-non-empty if that is meant" in command.output
    spec = stage.source.describe_table(TableName="Orders")["Table"].get("StreamSpecification", {})
    assert not spec.get("StreamEnabled")


def test_a_destination_is_not_made_for_a_start_that_is_refused(stage: Stage) -> None:
    stage.indexed(SOURCE, "Orders", "S")
    settings = stage.folder / "table.toml"
    settings.write_text("[indexes]\nnowhere = false")
    flags = ["--create-destination", "--destination-settings", str(settings)]
    with stage.command("refused", *flags) as command:
        assert command.process.wait(60) == 2
    assert "table.toml: the source table has no index nowhere" in command.output
    assert stage.tables() == ["Orders"]


def test_a_warning_is_logged_at_the_first_start_only(stage: Stage) -> None:
    stage.local.create_table(stage.access_key, "Orders", SOURCE)
    stage.local.create_table(stage.access_key, "Copy", DESTINATION, stream=None)
    marks: Any = {"aws:rep:updatetime": {"N": "1"}}
    stage.source.put_item(TableName="Orders", Item={"pk": {"S": "a"}, **marks})
    warnings = []
    for name in ("first", "again"):
        with stage.command(name) as command:
            wait_until(
                lambda: "Item" in stage.destination.get_item(TableName="Copy", Key={"pk": {"S": "a"}}), 60, command
            )
            wait_until(lambda one=command: "event=lease_taken" in one.output, 60, command)  # type: ignore[misc]
            assert command.terminate()[0] == 0
        warnings.append([line for line in command.output.splitlines() if "WARNING" in line])
    assert len(warnings[0]) == 1
    assert "event=plan_finding" in warnings[0][0]
    assert "give --drop-aws-rep" in warnings[0][0]
    assert not warnings[1]
