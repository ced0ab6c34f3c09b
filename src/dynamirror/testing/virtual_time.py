"""asyncio on virtual time: when every task waits, the clock jumps to the next timer.

A loop of its own on asyncio's public base, since the stock one spends a quarter of a simulation on its timers and on
asking for input that never comes. The order of callbacks depends on the program alone, so a run with seeded randomness
repeats exactly: who is due at one moment runs in the order in which it was scheduled.
"""

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeVar

# So many turns of the loop without a timer due mean that tasks wake each other for ever.
IDLE_TURNS_MAX = 1_000_000
# Timers this close to each other are due together, as with the stock loop.
RESOLUTION_S = 1e-9

T = TypeVar("T")


class Standstill(Exception):
    """Virtual time cannot go on: every task waits for another one, or tasks spin without ever sleeping."""


class _Call(asyncio.TimerHandle):
    """One call to come. Of its base it keeps the interface only."""

    __slots__ = ("_at_s", "args", "callback", "context")

    def __init__(self, at_s: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        self._at_s = at_s
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context

    def cancel(self) -> None:
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        return self.callback is None

    def when(self) -> float:
        return self._at_s

    def __repr__(self) -> str:
        return f"<call of {self.callback} at {self._at_s} s>"


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose time() is virtual and begins at 0. No sockets, no threads, no executors inside.

    Of async generators that are left open it knows nothing: they end as garbage, at no moment that others could see.
    """

    def __init__(self) -> None:
        self._running = self._stopped = False
        super().__init__()
        self._now_s = 0.0
        self._ready_calls: deque[_Call] = deque()
        # By time, then by the order in which they were scheduled.
        self._timers: list[tuple[float, int, _Call]] = []
        self._scheduled_count = 0

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    def is_running(self) -> bool:
        return self._running

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self._ready_calls.clear()
        self._timers.clear()
        super().close()

    def run_forever(self) -> None:
        """Until stop(), and to the end of that turn. Raises Standstill, and what a callback that is no task raises."""
        self._running = True
        events._set_running_loop(self)
        idle_turns = 0
        try:
            while not self._stopped:
                before_s = self._now_s
                self._wait()
                idle_turns = idle_turns + 1 if self._now_s == before_s else 0
                if idle_turns > IDLE_TURNS_MAX:
                    raise Standstill(
                        f"{IDLE_TURNS_MAX} turns of the loop, and virtual time stands still at {before_s} s"
                    )
                self._turn()
        finally:
            self._running = self._stopped = False
            events._set_running_loop(None)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> _Call:  # type: ignore[override]
        call = _Call(self._now_s, callback, args, copy_context() if context is None else context)
        self._ready_calls.append(call)
        return call

    # For the handler of SIGINT, which asyncio.Runner installs; it comes between two instructions of this thread.
    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Call:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Call:
        call = _Call(when, callback, args, copy_context() if context is None else context)
        self._scheduled_count += 1
        heapq.heappush(self._timers, (when, self._scheduled_count, call))
        return call

    def _wait(self) -> None:
        """Whatever is due becomes ready; where nothing is, time goes on to the next timer."""
        timers, ready = self._timers, self._ready_calls
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        if not ready:
            if not timers:
                raise Standstill("every task waits, and no timer is pending")
            self._now_s = max(self._now_s, timers[0][0])
        end_s = self._now_s + RESOLUTION_S
        while timers and timers[0][0] < end_s:
            ready.append(heapq.heappop(timers)[2])

    def _turn(self) -> None:
        """What is ready now; what that makes ready comes in the next turn."""
        ready = self._ready_calls
        for _ in range(len(ready)):
            call = ready.popleft()
            if call.callback is not None:
                call.context.run(call.callback, *call.args)


class VirtualClock:
    """`ports.Clock` of one simulated machine, on the time of the running loop.

    Machines differ: each may have its own boot time, its own idea of the date, and a rate that drifts.
    """

    def __init__(self, boot_s: float = 1_000.0, epoch_s: float = 1_700_000_000.0, rate: float = 1.0) -> None:
        """`boot_s`, `epoch_s`: what the clocks show when the loop's time is 0. `rate`: local seconds a second."""
        self._boot_s = boot_s
        self._epoch_s = epoch_s
        self._rate = rate

    def boottime_s(self) -> float:
        """See ports.Clock."""
        return self._boot_s + self._elapsed_s()

    def wall_s(self) -> float:
        """See ports.Clock."""
        return self._epoch_s + self._elapsed_s()

    async def sleep(self, delay_s: float) -> None:
        """See ports.Clock; `delay_s` are seconds of this clock."""
        await asyncio.sleep(delay_s / self._rate)

    def step_wall(self, by_s: float) -> None:
        """The date is set by hand or by NTP; boot time goes on."""
        self._epoch_s += by_s

    def _elapsed_s(self) -> float:
        return asyncio.get_running_loop().time() * self._rate


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on a fresh VirtualLoop and return its result. Raises Standstill.

    Tasks still running at the end are cancelled, as asyncio.run does.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
