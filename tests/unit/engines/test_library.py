"""What the end of a replication is called."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import nullcontext, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from dynamirror.engines import library
from dynamirror.engines.library import Replication, explained, root_cause
from dynamirror.errors import ExitCode, Gap, LifeOver, NotFound, Side, Stop, Throttled
from dynamirror.loops.gate import Gate
from dynamirror.model.failure import Failure
from dynamirror.model.lease import LATEST
from dynamirror.model.shard_graph import Start
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.testing.faults import Fault
from dynamirror.testing.virtual_time import run_virtual
from tests.support.accounts import settings
from tests.unit.fleet.world import World

GONE = NotFound(Side.STATE, "PutItem: ResourceNotFoundException")
LATEST_NOW = Start(LATEST, 1_000)


def test_tables_that_were_deleted_under_a_worker_are_called_so() -> None:
    told = explained(GONE, "Leases")
    assert isinstance(told, NotFound)
    assert told.exit_code == ExitCode.STATE
    assert "the lease table Leases, or the state table beside it, was deleted under this worker" in str(told)
    assert str(told).endswith("(PutItem: ResourceNotFoundException)")


@pytest.mark.parametrize("error", [NotFound(Side.SOURCE, "no stream"), Stop(Side.STATE, "denied"), Gap("trimmed")])
def test_every_other_end_speaks_for_itself(error: Stop) -> None:
    assert explained(error, "Leases") is error


def test_the_root_of_a_group_is_what_an_operator_must_act_on() -> None:
    inner = ExceptionGroup("inner", [Throttled(Side.SOURCE, "not now"), GONE])
    assert root_cause(ExceptionGroup("outer", [ValueError("x"), inner])) is GONE


class Lives:
    """A task whose first life is over as soon as it is followed, and whose second one takes for ever to begin."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = asyncio.Event()
        self.starts = 0
        self.settings = settings(on_gap="continue")
        self.fails: list[Exception] = []

        async def nothing(*_: object) -> None:
            pass

        for name in ("make_destination", "begun", "finish_when_copied", "_watch", "heal_gaps"):
            monkeypatch.setattr(library, name, nothing)
        watch = SimpleNamespace(run=nothing)
        parts = SimpleNamespace(
            refuse_unready=None,
            copier=None,
            gaps=None,
            coordinator=None,
            self_watch=watch,
            orders=None,
            gate=Gate(),
        )
        for name in ("StartChecks", "mappings_of", "assemble_worker"):
            monkeypatch.setattr(library, name, lambda *_: parts)
        connections = SimpleNamespace(source_control=None, keep_fresh=nothing)
        monkeypatch.setattr(library, "connect", lambda *_: nullcontext(connections))
        monkeypatch.setattr(library, "begun", self._settings)
        monkeypatch.setattr(library, "check", self._check)
        monkeypatch.setattr(library, "run_tasks", self._run)
        monkeypatch.setattr(library, "next_stream_on", self._next)

    async def _settings(self, *_: object) -> ReplicationSettings:
        return self.settings

    async def _check(self, *_: object) -> object:
        self.starts += 1
        if self.starts > 1:
            self.begun.set()
            await asyncio.sleep(1e6)
        return SimpleNamespace(stream_arn="old")

    async def _run(self, _: object, beside: Sequence[Coroutine[Any, Any, None]], stopping: asyncio.Event) -> None:
        await asyncio.gather(*beside)
        raise ExceptionGroup("tasks", [LifeOver(Side.SOURCE, "over")])

    async def _next(self, *_: object) -> bool:
        if self.fails:
            raise self.fails.pop()
        return True


def test_a_stop_does_not_wait_for_the_next_life_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        lives = Lives(monkeypatch)
        lives.fails = [Throttled(Side.SOURCE, "not now")]
        replication = Replication(settings(on_gap="continue"), {}, "me")
        async with replication:
            await lives.begun.wait()
            assert replication.started
            replication.stop()
            await asyncio.wait_for(replication.wait(), 5)
        assert lives.starts == 2

    run_virtual(scenario())


