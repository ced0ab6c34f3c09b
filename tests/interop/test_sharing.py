"""T7, T11, T14: both tools at the same table at the same time."""

import signal
import time

import pytest

from tests.interop.facts import JAVA, PYTHON, LeaseWrite, Row
from tests.interop.side_by_side import FAILOVER_S, LEASES, SCANS_S, START_S, STRAY_LIFE_S, SideBySide, held_java
from tests.support.command import wait_until


def writes_of_shard(side: SideBySide, writer: str, shard: str) -> list[float]:
    """When a writer wrote to the destination what belongs to an open shard. What mends, conditionally,
    is judged by `check`: it comes once nothing sent before the lease was lost can land any more."""
    written = (write for write in side.facts.writes(writer) if not write.mends)
    return [write.at_s for write in written if side.shard_of(write.key) == shard]


def handed_over(side: SideBySide, take: LeaseWrite) -> None:
    """After the first write of the new owner there is none of the former one, unless that has taken it back. What it
    mends, it mends once nothing that was on its way at the take can land any more."""
    ours = [again.at_s for again in side.facts.takes(PYTHON, take.at_s) if again.shard == take.shard]
    back_s = min(ours, default=float("inf"))
    mended = (write for write in side.facts.writes(PYTHON) if write.mends and side.shard_of(write.key) == take.shard)
    early_s = [
        write.at_s - take.at_s for write in mended if take.at_s < write.at_s < min(back_s, take.at_s + STRAY_LIFE_S)
    ]
    assert not early_s, f"{take.shard}: mended {early_s} s after the take"
    last = max(at_s for at_s in writes_of_shard(side, PYTHON, take.shard) if at_s < back_s)
    first = writes_of_shard(side, JAVA, take.shard)[0]
    assert last < first, (
        f"{take.shard}: we wrote {last - take.at_s:.2f} s after the take, Java after {first - take.at_s:.2f} s"
    )


def test_a_lease_that_java_steals_is_written_by_java_alone_from_then_on(side: SideBySide) -> None:
    side.put_all()
    with side.python() as python:
        wait_until(side.roots_saved, START_S, python)
        with side.java() as java:
            with side.traffic(120):
                held_java(java, side, 2)
                takes = side.facts.takes(JAVA)
                wait_until(lambda: all(writes_of_shard(side, JAVA, take.shard) for take in takes), 60, python)
            side.check(java)
            # Two each is fair, and idle leases are renewed: two more scans find nothing to take.
            time.sleep(2 * SCANS_S)
            assert side.facts.takes(JAVA) == takes
            assert len(side.owned_by_java()) == 2
            python.alive()
    assert len(takes) == 2
    assert takes[1].at_s - takes[0].at_s >= 2 * FAILOVER_S, "one for each scan"
    for take in takes:
        handed_over(side, take)
    assert python.output.count("event=lease_lost") == 2


def counter_of(row: Row) -> int:
    """The counter of a row."""
    return int(row["leaseCounter"]["N"])


def test_attributes_of_our_own_survive_java_workers(side: SideBySide) -> None:
    side.put_all()
    mine = {"xr_for": {"S": "somebody"}, "xr_leaseMs": {"N": "10000"}, "xr_hb": {"N": "1"}, "xr_clean": {"N": "0"}}
    with side.java() as java:
        held_java(java, side, 4)
        wait_until(side.roots_saved, 30)
        for shard in side.rows():
            values = {f":{name}": value for name, value in mine.items()}
            side.source.update_item(
                TableName=LEASES,
                Key={"leaseKey": {"S": shard}},
                UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in mine),
                ExpressionAttributeValues=values,
            )
        before = side.rows()
        side.put_all()
        side.settled()
        wait_until(
            lambda: all(counter_of(row) > counter_of(before[shard]) + 3 for shard, row in side.rows().items()), 30
        )
        assert all(side.checkpoint(shard) != before[shard]["checkpoint"]["S"] for shard in before)
        with side.java() as other:
            java.kill()
            wait_until(lambda: len(side.facts.takes(JAVA)) >= 8, START_S)

            def switches_forgotten() -> bool:
                """A checkpoint resets their count, and comes after the write; who is stolen from later, counts anew."""
                side.put_all()
                side.settled()
                return all(row["ownerSwitchesSinceCheckpoint"] == {"N": "0"} for row in side.rows().values())

            wait_until(switches_forgotten, 60)
            side.check(java, other)
            rows = side.rows()
    for row in rows.values():
        assert {name: row.get(name) for name in mine} == mine


@pytest.mark.long
def test_what_is_frozen_past_its_leases_writes_nothing_when_it_thaws(side: SideBySide) -> None:
    side.put_all()
    with side.python() as python:
        wait_until(side.roots_saved, START_S, python)
        with side.java() as java:
            with side.traffic(120):
                held_java(java, side, 2)
                kept = set(side.rows()) - side.owned_by_java()
                wait_until(lambda: all(writes_of_shard(side, PYTHON, shard) for shard in kept), 60, python)
                python.process.send_signal(signal.SIGSTOP)
                held_java(java, side, 4)
                wait_until(lambda: all(writes_of_shard(side, JAVA, shard) for shard in kept), 60)
                python.process.send_signal(signal.SIGCONT)
                wait_until(lambda: python.output.count("event=lease_lost") >= 4, 60, python)
            side.check(java, tenures_max=3)
            takes = side.facts.takes(JAVA)
    for take in takes[2:]:
        handed_over(side, take)
