"""A reset that is broken off: what is deleted, what is left, and that the same command goes on."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dynamirror.cli.reset import _Reset
from dynamirror.engines.reset_task import HalfReset
from dynamirror.engines.status_run import TaskView
from dynamirror.errors import AccessDenied, DynamirrorError, ExitCode, Retry, Side
from dynamirror.model.lease import Lease
from dynamirror.model.sighting import Sighting
from dynamirror.model.status import Seen, Status, Task, status_of
from tests.support.accounts import settings

LEASES, STATE = "leases", "leases-state"
DENIED = AccessDenied(Side.STATE, f"DeleteTable on {STATE} is denied")


class Account:
    """Both tables of a task, as `reset` sees them."""

    def __init__(self, refusals: dict[str, DynamirrorError | None] | None = None) -> None:
        self.tables = {LEASES, STATE}
        # By table, what its deletion ends with; None: it never ends.
        self.refusals = refusals or {}
        self.connections = SimpleNamespace(state_control=self)
        self.clock = SimpleNamespace(boottime_s=lambda: 0.0)

    @property
    def rows(self) -> SimpleNamespace:
        return SimpleNamespace(has_leases=LEASES in self.tables, has_state=STATE in self.tables)

    async def status(self) -> Status | None:
        if not self.tables:
            return None
        leases = [Lease("shardId-1", "5")] if LEASES in self.tables else []
        return status_of(Seen(0, 0.0, Task(LEASES, STATE), leases), Sighting())

    async def delete_table(self, name: str) -> None:
        if name in self.refusals:
            error = self.refusals[name]
            if error is not None:
                raise error
            await asyncio.Event().wait()
        self.tables.discard(name)

    async def reset(self, *, as_json: bool = False) -> int:
        reset = _Reset(settings(), force=False, yes=True, dry_run=False, as_json=as_json)
        return await reset.run(cast(TaskView, self))


def test_a_reset_that_is_refused_half_way_says_so_and_the_same_command_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    account = Account({STATE: DENIED})
    with pytest.raises(HalfReset) as caught:
        asyncio.run(account.reset())
    assert caught.value.exit_code is ExitCode.STATE
    assert str(caught.value) == (
        f"reset is half done: deleted: {LEASES}; not seen to be gone: {STATE} (DeleteTable on {STATE} is denied). The "
        "same command goes on from there"
    )
    account.refusals.clear()
    capsys.readouterr()
    assert asyncio.run(account.reset()) == ExitCode.OK
    assert f"Deleted: {STATE}." in capsys.readouterr().out
    assert not account.tables


def test_the_document_says_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HalfReset):
        asyncio.run(Account({STATE: DENIED}).reset(as_json=True))
    found = json.loads(capsys.readouterr().out)
    assert (found["deleted"], found["left"]) == ([LEASES], [STATE])
    assert found["lost"]["checkpoints"] == 1
    assert asyncio.run(Account().reset(as_json=True)) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert (found["deleted"], found["left"]) == ([LEASES, STATE], [])


def test_where_nothing_may_be_deleted_nothing_is_half_done() -> None:
    account = Account({LEASES: DENIED})
    with pytest.raises(AccessDenied):
        asyncio.run(account.reset())
    assert account.tables == {LEASES, STATE}


def test_what_the_first_deletion_came_to_may_not_be_known() -> None:
    with pytest.raises(HalfReset, match=f"deleted: nothing; not seen to be gone: {LEASES}, {STATE} \\(time-out"):
        asyncio.run(Account({LEASES: Retry(Side.STATE, "time-out")}).reset())


@pytest.mark.parametrize("as_json", [False, True])
def test_a_signal_while_it_waits_leaves_a_line(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    async def steps() -> None:
        task = asyncio.create_task(Account({STATE: None}).reset(as_json=as_json))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(steps())
    output, errors = capsys.readouterr()
    assert f"deleted: {LEASES}; not seen to be gone: {STATE} (ended by a signal)" in errors
    found: dict[str, Any] = json.loads(output) if as_json else {"left": [STATE]}
    assert found["left"] == [STATE]
