"""Workers of an older and a newer version in one task, on DynamoDB Local.

The older one is what it leaves in the tables: its heartbeat row and its lease rows, written here as the first version
writes them. A newer one is a row with attributes, or a kind, or a schema that this version does not know.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import wait_until
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.task_pair import LEASES, STATE, TaskPair

FIRST = "first-version"
OWN = ("xr_appliedTo",)


@pytest.fixture
def pair(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> TaskPair:
    return TaskPair(dynamodb_local, access_key, tmp_path)


def begun(pair: TaskPair) -> dict[str, Any]:
    """A task that has applied something; returns what every row of its life carries."""
    with pair.replicate(name="begun") as command:
        pair.put("before")
        wait_until(lambda: pair.arrived("before"), 60, command)
        assert command.terminate()[0] == 0
    [row] = [row for row in pair.rows("task") if row["id"] == {"S": "pair"}]
    return {name: row[name] for name in ("leaseTableId", "streamArn", "schema")}


def put_row(pair: TaskPair, life: dict[str, Any], kind: str, row_id: str, **more: Any) -> None:
    pair.source.put_item(TableName=STATE, Item={"kind": {"S": kind}, "id": {"S": row_id}, **life, **more})


@contextmanager
def older_worker(pair: TaskPair, life: dict[str, Any]) -> Iterator[None]:
    """Beats as the first version does, with facts that are all texts; holds the lease, and moves its counter."""
    ended = threading.Event()
    [lease] = [row for row in pair.leases() if row["checkpoint"] != {"S": "SHARD_END"}]
    lease |= {"leaseOwner": {"S": FIRST}, "xr_for": {"S": FIRST}, "xr_leaseMs": {"N": "10000"}, "xr_hb": {"N": "1"}}
    for name in (*OWN, "xr_clean"):
        lease.pop(name, None)

    def beat(counter: int) -> None:
        facts = {"host": {"S": "old"}, "pid": {"S": "1"}, "version": {"S": "0.1.0"}}
        put_row(pair, life, "worker", FIRST, beat={"N": str(counter)}, **facts)

    def live() -> None:
        counter = 1
        while not ended.wait(1):
            counter += 1
            beat(counter)

    beat(1)
    pair.source.put_item(TableName=LEASES, Item=lease | {"leaseCounter": {"N": "1000"}})
    living = threading.Thread(target=live)
    living.start()
    try:
        yield
    finally:
        ended.set()
        living.join()


def test_a_newer_worker_beside_an_older_one_and_after_it(pair: TaskPair) -> None:
    life = begun(pair)
    with pair.replicate(name="newer") as newer:
        with older_worker(pair, life):
            wait_until(lambda: len(pair.rows("worker")) == 2, 60, newer)
            pair.put("while the older one lives")
            # Its lease is not taken from it; what it does not say is not known.
            found = pair.json("status")
            assert {worker["worker"]: worker["alive"] for worker in found["workers"]}[FIRST] is True
            [shard] = [shard for shard in found["shards"] if shard["state"] != "finished"]
            assert (shard["owner"], shard["lag_ms"]) == (FIRST, None)
            assert not pair.arrived("while the older one lives")
        # Dead: the newer one goes on at its checkpoint.
        wait_until(lambda: pair.arrived("while the older one lives"), 60, newer)
        newer.alive()
        wait_until(lambda: any("xr_appliedTo" in row for row in pair.leases()), 90, newer)
    # And the other way round: the older one ignores what it does not know; the lease is as it reads it.
    [row] = [row for row in pair.leases() if row["checkpoint"] != {"S": "SHARD_END"}]
    assert {"leaseKey", "leaseCounter", "checkpoint", "ownerSwitchesSinceCheckpoint"} <= row.keys()


def test_what_a_newer_version_adds_is_passed_over(pair: TaskPair) -> None:
    life = begun(pair)
    more = {"later": {"M": {"a": {"L": [{"N": "1"}]}}}}
    put_row(pair, life, "worker", "newer", beat={"N": "7"}, host={"S": "new"}, **more)
    put_row(pair, life, "a kind of later", "x", **more)
    put_row(pair, life | {"schema": {"N": "9"}}, "a kind of later", "y")
    put_row(pair, life, "parked", "odd", **more)
    put_row(pair, life, "gap", "s/5", shard={"S": "s"}, behind={"S": "5"}, what={"S": "x"}, foundMs={"N": "5"}, **more)
    orders = {"counter": {"N": "1"}, "paused": {"BOOL": False}, "orderedMs": {"N": "5"}, "orderedBy": {"S": "a"}}
    put_row(pair, life, "task", "orders", **orders, **more)
    for lease in pair.leases():
        pair.source.put_item(TableName=LEASES, Item=lease | {"xr_later": {"S": "x"}})
    with pair.replicate(name="this") as command:
        pair.put("after")
        wait_until(lambda: pair.arrived("after"), 60, command)
        found = pair.json("status")
        assert {worker["worker"] for worker in found["workers"]} >= {"newer"}
        assert pair.json("pause")["count"] == 2
        wait_until(lambda: "paused by" in command.output, 15, command)
        command.kill()
    [kept] = [row for row in pair.rows("task") if row["id"] == {"S": "orders"}]
    assert kept["later"] == more["later"]


@pytest.mark.parametrize("kind,row_id", [("worker", "newer"), ("task", "orders"), ("duty", "d")])
def test_a_row_of_a_newer_schema_is_refused_with_one_line(pair: TaskPair, kind: str, row_id: str) -> None:
    life = begun(pair)
    with pair.replicate(name="runs") as running:
        wait_until(lambda: bool(pair.rows("worker")), 60, running)
        put_row(pair, life | {"schema": {"N": "2"}}, kind, row_id, beat={"N": "1"})
        if kind != "duty":
            # Duties are read at the start, and when a worker has died.
            assert running.process.wait(60) == 5
            assert running.output.count("has a row of schema 2, and this version knows schemas up to 1 only") >= 1
    code, _, errors = pair.run("status")
    assert (code, errors.count("\n")) == (5, 1), errors
    assert "update dynamirror on this machine" in errors
    code, _, errors = pair.run("replicate")
    assert code == 5
    assert "update dynamirror on this machine" in errors
