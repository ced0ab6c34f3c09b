"""A task whose stream was switched off and on again: the old one first, then a gap, by its policy."""

from dataclasses import replace
from typing import Any

import pytest

from dynamirror.aws.copy_rows import CopyRows
from dynamirror.aws.gap_rows import GapRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.aws.state_table import StateTable
from dynamirror.engines.next_stream import NextStream, next_stream_on
from dynamirror.engines.preflight import Facts
from dynamirror.errors import ExitCode, Stop
from dynamirror.model.copy import Copy, Phase
from dynamirror.model.duty import Duty
from dynamirror.model.gap import STREAM_END, TABLE_END
from tests.support.accounts import KEY, LEASES, SHARD, STATE, World, lease_row, settings

OLD, NEW = "arn:x:table/Orders/stream/2026-01-01T00", "arn:x:table/Orders/stream/2026-02-02T00"
BOTH = "NEW_AND_OLD_IMAGES"
BETWEEN = "2026-01-01T00 to 2026-02-02T00"


class Task:
    """One that has followed the old stream of Orders, with one lease; the new stream is on."""

    def __init__(self, world: World, facts: Facts) -> None:
        self.world, self.leases = world, facts.lease_table
        self.turn_to(NEW)
        self.leave("SHARD_END")
        self.world.state.asked.clear()

    def turn_to(self, stream_arn: str | None) -> None:
        table = self.world.source.tables["Orders"]
        self.world.source.tables["Orders"] = replace(table, stream_arn=stream_arn, last_stream_arn=stream_arn or OLD)

    def leave(self, checkpoint: str) -> None:
        """The lease, there; the stream has the shard still, closed."""
        self.world.state.rows[LEASES][SHARD,] = lease_row(7, None, checkpoint)
        shard = {"ShardId": SHARD, "SequenceNumberRange": {"StartingSequenceNumber": "1", "EndingSequenceNumber": "9"}}
        self.world.stream.described[OLD] = {"StreamStatus": "DISABLED", "Shards": [shard]}

    def life(self, stream_arn: str) -> Incarnation:
        return Incarnation(self.leases.table_id, stream_arn)

    def pair(self) -> Any:
        return self.world.state.rows[STATE]["task", "pair"]["streamArn"]["S"]

    async def gaps(self, stream_arn: str = NEW) -> list[str]:
        rows = await GapRows(self.world.state, STATE, self.life(stream_arn)).gaps()
        assert {row.behind for row in rows} <= {STREAM_END, TABLE_END}
        return [row.shard_id for row in rows]

    async def copied(self, phase: Phase) -> Copy:
        copy = Copy(phase, 4, 5, was_empty=True)
        await CopyRows(self.world.state, STATE, self.life(OLD)).put_copy(copy, None)
        return copy


@pytest.fixture
async def task() -> Task:
    world = World()
    world.stream.streams |= {OLD, NEW}
    world.source.add("Orders", KEY, stream_arn=OLD, stream_view_type=BOTH)
    return Task(world, await world.check())


async def test_by_default_a_new_stream_is_a_gap_that_stops(task: Task) -> None:
    for _ in range(2):
        said = await task.world.refused(ExitCode.GAP)
        assert "the stream of Orders was switched off and on again" in said
        assert "2026-01-01T00" in said
        assert "--on-gap" in said
        assert task.pair() == OLD
    # Nor is a new one switched on to find that out.
    task.turn_to(None)
    await task.world.refused(ExitCode.GAP, enable_stream=True)
    assert task.world.source.tables["Orders"].stream_arn is None


