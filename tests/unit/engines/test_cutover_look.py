"""Whether a task is fit for a cut-over: each thing against it is one line and the exit code of its side."""

from typing import Any

import pytest

from dynamirror.engines.cutover_look import Fit, look
from dynamirror.engines.cutover_options import CutoverOptions
from dynamirror.errors import DynamirrorError, ExitCode
from tests.support.accounts import (
    BOTH,
    KEY,
    LEASE_KEY,
    LEASES,
    REVERSE,
    SHARD,
    STATE,
    STATE_KEY,
    World,
    lease_row,
    settings,
)

OPEN = {"ShardId": SHARD, "SequenceNumberRange": {"StartingSequenceNumber": "1"}}
CLOSED = {"ShardId": SHARD, "SequenceNumberRange": {"StartingSequenceNumber": "1", "EndingSequenceNumber": "9"}}


class Task:
    """A task with one shard and one worker."""

    def __init__(self) -> None:
        self.world = World()
        world = self.world
        world.state.add(LEASES, LEASE_KEY)
        world.state.add(STATE, STATE_KEY)
        self.lease("5")
        self.shards(OPEN)
        world.time.meanwhile = self.beat

    def shards(self, *shards: dict[str, Any], status: str = "ENABLED") -> None:
        self.world.stream.described["stream of Orders"] = {"StreamStatus": status, "Shards": list(shards)}

    def lease(self, checkpoint: str) -> None:
        self.world.state.rows[LEASES][SHARD,] = lease_row(3, "w", checkpoint)

    def off(self) -> None:
        self.world.source.add("Orders", KEY, last_stream_arn="stream of Orders")
        self.shards(CLOSED, status="DISABLED")

    def row(self, kind: str, name: str, **attributes: Any) -> None:
        life = {
            "leaseTableId": {"S": self.world.state.tables[LEASES].table_id},
            "streamArn": {"S": "stream of Orders"},
            "schema": {"N": "1"},
        }
        self.world.state.rows[STATE][kind, name] = {"kind": {"S": kind}, "id": {"S": name}} | life | attributes

    def beat(self) -> None:
        self.row("worker", "w", beat={"N": str(int(self.world.time.now_s))})

    def copy(self, phase: str, doubtful: bool) -> None:
        numbers = {name: {"N": "1"} for name in ("segments", "beganMs", "version")}
        flags = {"wasEmpty": {"BOOL": True}, "needsVerify": {"BOOL": doubtful}}
        self.row("copy", "task", phase={"S": phase}, **numbers, **flags)

    async def look(self, options: CutoverOptions | None = None) -> Fit:
        world = self.world
        return await look(world, settings(), options or CutoverOptions(), world.time, lambda: 0.0)

    async def refused(self, code: ExitCode, options: CutoverOptions | None = None) -> str:
        with pytest.raises(DynamirrorError) as error:
            await self.look(options)
        assert error.value.exit_code == code
        assert not self.world.made
        assert "\n" not in str(error.value)
        return str(error.value)


@pytest.fixture
def task() -> Task:
    return Task()


async def test_a_task_that_is_followed_is_fit(task: Task) -> None:
    fit = await task.look()
    assert fit.said == "1 shards, 1 being read; worker w shows life"
    assert (fit.stream_arn, fit.stream_off) == ("stream of Orders", False)
    assert not task.world.made


async def test_no_worker(task: Task) -> None:
    task.world.time.meanwhile = lambda: None
    assert "no worker of the task shows life" in await task.refused(ExitCode.STATE)


async def test_no_lease_table_and_no_state_table(task: Task) -> None:
    del task.world.state.tables[STATE]
    assert f"there is no state table {STATE}" in await task.refused(ExitCode.STATE)
    del task.world.state.tables[LEASES]
    assert "the task has not begun; check --task-name" in await task.refused(ExitCode.STATE)


async def test_a_shard_without_a_lease_is_waited_for_and_then_refused(task: Task) -> None:
    task.shards(OPEN, {"ShardId": "shardId-00000001700000000001-other"})
    said = await task.refused(ExitCode.STATE)
    assert "(without: shardId-00000001700000000001-other, 1 in all)" in said
    assert 170 < task.world.time.now_s < 185
    del task.world.state.rows[LEASES][SHARD,]
    assert "not every shard of the stream has a lease" in await task.refused(ExitCode.STATE)


