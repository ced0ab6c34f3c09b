"""T6, T8, T17, T19: fleets of both kinds that come to rest, and stay there."""

import random
import time
from collections import Counter
from contextlib import ExitStack

import pytest

from dynamirror.model.balance import STUCK_S
from tests.bench.faults import Kind, Rule
from tests.interop.facts import JAVA, PYTHON
from tests.interop.side_by_side import FAILOVER_S, SCANS_S, START_S, SideBySide, held_java
from tests.interop.test_take_over import BATCH_S, NOTICES_S, SIGNATURE_LIFE_S, begun_at_s, taken_at_s
from tests.support.command import Command, wait_until
from tests.support.kcl import KclWorker

pytestmark = pytest.mark.long
# From one steal of ours to the next.
STEALS_S = 10.0
PASSES = 10
# A fail-over time in which a KCL worker misses no renewal, whatever it tries again.
LASTING_S = 12.0


def loads(side: SideBySide) -> Counter[str]:
    """How many leases each owner has; "" of none."""
    return Counter(side.owners().values())


def even(side: SideBySide, workers: int) -> bool:
    """Every lease has an owner, and no two of so many differ by more than one."""
    load = loads(side)
    return "" not in load and len(load) == workers and max(load.values()) - min(load.values()) <= 1


@pytest.mark.parametrize("side", [8], indirect=True)
def test_ours_gets_its_share_of_a_java_workers_leases_and_waits_until_it_has_noticed(side: SideBySide) -> None:
    side.put_all()
    with side.java() as java:
        held_java(java, side, 8)
        with side.python() as python:
            with side.traffic(120):
                wait_until(lambda: even(side, 2), START_S + 8 * STEALS_S, python)
                stolen = [take.shard for take in side.facts.takes(PYTHON)]
                assert len(stolen) == len(set(stolen)) == 4
                wait_until(lambda: all(f"reading {shard}" in python.output for shard in stolen), 60, python)
                for shard in stolen:
                    assert begun_at_s(python, shard) - taken_at_s(python, shard) >= NOTICES_S
                time.sleep(3)
            side.check(java)
            assert len(side.facts.takes(JAVA)) == 8, "Java took something back"


class Mixed:
    """Two workers of each kind, one of which is killed now and then, and another one of its kind started."""

    def __init__(self, side: SideBySide, stack: ExitStack) -> None:
        self._side, self._stack = side, stack
        self.workers: list[KclWorker | Command] = [self._new(kind) for kind in (JAVA, PYTHON, JAVA, PYTHON)]

    @property
    def javas(self) -> list[KclWorker]:
        return [worker for worker in self.workers if isinstance(worker, KclWorker)]

    def replace(self, place: int) -> None:
        worker = self.workers[place]
        worker.kill()
        self.workers[place] = self._new(JAVA if isinstance(worker, KclWorker) else PYTHON)

    def alive(self) -> None:
        for worker in self.workers:
            worker.alive()

    def _new(self, kind: str) -> KclWorker | Command:
        if kind == JAVA:
            return self._stack.enter_context(self._side.java())
        return self._stack.enter_context(self._side.python())


@pytest.mark.alone  # Five minutes of four processes with a second for each request.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("side", [30], indirect=True)
def test_two_of_each_kind_share_thirty_shards_evenly_whoever_was_killed(side: SideBySide) -> None:
    side.put_all()
    rng = random.Random(8)
    with ExitStack() as stack:
        mixed = Mixed(side, stack)
        wait_until(lambda: even(side, 4), START_S + 300)
        with side.traffic(60):
            for place in rng.sample(range(4), 4):
                mixed.replace(place)
                time.sleep(rng.uniform(5.0, 20.0))
            wait_until(lambda: even(side, 4), START_S + 300)
            mixed.alive()
            taken = len(side.facts.takes(JAVA)) + len(side.facts.takes(PYTHON))
            time.sleep(PASSES * SCANS_S)
            assert even(side, 4)
            assert len(side.facts.takes(JAVA)) + len(side.facts.takes(PYTHON)) == taken, "leases still move"
        # A killed worker's changes are applied again: whose images go back in time for that long is no fault.
        side.check(*mixed.javas, tenures_max=0)
        mixed.alive()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("side", [2], indirect=True)
