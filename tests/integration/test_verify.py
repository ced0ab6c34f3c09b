"""`verify` on two tables in use: everything planted is found, nothing else, and mended; killed, it goes on."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import wait_until
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.items import whole_table
from tests.support.verify_pair import VerifyPair

PATIENCE = ("--patience", "5s")


def judge(pair: VerifyPair, each: int, patience: tuple[str, ...], url: str = "") -> None:
    """Planted differences are found, all and no others; repaired; a second verify is clean."""
    report = pair.folder / "report.jsonl"
    code, found = pair.run("first", *patience, "--report", str(report), url=url)
    assert Counter(pair.reported(report).values()) == {"missing": each, "extra": each, "different": each}
    assert pair.reported(report) == pair.planted, "others than those planted"
    assert (code, found["missing"], found["extra"], found["different"]) == (1, each, each, each)
    code, mended = pair.run("mend", *patience, "--repair", url=url)
    assert (code, mended["mended"], mended["remaining"]) == (0, 3 * each, 0)
    # Its own are done; a worker beside it may have noticed a late write just now.
    wait_until(lambda: not pair.state("duty"), 180)
    code, clean = pair.run("clean", *patience, url=url)
    assert (code, clean["equal"], clean["missing"] + clean["extra"] + clean["different"]) == (0, True, 0)


@pytest.mark.timeout(600)
def test_planted_differences_are_found_and_mended_under_live_traffic(
    dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path
) -> None:
    pair = VerifyPair(dynamodb_local, access_key, tmp_path, items=5_000)
    pair.plant(50)
    with pair.replicating(), pair.traffic():
        judge(pair, 50, PATIENCE)


@pytest.mark.timeout(600)
def test_a_verify_that_is_stopped_or_killed_goes_on_where_it_was(
    dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path
) -> None:
    pair = VerifyPair(dynamodb_local, access_key, tmp_path, items=20_000, small=True)
    # Of four segments one at least has no difference, and is done at once; the others take the patience.
    pair.plant(1)

    def done() -> int:
        return sum(int(row["done"]["S"], 16).bit_count() for row in pair.state("verify"))

    report = tmp_path / "report.jsonl"
    flags = ("--patience", "15s", "--report", str(report))
    with pair.command("stopped", "verify", *flags) as command:
        wait_until(lambda: len(pair.state("verify")) == 1, 60, command)
        assert command.terminate()[0] == 130
    assert "the same command goes on where it was" in command.output
    with pair.command("killed", "verify", *flags) as command:
        wait_until(lambda: done() > 0, 60, command)
        command.kill()
    assert [row["over"]["BOOL"] for row in pair.state("verify")] == [False]
    code, found = pair.run("again", *flags)
    assert code == 1
    assert found["resumed"]
    assert (found["source_items"], found["destination_items"]) == (20_000, 20_000)
    assert (found["missing"], found["extra"], found["different"]) == (1, 1, 1)
    assert pair.reported(report) == pair.planted


def test_only_recent_keys_and_only_a_sample(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> None:
    pair = VerifyPair(dynamodb_local, access_key, tmp_path, items=3_000, small=True)
    pair.plant(5)
    code, found = pair.run("nothing", "--since", "1h", "--patience", "1s")
    assert (code, found["suspects"]) == (0, 0), "nothing was changed since the stream was switched on"
    pair.source.put_item(TableName="Orders", Item={"pk": {"S": "fresh"}})
    code, found = pair.run("recent", "--since", "1h", "--patience", "1s")
    assert (code, found["missing"], found["suspects"]) == (1, 1, 1)
    assert found["source_items"] is found["destination_items"] is None, "whole tables were not read"
    code, found = pair.run("sample", "--sample", "10%", "--seed", "1", "--patience", "1s")
    assert 0 < found["source_items"] < 1_500
    assert found["sample"] == {"share": 0.1, "seed": 1}


def test_items_past_their_time_to_live_are_no_difference(
    dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path
) -> None:
    pair = VerifyPair(dynamodb_local, access_key, tmp_path, items=10)
    pair.source.update_time_to_live(
        TableName="Orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends"}
    )
    pair.destination.put_item(TableName="Copy", Item={"pk": {"S": "over"}, "ends": {"N": "1700000000"}})
    code, found = pair.run("lax", "--patience", "1s")
    assert (code, found["expired"], found["extra"]) == (0, 1, 0)
    code, found = pair.run("strict", "--patience", "1s", "--strict-ttl")
    assert (code, found["expired"], found["extra"]) == (1, 0, 1)
    code, found = pair.run("mend", "--patience", "1s", "--strict-ttl", "--repair")
    assert (code, found["mended"]) == (0, 1)
    assert whole_table(pair.destination, "Copy") == whole_table(pair.source, "Orders")


def test_attributes_of_an_old_global_table_may_be_left_out(
    dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path
) -> None:
    pair = VerifyPair(dynamodb_local, access_key, tmp_path, items=10)
    key = {"pk": {"S": "item 3"}}
    item: Any = pair.source.get_item(TableName="Orders", Key=key)["Item"]
    pair.source.put_item(TableName="Orders", Item=item | {"aws:rep:updateregion": {"S": "us-east-1"}})
    assert pair.run("with", "--patience", "1s")[1]["different"] == 1
    assert pair.run("without", "--patience", "1s", "--drop-aws-rep")[0] == 0


def test_what_cannot_be_compared_is_refused(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> None:
    pair = VerifyPair(dynamodb_local, access_key, tmp_path, items=1)
    pair.destination.delete_table(TableName="Copy")
    with pair.command("missing", "verify") as command:
        assert command.process.wait(60) == 4
    assert "the destination table Copy does not exist" in command.output
    assert not pair.state("verify")


def test_both_tables_are_read_no_faster_than_asked_for(
    dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path
) -> None:
    pair = VerifyPair(dynamodb_local, access_key, tmp_path, items=0)
    for table, client in (("Orders", pair.source), ("Copy", pair.destination)):
        for number in range(60):
            client.put_item(TableName=table, Item={"pk": {"S": f"item {number}"}, "a": {"S": "x" * 15_000}})
    # 60 items of 4 units.
    code, slow = pair.run("slow", "--max-read-rate", "20")
    assert (code, slow["equal"], slow["source_items"]) == (0, True, 60)
    assert slow["seconds"] >= 8
    with pair.command("percent", "verify", "--max-read-rate", "50%") as command:
        assert command.process.wait(60) == 2
    assert "the service says no capacity of" in command.output
