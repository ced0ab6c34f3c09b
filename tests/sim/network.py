"""The way from one machine to one service: requests travel, get lost, arrive late, and outlive their sender.

Unlike `testing.faults.Line` a request that has left goes on by itself: cancelling its caller, or killing the
machine, does not call it back.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

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

T = TypeVar("T")

LATENCY_S = 0.008
# T and L of the protocol, as in settings/groups.
ATTEMPT_S = 5.0
STRAY_S = 30.0

# Kind of fault -> weight, by side. `late` is the dangerous one: it is applied after its client gave up.
KINDS: Mapping[Side, Mapping[str, float]] = {
    Side.SOURCE: {"throttle": 3, "unreachable": 1, "lost": 2, "slow": 1, "iterator": 2, "credentials": 0.5},
    Side.DESTINATION: {
        "throttle": 3,
        "partial": 3,
        "unreachable": 1,
        "lost": 2,
        "applied": 3,
        "late": 3,
        "slow": 2,
        "credentials": 0.5,
    },
    Side.STATE: {"throttle": 2, "unreachable": 1, "lost": 2, "applied": 3, "late": 2, "slow": 2, "credentials": 0.5},
}
READS = frozenset({"GetItem", "Query", "Scan", "BatchGetItem"})


class Machine:
    """What requests and timers of one machine obey: it may be frozen, and it may be dead."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self._thawed: asyncio.Event | None = None
        self.thawed_at_s = float("-inf")
        # Freeze for so long at the moment the next batch of writes leaves: behind all checks.
        self.freeze_at_send_s: float | None = None

    @property
    def frozen(self) -> bool:
        return self._thawed is not None

    def freeze(self) -> None:
        if self._thawed is None:
            self._thawed = asyncio.Event()

    def thaw(self) -> None:
        thawed, self._thawed = self._thawed, None
        if thawed is not None:
            self.thawed_at_s = asyncio.get_running_loop().time()
            thawed.set()

    async def awake(self) -> None:
        """Goes on when the machine runs. A dead machine goes nowhere."""
        while self._thawed is not None or self.dead:
            if self.dead:
                await asyncio.Event().wait()
            elif self._thawed is not None:
                await self._thawed.wait()


class Weather:
    """Which calls of a machine fail, and how. `share` of 0: none. Counts what struck."""

    def __init__(self, draw: random.Random, counts: Counter[str]) -> None:
        self.share = 0.0
        self.partitioned: set[Side] = set()
        self.sides = frozenset(Side)
        self.kinds: Mapping[str, float] | None = None
        self._draw = draw
        self._counts = counts

    def strike(self, side: Side, operation: str) -> tuple[str, Fault] | None:
        """The kind of fault and what it does; None: nothing happens."""
        if side in self.partitioned:
            self._counts[f"partition {side.name.lower()}"] += 1
            return "partition", Fault(Unreachable(side, "injected: no route"), delay_s=self._draw.random())
        if self._draw.random() >= self.share or side not in self.sides:
            return None
        kinds = self.kinds or KINDS[side]
        [kind] = self._draw.choices(list(kinds), list(kinds.values()))
        if kind == "iterator" and operation != "GetRecords":
            kind = "throttle"
        if kind == "partial" and operation not in ("BatchWriteItem", "BatchGetItem"):
            kind = "throttle"
        if kind in ("applied", "late") and operation in READS:
            kind = "lost"
        self._counts[kind] += 1
        return kind, self._fault(kind, side)

    def count(self, what: str) -> None:
        """Something else happened."""
        self._counts[what] += 1

    def _fault(self, kind: str, side: Side) -> Fault:
        draw = self._draw.random
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
            case "slow":
                return Fault(delay_s=draw() * ATTEMPT_S * 0.9)
            case "applied":
                return Fault(lost, lands_after_s=0.0, delay_s=gives_up_s)
            case "late":
                # Up to T + L after it was sent.
                return Fault(lost, lands_after_s=draw() * (STRAY_S + ATTEMPT_S - gives_up_s), delay_s=gives_up_s)
            case _:
                return Fault(lost, delay_s=gives_up_s)


class Wire:
    """One machine's line to one side; has the interface of `testing.faults.Line`."""

    def __init__(self, machine: Machine, side: Side, weather: Weather) -> None:
        self._machine = machine
        self._side = side
        self._weather = weather

    async def call(self, operation: str, effect: Callable[[Fault], T]) -> T:
        """See Line.call."""
        machine = self._machine
        if operation == "BatchWriteItem" and machine.freeze_at_send_s is not None and not machine.dead:
            asyncio.get_running_loop().call_later(machine.freeze_at_send_s, machine.thaw)
            machine.freeze_at_send_s = None
            machine.freeze()
            self._weather.count("frozen at the sending")
        await machine.awake()
        loop = asyncio.get_running_loop()
        struck = self._weather.strike(self._side, operation)
        kind, fault = struck if struck is not None else ("", Fault())
        answer: asyncio.Future[T] = loop.create_future()

        def arrive() -> None:
            try:
                result = effect(fault)
            except DynamirrorError as error:
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(result)

        def unseen() -> None:
            with suppress(DynamirrorError):
                effect(Fault())

        if fault.error is None:
            loop.call_later(LATENCY_S / 2 + fault.delay_s, arrive)
        else:
            if fault.lands_after_s is not None:
                after_s = LATENCY_S if kind == "applied" else fault.delay_s + fault.lands_after_s
                loop.call_later(after_s, unseen)
            await asyncio.sleep(LATENCY_S + fault.delay_s)
            await self._machine.awake()
            raise fault.error
        try:
            result = await answer
        except DynamirrorError:
            await self._machine.awake()
            raise
        await asyncio.sleep(LATENCY_S / 2)
        await self._machine.awake()
        return result
