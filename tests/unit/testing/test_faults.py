"""A fault plan: what the caller sees, and what happens all the same."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from dynamirror.errors import ConditionFailed, DynamirrorError, Side, Throttled, Unanswered, Unreachable
from dynamirror.testing.faults import Fault, Faults, Line, Scripted, SeededFaults
from dynamirror.testing.virtual_time import run_virtual

LOST = Unanswered(Side.DESTINATION, "lost")


def landings(fault: Fault | None, wait_s: float = 60.0) -> tuple[str, list[float]]:
    """How one call ends that meets `fault`, and when its effect happened."""

    async def main() -> tuple[str, list[float]]:
        at: list[float] = []
        line = Line(Scripted("PutItem", [fault]), latency_s=2.0)
        try:
            await line.call("PutItem", lambda _: at.append(asyncio.get_running_loop().time()))
            outcome = f"answered at {asyncio.get_running_loop().time():g}"
        except DynamirrorError as error:
            outcome = type(error).__name__
        await asyncio.sleep(wait_s)
        return outcome, at

    return run_virtual(main())


@pytest.mark.parametrize(
    "fault,outcome,at",
    [
        (None, "answered at 2", [1.0]),
        (Fault(Throttled(Side.DESTINATION, "later")), "Throttled", []),
        (Fault(LOST), "Unanswered", []),
        (Fault(LOST, lands_after_s=0.0), "Unanswered", [1.0]),
        (Fault(LOST, lands_after_s=7.0), "Unanswered", [8.0]),
        (Fault(delay_s=3.0), "answered at 5", [4.0]),
    ],
)
def test_what_is_seen_and_what_happens(fault: Fault | None, outcome: str, at: list[float]) -> None:
    assert landings(fault) == (outcome, at)


def test_a_late_refusal_is_heard_by_nobody() -> None:
    def refuse(fault: Fault) -> None:
        raise ConditionFailed("too late")

    async def main() -> None:
        problems: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        for lands_after_s in (0.0, 1.0):
            line = Line(Scripted("PutItem", [Fault(LOST, lands_after_s)]))
            with pytest.raises(Unanswered):
                await line.call("PutItem", refuse)
        await asyncio.sleep(5)
        assert not problems

    run_virtual(main())


def test_a_script_is_for_one_operation() -> None:
    fault = Fault(LOST)
    script = Scripted("GetRecords", [None, fault])
    assert [script(operation) for operation in ("GetRecords", "Scan", "GetRecords", "GetRecords")] == [
        None,
        None,
        fault,
        None,
    ]


def drawn(make: Callable[[], Faults], operation: str, count: int = 2000) -> list[Fault | None]:
    plan = make()
    return [plan(operation) for _ in range(count)]


def test_seeded_faults_repeat_and_come_in_every_kind() -> None:
    def make() -> Faults:
        return SeededFaults(Random(7).random, 0.5, Side.DESTINATION)

    faults = drawn(make, "BatchWriteItem")
    assert [repr(fault) for fault in faults] == [repr(fault) for fault in drawn(make, "BatchWriteItem")]
    real = [fault for fault in faults if fault is not None]
    assert 900 < len(real) < 1100
    assert {type(fault.error) for fault in real} == {Throttled, Unreachable, Unanswered, type(None)}
    assert {1 <= fault.unprocessed <= 24 for fault in real if fault.unprocessed} == {True}
    late = [fault.lands_after_s for fault in real if fault.lands_after_s]
    assert late
    assert max(late) < 30
    assert not any(fault and fault.unprocessed for fault in drawn(make, "GetRecords"))