@pytest.mark.parametrize("policy", ["continue", "reconcile"])
async def test_where_it_is_gone_on_the_gap_is_durable_before_the_new_life_begins(task: Task, policy: str) -> None:
    task.world.state.denied = {f"PutItem {STATE}"}
    assert "PutItem" in await task.world.refused(ExitCode.STATE, on_gap=policy)
    task.world.state.denied = set()
    facts = await task.world.check(on_gap=policy)
    assert (facts.stream_arn, task.pair()) == (NEW, NEW)
    assert await task.gaps() == [BETWEEN]
    # From then on it is no news.
    before = dict(task.world.state.rows[STATE])
    assert (await task.world.check()).stream_arn == NEW
    assert task.world.state.rows[STATE] == before


async def test_a_start_that_dies_with_the_gap_noted_finds_it_again(task: Task) -> None:
    writes = task.world.state.call

    async def dies(operation: str, body: bytes) -> bytes:
        if operation == "PutItem" and b'"pair"' in body:
            raise Stop(task.world.state.side, "killed here")
        return await writes(operation, body)

    task.world.state.call = dies  # type: ignore[method-assign]
    with pytest.raises(Stop, match="killed here"):
        await task.world.check(on_gap="continue")
    assert (await task.gaps(), task.pair()) == ([BETWEEN], OLD)
    task.world.state.call = writes  # type: ignore[method-assign]
    assert "switched off and on again" in await task.world.refused(ExitCode.GAP)
    await task.world.check(on_gap="continue")
    assert (await task.gaps(), task.pair()) == ([BETWEEN], NEW)


@pytest.mark.parametrize("policy", ["stop", "continue"])
async def test_the_old_stream_is_followed_to_its_end_first(task: Task, policy: str) -> None:
    task.leave("5")
    facts = await task.world.check(on_gap=policy)
    assert (facts.stream_arn, task.pair()) == (OLD, OLD)
    assert await task.gaps() == []
    task.leave("SHARD_END")
    await task.world.check(on_gap="continue")
    assert task.pair() == NEW


async def test_whoever_has_gone_on_meanwhile_is_not_called_back(task: Task) -> None:
    """1 a start finds the old stream with something left; 2 others finish it, and go on with the new one."""
    task.leave("5")
    reads = task.world.state.call

    async def overtaken(operation: str, body: bytes) -> bytes:
        answer = await reads(operation, body)
        if operation == "GetItem" and b'"pair"' in body:
            task.world.state.rows[STATE]["task", "pair"]["streamArn"] = {"S": NEW}
        return answer

    task.world.state.call = overtaken  # type: ignore[method-assign]
    assert (await task.world.check(on_gap="continue")).stream_arn == OLD
    assert task.pair() == NEW


async def test_what_nobody_can_read_any_more_is_not_waited_for(task: Task) -> None:
    task.leave("5")
    task.world.stream.streams.remove(OLD)
    assert (await task.world.check(on_gap="continue")).stream_arn == NEW


async def test_a_copy_that_was_over_is_over_in_the_next_life(task: Task) -> None:
    copy = await task.copied(Phase.OVER)
    task.world.destination.rows["Copy"]["some",] = {"pk": {"S": "x"}, "sk": {"N": "1"}}
    await task.world.check(on_gap="continue", copy=True)
    assert await CopyRows(task.world.state, STATE, task.life(NEW)).copy() == copy


async def test_what_a_copy_that_was_not_over_left_is_refused_before_the_next_life_begins(task: Task) -> None:
    await task.copied(Phase.COPYING)
    task.world.destination.rows["Copy"]["some",] = {"pk": {"S": "x"}, "sk": {"N": "1"}}
    assert "--allow-non-empty" in await task.world.refused(ExitCode.DESTINATION, on_gap="continue", copy=True)
    assert (task.pair(), await task.gaps()) == (OLD, [])
    await task.world.check(on_gap="continue", copy=True, allow_non_empty=True)
    assert task.pair() == NEW


async def test_items_to_be_reconciled_go_along(task: Task) -> None:
    duty = Duty("d", {"pk": {"S": "x"}, "sk": {"N": "1"}}, "dead", 3)
    await StateTable(task.world.state, STATE, task.life(OLD)).put_duty(duty)
    await task.world.check(on_gap="continue")
    assert await StateTable(task.world.state, STATE, task.life(NEW)).duties() == [duty]


