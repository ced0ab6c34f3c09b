"""Credentials that expire every 15 seconds, renewed under load without a refused request."""

import threading
import time
from pathlib import Path

from tests.support.command import Command, bare_environ, wait_until
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.fake_sts import FakeSts
from tests.support.recording_proxy import RecordingProxy

RUN_S = 40


def test_an_assumed_role_is_renewed_under_load(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> None:
    dynamodb_local.create_table(access_key, "Orders", "us-east-1")
    dynamodb_local.create_table(access_key, "Copy", "eu-west-1", stream=None)
    source = dynamodb_local.client(access_key, "us-east-1")
    destination = dynamodb_local.client(access_key, "eu-west-1")
    refused: list[str] = []
    done = threading.Event()

    with FakeSts(life_s=15) as sts:

        def key_of(key: str) -> str | None:
            if sts.is_valid(key):
                return access_key
            refused.append(key)
            return None

        def write() -> None:
            n = 0
            while not done.is_set():
                source.put_item(TableName="Orders", Item={"pk": {"S": f"k{n}"}})
                n += 1
                time.sleep(0.005)

        flags = ["--source-region", "us-east-1", "--source-table", "Orders", "--destination-region", "eu-west-1"]
        flags += ["--destination-table", "Copy", "--destination-endpoint", dynamodb_local.url]
        flags += ["--kcl-endpoint", dynamodb_local.url, "--source-role-arn", "arn:aws:iam::123456789012:role/r"]
        environ = bare_environ(access_key) | {"AWS_ENDPOINT_URL_STS": sts.url}
        writer = threading.Thread(target=write)
        with (
            RecordingProxy(dynamodb_local.url, key_of) as proxy,
            Command(["replicate", *flags, "--source-endpoint", proxy.url], tmp_path / "log", environ) as command,
        ):
            writer.start()
            time.sleep(RUN_S)
            done.set()
            writer.join()
            expected = source.scan(TableName="Orders", Select="COUNT")["Count"]
            wait_until(lambda: destination.scan(TableName="Copy", Select="COUNT")["Count"] == expected, 30, command)
            assert command.terminate()[0] == 0
        used = {seen.access_key for seen in proxy.seen}
    assert not refused, f"{len(refused)} requests were signed with expired credentials"
    assert len(used) >= 3
    # Renewed at half of their life: no more than one call in 5 s.
    assert sts.handed_out <= RUN_S / 5 + 2
