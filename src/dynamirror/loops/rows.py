"""Many rows of the state table, some at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from dynamirror.errors import Retry

# Being written at the same time.
ROWS_AT_ONCE_MAX = 16

T = TypeVar("T")


async def each_row(step: Callable[[T], Awaitable[None]], rows: Sequence[T]) -> None:
    """Take the step with each row. One that fails holds up no other, unless all of so many at once fail: then the table
    is given time. Raises Retry, the first one, once the others are done; what does not pass at once."""
    first = None
    for start in range(0, len(rows), ROWS_AT_ONCE_MAX):
        batch = rows[start : start + ROWS_AT_ONCE_MAX]
        outcomes = await asyncio.gather(*map(step, batch), return_exceptions=True)
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for error in failed:
            if not isinstance(error, Retry):
                raise error
            first = first or error
        if len(failed) == len(batch):
            break
    if first is not None:
        raise first
