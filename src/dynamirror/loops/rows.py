"""Many rows of the lease or state table, some at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from dynamirror.errors import Retry
from dynamirror.ports import Clock

# Being written, or taken, at the same time.
ROWS_AT_ONCE_MAX = 16
# Nobody is looked at, and nothing handed over, while leases are taken.
PASS_S = 2.0

T = TypeVar("T")


async def each_row(step: Callable[[T], Awaitable[None]], rows: Sequence[T], clock: Clock) -> None:
    """Take the step with each row. One that fails holds up no other, unless all of so many at once fail: then the table
    is given time. Where failing takes time itself (no answer comes), the rest is left after PASS_S, for the caller to
    look around. Raises Retry, the first one, once the others are done; what does not pass at once."""
    first, begun_at_s = None, clock.boottime_s()
    for start in range(0, len(rows), ROWS_AT_ONCE_MAX):
        batch = rows[start : start + ROWS_AT_ONCE_MAX]
        outcomes = await asyncio.gather(*map(step, batch), return_exceptions=True)
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for error in failed:
            if not isinstance(error, Retry):
                raise error
            first = first or error
        if len(failed) == len(batch) or (first and clock.boottime_s() - begun_at_s > PASS_S):
            break
    if first is not None:
        raise first
