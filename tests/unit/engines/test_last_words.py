"""What a worker leaves behind that an error ends."""

from dataclasses import replace

import pytest

from dynamirror.aws.failure_rows import FailureRows
from dynamirror.aws.state_rows import Incarnation
from dynamirror.engines.last_words import failure_of, leave_word
from dynamirror.engines.preflight import Facts
from dynamirror.errors import AccessDenied, Gap, Side, TooManyParked
from tests.support.accounts import LEASES, STATE, World

NOW_MS = 1_700_000_000_000


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def facts(world: World) -> Facts:
    return await world.check()


@pytest.mark.parametrize(
    "error,code", [(Gap("trimmed"), 6), (TooManyParked("refused"), 7), (AccessDenied(Side.SOURCE, "denied"), 3)]
)
async def test_the_reason_is_in_the_state_table(world: World, facts: Facts, error: Exception, code: int) -> None:
    failure = failure_of("w1", error, NOW_MS)
    assert (failure.worker, failure.at_ms, failure.exit_code, failure.why) == ("w1", NOW_MS, code, str(error))
    await leave_word(world.state, facts, LEASES, failure)
    assert await FailureRows(world.state, STATE, Incarnation("", "")).last() == failure


def test_the_line_is_one_line_without_secrets_or_control_signs() -> None:
    said = "PutItem: said\npassword=hunter2 \x1b[2J \ud800 end"
    assert failure_of("w1", Gap(said), NOW_MS).why == "PutItem: said password=*** ?[2J ? end"


def test_an_internal_error_is_named_and_not_quoted() -> None:
    failure = failure_of("w1", KeyError("token=hunter2"), NOW_MS)
    assert failure.exit_code == 70
    assert failure.why == "an internal error (KeyError): the traceback is in its log"


async def test_nothing_is_written_without_a_state_table(world: World, facts: Facts) -> None:
    world.state.asked.clear()
    await leave_word(world.state, replace(facts, state=None), LEASES, failure_of("w1", Gap("trimmed"), NOW_MS))
    assert world.state.asked == []


async def test_a_state_table_that_is_gone_keeps_no_worker_from_ending(
    world: World, facts: Facts, caplog: pytest.LogCaptureFixture
) -> None:
    await leave_word(world.state, facts, "Another", failure_of("w1", Gap("trimmed"), NOW_MS))
    assert "stopping (noting why)" in caplog.text
