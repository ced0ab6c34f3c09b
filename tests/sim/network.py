"""The way from one machine to one service: requests travel, get lost, arrive late, and outlive their sender.

Unlike `testing.faults.Line` a request that has left goes on by itself: cancelling its caller, or killing the
machine, does not call it back.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from dynamirror.errors import (
    CredentialsExpired,
    DynamirrorError,
    IteratorExpired,
    Side,
    Throttled,
    Unanswered,
    Unreachable,
)
from dynamirror.testing.faults import Fault
from tests.sim.checks import Checks
from tests.sim.flights import PAGE_SENT, Flight, flight_of, sends_page

T = TypeVar("T")

LATENCY_S = 0.008
# T and L of the protocol, as in settings/groups.
ATTEMPT_S = 5.0
STRAY_S = 30.0

# Kind of fault -> weight, by side. `late` is the dangerous one: it is applied after its client gave up.
KINDS: Mapping[Side, Mapping[str, float]] = {
    Side.SOURCE: {
        "throttle": 3,
        "unreachable": 1,
        "lost": 2,
        "slow": 1,
        "slow answer": 1,
        "iterator": 2,
        "credentials": 0.5,
    },
    Side.DESTINATION: {
        "throttle": 3,
        "partial": 3,
        "unreachable": 1,
        "lost": 2,
        "applied": 3,
        "late": 3,
        "slow": 1,
        "slow answer": 1,
        "credentials": 0.5,
    },
    Side.STATE: {
        "throttle": 2,
        "unreachable": 1,
        "lost": 2,
        "applied": 3,
        "late": 2,
        "slow": 1,
        "slow answer": 1,
        "credentials": 0.5,
    },
}
READS = frozenset({"GetItem", "Query", "Scan", "BatchGetItem"})
# An observer that slept takes a lease by what it saw before; a machine that slept may send what it decided before.
RESTED_S = 30.0
# Kinds of fault that keep a request from leaving.
NOT_SENT = frozenset({"partition", "unreachable"})


class Machine:
    """What requests and timers of one machine obey: it may be frozen, and it may be dead."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self._thawed: asyncio.Event | None = None
        self.thawed_at_s = float("-inf")
        # Freeze for so long at the moment the next such request leaves: behind all checks.
        self.freeze_at_send_s: float | None = None
        self.freezes_at = "BatchWriteItem"
        # Die at the moment the next request of this name leaves.
        self.dies_at: str | None = None
        self.on_death: Callable[[], None] = lambda: None
        # Told of each request as it leaves.
        self.say: Callable[[str], None] | None = None
        # When a batch last left that was decided upon before a freeze.
        self.overslept_at_s = float("-inf")

    @property
    def frozen(self) -> bool:
        return self._thawed is not None

    @property
    def rested_s(self) -> float:
        """How long it has not been frozen."""
        return 0.0 if self.frozen else _now_s() - self.thawed_at_s

    def freeze(self) -> None:
        if self._thawed is None:
            self._thawed = asyncio.Event()

    def thaw(self) -> None:
        thawed, self._thawed = self._thawed, None
        if thawed is not None:
            self.thawed_at_s = _now_s()
            thawed.set()

    def die(self) -> None:
        """As by kill -9, or a power cut."""
        self.dead = True
        self.thaw()
        self.on_death()

    async def awake(self) -> None:
        """Goes on when the machine runs. A dead machine goes nowhere."""
        while self._thawed is not None or self.dead:
            if self.dead:
                await asyncio.Event().wait()
            elif self._thawed is not None:
                await self._thawed.wait()


class Weather:
    """Which calls of a machine fail, and how. `share` of 0: none. Counts what struck."""

    def __init__(
        self,
        draw: random.Random,
        counts: Counter[str],
        apart: Mapping[str, random.Random],
        stray_s: float = STRAY_S,
    ) -> None:
        # Places with random numbers of their own.
        self._apart = apart
        self.share = 0.0
        # Places that cannot be reached; with "writes" behind, those that can only be read.
        self.partitioned: set[str] = set()
        self.places: frozenset[str] | None = None
        self.kinds: Mapping[str, float] | None = None
        self.late_from = 0.0
        self._landed_s = stray_s * 0.998  # L by the fastest clock.
        self._draw = draw
        self._counts = counts

    def strike(self, side: Side, place: str, operation: str) -> tuple[str, Fault]:
        """The kind of fault and what it does; most often nothing."""
        draw = self._apart.get(place, self._draw)
        if place in self.partitioned or (f"{place} writes" in self.partitioned and operation not in READS):
            self._counts[f"partition {place}"] += 1
            return "partition", Fault(Unreachable(side, "injected: no route"), delay_s=draw.random())
        if draw.random() >= self.share or (self.places is not None and place not in self.places):
            return "", Fault()
        kinds = self.kinds or KINDS[side]
        [kind] = draw.choices(list(kinds), list(kinds.values()))
        if kind == "iterator" and operation != "GetRecords":
            kind = "throttle"
        if kind == "partial" and operation not in ("BatchWriteItem", "BatchGetItem"):
            kind = "throttle"
        kind = "lost" if kind in ("applied", "late") and operation in READS else kind
        self._counts[kind] += 1
        return kind, self._fault(kind, side, draw.random)

    def count(self, what: str) -> None:
        """Something else happened."""
        self._counts[what] += 1

    def last(self, side: Side) -> Fault:
        """What becomes of the last request of a machine: nobody hears the answer."""
        if self._draw.random() < 0.3:
            return Fault(Unanswered(side, "injected: died"))
        return Fault(
            Unanswered(side, "injected: died"), lands_after_s=self._draw.random() * (ATTEMPT_S + self._landed_s)
        )

    def _fault(self, kind: str, side: Side, draw: Callable[[], float]) -> Fault:
        gives_up_s = ATTEMPT_S * (1 if draw() < 0.5 else draw())
        lost = Unanswered(side, f"injected: {kind}")
        match kind:
            case "throttle":
                return Fault(Throttled(side, "injected: throttled"))
            case "unreachable":
                return Fault(Unreachable(side, "injected: not sent"))
            case "credentials":
                return Fault(CredentialsExpired(side, "injected: expired"))
            case "iterator":
                return Fault(IteratorExpired("injected: iterator expired"))
            case "partial":
                return Fault(unprocessed=1 + int(draw() * 5))
            case "slow" | "slow answer":
                return Fault(delay_s=draw() * ATTEMPT_S * 0.9)
            case "applied":
                return Fault(lost, lands_after_s=0.0, delay_s=gives_up_s)
            case "late":
                # Up to L after its client gave up.
                late = self.late_from + (1 - self.late_from) * draw()
                return Fault(lost, lands_after_s=late * self._landed_s, delay_s=gives_up_s)
            case _:
                return Fault(lost, delay_s=gives_up_s)