async def test_a_copy_that_goes_on_or_is_doubtful(task: Task) -> None:
    task.copy("copying", doubtful=False)
    assert "the task is still copying its table (copying)" in await task.refused(ExitCode.STATE)
    task.copy("over", doubtful=True)
    assert "--verify full" in await task.refused(ExitCode.STATE)
    assert (await task.look(CutoverOptions(verify="full"))).said


async def test_a_task_without_a_copy_of_its_own_is_told_what_is_not_proven(
    task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    await task.look(CutoverOptions(verify="full"))
    assert "has made no copy" not in caplog.text
    await task.look()
    assert "this task has made no copy of its own" in caplog.text
    caplog.clear()
    task.copy("over", doubtful=False)
    await task.look()
    assert "has made no copy" not in caplog.text


async def test_tables_and_streams_that_are_not_there(task: Task) -> None:
    del task.world.destination.tables["Copy"]
    assert "the destination table Copy does not exist" in await task.refused(ExitCode.DESTINATION)
    task.world.destination.add("Copy", KEY)
    task.world.source.add("Orders", KEY)
    assert "the source table Orders has no stream" in await task.refused(ExitCode.SOURCE)
    task.world.source.add("Orders", KEY, stream_arn="gone", stream_view_type=BOTH)
    assert "does not know the stream of the source table" in await task.refused(ExitCode.SOURCE)


async def test_a_stream_that_is_off_needs_a_worker_only_until_it_is_applied(task: Task) -> None:
    task.off()
    task.world.time.meanwhile = lambda: None
    assert "no worker of the task shows life" in await task.refused(ExitCode.STATE)
    task.lease("SHARD_END")
    fit = await task.look()
    assert fit.said == "1 shards, 0 being read; the stream is off and applied to its end"
    assert fit.stream_off


async def test_a_gap_that_is_open_needs_a_whole_comparison(task: Task) -> None:
    words = {name: {"S": name} for name in ("shard", "behind", "what", "worker")}
    task.row("gap", "shard/behind", foundMs={"N": "1"}, **words)
    assert "1 gaps of the stream are open, the first: what" in await task.refused(ExitCode.STATE)
    assert (await task.look(CutoverOptions(verify="full"))).said


async def test_a_stream_that_the_task_does_not_follow_yet(task: Task) -> None:
    """Whether it was switched off since, too: the old one may be applied to its end, and the new one was never read."""
    here, there = task.world.source.tables["Orders"].arn, task.world.destination.tables["Copy"].arn
    task.row("task", "pair", streamArn={"S": "the old one"}, source={"S": here}, destination={"S": there})
    said = await task.refused(ExitCode.SOURCE)
    assert "follows another stream of the source table (the old one) than it has now (stream of Orders)" in said
    assert task.world.time.now_s < 110
    task.off()
    assert "--on-gap" in await task.refused(ExitCode.SOURCE)


async def test_a_paused_task_would_never_drain(task: Task) -> None:
    more = {"counter": {"N": "1"}, "orderedMs": {"N": "5"}, "orderedBy": {"S": "ann@ops"}, "pausedBy": {"S": "ann@ops"}}
    task.row("task", "orders", paused={"BOOL": True}, **more)
    assert "paused (by ann@ops): dynamirror resume first" in await task.refused(ExitCode.STATE)
    task.row("task", "orders", paused={"BOOL": False}, **more)
    await task.look()


async def test_a_way_back_that_was_gone_before_would_not_begin_at_this_cut_over(
    task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    back = CutoverOptions(prepare_reverse=True)
    assert (await task.look(back)).said
    task.world.destination.denied.add(f"describe_table {REVERSE}")
    assert (await task.look(back)).said
    assert "cannot see whether the way back has been gone before" in caplog.text
    task.world.destination.denied.clear()
    task.world.destination.add(REVERSE, LEASE_KEY)
    said = await task.refused(ExitCode.DESTINATION, back)
    assert f"the way back has a lease table already ({REVERSE} in eu-west-1)" in said
    assert (await task.look()).said
