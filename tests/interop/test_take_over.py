"""T2 to T5: one tool ends, in order or killed, and the other goes on at its checkpoints."""

import re
from datetime import UTC, datetime

import pytest

from tests.interop.facts import JAVA, PYTHON
from tests.interop.side_by_side import FAILOVER_S, KEYS, PATIENCE_S, START_S, SideBySide, held_java, read_by_java
from tests.support.command import Command, wait_until
from tests.support.kcl import KclWorker

# settings/bounds: what a dead Java worker has sent may land for so long; until then our checkpoint stays.
SIGNATURE_LIFE_S = 300.0
# A Java worker whose lease was stolen may go on for so long: a renewal, and a batch.
BATCH_S = 4.9
NOTICES_S = FAILOVER_S / 3 + BATCH_S
# Slack of a busy machine; dynamirror scans twice a second here.
SLACK_S = 15.0


def reading(python: Command) -> dict[str, str]:
    """Where each shard was begun, by the worker's own log."""
    return dict(re.findall(r"reading (shardId-\S+) from (\S+)", python.output))


def begun(java: KclWorker) -> dict[str, str]:
    """The same of a worker on KCL."""
    return {line.words[0]: line.words[1] for line in java.said("begins")}


def last_sign_s(side: SideBySide, writer: str, shard: str) -> float:
    """When a writer last moved the row of a shard, on the journal's clock."""
    return max(write.at_s for write in side.facts.lease_writes(writer) if write.shard == shard)


def test_a_killed_java_worker_is_succeeded_by_one_of_ours_that_ran_already(side: SideBySide) -> None:
    side.put_all()
    with side.java() as java:
        held_java(java, side, 4)
        # A lease that is stolen before it has a number has none for the next 300 s.
        wait_until(side.roots_saved, 30)
        with side.python() as python:
            with side.traffic():
                wait_until(lambda: "event=started" in python.output, START_S, python)
                java.kill()
                taken_after_patience(side, python, side.owned_by_java())
            side.check(java)


def test_a_killed_java_worker_is_succeeded_by_one_of_ours_that_starts_later(side: SideBySide) -> None:
    side.put_all()
    with side.java() as java:
        held_java(java, side, 4)
        with side.traffic():
            wait_until(side.roots_saved, 30)
            java.kill()
    with side.python() as python:
        taken_after_patience(side, python, set(side.stream.open_shards()))
        side.put_all()
        side.check(java)
        rows = side.rows()
    assert not [write for write in side.facts.lease_writes(PYTHON) if write.creates]
    assert {row["ownerSwitchesSinceCheckpoint"]["N"] for row in rows.values()} == {"1"}


def taken_after_patience(side: SideBySide, python: Command, left: set[str]) -> None:
    """Every lease that was left was taken at its checkpoint, none before its owner was seen silent for its time. But
    one is stolen from an owner that may be alive: nothing is written then before that one must have noticed."""
    assert left
    wait_until(lambda: reading(python).keys() >= left, PATIENCE_S + SLACK_S + START_S, python)
    takes = [take for take in side.facts.takes(PYTHON) if take.shard in left]
    assert {take.shard for take in takes} == left
    assert all(reading(python)[take.shard] == side.facts.checkpoint_at(take) for take in takes)
    looked_s = side.facts.first_scan_s(PYTHON)
    stolen = []
    for take in takes:
        silent_s = take.at_s - max(looked_s, last_sign_s(side, JAVA, take.shard))
        assert silent_s <= PATIENCE_S + 2 * SLACK_S
        if silent_s < PATIENCE_S:
            stolen.append(take.shard)
            assert begun_at_s(python, take.shard) - taken_at_s(python, take.shard) >= NOTICES_S
    assert len(stolen) <= 1, "one in ten seconds"
    assert len(stolen) < len(takes)


def taken_at_s(python: Command, shard: str) -> float:
    """When a lease was taken, by the worker's own log."""
    return stamp(python, rf"lease of {shard} taken")


def begun_at_s(python: Command, shard: str) -> float:
    """When a shard was begun, by the worker's own log."""
    return stamp(python, rf"reading {shard}")


def stamp(python: Command, what: str) -> float:
    found = re.search(rf"^(\S+)Z \w+ {what}", python.output, re.MULTILINE)
    assert found is not None, what
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp()


def test_what_ours_leaves_in_order_a_java_worker_goes_on_with_at_once(side: SideBySide) -> None:
    side.put_all()
    with side.python() as python, side.traffic():
        wait_until(side.roots_saved, START_S, python)
        code, _ = python.terminate()
    assert code == 0
    before = side.rows()
    assert set(side.owners().values()) == {""}
    written = len(side.facts.writes())
    # Nothing behind the checkpoints was applied.
    done = {write.serial for write in side.facts.writes(PYTHON)} - {None}
    with side.java() as java:
        held_java(java, side, 4)
        takes = side.facts.takes(JAVA)
        assert takes[-1].at_s - takes[0].at_s < FAILOVER_S, (
            "all in one scan: the next is twice the fail-over time later"
        )
        assert len(takes) == 4
        side.put_all()
        side.settled()
        wait_until(lambda: len(begun(java)) == 4, 30)
        assert begun(java) == {shard: row["checkpoint"]["S"] for shard, row in before.items()}
        # What has been applied is noted once its answer has passed by.
        wait_until(lambda: len(side.facts.writes()) > written + KEYS / 2, 30)
        again = {write.serial for write in side.facts.writes(JAVA)} & done
        assert not again, "applied a second time"
        side.check(java)


@pytest.mark.long
def test_when_ours_is_killed_a_java_worker_goes_on_at_its_checkpoints(side: SideBySide) -> None:
    side.put_all()
    with side.python() as python:
        wait_until(side.roots_saved, START_S, python)
        with side.java() as java:
            with side.traffic():
                held_java(java, side, 2)
                python.kill()
                held_java(java, side, 4)
                wait_until(lambda: len(begun(java)) == 4, 30)
            takes = side.facts.takes(JAVA)
            assert begun(java) == {take.shard: side.facts.checkpoint_at(take) for take in takes}
            assert all(place.isdigit() for place in begun(java).values())
            for take in takes[2:]:
                assert take.at_s - last_sign_s(side, PYTHON, take.shard) > FAILOVER_S
            side.check(java)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("side", [1], indirect=True)
def test_our_checkpoint_follows_when_nothing_of_the_java_worker_can_land_any_more(side: SideBySide) -> None:
    java, shard, place = read_by_java(side)
    with side.python() as python:
        wait_until(lambda: bool(reading(python)), START_S, python)
        side.put_all()
        side.settled()
        wait_until(lambda: side.checkpoint(shard) != place, SIGNATURE_LIFE_S + START_S, python)
        [take] = side.facts.takes(PYTHON)
        saved = next(w for w in side.facts.lease_writes(PYTHON) if "checkpoint" in w.sets)
        assert saved.at_s - take.at_s >= SIGNATURE_LIFE_S
        assert saved.sets["ownerSwitchesSinceCheckpoint"] == "0"
        wait_until(lambda: side.checkpoint(shard) == str(last_of(side, shard)), 30, python)
        side.check(java)


def last_of(side: SideBySide, shard: str) -> str:
    """The number of the last change of a shard, as a checkpoint has it."""
    return f"{side.stream.shard(shard).sequences[-1]:024d}"
