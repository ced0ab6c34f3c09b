"""T13, T16, T18: lost answers, trimmed changes, a row that is none."""

import time
from itertools import pairwise

import pytest

from dynamirror.errors import ExitCode
from tests.bench.faults import Kind
from tests.interop.facts import JAVA, PYTHON
from tests.interop.side_by_side import LEASES, SCANS_S, START_S, SideBySide, held_java, read_by_java
from tests.support.command import wait_until

pytestmark = pytest.mark.long
# An idle shard is read every second.
UNREAD_S_MAX = 5.0


def refused_as_gap(side: SideBySide, shard: str, place: str) -> None:
    """Ours names the shard, ends with the exit code of a gap, and leaves the row's checkpoint."""
    with side.python() as python:
        assert python.process.wait(timeout=START_S) == ExitCode.GAP
        assert shard in python.output
    assert side.checkpoint(shard) == place
    assert not [write for write in side.facts.lease_writes(PYTHON) if "checkpoint" in write.sets]


@pytest.mark.parametrize("side", [1], indirect=True)
def test_lost_answers_cost_no_lease_though_java_waits_for_one(side: SideBySide) -> None:
    side.put_all()
    with side.python() as python:
        wait_until(side.roots_saved, START_S, python)
        [owner] = side.owners().values()
        with side.java() as java, side.traffic():
            # One lease for two workers: KCL leaves it where it is while its counter moves.
            wait_until(lambda: "Initialization complete" in java.log, START_S)
            rule = side.thread.proxy.faults.add(Kind.RESET_AFTER, ["UpdateItem"], [LEASES], rate=0.3)
            wait_until(lambda: rule.struck >= 15, 120, python)
            time.sleep(2 * SCANS_S)
            side.thread.proxy.faults.clear()
        assert list(side.owners().values()) == [owner]
        assert not side.facts.takes(JAVA)
        side.check(java, tenures_max=1)
        assert "event=lease_lost" not in python.output
        [shard] = side.stream.open_shards()
        assert max(after - before for before, after in pairwise(side.facts.reads_s(shard))) < UNREAD_S_MAX


@pytest.mark.parametrize("side", [1], indirect=True)
def test_what_was_trimmed_behind_javas_checkpoint_stops_us_and_is_no_shards_end(side: SideBySide) -> None:
    _, shard, place = read_by_java(side)
    side.put_all()
    side.put_all()
    side.thread.do(side.stream.trim, shard, keep=3)
    refused_as_gap(side, shard, place)
    # KCL goes on at the oldest change, with a line in its log: what the flag --on-gap is there for.
    with side.java():
        wait_until(lambda: side.checkpoint(shard) != place, START_S)


@pytest.mark.parametrize("side", [1], indirect=True)
def test_a_shard_that_is_gone_behind_javas_checkpoint_stops_us_and_has_no_end(side: SideBySide) -> None:
    _, shard, place = read_by_java(side)
    side.put_all()
    side.put_all()
    side.thread.do(side.stream.roll, shard)
    side.thread.do(side.stream.trim, shard)
    assert shard not in side.stream.open_shards() + side.stream.closed_shards()
    refused_as_gap(side, shard, place)


def test_a_row_that_is_no_lease_stops_java_and_not_us(side: SideBySide) -> None:
    side.put_all()
    with side.java() as java:
        held_java(java, side, 4)
        wait_until(side.roots_saved, 30)
        side.source.put_item(TableName=LEASES, Item={"leaseKey": {"S": "somebodys-notes"}, "text": {"S": "hello"}})
        with side.python() as python:
            wait_until(lambda: "event=lease_row_refused" in python.output, START_S, python)
            with side.java() as other:
                wait_until(lambda: bool(other.scan_failures() + java.scan_failures()), START_S)
                java.kill()
                wait_until(lambda: len(side.facts.takes(PYTHON)) == 4, START_S, python)
            side.put_all()
            side.settled()
            python.alive()
    assert "somebodys-notes" in python.output
    note = side.rows().pop("somebodys-notes")
    assert note == {"leaseKey": {"S": "somebodys-notes"}, "text": {"S": "hello"}}
