"""Gaps on DynamoDB Local itself, whose streams keep records for some seconds only."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import wait_until
from tests.support.dynamodb_local import DynamoDBLocal, new_access_key
from tests.support.items import whole_table
from tests.support.verify_pair import VerifyPair

RECORDS_S = 12.0


@pytest.fixture(scope="module")
def forgetful(dynamodb_local: DynamoDBLocal) -> Iterator[DynamoDBLocal]:
    """`dynamodb_local` says whether there can be one."""
    with DynamoDBLocal("512m", records_s=RECORDS_S) as local:
        yield local


def test_a_task_that_was_away_for_too_long_stops_or_goes_on_by_its_policy(
    forgetful: DynamoDBLocal, tmp_path: Path
) -> None:
    pair = VerifyPair(forgetful, new_access_key(), tmp_path, items=30, small=True)

    def has(key: str) -> bool:
        return "Item" in pair.destination.get_item(TableName="Copy", Key={"pk": {"S": key}}, ConsistentRead=True)

    with pair.command("before", "replicate") as command:
        pair.source.put_item(TableName="Orders", Item={"pk": {"S": "before"}})
        wait_until(lambda: has("before"), 60, command)
        assert command.terminate()[0] == 0
    pair.source.put_item(TableName="Orders", Item={"pk": {"S": "lost"}})
    pair.source.delete_item(TableName="Orders", Key={"pk": {"S": "item 3"}})

    def trimmed() -> bool:
        arn = pair.source.describe_table(TableName="Orders")["Table"]["LatestStreamArn"]
        [shard] = pair.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        iterator = pair.streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        try:
            return not pair.streams.get_records(ShardIterator=iterator)["Records"]
        except pair.streams.exceptions.TrimmedDataAccessException:
            # So it answers where nothing is left.
            return True

    wait_until(trimmed, 60)
    for _ in range(2):
        with pair.command("stop", "replicate") as command:
            assert command.process.wait(60) == 6
        assert "gap in the stream" in command.output
    with pair.command("continue", "replicate", "--on-gap", "continue", "--stray-life", "5s") as command:
        wait_until(lambda: "event=gap " in command.output, 60, command)
        pair.source.put_item(TableName="Orders", Item={"pk": {"S": "behind"}})
        wait_until(lambda: has("behind"), 60, command)
        assert command.terminate()[0] == 6
    assert not has("lost")
    code, mended = pair.run("mend", "--repair", "--patience", "2s")
    assert (code, mended["mended"]) == (0, 2)
    assert whole_table(pair.source, "Orders") == whole_table(pair.destination, "Copy")
