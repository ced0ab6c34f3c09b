"""asyncio on virtual time: when every task waits, the clock jumps to the next timer.

The stock selector loop with a selector that never polls; no private part of asyncio is touched. The order of
callbacks depends on the program alone, so a run with seeded randomness repeats exactly.
"""

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

# So many turns of the loop without a timer due mean that tasks wake each other for ever.
IDLE_TURNS_MAX = 1_000_000

T = TypeVar("T")


class Standstill(Exception):
    """Virtual time cannot go on: every task waits for another one, or tasks spin without ever sleeping."""


class _Timers(selectors.BaseSelector):
    """Waits for nothing: a wait with a time-out advances `now_s` by it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._idle_turns = 0
        self._registered: dict[Any, selectors.SelectorKey] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Standstill("every task waits, and no timer is pending")
        self._idle_turns = 0 if timeout > 0 else self._idle_turns + 1
        if self._idle_turns > IDLE_TURNS_MAX:
            raise Standstill(f"{IDLE_TURNS_MAX} turns of the loop, and virtual time stands still at {self.now_s} s")
        self.now_s += max(0.0, timeout)
        return []

    # The loop registers its wake-up pipe; nothing ever comes through it.
    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._registered[fileobj] = selectors.SelectorKey(fileobj, -1, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._registered.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._registered

    def close(self) -> None:
        self._registered.clear()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time() is virtual and begins at 0. No sockets, no threads, no executors inside."""

    def __init__(self) -> None:
        self._timers = _Timers()
        super().__init__(self._timers)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._timers.now_s


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
