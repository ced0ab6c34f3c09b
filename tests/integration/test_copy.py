"""A table is copied while it is written, by two workers, one of which is killed; then it is followed."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dynamirror.model.task_name import state_table_name
from tests.support.command import Command, wait_until
from tests.support.copy_pair import LEASES, CopyPair
from tests.support.copy_writers import Aim, write_until
from tests.support.dynamodb_local import DynamoDBLocal
from tests.support.raw_items import different

ITEMS, ITEMS_LONG = 40_000, 200_000
WRITERS = 4


class Pair(CopyPair):
    """Copied by `replicate --copy`, which switches the stream on."""

    def command(self, name: str, *more: str) -> Command:
        return self.started(name, self.flags("replicate", "--enable-stream", "--copy", *more))

    def phase(self) -> str:
        rows = self.rows("copy")
        return str(rows[0]["phase"]["S"]) if rows else "none"

    def copied(self) -> int:
        return sum(int(row["written"]["N"]) for row in self.rows("segment"))

    def copies(self, command: Command) -> bool:
        """Whether this worker is in the midst of a segment."""
        rows = [row for row in self.rows("segment") if "worker" in row and "after" in row and not row["done"]["BOOL"]]
        return any(f"-{command.process.pid}-" in row["worker"]["S"] for row in rows)


@pytest.fixture
def pair(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> Pair:
    return Pair(dynamodb_local, access_key, tmp_path, ITEMS)


@pytest.fixture
def small(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> Pair:
    return Pair(dynamodb_local, access_key, tmp_path, items=2_000)


@pytest.fixture
def large(dynamodb_local: DynamoDBLocal, access_key: str, tmp_path: Path) -> Pair:
    return Pair(dynamodb_local, access_key, tmp_path, items=ITEMS_LONG)


@pytest.mark.timeout(900)
def test_a_table_in_use_is_copied_by_two_workers_one_of_which_is_killed(pair: Pair) -> None:
    written, kills = copy_in_use(pair)
    assert min(written["ahead"], written["behind"]) > 20
    assert kills > 0


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_large_table_in_use_is_copied_by_two_workers_one_of_which_is_killed(large: Pair) -> None:
    written, kills = copy_in_use(large)
    print(f"{large.items:,} items copied, beside {written.total():,} changes: {dict(written)}")
    assert min(written["ahead"], written["behind"]) > 200
    assert kills == 2


def copy_in_use(pair: Pair) -> tuple["Counter[str]", int]:
    """Copy it while it is written, until both tables are equal; returns how many changes were made where, and how often
    a worker was killed in the midst of a segment (less often where starting it again takes longer than the copy)."""
    stop = threading.Event()
    kills = 0
    with pair.command("first") as first, ThreadPoolExecutor(WRITERS) as pool:
        wait_until(lambda: pair.phase() == "announced", 60, first)
        aims = [Aim(pair.orders, lambda: pair.rows("segment"), random.Random(n)) for n in range(WRITERS)]
        writing = [pool.submit(write_until, stop, pair.source, aim, n, pair.items) for n, aim in enumerate(aims)]
        try:
            with pair.command("second") as second:
                for _ in range(2):
                    kills += in_the_midst(pair, second, first)
                    second.kill()
                    second.__enter__()
                wait_until(lambda: pair.phase() in ("done", "over"), 600, first)
                wait_until(lambda: pair.phase() == "over", 180, first)
                stop.set()
                counts = [job.result() for job in writing]
                assert min(count.total() for count in counts) > 100
                wait_until(lambda: not different(pair.orders, pair.copy), 120, first)
                assert second.terminate()[0] == 0
        finally:
            stop.set()
        assert first.terminate()[0] == 0
    segments = pair.rows("segment")
    assert all(row["done"]["BOOL"] for row in segments)
    assert sum(int(row["read"]["N"]) for row in segments) == pair.copied()
    assert pair.copied() > pair.items * 0.8
    return sum(counts, Counter()), kills


def in_the_midst(pair: Pair, command: Command, other: Command) -> bool:
    """Wait until the worker is in the midst of a segment; False: the copy was done before."""
    copies = False

    def seen() -> bool:
        nonlocal copies
        copies = pair.copies(command)
        return copies or pair.phase() in ("done", "over")

    wait_until(seen, 120, other)
    return copies


def test_a_destination_with_items_is_refused_and_nothing_is_written(small: Pair) -> None:
    pair = small
    pair.destination.put_item(TableName="Copy", Item={"pk": {"S": "mine"}})
    with pair.command("refused") as command:
        assert command.process.wait(60) == 4
    assert "--allow-non-empty" in command.output
    assert pair.phase() == "none"
    assert len(pair.copy.items()) == 1


@pytest.mark.timeout(600)
def test_a_missing_destination_is_made_like_the_source_and_finished_after_the_copy(small: Pair) -> None:
    pair = small
    pair.destination.delete_table(TableName="Copy")
    pair.source.update_time_to_live(
        TableName="Orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )

    def lives() -> str:
        found = pair.destination.describe_time_to_live(TableName="Copy")["TimeToLiveDescription"]
        return str(found.get("TimeToLiveStatus"))

    with pair.command("clone", "--create-destination") as command:
        wait_until(lambda: pair.phase() in ("announced", "copying"), 60, command)
        assert lives() == "DISABLED", "nothing may expire before the copy has it"
        wait_until(lambda: pair.phase() == "over", 240, command)
        wait_until(lambda: lives() in ("ENABLED", "ENABLING"), 60, command)
        assert not different(pair.orders, pair.copy)
        assert command.terminate()[0] == 0
    made = pair.destination.describe_table(TableName="Copy")["Table"]
    assert made["KeySchema"] == pair.source.describe_table(TableName="Orders")["Table"]["KeySchema"]


@pytest.mark.long
def test_counts_that_do_not_add_up_are_told_by_the_exit_code_and_following_goes_on(small: Pair) -> None:
    """A segment whose row says so from the beginning; the worker takes it for done."""
    pair = small
    with pair.command("uneven", "--segments", "2") as command:
        wait_until(lambda: pair.phase() == "announced", 60, command)
        [row] = pair.rows("copy")
        life = {name: row[name] for name in ("leaseTableId", "streamArn", "schema")}
        counts = {name: {"N": count} for name, count in {"claim": "9", "read": "5", "written": "4"}.items()}
        rest = {"parked": {"N": "0"}, "bytes": {"N": "1"}, "done": {"BOOL": True}}
        key = {"kind": {"S": "segment"}, "id": {"S": "000001"}}
        pair.source.put_item(TableName=state_table_name(LEASES), Item=key | life | counts | rest)
        wait_until(lambda: pair.phase() == "done", 120, command)
        assert pair.rows("copy")[0]["needsVerify"] == {"BOOL": True}
        command.alive()
        assert command.terminate()[0] == 1
    assert "do not add up in segment 1" in command.output
    assert "event=copy_doubtful" in command.output
