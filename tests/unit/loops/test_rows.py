"""Rows are written some at a time; one that fails holds up no other."""

import asyncio
from collections.abc import Mapping

import pytest

from dynamirror.errors import AccessDenied, Retry, Side, Throttled, Unanswered, Unreachable
from dynamirror.loops.rows import PASS_S, ROWS_AT_ONCE_MAX, each_row
from dynamirror.testing.virtual_time import VirtualClock, run_virtual

ROWS = range(10 * ROWS_AT_ONCE_MAX)


async def tried(failing: Mapping[int, Exception], takes_s: float = 0.0) -> tuple[list[int], Exception | None]:
    """The rows that were asked for, and what came of all. Failing takes so long."""
    asked = []

    async def step(row: int) -> None:
        asked.append(row)
        if row in failing:
            await asyncio.sleep(takes_s)
            raise failing[row]

    try:
        await each_row(step, ROWS, VirtualClock())
    except (Retry, AccessDenied) as error:
        return asked, error
    return asked, None


def test_the_others_are_done_and_the_first_error_is_told_in_the_end() -> None:
    first, later = Unreachable(Side.STATE, "first"), Throttled(Side.STATE, "later")
    assert run_virtual(tried({3: first, 100: later})) == (list(ROWS), first)
    assert run_virtual(tried({})) == (list(ROWS), None)


def test_a_table_that_takes_nothing_is_not_asked_for_every_row() -> None:
    error = Throttled(Side.STATE, "not now")
    asked, told = run_virtual(tried({row: error for row in ROWS if row >= ROWS_AT_ONCE_MAX}))
    assert (asked, told) == (list(range(2 * ROWS_AT_ONCE_MAX)), error)


def test_a_table_that_does_not_answer_does_not_keep_the_caller_for_minutes() -> None:
    error = Unanswered(Side.STATE, "no answer in time")
    one_in_each = {row: error for row in ROWS if row % ROWS_AT_ONCE_MAX == 0}
    asked, told = run_virtual(tried(one_in_each, takes_s=PASS_S / 2 + 0.1))
    assert (asked, told) == (list(range(2 * ROWS_AT_ONCE_MAX)), error)


@pytest.mark.parametrize("at", [0, 20])
def test_what_does_not_pass_ends_it_at_once(at: int) -> None:
    denied = AccessDenied(Side.STATE, "denied")
    asked, told = run_virtual(tried({at: denied}))
    assert told is denied
    assert len(asked) == (at // ROWS_AT_ONCE_MAX + 1) * ROWS_AT_ONCE_MAX
