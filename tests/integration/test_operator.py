"""What the operator types while real workers run on DynamoDB Local: status, pause, resume, set-rate, reset."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.bench.signature import Credential
from tests.bench.thread import ProxyThread
from tests.support.command import wait_until
from tests.support.dynamodb_local import SECRET_KEY, DynamoDBLocal
from tests.support.task_pair import DESTINATION, LEASES, SOURCE, STATE, TaskPair


@pytest.fixture
def pair(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> TaskPair:
    return TaskPair(dynamodb_local, access_key, tmp_path)


@contextmanager
def traffic(pair: TaskPair) -> Iterator[None]:
    """Somebody writes to the source all the time, ten items at once."""
    ended = threading.Event()

    def write() -> None:
        first = 0
        while not ended.wait(0.1):
            puts = [{"pk": {"S": f"item {n % 400}"}, "n": {"N": str(n)}} for n in range(first, first + 10)]
            pair.source.batch_write_item(RequestItems={"Orders": [{"PutRequest": {"Item": put}} for put in puts]})
            first += 10

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def test_status_with_a_worker_after_its_kill_and_without(pair: TaskPair) -> None:
    code, output, _ = pair.run("status")
    assert (code, output.startswith("There is no such task")) == (0, True)
    assert pair.json("status") == {"task": {"lease_table": LEASES, "exists": False}}
    assert not pair.tables()
    with pair.replicate() as command:
        with traffic(pair):
            wait_until(lambda: pair.arrived("item 7"), 60, command)
            # With the first checkpoint.
            wait_until(lambda: any("xr_appliedTo" in lease for lease in pair.leases()), 60, command)
            found = pair.json("status")
            [worker] = found["workers"]
            assert (worker["alive"], worker["pid"], worker["paused"]) == (True, str(command.process.pid), False)
            assert worker["changes_applied"] > 0
            [shard] = [shard for shard in found["shards"] if shard["state"] != "finished"]
            assert (shard["state"], shard["owner"]) == ("reading", worker["worker"])
            assert 0 <= shard["lag_ms"] < 15_000
            assert (found["task"]["stream_on"], found["parked_items"], found["gaps"], found["duties"]) == (
                True,
                0,
                [],
                0,
            )
            assert found["warnings"] == []
        assert command.terminate()[0] == 0
    left = pair.json("status")
    assert (left["workers"], left["shard_counts"]["free"]) == ([], 1)
    # After a release in order the place is known all the same.
    assert left["shards"][-1]["lag_ms"] is not None
    assert any("no worker shows life" in line for line in left["warnings"])
    pair.put("last")
    with pair.replicate(name="second") as command:
        wait_until(lambda: pair.arrived("last") and pair.equal(), 90, command)
        command.kill()
    dead = pair.json("status")
    assert [worker["alive"] for worker in dead["workers"]] == [False]
    assert dead["shard_counts"]["owner_silent"] == 1
    assert any("no worker shows life" in line for line in dead["warnings"])
    assert any("stands still" in line for line in dead["warnings"])
    code, page, _ = pair.run("status")
    assert code == 0
    assert "1 owner silent" in page


def test_status_is_watched_until_ctrl_c(pair: TaskPair) -> None:
    with pair.replicate(name="worker") as worker:
        wait_until(lambda: LEASES in pair.tables() and bool(pair.leases()), 60, worker)
        with pair.begin("status", "--json", "--watch", "1") as command:
            wait_until(lambda: command.output.count("\n") >= 3, 60, command)
            command.process.send_signal(signal.SIGINT)
            assert command.process.wait(30) == 0
        documents = [json.loads(line) for line in command.output.splitlines()]
        assert all(document["workers"][0]["alive"] for document in documents[-2:])


def test_status_of_tables_that_cannot_be_read(pair: TaskPair) -> None:
    pair.local.create_table(pair.access_key, LEASES, SOURCE, {"other": "S"}, None)
    code, _, errors = pair.run("status")
    assert (code, "belongs to something else" in errors) == (5, True)


def test_a_pause_stops_writes_and_a_resume_loses_nothing(pair: TaskPair) -> None:
    with pair.replicate(name="first") as first, traffic(pair):
        wait_until(lambda: pair.arrived("item 7"), 60, first)
        said = pair.json("pause")
        assert (said["changed"], said["paused"]) == (True, True)
        wait_until(lambda: pair.paused() and pair.nothing_arrives(1), 15, first)
        before = {row["leaseKey"]["S"]: row for row in pair.leases()}
        pair.put("while paused")
        assert pair.nothing_arrives(24)
        # The lease is kept, and renewed.
        [row] = [row for row in pair.leases() if row["checkpoint"] != {"S": "SHARD_END"}]
        assert row["leaseOwner"] == before[row["leaseKey"]["S"]]["leaseOwner"]
        assert int(row["leaseCounter"]["N"]) > int(before[row["leaseKey"]["S"]]["leaseCounter"]["N"])
        found = pair.json("status")
        assert (found["orders"]["paused"], found["workers"][0]["paused"]) == (True, True)
        assert found["changes_lost_from_ms"] > found["at_ms"] + 23 * 3600 * 1000
        # A worker that starts now stays paused; so does the first after a restart.
        first.kill()
        with pair.replicate(name="second") as second:
            wait_until(lambda: len(pair.rows("worker")) == 2 and pair.paused(), 30, second)
            assert pair.nothing_arrives(15)
            assert pair.json("pause")["changed"] is False
            assert pair.json("resume")["changed"] is True
            wait_until(lambda: pair.arrived("while paused"), 60, second)
            assert "resumed by" in second.output
            assert pair.json("resume")["changed"] is False
            second.alive()
        # Killed: the next one finds all of it.
    pair.put("last")
    with pair.replicate(name="third") as third:
        wait_until(lambda: pair.arrived("last") and pair.equal(), 90, third)
        assert third.terminate()[0] == 0


def test_latest_of_a_worker_that_starts_paused_is_when_it_was_started(pair: TaskPair) -> None:
    with pair.replicate(name="first") as first:
        wait_until(lambda: STATE in pair.tables() and bool(pair.rows("worker")), 60, first)
        assert first.terminate()[0] == 0
    pair.json("pause")
    pair.source.delete_table(TableName=LEASES)
    with pair.replicate("--start-at", "latest", name="second") as second:
        wait_until(lambda: "replicating" in second.output, 60, second)
        # Records have whole seconds.
        time.sleep(2)
        pair.put("since the start")
        time.sleep(3)
        pair.json("resume")
        wait_until(lambda: pair.arrived("since the start"), 60, second)
        assert second.terminate()[0] == 0


@pytest.mark.timeout(180)
def test_a_copy_is_paused_and_goes_on(pair: TaskPair) -> None:
    items = [{"PutRequest": {"Item": {"pk": {"S": f"item {n}"}, "v": {"S": "x" * 1000}}}} for n in range(3000)]
    for first in range(0, len(items), 25):
        pair.source.batch_write_item(RequestItems={"Orders": items[first : first + 25]})  # type: ignore[dict-item]
    with pair.begin("copy", "--max-write-rate", "200") as command:
        wait_until(lambda: pair.count() > 200, 60, command)
        pair.json("pause")
        wait_until(lambda: pair.nothing_arrives(2), 30, command)
        held = pair.count()
        found = pair.json("status")
        [copy] = found["copies"]
        assert (copy["at_rest"], copy["phase"]) == (True, "copying")
        assert 0 < copy["segments_done"] + copy["items_written"] <= 3000
        assert held < 3000
        pair.json("set-rate", "--max-write-rate", "none")
        pair.json("resume")
        assert command.process.wait(120) == 0
    assert pair.equal()


@pytest.mark.timeout(300)
def test_the_rate_of_a_running_worker_is_changed(pair: TaskPair, dynamodb_local: DynamoDBLocal) -> None:
    """The bench meters what the destination is charged, a unit a write. The worker was started without a limit."""
    with ExitStack() as stack:
        thread = stack.enter_context(ProxyThread(dynamodb_local.url, {pair.access_key: Credential(SECRET_KEY)}))
        place = (pair.access_key, DESTINATION, "Copy")
        table = thread.do(thread.proxy.meter.provision, place, "pk", 100_000.0, 100_000.0)
        pair.destination_url = thread.url
        worker = stack.enter_context(pair.replicate())
        stack.enter_context(traffic(pair))
        wait_until(lambda: table.write.taken > 100, 90, worker)

        def rate_s(for_s: float) -> float:
            begun_s, before = time.monotonic(), table.write.taken
            time.sleep(for_s)
            return float(table.write.taken - before) / (time.monotonic() - begun_s)

        free_s = rate_s(5)
        assert pair.json("set-rate", "--max-write-rate", "10")["write_rate"] == "10"
        wait_until(lambda: "rate_ordered" in worker.output, 15, worker)
        time.sleep(2)
        limited_s = rate_s(10)
        print(f"{free_s:.0f} units/s, limited to 10: {limited_s:.1f}")
        assert free_s > 20
        assert 3 < limited_s < 15
        found = pair.json("status")
        assert (found["orders"]["write_rate"], len(found["rates"])) == ("10", 1)
        pair.json("set-rate", "--max-write-rate", "default")
        wait_until(lambda: worker.output.count("rate_ordered") == 2, 15, worker)
        time.sleep(1)
        assert rate_s(5) > 20
        wait_until(lambda: not pair.rows("rate"), 15, worker)


def test_a_task_is_reset_only_when_nobody_works_on_it(pair: TaskPair) -> None:
    assert pair.json("reset", "--yes") == {"deleted": [], "left": [], "lost": None, "living": []}
    with pair.replicate() as command:
        pair.put("one")
        wait_until(lambda: pair.arrived("one"), 60, command)
        code, _, errors = pair.run("reset", "--yes")
        assert (code, "shows life" in errors) == (2, True)
        assert pair.run("reset", "--dry-run")[0] == 1
        assert pair.tables() == {LEASES, STATE}
        command.kill()
    code, output, errors = pair.run("reset")
    assert (code, "needs --yes" in errors) == (2, True)
    assert "checkpoints         1" in output
    assert pair.run("reset", "--dry-run")[0] == 0
    assert pair.tables() == {LEASES, STATE}
    assert pair.json("reset", "--yes")["deleted"] == [LEASES, STATE]
    assert not pair.tables()
    # The next start begins anew.
    pair.destination.delete_item(TableName="Copy", Key={"pk": {"S": "one"}})
    with pair.replicate(name="second") as second:
        wait_until(lambda: pair.arrived("one"), 60, second)
        assert second.terminate()[0] == 0
    # Half of a reset: the same command goes on.
    pair.source.delete_table(TableName=LEASES)
    assert pair.json("reset", "--yes")["deleted"] == [STATE]
    assert not pair.tables()


def test_a_java_worker_that_renews_its_lease_forbids_a_reset(pair: TaskPair) -> None:
    """As the Java tool writes it: no state table, and the counter of the row moves."""
    pair.local.create_table(pair.access_key, LEASES, SOURCE, {"leaseKey": "S"}, None)
    row = {
        "leaseKey": {"S": "shardId-00000001732783000000-6fb3a1b2"},
        "leaseOwner": {"S": "java"},
        "leaseCounter": {"N": "1"},
        "ownerSwitchesSinceCheckpoint": {"N": "0"},
        "checkpoint": {"S": "TRIM_HORIZON"},
        "checkpointSubSequenceNumber": {"N": "0"},
    }
    pair.source.put_item(TableName=LEASES, Item=row)
    found = pair.json("status")
    assert [(worker["worker"], worker["alive"], worker["heartbeat"]) for worker in found["workers"]] == [
        ("java", None, False)
    ]
    ended = threading.Event()

    def renew() -> None:
        counter = 1
        while not ended.wait(3):
            counter += 1
            pair.source.put_item(TableName=LEASES, Item=row | {"leaseCounter": {"N": str(counter)}})

    renewing = threading.Thread(target=renew)
    renewing.start()
    try:
        code, _, errors = pair.run("reset", "--yes")
        assert (code, "worker java shows life" in errors) == (2, True)
    finally:
        ended.set()
        renewing.join()
    # Its worker ended: the name stays on the row, and nothing moves.
    assert pair.json("reset", "--yes")["deleted"] == [LEASES]
