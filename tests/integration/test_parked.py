"""Items that the destination refuses, on DynamoDB Local: the others go on; what is parked is found, shown, mended."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dynamirror.model.task_name import lease_table_name, state_table_name
from tests.support.command import Command, bare_environ, wait_until
from tests.support.dynamodb_local import DynamoDBLocal, table_request
from tests.support.items import whole_table

SOURCE, DESTINATION = "us-east-1", "eu-west-1"
STATE = state_table_name(lease_table_name(None, (SOURCE, "Orders"), (DESTINATION, "Copy")))
INDEX = "by-kind"


@dataclass
class Pair:
    """A source, and a destination with an index whose key is a number; and the commands between them."""

    local: DynamoDBLocal
    access_key: str
    folder: Path

    def __post_init__(self) -> None:
        self.source = self.local.client(self.access_key, SOURCE)
        self.destination = self.local.client(self.access_key, DESTINATION)
        self.local.create_table(self.access_key, "Orders", SOURCE)
        request = table_request("Copy", {"pk": "S"}, None)
        request["AttributeDefinitions"].append({"AttributeName": "kind", "AttributeType": "N"})
        request["GlobalSecondaryIndexes"] = [
            {
                "IndexName": INDEX,
                "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ]
        self.destination.create_table(**request)

    def words(self, *words: str) -> list[str]:
        url = self.local.url
        flags = ["--source-region", SOURCE, "--source-table", "Orders", "--source-endpoint", url]
        flags += ["--destination-region", DESTINATION, "--destination-table", "Copy", "--destination-endpoint", url]
        return [*words, *flags]

    def replicate(self, *more: str, name: str = "log") -> Command:
        return Command([*self.words("replicate"), *more], self.folder / name, bare_environ(self.access_key))

    def run(self, *words: str, flags: bool = True) -> tuple[int, str, str]:
        """A command to its end: exit code, output, errors."""
        done = subprocess.run(
            [sys.executable, "-m", "dynamirror", *(self.words(*words) if flags else words)],
            env=bare_environ(self.access_key),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def json(self, *words: str) -> tuple[int, Any]:
        code, output, errors = self.run(*words, "--json")
        assert output, errors
        return code, json.loads(output)

    def put(self, key: str, **attributes: Any) -> None:
        self.source.put_item(TableName="Orders", Item={"pk": {"S": key}, **attributes})

    def arrived(self, key: str) -> bool:
        return "Item" in self.destination.get_item(TableName="Copy", Key={"pk": {"S": key}})

    def parked(self) -> set[str]:
        """Keys that have a row."""
        if STATE not in self.source.list_tables()["TableNames"]:
            return set()
        rows = self.source.query(
            TableName=STATE,
            ConsistentRead=True,
            KeyConditionExpression="kind = :kind",
            ExpressionAttributeValues={":kind": {"S": "parked"}},
        )["Items"]
        return {row["key"]["M"]["pk"]["S"] for row in rows}

    def images(self) -> int:
        """Rows of images."""
        answer = self.source.query(
            TableName=STATE,
            ConsistentRead=True,
            KeyConditionExpression="kind = :kind",
            ExpressionAttributeValues={":kind": {"S": "parked-image"}},
        )
        return int(answer["Count"])

    def drop_index(self) -> None:
        self.destination.update_table(TableName="Copy", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": INDEX}}])

        def gone() -> bool:
            table = self.destination.describe_table(TableName="Copy")["Table"]
            return table["TableStatus"] == "ACTIVE" and not table.get("GlobalSecondaryIndexes")

        wait_until(gone, 60)

    def equal(self) -> bool:
        return whole_table(self.source, "Orders") == whole_table(self.destination, "Copy")


@pytest.fixture
def pair(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> Pair:
    return Pair(dynamodb_local, access_key, tmp_path)


def test_poison_in_the_middle_of_a_stream_of_changes_is_parked_and_mended(pair: Pair) -> None:
    with pair.replicate() as command:
        for number in range(30):
            pair.put(f"before {number}", kind={"N": str(number)})
        pair.put("poison", kind={"S": "no number"}, more={"S": "ü"})
        pair.put("mended by itself", kind={"S": "no number"})
        for number in range(30):
            pair.put(f"after {number}", kind={"N": str(number)})
        wait_until(lambda: all(pair.arrived(f"after {number}") for number in range(30)), 60, command)
        wait_until(lambda: pair.parked() == {"poison", "mended by itself"}, 30, command)
        assert not pair.arrived("poison")
        # The next good change un-parks.
        pair.put("mended by itself", kind={"N": "7"})
        wait_until(lambda: pair.arrived("mended by itself"), 30, command)
        wait_until(lambda: pair.parked() == {"poison"}, 30, command)

        code, listed = pair.json("parked", "list")
        [item] = listed["parked"]
        assert (code, item["key"]) == (0, {"pk": {"S": "poison"}})
        assert "Type mismatch for Index Key" in item["error"]
        code, output, _ = pair.run("parked", "list")
        assert (code, item["id"] in output) == (0, True)
        code, shown = pair.json("parked", "show", item["id"][:8])
        assert (code, shown["item"]) == (0, {"pk": {"S": "poison"}, "kind": {"S": "no number"}, "more": {"S": "ü"}})

        # Still refused: it stays, and the exit code says so.
        code, tried = pair.json("parked", "retry")
        assert (code, [one["outcome"] for one in tried["remaining"]]) == (7, ["refused"])
        assert pair.parked() == {"poison"}

        pair.drop_index()
        code, tried = pair.json("parked", "retry", item["id"])
        assert (code, tried["settled"], tried["remaining"]) == (0, [item["id"]], [])
        assert pair.parked() == set()
        assert pair.equal()
        code, output, _ = pair.run("parked", "retry")
        assert (code, output) == (0, "Nothing is parked.\n")
        assert command.terminate()[0] == 0
    log = command.output
    assert "the destination refuses the item with key 'poison'" in log
    assert "dynamirror parked retry" in log
    assert pair.images() == 0


def test_an_item_as_large_as_items_may_be_is_parked_with_its_image(pair: Pair) -> None:
    text = "ü" * 204_000
    with pair.replicate() as command:
        pair.put("large", kind={"S": "no number"}, text={"S": text})
        pair.put("small", kind={"N": "1"})
        wait_until(lambda: pair.arrived("small") and pair.parked() == {"large"}, 60, command)
        assert pair.images() == 2
        code, listed = pair.json("parked", "list")
        assert (code, listed["parked"][0]["bytes"] > 408_000) == (0, True)
        code, shown = pair.json("parked", "show", listed["parked"][0]["id"])
        assert (code, shown["item"]["text"]["S"] == text) == (0, True)
        pair.drop_index()
        code, tried = pair.json("parked", "retry")
        assert (code, len(tried["settled"])) == (0, 1)
        assert pair.equal()
        assert pair.images() == 0
        assert command.terminate()[0] == 0


def test_a_restart_says_what_is_parked_and_un_parks_it(pair: Pair) -> None:
    with pair.replicate() as command:
        pair.put("poison", kind={"S": "no number"})
        wait_until(lambda: pair.parked() == {"poison"}, 60, command)
        command.kill()
    with pair.replicate(name="again") as command:
        wait_until(lambda: "1 items are parked" in command.output, 30, command)
        pair.put("poison", kind={"N": "1"})
        wait_until(lambda: pair.arrived("poison"), 60, command)
        wait_until(lambda: pair.parked() == set(), 30, command)
        assert command.terminate()[0] == 0


def test_what_is_dropped_is_found_by_verify_and_one_too_many_stops_the_worker(pair: Pair) -> None:
    with pair.replicate("--max-parked", "1") as command:
        pair.put("first", kind={"S": "no number"})
        wait_until(lambda: pair.parked() == {"first"}, 60, command)
        pair.put("second", kind={"S": "no number"})
        assert command.process.wait(30) == 7
    assert "'second'" in command.output
    assert "dynamirror parked list" in command.output
    assert pair.parked() == {"first"}
    code, _, errors = pair.run("parked", "drop", "0000")
    assert (code, "--yes" in errors) == (2, True)
    code, _, errors = pair.run("parked", "show", "0000")
    assert (code, "no parked item has an id that begins with 0000" in errors) == (2, True)
    assert len(errors.strip().splitlines()) == 1
    code, found = pair.json("verify", "--patience", "1s")
    assert (code, found["missing"], found["parked"]) == (1, 2, 1)
    code, dropped = pair.json("parked", "drop", "--all", "--yes")
    assert (code, [one["key"]["pk"]["S"] for one in dropped["dropped"]]) == (0, ["first"])
    assert pair.parked() == set()
    code, found = pair.json("verify", "--patience", "1s")
    assert (code, found["missing"], found["parked"]) == (1, 2, 0)
    with pair.replicate("--max-parked", "0", name="nothing parked") as command:
        assert command.process.wait(60) == 4
    assert "--max-parked 0" in command.output


def test_without_a_state_table_nothing_is_parked_and_that_is_said(pair: Pair) -> None:
    code, _, errors = pair.run("parked", "list")
    assert code == 2
    assert f"there is no state table {STATE}" in errors
    assert len(errors.strip().splitlines()) == 1


def test_a_copy_at_rest_parks_what_is_refused_and_ends_with_1(pair: Pair) -> None:
    for number in range(100):
        pair.put(f"item {number}", kind={"N": str(number)} if number != 50 else {"S": "no number"})
    code, summary = pair.json("copy", "--stray-life", "5s")
    assert (code, summary["over"], summary["written"], summary["parked"], summary["parked_now"]) == (1, True, 99, 1, 1)
    code, listed = pair.json("parked", "list")
    [item] = listed["parked"]
    assert (item["key"], item["sequence_number"]) == ({"pk": {"S": "item 50"}}, None)
    pair.drop_index()
    code, tried = pair.json("parked", "retry")
    assert (code, len(tried["settled"])) == (0, 1)
    assert pair.equal()
    code, summary = pair.json("copy", "--stray-life", "5s")
    assert (code, summary["over_before"], summary["parked_now"]) == (0, True, 0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("compared", ["none", "recent"])
def test_a_cutover_with_a_parked_item_ends_with_1_and_names_it(pair: Pair, compared: str) -> None:
    words = ["cutover", "--writers-stopped", "--disable-stream", "--verify", compared]
    words += ["--report", str(pair.folder / "report.json"), "--hook-after", f"touch '{pair.folder}/started'"]
    with pair.replicate() as command:
        pair.put("poison", kind={"S": "no number"})
        pair.put("good", kind={"N": "1"})
        wait_until(lambda: pair.arrived("good") and pair.parked() == {"poison"}, 60, command)
        code, output, errors = pair.run(*words)
        assert command.process.wait(60) == 3
    assert (code, '{"pk":{"S":"poison"}}  ' in output) == (1, True), errors
    assert "do not start the writers" in output
    assert "--hook-after is not called: 1 " in errors
    assert not (pair.folder / "started").exists()
    # As the page says: mend, try again, and the same command.
    pair.drop_index()
    assert pair.run("parked", "retry")[0] == 0
    code, output, errors = pair.run(*words)
    assert (code, (pair.folder / "started").exists()) == (0, True), errors
    assert pair.equal()