async def test_but_not_to_another_table_of_that_name(task: Task) -> None:
    await StateTable(task.world.state, STATE, task.life(OLD)).put_duty(Duty("d", {"pk": {"S": "x"}}, "dead", 3))
    table = task.world.source.tables["Orders"]
    task.world.source.tables["Orders"] = replace(table, table_id="another")
    await task.world.check(on_gap="continue")
    assert await StateTable(task.world.state, STATE, task.life(NEW)).duties() == []


async def test_a_start_that_was_overtaken_writes_over_no_gap(task: Task) -> None:
    """1 it is to note the gap, and is frozen; 2 the stream is switched off and on once more, and others go on."""
    third = "arn:x:table/Orders/stream/2026-03-03T00"
    following = NextStream(
        task.world, settings(on_gap="continue"), task.world.time, task.world.source.tables["Orders"], task.life(OLD)
    )
    task.turn_to(third)
    await task.world.check(on_gap="continue")
    open_now = await task.gaps(third)
    assert open_now
    await following.note(task.life(NEW), "frozen")
    assert await task.gaps(third) == open_now


async def test_one_that_was_not_is_none(task: Task) -> None:
    await task.copied(Phase.COPYING)
    await task.world.check(on_gap="continue")
    assert await CopyRows(task.world.state, STATE, task.life(NEW)).copy() is None


async def test_a_source_made_anew_is_not_mended_towards_by_itself(task: Task) -> None:
    table = task.world.source.tables["Orders"]
    task.world.source.tables["Orders"] = replace(table, table_id="another")
    said = await task.world.refused(ExitCode.SOURCE, on_gap="reconcile")
    assert "was deleted and made anew" in said
    assert "would delete at the destination" in said
    assert task.pair() == OLD
    await task.world.check(on_gap="continue")


async def test_nor_is_it_by_whoever_joins_once_another_worker_has_gone_on(task: Task) -> None:
    table = task.world.source.tables["Orders"]
    task.world.source.tables["Orders"] = replace(table, table_id="another")
    await task.world.check(on_gap="continue")
    await task.world.check(on_gap="reconcile")
    [gap] = await GapRows(task.world.state, STATE, task.life(NEW)).gaps()
    assert gap.for_a_person
    # Nor in the life after that, while nobody has compared the tables: its source is the one of the life before.
    task.turn_to("arn:x:table/Orders/stream/2026-03-03T00")
    await task.world.refused(ExitCode.SOURCE, on_gap="reconcile")


async def test_a_destination_made_anew_is_not_gone_on_with(task: Task) -> None:
    """The next life would know the new one only, and follow it as if it had what was copied."""
    table = task.world.destination.tables["Copy"]
    task.world.destination.tables["Copy"] = replace(table, table_id="another")
    said = await task.world.refused(ExitCode.DESTINATION, on_gap="continue")
    assert "was deleted and made anew" in said
    assert task.pair() == OLD


@pytest.mark.parametrize("another", ["lease table", "no rows"])
async def test_who_starts_over_has_no_gap(task: Task, another: str) -> None:
    if another == "lease table":
        task.world.state.tables[LEASES] = replace(task.leases, table_id="made anew")
    task.world.state.rows[LEASES].clear()
    assert (await task.world.check()).stream_arn == NEW
    assert task.pair() == NEW


async def test_only_a_new_stream_is_gone_on_with_and_only_where_that_is_the_policy(task: Task) -> None:
    control = task.world.source
    assert await next_stream_on(control, settings(on_gap="continue"), OLD)
    assert not await next_stream_on(control, settings(on_gap="continue"), NEW)
    assert not await next_stream_on(control, settings(), OLD)
    task.turn_to(None)
    assert not await next_stream_on(control, settings(on_gap="reconcile"), OLD)
