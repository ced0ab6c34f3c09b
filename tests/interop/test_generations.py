"""T9, T10: shards that end while both tools hold leases."""

import signal
import time

import pytest

from tests.bench.rolling import RollPlan
from tests.interop.facts import JAVA, PYTHON
from tests.interop.side_by_side import START_S, SideBySide, held_java
from tests.interop.test_take_over import SIGNATURE_LIFE_S
from tests.support.command import wait_until

pytestmark = pytest.mark.long
# The child of a shard that Java has ended saves nothing, and does not end, for as long as Java's requests may land.
UNSAVED_S = SIGNATURE_LIFE_S + START_S
# Of generations in a row that Java ended each may wait for the one before.
GENERATIONS = 3
# From the parent's SHARD_END to the first page of its child, where dynamirror finishes the parent; about 0.2 s.
ROLL_S_MAX = 5.0


def generations(side: SideBySide) -> list[tuple[str, str]]:
    """Parent and child, of every shard that has been closed and has not been trimmed."""
    shards = [side.stream.shard(s) for s in (*side.stream.closed_shards(), *side.stream.open_shards())]
    return [(shard.parent_id, shard.id) for shard in shards if shard.parent_id is not None]


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("side", [4], indirect=True)
def test_a_child_is_read_after_its_parents_end_whoever_has_which(side: SideBySide) -> None:
    side.put_all()
    with side.python() as python:
        wait_until(side.roots_saved, START_S, python)
        with side.java() as java:
            held_java(java, side, 2)
            rolling = side.thread.do(side.thread.proxy.roll, side.stream, RollPlan(2.0, split_chance=0.3, open_max=8))
            with side.traffic():
                wait_until(lambda: side.stream.counts["closed"] >= 16, 120, python)
                side.thread.do(rolling.cancel)
            # A child that closes sooner holds up its own.
            side.settled(GENERATIONS * UNSAVED_S)
            # Until every closed shard was read to its end, by its row or by its row's absence.
            wait_until(lambda: all(_ended(side, parent) for parent, _ in generations(side)), UNSAVED_S, python)
            side.put_all()
            side.check(java, tenures_max=20)
            pairs = generations(side)
    stalls: dict[str, list[float]] = {PYTHON: [], JAVA: []}
    hands = set()
    for parent, child in pairs:
        end = side.facts.ended_by(parent)
        stall_s = side.facts.first_read_s(child) - end.at_s
        assert stall_s > 0, f"{child} was read {-stall_s:.2f} s before the end of {parent}, by {end.writer}"
        stalls[end.writer].append(stall_s)
        hands.add((end.writer, first_writer(side, child)))
    print({writer: [round(s, 2) for s in those] for writer, those in stalls.items()}, hands)
    assert {(JAVA, PYTHON), (PYTHON, PYTHON)} <= hands
    assert max(stalls[PYTHON]) < ROLL_S_MAX


def first_writer(side: SideBySide, shard: str) -> str:
    """Who was the first to own a shard's row."""
    takes = [take for writer in (JAVA, PYTHON) for take in side.facts.takes(writer) if take.shard == shard]
    return min(takes, key=lambda take: take.at_s).writer


def _ended(side: SideBySide, shard: str) -> bool:
    return any(w.shard == shard and w.sets.get("checkpoint") == "SHARD_END" for w in side.facts.lease_writes())


