"""Items of an old global table are copied and followed, with what that has left in them and without."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.command import Command, bare_environ, wait_until
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.items import Item, whole_table

SOURCE, DESTINATION = "us-east-1", "eu-west-1"
MARKS: Item = {
    "aws:rep:deleting": {"BOOL": False},
    "aws:rep:updatetime": {"N": "1510000000.123456"},
    "aws:rep:updateregion": {"S": "us-east-1"},
}
OWN: Item = {
    "n": {"N": "12345678901234567890123456789012345678"},
    "b": {"B": b"\x00\xff"},
    "m": {"M": {"aws:rep:deleting": {"BOOL": True}}},
    "s": {"S": 'aws:rep: "é'},
}


@pytest.mark.long
@pytest.mark.timeout(400)
def test_marks_are_left_out_of_copy_and_changes_with_the_flag_only(
    dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path
) -> None:
    local = dynamodb_local
    source, destination = local.client(access_key, SOURCE), local.client(access_key, DESTINATION)
    local.create_table(access_key, "Orders", SOURCE, stream=None)
    flags = ["replicate", "--source-region", SOURCE, "--source-table", "Orders", "--source-endpoint", local.url]
    flags += ["--destination-region", DESTINATION, "--destination-endpoint", local.url, "--enable-stream", "--copy"]
    own = {"pk": {"S": "copied"}, **OWN}, {"pk": {"S": "changed"}, **OWN}
    with ExitStack() as stack:
        source.put_item(TableName="Orders", Item={**own[0], **MARKS})
        commands = []
        for table, more in (("Stripped", ["--drop-aws-rep"]), ("Whole", [])):
            local.create_table(access_key, table, DESTINATION, stream=None)
            command = Command([*flags, "--destination-table", table, *more], tmp_path / table, bare_environ(access_key))
            commands.append(stack.enter_context(command))
            wait_until(lambda name=table: bool(whole_table(destination, name)), 90, command)  # type: ignore[misc]
        source.put_item(TableName="Orders", Item={**own[1], **MARKS})
        whole = whole_table(source, "Orders")
        wait_until(lambda: whole_table(destination, "Whole") == whole, 180, commands[1])
        wait_until(lambda: len(whole_table(destination, "Stripped")) == len(own), 180, commands[0])
        for item in own:
            found = destination.get_item(TableName="Stripped", Key={"pk": item["pk"]}, ConsistentRead=True)
            assert found["Item"] == item
        for command in commands:
            assert command.terminate()[0] == 0