def test_a_shard_whose_end_java_cannot_save_is_rescued(side: SideBySide) -> None:
    """Each has its share all the time, so that nothing is stolen for another reason. While KCL tries for three seconds
    to save what is refused it renews nothing: its lease has to last longer, else anybody may have it."""
    side.failover_s = LASTING_S
    side.put_all()
    with side.java() as java:
        held_java(java, side, 2)
        wait_until(side.roots_saved, 60)
        with side.python() as python:
            wait_until(lambda: even(side, 2), START_S, python)
            [parent] = side.owned_by_java()
            refused = Rule(Kind.THROTTLE, access_keys=frozenset({side.keys.java}), containing=b'"SHARD_END"')
            side.thread.proxy.faults.put(refused)
            [child] = side.thread.do(side.stream.roll, parent)
            side.put_all()
            wait_until(lambda: bool(java.said("checkpoint-failed")), START_S, python)
            refused_at_s = java.said("checkpoint-failed")[0].at_s
            # What is taken from Java it does not take back: KCL counts a switch of owners with a take from another one.
            steals = Rule(Kind.THROTTLE, access_keys=frozenset({side.keys.java}), containing=b'"ADD"')
            side.thread.proxy.faults.put(steals)
            wait_until(lambda: f"reading {parent}" in python.output, STUCK_S + START_S, python)
            assert taken_at_s(python, parent) - refused_at_s >= STUCK_S - START_S
            assert begun_at_s(python, parent) - taken_at_s(python, parent) >= LASTING_S / 3 + BATCH_S
            # Saved when nothing of Java's can land any more.
            wait_until(lambda: side.checkpoint(parent) == "SHARD_END", SIGNATURE_LIFE_S + START_S, python)
            for rule in (refused, steals):
                side.thread.proxy.faults.remove(rule)
            side.put_all()
            # The child may be stolen too.
            side.check(tenures_max=3)
            # KCL's log has a line where a take was refused here, and no other.
            assert len(java.scan_failures()) <= steals.struck
            end = side.facts.ended_by(parent)
            assert end.writer == PYTHON
            assert side.facts.first_read_s(child) > end.at_s
            java.alive()


def reapplied(side: SideBySide) -> list[int]:
    """Changes that were written more than once."""
    written = Counter(write.serial for write in side.facts.writes() if write.serial is not None)
    return sorted(serial for serial, times in written.items() if times > 1)


@pytest.mark.parametrize("side", [8], indirect=True)
def test_what_ours_hands_to_ours_is_written_once(side: SideBySide) -> None:
    side.put_all()
    with side.python() as one:
        wait_until(side.roots_saved, START_S, one)
        with side.traffic(120):
            with side.python() as other:
                wait_until(lambda: even(side, 2), START_S, other)
                wait_until(lambda: other.output.count("event=shard_started") == 4, START_S, other)
                time.sleep(3)
                assert "event=unclean_start" not in other.output
                assert one.output.count("event=lease_handed_over") == 4
                assert reapplied(side) == []
                other.terminate()
            wait_until(lambda: len(loads(side)) == 1, START_S, one)
            time.sleep(3)
        side.check(tenures_max=1)
        assert reapplied(side) == []


@pytest.mark.parametrize("side", [8], indirect=True)
def test_java_steals_while_ours_hands_over_and_nobody_writes_behind_the_next(side: SideBySide) -> None:
    side.put_all()
    with side.python() as one:
        wait_until(side.roots_saved, START_S, one)
        with side.java() as java:
            wait_until(lambda: "Initialization complete" in java.log, START_S)
            with side.traffic(120), side.python() as other:
                wait_until(lambda: even(side, 3), START_S + 8 * STEALS_S, other)
                time.sleep(PASSES * FAILOVER_S)
                assert even(side, 3)
                assert one.output.count("event=lease_handed_over") >= 1
                assert side.facts.takes(JAVA)
                other.terminate()
            # Java may get what ours had, and ours get it back, and so on until each has its share.
            taken = Counter(take.shard for writer in (JAVA, PYTHON) for take in side.facts.takes(writer))
            side.check(java, tenures_max=max(taken.values()))
