"""Many workers that are killed, frozen and stopped while shards roll and split; and that the judges can find fault."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.bench.answers import answer
from tests.bench.at_rest import AtRest, Versions
from tests.bench.call import OUR_ITERATOR, Call, call_of
from tests.bench.fleet_chaos import FleetChaos
from tests.bench.fleet_result import FleetPlan, FleetResult
from tests.bench.shard_readers import ShardReaders
from tests.support.dynamodb_local import DynamoDBLocal

SEED = int(os.environ.get("SEED") or 1)
ARN = "arn:aws:dynamodb:us-east-1:0:table/Orders/stream/1"


@pytest.mark.timeout(300)
def test_short_fleet_chaos(dynamodb_local: DynamoDBLocal, tmp_path: Path) -> None:
    plan = FleetPlan(SEED, storm_s=25, stray_life_s=5, kills=1, freezes=1, stops=1, closed=6)
    _run(plan, dynamodb_local, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_minutes_of_fleet_chaos(dynamodb_local: DynamoDBLocal, tmp_path: Path) -> None:
    _run(FleetPlan(SEED), dynamodb_local, tmp_path)


def _run(plan: FleetPlan, local: DynamoDBLocal, folder: Path) -> FleetResult:
    result = asyncio.run(FleetChaos(plan, local, folder).run())
    print(result)
    assert result.good, f"{result}\nthe workers' output is in {folder}"
    return result


def call(operation: str, request: dict[str, Any], worker: str = "A") -> Call:
    scope = f"Credential={worker}/20260101/us-east-1/dynamodb/aws4_request"
    headers = {"x-amz-target": f"X.{operation}", "authorization": f"AWS4-HMAC-SHA256 {scope}, "}
    return call_of(headers, json.dumps(request).encode())


def records(shard: str, worker: str = "A") -> Call:
    return call("GetRecords", {"ShardIterator": f"{OUR_ITERATOR}{ARN}|{shard}|r|0|0"}, worker)


LAST_PAGE, PAGE = answer(b'{"Records":[]}'), answer(b'{"Records":[],"NextShardIterator":"x"}')


class TestShardReaders:
    def setup_method(self) -> None:
        self.now_s = 0.0
        self.readers = ShardReaders({"child": "parent"}.get, "Leases", lambda: self.now_s)

    def finish(self, shard: str, **values: Any) -> None:
        request = {
            "TableName": "Leases",
            "Key": {"leaseKey": {"S": shard}},
            "UpdateExpression": "SET #c = :c, #p = :p",
            "ExpressionAttributeNames": {"#c": "leaseCounter", "#p": "checkpoint"},
            "ExpressionAttributeValues": {":c": {"N": "2"}, ":p": {"S": "SHARD_END"}, **values},
        }
        self.readers.answered(call("UpdateItem", request), answer(b"{}"))

    def test_a_child_after_its_parent_is_fine(self) -> None:
        self.readers.asked(records("parent"))
        self.readers.answered(records("parent"), LAST_PAGE)
        self.finish("parent")
        self.readers.asked(call("GetShardIterator", {"StreamArn": ARN, "ShardId": "child"}, "B"))
        self.readers.asked(records("child", "B"))
        assert not self.readers.faults

    def test_a_child_before_its_parents_end_is_found(self) -> None:
        self.readers.answered(records("parent"), PAGE)
        self.readers.asked(call("GetShardIterator", {"StreamArn": ARN, "ShardId": "child"}, "B"))
        self.readers.asked(records("child", "B"))
        assert [("B asked for" in line, "read to its end" in line) for line in self.readers.faults] == [
            (True, True)
        ] * 2

    def test_a_child_before_its_parent_is_written_down_as_finished_is_found(self) -> None:
        self.readers.answered(records("parent"), LAST_PAGE)
        self.finish("parent", **{":p": {"S": "17"}})
        self.readers.asked(records("child"))
        assert ["written down" in line for line in self.readers.faults] == [True]

    def test_a_third_worker_within_a_second_is_found(self) -> None:
        for worker in "ABCDE":
            self.readers.asked(records("parent", worker))
        self.readers.begin()
        for worker in "AABA":
            self.readers.asked(records("parent", worker))
        assert not self.readers.faults
        self.now_s = 1.5
        for worker in "CD":
            self.readers.asked(records("parent", worker))
        assert not self.readers.faults
        assert self.readers.at_once_max == 2
        self.readers.asked(records("parent", "A"))
        assert ["3 workers" in line for line in self.readers.faults] == [True]
        self.readers.left("C")
        self.readers.asked(records("parent", "D"))
        assert len(self.readers.faults) == 1
        assert self.readers.handed_on == 1


class TestAtRest:
    def setup_method(self) -> None:
        self.versions = Versions()
        self.rest = AtRest("Copy", self.versions)

    def write(self, key: str, version: int | None) -> None:
        item = {"pk": {"S": key}, "version": {"N": str(version)}}
        put, gone = {"PutRequest": {"Item": item}}, {"DeleteRequest": {"Key": {"pk": {"S": key}}}}
        request = {"RequestItems": {"Copy": [gone if version is None else put]}}
        self.rest.answered(call("BatchWriteItem", request), answer(b'{"UnprocessedItems":{}}'))

    def saw(self, at_s: float, **versions: int) -> None:
        items = {key: {"pk": {"S": key}, "version": {"N": str(version)}} for key, version in versions.items()}
        self.rest.saw(items, self.rest.newest(), at_s)

    def test_an_older_image_is_timed_until_it_is_gone(self) -> None:
        self.write("a", 3)
        self.saw(1.0, a=3)
        self.write("a", 2)
        self.saw(2.0, a=2)
        self.saw(9.0, a=2)
        assert self.rest.older_now == ["a"]
        self.saw(10.0, a=4)
        assert (self.rest.longest_s, self.rest.times, self.rest.older_now) == (7.0, 1, [])
        assert "version 2 instead of 3" in self.rest.longest

    def test_an_old_delete_over_a_new_put_is_found(self) -> None:
        self.versions.deleted["a"] = 2
        self.write("a", 3)
        self.write("a", None)
        self.saw(1.0)
        self.saw(5.0)
        assert self.rest.longest_s == 4.0

    def test_what_may_be_a_newer_delete_is_none(self) -> None:
        self.write("a", 3)
        self.versions.deleted["a"] = 4
        self.write("a", None)
        self.saw(1.0)
        self.write("a", 5)
        self.saw(2.0, a=5)
        assert self.rest.times == 0


@pytest.mark.parametrize(
    "name,value,good",
    [
        ("changes", 7, True),
        ("changes", 30, False),
        ("readings", 0, False),
        ("faults", ["one"], False),
        ("differences", ["a: missing"], False),
        ("settled_s", None, False),
        ("balanced_s", None, False),
        ("older_longest_s", 1000.0, False),
        ("acts", {"kill": 1, "freeze": 1, "stop": 0}, False),
        ("shards", {"closed": 0}, False),
    ],
)
def test_a_run_is_good_only_when_all_is_well_and_enough_has_happened(name: str, value: Any, good: bool) -> None:
    result = FleetResult(FleetPlan(1, kills=1, freezes=1, stops=1, closed=1), settled_s=1.0, balanced_s=2.0)
    result.puts, result.readings = 14, 12
    result.acts.update(kill=1, freeze=1, stop=1)
    result.shards.update(closed=1)
    setattr(result, name, value)
    assert result.good is good
    assert "seed                1" in str(result)
