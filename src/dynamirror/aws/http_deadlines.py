"""When an answer is waited for no longer: one timer for all that are under way, since nearly all come long before."""

import asyncio
from typing import Any

# A timer may fire so much too early: uvloop's count whole milliseconds.
_EARLY_S = 0.001


class Deadlines:
    """Of one pool, in one event loop. Seconds of the loop's time."""

    def __init__(self) -> None:
        self._under_way: dict[asyncio.Future[Any], float] = {}
        # What it is set to. It is left alone when what it was set for is over, and finds nothing due then.
        self._timer: tuple[float, asyncio.TimerHandle] | None = None

    def watch(self, answer: "asyncio.Future[Any]", deadline_s: float) -> None:
        """At its deadline it becomes TimeoutError, unless it is done by then, or let go."""
        self._under_way[answer] = deadline_s
        if self._timer is None or deadline_s < self._timer[0]:
            self._set(deadline_s)

    def let_go(self, answer: "asyncio.Future[Any]") -> None:
        """It is over."""
        del self._under_way[answer]

    def _set(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer[1].cancel()
        self._timer = at_s, asyncio.get_running_loop().call_at(at_s, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now_s = asyncio.get_running_loop().time()
        left_s = []
        for answer, deadline_s in self._under_way.items():
            if deadline_s > now_s:
                left_s.append(deadline_s)
            elif not answer.done():
                answer.set_exception(TimeoutError())
        if left_s:
            self._set(max(min(left_s), now_s + _EARLY_S))
