"""So many at once, first come, first served. Called once a request: asyncio.Semaphore costs four times as much."""

import asyncio
from collections import deque


class Turns:
    """Whoever has taken a turn gives it back, whatever happens; one that is given back goes straight to the next."""

    def __init__(self, at_once_max: int) -> None:
        self.free = at_once_max
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"Turns({self.free} free, {len(self._waiting)} waiting)"

    async def take(self) -> None:
        """Return with a turn; one that is cancelled has none."""
        if self.free:
            self.free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            # 1 the turn is handed to this one; 2 this one is cancelled before it runs; 3 nobody else would ever get it
            if turn.done() and not turn.cancelled():
                self.give_back()
            turn.cancel()
            raise

    def give_back(self) -> None:
        """To the longest waiting of those that have not been cancelled."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1