class Wire:
    """One machine's line to one service; has the interface of `testing.faults.Line`."""

    def __init__(self, machine: Machine, side: Side, place: str, weather: Weather, checks: Checks) -> None:
        """`place`: what a partition cuts off, e.g. "leases"."""
        self._machine = machine
        self._side = side
        self._place = place
        self._weather = weather
        self._checks = checks

    async def call(self, operation: str, effect: Callable[[Fault], T]) -> T:
        """See Line.call."""
        machine = self._machine
        self._freeze_at(operation)
        if operation == "BatchWriteItem" and sends_page():
            self._freeze_at(PAGE_SENT)
        await machine.awake()
        kind, fault = self._weather.strike(self._side, self._place, operation)
        flight = self._flight(operation, kind)
        # What sends when it wakes, and dies at once, nobody can mend.
        if operation == machine.dies_at and kind not in NOT_SENT and _now_s() - machine.overslept_at_s > RESTED_S:
            self._weather.count("kill at a request")
            kind, fault = "died", self._weather.last(self._side)
        if machine.say is not None:
            machine.say(f"{machine.name} {operation} ({self._place}) {kind}")
        answer = self._send(effect, kind, fault, flight)
        self._freeze_at(f"{operation} of {self._place} done")
        if kind == "died":
            machine.die()
        if fault.error is not None:
            await asyncio.sleep(LATENCY_S + fault.delay_s)
            await machine.awake()
            raise fault.error
        try:
            result = await answer
        except DynamirrorError:
            await machine.awake()
            raise
        await asyncio.sleep(LATENCY_S / 2)
        await machine.awake()
        return result

    def _freeze_at(self, moment: str) -> None:
        machine = self._machine
        if moment == machine.freezes_at and machine.freeze_at_send_s is not None and not machine.dead:
            asyncio.get_running_loop().call_later(machine.freeze_at_send_s, machine.thaw)
            machine.freeze_at_send_s = None
            machine.freeze()
            self._weather.count("frozen at the sending")

    def _flight(self, operation: str, kind: str) -> Flight | None:
        if operation != "BatchWriteItem" or kind in NOT_SENT:
            return None
        flight = flight_of(self._machine.name)
        if flight is not None:
            if flight.overslept:
                self._machine.overslept_at_s = _now_s()
            self._checks.departs(flight)
        return flight

    def _send(self, effect: Callable[[Fault], T], kind: str, fault: Fault, flight: Flight | None) -> asyncio.Future[T]:
        """Everything from here on happens without the machine."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        prompt = kind == "" and self._machine.rested_s > RESTED_S
        back_s = fault.delay_s if kind == "slow answer" else 0.0

        def arrive() -> None:
            self._checks.prompt, self._checks.writer = prompt, self._machine.name
            self._checks.writer_dead = self._machine.dead
            try:
                result = effect(fault if fault.error is None else replace(fault, error=None))
                loop.call_later(back_s, _tell, answer, result, None)
            except DynamirrorError as error:
                loop.call_later(back_s, _tell, answer, None, error)
            finally:
                if flight is not None:
                    self._checks.landed(flight)

        if fault.error is None:
            loop.call_later(LATENCY_S / 2 + fault.delay_s - back_s, arrive)
        elif fault.lands_after_s is not None:
            loop.call_later(LATENCY_S if kind == "applied" else fault.delay_s + fault.lands_after_s, arrive)
        else:
            return answer
        if flight is not None:
            self._checks.flights.left(flight)
        return answer


def _tell(answer: asyncio.Future[Any], result: Any, error: DynamirrorError | None) -> None:
    """Somebody may be there to hear it, or not."""
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
        answer.exception()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
