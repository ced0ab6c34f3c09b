"""T15: listings that leave shards out, in a task that Java began and ours goes on with."""

import pytest

from tests.interop.facts import JAVA, PYTHON
from tests.interop.side_by_side import START_S, SideBySide, held_java
from tests.interop.test_take_over import SIGNATURE_LIFE_S
from tests.support.command import wait_until

pytestmark = pytest.mark.long
# The stream is listed once a minute.
LISTINGS_S = 200.0


def begun_by_java(side: SideBySide) -> None:
    """A Java worker has applied something of every open shard, and is gone."""
    side.put_all()
    with side.java() as java:
        held_java(java, side, len(side.stream.open_shards()))
        wait_until(side.roots_saved, 30)
        side.settled()


def listings(side: SideBySide) -> int:
    """How often ours has listed the stream."""
    calls = [entry.call for entry in side.thread.proxy.journal.of("DescribeStream")]
    return sum(call.access_key == side.keys.python for call in calls)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("side", [1], indirect=True)
def test_a_child_whose_parent_is_not_listed_yet_is_not_begun(side: SideBySide) -> None:
    begun_by_java(side)
    side.put_all()
    first, parent, child = side.thread.do(_two_generations_one_hidden, side)
    side.put_all()
    with side.python() as python:
        # Java was killed.
        wait_until(lambda: side.checkpoint(first) == "SHARD_END", SIGNATURE_LIFE_S + START_S, python)
        wait_until(lambda: listings(side) >= 3, START_S, python)
        assert child not in side.rows(), "KCL would have made it, and read it before its parent"
        side.thread.do(side.stream.hidden.clear)
        side.settled()
        assert side.facts.first_read_s(child) > side.facts.ended_by(parent).at_s
        side.check()
        assert _reapplied(side) == []


@pytest.mark.timeout(900)
@pytest.mark.parametrize("side", [2], indirect=True)
def test_a_live_shard_that_listings_leave_out_keeps_its_row_and_is_read_on(side: SideBySide) -> None:
    begun_by_java(side)
    with side.python() as python:
        wait_until(lambda: len(side.facts.takes(PYTHON)) == 2, START_S, python)
        lost = side.stream.open_shards()[0]
        before = listings(side)
        side.thread.do(side.stream.hidden.add, lost)
        wait_until(lambda: listings(side) >= before + 2, LISTINGS_S, python)
        side.put_all()
        side.settled()
        side.thread.do(side.stream.hidden.clear)
        wait_until(lambda: listings(side) >= before + 4, LISTINGS_S, python)
        side.put_all()
        side.check()
        assert not [write for write in side.facts.lease_writes(PYTHON) if write.creates]
        assert _reapplied(side) == []


def _two_generations_one_hidden(side: SideBySide) -> tuple[str, str, str]:
    [first] = side.stream.open_shards()
    [parent] = side.stream.roll(first)
    [child] = side.stream.roll(parent)
    side.stream.hidden.add(parent)
    return first, parent, child


def _reapplied(side: SideBySide) -> list[int]:
    """What ours has written of that which Java had written."""
    serials = {kind: {write.serial for write in side.facts.writes(kind)} - {None} for kind in (JAVA, PYTHON)}
    return sorted(serial for serial in serials[JAVA] & serials[PYTHON] if serial is not None)
