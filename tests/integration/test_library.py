"""The example of the library, run as it stands."""

import subprocess
import sys
from pathlib import Path

from tests.support.command import bare_environ, wait_until
from tests.support.dynamodb_local import DynamoDBLocal

EXAMPLE = Path(__file__).parents[2] / "examples" / "replicate.py"


def test_the_example_replicates(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> None:
    dynamodb_local.create_table(access_key, "Orders", "us-east-1")
    dynamodb_local.create_table(access_key, "Copy", "eu-west-1", stream=None)
    destination = dynamodb_local.client(access_key, "eu-west-1")
    url = dynamodb_local.url
    environ = bare_environ(access_key) | {"SOURCE_ENDPOINT": url, "DESTINATION_ENDPOINT": url}
    log = tmp_path / "log"
    with log.open("wb") as output:
        example = subprocess.Popen(
            [sys.executable, EXAMPLE, "us-east-1", "Orders", "eu-west-1", "Copy"],
            env=environ,
            stdout=output,
            stderr=output,
        )
    try:
        dynamodb_local.client(access_key).put_item(TableName="Orders", Item={"pk": {"S": "x"}})
        wait_until(lambda: destination.scan(TableName="Copy")["Count"] == 1, 60)
        example.send_signal(2)
        assert example.wait(30) == 0, log.read_text()
    finally:
        example.kill()
        example.wait()
    assert "changes_applied=1" in log.read_text()


def test_what_is_refused_is_one_line_and_an_exit_code(dynamodb_local: DynamoDBLocal, access_key: str) -> None:
    dynamodb_local.create_table(access_key, "Orders", "us-east-1")
    url = dynamodb_local.url
    environ = bare_environ(access_key) | {"SOURCE_ENDPOINT": url, "DESTINATION_ENDPOINT": url}
    for places, code, words in (
        (["us-east-1", "Orders", "eu-west-1", "Copy"], 4, "replicate: the destination table Copy does not exist"),
        (["us-east-1", "Orders", "eu-west-1", "a table"], 2, "replicate: --destination-table a table: "),
        (["us-east-1"], 2, "give source_region, source_table,"),
    ):
        command = [sys.executable, str(EXAMPLE), *places]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr
        assert done.stderr.startswith(words)
        assert done.stderr.count("\n") == 1
        assert not done.stdout
