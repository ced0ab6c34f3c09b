"""Faults for the in-memory ports: which call fails, how, and whether it was applied all the same."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from dynamirror.errors import DynamirrorError, Side, Throttled, Unanswered, Unreachable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one call."""

    # What the caller gets to see; None: an answer.
    error: DynamirrorError | None = None
    # With an error: when the request takes effect all the same, counted from the error. None: never.
    lands_after_s: float | None = None
    # The call takes so much longer; its effect comes at the end.
    delay_s: float = 0.0
    # BatchWriteItem, BatchGetItem: so many of the writes or keys come back unprocessed.
    unprocessed: int = 0


# Asked once a call with the API operation's name (`BatchWriteItem`, `GetRecords`, ...); None: nothing happens.
Faults: TypeAlias = Callable[[str], Fault | None]


def no_faults(operation: str) -> Fault | None:
    """Everything goes well."""
    return None


class SeededFaults:
    """Every call fails with the same chance, in one of the ways that this kind of call can fail."""

    def __init__(self, draw: Callable[[], float], share: float, side: Side, stray_life_s: float = 30.0) -> None:
        """`draw` gives [0, 1) and decides everything; `stray_life_s`: how late a lost request may land at most."""
        self._draw = draw
        self._share = share
        self._side = side
        self._stray_life_s = stray_life_s

    def __call__(self, operation: str) -> Fault | None:
        """See Faults."""
        if self._draw() >= self._share:
            return None
        unanswered = Unanswered(self._side, f"injected: {operation} was not answered")
        choices = [
            Fault(Throttled(self._side, f"injected: {operation} was throttled")),
            Fault(Unreachable(self._side, f"injected: {operation} was not sent")),
            Fault(unanswered),
            Fault(unanswered, lands_after_s=0.0),
            Fault(unanswered, lands_after_s=self._draw() * self._stray_life_s),
            Fault(delay_s=self._draw() * 4.0),
        ]
        if operation in ("BatchWriteItem", "BatchGetItem"):
            choices.append(Fault(unprocessed=1 + int(self._draw() * 24)))
        return choices[int(self._draw() * len(choices))]


class Scripted:
    """The given faults, one a call of `operation`, in order; then none. Other operations go well."""

    def __init__(self, operation: str, faults: Sequence[Fault | None]) -> None:
        self._operation = operation
        self._faults = list(faults)

    def __call__(self, operation: str) -> Fault | None:
        """See Faults."""
        if operation != self._operation or not self._faults:
            return None
        return self._faults.pop(0)


class Line:
    """The way to a service: requests take `latency_s` there and back together, under a plan of faults.

    Every call yields to the loop before and after its effect, so callers meet the interleavings of a real one.
    """

    def __init__(self, faults: Faults = no_faults, latency_s: float = 0.0) -> None:
        self.faults = faults
        self._latency_s = latency_s

    async def call(self, operation: str, effect: Callable[[Fault], T]) -> T:
        """Carry a request out. `effect` does it at once, without waiting, and may be called late or not at all."""
        fault = self.faults(operation) or Fault()
        await asyncio.sleep(self._latency_s / 2 + fault.delay_s)
        if fault.error is not None:
            self._land(effect, fault)
            # Without the frames that it passed when it was raised before: one fault may serve many calls.
            raise fault.error.with_traceback(None)
        answer = effect(fault)
        await asyncio.sleep(self._latency_s / 2)
        return answer

    def _land(self, effect: Callable[[Fault], object], fault: Fault) -> None:
        def unseen() -> None:
            # Nobody hears the answer, a refusal included.
            with suppress(DynamirrorError):
                effect(fault)

        if fault.lands_after_s == 0:
            unseen()
        elif fault.lands_after_s is not None:
            asyncio.get_running_loop().call_later(fault.lands_after_s, unseen)