class Words(Lives):
    """A task of which each worker's last words are caught; they take some time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.left: list[Failure] = []
        self.speaks = asyncio.Event()
        connections = SimpleNamespace(
            source_control=None, keep_fresh=lambda: asyncio.sleep(0), state=SimpleNamespace(served_s=5.0)
        )
        monkeypatch.setattr(library, "connect", lambda *_: nullcontext(connections))
        monkeypatch.setattr(library, "leave_word", self._word)

    async def _word(self, _: object, facts: object, lease_table: str, failure: Failure) -> None:
        self.left.append(failure)
        self.speaks.set()
        await asyncio.sleep(0.3)

    async def end(self) -> Exception | None:
        """What the replication ends with."""
        try:
            async with Replication(self.settings, {}, "me") as replication:
                self.replication = replication
                await replication.wait()
        except Stop as error:
            return error
        return None


async def no_next(*_: object) -> bool:
    return False


@pytest.mark.parametrize("at", ["its end", "the look for the next stream", "the start of the next life"])
def test_a_worker_that_has_followed_leaves_its_last_words_wherever_it_ends(
    monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    gone = NotFound(Side.SOURCE, "table Orders: gone")

    async def scenario() -> None:
        words = Words(monkeypatch)
        if at == "its end":
            monkeypatch.setattr(library, "next_stream_on", no_next)
        elif at == "the look for the next stream":
            words.fails = [gone]
        else:
            answers = iter([SimpleNamespace(stream_arn="old"), gone])

            async def check(*_: object) -> object:
                answer = next(answers)
                if isinstance(answer, Exception):
                    raise answer
                return answer

            monkeypatch.setattr(library, "check", check)
        error = await words.end()
        assert isinstance(error, LifeOver if at == "its end" else NotFound)
        [failure] = words.left
        assert (failure.worker, failure.at_ms, failure.exit_code, failure.why) == ("me", 5000, 3, str(error))

    run_virtual(scenario())


def test_one_that_never_followed_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(*_: object) -> object:
        raise Stop(Side.SOURCE, "denied")

    async def scenario() -> None:
        words = Words(monkeypatch)
        monkeypatch.setattr(library, "check", check)
        assert isinstance(await words.end(), Stop)
        assert words.left == []

    run_virtual(scenario())


def test_a_stop_during_the_last_words_does_not_hide_what_ended_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        words = Words(monkeypatch)
        monkeypatch.setattr(library, "next_stream_on", no_next)
        ending = asyncio.create_task(words.end())
        await words.speaks.wait()
        words.replication.stop()
        assert isinstance(await ending, LifeOver)

    run_virtual(scenario())


class Follower(Lives):
    """A task whose one life is followed by a worker in memory, of two shards; one of them is never found."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.settings = settings(start_at="latest")
        self.world = World(shards=2)
        self.worker = self.world.worker("me", start=LATEST_NOW)
        found: list[Fault | None] = [None]
        throttled = Fault(Throttled(Side.SOURCE, "injected"))
        self.worker.stream_faults.then = lambda operation: (
            None if operation != "GetShardIterator" else found.pop() if found else throttled
        )
        self.worker.write_faults.then = lambda operation: Fault(delay_s=1.0)
        parts = SimpleNamespace(
            refuse_unready=None,
            copier=None,
            gaps=None,
            coordinator=self.worker.coordinator,
            self_watch=SimpleNamespace(run=asyncio.Event().wait, problems=list),
            orders=None,
            gate=Gate(),
        )
        monkeypatch.setattr(library, "assemble_worker", lambda *_: parts)

    async def _run(self, _: object, beside: Sequence[Coroutine[Any, Any, None]], stopping: asyncio.Event) -> None:
        """As engines/worker_tasks."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in (*beside, self.worker.applier.run())]
            await self.worker.coordinator.run(stopping)
            for task in tasks:
                task.cancel()


@pytest.mark.parametrize("ended_by", ["a stop", "a time-out of the caller's"])
def test_a_start_that_has_leases_already_ends_in_order(monkeypatch: pytest.MonkeyPatch, ended_by: str) -> None:
    async def scenario() -> None:
        follower = Follower(monkeypatch)
        world = follower.world
        replication = Replication(settings(start_at="latest"), {}, "me")
        ends = asyncio.create_task(end_of_start(replication, 20.0 if ended_by != "a stop" else 1e6))
        await world.until(lambda: len(follower.worker.coordinator.tenures) == 2, 5)
        assert replication.health() == []
        await asyncio.sleep(19.5)
        # On its way when the end comes.
        world.put_many(20)
        await asyncio.sleep(0.3)
        if ended_by == "a stop":
            replication.stop()
        await asyncio.wait_for(ends, 5)
        assert not replication.started
        assert world.owners() == [None, None]
        checkpoints = [row.checkpoint for row in world.leases.rows.values()]
        assert sorted(checkpoint == LATEST for checkpoint in checkpoints) == [False, True]
        assert world.destination.items
        assert max(map(int, set(checkpoints) - {LATEST})) == max(sequence for _, _, _, sequence in world.writes)
        assert world.state.rows == {}
        await world.end()

    run_virtual(scenario())


async def end_of_start(replication: Replication, limit_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s), replication:
            pass
