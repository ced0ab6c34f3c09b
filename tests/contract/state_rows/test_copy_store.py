"""What the rows of a copy keep: each step once, whoever takes it, for one life of a task at a time."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.errors import ConditionFailed, Side, Stop, Unanswered
from dynamirror.model.copy import HOLD_S, Copy, Phase, Segment
from dynamirror.testing.faults import Fault, Line, Scripted
from tests.contract.conftest import Memory, Tables, call
from tests.support.memory_caller import MemoryCaller

ROWS = CopyRows
StoreOf = Callable[[str], CopyRows]
ANNOUNCED = Copy(Phase.ANNOUNCED, 64, 1_700_000_000_123, True)
# As the service may send them: whatever order, spelling and escapes, and as large as keys may be.
AFTERS = {
    "binary": b'{"pk":{"B":"AAEC/w=="}}',
    "number": b'{"pk":{"N":"-12345678901234567890123456789012345678"},"sk":{"N":"1E-130"}}',
    "unicode": '{"sk":{"S":"ключ 🗝"},"pk":{"S":"\\u0000\\ud83d\\udddd\\"\\\\"}}'.encode(),
    "large": b'{"pk":{"S":"%s"},"sk":{"S":"%s"}}' % (b"x" * 2048, b"y" * 1024),
}


async def test_there_is_no_copy_at_first(store_of: StoreOf) -> None:
    assert await store_of("one").copy() is None
    assert await store_of("one").segments() == []


async def test_a_copy_is_announced_once(store_of: StoreOf) -> None:
    await store_of("one").put_copy(ANNOUNCED, None)
    other = Copy(Phase.ANNOUNCED, 8, 9, False)
    with pytest.raises(ConditionFailed):
        await store_of("one").put_copy(other, None)
    assert await store_of("one").copy() == ANNOUNCED


async def test_of_two_that_announce_at_once_one_is_refused(store_of: StoreOf) -> None:
    wanted = [Copy(Phase.ANNOUNCED, segments, 9, False) for segments in (3, 5)]
    answers = await asyncio.gather(*(store_of("one").put_copy(copy, None) for copy in wanted), return_exceptions=True)
    [accepted] = [copy for copy, answer in zip(wanted, answers, strict=True) if answer is None]
    assert await store_of("one").copy() == accepted
    assert sorted(map(type, answers), key=str) == sorted([ConditionFailed, type(None)], key=str)


async def test_every_phase_is_kept_whole(store_of: StoreOf) -> None:
    store = store_of("one")
    before = ANNOUNCED
    await store.put_copy(before, None)
    doubted = before.doubted()
    copying = doubted.moved(Phase.COPYING)
    for following in (doubted, copying, copying.finished(1_700_000_000_456, counted_out=True)):
        await store.put_copy(following, before)
        assert await store_of("one").copy() == following
        before = following
    assert before.needs_verify
    assert (before.began_ms, before.was_empty, before.segments) == (1_700_000_000_123, True, 64)
    assert before.done_ms == 1_700_000_000_456


@pytest.mark.parametrize("hold_s", [0.0, 46.1, 330.0])
async def test_how_long_changes_wait_goes_with_the_row(store_of: StoreOf, hold_s: float) -> None:
    store = store_of("one")
    before = replace(ANNOUNCED, hold_s=hold_s, announced_by="w1" if hold_s else "")
    await store.put_copy(before, None)
    assert await store.copy() == before
    for following in (before.moved(Phase.COPYING), before.moved(Phase.COPYING).held_for(400.5)):
        await store.put_copy(following, before)
        assert await store.copy() == following
        before = following


async def test_a_row_of_before_there_was_a_hold_goes_on(store_of: StoreOf, tables: Tables) -> None:
    await plant(tables, COPY_ROW)
    store = store_of("one")
    before = await store.copy()
    assert before is not None
    assert (before.hold_s, before.held_s) == (0.0, HOLD_S)
    done = before.finished(7, counted_out=True)
    await store.put_copy(done, before)
    assert await store.copy() == done


async def test_of_two_steps_from_one_row_the_second_is_refused(store_of: StoreOf) -> None:
    store = store_of("one")
    await store.put_copy(ANNOUNCED, None)
    await store.put_copy(ANNOUNCED.moved(Phase.COPYING), ANNOUNCED)
    for late in (ANNOUNCED.moved(Phase.COPYING), ANNOUNCED.doubted()):
        with pytest.raises(ConditionFailed):
            await store.put_copy(late, ANNOUNCED)
    assert await store.copy() == ANNOUNCED.moved(Phase.COPYING)


async def test_no_step_makes_a_row_that_is_gone(store_of: StoreOf) -> None:
    with pytest.raises(ConditionFailed):
        await store_of("one").put_copy(ANNOUNCED.moved(Phase.COPYING), ANNOUNCED)
    with pytest.raises(ConditionFailed):
        await store_of("one").put_segment(Segment(1).claimed("w1"), Segment(1))
    assert await store_of("one").copy() is None
    assert await store_of("one").segments() == []


async def test_a_segment_is_made_once_and_never_again(store_of: StoreOf) -> None:
    store = store_of("one")
    await store.make_segment(Segment(3))
    mine = Segment(3).claimed("w1")
    await store.put_segment(mine, Segment(3))
    # Another worker makes the segments too, or the first one a second time.
    await store_of("one").make_segment(Segment(3))
    assert await store.segments() == [mine]


async def test_a_segment_changes_hands_once(store_of: StoreOf) -> None:
    store = store_of("one")
    await store.make_segment(Segment(0))
    answers = await asyncio.gather(
        *(store_of("one").put_segment(Segment(0).claimed(worker), Segment(0)) for worker in ("w1", "w2")),
        return_exceptions=True,
    )
    assert sorted(isinstance(answer, ConditionFailed) for answer in answers) == [False, True]
    [row] = await store.segments()
    assert row.owner == ("w1" if answers[0] is None else "w2")
    assert row.claim == 1


@pytest.mark.parametrize("after", AFTERS.values(), ids=AFTERS)
async def test_the_place_of_the_last_page_is_kept_byte_for_byte(store_of: StoreOf, after: bytes) -> None:
    store = store_of("one")
    await store.make_segment(Segment(7))
    first = Segment(7).claimed("w1").advanced(after, 100, 98, 12_345)
    await store.put_segment(first, Segment(7))
    # By now it is another one's; the last page has no key.
    last = first.claimed("w2").advanced(b"", 1, 1, 10)
    assert await store.segments() == [first]
    await store.put_segment(last, first)
    assert await store_of("one").segments() == [last]
    assert (last.done, last.read, last.written, last.size_bytes) == (True, 101, 99, 12_355)


async def test_segments_come_by_number_whatever_they_were_made_by(store_of: StoreOf) -> None:
    store = store_of("one")
    numbers = [1000, 2, 10, 999, 100_000, 0, 9]
    for number in numbers:
        await store.make_segment(Segment(number))
    assert [row.number for row in await store.segments()] == sorted(numbers)


async def test_more_segments_than_one_answer_holds(store_of: StoreOf) -> None:
    """A Query answers 1 MB at a time."""
    store = store_of("one")
    rows = [Segment(number, "w1", 1, False, AFTERS["large"]) for number in range(1001)]
    for first in range(0, len(rows), 20):
        await asyncio.gather(*map(store.make_segment, rows[first : first + 20]))
    assert await store.segments() == rows


async def test_another_life_of_the_task_begins_a_copy_of_its_own(store_of: StoreOf) -> None:
    old, new = store_of("one"), store_of("two")
    await old.put_copy(ANNOUNCED.moved(Phase.COPYING), None)
    await old.make_segment(Segment(0))
    await old.put_segment(Segment(0).claimed("w1").advanced(AFTERS["binary"], 5, 5, 50), Segment(0))
    await old.make_segment(Segment(1))
    assert await new.copy() is None
    assert await new.segments() == []
    await new.put_copy(ANNOUNCED, None)
    await new.make_segment(Segment(0))
    assert await new.copy() == ANNOUNCED
    assert await new.segments() == [Segment(0)]
    assert await old.copy() is None
    assert await old.segments() == [Segment(1)]


async def test_a_worker_of_an_earlier_life_changes_no_row_of_the_present_one(store_of: StoreOf) -> None:
    """Counters begin at the same number in every life. Its row of the copy, over the present one's, would let the
    workers of the present life believe that there is no copy."""
    old, new = store_of("one"), store_of("two")
    await old.put_copy(ANNOUNCED, None)
    await old.make_segment(Segment(0))
    await new.put_copy(ANNOUNCED, None)
    await new.make_segment(Segment(0))
    with pytest.raises(ConditionFailed):
        await old.put_copy(ANNOUNCED.moved(Phase.COPYING), ANNOUNCED)
    with pytest.raises(ConditionFailed):
        await old.put_segment(Segment(0).claimed("w1"), Segment(0))
    assert await new.copy() == ANNOUNCED
    assert await new.segments() == [Segment(0)]


async def test_the_life_is_that_of_the_pair_row(store_of: StoreOf, tables: Tables) -> None:
    """Where nobody has written one yet, nobody has begun another life either."""
    assert await store_of("one").life_is_mine()
    for life in ("one", "two", "one"):
        state = StateTable(tables.caller(Side.STATE), "state", Incarnation(life, "arn:stream"))
        assert (await state.remember_pair("arn:source", "arn:destination")).ok
        for other in ("one", "two"):
            assert await store_of(other).life_is_mine() is (other == life)


async def test_another_stream_is_another_life(store_of: StoreOf, tables: Tables) -> None:
    state = StateTable(tables.caller(Side.STATE), "state", Incarnation("one", "arn:new stream"))
    await state.remember_pair("arn:source", "arn:destination")
    assert not await store_of("one").life_is_mine()


@pytest.mark.parametrize(
    "other",
    [
        Incarnation("", "arn:stream"),
        Incarnation("one", ""),
        Incarnation("source", "verify"),
        Incarnation("source", "at rest, to destination"),
    ],
)
async def test_whoever_follows_nothing_or_has_made_nothing_yet_has_begun_no_life(
    store_of: StoreOf, tables: Tables, other: Incarnation
) -> None:
    """Not even where it has moved the row."""
    await StateTable(tables.caller(Side.STATE), "state", other).remember_pair("arn:source", "arn:destination")
    assert await store_of("one").life_is_mine()


COPY_ROW: dict[str, Any] = {
    "kind": {"S": "copy"},
    "id": {"S": "task"},
    "leaseTableId": {"S": "one"},
    "streamArn": {"S": "arn:stream"},
    "schema": {"N": "1"},
    "phase": {"S": "copying"},
    "segments": {"N": "4"},
    "beganMs": {"N": "1"},
    "wasEmpty": {"BOOL": True},
    "needsVerify": {"BOOL": False},
    "version": {"N": "2"},
}
SEGMENT_ROW: dict[str, Any] = {
    **{name: COPY_ROW[name] for name in ("leaseTableId", "streamArn", "schema")},
    "kind": {"S": "segment"},
    "id": {"S": "000004"},
    "claim": {"N": "2"},
    "done": {"BOOL": False},
    "read": {"N": "1"},
    "written": {"N": "1"},
    "parked": {"N": "0"},
    "bytes": {"N": "1"},
}


async def plant(tables: Tables, row: dict[str, Any], **changed: Any) -> None:
    content = {name: value for name, value in {**row, **changed}.items() if value is not None}
    await call(tables, "PutItem", TableName="state", Item=content)


async def test_rows_as_they_are_documented_are_read(store_of: StoreOf, tables: Tables) -> None:
    await plant(tables, COPY_ROW)
    await plant(tables, SEGMENT_ROW)
    assert await store_of("one").copy() == Copy(Phase.COPYING, 4, 1, True, 2)
    assert await store_of("one").segments() == [Segment(4, None, 2, False, b"", 1, 1, 0, 1)]


@pytest.mark.parametrize(
    "changed",
    [
        {"phase": {"S": "resting"}},
        {"phase": None},
        {"phase": {"N": "1"}},
        {"version": None},
        {"segments": {"N": "1.5"}},
        {"holdS": {"S": "60"}},
        {"wasEmpty": None},
        {"needsVerify": {"S": "true"}},
    ],
    ids=str,
)
async def test_a_row_of_the_copy_that_cannot_be_read_stops(
    store_of: StoreOf, tables: Tables, changed: dict[str, Any]
) -> None:
    """Taken for no copy, changes would go out unheld."""
    await plant(tables, COPY_ROW, **changed)
    with pytest.raises(Stop, match=r"state table state has a row of the copy that cannot be read") as caught:
        await store_of("one").copy()
    assert caught.value.side is Side.STATE


@pytest.mark.parametrize(
    "changed",
    [
        {"id": {"S": "four"}},
        {"claim": None},
        {"done": {"N": "1"}},
        {"done": None},
        {"after": {"B": "AAEC"}},
        {"read": {"S": "1"}},
    ],
    ids=str,
)
async def test_a_segment_that_cannot_be_read_stops(store_of: StoreOf, tables: Tables, changed: dict[str, Any]) -> None:
    """Left out, its items would be, too."""
    await plant(tables, SEGMENT_ROW, **changed)
    with pytest.raises(Stop, match="cannot be read"):
        await store_of("one").segments()


async def test_rows_of_a_newer_version_stop(store_of: StoreOf, tables: Tables) -> None:
    await plant(tables, COPY_ROW, schema={"N": "2"})
    await plant(tables, SEGMENT_ROW, schema={"N": "2"})
    for asked in (store_of("one").copy(), store_of("one").segments()):
        with pytest.raises(Stop, match="update dynamirror"):
            await asked


@pytest.mark.parametrize("backend", ["dynamodb-in-memory"])
async def test_an_answer_that_was_lost_is_not_the_same_as_a_refusal(tables: Tables, store_of: StoreOf) -> None:
    """Whoever repeats the write is refused, and finds its own row."""
    assert isinstance(tables, Memory), "answers are lost there"
    lost = Fault(Unanswered(Side.STATE, "injected"), lands_after_s=0.0)
    line = Line(Scripted("PutItem", [lost, None] * 3))
    store = CopyRows(MemoryCaller(Side.STATE, tables.database, line), "state", Incarnation("one", "arn:stream"))
    mine = Segment(0).claimed("w1")
    with pytest.raises(Unanswered):
        await store.put_copy(ANNOUNCED, None)
    with pytest.raises(ConditionFailed):
        await store.put_copy(ANNOUNCED, None)
    with pytest.raises(Unanswered):
        await store.make_segment(Segment(0))
    await store.make_segment(Segment(0))
    with pytest.raises(Unanswered):
        await store.put_segment(mine, Segment(0))
    with pytest.raises(ConditionFailed):
        await store.put_segment(mine, Segment(0))
    assert await store.copy() == ANNOUNCED
    assert await store.segments() == [mine]


def test_every_place_that_is_tried_is_what_a_key_may_be() -> None:
    assert all(msgspec.json.decode(after) for after in AFTERS.values())
