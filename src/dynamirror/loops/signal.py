"""A broadcast: many wait, one call wakes them all. Unlike an event it needs no clearing."""

import asyncio


class Signal:
    """`notify` wakes everyone who is waiting now; whoever asks later waits for the next one."""

    def __init__(self) -> None:
        self._next: asyncio.Future[None] | None = None

    def wait(self) -> asyncio.Future[None]:
        """Done at the next `notify`. Cancelling the returned future leaves the other waiters alone."""
        if self._next is None or self._next.done():
            self._next = asyncio.get_running_loop().create_future()
        return asyncio.shield(self._next)

    def notify(self) -> None:
        """Wake all who wait."""
        if self._next is not None and not self._next.done():
            self._next.set_result(None)


async def done_within(future: asyncio.Future[None], timeout_s: float) -> bool:
    """Wait for a future that `Signal.wait` gave, at most so long; whether it is done. It is of no use afterwards."""
    try:
        await asyncio.wait([future], timeout=timeout_s)
        return future.done()
    finally:
        # Else every time-out would leave one more future behind, until the next notify.
        future.cancel()