@pytest.mark.alone  # Java sleeps for two seconds of the four that it is given.
@pytest.mark.parametrize("side", [1], indirect=True)
def test_our_child_waits_for_the_parent_that_java_reads(side: SideBySide) -> None:
    side.put_all()
    [parent] = side.stream.open_shards()
    with side.java() as java:
        held_java(java, side, 1)
        wait_until(side.roots_saved, 30)
        side.settled()
        # Java gets nothing but empty pages for a while, one a second, with changes of the parent still before it.
        side.thread.do(side.stream.send_empty_pages, parent, 1000)
        side.put_all()
        [child] = side.thread.do(side.stream.roll, parent)
        side.put_all()
        with side.python() as python:
            wait_until(lambda: child in side.rows(), START_S, python)
            java.process.send_signal(signal.SIGSTOP)  # Else Java may be the first to find the child.
            wait_until(lambda: any(take.shard == child for take in side.facts.takes(PYTHON)), START_S, python)
            java.process.send_signal(signal.SIGCONT)
            # More than a poll of the parent's row.
            time.sleep(3)
            side.thread.do(side.stream.send_empty_pages, parent, 0)
            wait_until(lambda: _ended(side, parent), 30, python)
            side.check(java)
            end = side.facts.ended_by(parent)
            assert end.writer == JAVA
            assert side.facts.first_read_s(child) > end.at_s
            assert first_writer(side, child) == PYTHON


@pytest.mark.parametrize("side", [1], indirect=True)
def test_our_end_of_a_shard_lets_a_java_child_begin_and_java_may_delete_the_row(side: SideBySide) -> None:
    side.put_all()
    [parent] = side.stream.open_shards()
    with side.python() as python:
        wait_until(side.roots_saved, START_S, python)
        # We sleep for a moment: the row of the child is made, and taken, by Java, which syncs at its start.
        python.process.send_signal(signal.SIGSTOP)
        side.put_all()
        [child] = side.thread.do(side.stream.roll, parent)
        with side.java() as java:
            wait_until(lambda: child in side.owned_by_java(), START_S)
            python.process.send_signal(signal.SIGCONT)
            wait_until(lambda: _ended(side, parent), 60, python)
            end = side.facts.ended_by(parent)
            wait_until(lambda: any(line.words[0] == child for line in java.said("begins")), 60)
            side.put_all()
            side.settled()
            assert end.writer == PYTHON
            assert 0 < side.facts.first_read_s(child) - end.at_s < 10
            # Java cleans up when it syncs, at the end of the child.
            [grandchild] = side.thread.do(side.stream.roll, child)
            wait_until(lambda: parent not in side.rows(), 60, python)
            side.put_all()
            # Ours may have stolen it by now: then its checkpoint waits for five minutes.
            wait_until(lambda: grandchild in side.rows(), 60, python)
            side.settled()
            side.check(java, tenures_max=3)
            assert parent not in side.rows(), "the row was made anew"
            assert not [w for w in side.facts.lease_writes(PYTHON) if w.shard == parent and w.at_s > end.at_s]
            python.alive()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("side", [1], indirect=True)
def test_a_sibling_that_is_listed_late_does_not_bring_its_parent_back(side: SideBySide) -> None:
    side.put_all()
    [parent] = side.stream.open_shards()
    with side.java() as java:
        held_java(java, side, 1)
        wait_until(side.roots_saved, 30)
        side.settled()
        one, late = side.thread.do(_split_and_hide, side)
        side.put_all()
        wait_until(lambda: one in side.rows() and side.checkpoint(one).isdigit(), 60)
        # Java has seen one child only, and that is begun: the next sync deletes the parent's row.
        [grandchild] = side.thread.do(side.stream.roll, one)
        wait_until(lambda: parent not in side.rows(), 60)
        wait_until(lambda: grandchild in side.rows(), 60)
    side.thread.do(side.stream.hidden.clear)
    side.put_all()
    with side.python() as python:
        wait_until(lambda: late in side.rows(), START_S, python)
        side.settled()
        # Its parent was ended by Java.
        wait_until(lambda: side.checkpoint(late).isdigit(), UNSAVED_S, python)
        assert set(side.rows()) <= {one, grandchild, late}, "KCL would have made the parent's row anew"
        side.check(java)


def _split_and_hide(side: SideBySide) -> list[str]:
    children = side.stream.split(side.stream.open_shards()[0])
    side.stream.hidden.add(children[1])
    return children
