"""Whether reading and copying may go on: closed while the operator has paused the task (`dynamirror pause`)."""

import asyncio

from dynamirror.loops.signal import Signal


class Gate:
    """One for each worker; open unless somebody closes it."""

    def __init__(self) -> None:
        self.closed = False
        self._changed = Signal()

    def __repr__(self) -> str:
        return f"Gate(closed={self.closed})"

    def set(self, closed: bool) -> None:
        """Close or open it. Idempotent."""
        if closed != self.closed:
            self.closed = closed
            self._changed.notify()

    def wait(self) -> asyncio.Future[None] | None:
        """None while it is open; else a future that is done when it is worth asking again."""
        return self._changed.wait() if self.closed else None

    async def opened(self) -> None:
        """Return while it is open."""
        while self.closed:
            await self._changed.wait()

    async def shut(self) -> None:
        """Return while it is closed."""
        while not self.closed:
            await self._changed.wait()
