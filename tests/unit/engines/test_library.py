"""What the end of a replication is called."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from dynamirror.engines import library
from dynamirror.engines.library import Replication, explained, root_cause
from dynamirror.errors import ExitCode, Gap, LifeOver, NotFound, Side, Stop, Throttled
from dynamirror.loops.gate import Gate
from dynamirror.settings.groups import ReplicationSettings
from dynamirror.testing.virtual_time import run_virtual
from tests.support.accounts import settings

GONE = NotFound(Side.STATE, "PutItem: ResourceNotFoundException")


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
        return settings(on_gap="continue")

    async def _check(self, *_: object) -> object:
        self.starts += 1
        if self.starts > 1:
            self.begun.set()
            await asyncio.sleep(1e6)
        return SimpleNamespace(stream_arn="old")

    async def _run(self, _: object, beside: Sequence[Coroutine[Any, Any, None]], __: object) -> None:
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
