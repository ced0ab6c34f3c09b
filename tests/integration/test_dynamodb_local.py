"""The emulator that the integration tests stand on does what they take for granted."""

import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.support.dynamodb_local import DynamoDBLocal

ROOT = Path(__file__).parents[2]


def test_an_item_comes_back_off_the_stream(dynamodb_local: DynamoDBLocal, access_key: str) -> None:
    arn = dynamodb_local.create_table(access_key, "orders", keys={"pk": "S", "sk": "N"})
    item = {"pk": {"S": "a"}, "sk": {"N": "1"}, "note": {"S": ""}}
    dynamodb_local.client(access_key).put_item(TableName="orders", Item=item)

    streams = dynamodb_local.client(access_key, "us-east-1", "dynamodbstreams")
    [shard] = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    [record] = streams.get_records(ShardIterator=iterator)["Records"]
    assert record["eventName"] == "INSERT"
    assert record["dynamodb"]["NewImage"] == item


def test_a_region_is_a_database_of_its_own(dynamodb_local: DynamoDBLocal, access_key: str) -> None:
    assert dynamodb_local.create_table(access_key, "orders", stream=None) == ""
    assert dynamodb_local.client(access_key).list_tables()["TableNames"] == ["orders"]
    assert dynamodb_local.client(access_key, "eu-west-1").list_tables()["TableNames"] == []


def test_it_dies_with_whoever_started_it(dynamodb_local: DynamoDBLocal) -> None:
    """`dynamodb_local` is only asked for so that this is skipped where there is none."""
    code = (
        "from tests.support.dynamodb_local import DynamoDBLocal\n"
        "import os, signal\n"
        "local = DynamoDBLocal(heap='256m').__enter__()\n"
        "print(local.url, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    started = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=90
    )
    port = int(started.stdout.rsplit(":", 1)[1])
    deadline = time.monotonic() + 10
    while _listens(port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True
